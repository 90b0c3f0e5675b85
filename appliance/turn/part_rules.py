"""The rules of the turn machine for what a turn is made with: the connection and the microphone, which come and go.

``rules.py`` says how to read them. Decisions by their number: ``appliance/README.md``.
"""

from __future__ import annotations

from . import effects, events, reply_rules, rules
from .context import BROKE_ON_COMMIT_S, MOST_REPLAYS, Context
from .states import Deadline, Outcome, Sound, State


def link_ready(c: Context, _: events.LinkReady, now_s: float) -> State:
    """A new session knows nothing of this turn: everything is sent, and judged, from its start."""
    turn = c.turn
    turn.leave_session()
    turn.committed = turn.committed_all = turn.commit_unanswered = False
    c.do(effects.OpenTurn(c.number), effects.RewindUtterance())
    if turn.service_ends and c.state is State.LISTENING:
        c.await_speech(now_s)
    return c.state


def link_lost(c: Context, _: events.LinkLost, now_s: float) -> State:
    """Decision 8: a whole answer is played; without one the question is asked again, unless that would do something
    twice, or has been done too often."""
    turn = c.turn
    if c.state is State.WAITING and turn.complete:
        return keep_answer(c, now_s)
    if turn.heard or turn.tool_ran:
        return c.close_turn(Outcome.LINK_LOST, Sound.SORRY)
    if turn.commit_unanswered and now_s <= turn.committed_s + BROKE_ON_COMMIT_S:
        turn.silence_alone = True
    turn.leave_session()
    c.drop_reply(cancel=False)
    if c.state is not State.LISTENING:
        turn.replays += 1
        if turn.replays > MOST_REPLAYS:
            return c.close_turn(Outcome.LOST_AGAIN, Sound.SORRY)
    c.do(effects.StopSilence(), effects.RewindUtterance(), effects.Connect())
    if c.state is State.LISTENING:
        return State.LISTENING
    if turn.ended_s is None:
        reply_rules.end_live(c, now_s)
    turn.sent_s = None
    c.cancel(Deadline.ANSWER, Deadline.NUDGE)
    c.set(Deadline.STALE, max((turn.ended_s or now_s) + c.settings.stale_s, now_s))
    return State.SENDING


def keep_answer(c: Context, now_s: float) -> State:
    """The connection is gone and the answer is here, held back for a moment. ANSWER goes on: it ends a wait for a
    button that is never let go."""
    c.cancel(Deadline.NUDGE)
    if c.turn.ended_s is None:
        # A live microphone has nobody to listen to it.
        reply_rules.end_live(c, now_s)
    c.do(effects.StopSilence(), effects.LeaveSession())
    return reply_rules.proceed(c, now_s)


def link_lost_speaking(c: Context, _: events.LinkLost | events.LinkFailed, now_s: float) -> State:
    """Play what is here; say sorry only if something is missing (decision 8)."""
    turn = c.turn
    if turn.tools_running:
        turn.tools_running = False
        c.do(effects.AbortTools())
        turn.broken = True
    if turn.reply is None or not turn.reply.done or turn.awaiting_continuation or turn.calls:
        turn.broken = True
    turn.calls.clear()
    turn.awaiting_continuation = False
    c.cancel(Deadline.GATHER, Deadline.TOOL_REPLY)
    if turn.reply is not None:
        # Its session is gone: there is nothing left to cancel.
        turn.reply.done = True
    c.do(effects.LeaveSession())
    return reply_rules.end_if_complete(c, now_s)


def link_failed(c: Context, _: events.LinkFailed, now_s: float) -> State:
    if c.state is State.WAITING and c.turn.complete:
        return keep_answer(c, now_s)
    return c.close_turn(Outcome.REFUSED, Sound.ERROR)


def microphone_lost(c: Context, _: events.MicrophoneLost, now_s: float) -> State:
    return c.abandon(Outcome.NO_MICROPHONE, Sound.SORRY)


def tail_lost(c: Context, _: events.MicrophoneLost, now_s: float) -> State:
    """What was heard is still sent; a tail that is not there by now never comes."""
    c.do(effects.CutUtterance())
    return State.SENDING


def live_lost(c: Context, _: events.MicrophoneLost, now_s: float) -> State:
    """The question is complete. Where the microphone was live still (a tap), zeros take its place: a service that hears
    speech begin late must hear it end, too."""
    if c.turn.ended_s is None:
        rules.silence_for_microphone(c, now_s)
    # Also of an end that was set a moment ago: a replay must not wait for it.
    c.do(effects.CutUtterance())
    return State.WAITING
