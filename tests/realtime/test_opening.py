"""A session's settings, and every way in which a service may take them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from appliance.errors import ProtocolError
from appliance.realtime import events as ev
from appliance.realtime.events import Dialect
from appliance.realtime.opening import (
    CLOSE_AFTER_ERROR_S,
    CONFIRM_S,
    REFUSAL_S,
    Habits,
    Opening,
    Ready,
    Refused,
    Remark,
    Step,
)

SETTINGS = ev.SessionSettings("persona", "mal-male", (ev.ToolDeclaration("get_time", "The time", {}),))
FLAT, NESTED = ev.SessionUpdate(SETTINGS, Dialect.SWARAM), ev.SessionUpdate(SETTINGS, Dialect.OPENAI)
THEIRS = {"instructions": "the owner's", "voice": "mal-male", "tools": []}
MISTYPED = ev.ErrorEvent("invalid_request_error", "missing_required_parameter", "Missing: 'session.type'.")
LOCKED = ev.ErrorEvent("invalid_request_error", "session_locked", "The settings of this token are locked.")


class Talk:
    """An opening with a clock. Remarks are kept apart."""

    def __init__(self, habits: Habits | None = None) -> None:
        self.habits = habits or Habits()
        self.opening = Opening(SETTINGS, self.habits)
        self.now_s = 100.0
        self.remarks: list[str] = []
        self.first = self.opening.begin()

    def _told(self, steps: list[Step]) -> list[Step]:
        self.remarks += [step.text for step in steps if isinstance(step, Remark)]
        return [step for step in steps if not isinstance(step, Remark)]

    def created(self, session: Mapping[str, object] | None = None) -> list[Step]:
        return self._told(self.opening.created(session or {}, self.now_s))

    def updated(self) -> list[Step]:
        return self._told(self.opening.updated())

    def complains(self, error: ev.ErrorEvent = MISTYPED) -> list[Step]:
        return self._told(self.opening.complained(error, self.now_s))

    def passes(self, seconds: float) -> list[Step]:
        """Nothing is done early, and nothing without ``due_s``."""
        end_s, steps = self.now_s + seconds, []
        while self.opening.due_s is not None and self.opening.due_s <= end_s:
            assert self.opening.advance(self.opening.due_s - 0.001) == []
            self.now_s = max(self.now_s, self.opening.due_s)
            steps += self._told(self.opening.advance(self.now_s))
        self.now_s = end_s
        assert self.opening.advance(end_s) == []
        return steps


# ---------------------------------------------------------------- a service that confirms


def test_settings_are_sent_once_and_confirmed() -> None:
    talk = Talk()
    assert talk.first == FLAT
    with pytest.raises(ProtocolError):
        talk.opening.begin()
    assert talk.created() == [] and talk.passes(CONFIRM_S / 2) == []
    assert talk.updated() == [Ready()] and talk.opening.over
    assert talk.updated() == talk.created() == talk.complains() == talk.passes(60) == []
    assert talk.habits == Habits(taken=True) and not talk.remarks


def test_the_confirmation_may_come_first() -> None:
    talk = Talk()
    assert talk.updated() == [Ready()]
    assert talk.created() == []


def test_an_error_before_the_confirmation_was_about_something_else() -> None:
    talk = Talk()
    talk.created()
    assert talk.complains() == [] and talk.passes(REFUSAL_S / 2) == []
    assert talk.updated() == [Ready()]
    assert talk.habits == Habits(taken=True) and not talk.remarks


# ---------------------------------------------------------------- one that does not


def test_what_is_not_confirmed_is_taken_for_granted_after_a_while_and_at_once_the_next_time() -> None:
    talk = Talk()
    assert talk.passes(60) == [], "without session.created nobody is there"
    assert talk.created() == [] and talk.passes(CONFIRM_S) == [Ready()]
    again = Talk(talk.habits)
    assert again.created() == [Ready()]


def test_a_session_created_that_is_read_before_ours_has_left() -> None:
    opening = Opening(SETTINGS, Habits(confirms=False))
    assert opening.created({}, 100.0) == [] and opening.due_s == 100.0
    assert opening.advance(100.0) == [], "nothing of ours has left yet"
    opening.begin()
    assert opening.advance(100.0) == [Ready()]


def test_a_confirmation_that_comes_late_is_waited_for_the_next_time() -> None:
    talk = Talk()
    talk.created()
    talk.passes(CONFIRM_S)
    assert not talk.habits.confirms
    assert talk.updated() == [] and talk.habits.confirms


def test_what_is_begun_on_trust_and_never_answered_is_waited_for_once_more() -> None:
    """A service that died behind session.created looks the same; the next session knows better."""
    talk = Talk()
    talk.created()
    talk.passes(CONFIRM_S)
    assert talk.opening.on_trust
    talk.opening.unanswered()
    again = Talk(talk.habits)
    assert again.created() == [] and again.passes(CONFIRM_S) == [Ready()]
    assert not again.opening.on_trust, "twice is its way"
    once_more = Talk(talk.habits)
    assert once_more.created() == [Ready()]


def test_a_confirmation_ends_the_doubt() -> None:
    talk = Talk(Habits(doubted=True))
    talk.updated()
    assert not talk.habits.doubted


# ---------------------------------------------------------------- one that wants them otherwise


@pytest.mark.parametrize("dialect", list(Dialect))
def test_a_refusal_is_followed_by_the_other_dialect_which_is_remembered(dialect: Dialect) -> None:
    talk = Talk(Habits(dialect))
    talk.created()
    assert talk.first.dialect is dialect
    assert talk.complains() == [] and talk.complains() == []
    assert talk.passes(REFUSAL_S) == [ev.SessionUpdate(SETTINGS, dialect.other)]
    assert talk.updated() == [Ready()]
    (remark,) = talk.remarks
    assert f'service.dialect = "{dialect.other.value}"' in remark
    again = Talk(talk.habits)
    assert again.first.dialect is dialect.other
    assert again.updated() == [Ready()] and not again.remarks


def test_the_other_dialect_need_not_be_confirmed() -> None:
    talk = Talk()
    talk.created()
    talk.complains()
    assert talk.passes(REFUSAL_S + CONFIRM_S) == [NESTED, Ready()]
    assert talk.habits == Habits(Dialect.OPENAI, taken=True, confirms=False)


def test_both_refused_is_refused() -> None:
    talk = Talk()
    talk.created()
    talk.complains()
    assert talk.passes(REFUSAL_S) == [NESTED]
    assert talk.complains(ev.ErrorEvent("", "", "Invalid\nvoice.")) == []
    assert talk.passes(CLOSE_AFTER_ERROR_S) == [Refused("Invalid voice.")]
    assert talk.habits == Habits() and talk.passes(60) == []


# ---------------------------------------------------------------- one that has settings of its own


def test_where_both_are_refused_the_services_own_settings_will_do() -> None:
    talk = Talk()
    talk.created(THEIRS)
    talk.complains()
    talk.passes(REFUSAL_S)
    talk.complains()
    assert talk.passes(CLOSE_AFTER_ERROR_S / 2) == []
    assert talk.passes(CLOSE_AFTER_ERROR_S / 2) == [Ready()]
    (remark,) = talk.remarks
    assert remark.endswith("not set: instructions, tools")
    again = Talk(talk.habits)
    again.created(THEIRS)
    assert again.complains() == [Ready()], "it is known: nobody has to wait for it twice"


def test_an_error_that_says_locked_is_not_answered_in_the_other_dialect() -> None:
    talk = Talk()
    talk.created({"voice": "mal-male"})
    talk.complains(LOCKED)
    assert talk.passes(CLOSE_AFTER_ERROR_S) == [Ready()]


@pytest.mark.parametrize("session", [{}, {"model": "m", "voice": "mal-female"}, {"instructions": ""}], ids=str)
def test_a_service_that_was_never_told_what_it_is_for_is_of_no_use(session: Mapping[str, object]) -> None:
    talk = Talk()
    talk.created(session)
    talk.complains()
    talk.passes(REFUSAL_S)
    talk.complains()
    assert talk.passes(CLOSE_AFTER_ERROR_S) == [Refused("Missing: 'session.type'.")]


@pytest.mark.parametrize("habits", [Habits(), Habits(locked=True)], ids=["new", "locked"])
def test_a_server_error_is_neither_a_refusal_nor_a_lock(habits: Habits) -> None:
    talk = Talk(habits)
    talk.created(THEIRS)
    assert talk.complains(ev.ErrorEvent("server_error", "", "Try again.")) == [] and talk.opening.refusal is None
    assert talk.passes(CLOSE_AFTER_ERROR_S) == []
    assert not talk.opening.broke(1011) and talk.updated() == [Ready()]


def test_a_lock_that_is_gone_is_forgotten() -> None:
    talk = Talk(Habits(locked=True))
    assert talk.updated() == [Ready()]
    assert not talk.habits.locked


def test_nested_settings_of_a_service_are_compared_too() -> None:
    talk = Talk()
    tools = [{"type": "function", "name": "get_time"}]
    talk.created({"instructions": "persona", "tools": tools, "audio": {"output": {"voice": "alloy"}}})
    talk.complains(LOCKED)
    talk.passes(CLOSE_AFTER_ERROR_S)
    assert talk.remarks[0].endswith("not set: voice")


# ---------------------------------------------------------------- one that closes


@pytest.mark.parametrize(("code", "said"), [(1003, False), (1007, False), (1008, False), (1000, True), (1011, True)])
def test_a_close_on_our_settings_leads_to_the_other_dialect(code: int, said: bool) -> None:
    talk = Talk()
    if said:
        talk.complains()
    assert talk.opening.broke(code)
    again = Talk(talk.habits)
    assert again.first == NESTED


@pytest.mark.parametrize(
    ("code", "said"), [(1006, False), (1011, False), (1013, True), (1006, True), (4001, True), (4003, True)]
)
def test_a_close_for_another_reason_does_not(code: int, said: bool) -> None:
    talk = Talk()
    if said:
        talk.complains()
    assert not talk.opening.broke(code) and talk.habits == Habits()


def test_a_close_on_both_dialects_is_the_last_word() -> None:
    talk = Talk()
    assert talk.opening.broke(1003)
    again = Talk(talk.habits)
    assert not again.opening.broke(1003)


def test_a_service_that_has_taken_a_dialect_is_not_asked_in_the_other() -> None:
    talk = Talk(Habits(taken=True))
    assert not talk.opening.broke(1003) and talk.habits == Habits(taken=True)
