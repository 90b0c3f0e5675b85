"""The turn machine: who may speak, what is kept, when a reply sounds. Pure: time is an argument, effects are values.

How to read it. ``TABLE`` at the end has one entry for every pair of a state and a thing that can happen: a ``Rule``
(what is done, where it leads) or an ``Ignored`` with the reason. Nothing outside names a next state. The rules are
functions in ``rules.py`` and ``answers.py``; each returns the next state, and ``to`` in the table lists all states it
may return.

A turn in one paragraph. A press, or in ``open`` a voice, opens a turn: what the microphone hears is kept
(``BeginUtterance``) and may leave once it is certain that a person talks (``OpenUplink``). A release, a second tap or
the service's turn detection ends it. When the last sample has left (``UtteranceSent``) zeros follow, and the service is
told. A reply may sound when the button is up and ``settle_s`` have passed since the last sample left (ruling 2); until
then it is held, and a new ``SpeechBegan`` drops it. A lost session moves a turn back to SENDING: the whole utterance is
sent again in the next session, unless the whole answer is here, something of it was heard, or a tool ran (ruling 8).
When all of the answer was heard the turn is ENDING for a moment: a service may answer in two parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from . import answers, rules
from . import vocabulary as v
from .conversation import Conversation
from .vocabulary import Deadline, State


@dataclass(frozen=True, slots=True)
class Rule:
    """A row: ``action`` runs; it leads to one of ``to`` (the state itself included where it may stay)."""

    action: Callable[[Conversation, Any, float], State]
    to: tuple[State, ...]


@dataclass(frozen=True, slots=True)
class Ignored:
    """A pair that changes nothing, and why that is right."""

    reason: str


_R, _L, _S, _W, _P = State.READY, State.LISTENING, State.SENDING, State.WAITING, State.SPEAKING
_N, _E = State.ENDING, State.EXPECTING
_OVER: Final = (_R, _E, _N)
"""Where a turn leads that has been answered, or has failed."""
_NO_TURN: Final = Ignored("no turn is open; the session lets through nothing of an old one, and facts are noted")
_UNARMED: Final = Ignored("this deadline is never set in this state, and every turn's end clears all")
_FACT: Final = Ignored("only a fact, noted for the next press")
_SENT_ONCE: Final = Ignored("only an ended utterance that is still leaving can finish leaving")
_LEFTOVER: Final = Ignored("the zeros, or what a live microphone heard since; no deadline waits for them")
_NOT_PLAYING: Final = Ignored("the report of a sound that has been flushed since")
_MORE_IS_SAID: Final = Ignored("the commit was followed by more, of which the service has not said that it is nothing")
_KEPT: Final = Ignored("the question is complete; losing the microphone takes nothing from it")
_TURN_OPEN: Final = Ignored("a turn is open: what is said belongs to it, or is our own voice")
_NO_REPLY: Final = Ignored("no reply is in progress: another one is first said to begin")
_HEARD: Final = Ignored("all of the answer was heard; what is said to it now opens another turn")
_ALREADY_OPEN: Final = Ignored("a press that is down cannot go down; another source's press is not the owner's")

TABLE: Final[Mapping[State, Mapping[type[v.Event] | Deadline, Rule | Ignored]]] = {
    _R: {
        v.Press: Rule(rules.press_ready, (_R, _L)),
        v.Release: Ignored("the end of a press that opened nothing, or of a jam"),
        v.Lifted: Ignored("no deadline runs that a press could reach"),
        v.GateOpened: Rule(rules.gate_opened, (_R, _L)),
        v.Stop: Ignored("there is nothing to stop"),
        v.LinkReady: _FACT,
        v.LinkLost: _FACT,
        v.LinkFailed: _FACT,
        v.MicrophoneReady: _FACT,
        v.MicrophoneLost: _FACT,
        **dict.fromkeys((v.UtteranceSent, v.SendingProgress, v.SpeechBegan, v.SpeechEnded, v.NothingHeard), _NO_TURN),
        **dict.fromkeys((v.ReplyBegan, v.ReplyAudio, v.ToolCalled, v.ReplyEnded, v.ReplyAudible), _NO_TURN),
        **dict.fromkeys((v.PlaybackProgress, v.ReplyDrained, v.ToolsFinished), _NO_TURN),
        **dict.fromkeys(Deadline, _UNARMED),
    },
    _L: {
        v.Press: Rule(rules.press_listening, (_L, _S)),
        v.Release: Rule(rules.release_listening, (_L, _S, _W, _P, *_OVER)),
        v.Lifted: Rule(rules.lifted, (_L,)),
        v.GateOpened: _TURN_OPEN,
        v.Stop: Rule(rules.stop, (_R,)),
        v.UtteranceSent: _SENT_ONCE,
        v.SendingProgress: Rule(rules.sending_listening, (_L,)),
        v.LinkReady: Rule(rules.link_ready, (_L,)),
        v.LinkLost: Rule(rules.link_lost, (_L, _R)),
        v.LinkFailed: Rule(rules.link_failed, (_R,)),
        v.SpeechBegan: Rule(rules.speech_began, (_L,)),
        v.SpeechEnded: Rule(rules.speech_ended_listening, (_L, _W, _P, *_OVER)),
        v.NothingHeard: _MORE_IS_SAID,
        v.ReplyBegan: Rule(answers.reply_began, (_L, _W)),
        v.ReplyAudio: Rule(answers.reply_audio, (_L,)),
        v.ToolCalled: Rule(answers.tool_called, (_L,)),
        v.ReplyEnded: Rule(answers.reply_ended, (_L,)),
        v.ReplyAudible: _NOT_PLAYING,
        v.PlaybackProgress: _NOT_PLAYING,
        v.ReplyDrained: _NOT_PLAYING,
        v.ToolsFinished: Ignored("tools run only after the person has finished (ruling 7)"),
        v.MicrophoneReady: _FACT,
        v.MicrophoneLost: Rule(rules.microphone_lost, (_R,)),
        **dict.fromkeys(Deadline, _UNARMED),
        Deadline.UPLINK: Rule(rules.hold_is_real, (_L,)),
        Deadline.HOLD_WARNING: Rule(rules.warn_long_hold, (_L,)),
        Deadline.MAX_HOLD: Rule(rules.hold_too_long, (_S,)),
        Deadline.NO_SPEECH: Rule(rules.nobody_spoke, (_L, _R)),
        Deadline.GREETING: Rule(rules.greet, (_L,)),
    },
    _S: {
        v.Press: Rule(rules.press_pending, (_S,)),
        v.Release: Rule(rules.release_pending, (_S,)),
        v.Lifted: Rule(rules.lifted, (_S,)),
        v.GateOpened: _TURN_OPEN,
        v.Stop: Rule(rules.stop, (_R,)),
        v.UtteranceSent: Rule(rules.utterance_sent, (_W, _P, *_OVER)),
        v.SendingProgress: Rule(rules.sending_goes_on, (_S,)),
        v.LinkReady: Rule(rules.link_ready, (_S,)),
        v.LinkLost: Rule(rules.link_lost, (_S, _R)),
        v.LinkFailed: Rule(rules.link_failed, (_R,)),
        v.SpeechBegan: Rule(rules.speech_began, (_S,)),
        v.SpeechEnded: Rule(rules.speech_ended, (_S,)),
        v.NothingHeard: _MORE_IS_SAID,
        v.ReplyBegan: Rule(answers.reply_began, (_S,)),
        v.ReplyAudio: Rule(answers.reply_audio, (_S,)),
        v.ToolCalled: Rule(answers.tool_called, (_S,)),
        v.ReplyEnded: Rule(answers.reply_ended, (_S,)),
        v.ReplyAudible: _NOT_PLAYING,
        v.PlaybackProgress: _NOT_PLAYING,
        v.ReplyDrained: _NOT_PLAYING,
        v.ToolsFinished: Ignored("tools run only after the person has finished (ruling 7)"),
        v.MicrophoneReady: _FACT,
        v.MicrophoneLost: Rule(rules.tail_lost, (_S,)),
        **dict.fromkeys(Deadline, _UNARMED),
        Deadline.LONG_PRESS: Rule(rules.long_press, (_S, _L)),
        Deadline.STALE: Rule(rules.stale, (_R, _L)),
    },
    _W: {
        v.Press: Rule(rules.press_pending, (_W,)),
        v.Release: Rule(rules.release_pending, (_W, _P, *_OVER)),
        v.Lifted: Rule(rules.lifted, (_W,)),
        v.GateOpened: _TURN_OPEN,
        v.Stop: Rule(rules.stop, (_R,)),
        v.UtteranceSent: _SENT_ONCE,
        v.SendingProgress: _LEFTOVER,
        v.LinkReady: Ignored("a new session is always announced by the loss of the old one first"),
        v.LinkLost: Rule(rules.link_lost, (_S, _R, _W, _P)),
        v.LinkFailed: Rule(rules.link_failed, (_R, _W, _P)),
        v.SpeechBegan: Rule(rules.speech_began, (_W, _L)),
        v.SpeechEnded: Rule(rules.speech_ended, (_W,)),
        v.NothingHeard: Rule(rules.nothing_heard, (_W, _R, _L)),
        v.ReplyBegan: Rule(answers.reply_began, (_W,)),
        v.ReplyAudio: Rule(answers.reply_audio, (_W, _P)),
        v.ToolCalled: Rule(answers.tool_called, (_W, _P, _R)),
        v.ReplyEnded: Rule(answers.reply_ended, (_W, _P, *_OVER)),
        v.ReplyAudible: _NOT_PLAYING,
        v.PlaybackProgress: _NOT_PLAYING,
        v.ReplyDrained: _NOT_PLAYING,
        v.ToolsFinished: Rule(answers.tools_finished, (_W, _P, _R)),
        v.MicrophoneReady: _FACT,
        v.MicrophoneLost: Rule(rules.live_lost, (_W,)),
        **dict.fromkeys(Deadline, _UNARMED),
        Deadline.LONG_PRESS: Rule(rules.long_press, (_W, _L)),
        Deadline.MAX_HOLD: Rule(rules.live_too_long, (_W,)),
        Deadline.HOLD_WARNING: Ignored("the person has finished; nothing to warn of"),
        Deadline.ANSWER: Rule(rules.no_answer, (_R, _L)),
        Deadline.NUDGE: Rule(rules.nudge, (_W,)),
        Deadline.SETTLE: Rule(answers.settled, (_W, _P, *_OVER)),
        Deadline.GATHER: Rule(answers.settled, (_W, _P, _R)),
        Deadline.TOOL_REPLY: Rule(answers.no_continuation, (_W,)),
    },
    _P: {
        v.Press: Rule(rules.press_speaking, (_L, _R, _E)),
        v.Release: Ignored("the end of a press that was only acknowledged"),
        v.Lifted: Ignored("no deadline runs that a press could reach"),
        v.GateOpened: _TURN_OPEN,
        v.Stop: Rule(rules.stop, (_R,)),
        v.UtteranceSent: _SENT_ONCE,
        v.SendingProgress: _LEFTOVER,
        v.LinkReady: Ignored("the answer that plays belongs to the session before; nothing is replayed once heard"),
        v.LinkLost: Rule(rules.link_lost_speaking, (_P, _R, _E)),
        v.LinkFailed: Rule(rules.link_lost_speaking, (_P, _R, _E)),
        v.SpeechBegan: Rule(rules.speech_began_speaking, (_L, _W)),
        v.SpeechEnded: Rule(rules.speech_ended, (_P,)),
        v.NothingHeard: Ignored("an answer plays, so somebody was heard: turn detection was quicker than our commit"),
        v.ReplyBegan: Rule(answers.reply_began, (_P,)),
        v.ReplyAudio: Rule(answers.reply_audio, (_P,)),
        v.ToolCalled: Rule(answers.tool_called, (_P, _W, _R)),
        v.ReplyEnded: Rule(answers.reply_ended, (_P, _W, *_OVER)),
        v.ReplyAudible: Rule(answers.audible, (_P,)),
        v.PlaybackProgress: Rule(answers.progress, (_P,)),
        v.ReplyDrained: Rule(answers.drained, (_P, _W, *_OVER)),
        v.ToolsFinished: Rule(answers.tools_finished, (_P, _R)),
        v.MicrophoneReady: _FACT,
        v.MicrophoneLost: _KEPT,
        **dict.fromkeys(Deadline, _UNARMED),
        Deadline.GATHER: Rule(answers.settled, (_P, _R)),
        Deadline.TOOL_REPLY: Rule(answers.no_continuation, (_P,)),
        Deadline.PROGRESS: Rule(answers.stalled, (_P, _R)),
    },
    _N: {
        v.Press: Rule(rules.press_ending, (_R, _L)),
        v.Release: Ignored("the end of a press that was only acknowledged"),
        v.Lifted: Ignored("no deadline runs that a press could reach"),
        v.GateOpened: Rule(rules.gate_opened_ending, (_R, _E, _L)),
        v.Stop: Rule(rules.stop_ending, (_R,)),
        v.UtteranceSent: _SENT_ONCE,
        v.SendingProgress: _LEFTOVER,
        v.LinkReady: Ignored("a new session is always announced by the loss of the old one first"),
        v.LinkLost: Rule(answers.answered, (_R, _E)),
        v.LinkFailed: Rule(rules.stop_ending, (_R,)),
        **dict.fromkeys((v.SpeechBegan, v.SpeechEnded, v.NothingHeard), _HEARD),
        v.ReplyBegan: Rule(answers.reply_began, (_W,)),
        **dict.fromkeys((v.ReplyAudio, v.ToolCalled, v.ReplyEnded), _NO_REPLY),
        **dict.fromkeys((v.ReplyAudible, v.PlaybackProgress, v.ReplyDrained), _NOT_PLAYING),
        v.ToolsFinished: Ignored("the outputs of tools were sent before the answer could be over"),
        v.MicrophoneReady: _FACT,
        v.MicrophoneLost: _FACT,
        **dict.fromkeys(Deadline, _UNARMED),
        Deadline.GOES_ON: Rule(answers.answered, (_R, _E)),
    },
    _E: {
        v.Press: Rule(rules.press_ready, (_L,)),
        v.Release: Ignored("the end of a press that only silenced the answer"),
        v.Lifted: Ignored("no deadline runs that a press could reach"),
        v.GateOpened: Rule(rules.gate_opened, (_L,)),
        v.Stop: Rule(rules.stand_down, (_R,)),
        v.LinkReady: _FACT,
        v.LinkLost: _FACT,
        v.LinkFailed: Rule(rules.stand_down, (_R,)),
        v.MicrophoneReady: _FACT,
        v.MicrophoneLost: Rule(rules.stand_down, (_R,)),
        **dict.fromkeys((v.UtteranceSent, v.SendingProgress, v.SpeechBegan, v.SpeechEnded, v.NothingHeard), _NO_TURN),
        **dict.fromkeys((v.ReplyBegan, v.ReplyAudio, v.ToolCalled, v.ReplyEnded, v.ReplyAudible), _NO_TURN),
        **dict.fromkeys((v.PlaybackProgress, v.ReplyDrained, v.ToolsFinished), _NO_TURN),
        **dict.fromkeys(Deadline, _UNARMED),
        Deadline.FOLLOW_UP: Rule(rules.stand_down, (_R,)),
    },
}
"""THE table. Its test walks every pair; the README's diagram is drawn from it."""


