"""The rules of the turn machine that begin with the end of the question: replies held back and sounded, their playing,
the tools that they ask for. ``rules.py`` has those of the person, and how to read both.

When an answer is over. A service may answer in two responses ("let me see", and then the answer) and says of none that
another follows. So what begins while the first is played simply follows it; and when all is heard the turn is ENDING
for as long as a service may take to go on (``tool_reply_s`` after its ``response.done``), in which a further one is
played, too. For a person ENDING is no different from READY: the light says so, and a press, a voice, a lost connection
end the turn as answered at once. After it a response is nobody's. Most answers last longer than that, and end at once.

What the tools of a turn wait for. Readings of the service differ: it may await a tool's result within the response that
calls, may never say that this response is done, and may go on in it, in another one, or only when it is asked to. So
tools run when all calls of a response are here, whatever became of it; then the first sound, response or end of one
shows which it is.
"""

from __future__ import annotations

from typing import Final

from . import effects, events
from .context import Context, TurnReply
from .states import Deadline, Outcome, Sound, State


def service_ended(c: Context, now_s: float) -> State:
    """The service's turn detection ended a tapped turn; the microphone stays live until the reply sounds (decision
    6)."""
    turn = c.turn
    turn.sent_s = now_s
    turn.end_noticed = True
    c.cancel(Deadline.NO_SPEECH, Deadline.GREETING)
    c.set(Deadline.ANSWER, now_s + c.settings.answer_s)
    c.state = State.WAITING
    return proceed(c, now_s)


# ------------------------------------------------------------ replies


def reply_began(c: Context, event: events.ReplyBegan, now_s: float) -> State:
    """A reply of this turn; it follows those before it, for the session lets through none that it should replace."""
    turn = c.turn
    turn.service_spoke = True
    # It begins to answer, so it hears nobody any more, also when it forgot to say so.
    turn.in_speech = turn.commit_unanswered = False
    c.tools_need_nudge = c.tools_need_nudge or turn.nudged_for_tools
    turn.awaiting_continuation = turn.nudge_when_done = turn.nudged_for_tools = False
    c.cancel(Deadline.NUDGE, Deadline.TOOL_REPLY, Deadline.NO_SPEECH, Deadline.GREETING, Deadline.GOES_ON)
    turn.reply = TurnReply(event.response_id)
    if c.state is State.ENDING:
        c.set(Deadline.ANSWER, now_s + c.settings.answer_s)
        return State.WAITING
    if c.state is State.LISTENING and turn.service_ends and not c.button_down:
        return service_ended(c, now_s)
    return c.state


def reply_audio(c: Context, event: events.ReplyAudio, now_s: float) -> State:
    turn = c.turn
    if turn.reply is None or turn.reply.response_id != event.response_id:
        return c.state
    turn.reply.has_audio = True
    turn.playing.add(event.response_id)
    if not event.silent:
        turn.audible.add(event.response_id)
    if turn.awaiting_continuation:
        turn.continued = True
        if not turn.nudged_for_tools:
            c.set(Deadline.TOOL_REPLY, now_s + c.settings.tool_reply_s)
    if c.state is State.WAITING:
        c.do(effects.StopSilence())
        c.set(Deadline.ANSWER, now_s + c.settings.answer_s)
        return proceed(c, now_s)
    if c.state is State.SPEAKING:
        c.set(Deadline.PROGRESS, now_s + c.settings.no_progress_s)
    return c.state


def reply_ended(c: Context, event: events.ReplyEnded, now_s: float) -> State:
    turn = c.turn
    reply = turn.reply
    if reply is None or reply.response_id != event.response_id:
        return c.state
    reply.done, reply.status, turn.done_s = True, event.status, now_s
    if event.status in ("failed", "cancelled"):
        turn.calls.clear()
    if event.status == "cancelled" and not reply.has_audio:
        # The service changed its mind (it heard more speech); its next reply is the answer.
        turn.reply = None
        return end_if_complete(c, now_s) if c.state is State.WAITING and turn.answered else c.state
    if turn.awaiting_continuation:
        calling_reply_ended(c, event.status, now_s)
    return proceed(c, now_s)


