"""The words of the turn machine: its states, what happens to it (events), and what it asks for (effects).

All are plain values. Times (``_s``) are monotonic seconds. Response ids are the service's, opaque.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from appliance.value import Value


class Mode(Enum):
    """How one talks (``talk.mode``)."""

    AUTO = "auto"
    HOLD = "hold"
    TAP = "tap"
    OPEN = "open"
    """No button is needed: a voice gate of our own opens the turn, a press does as in TAP."""


class State(Enum):
    """Whose move it is."""

    READY = "ready"
    """Nothing asked. Everything the box holds of the last turn is wiped."""
    LISTENING = "listening"
    """A person speaks: the button is down, or a tap opened the turn and the service will end it."""
    SENDING = "sending"
    """The person has finished; the last sample, tail included, has not left the box (or must leave it again)."""
    WAITING = "waiting"
    """Everything said is with the service; the answer, or a tool, is awaited."""
    SPEAKING = "speaking"
    """The answer plays."""
    ENDING = "ending"
    """All of the answer was heard. The turn stays open a little longer, for a service that answers in two parts; for a
    person it is over, and a press begins the next one."""
    EXPECTING = "expecting"
    """``OPEN`` only: the answer is over and no turn is open, but what is said next is expected: no new invite."""


class Deadline(Enum):
    """The machine's timers. Each is an event of the table when it expires."""

    UPLINK = "min_hold_ms: this is a real hold, what was said may leave"
    HOLD_WARNING = "max_hold_warning_s before max_hold_s: the light warns"
    MAX_HOLD = "max_hold_s: the utterance ends, a button still down is jammed"
    NO_SPEECH = "no_speech_s: nobody spoke after a tap"
    GREETING = "greeting_s: nobody has spoken yet in this session, so the voice greets"
    LONG_PRESS = "tap_max_ms: a press while the answer is awaited is meant as a new question"
    STALE = "stale_s: what was said could not be sent in time"
    ANSWER = "answer_s: no answer came"
    NUDGE = "nudge_s: the service has not noticed the end of the turn"
    SETTLE = "settle_ms: a reply may sound now"
    GATHER = "the model calls no further tool with those it has called"
    TOOL_REPLY = "tool_reply_s: the service has not gone on after the tools' results"
    GOES_ON = "tool_reply_s: the service has not gone on after its answer"
    FOLLOW_UP = "follow_up_s: nobody went on, the box invites again"
    PROGRESS = "no_progress_s: nothing played and nothing arrived"


class Outcome(Enum):
    """How a turn ended: the word in the journal's line."""

    ANSWERED = "answered"
    TOO_SHORT = "too short a press"
    NO_SPEECH = "nobody spoke"
    NO_ANSWER = "no answer in time"
    EMPTY_ANSWER = "the service answered with nothing"
    FAILED = "the answer failed"
    TOOL_LOOP = "the service asked for tools without end"
    LOST_AGAIN = "the connection broke each time it was asked"
    STALE = "could not be sent in time"
    LINK_LOST = "connection lost in the answer"
    REFUSED = "the service refused"
    INTERRUPTED = "interrupted by a press"
    STOPPED = "stopped"
    STALLED = "the answer stopped arriving"
    NO_MICROPHONE = "the microphone was lost"


class Sound(Enum):
    """The earcons the machine asks for."""

    LISTENING = "listening"
    SENT = "sent"
    SORRY = "sorry"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class TurnSettings:
    """The times of a turn, all in seconds; the values and their reasons stand in ``default.toml``.

    ``tool_rounds``: how often tools may run in one turn.
    """

    mode: Mode
    debounce_s: float
    min_hold_s: float
    tap_max_s: float
    second_tap_s: float
    release_tail_s: float
    max_hold_s: float
    max_hold_warning_s: float
    no_speech_s: float
    stale_s: float
    keep_s: float
    answer_s: float
    nudge_s: float
    settle_s: float
    tool_reply_s: float
    tool_rounds: int
    no_progress_s: float
    follow_up_s: float
    greeting_s: float | None = None
    """None: the voice does not greet."""


class ToolCall(Value):
    """One tool the model wants. ``arguments`` is the service's JSON text, not yet read."""

    call_id: str
    name: str
    arguments: str


# ---------------------------------------------------------------- events


class Event(Value):
    """Base of everything that happens to the machine, deadlines aside."""


class Press(Event):
    """A button went down at ``at_s``."""

    at_s: float


class Release(Event):
    """The button went up at ``at_s``, which may lie a debounce time in the past."""

    at_s: float


class Lifted(Event):
    """The contact opened at ``at_s``: a release, or a bounce. A Release follows if it was one."""

    at_s: float


class GateOpened(Event):
    """``OPEN`` only: the voice gate is certain now that somebody has been speaking since ``at_s``."""

    at_s: float


class Stop(Event):
    """Somebody asked for silence (``ctl stop``): the reply and the turn end."""


