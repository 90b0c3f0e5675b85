"""The turn machine, one story per rule."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from appliance.turn import effects as turn_effects
from appliance.turn import events
from appliance.turn.announcements import of_turn
from appliance.turn.context import BROKE_ON_COMMIT_S, MOST_REPLAYS, MOST_UNANSWERED
from appliance.turn.machine import TABLE, Ignored, Rule
from appliance.turn.reply_rules import GATHER_S
from appliance.turn.rules import CONFIRM_S
from appliance.turn.states import Deadline, Mode, Outcome, Sound, State

from .box import TIMES, Box

EVENTS = [
    cls
    for cls in vars(events).values()
    if isinstance(cls, type) and issubclass(cls, events.Event) and cls is not events.Event
]


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("what", [*EVENTS, *Deadline], ids=lambda what: getattr(what, "__name__", str(what)))
def test_every_pair_is_a_rule_or_ignored_with_a_reason(state: State, what: type[events.Event] | Deadline) -> None:
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
        box.happens(events.SpeechBegan())
        box.passes(2)
        box.happens(events.SpeechEnded(), events.ReplyBegan("r1"))
    else:
        box.passes(0.3)
        box.happens(events.SpeechBegan())
        box.passes(2)
        box.release()
        assert box.state() is State.SENDING
        box.passes(0.25)
        box.happens(events.UtteranceSent(), events.SpeechEnded(), events.ReplyBegan("r1"))
    assert box.state() is State.WAITING
    box.passes(0.3)
    box.happens(events.ReplyAudio("r1"))
    assert box.state() is State.SPEAKING
    box.answer_ends()
    box.heard_to_its_end()
    assert box.state() is State.ENDING
    box.passes(TIMES.tool_reply_s)
    assert box.state() is (State.EXPECTING if mode is Mode.OPEN else State.READY)
    assert box.outcomes == [Outcome.ANSWERED]
    box.passes(TIMES.follow_up_s)
    assert box.state() is State.READY and box.machine.next_deadline_s is None


GREETING_S = 1.5


def taps(mode: Mode, *, link: bool = True) -> Box:
    """A box that greets, after a tap; in ``open`` after a voice that its gate took a noise for."""
    box = Box(mode, link=link, greeting_s=GREETING_S)
    if mode is Mode.OPEN:
        box.happens(events.GateOpened(box.now_s))
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
        assert len(box.did(turn_effects.Nudge)) == 1 and box.state() is State.LISTENING
        box.happens(events.ReplyBegan("r1"), events.ReplyAudio("r1"), events.ReplyEnded("r1", "completed"))
        box.passes(TIMES.settle_s)
        assert box.state() is State.SPEAKING
        box.happens(events.ReplyAudible("r1"), events.ReplyDrained("r1"))
        box.passes(TIMES.tool_reply_s)
        assert box.state() is (State.EXPECTING if mode is Mode.OPEN else State.READY)
        box.press()
        box.release()
        box.passes(TIMES.no_speech_s)
        assert len(box.did(turn_effects.Nudge)) == 1 and box.outcomes == [Outcome.ANSWERED, Outcome.NO_SPEECH]

    @pytest.mark.parametrize("mode", GREETS)
    def test_from_when_the_session_is_there(self, mode: Mode) -> None:
        box = taps(mode, link=False)
        box.passes(3)
        assert not box.did(turn_effects.Nudge)
        box.happens(events.LinkReady())
        box.passes(GREETING_S - 0.001)
        assert not box.did(turn_effects.Nudge)
        box.passes(0.001)
        assert box.did(turn_effects.Nudge)

    @pytest.mark.parametrize("mode", GREETS)
    def test_who_speaks_is_not_greeted(self, mode: Mode) -> None:
        box = taps(mode)
        box.passes(GREETING_S / 2)
        box.happens(events.SpeechBegan())
        box.passes(5)
        assert not box.did(turn_effects.Nudge) and box.state() is State.LISTENING

    @pytest.mark.parametrize("mode", [Mode.AUTO, Mode.HOLD])
    def test_who_holds_the_button_is_about_to_speak(self, mode: Mode) -> None:
        box = Box(mode, greeting_s=GREETING_S)
        box.press()
        box.passes(10)
        assert not box.did(turn_effects.Nudge)

    def test_a_second_tap_ends_the_wait_for_it(self) -> None:
        box = taps(Mode.TAP)
        box.passes(0.7)
        box.press()
        box.passes(0.25)
        box.happens(events.UtteranceSent())
        box.passes(GREETING_S)
        assert not box.did(turn_effects.Nudge)

    def test_a_press_interrupts_it_as_any_reply(self) -> None:
        box = taps(Mode.TAP)
        box.passes(GREETING_S)
        box.happens(events.ReplyBegan("r1"), events.ReplyAudio("r1"))
        box.passes(TIMES.settle_s)
        box.press()
        assert box.state() is State.LISTENING and box.did(turn_effects.CancelReply) and box.did(turn_effects.DropReply)

    def test_words_that_a_lost_session_heard_are_not_greeted_in_the_next(self) -> None:
        box = taps(Mode.TAP)
        box.happens(events.SpeechBegan(), events.LinkLost(), events.LinkReady())
        box.passes(GREETING_S)
        assert not box.did(turn_effects.Nudge)

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
        assert not box.did(turn_effects.Nudge)


class TestPress:
    def test_in_hold_nothing_leaves_before_the_hold_is_real(self) -> None:
        box = Box(Mode.HOLD)
        box.press()
        box.passes(TIMES.min_hold_s - 0.001)
        assert not box.did(turn_effects.OpenUplink)
        box.passes(0.001)
        assert box.did(turn_effects.OpenUplink)

    def test_a_bounce_delays_a_real_hold_and_does_not_end_it(self) -> None:
        box = Box(Mode.HOLD)
        box.press()
        box.passes(TIMES.min_hold_s - 0.005)
        box.happens(events.Lifted(box.now_s))
        box.passes(TIMES.debounce_s)
        assert not box.did(turn_effects.OpenUplink)
        box.passes(TIMES.debounce_s)
        assert box.did(turn_effects.OpenUplink) and box.state() is State.LISTENING

    def test_in_hold_a_short_press_sends_nothing_and_is_no_error(self) -> None:
        box = Box(Mode.HOLD)
        box.hold(TIMES.min_hold_s - 0.01)
        assert box.state() is State.READY
        assert (
            box.did(turn_effects.HintHold)
            and not box.did(turn_effects.OpenUplink)
            and not box.did(turn_effects.Clear)
            and not box.sounds
        )
        assert box.outcomes == [Outcome.TOO_SHORT]

    def test_a_busy_loop_takes_no_short_press_for_a_hold(self) -> None:
        """Press and release are looked at together, long after both."""
        box = Box(Mode.HOLD)
        at_s = box.now_s
        box.now_s += 1
        box.happens(events.Press(at_s), events.Lifted(at_s + 0.1), events.Release(at_s + 0.1))
        assert (
            box.outcomes == [Outcome.TOO_SHORT]
            and box.did(turn_effects.HintHold)
            and not box.did(turn_effects.OpenUplink)
        )

    def test_a_hold_that_is_looked_at_late_is_one_at_once(self) -> None:
        box = Box(Mode.HOLD)
        box.now_s += 1
        box.happens(events.Press(box.now_s - 1))
        box.passes(0)
        assert box.did(turn_effects.OpenUplink)

    @pytest.mark.parametrize("mode", [Mode.AUTO, Mode.TAP])
    def test_otherwise_audio_leaves_at_once(self, mode: Mode) -> None:
        box = Box(mode)
        effects = box.press()
        assert turn_effects.OpenUplink() in effects

    def test_only_tap_has_a_listening_earcon(self) -> None:
        sounds = {mode: Box(mode).press() for mode in Mode}
        assert turn_effects.PlayEarcon(Sound.LISTENING) in sounds[Mode.TAP]
        assert not any(isinstance(effect, turn_effects.PlayEarcon) for effect in sounds[Mode.HOLD] + sounds[Mode.AUTO])

    def test_auto_released_early_goes_on_as_tap(self) -> None:
        box = Box(Mode.AUTO)
        box.hold(0.2)
        assert box.state() is State.LISTENING
        box.happens(events.SpeechBegan())
        box.passes(3)
        box.happens(events.SpeechEnded())
        assert box.state() is State.WAITING

    def test_auto_released_late_ends_the_turn(self) -> None:
        box = Box(Mode.AUTO)
        box.hold(0.5)
        assert box.state() is State.SENDING
        (end,) = box.did(turn_effects.EndUtterance)
        assert isinstance(end, turn_effects.EndUtterance) and end.at_s == pytest.approx(100.5 + TIMES.release_tail_s)

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
        box.happens(events.SpeechBegan())
        box.passes(0.5)
        pressed_s = box.now_s
        box.press()
        assert box.state() is State.SENDING
        box.passes(3)
        assert box.state() is State.LISTENING and box.did(turn_effects.ResumeUtterance) == [
            turn_effects.ResumeUtterance(pressed_s)
        ]
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
        assert box.did(turn_effects.WarnLongHold) and box.state() is State.LISTENING
        box.passes(TIMES.max_hold_warning_s)
        assert box.did(turn_effects.ReportJam) and box.state() is State.SENDING
        box.happens(events.UtteranceSent())
        box.answer_begins()
        assert box.state() is State.SPEAKING, "a stuck button must not keep the answer back"
        box.release()
        assert box.state() is State.SPEAKING

    def test_a_busy_loop_does_not_turn_a_short_press_into_a_long_one(self) -> None:
        box = Box(Mode.HOLD)
        pressed_s = box.now_s
        box.happens(events.Press(pressed_s))
        box.now_s += 2.0
        box.happens(events.Release(pressed_s + 0.1))
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
        box.happens(events.SpeechEnded(), events.ReplyBegan("r1"))
        box.passes(0.5)
        box.press()
        box.happens(events.ReplyAudio("r1"))
        assert box.state() is State.WAITING and not box.did(turn_effects.PlayReply)
        box.passes(0.1)
        box.release()
        assert box.state() is State.SPEAKING and box.did(turn_effects.PlayReply)

    def test_a_real_hold_starts_a_new_turn(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.happens(events.SpeechEnded(), events.ReplyBegan("r1"))
        box.passes(1)
        pressed_s = box.now_s
        box.press()
        box.passes(TIMES.tap_max_s)
        assert box.state() is State.LISTENING and box.machine.number == 2
        assert box.did(turn_effects.CancelReply) == [turn_effects.CancelReply("r1")]
        begin = box.did(turn_effects.BeginUtterance)[-1]
        assert isinstance(begin, turn_effects.BeginUtterance) and begin.at_s == pytest.approx(pressed_s)
        assert box.outcomes == [Outcome.INTERRUPTED]

    def test_a_real_hold_before_speech_stopped_goes_on_with_the_same_turn(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.press()
        box.passes(TIMES.tap_max_s)
        assert box.state() is State.LISTENING and box.machine.number == 1
        assert box.did(turn_effects.ResumeUtterance) and not box.outcomes
        box.passes(1)
        box.release()
        assert box.state() is State.SENDING

    @pytest.mark.parametrize("live", [False, True])
    def test_what_the_service_has_of_the_new_question_is_not_taken_back(self, live: bool) -> None:
        """A ``clear`` would take it, in a service that obeys, and one that does not would hear it twice."""
        box = taps(Mode.TAP)
        box.happens(events.SpeechBegan())
        box.passes(1)
        box.happens(events.SpeechEnded())
        if not live:
            box.happens(events.ReplyBegan("r1"), events.ToolCalled("r1", events.ToolCall("c", "t", "{}")))
            box.passes(1)
            assert box.did(turn_effects.EndUtterance)
        box.press()
        box.passes(TIMES.tap_max_s)
        assert box.machine.number == 2 and bool(box.did(turn_effects.Clear)) is not live

    def test_giving_up_does_not_swallow_a_hold_that_has_begun(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.happens(events.SpeechEnded())
        box.passes(TIMES.answer_s - 0.2)
        box.press()
        box.passes(0.3)
        assert box.state() is State.LISTENING and box.outcomes == [Outcome.NO_ANSWER] and Sound.SORRY not in box.sounds


class TestEndOfAHeldTurn:
    def test_commit_when_the_service_is_in_speech(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        assert len(box.did(turn_effects.Commit)) == 1 and box.did(turn_effects.StartSilence)

    def test_commit_when_the_service_said_nothing(self) -> None:
        box = Box(Mode.HOLD)
        box.hold()
        box.happens(events.UtteranceSent())
        assert len(box.did(turn_effects.Commit)) == 1

    def test_no_commit_when_the_service_has_already_heard_the_end(self) -> None:
        box = Box(Mode.HOLD)
        box.press()
        box.passes(0.4)
        box.happens(events.SpeechBegan())
        box.passes(1)
        box.happens(events.SpeechEnded())
        box.release()
        box.happens(events.UtteranceSent())
        assert not box.did(turn_effects.Commit)

    @pytest.mark.parametrize("done", [False, True])
    def test_no_commit_with_a_reply_held(self, done: bool) -> None:
        box = Box(Mode.HOLD)
        box.press()
        box.passes(1)
        box.happens(events.SpeechBegan(), events.SpeechEnded(), events.ReplyBegan("r1"), events.ReplyAudio("r1"))
        if done:
            box.answer_ends()
        box.release()
        box.happens(events.UtteranceSent())
        assert not box.did(turn_effects.Commit)
        assert box.state() is State.WAITING
        box.passes(TIMES.settle_s)
        assert box.state() is State.SPEAKING

    def test_commit_at_most_once_a_turn(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.press()
        box.passes(1)
        box.happens(events.SpeechBegan())
        box.release()
        box.happens(events.UtteranceSent())
        assert len(box.did(turn_effects.Commit)) == 1

    def test_zeros_stop_at_the_first_delta_not_at_speech_stopped(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.happens(events.SpeechEnded(), events.ReplyBegan("r1"))
        assert not box.did(turn_effects.StopSilence)
        box.happens(events.ReplyAudio("r1"))
        assert box.did(turn_effects.StopSilence)

    def test_one_nudge_when_the_service_notices_nothing(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.passes(TIMES.nudge_s - 0.01)
        assert not box.did(turn_effects.Nudge)
        box.passes(10)
        assert len(box.did(turn_effects.Nudge)) == 1

    def test_no_nudge_after_speech_stopped(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.happens(events.SpeechEnded())
        box.passes(10)
        assert not box.did(turn_effects.Nudge)

    def test_no_answer_ends_in_sorry(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.happens(events.SpeechEnded())
        box.passes(TIMES.answer_s)
        assert box.state() is State.READY and box.outcomes == [Outcome.NO_ANSWER] and box.sounds[-1] is Sound.SORRY

    def test_nobody_spoke_after_a_tap_is_no_fault(self) -> None:
        box = Box(Mode.TAP)
        box.press()
        box.passes(0.1)
        box.release()
        box.passes(TIMES.no_speech_s)
        assert box.state() is State.READY and box.outcomes == [Outcome.NO_SPEECH]
        assert Sound.SORRY not in box.sounds and box.did(turn_effects.Clear)


class TestNobodyWasHeard:
    """The service has found nothing to commit, and says so of this turn."""

    @staticmethod
    def held(mode: Mode = Mode.HOLD) -> Box:
        """In silence, up to the commit."""
        box = Box(mode)
        box.hold()
        box.passes(TIMES.release_tail_s)
        box.happens(events.UtteranceSent())
        assert box.did(turn_effects.Commit) and box.state() is State.WAITING
        box.forget()
        return box

    @pytest.mark.parametrize("mode", [Mode.HOLD, Mode.AUTO])
    def test_a_held_turn_is_over_at_once_with_sorry_and_the_session_is_kept(self, mode: Mode) -> None:
        box = self.held(mode)
        box.happens(events.NothingHeard())
        assert box.state() is State.READY and box.machine.next_deadline_s is None
        assert box.effects == [
            turn_effects.Clear(),
            turn_effects.CloseTurn(1, Outcome.NO_SPEECH),
            turn_effects.PlayEarcon(Sound.SORRY, Outcome.NO_SPEECH),
        ]
        assert of_turn(Outcome.NO_SPEECH, None, microphone_gone=False) is None, "a tone, no words"

    def test_a_jammed_button_too(self) -> None:
        box = Box(Mode.HOLD)
        box.press()
        box.passes(TIMES.max_hold_s)
        box.happens(events.UtteranceSent(), events.NothingHeard())
        assert box.state() is State.READY and box.outcomes == [Outcome.NO_SPEECH] and box.sounds[-1] is Sound.SORRY

    @pytest.mark.parametrize(
        "said",
        [
            (events.SpeechBegan(),),
            (events.SpeechBegan(), events.SpeechEnded()),
            (events.SpeechEnded(),),
            (events.SpeechBegan(), events.SpeechEnded(), events.ReplyBegan("r1")),
            (events.ReplyBegan("r1"),),
            (events.ReplyBegan("r1"), events.ReplyEnded("r1", "cancelled")),
        ],
        ids=lambda said: " ".join(type(event).__name__ for event in said),
    )
    @pytest.mark.parametrize("when", ["while the button is down", "after the commit"])
    def test_not_if_the_service_has_said_anything_of_the_turn(self, said: tuple[events.Event, ...], when: str) -> None:
        box = Box(Mode.HOLD)
        box.press()
        box.passes(1)
        if when == "while the button is down":
            box.happens(*said)
        box.passes(1)
        box.release()
        box.passes(TIMES.release_tail_s)
        box.happens(events.UtteranceSent())
        if when == "after the commit":
            box.happens(*said)
        box.forget()
        box.happens(events.NothingHeard())
        assert box.state() is State.WAITING and not box.effects

    def test_not_if_the_answer_plays(self) -> None:
        box = self.held()
        box.happens(events.ReplyBegan("r1"))
        box.passes(TIMES.settle_s)
        box.happens(events.ReplyAudio("r1"))
        box.forget()
        box.happens(events.NothingHeard())
        assert box.state() is State.SPEAKING and not box.effects

    def test_not_if_the_service_heard_somebody_in_a_session_that_was_lost(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.passes(BROKE_ON_COMMIT_S + 0.1)
        box.happens(events.LinkLost(), events.LinkReady(), events.UtteranceSent())
        assert len(box.did(turn_effects.Commit)) == 2
        box.forget()
        box.happens(events.NothingHeard())
        assert box.state() is State.WAITING and not box.effects

    def test_but_if_no_session_of_the_turn_heard_anybody(self) -> None:
        box = self.held()
        box.passes(BROKE_ON_COMMIT_S + 0.1)
        box.happens(events.LinkLost(), events.LinkReady(), events.UtteranceSent(), events.NothingHeard())
        assert box.outcomes == [Outcome.NO_SPEECH] and box.sounds[-1] is Sound.SORRY

    @pytest.mark.parametrize("mode", [Mode.TAP, Mode.OPEN, Mode.AUTO])
    def test_a_tap_and_a_second_one_with_nothing_between_are_no_question(self, mode: Mode) -> None:
        """Who tapped is not told, and the service is not asked to answer nobody."""
        box = Box(mode)
        box.hold(0.1)
        box.passes(1)
        box.hold(0.1)
        box.passes(TIMES.tap_max_s)
        box.happens(events.UtteranceSent())
        assert box.did(turn_effects.Commit) and box.state() is State.WAITING
        box.happens(events.NothingHeard())
        box.passes(TIMES.answer_s)
        assert box.state() is State.READY and box.outcomes == [Outcome.NO_SPEECH]
        assert not box.did(turn_effects.Nudge) and Sound.SORRY not in box.sounds

    def test_a_button_that_is_held_again_goes_on_with_the_new_question(self) -> None:
        box = self.held()
        pressed_s = box.now_s
        box.press()
        box.passes(0.2)
        box.forget()
        box.happens(events.NothingHeard())
        assert box.state() is State.LISTENING and box.machine.number == 2
        assert box.outcomes == [Outcome.NO_SPEECH] and Sound.SORRY not in box.sounds
        assert box.did(turn_effects.BeginUtterance) == [turn_effects.BeginUtterance(pressed_s)]

    def test_a_button_that_was_only_touched_again_gets_sorry(self) -> None:
        box = self.held()
        box.hold(0.1)
        box.happens(events.NothingHeard())
        assert box.state() is State.READY and box.sounds[-1] is Sound.SORRY

    def test_what_was_said_after_the_commit_is_not_judged_by_it(self) -> None:
        """The press went on with the turn, as far as anybody knew; it has one commit (decision 4)."""
        box = self.held()
        box.press()
        box.passes(TIMES.tap_max_s)
        assert box.state() is State.LISTENING and box.machine.number == 1
        box.forget()
        box.happens(events.NothingHeard())
        assert box.state() is State.LISTENING and not box.effects
        box.passes(1)
        box.release()
        box.forget()
        box.happens(events.NothingHeard())
        assert box.state() is State.SENDING and not box.effects
        box.passes(TIMES.release_tail_s)
        box.happens(events.UtteranceSent())
        box.forget()
        box.happens(events.NothingHeard())
        assert box.state() is State.WAITING and not box.effects

    def test_between_turns_and_in_the_next_one_it_changes_nothing(self) -> None:
        box = self.held()
        box.happens(events.NothingHeard())
        box.forget()
        box.happens(events.NothingHeard())
        assert box.state() is State.READY and not box.effects
        box.press()
        box.passes(1)
        box.forget()
        box.happens(events.NothingHeard())
        assert box.state() is State.LISTENING and not box.effects

    def test_what_a_service_that_was_late_says_then_opens_nothing(self) -> None:
        box = self.held()
        box.happens(events.NothingHeard())
        box.forget()
        box.happens(events.SpeechBegan(), events.SpeechEnded(), events.ReplyBegan("r1"), events.ReplyAudio("r1"))
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
        box.happens(events.SpeechBegan(), events.SpeechEnded(), events.ReplyBegan("r1"), events.ReplyAudio("r1"))
        box.answer_ends()
        box.release()
        box.passes(5)
        assert box.state() is State.SENDING and not box.did(turn_effects.PlayReply)
        box.happens(events.UtteranceSent())
        box.passes(TIMES.settle_s - 0.01)
        assert not box.did(turn_effects.PlayReply)
        box.passes(0.01)
        assert box.did(turn_effects.PlayReply)

    def test_speech_after_a_pause_drops_the_held_reply_even_when_it_is_complete(self) -> None:
        box = Box(Mode.HOLD)
        box.press()
        box.passes(1)
        box.happens(events.SpeechBegan(), events.SpeechEnded(), events.ReplyBegan("r1"), events.ReplyAudio("r1"))
        box.answer_ends()
        box.happens(events.SpeechBegan())
        assert box.did(turn_effects.DropReply) and not box.did(turn_effects.CancelReply)
        box.release()
        box.happens(events.UtteranceSent())
        box.passes(1)
        assert not box.did(turn_effects.PlayReply)
        box.answer_begins("r2")
        assert box.state() is State.SPEAKING

    def test_only_going_on_speaking_drops_what_is_held(self) -> None:
        box = Box(Mode.HOLD)
        box.press()
        box.passes(1)
        box.happens(events.SpeechBegan(), events.SpeechEnded(), events.ReplyBegan("r1"), events.ReplyAudio("r1"))
        box.answer_ends()
        box.happens(events.SpeechBegan())
        box.forget()
        box.happens(events.ReplyBegan("r2"), events.ReplyAudio("r2"), events.ReplyBegan("r3"))
        assert not box.did(turn_effects.DropReply), "with no speech between they are two parts of one answer"

    def test_late_speech_started_silences_a_reply_that_plays(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.answer_begins()
        box.happens(events.SpeechBegan())
        assert (
            box.state() is State.WAITING and box.did(turn_effects.DropReply) and not box.did(turn_effects.CancelReply)
        )

    @pytest.mark.parametrize("played", [False, True])
    def test_late_speech_started_leaves_the_service_able_to_hear_the_end(self, played: bool) -> None:
        """A reply to a pause was held; the last words reach the service after our last sample left. The zeros stopped
        with that reply's audio; without new ones a service that ignores commit waits for ever."""
        box = Box(Mode.HOLD)
        box.press()
        box.passes(1)
        box.happens(events.SpeechBegan(), events.SpeechEnded(), events.ReplyBegan("r1"))
        box.release()
        box.passes(TIMES.release_tail_s)
        box.happens(events.UtteranceSent(), events.ReplyAudio("r1"))
        if played:
            box.passes(TIMES.settle_s)
            assert box.state() is State.SPEAKING
        box.forget()
        box.happens(events.SpeechBegan())
        assert box.state() is State.WAITING and box.did(turn_effects.StartSilence)
        assert len(box.did(turn_effects.Commit)) == 1, (
            "no reply is held any more, and the service is in speech (decision 4)"
        )
        box.passes(TIMES.nudge_s)
        assert len(box.did(turn_effects.Nudge)) == 1

    def test_in_tap_speech_after_a_pause_goes_on_with_the_turn(self) -> None:
        box = Box(Mode.TAP)
        box.press()
        box.passes(0.1)
        box.release()
        box.happens(events.SpeechBegan())
        box.passes(1)
        box.happens(events.SpeechEnded())
        assert box.state() is State.WAITING
        box.passes(0.3)
        box.happens(events.SpeechBegan())
        assert box.state() is State.LISTENING and not box.did(turn_effects.EndUtterance)

    def test_in_tap_the_microphone_closes_when_the_reply_sounds(self) -> None:
        box = Box(Mode.TAP)
        box.press()
        box.passes(0.1)
        box.release()
        box.happens(events.SpeechBegan())
        box.passes(1)
        box.answer_begins()
        kinds = [type(effect) for effect in box.effects]
        assert kinds.index(turn_effects.EndUtterance) < kinds.index(turn_effects.PlayReply)


