"""In which turn something was said, told by a service that is late, early, or names nothing."""

from __future__ import annotations

import pytest

from appliance.realtime import events as ev
from appliance.realtime import outcomes as out
from appliance.realtime.session import Session
from appliance.realtime.speeches import MOST_NAMES, Speeches


@pytest.fixture
def session() -> Session:
    session = Session(ev.SessionSettings("", "mal-female"))
    session.opening()
    session.receive(ev.SessionUpdated({}), 0.0)
    return session


def says(session: Session, *said: ev.ServerEvent) -> list[out.CallerText]:
    outcomes = [outcome for event in said for outcome in session.receive(event, 0.0)]
    return [outcome for outcome in outcomes if isinstance(outcome, out.CallerText)]


@pytest.mark.parametrize("name", ["item_1", None])
def test_words_that_come_in_the_next_turn_are_of_the_one_that_they_were_said_in(
    session: Session, name: str | None
) -> None:
    session.begin_turn(4)
    says(session, ev.SpeechStarted(name), ev.SpeechStopped(), ev.ResponseCreated("r1"))
    session.end_turn()
    session.begin_turn(6)
    words = ev.InputTranscriptionCompleted(name, "ഒന്ന്")
    assert says(session, words) == [out.CallerText("ഒന്ന്", 4)]
    if name is not None:
        assert says(session, ev.SpeechStarted("item_2"), words) == [out.CallerText("ഒന്ന്", 4)]
    assert says(session, ev.SpeechStarted(), ev.InputTranscriptionCompleted(None, "രണ്ട്")) == [out.CallerText("രണ്ട്", 6)]


def test_late_words_of_another_turn_do_not_show_that_this_one_was_heard(session: Session) -> None:
    session.begin_turn()
    says(session, ev.SpeechStarted("item_1"), ev.SpeechStopped())
    session.end_turn()
    session.begin_turn()
    session.commit()
    says(session, ev.InputTranscriptionCompleted("item_1", "ഒന്ന്"))
    outcomes = session.receive(ev.ErrorEvent("", "input_audio_buffer_commit_empty", ""), 0.0)
    assert out.NothingHeard() in outcomes


def test_a_speech_that_the_next_turn_begins_in_is_of_that(session: Session) -> None:
    session.begin_turn()
    says(session, ev.SpeechStarted("item_1"))
    session.end_turn()
    session.begin_turn()
    assert says(session, ev.InputTranscriptionCompleted("item_1", "രണ്ട്")) == [out.CallerText("രണ്ട്", 2)]


def test_a_service_that_says_nothing_of_speech_means_the_turn_that_is_open(session: Session) -> None:
    session.begin_turn(3)
    assert says(session, ev.InputTranscriptionCompleted("item_1", "മൂന്ന്")) == [out.CallerText("മൂന്ന്", 3)]


def test_names_are_not_kept_without_bound() -> None:
    speeches = Speeches()
    for number in range(1, 10 * MOST_NAMES):
        speeches.begin_turn(number)
        speeches.began(f"item_{number}")
        speeches.ended()
    assert len(speeches._turns) == MOST_NAMES and speeches.turn_of(f"item_{number - 1}") == number - 1
