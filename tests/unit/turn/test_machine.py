"""The turn machine, one story per rule."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from appliance.turn import vocabulary as v
from appliance.turn.clips import of_turn
from appliance.turn.machine import TABLE, Ignored, Rule
from appliance.turn.vocabulary import Deadline, Mode, Outcome, Sound, State

from .box import TIMES, Box

EVENTS = [cls for cls in vars(v).values() if isinstance(cls, type) and issubclass(cls, v.Event) and cls is not v.Event]


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("what", [*EVENTS, *Deadline], ids=lambda what: getattr(what, "__name__", str(what)))
def test_every_pair_is_a_rule_or_ignored_with_a_reason(state: State, what: type[v.Event] | Deadline) -> None:
    row = TABLE[state][what]
    match row:
        case Rule():
            assert row.to and set(row.to) <= set(State)
        case Ignored():
            assert len(row.reason.split()) >= 5


def test_the_table_holds_nothing_else() -> None:
    assert set(TABLE) == set(State)
    for rows in TABLE.values():
        assert set(rows) == {*EVENTS, *Deadline}


@pytest.mark.parametrize("mode", Mode)
def test_a_held_question_is_answered(mode: Mode) -> None:
    box = Box(mode)
    box.press()
    assert box.state() is State.LISTENING
    if mode in (Mode.TAP, Mode.OPEN):
        box.passes(0.1)
        box.release()
        box.happens(v.SpeechBegan())
        box.passes(2)
        box.happens(v.SpeechEnded(), v.ReplyBegan("r1"))
    else:
        box.passes(0.3)
        box.happens(v.SpeechBegan())
        box.passes(2)
        box.release()
        assert box.state() is State.SENDING
        box.passes(0.25)
        box.happens(v.UtteranceSent(), v.SpeechEnded(), v.ReplyBegan("r1"))
    assert box.state() is State.WAITING
    box.passes(0.3)
    box.happens(v.ReplyAudio("r1"))
    assert box.state() is State.SPEAKING
    box.answer_ends()
    box.happens(v.ReplyAudible("r1"), v.ReplyDrained("r1"))
    assert box.state() is (State.EXPECTING if mode is Mode.OPEN else State.READY)
    assert box.outcomes == [Outcome.ANSWERED]
    box.passes(TIMES.follow_up_s)
    assert box.state() is State.READY and box.machine.next_deadline_s is None


GREETING_S = 1.5


def taps(mode: Mode, *, link: bool = True) -> Box:
    """A box that greets, after a tap; in ``open`` after a voice that its gate took a noise for."""
    box = Box(mode, link=link, greeting_s=GREETING_S)
    if mode is Mode.OPEN:
        box.happens(v.GateOpened(box.now_s))
    else:
        box.press()
        box.passes(0.1)
        box.release()
    return box


GREETS = [Mode.AUTO, Mode.TAP, Mode.OPEN]


class TestGreeting:
    @pytest.mark.parametrize("mode", GREETS)
    def test_the_voice_greets_who_says_nothing_once_in_a_session(self, mode: Mode) -> None:
        box = taps(mode)
        box.passes(GREETING_S)
        assert len(box.did(v.Nudge)) == 1 and box.state() is State.LISTENING
        box.happens(v.ReplyBegan("r1"), v.ReplyAudio("r1"), v.ReplyEnded("r1", "completed"))
        box.passes(TIMES.settle_s)
        assert box.state() is State.SPEAKING
        box.happens(v.ReplyAudible("r1"), v.ReplyDrained("r1"))
        box.passes(TIMES.tool_reply_s)
        assert box.state() is (State.EXPECTING if mode is Mode.OPEN else State.READY)
        box.press()
        box.release()
        box.passes(TIMES.no_speech_s)
        assert len(box.did(v.Nudge)) == 1 and box.outcomes == [Outcome.ANSWERED, Outcome.NO_SPEECH]

    @pytest.mark.parametrize("mode", GREETS)
    def test_from_when_the_session_is_there(self, mode: Mode) -> None:
        box = taps(mode, link=False)
        box.passes(3)
        assert not box.did(v.Nudge)
        box.happens(v.LinkReady())
        box.passes(GREETING_S - 0.001)
        assert not box.did(v.Nudge)
        box.passes(0.001)
        assert box.did(v.Nudge)

    @pytest.mark.parametrize("mode", GREETS)
    def test_who_speaks_is_not_greeted(self, mode: Mode) -> None:
        box = taps(mode)
        box.passes(GREETING_S / 2)
        box.happens(v.SpeechBegan())
        box.passes(5)
        assert not box.did(v.Nudge) and box.state() is State.LISTENING

    @pytest.mark.parametrize("mode", [Mode.AUTO, Mode.HOLD])
    def test_who_holds_the_button_is_about_to_speak(self, mode: Mode) -> None:
        box = Box(mode, greeting_s=GREETING_S)
        box.press()
        box.passes(10)
        assert not box.did(v.Nudge)

    def test_a_second_tap_ends_the_wait_for_it(self) -> None:
        box = taps(Mode.TAP)
        box.passes(0.7)
        box.press()
        box.passes(0.25)
        box.happens(v.UtteranceSent())
        box.passes(GREETING_S)
        assert not box.did(v.Nudge)

    def test_a_press_interrupts_it_as_any_reply(self) -> None:
        box = taps(Mode.TAP)
        box.passes(GREETING_S)
        box.happens(v.ReplyBegan("r1"), v.ReplyAudio("r1"))
        box.passes(TIMES.settle_s)
        box.press()
        assert box.state() is State.LISTENING and box.did(v.CancelReply) and box.did(v.DropReply)

    def test_words_that_a_lost_session_heard_are_not_greeted_in_the_next(self) -> None:
        box = taps(Mode.TAP)
        box.happens(v.SpeechBegan(), v.LinkLost(), v.LinkReady())
        box.passes(GREETING_S)
        assert not box.did(v.Nudge)

    def test_a_service_that_does_not_greet_is_left_alone(self) -> None:
        """Premium ignores ``response.create``."""
        box = taps(Mode.TAP)
        box.passes(GREETING_S + TIMES.no_speech_s)
        assert box.outcomes == [Outcome.NO_SPEECH] and not box.sounds[1:]

    @pytest.mark.parametrize("mode", GREETS)
    def test_it_is_off_unless_switched_on(self, mode: Mode) -> None:
        box = Box(mode)
        box.press()
        box.release()
        box.passes(TIMES.no_speech_s)
        assert not box.did(v.Nudge)


class TestPress:
    def test_in_hold_nothing_leaves_before_the_hold_is_real(self) -> None:
        box = Box(Mode.HOLD)
        box.press()
        box.passes(TIMES.min_hold_s - 0.001)
        assert not box.did(v.OpenUplink)
        box.passes(0.001)
        assert box.did(v.OpenUplink)

    def test_a_bounce_delays_a_real_hold_and_does_not_end_it(self) -> None:
        box = Box(Mode.HOLD)
        box.press()
        box.passes(TIMES.min_hold_s - 0.005)
        box.happens(v.Lifted(box.now_s))
        box.passes(TIMES.debounce_s)
        assert not box.did(v.OpenUplink)
        box.passes(TIMES.debounce_s)
        assert box.did(v.OpenUplink) and box.state() is State.LISTENING

    def test_in_hold_a_short_press_sends_nothing_and_is_no_error(self) -> None:
        box = Box(Mode.HOLD)
        box.hold(TIMES.min_hold_s - 0.01)
        assert box.state() is State.READY
        assert box.did(v.HintHold) and not box.did(v.OpenUplink) and not box.did(v.Clear) and not box.sounds
        assert box.outcomes == [Outcome.TOO_SHORT]

    def test_a_busy_loop_takes_no_short_press_for_a_hold(self) -> None:
        """Press and release are looked at together, long after both."""
        box = Box(Mode.HOLD)
        at_s = box.now_s
        box.now_s += 1
        box.happens(v.Press(at_s), v.Lifted(at_s + 0.1), v.Release(at_s + 0.1))
        assert box.outcomes == [Outcome.TOO_SHORT] and box.did(v.HintHold) and not box.did(v.OpenUplink)

    def test_a_hold_that_is_looked_at_late_is_one_at_once(self) -> None:
        box = Box(Mode.HOLD)
        box.now_s += 1
        box.happens(v.Press(box.now_s - 1))
        box.passes(0)
        assert box.did(v.OpenUplink)

    @pytest.mark.parametrize("mode", [Mode.AUTO, Mode.TAP])
    def test_otherwise_audio_leaves_at_once(self, mode: Mode) -> None:
        box = Box(mode)
        effects = box.press()
        assert v.OpenUplink() in effects

    def test_only_tap_has_a_listening_earcon(self) -> None:
        sounds = {mode: Box(mode).press() for mode in Mode}
        assert v.PlayEarcon(Sound.LISTENING) in sounds[Mode.TAP]
        assert not any(isinstance(effect, v.PlayEarcon) for effect in sounds[Mode.HOLD] + sounds[Mode.AUTO])

    def test_auto_released_early_goes_on_as_tap(self) -> None:
        box = Box(Mode.AUTO)
        box.hold(0.2)
        assert box.state() is State.LISTENING
        box.happens(v.SpeechBegan())
        box.passes(3)
        box.happens(v.SpeechEnded())
        assert box.state() is State.WAITING

    def test_auto_released_late_ends_the_turn(self) -> None:
        box = Box(Mode.AUTO)
        box.hold(0.5)
        assert box.state() is State.SENDING
        (end,) = box.did(v.EndUtterance)
        assert isinstance(end, v.EndUtterance) and end.at_s == pytest.approx(100.5 + TIMES.release_tail_s)

    def test_second_tap_ends_the_turn_but_a_double_click_does_not(self) -> None:
        box = Box(Mode.TAP)
        box.press()
        box.passes(0.1)
        box.release()
        box.passes(0.2)
        box.press()
        box.passes(0.05)
        box.release()
        assert box.state() is State.LISTENING
        box.passes(1)
        box.press()
        assert box.state() is State.SENDING

    def test_in_auto_a_hold_after_a_tap_goes_on_with_what_was_said(self) -> None:
        """A tap by mistake, and then the press that was meant: the second tap may be a hold, whose words count."""
        box = Box(Mode.AUTO)
        box.hold(0.1)
        box.passes(1)
        box.happens(v.SpeechBegan())
        box.passes(0.5)
        pressed_s = box.now_s
        box.press()
        assert box.state() is State.SENDING
        box.passes(3)
        assert box.state() is State.LISTENING and box.did(v.ResumeUtterance) == [v.ResumeUtterance(pressed_s)]
        box.release()
        assert box.state() is State.SENDING and not box.outcomes

    def test_in_auto_nobody_spoke_is_not_said_of_a_button_that_is_held(self) -> None:
        box = Box(Mode.AUTO)
        box.hold(0.1)
        box.passes(0.2)
        box.press()
        box.passes(TIMES.no_speech_s + 1)
        assert box.state() is State.LISTENING and not box.outcomes

    def test_without_a_microphone_a_press_says_so_and_opens_nothing(self) -> None:
        box = Box(Mode.AUTO, microphone=False)
        box.press()
        assert box.state() is State.READY
        assert box.sounds == [Sound.ERROR]

    def test_a_jammed_button_sends_what_was_said_and_is_ignored(self) -> None:
        box = Box(Mode.HOLD)
        box.press()
        box.passes(TIMES.max_hold_s - TIMES.max_hold_warning_s)
        assert box.did(v.WarnLongHold) and box.state() is State.LISTENING
        box.passes(TIMES.max_hold_warning_s)
        assert box.did(v.ReportJam) and box.state() is State.SENDING
        box.happens(v.UtteranceSent())
        box.answer_begins()
        assert box.state() is State.SPEAKING, "a stuck button must not keep the answer back"
        box.release()
        assert box.state() is State.SPEAKING

    def test_a_busy_loop_does_not_turn_a_short_press_into_a_long_one(self) -> None:
        box = Box(Mode.HOLD)
        pressed_s = box.now_s
        box.happens(v.Press(pressed_s))
        box.now_s += 2.0
        box.happens(v.Release(pressed_s + 0.1))
        assert box.outcomes == [Outcome.TOO_SHORT]


class TestWhileTheAnswerIsAwaited:
    @pytest.mark.parametrize("mode", [Mode.AUTO, Mode.HOLD])
    def test_a_short_press_only_acknowledges(self, mode: Mode) -> None:
        box = Box(mode)
        box.ask()
        box.forget()
        box.press()
        box.passes(0.2)
        box.release()
        assert box.state() is State.WAITING and not box.effects
        box.answer_begins()
        assert box.state() is State.SPEAKING

    def test_a_reply_is_kept_while_the_button_is_down_and_sounds_on_release(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.happens(v.SpeechEnded(), v.ReplyBegan("r1"))
        box.passes(0.5)
        box.press()
        box.happens(v.ReplyAudio("r1"))
        assert box.state() is State.WAITING and not box.did(v.PlayReply)
        box.passes(0.1)
        box.release()
        assert box.state() is State.SPEAKING and box.did(v.PlayReply)

    def test_a_real_hold_starts_a_new_turn(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.happens(v.SpeechEnded(), v.ReplyBegan("r1"))
        box.passes(1)
        pressed_s = box.now_s
        box.press()
        box.passes(TIMES.tap_max_s)
        assert box.state() is State.LISTENING and box.machine.number == 2
        assert box.did(v.CancelReply) == [v.CancelReply("r1")]
        begin = box.did(v.BeginUtterance)[-1]
        assert isinstance(begin, v.BeginUtterance) and begin.at_s == pytest.approx(pressed_s)
        assert box.outcomes == [Outcome.INTERRUPTED]

    def test_a_real_hold_before_speech_stopped_goes_on_with_the_same_turn(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.press()
        box.passes(TIMES.tap_max_s)
        assert box.state() is State.LISTENING and box.machine.number == 1
        assert box.did(v.ResumeUtterance) and not box.outcomes
        box.passes(1)
        box.release()
        assert box.state() is State.SENDING

    def test_giving_up_does_not_swallow_a_hold_that_has_begun(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.happens(v.SpeechEnded())
        box.passes(TIMES.answer_s - 0.2)
        box.press()
        box.passes(0.3)
        assert box.state() is State.LISTENING and box.outcomes == [Outcome.NO_ANSWER] and Sound.SORRY not in box.sounds


class TestEndOfAHeldTurn:
    def test_commit_when_the_service_is_in_speech(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        assert len(box.did(v.Commit)) == 1 and box.did(v.StartSilence)

    def test_commit_when_the_service_said_nothing(self) -> None:
        box = Box(Mode.HOLD)
        box.hold()
        box.happens(v.UtteranceSent())
        assert len(box.did(v.Commit)) == 1

    def test_no_commit_when_the_service_has_already_heard_the_end(self) -> None:
        box = Box(Mode.HOLD)
        box.press()
        box.passes(0.4)
        box.happens(v.SpeechBegan())
        box.passes(1)
        box.happens(v.SpeechEnded())
        box.release()
        box.happens(v.UtteranceSent())
        assert not box.did(v.Commit)

    @pytest.mark.parametrize("done", [False, True])
    def test_no_commit_with_a_reply_held(self, done: bool) -> None:
        box = Box(Mode.HOLD)
        box.press()
        box.passes(1)
        box.happens(v.SpeechBegan(), v.SpeechEnded(), v.ReplyBegan("r1"), v.ReplyAudio("r1"))
        if done:
            box.answer_ends()
        box.release()
        box.happens(v.UtteranceSent())
        assert not box.did(v.Commit)
        assert box.state() is State.WAITING
        box.passes(TIMES.settle_s)
        assert box.state() is State.SPEAKING

    def test_commit_at_most_once_a_turn(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.press()
        box.passes(1)
        box.happens(v.SpeechBegan())
        box.release()
        box.happens(v.UtteranceSent())
        assert len(box.did(v.Commit)) == 1

    def test_zeros_stop_at_the_first_delta_not_at_speech_stopped(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.happens(v.SpeechEnded(), v.ReplyBegan("r1"))
        assert not box.did(v.StopSilence)
        box.happens(v.ReplyAudio("r1"))
        assert box.did(v.StopSilence)

    def test_one_nudge_when_the_service_notices_nothing(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.passes(TIMES.nudge_s - 0.01)
        assert not box.did(v.Nudge)
        box.passes(10)
        assert len(box.did(v.Nudge)) == 1

    def test_no_nudge_after_speech_stopped(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.happens(v.SpeechEnded())
        box.passes(10)
        assert not box.did(v.Nudge)

    def test_no_answer_ends_in_sorry(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.happens(v.SpeechEnded())
        box.passes(TIMES.answer_s)
        assert box.state() is State.READY and box.outcomes == [Outcome.NO_ANSWER] and box.sounds[-1] is Sound.SORRY

    def test_nobody_spoke_after_a_tap_is_no_fault(self) -> None:
        box = Box(Mode.TAP)
        box.press()
        box.passes(0.1)
        box.release()
        box.passes(TIMES.no_speech_s)
        assert box.state() is State.READY and box.outcomes == [Outcome.NO_SPEECH]
        assert Sound.SORRY not in box.sounds and box.did(v.Clear)


class TestNobodyWasHeard:
    """The service has found nothing to commit, and says so of this turn."""

    @staticmethod
    def held(mode: Mode = Mode.HOLD) -> Box:
        """In silence, up to the commit."""
        box = Box(mode)
        box.hold()
        box.passes(TIMES.release_tail_s)
        box.happens(v.UtteranceSent())
        assert box.did(v.Commit) and box.state() is State.WAITING
        box.forget()
        return box

    @pytest.mark.parametrize("mode", [Mode.HOLD, Mode.AUTO])
    def test_a_held_turn_is_over_at_once_with_sorry_and_the_session_is_kept(self, mode: Mode) -> None:
        box = self.held(mode)
        box.happens(v.NothingHeard())
        assert box.state() is State.READY and box.machine.next_deadline_s is None
        assert box.effects == [
            v.Clear(),
            v.CloseTurn(1, Outcome.NO_SPEECH),
            v.PlayEarcon(Sound.SORRY, Outcome.NO_SPEECH),
        ]
        assert of_turn(Outcome.NO_SPEECH, None, microphone_gone=False) is None, "a tone, no words"

    def test_a_jammed_button_too(self) -> None:
        box = Box(Mode.HOLD)
        box.press()
        box.passes(TIMES.max_hold_s)
        box.happens(v.UtteranceSent(), v.NothingHeard())
        assert box.state() is State.READY and box.outcomes == [Outcome.NO_SPEECH] and box.sounds[-1] is Sound.SORRY

    @pytest.mark.parametrize(
        "said",
        [
            (v.SpeechBegan(),),
            (v.SpeechBegan(), v.SpeechEnded()),
            (v.SpeechEnded(),),
            (v.SpeechBegan(), v.SpeechEnded(), v.ReplyBegan("r1")),
            (v.ReplyBegan("r1"),),
            (v.ReplyBegan("r1"), v.ReplyEnded("r1", "cancelled")),
        ],
        ids=lambda said: " ".join(type(event).__name__ for event in said),
    )
    @pytest.mark.parametrize("when", ["while the button is down", "after the commit"])
    def test_not_if_the_service_has_said_anything_of_the_turn(self, said: tuple[v.Event, ...], when: str) -> None:
        box = Box(Mode.HOLD)
        box.press()
        box.passes(1)
        if when == "while the button is down":
            box.happens(*said)
        box.passes(1)
        box.release()
        box.passes(TIMES.release_tail_s)
        box.happens(v.UtteranceSent())
        if when == "after the commit":
            box.happens(*said)
        box.forget()
        box.happens(v.NothingHeard())
        assert box.state() is State.WAITING and not box.effects

    def test_not_if_the_answer_plays(self) -> None:
        box = self.held()
        box.happens(v.ReplyBegan("r1"))
        box.passes(TIMES.settle_s)
        box.happens(v.ReplyAudio("r1"))
        box.forget()
        box.happens(v.NothingHeard())
        assert box.state() is State.SPEAKING and not box.effects

    def test_not_if_the_service_heard_somebody_in_a_session_that_was_lost(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.happens(v.LinkLost(), v.LinkReady(), v.UtteranceSent())
        assert len(box.did(v.Commit)) == 2
        box.forget()
        box.happens(v.NothingHeard())
        assert box.state() is State.WAITING and not box.effects

    def test_but_if_no_session_of_the_turn_heard_anybody(self) -> None:
        box = self.held()
        box.happens(v.LinkLost(), v.LinkReady(), v.UtteranceSent(), v.NothingHeard())
        assert box.outcomes == [Outcome.NO_SPEECH] and box.sounds[-1] is Sound.SORRY

    @pytest.mark.parametrize("mode", [Mode.TAP, Mode.OPEN, Mode.AUTO])
    def test_not_of_a_turn_that_a_tap_opened(self, mode: Mode) -> None:
        box = Box(mode)
        box.hold(0.1)
        box.passes(1)
        box.hold(0.1)
        box.happens(v.UtteranceSent())
        assert box.did(v.Commit) and box.state() is State.WAITING
        box.forget()
        box.happens(v.NothingHeard())
        assert box.state() is State.WAITING and not box.effects

    def test_a_button_that_is_held_again_goes_on_with_the_new_question(self) -> None:
        box = self.held()
        pressed_s = box.now_s
        box.press()
        box.passes(0.2)
        box.forget()
        box.happens(v.NothingHeard())
        assert box.state() is State.LISTENING and box.machine.number == 2
        assert box.outcomes == [Outcome.NO_SPEECH] and Sound.SORRY not in box.sounds
        assert box.did(v.BeginUtterance) == [v.BeginUtterance(pressed_s)]

    def test_a_button_that_was_only_touched_again_gets_sorry(self) -> None:
        box = self.held()
        box.hold(0.1)
        box.happens(v.NothingHeard())
        assert box.state() is State.READY and box.sounds[-1] is Sound.SORRY

    def test_what_was_said_after_the_commit_is_not_judged_by_it(self) -> None:
        """The press went on with the turn, as far as anybody knew; it has one commit (ruling 4)."""
        box = self.held()
        box.press()
        box.passes(TIMES.tap_max_s)
        assert box.state() is State.LISTENING and box.machine.number == 1
        box.forget()
        box.happens(v.NothingHeard())
        assert box.state() is State.LISTENING and not box.effects
        box.passes(1)
        box.release()
        box.forget()
        box.happens(v.NothingHeard())
        assert box.state() is State.SENDING and not box.effects
        box.passes(TIMES.release_tail_s)
        box.happens(v.UtteranceSent())
        box.forget()
        box.happens(v.NothingHeard())
        assert box.state() is State.WAITING and not box.effects

    def test_between_turns_and_in_the_next_one_it_changes_nothing(self) -> None:
        box = self.held()
        box.happens(v.NothingHeard())
        box.forget()
        box.happens(v.NothingHeard())
        assert box.state() is State.READY and not box.effects
        box.press()
        box.passes(1)
        box.forget()
        box.happens(v.NothingHeard())
        assert box.state() is State.LISTENING and not box.effects

    def test_what_a_service_that_was_late_says_then_opens_nothing(self) -> None:
        box = self.held()
        box.happens(v.NothingHeard())
        box.forget()
        box.happens(v.SpeechBegan(), v.SpeechEnded(), v.ReplyBegan("r1"), v.ReplyAudio("r1"))
        assert box.state() is State.READY and not box.effects

    def test_a_service_that_says_nothing_is_waited_for(self) -> None:
        box = self.held()
        box.passes(TIMES.answer_s - 0.01)
        assert box.state() is State.WAITING
        box.passes(0.01)
        assert box.outcomes == [Outcome.NO_ANSWER]


class TestWhenAReplyMaySound:
    def test_not_before_the_last_sample_has_left_and_settled(self) -> None:
        box = Box(Mode.HOLD)
        box.press()
        box.passes(1)
        box.happens(v.SpeechBegan(), v.SpeechEnded(), v.ReplyBegan("r1"), v.ReplyAudio("r1"))
        box.answer_ends()
        box.release()
        box.passes(5)
        assert box.state() is State.SENDING and not box.did(v.PlayReply)
        box.happens(v.UtteranceSent())
        box.passes(TIMES.settle_s - 0.01)
        assert not box.did(v.PlayReply)
        box.passes(0.01)
        assert box.did(v.PlayReply)

    def test_speech_after_a_pause_drops_the_held_reply_even_when_it_is_complete(self) -> None:
        box = Box(Mode.HOLD)
        box.press()
        box.passes(1)
        box.happens(v.SpeechBegan(), v.SpeechEnded(), v.ReplyBegan("r1"), v.ReplyAudio("r1"))
        box.answer_ends()
        box.happens(v.SpeechBegan())
        assert box.did(v.DropReply) and not box.did(v.CancelReply)
        box.release()
        box.happens(v.UtteranceSent())
        box.passes(1)
        assert not box.did(v.PlayReply)
        box.answer_begins("r2")
        assert box.state() is State.SPEAKING

    def test_at_most_the_newest_reply_is_kept(self) -> None:
        box = Box(Mode.HOLD)
        box.press()
        box.passes(1)
        box.happens(v.SpeechBegan(), v.SpeechEnded(), v.ReplyBegan("r1"), v.ReplyAudio("r1"))
        box.answer_ends()
        box.forget()
        box.happens(v.ReplyBegan("r2"))
        assert box.did(v.DropReply)

    def test_late_speech_started_silences_a_reply_that_plays(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.answer_begins()
        box.happens(v.SpeechBegan())
        assert box.state() is State.WAITING and box.did(v.DropReply) and not box.did(v.CancelReply)

    @pytest.mark.parametrize("played", [False, True])
    def test_late_speech_started_leaves_the_service_able_to_hear_the_end(self, played: bool) -> None:
        """A reply to a pause was held; the last words reach the service after our last sample left. The zeros stopped
        with that reply's audio; without new ones a service that ignores commit waits for ever."""
        box = Box(Mode.HOLD)
        box.press()
        box.passes(1)
        box.happens(v.SpeechBegan(), v.SpeechEnded(), v.ReplyBegan("r1"))
        box.release()
        box.passes(TIMES.release_tail_s)
        box.happens(v.UtteranceSent(), v.ReplyAudio("r1"))
        if played:
            box.passes(TIMES.settle_s)
            assert box.state() is State.SPEAKING
        box.forget()
        box.happens(v.SpeechBegan())
        assert box.state() is State.WAITING and box.did(v.StartSilence)
        assert len(box.did(v.Commit)) == 1, "no reply is held any more, and the service is in speech (ruling 4)"
        box.passes(TIMES.nudge_s)
        assert len(box.did(v.Nudge)) == 1

    def test_in_tap_speech_after_a_pause_goes_on_with_the_turn(self) -> None:
        box = Box(Mode.TAP)
        box.press()
        box.passes(0.1)
        box.release()
        box.happens(v.SpeechBegan())
        box.passes(1)
        box.happens(v.SpeechEnded())
        assert box.state() is State.WAITING
        box.passes(0.3)
        box.happens(v.SpeechBegan())
        assert box.state() is State.LISTENING and not box.did(v.EndUtterance)

    def test_in_tap_the_microphone_closes_when_the_reply_sounds(self) -> None:
        box = Box(Mode.TAP)
        box.press()
        box.passes(0.1)
        box.release()
        box.happens(v.SpeechBegan())
        box.passes(1)
        box.answer_begins()
        kinds = [type(effect) for effect in box.effects]
        assert kinds.index(v.EndUtterance) < kinds.index(v.PlayReply)