class TestPressDuringAReply:
    @pytest.mark.parametrize("done", [False, True])
    @pytest.mark.parametrize("mode", [Mode.AUTO, Mode.HOLD, Mode.TAP])
    def test_silence_first_one_cancel_only_if_in_progress_and_a_new_turn(self, mode: Mode, done: bool) -> None:
        box = Box(mode)
        box.ask() if mode is not Mode.TAP else box.press()
        if mode is Mode.TAP:
            box.release()
            box.happens(events.SpeechBegan())
        box.answer_begins()
        if done:
            box.answer_ends()
        box.passes(1)
        box.forget()
        box.press()
        assert box.state() is State.LISTENING and box.machine.number == 2
        assert box.did(turn_effects.CancelReply) == ([] if done else [turn_effects.CancelReply("r1")])
        kinds = [type(effect) for effect in box.effects]
        assert kinds.index(turn_effects.DropReply) < kinds.index(turn_effects.BeginUtterance)
        assert box.outcomes == [Outcome.INTERRUPTED]

    def test_in_hold_a_short_press_stops_the_reply_and_asks_nothing(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.answer_begins()
        box.hold(0.1)
        assert box.state() is State.READY and box.outcomes == [Outcome.INTERRUPTED, Outcome.TOO_SHORT]


CALL = events.ToolCall("c1", "get_time", "{}")
OTHER = events.ToolCall("c2", "get_time", "{}")
ANSWERED_BY_TOOL = events.ToolsFinished((("c1", "{}"),))


def asked(*happened: events.Event) -> Box:
    """A held question to which reply "r1" has begun, a second ago."""
    box = Box(Mode.HOLD)
    box.ask()
    box.happens(events.SpeechEnded(), events.ReplyBegan("r1"))
    box.passes(1)
    box.happens(*happened)
    return box


class TestTools:
    def test_run_when_the_response_is_done_and_the_answer_follows(self) -> None:
        box = asked()
        box.answer_ends("r1", CALL)
        assert box.did(turn_effects.RunTools) == [turn_effects.RunTools((CALL,))]
        box.happens(ANSWERED_BY_TOOL)
        assert box.did(turn_effects.SendToolOutputs) and not box.did(turn_effects.Nudge)
        box.answer_begins("r2")
        box.answer_ends("r2")
        box.heard_to_its_end("r2")
        box.passes(TIMES.tool_reply_s)
        assert box.outcomes == [Outcome.ANSWERED]

    @pytest.mark.parametrize("words_before", [False, True])
    def test_the_result_is_awaited_inside_the_response(self, words_before: bool) -> None:
        """No response.done before it, and the same response goes on with the answer."""
        box = asked()
        if words_before:
            box.happens(events.ReplyAudio("r1"), events.ReplyAudible("r1"))
        box.happens(events.ToolCalled("r1", CALL), events.ToolCalled("r1", OTHER))
        assert not box.did(turn_effects.RunTools), "more calls may follow"
        box.passes(GATHER_S)
        assert box.did(turn_effects.RunTools) == [turn_effects.RunTools((CALL, OTHER))]
        box.passes(4)
        box.happens(ANSWERED_BY_TOOL)
        box.passes(2)
        box.happens(events.ReplyAudio("r1"))
        assert box.state() is State.SPEAKING
        box.passes(2)
        box.happens(events.ReplyAudio("r1"), events.ReplyEnded("r1", "completed"))
        box.heard_to_its_end("r1")
        box.passes(TIMES.tool_reply_s)
        assert box.outcomes == [Outcome.ANSWERED] and not box.did(turn_effects.Nudge)

    def test_a_tool_that_takes_long_amid_an_answer_is_no_standstill(self) -> None:
        box = asked(events.ReplyAudio("r1"), events.ReplyAudible("r1"), events.ToolCalled("r1", CALL))
        box.passes(TIMES.no_progress_s + 2)
        assert box.state() is State.SPEAKING and not box.outcomes
        box.happens(ANSWERED_BY_TOOL)
        box.passes(TIMES.answer_s + TIMES.no_progress_s)
        assert box.outcomes == [Outcome.STALLED], "but it is bounded"

    def test_the_response_that_calls_is_never_done_and_the_answer_is_another(self) -> None:
        box = asked(events.ToolCalled("r1", CALL))
        box.passes(GATHER_S)
        box.happens(ANSWERED_BY_TOOL)
        box.happens(events.ReplyEnded("r1", "completed"), events.ReplyBegan("r2"), events.ReplyAudio("r2"))
        box.answer_ends("r2")
        box.heard_to_its_end("r2")
        assert box.state() is State.ENDING and not box.did(turn_effects.Nudge)

    @pytest.mark.parametrize("status", ["completed", "incomplete", "something_new"])
    def test_run_however_the_response_that_calls_is_said_to_end(self, status: str) -> None:
        box = asked(events.ToolCalled("r1", CALL), events.ReplyEnded("r1", status))
        assert box.did(turn_effects.RunTools)
        box.happens(ANSWERED_BY_TOOL, events.ReplyBegan("r2"), events.ReplyAudio("r2"))
        box.answer_ends("r2")
        box.heard_to_its_end("r2")
        assert box.state() is State.ENDING

    @pytest.mark.parametrize("status", ["failed", "cancelled"])
    def test_not_run_when_the_response_came_to_nothing(self, status: str) -> None:
        box = asked(events.ToolCalled("r1", CALL), events.ReplyEnded("r1", status))
        box.passes(1)
        assert not box.did(turn_effects.RunTools)

    def test_a_call_that_is_better_known_later_runs_once(self) -> None:
        box = asked(events.ToolCalled("r1", events.ToolCall("c1", "", "{}")), events.ToolCalled("r1", CALL))
        box.passes(GATHER_S)
        box.happens(events.ToolCalled("r1", CALL), ANSWERED_BY_TOOL)
        box.passes(1)
        assert box.did(turn_effects.RunTools) == [turn_effects.RunTools((CALL,))]

    def test_a_call_that_comes_while_tools_run_has_its_own_answer(self) -> None:
        box = asked(events.ToolCalled("r1", CALL))
        box.passes(GATHER_S)
        box.happens(events.ToolCalled("r1", OTHER))
        box.passes(GATHER_S)
        assert box.did(turn_effects.RunTools) == [turn_effects.RunTools((CALL,))]
        box.happens(ANSWERED_BY_TOOL)
        assert box.did(turn_effects.RunTools) == [turn_effects.RunTools((CALL,)), turn_effects.RunTools((OTHER,))]
        box.happens(events.ToolsFinished((("c2", "{}"),)))
        assert len(box.did(turn_effects.SendToolOutputs)) == 2

    @pytest.mark.parametrize("done", [False, True])
    def test_not_run_while_the_reply_is_held_back(self, done: bool) -> None:
        box = Box(Mode.HOLD)
        box.press()
        box.passes(1)
        box.happens(events.SpeechBegan(), events.SpeechEnded(), events.ReplyBegan("r1"), events.ToolCalled("r1", CALL))
        if done:
            box.happens(events.ReplyEnded("r1", "completed"))
        box.passes(1)
        assert not box.did(turn_effects.RunTools)
        box.release()
        box.happens(events.UtteranceSent())
        assert not box.did(turn_effects.RunTools)
        box.passes(TIMES.settle_s)
        assert box.did(turn_effects.RunTools)

    @pytest.mark.parametrize("running", [False, True])
    def test_ended_and_not_answered_when_the_person_goes_on(self, running: bool) -> None:
        box = asked(events.ToolCalled("r1", CALL))
        if running:
            box.passes(GATHER_S)
        box.happens(events.SpeechBegan())
        assert len(box.did(turn_effects.AbortTools)) == running
        box.happens(ANSWERED_BY_TOOL)
        box.passes(1)
        assert not box.did(turn_effects.SendToolOutputs) and len(box.did(turn_effects.RunTools)) == running

    def test_one_nudge_if_the_service_does_not_go_on(self) -> None:
        box = asked()
        box.answer_ends("r1", CALL)
        box.happens(ANSWERED_BY_TOOL)
        box.passes(TIMES.tool_reply_s)
        assert box.did(turn_effects.Nudge) == [turn_effects.Nudge(after_tools=True)]
        box.passes(10)
        assert len(box.did(turn_effects.Nudge)) == 1

    @pytest.mark.parametrize("sign", [events.ReplyAudio("r1"), events.ReplyEnded("r1", "completed")])
    def test_each_sign_of_the_service_puts_the_nudge_off(self, sign: events.Event) -> None:
        box = asked(events.ToolCalled("r1", CALL))
        box.passes(GATHER_S)
        box.happens(ANSWERED_BY_TOOL)
        box.passes(TIMES.tool_reply_s - 0.1)
        box.happens(sign)
        box.passes(TIMES.tool_reply_s - 0.1)
        assert not box.did(turn_effects.Nudge)
        box.passes(0.1)
        assert len(box.did(turn_effects.Nudge)) == 1

    def needy(self) -> Box:
        """A service that has shown that it goes on after a tool only when it is asked to."""
        box = asked()
        box.answer_ends("r1", CALL)
        box.happens(ANSWERED_BY_TOOL)
        box.passes(TIMES.tool_reply_s)
        box.happens(events.ReplyBegan("r2"), events.ReplyAudio("r2"))
        box.answer_ends("r2")
        box.heard_to_its_end("r2")
        box.passes(TIMES.tool_reply_s)
        assert box.outcomes == [Outcome.ANSWERED]
        box.forget()
        box.ask()
        box.happens(events.SpeechEnded(), events.ReplyBegan("r3"))
        box.passes(1)
        return box

    @pytest.mark.parametrize("done", ["before", "after"])
    def test_a_service_that_needed_the_nudge_is_nudged_at_once_from_then_on(self, done: str) -> None:
        box = self.needy()
        box.happens(events.ToolCalled("r3", CALL))
        if done == "before":
            box.happens(events.ReplyEnded("r3", "completed"))
        box.passes(GATHER_S)
        box.happens(ANSWERED_BY_TOOL)
        if done == "after":
            assert not box.did(turn_effects.Nudge), "its response is not done"
            box.happens(events.ReplyEnded("r3", "completed"))
        assert box.did(turn_effects.Nudge) == [turn_effects.Nudge(after_tools=True)]
        box.passes(10)
        assert len(box.did(turn_effects.Nudge)) == 1

    def test_another_session_is_asked_only_when_it_needs_it(self) -> None:
        box = self.needy()
        box.happens(events.Stop(), events.LinkLost(), events.LinkReady())
        box.forget()
        box.ask()
        box.happens(events.SpeechEnded(), events.ReplyBegan("r4"))
        box.passes(1)
        box.answer_ends("r4", CALL)
        box.happens(ANSWERED_BY_TOOL)
        assert not box.did(turn_effects.Nudge)

    def test_words_before_a_tool_are_heard_and_the_turn_goes_on(self) -> None:
        box = asked(events.ReplyAudio("r1"))
        assert box.state() is State.SPEAKING
        box.answer_ends("r1", CALL)
        assert box.did(turn_effects.RunTools)
        box.heard_to_its_end("r1")
        assert box.state() is State.WAITING
        box.happens(ANSWERED_BY_TOOL)
        box.answer_begins("r2")
        assert box.state() is State.SPEAKING

    def test_a_tool_may_be_the_whole_answer(self) -> None:
        box = asked()
        box.answer_ends("r1", CALL)
        box.happens(ANSWERED_BY_TOOL, events.ReplyBegan("r2"), events.ReplyEnded("r2", "completed"))
        box.passes(TIMES.tool_reply_s)
        assert box.outcomes == [Outcome.ANSWERED] and Sound.SORRY not in box.sounds

    def test_a_loop_of_tools_is_ended(self) -> None:
        box = asked()
        for number in range(1, TIMES.tool_rounds + 1):
            box.answer_ends(f"r{number}", events.ToolCall(f"c{number}", "get_time", "{}"))
            box.happens(events.ToolsFinished(((f"c{number}", "{}"),)), events.ReplyBegan(f"r{number + 1}"))
        assert len(box.did(turn_effects.RunTools)) == TIMES.tool_rounds and not box.outcomes
        box.happens(events.ToolCalled(f"r{TIMES.tool_rounds + 1}", CALL))
        assert box.outcomes == [Outcome.TOOL_LOOP] and box.sounds[-1] is Sound.SORRY
        assert len(box.did(turn_effects.RunTools)) == TIMES.tool_rounds and len(box.did(turn_effects.CancelReply)) == 1

    @pytest.mark.parametrize("words_before", [False, True])
    def test_a_tool_has_its_own_time_whatever_was_waited_before(self, words_before: bool) -> None:
        """Its own limit counts while it runs; the one for the answer starts anew behind it."""
        box = Box(Mode.HOLD)
        box.ask()
        box.happens(events.SpeechEnded())
        box.passes(TIMES.answer_s - 1)
        box.happens(events.ReplyBegan("r1"))
        if words_before:
            box.happens(events.ReplyAudio("r1"))
        box.answer_ends("r1", events.ToolCall("c", "slow", "{}"))
        if words_before:
            box.heard_to_its_end()
        box.passes(TIMES.tool_s)
        assert box.did(turn_effects.RunTools) and not box.did(turn_effects.AbortTools) and box.state() is State.WAITING
        box.happens(events.ToolsFinished((("c", "{}"),)))
        box.passes(TIMES.answer_s - 1)
        assert box.state() is State.WAITING
        box.happens(events.ReplyBegan("r2"), events.ReplyAudio("r2"))
        assert box.state() is State.SPEAKING

    def test_tools_that_never_answer_are_no_stuck_state(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.answer_begins()
        box.answer_ends("r1", events.ToolCall("c", "slow", "{}"))
        box.heard_to_its_end()
        box.passes(TIMES.tool_s + TIMES.answer_s)
        assert box.state() is State.READY and box.did(turn_effects.AbortTools) and box.outcomes == [Outcome.NO_ANSWER]

    def test_an_abandoned_turn_ends_its_tool_and_sends_nothing(self) -> None:
        box = asked()
        box.answer_ends("r1", CALL)
        box.happens(events.Stop())
        assert box.did(turn_effects.AbortTools) and box.state() is State.READY
        box.happens(ANSWERED_BY_TOOL)
        assert not box.did(turn_effects.SendToolOutputs)

    def test_a_replay_never_runs_a_tool_again(self) -> None:
        box = asked()
        box.answer_ends("r1", CALL)
        box.happens(events.LinkLost())
        assert box.outcomes == [Outcome.LINK_LOST] and box.sounds[-1] is Sound.SORRY


class TestAnAnswerInTwoParts:
    """ "Let me see", and then the answer as a second response, with no speech between."""

    def test_the_second_follows_the_first_while_that_plays(self) -> None:
        box = asked(events.ReplyAudio("r1"), events.ReplyEnded("r1", "completed"))
        box.happens(events.ReplyBegan("r2"), events.ReplyAudio("r2"), events.ReplyEnded("r2", "completed"))
        assert len(box.did(turn_effects.PlayReply)) == 1 and not box.did(turn_effects.DropReply)
        box.heard_to_its_end("r1")
        assert box.state() is State.SPEAKING
        box.heard_to_its_end("r2")
        box.passes(TIMES.tool_reply_s)
        assert box.outcomes == [Outcome.ANSWERED]

    def test_both_are_heard_also_when_they_are_here_before_any_may_sound(self) -> None:
        box = Box(Mode.HOLD)
        box.press()
        box.passes(1)
        box.happens(events.SpeechBegan(), events.SpeechEnded())
        for reply in ("r1", "r2"):
            box.happens(events.ReplyBegan(reply), events.ReplyAudio(reply), events.ReplyEnded(reply, "completed"))
        box.release()
        box.happens(events.UtteranceSent())
        box.passes(TIMES.settle_s)
        assert box.state() is State.SPEAKING and not box.did(turn_effects.DropReply)

    def test_the_second_may_come_when_the_first_was_heard(self) -> None:
        box = self.heard()
        box.passes(TIMES.tool_reply_s - 0.1)
        box.forget()
        box.happens(events.ReplyBegan("r2"))
        assert box.state() is State.WAITING
        box.passes(1)
        box.happens(events.ReplyAudio("r2"))
        assert box.state() is State.SPEAKING and box.did(turn_effects.PlayReply)
        box.answer_ends("r2")
        box.heard_to_its_end("r2")
        box.passes(TIMES.tool_reply_s)
        assert box.outcomes == [Outcome.ANSWERED]

    def test_the_second_comes_to_nothing(self) -> None:
        box = self.heard()
        box.happens(events.ReplyBegan("r2"), events.ReplyEnded("r2", "cancelled"))
        assert box.state() is State.ENDING
        box.passes(TIMES.tool_reply_s)
        assert box.outcomes == [Outcome.ANSWERED] and Sound.SORRY not in box.sounds

    def test_the_second_fails(self) -> None:
        box = self.heard()
        box.happens(events.ReplyBegan("r2"), events.ReplyEnded("r2", "failed"))
        assert box.outcomes == [Outcome.FAILED] and box.sounds[-1] is Sound.SORRY

    def test_most_answers_are_long_and_over_at_once(self) -> None:
        box = asked(events.ReplyAudio("r1"), events.ReplyEnded("r1", "completed"))
        box.passes(TIMES.tool_reply_s)
        box.heard_to_its_end("r1")
        assert box.state() is State.READY and box.outcomes == [Outcome.ANSWERED]

    @staticmethod
    def heard(mode: Mode = Mode.HOLD) -> Box:
        box = Box(mode)
        box.ask()
        box.happens(events.SpeechEnded(), events.ReplyBegan("r1"))
        box.passes(1)
        box.happens(events.ReplyAudio("r1"), events.ReplyEnded("r1", "completed"))
        box.heard_to_its_end("r1")
        assert box.state() is State.ENDING and not box.outcomes
        return box

    @pytest.mark.parametrize("mode", [Mode.AUTO, Mode.HOLD])
    def test_a_press_does_not_wait_for_it(self, mode: Mode) -> None:
        box = self.heard(mode)
        box.press()
        assert box.state() is State.LISTENING and box.machine.number == 2 and box.outcomes == [Outcome.ANSWERED]
        assert not box.did(turn_effects.CancelReply) and not box.did(turn_effects.DropReply)

    @pytest.mark.parametrize("event", [events.Stop(), events.LinkLost(), events.LinkFailed()])
    def test_nor_does_anything_else_that_ends_a_turn(self, event: events.Event) -> None:
        box = self.heard()
        box.happens(event)
        assert (
            box.state() is State.READY
            and box.outcomes == [Outcome.ANSWERED]
            and not box.did(turn_effects.RewindUtterance)
        )


class TestAnswersThatAreNone:
    @pytest.mark.parametrize("status", ["failed", "incomplete"])
    @pytest.mark.parametrize("before", ["nothing", "half an answer", "a tool"])
    def test_a_reply_that_fails_is_no_answer_whatever_came_before(self, status: str, before: str) -> None:
        box = asked()
        reply = "r1"
        if before == "a tool":
            box.answer_ends("r1", CALL)
            box.happens(ANSWERED_BY_TOOL, events.ReplyBegan("r2"))
            reply = "r2"
        elif before == "half an answer":
            box.happens(events.ReplyAudio("r1"), events.ReplyAudible("r1"))
        box.happens(events.ReplyEnded(reply, status), events.ReplyDrained(reply))
        assert box.outcomes == [Outcome.FAILED] and box.sounds[-1] is Sound.SORRY

    def test_nothing_after_what_was_heard_was_taken_back(self) -> None:
        box = asked(
            events.ReplyAudio("r1"),
            events.ReplyAudible("r1"),
            events.SpeechBegan(),
            events.SpeechEnded(),
            events.ReplyBegan("r2"),
        )
        box.happens(events.ReplyEnded("r2", "completed"))
        assert box.outcomes == [Outcome.EMPTY_ANSWER]

    def test_a_reply_of_silence_is_heard_by_nobody(self) -> None:
        box = asked(events.ReplyAudio("r1", silent=True), events.ReplyEnded("r1", "completed"))
        box.heard_to_its_end("r1")
        assert box.outcomes == [Outcome.EMPTY_ANSWER] and box.sounds[-1] is Sound.SORRY

    def test_silence_before_words_is_part_of_an_answer(self) -> None:
        box = asked(events.ReplyAudio("r1", silent=True), events.ReplyAudio("r1"), events.ReplyEnded("r1", "completed"))
        box.heard_to_its_end("r1")
        assert box.state() is State.ENDING

    @staticmethod
    def ask_in_vain(box: Box, how: str) -> None:
        box.ask()
        box.happens(events.SpeechEnded())
        if how == "no reply":
            box.passes(TIMES.answer_s)
            return
        box.happens(events.ReplyBegan("r1"))
        box.passes(1)
        if how == "silence":
            box.happens(events.ReplyAudio("r1", silent=True))
        box.happens(events.ReplyEnded("r1", "failed" if how == "failed" else "completed"), events.ReplyDrained("r1"))

    @pytest.mark.parametrize("first", ["empty", "failed", "silence", "no reply"])
    @pytest.mark.parametrize("second", ["empty", "failed", "silence", "no reply"])
    def test_a_session_that_answers_nothing_twice_is_replaced(self, first: str, second: str) -> None:
        box = Box(Mode.HOLD)
        self.ask_in_vain(box, first)
        assert not box.did(turn_effects.CloseSession)
        self.ask_in_vain(box, second)
        (closed,) = box.did(turn_effects.CloseSession)
        assert isinstance(closed, turn_effects.CloseSession) and str(MOST_UNANSWERED) in closed.reason

    def test_an_answer_between_them_shows_that_the_session_is_well(self) -> None:
        box = Box(Mode.HOLD)
        self.ask_in_vain(box, "empty")
        box.ask()
        box.answer_begins("r2")
        box.answer_ends("r2")
        box.heard_to_its_end("r2")
        self.ask_in_vain(box, "empty")
        assert not box.did(turn_effects.CloseSession)


class TestReplays:
    @pytest.mark.parametrize("event", [events.LinkLost(), events.LinkFailed()])
    @pytest.mark.parametrize("mode", [Mode.HOLD, Mode.TAP])
    def test_a_whole_answer_is_played_though_the_line_is_gone(self, event: events.Event, mode: Mode) -> None:
        box = Box(mode)
        if mode is Mode.TAP:
            box.press()
            box.release()
            box.happens(events.SpeechBegan())
            box.passes(1)
            box.happens(events.SpeechEnded())
        else:
            box.ask()
        box.happens(events.ReplyBegan("r1"), events.ReplyAudio("r1"), events.ReplyEnded("r1", "completed"))
        assert box.state() is State.WAITING
        box.forget()
        box.happens(event)
        assert (
            box.did(turn_effects.LeaveSession)
            and not box.did(turn_effects.Connect)
            and not box.did(turn_effects.RewindUtterance)
        )
        box.passes(TIMES.settle_s)
        assert box.state() is State.SPEAKING
        box.heard_to_its_end("r1")
        assert box.outcomes == [Outcome.ANSWERED] and Sound.SORRY not in box.sounds

    def test_half_an_answer_that_was_lost_says_nothing_of_what_is_asked_after_it(self) -> None:
        """The person goes on speaking over it, on a new connection: what answers that is no part of the lost one."""
        box = Box(Mode.TAP, settle_s=0.0)
        box.press()
        box.release()
        box.happens(events.SpeechBegan())
        box.passes(1)
        box.happens(events.SpeechEnded(), events.ReplyBegan("r1"), events.ReplyAudio("r1"), events.ReplyAudible("r1"))
        assert box.state() is State.SPEAKING
        box.happens(events.LinkLost(), events.LinkReady(), events.SpeechBegan())
        box.passes(1)
        box.happens(events.SpeechEnded(), events.ReplyBegan("r2"))
        assert box.state() is State.WAITING and not box.outcomes
        box.happens(events.ReplyAudio("r2"), events.ReplyEnded("r2", "completed"))
        box.heard_to_its_end("r2")
        box.passes(10)
        assert box.outcomes == [Outcome.ANSWERED]

    @pytest.mark.parametrize("status", ["", "failed", "incomplete"])
    def test_half_an_answer_that_nobody_heard_is_asked_for_again(self, status: str) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.happens(events.SpeechEnded(), events.ReplyBegan("r1"), events.ReplyAudio("r1"))
        if status:
            box.happens(events.ReplyEnded("r1", status))
        box.happens(events.LinkLost())
        assert box.state() is State.SENDING and box.did(turn_effects.RewindUtterance)

    def test_after_three_replays_a_question_is_given_up(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        for _ in range(MOST_REPLAYS):
            box.passes(BROKE_ON_COMMIT_S + 0.1)
            box.happens(events.LinkLost())
            assert box.state() is State.SENDING
            box.happens(events.LinkReady(), events.UtteranceSent())
        box.happens(events.LinkLost())
        assert box.outcomes == [Outcome.LOST_AGAIN] and box.sounds[-1] is Sound.SORRY

    def test_after_a_connection_that_broke_on_our_commit_silence_alone_ends_the_question(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        assert box.did(turn_effects.Commit)
        box.passes(0.2)
        box.happens(events.LinkLost())
        box.forget()
        box.happens(events.LinkReady(), events.SpeechBegan(), events.UtteranceSent())
        box.passes(TIMES.nudge_s + 1)
        assert (
            box.did(turn_effects.StartSilence) and not box.did(turn_effects.Commit) and not box.did(turn_effects.Nudge)
        )
        box.answer_begins()
        assert box.state() is State.SPEAKING

    @pytest.mark.parametrize("answers", [True, False])
    def test_a_service_that_breaks_on_our_commits_breaks_once(self, answers: bool) -> None:
        """As long as silence alone brings answers; a line that broke by chance at that moment costs one question."""
        box = Box(Mode.HOLD)
        box.ask()
        box.passes(0.2)
        box.happens(events.LinkLost(), events.LinkReady(), events.SpeechBegan(), events.UtteranceSent())
        box.passes(0.5)
        if answers:
            box.answer_begins()
            box.answer_ends()
            box.heard_to_its_end("r1")
            box.passes(TIMES.tool_reply_s)
        else:
            box.passes(TIMES.answer_s)
        assert box.outcomes == [Outcome.ANSWERED if answers else Outcome.NO_ANSWER]
        box.forget()
        box.ask()
        assert bool(box.did(turn_effects.Commit)) is not answers

    def test_a_word_of_the_service_after_the_commit_shows_that_it_took_it(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.passes(0.2)
        box.happens(events.SpeechEnded(), events.LinkLost())
        box.forget()
        box.happens(events.LinkReady(), events.SpeechBegan(), events.UtteranceSent())
        assert box.did(turn_effects.Commit)


class TestLostSessions:
    def test_while_listening_nothing_is_lost(self) -> None:
        box = Box(Mode.HOLD)
        box.press()
        box.passes(1)
        box.happens(events.SpeechBegan(), events.LinkLost())
        assert box.state() is State.LISTENING
        box.forget()
        box.happens(events.LinkReady())
        assert box.did(turn_effects.OpenTurn) and box.did(turn_effects.RewindUtterance)

    def test_while_waiting_everything_is_sent_again(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.passes(BROKE_ON_COMMIT_S + 0.1)
        box.forget()
        box.happens(events.LinkLost())
        assert box.state() is State.SENDING and box.did(turn_effects.Connect) and box.did(turn_effects.StopSilence)
        box.happens(events.LinkReady(), events.UtteranceSent())
        assert box.state() is State.WAITING
        assert len(box.did(turn_effects.Commit)) == 1, "the new session has heard nothing of the turn's end"

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
            box.happens(events.SendingProgress(float(left_s)))
        assert box.state() is State.SENDING
        box.happens(events.UtteranceSent())
        assert box.state() is State.WAITING

    def test_a_line_that_is_much_too_slow_is_given_up_in_the_end(self) -> None:
        box = Box(Mode.HOLD)
        box.hold()
        for _ in range(int(TIMES.keep_s) + 1):
            box.passes(1.0)
            box.happens(events.SendingProgress(30.0))
        assert box.outcomes == [Outcome.STALE] and box.sounds[-1] is Sound.SORRY

    def test_a_line_that_stops_moving_is_given_up(self) -> None:
        box = Box(Mode.HOLD)
        box.hold()
        box.passes(TIMES.stale_s - 1)
        box.happens(events.SendingProgress(1.0))
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
            box.happens(events.SendingProgress(behind_s))
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
        box.happens(events.ReplyAudible("r1"), events.LinkLost())
        assert box.state() is State.SPEAKING, "what is buffered is played"
        box.happens(events.ReplyDrained("r1"))
        assert box.outcomes == [Outcome.ANSWERED if done else Outcome.LINK_LOST]
        assert (Sound.SORRY in box.sounds) is not done

    @pytest.mark.parametrize("ask", [Box.press, Box.hold, Box.ask])
    def test_a_refusal_ends_the_turn(self, ask: Callable[[Box], object]) -> None:
        box = Box(Mode.HOLD)
        ask(box)
        box.happens(events.LinkFailed())
        assert box.state() is State.READY and box.outcomes == [Outcome.REFUSED] and box.sounds[-1] is Sound.ERROR


class TestNothingIsStuck:
    def test_a_reply_that_stops_arriving(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.answer_begins()
        box.happens(events.ReplyAudible("r1"))
        box.passes(TIMES.no_progress_s)
        assert box.outcomes == [Outcome.STALLED] and box.state() is State.READY

    def test_an_empty_answer(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.happens(events.SpeechEnded(), events.ReplyBegan("r1"))
        box.passes(1)
        box.answer_ends()
        assert box.outcomes == [Outcome.EMPTY_ANSWER] and box.sounds[-1] is Sound.SORRY

    def test_a_reply_the_service_takes_back(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.happens(events.SpeechEnded(), events.ReplyBegan("r1"), events.ReplyEnded("r1", "cancelled"))
        box.passes(1)
        box.answer_begins("r2")
        assert box.state() is State.SPEAKING

    def test_abandoned_in_the_middle_of_speech_closes_the_session(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.happens(events.Stop())
        assert box.did(turn_effects.CloseSession) and not box.did(turn_effects.Clear)

    @pytest.mark.parametrize("how", ["stop", "press"])
    def test_a_reply_that_begins_ends_the_speech_of_a_service_that_forgets_to(self, how: str) -> None:
        """Else whatever stops the answer would close a session in which nothing is wrong."""
        box = Box(Mode.HOLD)
        box.ask()
        box.happens(events.ReplyBegan("r1"))
        if how == "stop":
            box.happens(events.Stop())
        else:
            box.press()
            box.passes(TIMES.tap_max_s)
            assert box.machine.number == 2
        assert not box.did(turn_effects.CloseSession) and box.did(turn_effects.CancelReply)

    def test_a_held_tap_is_answered_by_a_service_that_forgets_to_say_that_it_heard_the_end(self) -> None:
        box = taps(Mode.TAP)
        box.happens(events.SpeechBegan())
        box.passes(2)
        box.happens(events.ReplyBegan("r1"), events.ReplyAudio("r1"))
        box.passes(TIMES.settle_s)
        assert box.state() is State.SPEAKING

    @pytest.mark.parametrize("late", [0.0, TIMES.nudge_s + 1])
    def test_a_microphone_that_was_live_for_too_long_leaves_silence_behind(self, late: float) -> None:
        """Else nothing would ever end a ``speech_started`` that comes then."""
        box = taps(Mode.TAP)
        box.happens(events.SpeechBegan())
        box.passes(TIMES.max_hold_s - 3)
        box.happens(events.SpeechEnded())
        box.forget()
        box.passes(3)
        assert (
            box.state() is State.WAITING and box.did(turn_effects.EndUtterance) and box.did(turn_effects.StartSilence)
        )
        box.passes(late)
        assert not box.did(turn_effects.Commit) and not box.did(turn_effects.Nudge)
        box.happens(events.SpeechBegan())
        assert len(box.did(turn_effects.Commit)) == 1
        box.passes(TIMES.nudge_s)
        assert len(box.did(turn_effects.Nudge)) == 1

    def test_the_microphone_lost_while_speaking_to_it(self) -> None:
        box = Box(Mode.HOLD)
        box.press()
        box.passes(1)
        box.happens(events.MicrophoneLost())
        assert box.outcomes == [Outcome.NO_MICROPHONE] and box.sounds[-1] is Sound.SORRY

    def test_lost_while_the_tail_is_awaited_the_question_ends_with_what_is_there(self) -> None:
        box = Box(Mode.HOLD)
        box.hold()
        assert not box.did(turn_effects.CutUtterance)
        box.happens(events.MicrophoneLost())
        assert box.state() is State.SENDING and len(box.did(turn_effects.CutUtterance)) == 1
        box.happens(events.UtteranceSent())
        assert box.state() is State.WAITING and not box.outcomes

    @pytest.mark.parametrize("sent", [False, True])
    def test_a_hold_while_the_answer_is_awaited_asks_nothing_of_a_microphone_that_is_gone(self, sent: bool) -> None:
        box = Box(Mode.HOLD)
        box.hold()
        if sent:
            box.passes(TIMES.release_tail_s)
            box.happens(events.UtteranceSent())
        before = box.state()
        box.happens(events.MicrophoneLost())
        box.forget()
        box.press()
        box.passes(TIMES.tap_max_s)
        assert box.state() is before and box.machine.number == 1 and not box.outcomes, "what was asked is answered"
        assert box.sounds == [Sound.ERROR]

    def test_an_answer_that_fails_to_come_says_so_to_a_hold_that_nobody_could_hear(self) -> None:
        box = Box(Mode.HOLD)
        box.ask()
        box.happens(events.MicrophoneLost())
        box.passes(TIMES.answer_s - 0.1)
        box.press()
        box.passes(0.2)
        assert box.state() is State.READY and box.outcomes == [Outcome.NO_ANSWER] and box.sounds[-1] is Sound.SORRY

    def test_lost_after_a_tapped_question_zeros_take_its_place(self) -> None:
        box = Box(Mode.TAP)
        box.press()
        box.passes(0.1)
        box.release()
        box.happens(events.SpeechBegan())
        box.passes(2)
        box.happens(events.SpeechEnded())
        assert box.state() is State.WAITING and not box.did(turn_effects.EndUtterance)
        box.happens(events.MicrophoneLost())
        assert (
            box.did(turn_effects.EndUtterance)
            and box.did(turn_effects.CutUtterance)
            and box.did(turn_effects.StartSilence)
        )
        box.happens(events.SpeechBegan())
        assert box.state() is State.WAITING, "what the service hears late was said before; nobody can go on"
        box.happens(events.SpeechEnded(), events.ReplyBegan("r1"))
        box.passes(0.5)
        box.happens(events.ReplyAudio("r1"))
        assert box.state() is State.SPEAKING

    def test_late_speech_started_during_an_answer_opens_no_microphone_that_is_gone(self) -> None:
        box = Box(Mode.TAP)
        box.press()
        box.passes(0.1)
        box.release()
        box.happens(events.SpeechBegan())
        box.passes(2)
        box.answer_begins()
        box.happens(events.MicrophoneLost(), events.SpeechBegan())
        assert box.state() is State.WAITING and box.did(turn_effects.DropReply) and box.did(turn_effects.StartSilence)


class TestHandsFree:
    def spoken_to(self, *, link: bool = True) -> Box:
        """Somebody has been speaking for 0.4 s."""
        box = Box(Mode.OPEN, link=link)
        box.happens(events.GateOpened(box.now_s - 0.4))
        return box

    def answered(self) -> Box:
        box = self.spoken_to()
        box.happens(events.SpeechBegan())
        box.passes(2)
        box.answer_begins()
        box.answer_ends()
        box.happens(events.ReplyAudible("r1"))
        box.passes(TIMES.tool_reply_s)
        box.happens(events.ReplyDrained("r1"))
        return box

    def test_a_voice_opens_a_turn_from_where_it_began_and_without_a_sound(self) -> None:
        box = self.spoken_to()
        assert box.state() is State.LISTENING and not box.sounds
        assert box.effects[-1] == turn_effects.OpenUplink() and turn_effects.Connect() in box.effects
        assert box.did(turn_effects.BeginUtterance) == [turn_effects.BeginUtterance(box.now_s - 0.4)]

    def test_the_service_ends_it_and_the_microphone_is_live_until_the_reply_sounds(self) -> None:
        box = self.spoken_to()
        box.happens(events.SpeechBegan())
        box.passes(2)
        box.happens(events.SpeechEnded())
        assert box.state() is State.WAITING and not box.did(turn_effects.EndUtterance)
        box.passes(0.5)
        box.happens(events.ReplyBegan("r1"), events.ReplyAudio("r1"))
        assert box.state() is State.SPEAKING and box.did(turn_effects.EndUtterance) and not box.did(turn_effects.Commit)

    def test_nobody_spoke_is_no_fault_and_no_sorry(self) -> None:
        box = self.spoken_to()
        box.passes(TIMES.no_speech_s)
        assert box.state() is State.READY and not box.sounds and box.outcomes == [Outcome.NO_SPEECH]
        assert box.did(turn_effects.Clear)

    def test_what_is_said_soon_after_the_answer_needs_no_invite(self) -> None:
        box = self.answered()
        assert box.state() is State.EXPECTING and box.outcomes == [Outcome.ANSWERED]
        box.passes(TIMES.follow_up_s - 0.1)
        box.happens(events.GateOpened(box.now_s))
        assert box.state() is State.LISTENING and box.machine.number == 2
        box.passes(TIMES.follow_up_s)
        assert box.state() is State.READY, "only its own deadlines count now"

    def test_then_it_invites_again(self) -> None:
        box = self.answered()
        box.passes(TIMES.follow_up_s)
        assert box.state() is State.READY and box.machine.next_deadline_s is None

    @pytest.mark.parametrize("event", [events.Stop(), events.MicrophoneLost(), events.LinkFailed()])
    def test_nothing_more_is_expected_when_nobody_could_be_heard(self, event: events.Event) -> None:
        box = self.answered()
        box.happens(event)
        assert box.state() is State.READY and box.machine.next_deadline_s is None

    def test_a_voice_while_a_turn_is_open_opens_nothing(self) -> None:
        box = self.spoken_to()
        box.forget()
        box.happens(events.GateOpened(box.now_s))
        assert not box.effects and box.machine.number == 1

    def test_without_a_microphone_nothing_opens(self) -> None:
        box = Box(Mode.OPEN, microphone=False)
        box.happens(events.GateOpened(box.now_s))
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
        box.happens(events.SpeechBegan())
        box.passes(2)
        box.answer_begins()
        box.press()
        assert (
            box.state() is State.EXPECTING and box.did(turn_effects.DropReply) and box.outcomes == [Outcome.INTERRUPTED]
        )
        box.release()
        box.passes(1)
        box.happens(events.GateOpened(box.now_s))
        assert box.state() is State.LISTENING

    def test_a_voice_over_the_answer_ends_it_and_opens_the_next_turn(self) -> None:
        box = self.spoken_to()
        box.happens(events.SpeechBegan())
        box.passes(2)
        box.answer_begins()
        box.happens(events.TalkedOver())
        assert box.state() is State.EXPECTING and box.outcomes == [Outcome.TALKED_OVER]
        assert box.did(turn_effects.DropReply) and box.did(turn_effects.CancelReply)
        box.happens(events.GateOpened(box.now_s))
        assert box.state() is State.LISTENING

    def answered_aloud(self) -> Box:
        box = self.spoken_to()
        box.happens(events.SpeechBegan())
        box.passes(2)
        box.answer_begins()
        return box

    def test_something_over_the_answer_pauses_it_and_nobody_lets_it_go_on(self) -> None:
        box = self.answered_aloud()
        box.happens(events.InterruptionSuspected())
        assert box.state() is State.SPEAKING and box.machine.paused
        assert box.did(turn_effects.PauseReply) and not box.did(turn_effects.DropReply)
        box.forget()
        box.passes(CONFIRM_S - 0.01)
        assert not box.did(turn_effects.PlayReply)
        box.passes(0.02)
        assert box.did(turn_effects.PlayReply) and not box.machine.paused and box.state() is State.SPEAKING

    def test_a_second_suspicion_while_it_is_paused_pauses_no_longer(self) -> None:
        box = self.answered_aloud()
        box.happens(events.InterruptionSuspected())
        box.passes(CONFIRM_S / 2)
        box.forget()
        box.happens(events.InterruptionSuspected())
        assert not box.did(turn_effects.PauseReply)
        box.passes(CONFIRM_S / 2 + 0.01)
        assert box.did(turn_effects.PlayReply)

    def test_a_voice_ends_the_paused_answer_for_good(self) -> None:
        box = self.answered_aloud()
        box.happens(events.InterruptionSuspected())
        box.happens(events.TalkedOver())
        assert box.outcomes == [Outcome.TALKED_OVER] and not box.machine.paused
        box.forget()
        box.passes(2 * CONFIRM_S)
        assert not box.did(turn_effects.PlayReply)

    def test_a_press_ends_the_paused_answer(self) -> None:
        box = self.answered_aloud()
        box.happens(events.InterruptionSuspected())
        box.press()
        assert box.outcomes == [Outcome.INTERRUPTED] and not box.machine.paused

    def test_a_press_ends_the_question_of_a_voice(self) -> None:
        box = self.spoken_to()
        box.happens(events.SpeechBegan())
        box.passes(2)
        box.press()
        assert box.state() is State.SENDING