def calling_reply_ended(c: Context, status: str, now_s: float) -> None:
    """The response whose tools have answered is over: the answer was in it, or another response brings it."""
    turn = c.turn
    if turn.continued or status == "failed":
        turn.awaiting_continuation = False
        c.cancel(Deadline.TOOL_REPLY)
    elif turn.nudge_when_done:
        ask_to_go_on(c)
    elif not turn.nudged_for_tools:
        c.set(Deadline.TOOL_REPLY, now_s + c.settings.tool_reply_s)


def proceed(c: Context, now_s: float) -> State:
    """Go on with whatever decision 2 held back: run tools, sound the reply, or end the turn."""
    turn, state = c.turn, c.state
    if state not in (State.WAITING, State.SPEAKING) or turn.reply is None:
        return state
    if state is State.WAITING:
        if c.button_down or turn.sent_s is None:
            return state
        if now_s < turn.sent_s + c.settings.settle_s:
            c.set(Deadline.SETTLE, turn.sent_s + c.settings.settle_s)
            return state
    if turn.calls and not turn.tools_running:
        if turn.tool_rounds >= c.settings.tool_rounds:
            return c.close_turn(Outcome.TOOL_LOOP, Sound.SORRY)
        run_tools(c, turn.reply, now_s)
    if state is State.WAITING and turn.playing:
        return sound_reply(c, now_s)
    return end_if_complete(c, now_s)


def sound_reply(c: Context, now_s: float) -> State:
    turn = c.turn
    if turn.ended_s is None:
        end_live(c, now_s)
    c.cancel(Deadline.ANSWER, Deadline.SETTLE, Deadline.NUDGE)
    c.set(Deadline.PROGRESS, now_s + c.settings.no_progress_s)
    c.do(effects.StopSilence(), effects.PlayReply())
    return State.SPEAKING


def end_live(c: Context, now_s: float) -> None:
    c.turn.ended_s = now_s
    c.cancel(Deadline.MAX_HOLD, Deadline.HOLD_WARNING)
    c.do(effects.EndUtterance(now_s))


def end_if_complete(c: Context, now_s: float) -> State:
    """WAITING or SPEAKING: end the turn when no audio is left to play and nothing more is expected."""
    turn, reply = c.turn, c.turn.reply
    if turn.playing:
        return State.SPEAKING if c.state is State.SPEAKING else State.WAITING
    if turn.broken:
        return c.close_turn(Outcome.LINK_LOST, Sound.SORRY)
    to_come = (reply is None and not turn.answered) or (reply is not None and not reply.done)
    if turn.tools_running or turn.awaiting_continuation or turn.calls or to_come:
        if c.state is State.SPEAKING:
            c.cancel(Deadline.PROGRESS, Deadline.DISMISSED)
            c.set(Deadline.ANSWER, now_s + c.settings.answer_s)
            c.do(effects.HoldReply())
        return State.WAITING
    if reply is not None and reply.failed:
        # Whatever was heard before it: half an answer is none, and nobody should take it for a whole one.
        return c.close_turn(Outcome.FAILED, Sound.SORRY)
    if not turn.answered:
        return c.close_turn(Outcome.EMPTY_ANSWER, Sound.SORRY)
    turn.over_s = now_s
    until_s = turn.done_s + c.settings.tool_reply_s
    if now_s >= until_s or not c.link_up:
        return answered(c, None, now_s)
    if c.state is State.SPEAKING:
        c.do(effects.HoldReply())
    c.deadlines.clear()
    c.set(Deadline.GOES_ON, until_s)
    return State.ENDING


def answered(c: Context, _: events.Event | None, now_s: float) -> State:
    over_s = c.turn.over_s
    c.close_turn(Outcome.ANSWERED)
    return c.expect_more(over_s)


def settled(c: Context, _: None, now_s: float) -> State:
    return proceed(c, now_s)


# ------------------------------------------------------------ playing


def audible(c: Context, event: events.ReplyAudible, now_s: float) -> State:
    if event.response_id not in c.turn.playing:
        # Of a reply that was dropped while the report was on its way.
        return State.SPEAKING
    note_heard(c, event.response_id)
    c.set(Deadline.PROGRESS, now_s + c.settings.no_progress_s)
    return State.SPEAKING


def note_heard(c: Context, response_id: str) -> None:
    """A reply of nothing but silence is heard by nobody."""
    if response_id in c.turn.audible:
        c.turn.heard = c.turn.answered = True


