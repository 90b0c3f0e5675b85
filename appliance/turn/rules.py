"""The rules of the turn machine: what is done when something happens, and which state follows.

Each rule takes the conversation, the event (None for a deadline) and the time, and returns the next state.
``machine.py`` says which rule serves which state. Those of replies and tools stand in ``reply_rules.py``, those
of a connection or a microphone that comes or goes in ``part_rules.py``.
Decisions by their number: ``appliance/README.md``.
"""

from __future__ import annotations

from typing import Final

from . import effects, events, reply_rules
from .context import Context
from .states import Deadline, Mode, Outcome, Sound, State

CONFIRM_S: Final = 1.0
"""So long an answer is silent for somebody who may be speaking: the voice gate is certain within 0.7 s of a voice's
beginning (``audio/gate.py``, DECISION_S), and hears it in pieces."""

# ------------------------------------------------------------ the person


def press_ready(c: Context, event: events.Press, now_s: float) -> State:
    if not c.microphone_ready:
        c.do(effects.PlayEarcon(Sound.ERROR))
        return State.READY
    return c.open_turn(event.at_s, now_s)


def gate_opened(c: Context, event: events.GateOpened, now_s: float) -> State:
    return c.open_turn(event.at_s, now_s, by_voice=True) if c.microphone_ready else c.state


def stand_down(c: Context, _: events.Event | None, now_s: float) -> State:
    """Nobody goes on, or nobody could be heard."""
    c.cancel(Deadline.FOLLOW_UP)
    return State.READY


def press_listening(c: Context, event: events.Press, now_s: float) -> State:
    turn = c.turn
    if turn.service_ends and event.at_s - turn.pressed_s >= c.settings.second_tap_s:
        state = end_utterance(c, event.at_s, now_s)
        if c.settings.mode is Mode.AUTO:
            # Perhaps no second tap, but a hold by somebody whose first press was a mistake: then the turn goes on.
            press_pending(c, event, now_s)
        return state
    if c.settings.mode is Mode.AUTO:
        turn.pressed_s = event.at_s
        c.cancel(Deadline.NO_SPEECH, Deadline.GREETING)
    return State.LISTENING


def release_listening(c: Context, event: events.Release, now_s: float) -> State:
    settings, turn = c.settings, c.turn
    held_s = event.at_s - turn.pressed_s
    if settings.mode is Mode.HOLD and not turn.uplink:
        c.do(effects.HintHold())
        return c.close_turn(Outcome.TOO_SHORT)
    if settings.mode is Mode.AUTO and held_s < settings.tap_max_s:
        turn.service_ends = True
        c.await_speech(now_s)
    elif not turn.service_ends or settings.mode is Mode.AUTO:
        return end_utterance(c, event.at_s, now_s)
    if turn.service_spoke and not turn.in_speech:
        # The service ended the turn while the finger was still down.
        return reply_rules.service_ended(c, now_s)
    return State.LISTENING


def end_utterance(c: Context, at_s: float, now_s: float) -> State:
    """The person has finished; the tail catches a last syllable spoken while letting go."""
    turn = c.turn
    turn.ended_s = at_s + c.settings.release_tail_s
    if not turn.uplink:
        c.open_uplink()
    c.cancel(Deadline.MAX_HOLD, Deadline.HOLD_WARNING, Deadline.NO_SPEECH, Deadline.GREETING, Deadline.UPLINK)
    c.set(Deadline.STALE, max(turn.ended_s + c.settings.stale_s, now_s))
    c.do(effects.EndUtterance(turn.ended_s))
    return State.SENDING


def press_pending(c: Context, event: events.Press, now_s: float) -> State:
    """A press while the answer is awaited only acknowledges, until it has lasted as long as a real hold."""
    c.pending_press_s = event.at_s
    c.set(Deadline.LONG_PRESS, event.at_s + c.settings.tap_max_s)
    return c.state


def release_pending(c: Context, event: events.Release, now_s: float) -> State:
    c.cancel(Deadline.LONG_PRESS)
    return reply_rules.proceed(c, now_s)


def long_press(c: Context, _: None, now_s: float) -> State:
    turn = c.turn
    if not c.microphone_ready:
        # Nobody would be heard, and what was asked before is complete: it is answered.
        c.do(effects.PlayEarcon(Sound.ERROR))
        return c.state
    pressed_s = c.pending_press_s
    if turn.ended_s is not None and not turn.end_noticed and turn.reply is None and not turn.tool_ran:
        # Decision 1: the service still takes it for one utterance, so it is one turn.
        turn.pressed_s, turn.service_ends, turn.ended_s, turn.sent_s = pressed_s, False, None, None
        turn.committed_all = False
        c.cancel(Deadline.STALE, Deadline.ANSWER, Deadline.NUDGE)
        c.do(effects.StopSilence(), effects.ResumeUtterance(pressed_s))
        c.bound_hold(pressed_s)
        return State.LISTENING
    c.abandon(Outcome.INTERRUPTED, next_s=pressed_s)
    return c.open_turn(pressed_s, now_s)