class Machine:
    """One box's conversation. Single-threaded; feed it events and time, carry out what it returns."""

    def __init__(self, settings: v.TurnSettings) -> None:
        self._conversation = Conversation(settings)

    @property
    def state(self) -> State:
        """Whose move it is."""
        return self._conversation.state

    @property
    def number(self) -> int:
        """Number of the current turn, or of the last one; 0 before the first."""
        return self._conversation.number

    @property
    def button_down(self) -> bool:
        """A button is down, and has not been for longer than anyone speaks."""
        return self._conversation.button_down

    @property
    def microphone_ready(self) -> bool:
        """The microphone delivers: a press would be heard."""
        return self._conversation.microphone_ready

    @property
    def reply_in_progress(self) -> str | None:
        """Id of the reply that has begun and whose end has not arrived; None: there is none."""
        reply = self._conversation.turn.reply
        return None if reply is None or reply.done else reply.response_id

    @property
    def next_deadline_s(self) -> float | None:
        """When ``advance`` must be called next; None: not before the next event."""
        return min(self._conversation.deadlines.values(), default=None)

    def handle(self, event: v.Event, now_s: float) -> list[v.Effect]:
        """Apply one event at ``now_s``. Returns the effects, in order.

        Deadlines that were due before it expire first. For a press or release "before" means before it happened: a loop
        that was busy must not take a short press for a long one.
        """
        self._expire(event.at_s if isinstance(event, v.Press | v.Release | v.Lifted) else now_s)
        _note_facts(self._conversation, event)
        self._apply(type(event), event, now_s)
        return self._take_effects()

    def advance(self, now_s: float) -> list[v.Effect]:
        """Let every deadline due at ``now_s`` expire, earliest first. Returns the effects, in order."""
        self._expire(now_s)
        return self._take_effects()

    def _expire(self, until_s: float) -> None:
        deadlines = self._conversation.deadlines
        while deadlines:
            deadline = min(deadlines, key=deadlines.__getitem__)
            due_s = deadlines[deadline]
            if due_s > until_s:
                return
            del deadlines[deadline]
            self._apply(deadline, None, due_s)

    def _apply(self, key: type[v.Event] | Deadline, event: v.Event | None, now_s: float) -> None:
        row = TABLE[self.state][key]
        if isinstance(row, Ignored):
            return
        following = row.action(self._conversation, event, now_s)
        assert following in row.to, f"{self.state} {key} led to {following}, which its row does not list"
        self._conversation.state = following

    def _take_effects(self) -> list[v.Effect]:
        effects, self._conversation.effects = self._conversation.effects, []
        return effects


def _note_facts(conversation: Conversation, event: v.Event) -> None:
    """Facts about the world that hold in every state."""
    match event:
        case v.Press():
            conversation.button_down = True
        case v.Release():
            conversation.button_down = False
        case v.LinkReady():
            conversation.link_up = conversation.unused = True
            conversation.new_session()
        case v.LinkLost() | v.LinkFailed():
            conversation.link_up = False
        case v.MicrophoneReady():
            conversation.microphone_ready = True
        case v.MicrophoneLost():
            conversation.microphone_ready = False
