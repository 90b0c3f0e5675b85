"""The words of the turn machine: its states, what happens to it (events), and what it asks for (effects).

All are plain values. Times (``_s``) are monotonic seconds. Response ids are the service's, opaque.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


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
    DISMISSED = "it was nobody: the paused answer goes on"
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
    TALKED_OVER = "interrupted by a voice"
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

    ``tool_rounds``: how often tools may run in one turn. ``tool_s``: how long one may take at most.
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
    tool_s: float
    no_progress_s: float
    follow_up_s: float
    greeting_s: float | None = None
    """None: the voice does not greet."""


# ---------------------------------------------------------------- events


# ---------------------------------------------------------------- effects
