"""What the embedded service does, when it is not simply a good service. Plain values: a test writes them, or a file
(``scenario_file.py``) gives them.

::

    Scenario, with a reading of the page (readings.py)
    └── connections: one Connection per attempt to connect, in order; the last one repeats
        ├── how the handshake goes (http, accept_after_ms), a reading of its own
        ├── steps: at a Moment, an Action; each once
        └── turns: one Turn per turn of that connection; the last one repeats; a reading of its own
            └── replies: the Reply at the end of the turn, and one more after each round of tool outputs

Everything has a default, and the default is a service without faults.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final, Literal

from appliance.simulator.readings import Reading


@dataclass(frozen=True, slots=True)
class ErrorSaid:
    """What an ``error`` event says."""

    type: str
    code: str
    message: str


KNOWN_FAULTS: Final[Mapping[int, ErrorSaid]] = {
    4001: ErrorSaid("invalid_request_error", "invalid_api_key", "Invalid or missing API key."),
    4003: ErrorSaid("insufficient_quota", "insufficient_credits", "Out of credits. Add credits, then reconnect."),
    4008: ErrorSaid("invalid_request_error", "connection_limit", "Too many concurrent connections for the plan."),
    1013: ErrorSaid("server_error", "server_busy", "The server is busy. Please retry shortly."),
    1011: ErrorSaid("server_error", "internal_error", "The server had an error. Please retry."),
}
"""By close code: what the service says just before. The codes of the errors are ours (service.md names none)."""

UNKNOWN_FAULT: Final = ErrorSaid("invalid_request_error", "of_a_newer_service", "Something that no client knows.")
"""An ``error`` from which nothing can be concluded."""

LOCKED_FAULT: Final = ErrorSaid(
    "invalid_request_error", "session_locked", "Settings are fixed once audio has been sent."
)
COMMIT_EMPTY_FAULT: Final = ErrorSaid(
    "invalid_request_error", "input_audio_buffer_commit_empty", "Nothing to commit: the buffer is (almost) empty."
)
CANCEL_FAULT: Final = ErrorSaid("invalid_request_error", "response_cancel_not_active", "There is no reply to cancel.")
CALL_FAULT: Final = ErrorSaid("invalid_request_error", "invalid_tool_call_id", "No tool call has this id.")
COMMIT_REFUSED_FAULT: Final = ErrorSaid(
    "invalid_request_error", "not_implemented", "input_audio_buffer.commit is not implemented with turn detection."
)
SMALL_APPEND_FAULT: Final = ErrorSaid("invalid_audio_chunk", "", "The piece of audio is too small.")
SETTINGS_REFUSED_FAULT: Final = ErrorSaid(
    "invalid_request_error", "settings_locked", "The settings of this token are locked."
)
CANCEL_REFUSALS: Final[Mapping[str, ErrorSaid]] = {
    "refused": ErrorSaid("invalid_request_error", "not_implemented", "response.cancel is not implemented."),
    "server-error": ErrorSaid("server_error", "", "Handling of the 'response.cancel' event is not implemented."),
}
"""By ``Reading.cancel``: the replies go on."""
ACTIVE_FAULT: Final = ErrorSaid(
    "invalid_request_error", "conversation_already_has_active_response", "A reply is in progress."
)


# ---------------------------------------------------------------- what can be done at a moment


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection. ``code`` None: a close frame without a code (the client sees 1005).

    ``error``: the event sent before it: "known" is what the service says with that code (nothing, if it is not in
    KNOWN_FAULTS), "unknown" is UNKNOWN_FAULT, "none" is no event.
    """

    code: int | None = 1000
    error: Literal["known", "unknown", "none"] = "known"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Reset:
    """The TCP connection is reset (the client sees ECONNRESET, 1006)."""


@dataclass(frozen=True, slots=True)
class HangUp:
    """The TCP connection ends with no close frame (the client sees 1006)."""