def progress(c: Context, _: events.PlaybackProgress, now_s: float) -> State:
    c.set(Deadline.PROGRESS, now_s + c.settings.no_progress_s)
    return State.SPEAKING


def drained(c: Context, event: events.ReplyDrained, now_s: float) -> State:
    if event.response_id not in c.turn.playing:
        return State.SPEAKING
    note_heard(c, event.response_id)
    c.turn.playing.discard(event.response_id)
    return end_if_complete(c, now_s)


def stalled(c: Context, _: None, now_s: float) -> State:
    turn = c.turn
    if (turn.tools_running or turn.awaiting_continuation) and now_s < turn.continue_until_s:
        # The words before a tool were heard, and those after it are not made yet.
        c.set(Deadline.PROGRESS, min(now_s + c.settings.no_progress_s, turn.continue_until_s))
        return State.SPEAKING
    return c.close_turn(Outcome.STALLED, Sound.SORRY)


# ------------------------------------------------------------ tools

GATHER_S: Final = 0.3
"""A model's calls come one right after the other; when none has come for so long there is none to come. A service may
await the results before it says that the response is done, or anything else."""


def tool_called(c: Context, event: events.ToolCalled, now_s: float) -> State:
    turn, key = c.turn, (event.response_id, event.call.call_id)
    if turn.reply is None or turn.reply.response_id != event.response_id or key in turn.calls_run:
        return c.state
    turn.reply.called = True
    turn.calls[key] = event.call
    turn.gather_until_s = now_s + GATHER_S
    return proceed(c, now_s)


def run_tools(c: Context, reply: TurnReply, now_s: float) -> None:
    """Run what was called, once all of it is here: the response is done, or calls nothing more."""
    turn = c.turn
    if not reply.done and now_s < turn.gather_until_s:
        c.set(Deadline.GATHER, turn.gather_until_s)
        return
    if turn.ended_s is None:
        end_live(c, now_s)
    calls = tuple(turn.calls.values())
    turn.calls_run.update(turn.calls)
    turn.calls.clear()
    turn.tools_running = turn.tool_ran = True
    turn.tool_rounds += 1
    turn.awaiting_continuation = turn.nudge_when_done = turn.nudged_for_tools = False
    # Each ends by its own limit; what the service needs to answer comes on top of that.
    turn.continue_until_s = now_s + c.settings.tool_s + c.settings.answer_s
    if c.state is State.WAITING:
        c.set(Deadline.ANSWER, turn.continue_until_s)
    c.cancel(Deadline.GATHER, Deadline.TOOL_REPLY, Deadline.NUDGE)
    c.do(effects.StopSilence(), effects.RunTools(calls))


def tools_finished(c: Context, event: events.ToolsFinished, now_s: float) -> State:
    """The outputs go out, and the service goes on: in the response that called, or in another one. Some servers have to
    be asked; one that had to be asked once is asked at once from then on, when that response is done."""
    turn = c.turn
    if not turn.tools_running:
        return c.state
    turn.tools_running = False
    if turn.broken:
        return end_if_complete(c, now_s)
    # The tool may be the whole answer ("louder", "goodbye"), with nothing left to say.
    turn.awaiting_continuation = turn.answered = True
    turn.continued = False
    turn.continue_until_s = now_s + c.settings.answer_s
    c.do(effects.SendToolOutputs(event.outputs))
    if c.state is State.WAITING:
        c.set(Deadline.ANSWER, now_s + c.settings.answer_s)
    if c.tools_need_nudge and (turn.reply is None or turn.reply.done):
        ask_to_go_on(c)
    else:
        turn.nudge_when_done = c.tools_need_nudge
        c.set(Deadline.TOOL_REPLY, now_s + c.settings.tool_reply_s)
    return proceed(c, now_s) if turn.calls else c.state


def no_continuation(c: Context, _: None, now_s: float) -> State:
    ask_to_go_on(c)
    return c.state


def ask_to_go_on(c: Context) -> None:
    c.turn.nudge_when_done, c.turn.nudged_for_tools = False, True
    c.cancel(Deadline.TOOL_REPLY)
    c.do(effects.Nudge(after_tools=True))