def lifted(c: Context, event: events.Lifted, now_s: float) -> State:
    """What only a longer press brings about waits until it is certain that this one has not ended."""
    certain_s = event.at_s + 2 * c.settings.debounce_s
    for deadline in (Deadline.UPLINK, Deadline.LONG_PRESS):
        if deadline in c.deadlines:
            c.set(deadline, max(c.deadlines[deadline], certain_s))
    return c.state


def press_speaking(c: Context, event: events.Press, now_s: float) -> State:
    c.close_turn(Outcome.INTERRUPTED)
    if c.settings.mode is Mode.OPEN:
        # Silence is all that is asked of a button there; whoever wants to go on speaks.
        return c.expect_more(now_s)
    return press_ready(c, event, now_s)


def interruption_suspected(c: Context, _: events.InterruptionSuspected, now_s: float) -> State:
    if Deadline.DISMISSED not in c.deadlines and c.turn.playing:
        c.do(effects.PauseReply())
        c.set(Deadline.DISMISSED, now_s + CONFIRM_S)
    return State.SPEAKING


def interruption_dismissed(c: Context, _: None, now_s: float) -> State:
    c.do(effects.PlayReply())
    return State.SPEAKING


def talked_over(c: Context, _: events.TalkedOver, now_s: float) -> State:
    c.close_turn(Outcome.TALKED_OVER)
    return c.expect_more(now_s)


def press_ending(c: Context, event: events.Press, now_s: float) -> State:
    reply_rules.answered(c, None, now_s)
    return press_ready(c, event, now_s)


def gate_opened_ending(c: Context, event: events.GateOpened, now_s: float) -> State:
    c.state = reply_rules.answered(c, None, now_s)
    return gate_opened(c, event, now_s)


def stop_ending(c: Context, _: events.Stop | events.LinkFailed, now_s: float) -> State:
    return c.close_turn(Outcome.ANSWERED)


def stop(c: Context, _: events.Stop, now_s: float) -> State:
    return c.abandon(Outcome.STOPPED)


# ------------------------------------------------------------ deadlines while a person speaks


def hold_is_real(c: Context, _: None, now_s: float) -> State:
    c.open_uplink()
    return State.LISTENING


def warn_long_hold(c: Context, _: None, now_s: float) -> State:
    c.do(effects.WarnLongHold())
    return State.LISTENING


def hold_too_long(c: Context, _: None, now_s: float) -> State:
    if c.button_down:
        # It counts as up from here on: a stuck button must not keep the answer back.
        c.button_down = False
        c.do(effects.ReportJam())
    return end_utterance(c, now_s, now_s)


def live_too_long(c: Context, _: None, now_s: float) -> State:
    """The service ended the turn but has not answered: what the microphone hears since is not kept for ever."""
    silence_for_microphone(c, now_s)
    return State.WAITING


def nobody_spoke(c: Context, _: None, now_s: float) -> State:
    if c.turn.service_spoke or not c.link_up:
        # Without a session nobody listens for speech; max_hold_s bounds the wait.
        return State.LISTENING
    return c.abandon(Outcome.NO_SPEECH)


def greet(c: Context, _: None, now_s: float) -> State:
    """Somebody is there and says nothing. The answer to that is the greeting, a reply like any other."""
    turn = c.turn
    if c.link_up and not turn.service_spoke and not turn.spoken_of_before:
        c.unused = False
        c.set(Deadline.NO_SPEECH, now_s + c.settings.no_speech_s)
        c.do(effects.Nudge())
    return State.LISTENING


# ------------------------------------------------------------ the end of an utterance


def utterance_sent(c: Context, _: events.UtteranceSent, now_s: float) -> State:
    turn, settings = c.turn, c.settings
    turn.sent_s = now_s
    c.cancel(Deadline.STALE)
    c.set(Deadline.ANSWER, now_s + settings.answer_s)
    c.do(effects.StartSilence(), effects.PlayEarcon(Sound.SENT))
    if turn.reply is None:
        tell_the_end(c, now_s)
    c.state = State.WAITING
    return reply_rules.proceed(c, now_s)


def sending_listening(c: Context, event: events.SendingProgress, now_s: float) -> State:
    """On a slow line the service hears everything so much later: it has not missed what it was not sent."""
    if Deadline.NO_SPEECH in c.deadlines:
        late_s = c.turn.pressed_s + c.settings.no_speech_s + event.behind_s
        c.set(Deadline.NO_SPEECH, max(c.deadlines[Deadline.NO_SPEECH], late_s))
    return State.LISTENING


def sending_goes_on(c: Context, _: events.SendingProgress, now_s: float) -> State:
    """A question that is leaving is not stale, however slowly it leaves, within the time that is kept for it."""
    settings, ended_s = c.settings, c.turn.ended_s
    if ended_s is not None and Deadline.STALE in c.deadlines:
        until_s = min(now_s + settings.no_progress_s, ended_s + settings.keep_s)
        c.set(Deadline.STALE, max(c.deadlines[Deadline.STALE], until_s))
    return State.SENDING