class UtteranceSent(Event):
    """The last sample of the ended utterance has been handed to the connection."""


class SendingProgress(Event):
    """Some of the utterance left; sent about once a second. ``behind_s``: seconds of it that are heard and have not."""

    behind_s: float


class LinkReady(Event):
    """A new session has its settings: audio may be sent."""


class LinkLost(Event):
    """The session is gone; the link tries again by itself while a turn wants it."""


class LinkFailed(Event):
    """The link will not try again by itself in time to serve this turn."""


class SpeechBegan(Event):
    """The service hears the person speak."""


class SpeechEnded(Event):
    """The service heard the person stop."""


class NothingHeard(Event):
    """The service found nothing in what this turn's commit ended. That nobody spoke is for the rules to say."""


class ReplyBegan(Event):
    """The service began a reply that belongs to this turn."""

    response_id: str


class ReplyAudio(Event):
    """Audio of that reply arrived (and lies in the player). ``silent``: nothing of it could be heard."""

    response_id: str
    silent: bool = False


class ToolCalled(Event):
    """That reply wants a tool. The same call id again: now it is better known."""

    response_id: str
    call: ToolCall


class ReplyEnded(Event):
    """All of that reply has arrived. ``status`` is the service's: completed, cancelled, failed, incomplete, or another
    word, which means nothing bad."""

    response_id: str
    status: str


class ReplyAudible(Event):
    """The first sample of the reply left the speaker."""

    response_id: str


class PlaybackProgress(Event):
    """The speaker is playing; sent about once a second."""


class ReplyDrained(Event):
    """The last sample of the reply left the speaker."""

    response_id: str


class ToolsFinished(Event):
    """Every tool of one response has answered. ``outputs`` pairs call ids with JSON texts."""

    outputs: tuple[tuple[str, str], ...]


class MicrophoneReady(Event):
    """The microphone delivers."""


class MicrophoneLost(Event):
    """The microphone is gone, or has had a hole too long to bridge."""


# ---------------------------------------------------------------- effects


class Effect(Value):
    """Base of everything the machine asks for."""


class OpenTurn(Effect):
    """Responses may belong to this turn from now on. Sent again when the turn moves to a new session."""

    number: int


class CloseTurn(Effect):
    """The turn is over: wipe the utterance, forget its replies, write its line."""

    number: int
    outcome: Outcome


class Connect(Effect):
    """A session is wanted now. Harmless when there is one."""


class LeaveSession(Effect):
    """This turn needs no session any more: what is left of it is here."""


class BeginUtterance(Effect):
    """Keep what the microphone hears from ``at_s`` on, and the pre-roll before it."""

    at_s: float


class ResumeUtterance(Effect):
    """The same turn goes on: what was said from ``at_s`` on follows what was said before."""

    at_s: float


class EndUtterance(Effect):
    """The last sample of the utterance is the one at ``at_s``."""

    at_s: float


class CutUtterance(Effect):
    """Nothing more will be heard: the utterance, which has ended, ends with what is there of its tail."""


class RewindUtterance(Effect):
    """Nothing of the utterance counts as sent any more."""


class OpenUplink(Effect):
    """What was said may leave the box."""


class StartSilence(Effect):
    """Pace zeros after the utterance, so that the service can hear the pause."""


class StopSilence(Effect):
    """Enough zeros."""


class Commit(Effect):
    """Tell the service that the turn has ended."""


class Nudge(Effect):
    """Ask the service to reply now. ``after_tools``: the outputs of tools have brought about nothing."""

    after_tools: bool = False


class Clear(Effect):
    """Tell the service to forget what it has buffered."""


class CloseSession(Effect):
    """Close the session with 1000. ``reason``: for the journal."""

    reason: str


class CancelReply(Effect):
    """Stop a reply that is in progress at the service."""

    response_id: str


class PlayReply(Effect):
    """What has arrived of the reply, and what will, may sound."""


class HoldReply(Effect):
    """All that has arrived was played; what comes next waits for ``PlayReply`` again."""


class DropReply(Effect):
    """Silence now: nothing that has arrived so far may sound any more."""


class RunTools(Effect):
    """Run these tools; answer with ``ToolsFinished``."""

    calls: tuple[ToolCall, ...]


class AbortTools(Effect):
    """End the tools that run; their results are not wanted."""


class SendToolOutputs(Effect):
    """Give the service the results, all together."""

    outputs: tuple[tuple[str, str], ...]


class PlayEarcon(Effect):
    """A short sound for the person. ``ended``: the turn ended so, and words may take its place; None: none did."""

    sound: Sound
    ended: Outcome | None = None


class WarnLongHold(Effect):
    """The light says that the time to speak is nearly over."""


class HintHold(Effect):
    """Tell the person to keep the button pressed while speaking."""


class ReportJam(Effect):
    """The button has been down for longer than anyone speaks: one line; it is ignored until it is released."""