class TestPressDuringAReply:
    @pytest.mark.parametrize("done", [False, True])
    @pytest.mark.parametrize("mode", [Mode.AUTO, Mode.HOLD, Mode.TAP])
    def test_silence_first_one_cancel_only_if_in_progress_and_a_new_turn(self, mode: Mode, done: bool) -> None:
        box = Box(mode)
        box.ask() if mode is not Mode.TAP else box.press()
        if mode is Mode.TAP:
            box.release()
            box.happens(v.SpeechBegan())
        box.answer_begins()
        if done:
            box.answer_ends()
        box.passes(1)
        box.forget()
        box.press()
        assert box.state() is State.LISTENING and box.machine.number == 2
        assert box.did(v.CancelReply) == ([] if done else [v.CancelReply("r1")])
        kinds = [type(effect) for effect in box.effects]
        assert kinds.index(v.DropReply) < kinds.index(v.BeginUtterance)
        assert box.outcomes == [Outcome.INTERRUPTED]

    def test_in_hold_a_short_press_stops_the_reply_and_asks_nothing(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.answer_begins()
        box.hold(0.1)
        assert box.state() is State.READY and box.outcomes == [Outcome.INTERRUPTED, Outcome.TOO_SHORT]


CALL = v.ToolCall("c1", "get_time", "{}")


class TestTools:
    def asked(self) -> Box:
        box = Box(Mode.HOLD)
        box.ask()
        box.happens(v.SpeechEnded(), v.ReplyBegan("r1"))
        box.passes(1)
        return box

    def test_run_after_completed_and_the_answer_follows(self) -> None:
        box = self.asked()
        box.answer_ends("r1", CALL)
        assert box.did(v.RunTools) == [v.RunTools((CALL,))]
        box.happens(v.ToolsFinished((("c1", "{}"),)))
        assert box.did(v.SendToolOutputs) and not box.did(v.Nudge)
        box.answer_begins("r2")
        box.answer_ends("r2")
        box.happens(v.ReplyAudible("r2"), v.ReplyDrained("r2"))
        assert box.outcomes == [Outcome.ANSWERED]

    @pytest.mark.parametrize("status", ["failed", "incomplete"])
    def test_not_run_unless_completed(self, status: str) -> None:
        box = self.asked()
        box.happens(v.ReplyEnded("r1", status, (CALL,)))
        assert not box.did(v.RunTools) and box.outcomes == [Outcome.EMPTY_ANSWER]

    def test_not_run_while_the_reply_is_held_back(self) -> None:
        box = Box(Mode.HOLD)
        box.press()
        box.passes(1)
        box.happens(v.SpeechBegan(), v.SpeechEnded(), v.ReplyBegan("r1"))
        box.answer_ends("r1", CALL)
        assert not box.did(v.RunTools)
        box.release()
        box.happens(v.UtteranceSent())
        box.passes(TIMES.settle_s)
        assert box.did(v.RunTools)

    def test_one_nudge_if_the_service_does_not_go_on(self) -> None:
        box = self.asked()
        box.answer_ends("r1", CALL)
        box.happens(v.ToolsFinished((("c1", "{}"),)))
        box.passes(TIMES.tool_reply_s)
        assert len(box.did(v.Nudge)) == 1
        box.passes(10)
        assert len(box.did(v.Nudge)) == 1

    def test_words_before_a_tool_are_heard_and_the_turn_goes_on(self) -> None:
        box = self.asked()
        box.happens(v.ReplyAudio("r1"))
        assert box.state() is State.SPEAKING
        box.answer_ends("r1", CALL)
        assert box.did(v.RunTools)
        box.happens(v.ReplyAudible("r1"), v.ReplyDrained("r1"))
        assert box.state() is State.WAITING
        box.happens(v.ToolsFinished((("c1", "{}"),)))
        box.answer_begins("r2")
        assert box.state() is State.SPEAKING

    def test_an_abandoned_turn_ends_its_tool_and_sends_nothing(self) -> None:
        box = self.asked()
        box.answer_ends("r1", CALL)
        box.happens(v.Stop())
        assert box.did(v.AbortTools) and box.state() is State.READY
        box.happens(v.ToolsFinished((("c1", "{}"),)))
        assert not box.did(v.SendToolOutputs)

    def test_a_replay_never_runs_a_tool_again(self) -> None:
        box = self.asked()
        box.answer_ends("r1", CALL)
        box.happens(v.LinkLost())
        assert box.outcomes == [Outcome.LINK_LOST] and box.sounds[-1] is Sound.SORRY


class TestLostSessions:
    def test_while_listening_nothing_is_lost(self) -> None:
        box = Box(Mode.HOLD)
        box.press()
        box.passes(1)
        box.happens(v.SpeechBegan(), v.LinkLost())
        assert box.state() is State.LISTENING
        box.forget()
        box.happens(v.LinkReady())
        assert box.did(v.OpenTurn) and box.did(v.RewindUtterance)

    def test_while_waiting_everything_is_sent_again(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.forget()
        box.happens(v.LinkLost())
        assert box.state() is State.SENDING and box.did(v.Connect) and box.did(v.StopSilence)
        box.happens(v.LinkReady(), v.UtteranceSent())
        assert box.state() is State.WAITING
        assert len(box.did(v.Commit)) == 1, "the new session has heard nothing of the turn's end"

    def test_too_old_to_send_is_given_up_with_sorry(self) -> None:
        box = Box(Mode.HOLD, link=False)
        box.hold()
        box.passes(TIMES.stale_s + TIMES.release_tail_s)
        assert box.outcomes == [Outcome.STALE] and box.sounds[-1] is Sound.SORRY

    def test_what_is_leaving_slowly_is_not_stale(self) -> None:
        box = Box(Mode.HOLD)
        box.hold(10.0)
        for left_s in range(19, 0, -1):
            box.passes(1.0)
            box.happens(v.SendingProgress(float(left_s)))
        assert box.state() is State.SENDING
        box.happens(v.UtteranceSent())
        assert box.state() is State.WAITING

    def test_a_line_that_is_much_too_slow_is_given_up_in_the_end(self) -> None:
        box = Box(Mode.HOLD)
        box.hold()
        for _ in range(int(TIMES.keep_s) + 1):
            box.passes(1.0)
            box.happens(v.SendingProgress(30.0))
        assert box.outcomes == [Outcome.STALE] and box.sounds[-1] is Sound.SORRY

    def test_a_line_that_stops_moving_is_given_up(self) -> None:
        box = Box(Mode.HOLD)
        box.hold()
        box.passes(TIMES.stale_s - 1)
        box.happens(v.SendingProgress(1.0))
        box.passes(TIMES.no_progress_s)
        assert box.outcomes == [Outcome.STALE]

    def test_nobody_is_taken_for_silent_whose_words_are_still_under_way(self) -> None:
        box = Box(Mode.TAP)
        box.press()
        box.release()
        behind_s = 0.0
        for _ in range(9):
            box.passes(1.0)
            behind_s += 0.6
            box.happens(v.SendingProgress(behind_s))
        assert box.state() is State.LISTENING
        box.passes(behind_s)
        box.passes(TIMES.no_speech_s)
        assert box.outcomes == [Outcome.NO_SPEECH]

    def test_a_held_button_is_never_stale(self) -> None:
        box = Box(Mode.HOLD, link=False)
        box.press()
        box.passes(TIMES.max_hold_s - 1)
        assert box.state() is State.LISTENING

    @pytest.mark.parametrize("done", [False, True])
    def test_a_reply_that_was_heard_is_not_asked_for_again(self, done: bool) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.answer_begins()
        if done:
            box.answer_ends()
        box.happens(v.ReplyAudible("r1"), v.LinkLost())
        assert box.state() is State.SPEAKING, "what is buffered is played"
        box.happens(v.ReplyDrained("r1"))
        assert box.outcomes == [Outcome.ANSWERED if done else Outcome.LINK_LOST]
        assert (Sound.SORRY in box.sounds) is not done

    @pytest.mark.parametrize("ask", [Box.press, Box.hold, Box.ask])
    def test_a_refusal_ends_the_turn(self, ask: Callable[[Box], object]) -> None:
        box = Box(Mode.HOLD)
        ask(box)
        box.happens(v.LinkFailed())
        assert box.state() is State.READY and box.outcomes == [Outcome.REFUSED] and box.sounds[-1] is Sound.ERROR


class TestNothingIsStuck:
    def test_a_reply_that_stops_arriving(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.answer_begins()
        box.happens(v.ReplyAudible("r1"))
        box.passes(TIMES.no_progress_s)
        assert box.outcomes == [Outcome.STALLED] and box.state() is State.READY

    def test_an_empty_answer(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.happens(v.SpeechEnded(), v.ReplyBegan("r1"))
        box.passes(1)
        box.answer_ends()
        assert box.outcomes == [Outcome.EMPTY_ANSWER] and box.sounds[-1] is Sound.SORRY

    def test_a_reply_the_service_takes_back(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.happens(v.SpeechEnded(), v.ReplyBegan("r1"), v.ReplyEnded("r1", "cancelled"))
        box.passes(1)
        box.answer_begins("r2")
        assert box.state() is State.SPEAKING

    def test_abandoned_in_the_middle_of_speech_closes_the_session(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.happens(v.Stop())
        assert box.did(v.CloseSession) and not box.did(v.Clear)

    def test_the_microphone_lost_while_speaking_to_it(self) -> None:
        box = Box(Mode.HOLD)
        box.press()
        box.passes(1)
        box.happens(v.MicrophoneLost())
        assert box.outcomes == [Outcome.NO_MICROPHONE] and box.sounds[-1] is Sound.SORRY

    def test_lost_while_the_tail_is_awaited_the_question_ends_with_what_is_there(self) -> None:
        box = Box(Mode.HOLD)
        box.hold()
        assert not box.did(v.CutUtterance)
        box.happens(v.MicrophoneLost())
        assert box.state() is State.SENDING and len(box.did(v.CutUtterance)) == 1
        box.happens(v.UtteranceSent())
        assert box.state() is State.WAITING and not box.outcomes

    @pytest.mark.parametrize("sent", [False, True])
    def test_a_hold_while_the_answer_is_awaited_asks_nothing_of_a_microphone_that_is_gone(self, sent: bool) -> None:
        box = Box(Mode.HOLD)
        box.hold()
        if sent:
            box.passes(TIMES.release_tail_s)
            box.happens(v.UtteranceSent())
        before = box.state()
        box.happens(v.MicrophoneLost())
        box.forget()
        box.press()
        box.passes(TIMES.tap_max_s)
        assert box.state() is before and box.machine.number == 1 and not box.outcomes, "what was asked is answered"
        assert box.sounds == [Sound.ERROR]

    def test_an_answer_that_fails_to_come_says_so_to_a_hold_that_nobody_could_hear(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.happens(v.MicrophoneLost())
        box.passes(TIMES.answer_s - 0.1)
        box.press()
        box.passes(0.2)
        assert box.state() is State.READY and box.outcomes == [Outcome.NO_ANSWER] and box.sounds[-1] is Sound.SORRY

    def test_lost_after_a_tapped_question_zeros_take_its_place(self) -> None:
        box = Box(Mode.TAP)
        box.press()
        box.passes(0.1)
        box.release()
        box.happens(v.SpeechBegan())
        box.passes(2)
        box.happens(v.SpeechEnded())
        assert box.state() is State.WAITING and not box.did(v.EndUtterance)
        box.happens(v.MicrophoneLost())
        assert box.did(v.EndUtterance) and box.did(v.CutUtterance) and box.did(v.StartSilence)
        box.happens(v.SpeechBegan())
        assert box.state() is State.WAITING, "what the service hears late was said before; nobody can go on"
        box.happens(v.SpeechEnded(), v.ReplyBegan("r1"))
        box.passes(0.5)
        box.happens(v.ReplyAudio("r1"))
        assert box.state() is State.SPEAKING

    def test_late_speech_started_during_an_answer_opens_no_microphone_that_is_gone(self) -> None:
        box = Box(Mode.TAP)
        box.press()
        box.passes(0.1)
        box.release()
        box.happens(v.SpeechBegan())
        box.passes(2)
        box.answer_begins()
        box.happens(v.MicrophoneLost(), v.SpeechBegan())
        assert box.state() is State.WAITING and box.did(v.DropReply) and box.did(v.StartSilence)


class TestHandsFree:
    def spoken_to(self, *, link: bool = True) -> Box:
        """Somebody has been speaking for 0.4 s."""
        box = Box(Mode.OPEN, link=link)
        box.happens(v.GateOpened(box.now_s - 0.4))
        return box

    def answered(self) -> Box:
        box = self.spoken_to()
        box.happens(v.SpeechBegan())
        box.passes(2)
        box.answer_begins()
        box.answer_ends()
        box.happens(v.ReplyAudible("r1"))
        box.passes(2)
        box.happens(v.ReplyDrained("r1"))
        return box

    def test_a_voice_opens_a_turn_from_where_it_began_and_without_a_sound(self) -> None:
        box = self.spoken_to()
        assert box.state() is State.LISTENING and not box.sounds
        assert box.effects[-1] == v.OpenUplink() and v.Connect() in box.effects
        assert box.did(v.BeginUtterance) == [v.BeginUtterance(box.now_s - 0.4)]

    def test_the_service_ends_it_and_the_microphone_is_live_until_the_reply_sounds(self) -> None:
        box = self.spoken_to()
        box.happens(v.SpeechBegan())
        box.passes(2)
        box.happens(v.SpeechEnded())
        assert box.state() is State.WAITING and not box.did(v.EndUtterance)
        box.passes(0.5)
        box.happens(v.ReplyBegan("r1"), v.ReplyAudio("r1"))
        assert box.state() is State.SPEAKING and box.did(v.EndUtterance) and not box.did(v.Commit)

    def test_nobody_spoke_is_no_fault_and_no_sorry(self) -> None:
        box = self.spoken_to()
        box.passes(TIMES.no_speech_s)
        assert box.state() is State.READY and not box.sounds and box.outcomes == [Outcome.NO_SPEECH]
        assert box.did(v.Clear)

    def test_what_is_said_soon_after_the_answer_needs_no_invite(self) -> None:
        box = self.answered()
        assert box.state() is State.EXPECTING and box.outcomes == [Outcome.ANSWERED]
        box.passes(TIMES.follow_up_s - 0.1)
        box.happens(v.GateOpened(box.now_s))
        assert box.state() is State.LISTENING and box.machine.number == 2
        box.passes(TIMES.follow_up_s)
        assert box.state() is State.READY, "only its own deadlines count now"

    def test_then_it_invites_again(self) -> None:
        box = self.answered()
        box.passes(TIMES.follow_up_s)
        assert box.state() is State.READY and box.machine.next_deadline_s is None

    @pytest.mark.parametrize("event", [v.Stop(), v.MicrophoneLost(), v.LinkFailed()])
    def test_nothing_more_is_expected_when_nobody_could_be_heard(self, event: v.Event) -> None:
        box = self.answered()
        box.happens(event)
        assert box.state() is State.READY and box.machine.next_deadline_s is None

    def test_a_voice_while_a_turn_is_open_opens_nothing(self) -> None:
        box = self.spoken_to()
        box.forget()
        box.happens(v.GateOpened(box.now_s))
        assert not box.effects and box.machine.number == 1

    def test_without_a_microphone_nothing_opens(self) -> None:
        box = Box(Mode.OPEN, microphone=False)
        box.happens(v.GateOpened(box.now_s))
        assert box.state() is State.READY and not box.effects

    @pytest.mark.parametrize("expecting", [False, True])
    def test_a_press_starts_listening_like_a_tap(self, expecting: bool) -> None:
        box = self.answered() if expecting else Box(Mode.OPEN)
        box.forget()
        box.press()
        assert box.state() is State.LISTENING and box.sounds == [Sound.LISTENING]
        box.passes(TIMES.second_tap_s)
        box.release()
        assert box.state() is State.LISTENING
        box.press()
        assert box.state() is State.SENDING, "a second one ends it"

    def test_a_press_stops_the_answer_and_then_a_voice_is_enough(self) -> None:
        box = self.spoken_to()
        box.happens(v.SpeechBegan())
        box.passes(2)
        box.answer_begins()
        box.press()
        assert box.state() is State.EXPECTING and box.did(v.DropReply) and box.outcomes == [Outcome.INTERRUPTED]
        box.release()
        box.passes(1)
        box.happens(v.GateOpened(box.now_s))
        assert box.state() is State.LISTENING

    def test_a_press_ends_the_question_of_a_voice(self) -> None:
        box = self.spoken_to()
        box.happens(v.SpeechBegan())
        box.passes(2)
        box.press()
        assert box.state() is State.SENDING
