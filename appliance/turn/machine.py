"""The turn machine: who may speak, what is kept, when a reply sounds. Pure: time is an argument, effects are values.

How to read it. ``TABLE`` at the end has one entry for every pair of a state and a thing that can happen: a ``Rule``
(what is done, where it leads) or an ``Ignored`` with the reason. Nothing outside names a next state. The rules are
functions in ``rules.py``, ``reply_rules.py`` and ``part_rules.py``; each returns the next state, and ``to`` in the
table lists all states it may return.

A turn in one paragraph. A press, or in ``open`` a voice, opens a turn: what the microphone hears is kept
(``BeginUtterance``) and may leave once it is certain that a person talks (``OpenUplink``). A release, a second tap or
the service's turn detection ends it. When the last sample has left (``UtteranceSent``) zeros follow, and the service is
told. A reply may sound when the button is up and ``settle_s`` have passed since the last sample left (decision 2);
until then it is held, and a new ``SpeechBegan`` drops it. A lost session moves a turn back to SENDING: the whole
utterance is sent again in the next session, unless the whole answer is here, something of it was heard, or a tool ran
(decision 8). When all of the answer was heard the turn is ENDING for a moment: a service may answer in two parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from . import effects as turn_effects
from . import events, part_rules, reply_rules, rules
from . import states as v
from .context import Context
from .states import Deadline, State


@dataclass(frozen=True, slots=True)
class Rule:
    """A row: ``action`` runs; it leads to one of ``to`` (the state itself included where it may stay)."""

    action: Callable[[Context, Any, float], State]
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
_NOTHING_SOUNDS: Final = Ignored("only an answer that sounds can be talked over")
_HEARD: Final = Ignored("all of the answer was heard; what is said to it now opens another turn")
_ALREADY_OPEN: Final = Ignored("a press that is down cannot go down; another source's press is not the owner's")

TABLE: Final[Mapping[State, Mapping[type[events.Event] | Deadline, Rule | Ignored]]] = {
    _R: {
        events.Press: Rule(rules.press_ready, (_R, _L)),
        events.Release: Ignored("the end of a press that opened nothing, or of a jam"),
        events.Lifted: Ignored("no deadline runs that a press could reach"),
        events.GateOpened: Rule(rules.gate_opened, (_R, _L)),
        **dict.fromkeys((events.InterruptionSuspected, events.TalkedOver), _NOTHING_SOUNDS),
        events.Stop: Ignored("there is nothing to stop"),
        events.LinkReady: _FACT,
        events.LinkLost: _FACT,
        events.LinkFailed: _FACT,
        events.MicrophoneReady: _FACT,
        events.MicrophoneLost: _FACT,
        **dict.fromkeys(
            (events.UtteranceSent, events.SendingProgress, events.SpeechBegan, events.SpeechEnded, events.NothingHeard),
            _NO_TURN,
        ),
        **dict.fromkeys(
            (events.ReplyBegan, events.ReplyAudio, events.ToolCalled, events.ReplyEnded, events.ReplyAudible), _NO_TURN
        ),
        **dict.fromkeys((events.PlaybackProgress, events.ReplyDrained, events.ToolsFinished), _NO_TURN),
        **dict.fromkeys(Deadline, _UNARMED),
    },
    _L: {
        events.Press: Rule(rules.press_listening, (_L, _S)),
        events.Release: Rule(rules.release_listening, (_L, _S, _W, _P, *_OVER)),
        events.Lifted: Rule(rules.lifted, (_L,)),
        events.GateOpened: _TURN_OPEN,
        **dict.fromkeys((events.InterruptionSuspected, events.TalkedOver), _NOTHING_SOUNDS),
        events.Stop: Rule(rules.stop, (_R,)),
        events.UtteranceSent: _SENT_ONCE,
        events.SendingProgress: Rule(rules.sending_listening, (_L,)),
        events.LinkReady: Rule(part_rules.link_ready, (_L,)),
        events.LinkLost: Rule(part_rules.link_lost, (_L, _R)),
        events.LinkFailed: Rule(part_rules.link_failed, (_R,)),
        events.SpeechBegan: Rule(rules.speech_began, (_L,)),
        events.SpeechEnded: Rule(rules.speech_ended_listening, (_L, _W, _P, *_OVER)),
        events.NothingHeard: _MORE_IS_SAID,
        events.ReplyBegan: Rule(reply_rules.reply_began, (_L, _W)),
        events.ReplyAudio: Rule(reply_rules.reply_audio, (_L,)),
        events.ToolCalled: Rule(reply_rules.tool_called, (_L,)),
        events.ReplyEnded: Rule(reply_rules.reply_ended, (_L,)),
        events.ReplyAudible: _NOT_PLAYING,
        events.PlaybackProgress: _NOT_PLAYING,
        events.ReplyDrained: _NOT_PLAYING,
        events.ToolsFinished: Ignored("tools run only after the person has finished (decision 7)"),
        events.MicrophoneReady: _FACT,
        events.MicrophoneLost: Rule(part_rules.microphone_lost, (_R,)),
        **dict.fromkeys(Deadline, _UNARMED),
        Deadline.UPLINK: Rule(rules.hold_is_real, (_L,)),
        Deadline.HOLD_WARNING: Rule(rules.warn_long_hold, (_L,)),
        Deadline.MAX_HOLD: Rule(rules.hold_too_long, (_S,)),
        Deadline.NO_SPEECH: Rule(rules.nobody_spoke, (_L, _R)),
        Deadline.GREETING: Rule(rules.greet, (_L,)),
    },
    _S: {
        events.Press: Rule(rules.press_pending, (_S,)),
        events.Release: Rule(rules.release_pending, (_S,)),
        events.Lifted: Rule(rules.lifted, (_S,)),
        events.GateOpened: _TURN_OPEN,
        **dict.fromkeys((events.InterruptionSuspected, events.TalkedOver), _NOTHING_SOUNDS),
        events.Stop: Rule(rules.stop, (_R,)),
        events.UtteranceSent: Rule(rules.utterance_sent, (_W, _P, *_OVER)),
        events.SendingProgress: Rule(rules.sending_goes_on, (_S,)),
        events.LinkReady: Rule(part_rules.link_ready, (_S,)),
        events.LinkLost: Rule(part_rules.link_lost, (_S, _R)),
        events.LinkFailed: Rule(part_rules.link_failed, (_R,)),
        events.SpeechBegan: Rule(rules.speech_began, (_S,)),
        events.SpeechEnded: Rule(rules.speech_ended, (_S,)),
        events.NothingHeard: _MORE_IS_SAID,
        events.ReplyBegan: Rule(reply_rules.reply_began, (_S,)),
        events.ReplyAudio: Rule(reply_rules.reply_audio, (_S,)),
        events.ToolCalled: Rule(reply_rules.tool_called, (_S,)),
        events.ReplyEnded: Rule(reply_rules.reply_ended, (_S,)),
        events.ReplyAudible: _NOT_PLAYING,
        events.PlaybackProgress: _NOT_PLAYING,
        events.ReplyDrained: _NOT_PLAYING,
        events.ToolsFinished: Ignored("tools run only after the person has finished (decision 7)"),
        events.MicrophoneReady: _FACT,
        events.MicrophoneLost: Rule(part_rules.tail_lost, (_S,)),
        **dict.fromkeys(Deadline, _UNARMED),
        Deadline.LONG_PRESS: Rule(rules.long_press, (_S, _L)),
        Deadline.STALE: Rule(rules.stale, (_R, _L)),
    },
    _W: {
        events.Press: Rule(rules.press_pending, (_W,)),
        events.Release: Rule(rules.release_pending, (_W, _P, *_OVER)),
        events.Lifted: Rule(rules.lifted, (_W,)),
        events.GateOpened: _TURN_OPEN,
        **dict.fromkeys((events.InterruptionSuspected, events.TalkedOver), _NOTHING_SOUNDS),
        events.Stop: Rule(rules.stop, (_R,)),
        events.UtteranceSent: _SENT_ONCE,
        events.SendingProgress: _LEFTOVER,
        events.LinkReady: Ignored("a new session is always announced by the loss of the old one first"),
        events.LinkLost: Rule(part_rules.link_lost, (_S, _R, _W, _P)),
        events.LinkFailed: Rule(part_rules.link_failed, (_R, _W, _P)),
        events.SpeechBegan: Rule(rules.speech_began, (_W, _L)),
        events.SpeechEnded: Rule(rules.speech_ended, (_W,)),
        events.NothingHeard: Rule(rules.nothing_heard, (_W, _R, _L)),
        events.ReplyBegan: Rule(reply_rules.reply_began, (_W,)),
        events.ReplyAudio: Rule(reply_rules.reply_audio, (_W, _P)),
        events.ToolCalled: Rule(reply_rules.tool_called, (_W, _P, _R)),
        events.ReplyEnded: Rule(reply_rules.reply_ended, (_W, _P, *_OVER)),
        events.ReplyAudible: _NOT_PLAYING,
        events.PlaybackProgress: _NOT_PLAYING,
        events.ReplyDrained: _NOT_PLAYING,
        events.ToolsFinished: Rule(reply_rules.tools_finished, (_W, _P, _R)),
        events.MicrophoneReady: _FACT,
        events.MicrophoneLost: Rule(part_rules.live_lost, (_W,)),
        **dict.fromkeys(Deadline, _UNARMED),
        Deadline.LONG_PRESS: Rule(rules.long_press, (_W, _L)),
        Deadline.MAX_HOLD: Rule(rules.live_too_long, (_W,)),
        Deadline.HOLD_WARNING: Ignored("the person has finished; nothing to warn of"),
        Deadline.ANSWER: Rule(rules.no_answer, (_R, _L)),
        Deadline.NUDGE: Rule(rules.nudge, (_W,)),
        Deadline.SETTLE: Rule(reply_rules.settled, (_W, _P, *_OVER)),
        Deadline.GATHER: Rule(reply_rules.settled, (_W, _P, _R)),
        Deadline.TOOL_REPLY: Rule(reply_rules.no_continuation, (_W,)),
    },
    _P: {
        events.Press: Rule(rules.press_speaking, (_L, _R, _E)),
        events.Release: Ignored("the end of a press that was only acknowledged"),
        events.Lifted: Ignored("no deadline runs that a press could reach"),
        events.GateOpened: _TURN_OPEN,
        events.InterruptionSuspected: Rule(rules.interruption_suspected, (_P,)),
        events.TalkedOver: Rule(rules.talked_over, (_R, _E)),
        events.Stop: Rule(rules.stop, (_R,)),
        events.UtteranceSent: _SENT_ONCE,
        events.SendingProgress: _LEFTOVER,
        events.LinkReady: Ignored(
            "the answer that plays belongs to the session before; nothing is replayed once heard"
        ),
        events.LinkLost: Rule(part_rules.link_lost_speaking, (_P, _R, _E)),
        events.LinkFailed: Rule(part_rules.link_lost_speaking, (_P, _R, _E)),
        events.SpeechBegan: Rule(rules.speech_began_speaking, (_L, _W)),
        events.SpeechEnded: Rule(rules.speech_ended, (_P,)),
        events.NothingHeard: Ignored(
            "an answer plays, so somebody was heard: turn detection was quicker than our commit"
        ),
        events.ReplyBegan: Rule(reply_rules.reply_began, (_P,)),
        events.ReplyAudio: Rule(reply_rules.reply_audio, (_P,)),
        events.ToolCalled: Rule(reply_rules.tool_called, (_P, _W, _R)),
        events.ReplyEnded: Rule(reply_rules.reply_ended, (_P, _W, *_OVER)),
        events.ReplyAudible: Rule(reply_rules.audible, (_P,)),
        events.PlaybackProgress: Rule(reply_rules.progress, (_P,)),
        events.ReplyDrained: Rule(reply_rules.drained, (_P, _W, *_OVER)),
        events.ToolsFinished: Rule(reply_rules.tools_finished, (_P, _R)),
        events.MicrophoneReady: _FACT,
        events.MicrophoneLost: _KEPT,
        **dict.fromkeys(Deadline, _UNARMED),
        Deadline.GATHER: Rule(reply_rules.settled, (_P, _R)),
        Deadline.TOOL_REPLY: Rule(reply_rules.no_continuation, (_P,)),
        Deadline.DISMISSED: Rule(rules.interruption_dismissed, (_P,)),
        Deadline.PROGRESS: Rule(reply_rules.stalled, (_P, _R)),
    },
    _N: {
        events.Press: Rule(rules.press_ending, (_R, _L)),
        events.Release: Ignored("the end of a press that was only acknowledged"),
        events.Lifted: Ignored("no deadline runs that a press could reach"),
        events.GateOpened: Rule(rules.gate_opened_ending, (_R, _E, _L)),
        **dict.fromkeys((events.InterruptionSuspected, events.TalkedOver), _NOTHING_SOUNDS),
        events.Stop: Rule(rules.stop_ending, (_R,)),
        events.UtteranceSent: _SENT_ONCE,
        events.SendingProgress: _LEFTOVER,
        events.LinkReady: Ignored("a new session is always announced by the loss of the old one first"),
        events.LinkLost: Rule(reply_rules.answered, (_R, _E)),
        events.LinkFailed: Rule(rules.stop_ending, (_R,)),
        **dict.fromkeys((events.SpeechBegan, events.SpeechEnded, events.NothingHeard), _HEARD),
        events.ReplyBegan: Rule(reply_rules.reply_began, (_W,)),
        **dict.fromkeys((events.ReplyAudio, events.ToolCalled, events.ReplyEnded), _NO_REPLY),
        **dict.fromkeys((events.ReplyAudible, events.PlaybackProgress, events.ReplyDrained), _NOT_PLAYING),
        events.ToolsFinished: Ignored("the outputs of tools were sent before the answer could be over"),
        events.MicrophoneReady: _FACT,
        events.MicrophoneLost: _FACT,
        **dict.fromkeys(Deadline, _UNARMED),
        Deadline.GOES_ON: Rule(reply_rules.answered, (_R, _E)),
    },
    _E: {
        events.Press: Rule(rules.press_ready, (_L,)),
        events.Release: Ignored("the end of a press that only silenced the answer"),
        events.Lifted: Ignored("no deadline runs that a press could reach"),
        events.GateOpened: Rule(rules.gate_opened, (_L,)),
        **dict.fromkeys((events.InterruptionSuspected, events.TalkedOver), _NOTHING_SOUNDS),
        events.Stop: Rule(rules.stand_down, (_R,)),
        events.LinkReady: _FACT,
        events.LinkLost: _FACT,
        events.LinkFailed: Rule(rules.stand_down, (_R,)),
        events.MicrophoneReady: _FACT,
        events.MicrophoneLost: Rule(rules.stand_down, (_R,)),
        **dict.fromkeys(
            (events.UtteranceSent, events.SendingProgress, events.SpeechBegan, events.SpeechEnded, events.NothingHeard),
            _NO_TURN,
        ),
        **dict.fromkeys(
            (events.ReplyBegan, events.ReplyAudio, events.ToolCalled, events.ReplyEnded, events.ReplyAudible), _NO_TURN
        ),
        **dict.fromkeys((events.PlaybackProgress, events.ReplyDrained, events.ToolsFinished), _NO_TURN),
        **dict.fromkeys(Deadline, _UNARMED),
        Deadline.FOLLOW_UP: Rule(rules.stand_down, (_R,)),
    },
}
"""THE table. Its test walks every pair; the README's diagram is drawn from it."""