def tell_the_end(c: Context, now_s: float) -> None:
    """All is said, and no reply has begun: have the service notice."""
    turn = c.turn
    if turn.silence_alone:
        return
    # Decision 4: at most once a turn, and only if the service is in speech or has said nothing at all.
    if not turn.committed and (turn.in_speech or not turn.service_spoke):
        turn.committed = turn.committed_all = turn.commit_unanswered = True
        turn.committed_s = now_s
        c.do(effects.Commit())
    c.set(Deadline.NUDGE, now_s + c.settings.nudge_s)


def nudge(c: Context, _: None, now_s: float) -> State:
    turn = c.turn
    if turn.reply is None and not turn.end_noticed:
        c.do(effects.Nudge())
    return State.WAITING


def nothing_heard(c: Context, _: events.NothingHeard, now_s: float) -> State:
    """Who held the button waits for something, and nothing will come: sorry, now and not when ANSWER is due.

    A service that has ever said anything of this turn has heard somebody, whatever its turn detection left for the
    commit. What was added after the commit it has not judged. And who tapped waits for nothing: ready, no sorry
    (decision 6), and the service is not asked to answer nobody.
    """
    turn = c.turn
    if turn.service_spoke or turn.spoken_of_before or not turn.committed_all:
        return State.WAITING
    return _give_up(c, Outcome.NO_SPEECH, now_s, None if turn.service_ends else Sound.SORRY)


def stale(c: Context, _: None, now_s: float) -> State:
    return _give_up(c, Outcome.STALE, now_s)


def no_answer(c: Context, _: None, now_s: float) -> State:
    return _give_up(c, Outcome.NO_ANSWER, now_s)


def _give_up(c: Context, outcome: Outcome, now_s: float, sound: Sound | None = Sound.SORRY) -> State:
    """Say sorry; or, when the person has already begun to press for a new question, take that one."""
    if Deadline.LONG_PRESS not in c.deadlines or not c.microphone_ready:
        return c.abandon(outcome, sound)
    pressed_s = c.pending_press_s
    c.abandon(outcome, next_s=pressed_s)
    return c.open_turn(pressed_s, now_s)


# ------------------------------------------------------------ what the service hears


def speech_began(c: Context, _: events.SpeechBegan, now_s: float) -> State:
    """Decision 2: whatever was held or unplayed is an answer to half a question."""
    turn = c.turn
    note_speech(c)
    c.cancel(Deadline.NO_SPEECH, Deadline.GREETING)
    reply_taken_back = turn.reply is not None
    c.drop_reply(cancel=False)
    if c.state is State.WAITING and turn.ended_s is None:
        # The person goes on after a pause, and the microphone is still live.
        turn.sent_s = None
        c.cancel(Deadline.ANSWER)
        return State.LISTENING
    if c.state is State.WAITING and reply_taken_back:
        await_the_answer_again(c, now_s)
    elif c.state is State.WAITING and not turn.committed:
        # It hears late what is over: silence follows already, and a service that needs a word has had none.
        tell_the_end(c, now_s)
    return c.state


def note_speech(c: Context) -> None:
    turn = c.turn
    turn.in_speech = turn.service_spoke = True
    turn.end_noticed = turn.commit_unanswered = False
    # What was heard answered half a question.
    turn.answered = turn.broken = False


def await_the_answer_again(c: Context, now_s: float) -> None:
    """The reply that ended the zeros answered half a question, whose other half the service only hears now."""
    c.do(effects.StartSilence())
    tell_the_end(c, now_s)
    c.set(Deadline.ANSWER, now_s + c.settings.answer_s)


def speech_began_speaking(c: Context, _: events.SpeechBegan, now_s: float) -> State:
    turn = c.turn
    note_speech(c)
    c.drop_reply(cancel=False)
    if turn.service_ends and c.microphone_ready:
        turn.ended_s = turn.sent_s = None
        turn.pressed_s = now_s
        c.do(effects.ResumeUtterance(now_s))
        c.bound_hold(now_s)
        return State.LISTENING
    await_the_answer_again(c, now_s)
    return State.WAITING


def speech_ended(c: Context, _: events.SpeechEnded, now_s: float) -> State:
    turn = c.turn
    turn.in_speech = turn.commit_unanswered = False
    turn.service_spoke = True
    if turn.ended_s is not None:
        turn.end_noticed = True
    return c.state


def speech_ended_listening(c: Context, event: events.SpeechEnded, now_s: float) -> State:
    speech_ended(c, event, now_s)
    if c.turn.service_ends and not c.button_down:
        return reply_rules.service_ended(c, now_s)
    return State.LISTENING


def silence_for_microphone(c: Context, now_s: float) -> None:
    """A live microphone ends in the wait: the service goes on hearing silence, and is told that this was all."""
    turn = c.turn
    reply_rules.end_live(c, now_s)
    if turn.reply is None or not turn.reply.has_audio:
        c.do(effects.StartSilence())
    if turn.reply is None:
        tell_the_end(c, now_s)