@dataclass(frozen=True, slots=True)
class Freeze:
    """As if the network were cut: nothing is read or sent any more, not even pongs, and TCP stays up."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Says nothing more, but goes on reading and answers pings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fail:
    """An ``error`` event; the connection stays open. The default asks to retry."""

    type: str = "server_error"
    code: str = "internal_error"
    message: str = "The server had an error. Please retry."


@dataclass(frozen=True, slots=True)
class SendRaw:
    """A message as it is. str: a text message, in which ``$RESPONSE`` is the id of the newest reply; bytes: binary."""

    message: str | bytes


@dataclass(frozen=True, slots=True)
class Speak:
    """Begin a reply that nobody asked for, also next to one in progress."""

    reply: Reply = field(default_factory=lambda: Reply())


Action = Close | Reset | HangUp | Freeze | Silence | Fail | SendRaw | Speak


class Moment(Enum):
    """When a step happens. "Just before" and "instead of" work because a step that mutes or closes takes effect at
    once."""

    OPEN = "open"
    """The handshake is done; ``session.created`` not sent yet."""
    SETTINGS = "settings"
    """``session.update`` has come; ``session.updated`` not sent yet."""
    READY = "ready"
    """``session.updated`` has been sent."""
    AUDIO = "audio"
    """``audio_ms`` of audio have come over this connection."""
    SPEECH = "speech"
    """``speech_started`` has been sent."""
    TURN = "turn"
    """A turn has ended: ``speech_stopped`` and the transcript have been sent; the reply has not begun."""
    REPLY = "reply"
    """``response.created`` has been sent."""
    DELTA = "delta"
    """A delta has been sent. ``nth`` counts over the connection."""
    DONE = "done"
    """A ``response.done`` has been sent."""
    ANSWER = "answer"
    """An answer has been sent to its end: the ``completed`` response, with sound, that nothing more follows."""
    CANCEL = "cancel"
    """``response.cancel`` has come and has been carried out, or is about to be, when the reply has a cancel lag."""
    COMMIT = "commit"
    """A commit has come and has been carried out."""
    TOOL = "tool"
    """A tool's output has come; the reply to it has not begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """``do`` at the ``nth`` occurrence of ``on`` in a connection, ``after_ms`` later (0: at once), and only once."""

    on: Moment
    do: Action
    nth: int = 1
    after_ms: float = 0.0
    audio_ms: float = 0.0


# ---------------------------------------------------------------- turns and replies


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """The model wants a tool. ``arguments`` is a JSON text, or what a bad model takes for one."""

    name: str
    arguments: str = "{}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One response. What sounds, the first that is set: ``pcm``, ``tone_ms``, ``voice``; else nothing if there are
    ``calls``; else the caller's own words in parrot mode; else the recorded answer to the question heard, or the next
    one by the turn's number.

    ``voice``: a recording's name, or "parrot". ``pcm``: int16 mono 24 kHz. ``text``: its transcript, None for the
    recording's own. ``delay_ms``, ``speed``, ``delta_ms``: None for the service's settings; speed 0: all at once.
    ``split_bytes``: sizes of the deltas, in turn, odd ones too; empty for delta_ms. ``status``: of response.done.
    ``stops_after_ms``: after that much audio neither delta nor done comes until cancelled.
    ``cancel_lag_ms``: a cancelled reply goes on for that long before it says so. ``late_deltas``: so many deltas come
    after the response.done of a cancelled reply. ``needs_nudge``: does not begin until a response.create. ``goes_on``:
    the turn's next reply begins when this one is done.
    """

    voice: str = ""
    tone_ms: float = 0.0
    tone_hz: float = 440.0
    pcm: bytes | None = None
    text: str | None = None
    calls: tuple[Call, ...] = ()
    delay_ms: float | None = None
    speed: float | None = None
    delta_ms: float | None = None
    split_bytes: tuple[int, ...] = ()
    status: str = "completed"
    stops_after_ms: float | None = None
    cancel_lag_ms: float = 0.0
    late_deltas: int = 0
    needs_nudge: bool = False
    goes_on: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """How one turn of the caller is taken.

    ``heard``: the transcript, or the name of a recorded question; "" for the question by the turn's number.
    ``replies``: empty for no reply at all. ``hears``: "start" never notices the end of the speech by itself, "nothing"
    not even its beginning. ``commit``, in Simple mode and with something buffered: "ends" the turn; "late": turn
    detection had ended it just before, so the commit finds nothing; "twice": both make a reply; "ignored".
    ``pause_after_ms``: so long after the speech began the service takes it for ended, whatever is heard. ``reading``:
    from its ``speech_started`` to the next turn's; None for the connection's.
    """

    heard: str = ""
    replies: tuple[Reply, ...] = (Reply(),)
    hears: Literal["all", "start", "nothing"] = "all"
    commit: Literal["ends", "late", "twice", "ignored"] = "ends"
    pause_after_ms: float | None = None
    reading: Reading | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """What happens to one attempt to connect.

    ``http``: refuse the handshake with this status, 0 to accept; ``headers`` go with the refusal (``Retry-After``,
    ``Location``). ``accept_after_ms``: the handshake's answer takes that long. ``refuse_setting``: the settings are
    refused, and the error names this one. ``reading``: None for the scenario's.
    """

    http: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    accept_after_ms: float = 0.0
    refuse_setting: str = ""
    steps: tuple[Step, ...] = ()
    turns: tuple[Turn, ...] = (Turn(),)
    reading: Reading | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """See the module's text. ``reading``: None for the service's (``ServiceSettings``)."""

    connections: tuple[Connection, ...] = (Connection(),)
    reading: Reading | None = None

    def connection(self, number: int) -> Connection:
        """The plan of attempt ``number``, from 0, with the reading that is in force."""
        plan = self.connections[min(number, len(self.connections) - 1)]
        return replace(plan, reading=plan.reading or self.reading)


def conversation(*turns: Turn) -> Scenario:
    """A scenario without faults of the connection: these turns."""
    return Scenario(connections=(Connection(turns=turns),))


def faults(*connections: Connection) -> Scenario:
    """These connections, then good ones."""
    return Scenario(connections=(*connections, Connection()))