class Machine:
    """One box's conversation. Single-threaded; feed it events and time, carry out what it returns."""

    def __init__(self, settings: v.TurnSettings) -> None:
        self._conversation = Context(settings)

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
    def paused(self) -> bool:
        """The answer is silent because somebody may be speaking."""
        return Deadline.DISMISSED in self._conversation.deadlines

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

    def handle(self, event: events.Event, now_s: float) -> list[turn_effects.Effect]:
        """Apply one event at ``now_s``. Returns the effects, in order.

        Deadlines that were due before it expire first. For a press or release "before" means before it happened: a loop
        that was busy must not take a short press for a long one.
        """
        self._expire(event.at_s if isinstance(event, events.Press | events.Release | events.Lifted) else now_s)
        _note_facts(self._conversation, event)
        self._apply(type(event), event, now_s)
        return self._take_effects()

    def advance(self, now_s: float) -> list[turn_effects.Effect]:
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

    def _apply(self, key: type[events.Event] | Deadline, event: events.Event | None, now_s: float) -> None:
        row = TABLE[self.state][key]
        if isinstance(row, Ignored):
            return
        following = row.action(self._conversation, event, now_s)
        assert following in row.to, f"{self.state} {key} led to {following}, which its row does not list"
        self._conversation.state = following

    def _take_effects(self) -> list[turn_effects.Effect]:
        effects, self._conversation.effects = self._conversation.effects, []
        return effects


def _note_facts(conversation: Context, event: events.Event) -> None:
    """Facts about the world that hold in every state."""
    match event:
        case events.Press():
            conversation.button_down = True
        case events.Release():
            conversation.button_down = False
        case events.LinkReady():
            conversation.link_up = conversation.unused = True
            conversation.new_session()
        case events.LinkLost() | events.LinkFailed():
            conversation.link_up = False
        case events.MicrophoneReady():
            conversation.microphone_ready = True
        case events.MicrophoneLost():
            conversation.microphone_ready = False
