"""The rules of the turn machine that begin with the end of the question: replies held back and sounded, their playing,
the tools that they ask for. ``rules.py`` has those of the person and of the connection, and how to read both.
"""

from __future__ import annotations

from . import vocabulary as v
from .conversation import Conversation, Reply
from .vocabulary import Deadline, Outcome, Sound, State


def service_ended(c: Conversation, now_s: float) -> State:
    """The service's turn detection ended a tapped turn; the microphone stays live until the reply sounds (ruling 6)."""
    turn = c.turn
    turn.sent_s = now_s
    turn.end_noticed = True
    c.cancel(Deadline.NO_SPEECH, Deadline.GREETING)
    c.set(Deadline.ANSWER, now_s + c.settings.answer_s)
    c.state = State.WAITING
    return proceed(c, now_s)


# ------------------------------------------------------------ replies


def reply_began(c: Conversation, event: v.ReplyBegan, now_s: float) -> State:
    turn = c.turn
    turn.service_spoke = True
    turn.awaiting_continuation = False
    c.cancel(Deadline.NUDGE, Deadline.TOOL_REPLY, Deadline.NO_SPEECH, Deadline.GREETING)
    if c.state is not State.SPEAKING and turn.playing:
        # At most the newest reply is kept while none may sound.
        c.do(v.DropReply())
        turn.playing.clear()
    turn.reply = Reply(event.response_id)
    if c.state is State.LISTENING and turn.service_ends and not c.button_down:
        return service_ended(c, now_s)
    return c.state


def reply_audio(c: Conversation, event: v.ReplyAudio, now_s: float) -> State:
    turn = c.turn
    if turn.reply is None or turn.reply.response_id != event.response_id:
        return c.state
    turn.reply.has_audio = True
    turn.playing.add(event.response_id)
    if c.state is State.WAITING:
        c.do(v.StopSilence())
        c.set(Deadline.ANSWER, now_s + c.settings.answer_s)
        return proceed(c, now_s)
    if c.state is State.SPEAKING:
        c.set(Deadline.PROGRESS, now_s + c.settings.no_progress_s)
    return c.state


def reply_ended(c: Conversation, event: v.ReplyEnded, now_s: float) -> State:
    turn = c.turn
    reply = turn.reply
    if reply is None or reply.response_id != event.response_id:
        return c.state
    reply.done = True
    if event.status == "completed":
        reply.calls = event.calls
    elif event.status == "cancelled" and not reply.has_audio:
        # The service changed its mind (it heard more speech); its next reply is the answer.
        turn.reply = None
        return c.state
    return proceed(c, now_s)


def proceed(c: Conversation, now_s: float) -> State:
    """Go on with whatever ruling 2 held back: run tools, sound the reply, or end the turn."""
    turn, state = c.turn, c.state
    reply = turn.reply
    if state not in (State.WAITING, State.SPEAKING) or reply is None:
        return state
    if state is State.WAITING:
        if c.button_down or turn.sent_s is None:
            return state
        if now_s < turn.sent_s + c.settings.settle_s:
            c.set(Deadline.SETTLE, turn.sent_s + c.settings.settle_s)
            return state
    if reply.done and reply.calls and not turn.tools_running:
        if turn.ended_s is None:
            end_live(c, now_s)
        calls, reply.calls = reply.calls, ()
        turn.tools_running = turn.tool_ran = True
        c.do(v.StopSilence(), v.RunTools(calls))
    if state is State.WAITING and turn.playing:
        return sound_reply(c, now_s)
    return end_if_complete(c, now_s)


def sound_reply(c: Conversation, now_s: float) -> State:
    turn = c.turn
    if turn.ended_s is None:
        end_live(c, now_s)
    c.cancel(Deadline.ANSWER, Deadline.SETTLE, Deadline.NUDGE)
    c.set(Deadline.PROGRESS, now_s + c.settings.no_progress_s)
    c.do(v.StopSilence(), v.PlayReply())
    return State.SPEAKING


def end_live(c: Conversation, now_s: float) -> None:
    c.turn.ended_s = now_s
    c.cancel(Deadline.MAX_HOLD, Deadline.HOLD_WARNING)
    c.do(v.EndUtterance(now_s))


def end_if_complete(c: Conversation, now_s: float) -> State:
    """WAITING or SPEAKING: end the turn when no audio is left to play and nothing more is expected."""
    turn = c.turn
    if turn.playing:
        return State.SPEAKING if c.state is State.SPEAKING else State.WAITING
    if turn.broken:
        return c.close_turn(Outcome.LINK_LOST, Sound.SORRY)
    if turn.tools_running or turn.awaiting_continuation or turn.reply is None or not turn.reply.done:
        if c.state is State.SPEAKING:
            c.cancel(Deadline.PROGRESS)
            c.set(Deadline.ANSWER, now_s + c.settings.answer_s)
            c.do(v.HoldReply())
        return State.WAITING
    if turn.heard or turn.tool_ran:
        # A tool may be the whole answer ("louder", "goodbye"), with nothing left to say.
        c.close_turn(Outcome.ANSWERED)
        return c.expect_more(now_s)
    return c.close_turn(Outcome.EMPTY_ANSWER, Sound.SORRY)


def settled(c: Conversation, _: None, now_s: float) -> State:
    return proceed(c, now_s)


# ------------------------------------------------------------ playing


def audible(c: Conversation, event: v.ReplyAudible, now_s: float) -> State:
    if event.response_id not in c.turn.playing:
        # Of a reply that was dropped while the report was on its way.
        return State.SPEAKING
    c.turn.heard = True
    c.set(Deadline.PROGRESS, now_s + c.settings.no_progress_s)
    return State.SPEAKING


def progress(c: Conversation, _: v.PlaybackProgress, now_s: float) -> State:
    c.set(Deadline.PROGRESS, now_s + c.settings.no_progress_s)
    return State.SPEAKING


def drained(c: Conversation, event: v.ReplyDrained, now_s: float) -> State:
    if event.response_id not in c.turn.playing:
        return State.SPEAKING
    c.turn.heard = True
    c.turn.playing.discard(event.response_id)
    return end_if_complete(c, now_s)


def stalled(c: Conversation, _: None, now_s: float) -> State:
    return c.close_turn(Outcome.STALLED, Sound.SORRY)


# ------------------------------------------------------------ tools


def tools_finished(c: Conversation, event: v.ToolsFinished, now_s: float) -> State:
    turn = c.turn
    if not turn.tools_running:
        return c.state
    turn.tools_running = False
    if turn.broken:
        return end_if_complete(c, now_s)
    turn.awaiting_continuation = True
    c.do(v.SendToolOutputs(event.outputs))
    c.set(Deadline.TOOL_REPLY, now_s + c.settings.tool_reply_s)
    if c.state is State.WAITING:
        c.set(Deadline.ANSWER, now_s + c.settings.answer_s)
    return c.state


def no_continuation(c: Conversation, _: None, now_s: float) -> State:
    c.do(v.Nudge())
    return c.state
