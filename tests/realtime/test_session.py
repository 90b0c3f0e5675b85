"""The rules of one connection, decision by decision, and what out-of-order services are good for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import ProtocolError
from appliance.journal.foreign_text import MAX_CHARS
from appliance.realtime import events as ev
from appliance.realtime import session as out
from appliance.realtime.calls import MAX_ARGUMENTS_CHARS, MAX_CALLS, UNREADABLE
from appliance.realtime.gathered import MAX_NOTES
from appliance.realtime.opening import CONFIRM_S
from appliance.realtime.responses import CANCEL_DEADLINE_S, MAX_RESPONSES
from appliance.realtime.session import Session

SETTINGS = ev.SessionSettings("persona", "mal-male")
PCM = b"\x01\x02\x03\x04"


class Connection:
    """A session with a clock of its own. Notes are kept apart, so that a test says what matters to it."""

    def __init__(self) -> None:
        self.session = Session(SETTINGS)
        self.now_s = 100.0
        self.notes: list[out.Note] = []

    def says(self, *events: ev.ServerEvent) -> list[out.Outcome]:
        """The service sends events, now. Returns what they mean, notes apart."""
        outcomes = [outcome for event in events for outcome in self.session.receive(event, self.now_s)]
        self.notes += [outcome for outcome in outcomes if isinstance(outcome, out.Note)]
        return [outcome for outcome in outcomes if not isinstance(outcome, out.Note)]

    def cancel(self, response_id: str) -> ev.ResponseCancel | None:
        return self.session.cancel(response_id, self.now_s)

    @property
    def levels(self) -> list[str]:
        """Of the notes so far."""
        return [note.level for note in self.notes]


@pytest.fixture
def connection() -> Connection:
    """Ready, with a turn open of which the service has heard nothing."""
    connection = Connection()
    connection.session.opening()
    assert connection.says(ev.SessionCreated({}), ev.SessionUpdated({})) == [out.Ready()]
    connection.session.begin_turn()
    return connection


@pytest.fixture
def answering(connection: Connection) -> Connection:
    """The service has heard a question and begun reply "r"."""
    connection.says(ev.SpeechStarted(), ev.SpeechStopped())
    assert connection.says(ev.ResponseCreated("r")) == [out.ReplyBegan("r")]
    return connection


def audio(response_id: str, pcm: bytes = PCM) -> ev.OutputAudioDelta:
    return ev.OutputAudioDelta(response_id, "item", pcm)


def call(call_id: str = "c", response_id: str | None = "r", arguments: str = "{}") -> ev.FunctionCallArgumentsDone:
    return ev.FunctionCallArgumentsDone(response_id, "get_time", call_id, arguments)


def called(call_id: str = "c", response_id: str = "r", name: str = "get_time", arguments: str = "{}") -> out.ToolCalled:
    return out.ToolCalled(response_id, out.ToolCall(call_id, name, arguments))


def cancelled(response_id: str | None) -> list[out.Outcome]:
    return [out.Send(ev.ResponseCancel(response_id))]


# ---------------------------------------------------------------- decision 12: nothing before the settings are in force


def test_settings_go_first_and_once() -> None:
    session = Session(SETTINGS)
    assert session.opening() == ev.SessionUpdate(SETTINGS)
    with pytest.raises(ProtocolError):
        session.opening()


def test_decision_12_nothing_leaves_before_session_updated() -> None:
    connection = Connection()
    session = connection.session
    session.opening()
    connection.says(ev.SessionCreated({}))
    assert not session.ready
    for send in (lambda: session.append(PCM), session.commit, session.clear, session.create):
        with pytest.raises(ProtocolError):
            send()
    with pytest.raises(ProtocolError):
        session.tool_outputs([("c", "{}")])
    assert connection.says(ev.SessionUpdated({})) == [out.Ready()]
    assert session.append(PCM) == ev.InputAudioBufferAppend(PCM)
    assert session.clear() == ev.InputAudioBufferClear()


def test_decision_12_a_session_updated_that_answers_nothing_does_not_count() -> None:
    connection = Connection()
    assert connection.says(ev.SessionUpdated({})) == []
    assert not connection.session.ready and connection.levels == ["warning"]
    connection.session.opening()
    assert connection.says(ev.SessionUpdated({})) == [out.Ready()]


def test_whatever_comes_ends_the_trust_in_a_session_that_was_not_confirmed() -> None:
    connection = Connection()
    connection.session.opening()
    connection.says(ev.SessionCreated({}))
    connection.now_s += CONFIRM_S
    assert connection.session.advance(connection.now_s) == [out.Ready()]
    assert connection.session.on_trust
    connection.says(ev.UnknownEvent("input_audio_buffer.committed"))
    assert not connection.session.on_trust


def test_ready_is_said_once(connection: Connection) -> None:
    assert connection.says(ev.SessionUpdated({}), ev.SessionCreated({})) == []


# ---------------------------------------------------------------- decision 1: whose response it is


def test_decision_1_a_response_without_evidence_is_cancelled_once_and_dropped(connection: Connection) -> None:
    assert connection.says(ev.ResponseCreated("old")) == cancelled("old")
    assert connection.says(audio("old"), ev.OutputTranscriptDelta("old", "x"), call(response_id="old")) == []
    assert connection.cancel("old") is None
    assert connection.says(ev.ResponseDone("old", "cancelled")) == []
    assert set(connection.levels) == {"debug"}


def test_decision_1_speech_is_evidence(connection: Connection) -> None:
    connection.says(ev.SpeechStarted())
    assert connection.says(ev.ResponseCreated("r")) == [out.ReplyBegan("r")]


@pytest.mark.parametrize("evidence", ["commit", "create"])
def test_decision_1_what_we_ask_for_is_evidence(connection: Connection, evidence: str) -> None:
    getattr(connection.session, evidence)()
    assert connection.says(ev.ResponseCreated("r")) == [out.ReplyBegan("r")]


def test_decision_1_tool_outputs_are_evidence(connection: Connection) -> None:
    assert connection.session.tool_outputs([("c", "{}"), ("d", "1")]) == [
        ev.FunctionCallOutput("c", "{}"),
        ev.FunctionCallOutput("d", "1"),
    ]
    assert connection.says(ev.ResponseCreated("r")) == [out.ReplyBegan("r")]


def test_decision_1_no_tool_outputs_are_no_evidence(connection: Connection) -> None:
    assert connection.session.tool_outputs([]) == []
    assert connection.says(ev.ResponseCreated("r")) == cancelled("r")


def test_decision_1_evidence_does_not_outlive_its_turn(connection: Connection) -> None:
    connection.says(ev.SpeechStarted(), ev.SpeechStopped())
    connection.session.end_turn()
    connection.session.begin_turn()
    assert connection.says(ev.ResponseCreated("late")) == cancelled("late")


def test_decision_1_without_a_turn_nothing_is_evidence(connection: Connection) -> None:
    connection.session.end_turn()
    connection.session.commit()
    connection.session.create()
    connection.session.tool_outputs([("c", "{}")])
    connection.says(ev.SpeechStarted(), ev.SpeechStopped())
    assert connection.says(ev.ResponseCreated("late")) == cancelled("late")


def test_decision_1_a_turn_begun_before_speech_stopped_goes_on_with_that_speech(connection: Connection) -> None:
    connection.says(ev.SpeechStarted())
    connection.session.begin_turn()
    connection.says(ev.SpeechStopped())
    assert connection.says(ev.ResponseCreated("r")) == [out.ReplyBegan("r")]


def test_decision_1_a_reply_ends_the_speech_that_the_service_forgot_to_end(connection: Connection) -> None:
    connection.says(ev.SpeechStarted(), ev.ResponseCreated("r"), ev.ResponseDone("r", "completed"))
    connection.session.begin_turn()
    assert connection.says(ev.ResponseCreated("late")) == cancelled("late")


@pytest.mark.parametrize("next_turn", ["begin_turn", "end_turn"])
def test_decision_1_a_reply_does_not_outlive_its_turn(answering: Connection, next_turn: str) -> None:
    getattr(answering.session, next_turn)()
    assert answering.says(audio("r"), call(), ev.ResponseDone("r", "completed")) == []
    assert set(answering.levels) == {"debug"}


def test_decision_1_what_begins_before_our_cancel_is_confirmed_is_of_the_past(answering: Connection) -> None:
    answering.cancel("r")
    answering.session.begin_turn()
    answering.says(ev.SpeechStarted())
    assert answering.says(ev.ResponseCreated("late")) == cancelled("late")
    answering.says(ev.ResponseDone("r", "cancelled"), ev.ResponseDone("late", "cancelled"))
    assert answering.says(ev.ResponseCreated("answer")) == [out.ReplyBegan("answer")]


@pytest.mark.parametrize(("waited_s", "counts"), [(CANCEL_DEADLINE_S - 0.001, False), (CANCEL_DEADLINE_S, True)])
def test_decision_1_waits_no_longer_than_the_deadline(answering: Connection, waited_s: float, counts: bool) -> None:
    answering.cancel("r")
    answering.session.begin_turn()
    answering.says(ev.SpeechStarted(), ev.SpeechStopped())
    answering.now_s += waited_s
    expected = [out.ReplyBegan("answer")] if counts else cancelled("answer")
    assert answering.says(ev.ResponseCreated("answer")) == expected


# ---------------------------------------------------------------- decision 2: going on speaking


def test_decision_2_going_on_speaking_drops_the_reply_so_far(answering: Connection) -> None:
    assert answering.says(audio("r")) == [out.ReplySamples("r", PCM)]
    assert answering.says(ev.SpeechStarted()) == [out.SpeechBegan()]
    assert answering.says(audio("r"), call(), ev.ResponseDone("r", "cancelled")) == []
    assert answering.says(ev.SpeechStopped(), ev.ResponseCreated("next")) == [
        out.SpeechEnded(),
        out.ReplyBegan("next"),
    ]


def test_decision_2_a_reply_complete_before_the_person_goes_on_makes_room_for_the_next(answering: Connection) -> None:
    answering.says(audio("r"), ev.ResponseDone("r", "completed"), ev.SpeechStarted())
    assert answering.cancel("r") is None
    assert answering.says(ev.ResponseCreated("next")) == [out.ReplyBegan("next")]


# ---------------------------------------------------------------- decision 3: cancelling


def test_decision_3_one_cancel_while_the_reply_is_in_progress(answering: Connection) -> None:
    assert answering.cancel("r") == ev.ResponseCancel("r")
    assert answering.cancel("r") is None


def test_decision_3_no_cancel_after_response_done(answering: Connection) -> None:
    answering.says(ev.ResponseDone("r", "completed"))
    assert answering.cancel("r") is None


def test_decision_3_no_cancel_of_what_was_never_announced(answering: Connection) -> None:
    assert answering.cancel("x") is None


def test_decision_3_a_dropped_reply_in_progress_can_still_be_cancelled(answering: Connection) -> None:
    answering.session.begin_turn()
    assert answering.cancel("r") == ev.ResponseCancel("r")


def test_stale_deltas_of_a_cancelled_reply_are_dropped_with_one_line(answering: Connection) -> None:
    answering.says(audio("r"))
    answering.cancel("r")
    assert answering.says(*[audio("r")] * 50, ev.OutputTranscriptDelta("r", "x")) == []
    assert answering.says(ev.ResponseDone("r", "cancelled")) == []
    assert answering.levels == ["debug", "debug"]


@pytest.mark.parametrize(
    ("code", "harmless"),
    [("response_cancel_not_active", True), ("input_audio_buffer_commit_empty", True), ("busy", False), ("", False)],
)
def test_decision_3_two_errors_are_harmless(connection: Connection, code: str, harmless: bool) -> None:
    error = ev.ErrorEvent("invalid_request_error", code, "no")
    assert connection.says(error) == [out.ServiceSaid("invalid_request_error", code, "no", harmless)]


EMPTY = ev.ErrorEvent("invalid_request_error", "input_audio_buffer_commit_empty", "no")
SAID_EMPTY = out.ServiceSaid("invalid_request_error", "input_audio_buffer_commit_empty", "no", True)
NOBODY = [SAID_EMPTY, out.NothingHeard()]


def hold(connection: Connection) -> None:
    """A turn in which the service hears nothing, up to its commit."""
    connection.session.begin_turn()
    connection.session.commit()


def test_an_empty_commit_of_a_turn_of_which_the_service_heard_nothing(connection: Connection) -> None:
    connection.session.commit()
    assert connection.says(EMPTY) == NOBODY
    assert connection.says(EMPTY) == [SAID_EMPTY], "there was one commit"


def test_no_commit_can_be_empty_before_it_was_sent(connection: Connection) -> None:
    assert connection.says(EMPTY) == [SAID_EMPTY]
    connection.session.commit()
    assert connection.says(EMPTY) == NOBODY


def test_an_empty_commit_without_a_turn_is_harmless(connection: Connection) -> None:
    connection.session.end_turn()
    connection.session.commit()
    assert connection.says(EMPTY) == [SAID_EMPTY]


@pytest.mark.parametrize(
    "said",
    [
        (ev.SpeechStarted(),),
        (ev.SpeechStarted(), ev.SpeechStopped()),
        (ev.SpeechStopped(),),
        (ev.InputTranscriptionCompleted("item", "മഴ"),),
        (ev.SpeechStarted(), ev.SpeechStopped(), ev.ResponseCreated("r")),
        (
            ev.SpeechStarted(),
            ev.SpeechStopped(),
            ev.ResponseCreated("r"),
            audio("r"),
            ev.ResponseDone("r", "completed"),
        ),
    ],
    ids=lambda said: " ".join(type(event).__name__ for event in said),
)
@pytest.mark.parametrize("first", ["said", "commit"])
def test_an_empty_commit_is_harmless_in_a_turn_in_which_somebody_was_heard(
    connection: Connection, said: tuple[ev.ServerEvent, ...], first: str
) -> None:
    if first == "commit":
        connection.session.commit()
    connection.says(*said)
    if first == "said":
        connection.session.commit()
    assert connection.says(EMPTY) == [SAID_EMPTY]


def test_an_empty_commit_is_harmless_when_a_response_followed_it(connection: Connection) -> None:
    connection.session.commit()
    connection.says(ev.ResponseCreated("r"))
    assert connection.says(EMPTY) == [SAID_EMPTY]


def test_an_empty_commit_is_harmless_in_a_turn_that_began_in_speech(connection: Connection) -> None:
    connection.says(ev.SpeechStarted())
    hold(connection)
    assert connection.says(EMPTY) == [SAID_EMPTY]


@pytest.mark.parametrize("when", ["between the turns", "before the next commit", "after the next commit"])
def test_an_empty_commit_of_an_earlier_turn_says_nothing_of_this_one(connection: Connection, when: str) -> None:
    connection.session.commit()
    connection.session.end_turn()
    if when == "between the turns":
        assert connection.says(EMPTY) == [SAID_EMPTY]
    connection.session.begin_turn()
    if when == "before the next commit":
        assert connection.says(EMPTY) == [SAID_EMPTY]
    connection.session.commit()
    if when == "after the next commit":
        assert connection.says(EMPTY) == [SAID_EMPTY]
    assert connection.says(EMPTY) == NOBODY, "the second one is this turn's own"


@pytest.mark.parametrize("end", ["answered", "interrupted"])
def test_a_commit_that_ended_a_turn_does_not_stand_in_the_way_of_the_next(connection: Connection, end: str) -> None:
    connection.says(ev.SpeechStarted())
    connection.session.commit()
    connection.says(ev.SpeechStopped(), ev.ResponseCreated("r"), audio("r"))
    if end == "answered":
        connection.says(ev.ResponseDone("r", "completed"))
        hold(connection)
    else:
        connection.cancel("r")
        hold(connection)
        connection.says(ev.ResponseDone("r", "cancelled"))
    assert connection.says(EMPTY) == NOBODY


@pytest.mark.parametrize("status", ["completed", "failed", "incomplete", "cancelled"])
def test_an_answer_that_was_not_made_shows_nothing_of_the_commit(connection: Connection, status: str) -> None:
    """It may have ended before the commit arrived."""
    connection.says(ev.SpeechStarted())
    connection.session.commit()
    connection.says(ev.SpeechStopped(), ev.ResponseCreated("r"), ev.ResponseDone("r", status))
    hold(connection)
    assert connection.says(EMPTY) == [SAID_EMPTY]
    assert connection.says(EMPTY) == NOBODY


def test_an_answer_of_the_past_that_ends_says_nothing_of_this_turns_commit(connection: Connection) -> None:
    connection.says(ev.SpeechStarted())
    connection.session.commit()
    connection.says(ev.SpeechStopped(), ev.ResponseCreated("r"), audio("r"))
    hold(connection)
    connection.says(ev.ResponseDone("r", "completed"))
    assert connection.says(EMPTY) == NOBODY


def test_a_response_to_a_turn_in_which_nobody_was_heard_is_cancelled_once(connection: Connection) -> None:
    connection.session.commit()
    assert connection.says(EMPTY) == NOBODY
    connection.session.end_turn()
    assert connection.says(ev.SpeechStarted(), ev.SpeechStopped()) == [out.SpeechBegan(), out.SpeechEnded()]
    assert connection.says(ev.ResponseCreated("r")) == cancelled("r")
    assert connection.says(audio("r"), ev.ResponseDone("r", "cancelled")) == []


def test_an_errors_text_is_one_line(connection: Connection) -> None:
    (said,) = connection.says(ev.ErrorEvent("a\nb", "\x1b[2J", "പിഴവ് അവന്\u200d\n" + "x" * 1_000_000))
    assert isinstance(said, out.ServiceSaid)
    assert (said.type, said.code) == ("a b", "[2J")
    assert said.message.startswith("പിഴവ് അവന്\u200d xx") and len(said.message) <= MAX_CHARS


# ---------------------------------------------------------------- decision 4: one answer, in one part or two


def test_decision_4_a_second_response_of_the_turn_follows_the_first(answering: Connection) -> None:
    answering.says(audio("r"), ev.ResponseDone("r", "completed"))
    assert answering.says(ev.ResponseCreated("more"), audio("more")) == [
        out.ReplyBegan("more"),
        out.ReplySamples("more", PCM),
    ]


def test_decision_4_a_second_response_ends_a_first_that_is_never_done(answering: Connection) -> None:
    answering.says(audio("r"))
    assert answering.says(ev.ResponseCreated("more")) == [out.ReplyBegan("more"), out.ReplyEnded("r", "completed")]
    assert answering.says(audio("r")) == []


@pytest.mark.parametrize("nudge", ["commit", "create"])
def test_decision_4_the_race_of_our_commit_and_turn_detection_has_one_answer(answering: Connection, nudge: str) -> None:
    getattr(answering.session, nudge)()
    assert answering.says(ev.ResponseCreated("twin")) == cancelled("twin")
    assert answering.says(audio("twin"), audio("r")) == [out.ReplySamples("r", PCM)]
    assert answering.says(ev.ResponseDone("twin", "cancelled"), ev.ResponseDone("r", "completed")) == [
        out.ReplyEnded("r", "completed")
    ]


@pytest.mark.parametrize("nudge", ["commit", "create"])
@pytest.mark.parametrize("ids", [True, False])
def test_decision_4_the_same_race_when_the_nudge_left_first(connection: Connection, nudge: str, ids: bool) -> None:
    connection.says(ev.SpeechStarted())
    getattr(connection.session, nudge)()
    first, twin = ("r", "twin") if ids else (None, None)
    began = connection.says(ev.SpeechStopped(), ev.ResponseCreated(first), ev.OutputAudioDelta(first, None, PCM))
    assert isinstance(began[1], out.ReplyBegan)
    outcomes = connection.says(ev.ResponseCreated(twin))
    assert cancelled(twin)[0] in outcomes
    assert not any(isinstance(outcome, out.ReplyBegan) for outcome in outcomes)


@pytest.mark.parametrize("nudge", ["commit", "create"])
def test_decision_4_what_follows_the_response_to_a_nudge_is_no_duplicate(connection: Connection, nudge: str) -> None:
    """ "Let me see", and then the answer: all of the first is here, so the nudge was dealt with."""
    connection.says(ev.SpeechStarted())
    getattr(connection.session, nudge)()
    connection.session.nudges_arrived(1)
    connection.says(ev.SpeechStopped(), ev.ResponseCreated("r"), audio("r"), ev.ResponseDone("r", "completed"))
    assert connection.says(ev.ResponseCreated("answer")) == [out.ReplyBegan("answer")]


def test_ruling_4_a_nudge_that_is_still_on_its_way_is_in_flight_after_a_whole_response(connection: Connection) -> None:
    """A slow line: the service answers by itself and is done, and then our commit and our request get there."""
    connection.says(ev.SpeechStarted())
    connection.session.commit()
    connection.session.create()
    connection.says(ev.SpeechStopped(), ev.ResponseCreated("r"), audio("r"))
    connection.says(ev.ErrorEvent("invalid_request_error", "input_audio_buffer_commit_empty", ""))
    connection.session.nudges_arrived(1)
    connection.says(ev.ResponseDone("r", "completed"))
    assert cancelled("twin")[0] in connection.says(ev.ResponseCreated("twin"))
    connection.says(ev.ResponseDone("twin", "cancelled"))
    connection.session.nudges_arrived(2)
    assert connection.says(ev.ResponseCreated("more")) == [out.ReplyBegan("more")]


@pytest.mark.parametrize("code", ["input_audio_buffer_commit_empty", "conversation_already_has_active_response"])
@pytest.mark.parametrize("part", ["type", "code"])
def test_decision_4_a_nudge_that_had_no_effect_is_no_longer_in_flight(
    answering: Connection, code: str, part: str
) -> None:
    answering.session.commit()
    answering.says(ev.ErrorEvent(**{"type": "", "code": "", "message": "", part: code}))
    assert out.ReplyBegan("more") in answering.says(ev.ResponseCreated("more"))


def test_decision_4_a_response_after_tool_outputs_is_no_duplicate(connection: Connection) -> None:
    connection.says(ev.SpeechStarted())
    connection.session.commit()
    connection.says(ev.SpeechStopped(), ev.ResponseCreated("r"), call())
    connection.session.tool_outputs([("c", "{}")])
    assert out.ReplyBegan("spoken") in connection.says(ev.ResponseCreated("spoken"))


def test_decision_4_a_nudge_after_tools_has_one_answer(answering: Connection) -> None:
    """The service goes on by itself, a moment after it was asked to."""
    answering.says(audio("r"), call(), ev.ResponseDone("r", "completed"))
    answering.session.tool_outputs([("c", "{}")])
    answering.session.create(after_tools=True)
    assert answering.says(ev.ResponseCreated("spoken")) == [out.ReplyBegan("spoken")]
    assert answering.says(ev.ResponseCreated("twin")) == cancelled("twin")


def test_decision_4_a_nudge_after_tools_whose_response_goes_on_after_all(answering: Connection) -> None:
    answering.says(audio("r"), call())
    answering.session.tool_outputs([("c", "{}")])
    answering.session.create(after_tools=True)
    assert answering.says(audio("r")) == [out.ReplySamples("r", PCM)]
    assert answering.says(ev.ResponseCreated("twin")) == cancelled("twin")


@pytest.mark.parametrize("status", ["cancelled", "failed", "incomplete"])
def test_decision_4_a_response_that_came_to_nothing_is_no_answer(answering: Connection, status: str) -> None:
    answering.session.commit()
    assert answering.says(ev.ResponseDone("r", status)) == [out.ReplyEnded("r", status)]
    assert answering.says(ev.ResponseCreated("answer")) == [out.ReplyBegan("answer")]


# ---------------------------------------------------------------- whose an event is, and what ends a reply


@pytest.mark.parametrize("created", ["first", "after a delta", "never"])
@pytest.mark.parametrize("ids", ["none", "all", "only on deltas", "only on created and done"])
@pytest.mark.parametrize("done", [("", ev.NO_DETAILS), ("completed", ev.NO_DETAILS)])
def test_one_reply_in_every_reading(
    connection: Connection, created: str, ids: str, done: tuple[str, ev.StatusDetails]
) -> None:
    on_delta = "r" if ids in ("all", "only on deltas") else None
    on_rest = "r" if ids in ("all", "only on created and done") else None
    events: list[ev.ServerEvent] = [ev.OutputAudioDelta(on_delta, None, PCM)] * 2
    if created != "never":
        events.insert(0 if created == "first" else 1, ev.ResponseCreated(on_rest))
    connection.says(ev.SpeechStarted(), ev.SpeechStopped())
    outcomes = connection.says(*events, ev.ResponseDone(on_rest, *done))
    (began,) = [outcome for outcome in outcomes if isinstance(outcome, out.ReplyBegan)]
    name = began.response_id
    assert outcomes == [
        began,
        out.ReplySamples(name, PCM),
        out.ReplySamples(name, PCM),
        out.ReplyEnded(name, "completed"),
    ]
    assert connection.says(ev.SpeechStarted(), ev.ResponseDone(on_rest, *done)) == [out.SpeechBegan()]


@pytest.mark.parametrize("created", [True, False])
@pytest.mark.parametrize("wire_id", ["r", None])
@pytest.mark.parametrize("done", [True, False])
def test_each_turn_may_have_the_same_id_or_none(
    connection: Connection, created: bool, wire_id: str | None, done: bool
) -> None:
    names = set()
    for _ in range(3):
        connection.session.begin_turn()
        connection.says(ev.SpeechStarted(), ev.SpeechStopped())
        events: list[ev.ServerEvent] = [ev.ResponseCreated(wire_id)] if created else []
        events.append(ev.OutputAudioDelta(wire_id, None, PCM))
        events += [ev.ResponseDone(wire_id, "completed")] if done else []
        outcomes = connection.says(*events)
        (began,) = [outcome for outcome in outcomes if isinstance(outcome, out.ReplyBegan)]
        assert out.ReplySamples(began.response_id, PCM) in outcomes
        names.add(began.response_id)
        connection.session.end_turn()
        connection.now_s += 5
    assert len(names) == 3, "ours are never the same"


def test_a_made_up_name_is_never_sent(connection: Connection) -> None:
    connection.says(ev.SpeechStarted(), ev.SpeechStopped())
    (began,) = connection.says(ev.ResponseCreated(None))
    assert isinstance(began, out.ReplyBegan)
    assert connection.cancel(began.response_id) == ev.ResponseCancel(None)


def test_two_parts_of_an_answer_without_ids(connection: Connection) -> None:
    connection.says(ev.SpeechStarted(), ev.SpeechStopped())
    done = ev.ResponseDone(None, "")
    one = connection.says(ev.ResponseCreated(None), ev.OutputAudioDelta(None, None, PCM), done)
    two = connection.says(ev.ResponseCreated(None), ev.OutputAudioDelta(None, None, PCM), done)
    assert [type(outcome) for outcome in one] == [type(outcome) for outcome in two]
    assert len(one) == 3


@pytest.mark.parametrize("sign", ["speech_stopped", "a second"])
def test_late_pieces_of_an_interrupted_reply_begin_nothing(connection: Connection, sign: str) -> None:
    """Without ids they look like a new one; what shows that they are not is how soon they come."""
    piece = ev.OutputAudioDelta(None, None, PCM)
    connection.says(ev.SpeechStarted(), ev.SpeechStopped())
    (began, _) = connection.says(piece)
    assert isinstance(began, out.ReplyBegan)
    connection.cancel(began.response_id)
    connection.session.begin_turn()
    connection.now_s += 0.2
    assert connection.says(ev.SpeechStarted()) == [out.SpeechBegan()]
    assert connection.says(piece, ev.ResponseDone(None, "cancelled"), piece, piece) == []
    if sign == "a second":
        connection.now_s += CANCEL_DEADLINE_S
    else:
        connection.says(ev.SpeechStopped())
    assert [type(outcome) for outcome in connection.says(piece)] == [out.ReplyBegan, out.ReplySamples]


def test_a_reply_in_progress_may_be_streamed_on_after_our_cancel_was_ignored(answering: Connection) -> None:
    answering.says(audio("r"))
    answering.cancel("r")
    answering.session.begin_turn()
    answering.now_s += 3
    answering.says(ev.SpeechStarted())
    assert answering.says(audio("r")) == [], "by its name it is still the old one"
    answering.says(ev.SpeechStopped())
    assert answering.says(ev.ResponseCreated("next"), audio("next")) == [
        out.ReplyBegan("next"),
        out.ReplySamples("next", PCM),
    ]


@pytest.mark.parametrize("answer", ["completed", "cancelled", "", None])
def test_whatever_answers_our_cancel_the_next_turn_is_heard(answering: Connection, answer: str | None) -> None:
    answering.cancel("r")
    answering.session.begin_turn()
    if answer is not None:
        assert answering.says(ev.ResponseDone("r", answer)) == []
    answering.now_s += CANCEL_DEADLINE_S
    answering.says(ev.SpeechStarted(), ev.SpeechStopped())
    assert answering.says(ev.ResponseCreated("next")) == [out.ReplyBegan("next")]


@pytest.mark.parametrize("event", [ev.ResponseDone(None, "failed"), ev.ResponseDone("r", "incomplete")], ids=str)
def test_a_reply_may_be_all_in_its_end(connection: Connection, event: ev.ResponseDone) -> None:
    connection.says(ev.SpeechStarted(), ev.SpeechStopped())
    began, ended = connection.says(event)
    assert isinstance(began, out.ReplyBegan) and ended == out.ReplyEnded(began.response_id, event.status)


def test_an_end_of_nothing_answers_nothing(connection: Connection) -> None:
    connection.says(ev.SpeechStarted(), ev.SpeechStopped())
    assert connection.says(ev.ResponseDone(None, ""), ev.ResponseDone("x", "completed")) == []
    assert connection.says(ev.ResponseCreated("r")) == [out.ReplyBegan("r")]


@pytest.mark.parametrize(
    ("details", "status", "reason"),
    [
        (ev.StatusDetails("failed", "", "rate_limit", "slow down"), "failed", "slow down (rate_limit)"),
        (ev.StatusDetails("incomplete", "max_output_tokens"), "incomplete", "max_output_tokens"),
        (ev.StatusDetails("cancelled", "turn_detected"), "cancelled", "turn_detected"),
        (ev.StatusDetails("failed", "", "", "a\nb"), "failed", "a b"),
    ],
    ids=str,
)
@pytest.mark.parametrize("said", [True, False])
def test_why_a_reply_ended(
    answering: Connection, details: ev.StatusDetails, status: str, reason: str, said: bool
) -> None:
    """The details also name the status, for a service that says it nowhere else."""
    done = ev.ResponseDone("r", status if said else "", details)
    assert answering.says(done) == [out.ReplyEnded("r", status, reason)]


# ---------------------------------------------------------------- decision 7: tools

NAMED = ev.FunctionCall("c", "get_time", None, "i")
WHOLE = ev.FunctionCall("c", "get_time", "{}", "i")


def test_decision_7_a_call_is_passed_on_when_it_is_whole(answering: Connection) -> None:
    assert answering.says(call("c"), call("d", arguments='{"a":1}')) == [called("c"), called("d", arguments='{"a":1}')]
    assert answering.says(ev.ResponseDone("r", "completed")) == [out.ReplyEnded("r", "completed")]


@pytest.mark.parametrize(
    "events",
    [
        [ev.OutputItemAdded("r", NAMED), ev.FunctionCallArgumentsDone("r", None, "c", "{}", "i")],
        [ev.OutputItemAdded("r", NAMED), ev.FunctionCallArgumentsDone("r", None, None, "{}", "i")],
        [ev.OutputItemAdded(None, NAMED), ev.FunctionCallArgumentsDone(None, None, None, "{}")],
        [ev.OutputItemAdded("r", None), ev.OutputItemDone("r", WHOLE)],
        [
            ev.OutputItemAdded("r", NAMED),
            ev.OutputItemDone("r", WHOLE),
            ev.FunctionCallArgumentsDone("r", "x", "c", ""),
        ],
        [ev.FunctionCallArgumentsDone("r", "get_time", None, "{}", "i"), ev.OutputItemDone("r", WHOLE)],
        [ev.OutputItemAdded("r", WHOLE)],
        [ev.OutputItemAdded("r", WHOLE), ev.FunctionCallArgumentsDone("r", None, "c", "{}", "i")],
        [],
    ],
    ids=lambda events: " ".join(type(event).__name__ for event in events) or "only in response.done",
)
def test_a_call_is_made_once_wherever_it_stands(answering: Connection, events: list[ev.ServerEvent]) -> None:
    outcomes = answering.says(*events, ev.ResponseDone("r", "completed", ev.NO_DETAILS, (WHOLE,)))
    assert outcomes == [called(), out.ReplyEnded("r", "completed")]


def test_a_call_that_is_only_begun_is_made_when_its_reply_is_done(answering: Connection) -> None:
    """Some servers say of a call in response.output_item.added alone."""
    assert answering.says(ev.OutputItemAdded("r", NAMED)) == []
    done = [called(arguments=UNREADABLE), out.ReplyEnded("r", "completed")]
    assert answering.says(ev.ResponseDone("r", "completed")) == done


def test_arguments_where_a_call_begins_hold_until_others_come(answering: Connection) -> None:
    """The service may await the result before it says that the response is done; or it begins with a placeholder."""
    assert answering.says(ev.OutputItemAdded("r", WHOLE)) == [called()]
    said = ev.FunctionCallArgumentsDone("r", None, "c", '{"a":1}', "i")
    assert answering.says(said, said) == [called(arguments='{"a":1}')]


def test_a_name_that_comes_late_makes_the_call_known(answering: Connection) -> None:
    assert answering.says(ev.FunctionCallArgumentsDone("r", None, "c", "{}")) == [called(name="")]
    done = ev.ResponseDone("r", "completed", ev.NO_DETAILS, (WHOLE,))
    assert answering.says(done) == [called(), out.ReplyEnded("r", "completed")]


@pytest.mark.parametrize("arguments", [None, "x" * (MAX_ARGUMENTS_CHARS + 1)], ids=["unreadable", "huge"])
def test_a_call_that_cannot_be_read_is_to_be_answered_all_the_same(
    answering: Connection, arguments: str | None
) -> None:
    made = answering.says(ev.FunctionCallArgumentsDone("r", "get_time", "c", arguments))
    assert made == [called(arguments=UNREADABLE)]


def test_a_call_without_an_id_cannot_be_answered_and_is_one_line(answering: Connection) -> None:
    assert answering.says(*[ev.FunctionCallArgumentsDone("r", "get_time", None, "{}")] * 2) == []
    assert answering.levels == ["warning"]


def test_a_call_of_the_turn_is_not_made_again_by_a_later_response(answering: Connection) -> None:
    answering.says(call("c"), ev.ResponseDone("r", "completed"))
    assert answering.says(ev.ResponseCreated("s"), call("c", "s")) == [out.ReplyBegan("s")]
    answering.says(ev.ResponseDone("s", "completed"), ev.ResponseCreated("t"))
    assert answering.says(call("c", "t", '{"a":1}')) == [called("c", "t", arguments='{"a":1}')], "another one"


def test_decision_7_no_calls_of_a_cancelled_reply(answering: Connection) -> None:
    answering.cancel("r")
    assert answering.says(call(), ev.ResponseDone("r", "completed", ev.NO_DETAILS, (WHOLE,))) == []


@pytest.mark.parametrize("status", ["", "completed"])
def test_a_reply_without_status_is_complete(answering: Connection, status: str) -> None:
    assert answering.says(audio("r"), call(), ev.ResponseDone("r", status)) == [
        out.ReplySamples("r", PCM),
        called(),
        out.ReplyEnded("r", "completed"),
    ]


def test_text_without_an_id_is_of_the_response_in_progress(answering: Connection) -> None:
    assert answering.says(ev.OutputTranscriptDelta(None, "മഴ")) == [out.ReplyText("r", "മഴ")]
    answering.cancel("r")
    assert answering.says(ev.OutputTranscriptDelta(None, "മഴ")) == []


def test_calls_are_bounded(answering: Connection) -> None:
    made = answering.says(*(call(str(number)) for number in range(MAX_CALLS + 50)))
    assert made == [called(str(number)) for number in range(MAX_CALLS)]
    assert len(answering.levels) <= 1


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    "error", [("server_error", "", "no"), ("", "x", ""), ("invalid_request_error", "no_active", "")]
)
def test_an_error_after_our_cancel_is_its_answer(answering: Connection, error: tuple[str, str, str]) -> None:
    answering.cancel("r")
    answering.now_s += CANCEL_DEADLINE_S / 2
    said = [answering.says(ev.ErrorEvent(*error)) for _ in range(2)]
    assert said == [[out.ServiceSaid(*error, True)], [out.ServiceSaid(*error, False)]], "one cancel, one error"


def test_an_error_long_after_our_cancel_or_about_something_else_is_none(answering: Connection) -> None:
    answering.cancel("r")
    for error in (("session_expired", "", ""), ("", "rate_limit_exceeded", "")):
        assert answering.says(ev.ErrorEvent(*error)) == [out.ServiceSaid(*error, False)]
    answering.now_s += CANCEL_DEADLINE_S
    assert answering.says(ev.ErrorEvent("server_error", "", "")) == [out.ServiceSaid("server_error", "", "", False)]


@pytest.mark.parametrize("error", [("", "not_implemented", ""), ("not_implemented", "", ""), ("", "", "what?")])
def test_a_commit_that_earns_an_error_is_harmless_for_the_turn(
    connection: Connection, error: tuple[str, str, str]
) -> None:
    connection.says(ev.SpeechStarted())
    connection.session.commit()
    assert connection.says(ev.ErrorEvent(*error)) == [out.ServiceSaid(*error, False)]
    assert connection.says(ev.SpeechStopped(), ev.ResponseCreated("r")) == [out.SpeechEnded(), out.ReplyBegan("r")]


# ---------------------------------------------------------------- audio


def test_samples_cut_in_two_are_joined_and_noted_once(answering: Connection) -> None:
    pieces = [b"\x01", b"\x02\x03", b"", b"\x04", b"\x05\x06\x07", b"\x08"]
    assert answering.says(*(audio("r", piece) for piece in pieces)) == [
        out.ReplySamples("r", b"\x01\x02"),
        out.ReplySamples("r", b"\x03\x04"),
        out.ReplySamples("r", b"\x05\x06"),
        out.ReplySamples("r", b"\x07\x08"),
    ]
    assert answering.levels == ["debug"]


def test_half_a_sample_does_not_reach_the_next_reply(answering: Connection) -> None:
    answering.says(audio("r", b"\x01\x02\x03"), ev.ResponseDone("r", "completed"), ev.SpeechStarted())
    assert answering.says(ev.ResponseCreated("next"), audio("next")) == [
        out.ReplyBegan("next"),
        out.ReplySamples("next", PCM),
    ]


@given(st.lists(st.binary(max_size=9)))
def test_audio_is_intact_however_it_is_cut(pieces: list[bytes]) -> None:
    connection = Connection()
    connection.session.begin_turn()
    connection.says(ev.SpeechStarted(), ev.ResponseCreated("r"))
    outcomes = connection.says(*(audio("r", piece) for piece in pieces))
    parts = [outcome.pcm for outcome in outcomes if isinstance(outcome, out.ReplySamples)]
    sent = b"".join(pieces)
    assert b"".join(parts) == sent[: len(sent) // 2 * 2]
    assert all(part and len(part) % 2 == 0 for part in parts)


# ---------------------------------------------------------------- out of order, unknown, too much


@pytest.mark.parametrize(
    "event",
    [audio("ghost"), ev.OutputTranscriptDelta("ghost", "x"), call(response_id="ghost")],
    ids=lambda event: type(event).__name__,
)
def test_a_piece_of_a_response_that_no_turn_asked_for_is_cancelled_once(
    connection: Connection, event: ev.ServerEvent
) -> None:
    assert connection.says(event, event, ev.ResponseDone("ghost", "cancelled"), event) == cancelled("ghost")


@pytest.mark.parametrize(
    "event",
    [ev.OutputAudioDelta(None, None, PCM), ev.OutputTranscriptDelta(None, "x"), call(response_id=None)],
    ids=lambda event: type(event).__name__,
)
def test_a_piece_of_nothing_is_one_line(connection: Connection, event: ev.ServerEvent) -> None:
    assert connection.says(event, event) == []
    assert connection.levels == ["warning"]


@pytest.mark.parametrize("event", [audio("r"), call(), ev.ResponseDone("r", "completed")], ids=str)
def test_pieces_after_the_end_are_one_line(answering: Connection, event: ev.ServerEvent) -> None:
    answering.says(ev.ResponseDone("r", "completed"))
    assert answering.says(event, event) == []
    assert len(answering.levels) == 1


def test_a_stray_piece_does_not_end_the_reply_in_progress(answering: Connection) -> None:
    assert answering.says(audio("stray"), audio("r")) == [out.ReplySamples("r", PCM)]


def test_a_reply_announced_twice_goes_on(answering: Connection) -> None:
    assert answering.says(ev.ResponseCreated("r"), ev.ResponseCreated(None), audio("r")) == [out.ReplySamples("r", PCM)]
    assert answering.levels == ["warning"]


def test_unknown_events_are_counted_and_noted_once_a_type(connection: Connection) -> None:
    assert connection.says(*[ev.UnknownEvent("a")] * 3, ev.UnknownEvent("b")) == []
    assert connection.session.unknown_events == 4
    assert connection.levels == ["debug", "debug"]


def test_notes_are_bounded_and_debug_does_not_crowd_out_warnings(connection: Connection) -> None:
    connection.says(*(ev.UnknownEvent(f"type {number}") for number in range(3 * MAX_NOTES)))
    assert len(connection.notes) == MAX_NOTES + 1
    assert "further ones" in connection.notes[-1].text
    connection.says(ev.OutputAudioDelta(None, None, PCM))
    assert connection.levels[-1] == "warning"


def test_a_reply_survives_any_number_of_others(answering: Connection) -> None:
    for number in range(3 * MAX_RESPONSES):
        answering.session.commit()
        answering.says(ev.ResponseCreated(f"other {number}"))
    assert answering.says(audio("r")) == [out.ReplySamples("r", PCM)]


def test_what_the_person_said_is_passed_on_once(connection: Connection) -> None:
    assert connection.says(
        ev.ConversationItemCreated("user", ("സമയം എത്രയായി",)), ev.InputTranscriptionCompleted("i", "സമയം എത്രയായി")
    ) == [out.CallerText("സമയം എത്രയായി", 1)]


# ---------------------------------------------------------------- any order at all

ids = st.sampled_from(["a", "b", None])
calls = st.builds(ev.FunctionCall, st.sampled_from(["c", "d", None]), st.sampled_from(["t", None]), st.just("{}"))
anything: st.SearchStrategy[ev.ServerEvent | str] = st.one_of(
    st.sampled_from(
        ["begin_turn", "end_turn", "commit", "create", "create after tools", "outputs", "cancel", "second passes"]
    ),
    st.sampled_from([ev.SessionUpdated({}), ev.SpeechStarted(), ev.SpeechStopped(), ev.UnknownEvent("x")]),
    st.builds(ev.ResponseCreated, ids),
    st.just(ev.ErrorEvent("invalid_request_error", "input_audio_buffer_commit_empty", "no")),
    st.builds(ev.OutputAudioDelta, ids, st.none(), st.binary(max_size=3)),
    st.builds(call, st.sampled_from(["c", "d"]), ids),
    st.builds(ev.OutputItemAdded, ids, calls),
    st.builds(ev.OutputItemDone, ids, calls),
    st.builds(ev.OutputTranscriptDelta, ids, st.text(max_size=2)),
    st.builds(
        ev.ResponseDone,
        ids,
        st.sampled_from(["completed", "cancelled", "failed", ""]),
        st.just(ev.NO_DETAILS),
        st.just(()) | st.tuples(calls),
    ),
)


@given(st.lists(anything, max_size=60))
def test_in_any_order_the_outcomes_make_sense(happenings: Sequence[ev.ServerEvent | str]) -> None:
    connection = Connection()
    connection.session.opening()
    connection.says(ev.SessionUpdated({}))
    session = connection.session
    current: str | None = None
    began: set[str] = set()
    cancelled_here: set[str] = set()
    ran: set[tuple[str, str, str]] = set()
    # Nothing but this turn's commit was heard of: None says that something else was, or that no turn is open.
    commits: int | None = None
    for happening in happenings:
        match happening:
            case "begin_turn" | "end_turn":
                getattr(session, happening)()
                current = None
                ran.clear()
                commits = 0 if happening == "begin_turn" else None
            case "commit" | "create":
                getattr(session, happening)()
                commits = None if commits is None else commits + (happening == "commit")
            case "create after tools":
                session.create(after_tools=True)
            case "outputs":
                session.tool_outputs([("c", "{}")])
            case "second passes":
                connection.now_s += 1.0
            case "cancel":
                if current is not None:
                    assert connection.cancel(current) is not None and connection.cancel(current) is None
                    cancelled_here.add(current)
                    current = None
            case str():
                raise AssertionError(happening)
            case _:
                former: str | None = None
                for outcome in connection.says(happening):
                    match outcome:
                        case out.SpeechBegan():
                            current = commits = None
                        case out.SpeechEnded():
                            commits = None
                        case out.NothingHeard():
                            assert commits
                            commits -= 1
                        case out.ReplyBegan(response_id):
                            assert response_id not in began, "one twice"
                            began.add(response_id)
                            former, current, commits = current, response_id, None
                        case out.ReplySamples(response_id) | out.ReplyText(response_id):
                            assert response_id == current
                        case out.ToolCalled(response_id, made):
                            key = (made.call_id, made.name, made.arguments)
                            assert response_id == current and key not in ran
                            ran.add(key)
                        case out.ReplyEnded(response_id, status):
                            assert response_id in (former, current) and status
                            if response_id == current:
                                current = None
    assert cancelled_here <= began


readings = st.fixed_dictionaries(
    {
        "ids": st.sampled_from(["none", "same", "own"]),
        "created": st.sampled_from(["first", "late", "never"]),
        "done": st.sampled_from(["completed", "", "never"]),
        "parts": st.integers(1, 2),
        "interrupted": st.booleans(),
        "cancel": st.sampled_from(["cancelled", "completed", "nothing"]),
    }
)


@given(st.lists(readings, min_size=1, max_size=6))
def test_a_service_that_reads_the_page_another_way_in_each_turn_is_heard_every_time(
    turns: list[dict[str, Any]],
) -> None:
    """Every answer that it gives is heard whole and once; nothing of one that was interrupted is."""
    connection = Connection()
    connection.session.opening()
    connection.says(ev.SessionUpdated({}))
    for number, reading in enumerate(turns):
        connection.now_s += 5
        connection.session.begin_turn()
        connection.says(ev.SpeechStarted(), ev.SpeechStopped())
        heard, outcomes, wire_id, piece = b"", [], None, ev.OutputAudioDelta(None, None, b"")
        for part in range(reading["parts"]):
            last = part == reading["parts"] - 1
            names = {"none": None, "same": f"same {part}", "own": f"{number} {part}"}
            wire_id = names[reading["ids"]]
            piece = ev.OutputAudioDelta(wire_id, None, bytes([number, part]))
            events: list[ev.ServerEvent] = [piece, piece]
            # A service that neither announces a reply nor ends it, nor names it, says one reply where it means two.
            created = reading["created"] if reading["done"] != "never" else "first"
            if created != "never":
                events.insert(created == "late", ev.ResponseCreated(wire_id))
            if reading["done"] != "never" and not (last and reading["interrupted"]):
                events.append(ev.ResponseDone(wire_id, reading["done"]))
            outcomes = connection.says(*events)
            heard += b"".join(outcome.pcm for outcome in outcomes if isinstance(outcome, out.ReplySamples))
        assert heard == b"".join(bytes([number, part]) * 2 for part in range(reading["parts"]))
        if reading["interrupted"]:
            current = [outcome.response_id for outcome in outcomes if isinstance(outcome, out.ReplyBegan)][-1]
            assert connection.cancel(current) == ev.ResponseCancel(wire_id)
            connection.session.begin_turn()
            assert connection.says(piece) == []
            if reading["cancel"] != "nothing":
                assert connection.says(ev.ResponseDone(wire_id, reading["cancel"])) == []
            assert connection.says(piece) == []
        connection.session.end_turn()
