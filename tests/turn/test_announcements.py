"""Which clip is said of what, and when it may begin."""

from __future__ import annotations

from itertools import pairwise

import pytest

from appliance.turn.announcements import REPEAT_S, UNASKED_S, Announcements, Answer, Clip, of_press, of_turn
from appliance.turn.states import Outcome

LENGTH_S = 2.7
ADVICE = (None, Clip.WAIT, Clip.CHECK, Clip.CALL)


@pytest.mark.parametrize("advice", ADVICE)
def test_what_a_failed_connection_asks_for_is_said_of_the_turn_it_failed(advice: Clip | None) -> None:
    assert of_turn(Outcome.REFUSED, advice, microphone_gone=False) is (advice or Clip.CALL)
    assert of_turn(Outcome.STALE, advice, microphone_gone=False) is (advice or Clip.CHECK)


@pytest.mark.parametrize("advice", ADVICE)
@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome not in (Outcome.REFUSED, Outcome.STALE)])
def test_of_all_other_turns_the_connection_is_not_to_blame(outcome: Outcome, advice: Clip | None) -> None:
    said = {Outcome.NO_ANSWER: Clip.WAIT, Outcome.TOO_SHORT: Clip.HOLD}
    assert of_turn(outcome, advice, microphone_gone=False) is said.get(outcome)


def test_a_microphone_that_is_gone_takes_somebody_else_and_one_that_stumbled_does_not() -> None:
    assert of_turn(Outcome.NO_MICROPHONE, Clip.WAIT, microphone_gone=True) is Clip.CALL
    assert of_turn(Outcome.NO_MICROPHONE, Clip.WAIT, microphone_gone=False) is None


def test_what_is_said_of_a_press_that_nobody_could_have_heard() -> None:
    assert of_press(muted=True, microphone_gone=False) is of_press(muted=True, microphone_gone=True) is Clip.MUTED
    assert of_press(muted=False, microphone_gone=True) is Clip.CALL
    assert of_press(muted=False, microphone_gone=False) is Clip.WAIT, "the box has only just started"


def said(announcements: Announcements, clip: Clip, now_s: float) -> Answer:
    answer = announcements.ask(clip, now_s)
    if answer is Answer.CLIP:
        announcements.begun(clip, now_s + LENGTH_S)
    return answer


@pytest.mark.parametrize("every_s", [0.05, 0.3, 1.0, 2.5])
def test_who_hammers_hears_the_clip_to_its_end_and_each_press_is_answered(every_s: float) -> None:
    announcements = Announcements()
    begun_s: list[float] = []
    for number in range(round(30 / every_s)):
        now_s = number * every_s
        sounding = announcements.sounding(now_s)
        answer = said(announcements, Clip.CALL, now_s)
        assert (answer is Answer.NOTHING) is sounding, "silence only while the words are the answer"
        if answer is Answer.CLIP:
            begun_s.append(now_s)
    assert len(begun_s) >= 4
    pauses = [after - before for before, after in pairwise(begun_s)]
    assert all(-1e-6 < pause - LENGTH_S - REPEAT_S < every_s + 1e-6 for pause in pauses)


def test_another_clip_is_news_and_takes_its_place_at_once() -> None:
    announcements = Announcements()
    assert said(announcements, Clip.WAIT, 0.0) is Answer.CLIP
    assert said(announcements, Clip.CALL, 0.5) is Answer.CLIP
    assert said(announcements, Clip.WAIT, 1.0) is Answer.CLIP


def test_a_clip_that_was_cut_short_is_not_begun_again_at_once() -> None:
    announcements = Announcements()
    assert said(announcements, Clip.CHECK, 0.0) is Answer.CLIP
    announcements.cut(1.0)
    assert not announcements.sounding(1.0)
    assert said(announcements, Clip.CHECK, 1.5) is Answer.TONE
    assert said(announcements, Clip.CHECK, 1.0 + REPEAT_S) is Answer.CLIP
    announcements.cut(100.0)
    assert said(announcements, Clip.CHECK, 101.0) is Answer.CLIP, "what has ended long ago cannot be cut"


def test_what_nobody_asked_for_is_said_at_most_once_a_minute() -> None:
    announcements = Announcements()
    begun = []
    for now_s in range(0, 300, 7):
        if announcements.ask(Clip.CALL, now_s, unasked=True) is Answer.CLIP:
            announcements.begun(Clip.CALL, now_s + LENGTH_S)
            begun.append(now_s)
        assert announcements.ask(Clip.WAIT, now_s, unasked=True) is not Answer.CLIP, "no other clip either"
    assert len(begun) == 5
    assert all(after - before >= UNASKED_S for before, after in pairwise(begun))


def test_what_nobody_asked_for_does_not_cut_what_somebody_did() -> None:
    announcements = Announcements()
    assert said(announcements, Clip.HOLD, 0.0) is Answer.CLIP
    assert announcements.ask(Clip.CALL, 1.0, unasked=True) is Answer.NOTHING
    assert announcements.ask(Clip.CALL, LENGTH_S, unasked=True) is Answer.CLIP
