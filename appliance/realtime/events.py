"""One frozen dataclass per event of the service's protocol, in both directions.

Names are the wire's in CamelCase; ``codec.py`` has their JSON form. Audio is int16 little-endian mono PCM at 24 kHz, as
bytes and no longer base64; the service may cut it anywhere, also within a sample. Ids are the service's, opaque.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from appliance.turn.value import Value

DEFAULT_VOICE = "mal-female"
"""What the service speaks with when nobody says otherwise."""

# ---------------------------------------------------------------- what a session is set to


class ToolDeclaration(Value):
    """A function that the model may call. ``parameters`` is its JSON Schema: plain dicts, lists, texts and numbers."""

    name: str
    description: str
    parameters: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """The settings of one session, fixed once audio has been sent.

    ``tool_choice``: ``auto``, ``none`` or ``required``. ``turn_detection``: None leaves it out of the message, and the
    service's own, automatic, detection is in force.
    """

    instructions: str = ""
    voice: str = DEFAULT_VOICE
    tools: tuple[ToolDeclaration, ...] = ()
    tool_choice: str = "auto"
    turn_detection: Mapping[str, object] | None = None


class Dialect(Enum):
    """How a session's settings are laid out on the wire; ``dialects.py`` has both."""

    SWARAM = "swaram"
    """Flat, as the service's reference shows it."""
    OPENAI = "openai"
    """Nested, as OpenAI's Realtime has required it since the end of its beta."""

    @property
    def other(self) -> Dialect:
        """There are two."""
        return Dialect.OPENAI if self is Dialect.SWARAM else Dialect.SWARAM


# ---------------------------------------------------------------- what a client sends


class SessionUpdate(Value):
    """The settings: the first message of a session; once, unless the service has refused it."""

    settings: SessionSettings
    dialect: Dialect = Dialect.SWARAM


class InputAudioBufferAppend(Value):
    """A piece of the person's voice."""

    audio: bytes


class InputAudioBufferCommit(Value):
    """The person has finished. Premium ignores it."""


class InputAudioBufferClear(Value):
    """Forget the audio that has not been committed. Premium ignores it."""


class ResponseCreate(Value):
    """Reply now. Premium ignores it."""


class ResponseCancel(Value):
    """Stop a reply. ``response_id`` None: whichever is in progress."""

    response_id: str | None


class FunctionCallOutput(Value):
    """A tool's result, ``output`` being JSON text. On the wire it is a ``conversation.item.create``."""

    call_id: str
    output: str


ClientEvent: TypeAlias = (
    SessionUpdate
    | InputAudioBufferAppend
    | InputAudioBufferCommit
    | InputAudioBufferClear
    | ResponseCreate
    | ResponseCancel
    | FunctionCallOutput
)

# ---------------------------------------------------------------- what a client receives


class SessionCreated(Value):
    """The service is there, sent on connecting. ``session``: its settings before ours; empty if it says none."""

    session: Mapping[str, object]


class SessionUpdated(Value):
    """Our settings are in force. ``session``: the effective ones; empty if it says none."""

    session: Mapping[str, object]


class SpeechStarted(Value):
    """The service hears the person begin to speak. On the wire an ``input_audio_buffer`` event. ``item_id``: of what
    is being said; None: not told."""

    item_id: str | None = None


class SpeechStopped(Value):
    """The service hears a pause. On the wire an ``input_audio_buffer`` event."""


class InputTranscriptionCompleted(Value):
    """What the person said, a whole turn in one event. ``item_id`` None: the service did not say of which item."""

    item_id: str | None
    transcript: str


class ConversationItemCreated(Value):
    """An item was added. ``role`` is None for one that nobody said (a tool's result); ``text`` has its text parts."""

    role: str | None
    text: tuple[str, ...]


# A ``response_id`` of None: the service did not say whose.


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """What one event says of a call of the model's. A part is None if the event lacks it, or has it in no readable
    form. ``arguments`` is JSON text, not read; only a ``call_id`` makes the call one that can be answered."""

    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    item_id: str | None = None


class StatusDetails(Value):
    """Why a reply ended as it did, in the service's words. A part is "" if it was not said."""

    type: str = ""
    reason: str = ""
    code: str = ""
    message: str = ""


NO_DETAILS: Final = StatusDetails()


class ResponseCreated(Value):
    """A reply begins."""

    response_id: str | None


class OutputAudioDelta(Value):
    """A piece of a reply's audio; may be of any length, also none. ``item_id`` None: not said."""

    response_id: str | None
    item_id: str | None
    audio: bytes


class OutputTranscriptDelta(Value):
    """A piece of a reply's text."""

    response_id: str | None
    delta: str


class FunctionCallArgumentsDone(Value):
    """The model wants a tool, and has said with which arguments. The parts are those of ``FunctionCall``."""

    response_id: str | None
    name: str | None
    call_id: str | None
    arguments: str | None
    item_id: str | None = None


class OutputItemAdded(Value):
    """A part of a reply begins. ``call`` None: it is no call."""

    response_id: str | None
    call: FunctionCall | None


class OutputItemDone(Value):
    """A part of a reply is whole. ``call`` None: it is no call."""

    response_id: str | None
    call: FunctionCall | None


@dataclass(frozen=True, slots=True)
class ResponseDone:
    """A reply is over. ``status``: ``completed``, ``cancelled``, ``failed``, ``incomplete``; "" if nothing was said.
    ``calls``: those that it repeats of the reply."""

    response_id: str | None
    status: str
    details: StatusDetails = NO_DETAILS
    calls: tuple[FunctionCall, ...] = ()


class ErrorEvent(Value):
    """Something went wrong; most leave the connection open. A part is "" if the service did not say it."""

    type: str
    code: str
    message: str


class UnknownEvent(Value):
    """An event of a newer service."""

    type: str


ServerEvent: TypeAlias = (
    SessionCreated
    | SessionUpdated
    | SpeechStarted
    | SpeechStopped
    | InputTranscriptionCompleted
    | ConversationItemCreated
    | ResponseCreated
    | OutputAudioDelta
    | OutputTranscriptDelta
    | FunctionCallArgumentsDone
    | OutputItemAdded
    | OutputItemDone
    | ResponseDone
    | ErrorEvent
    | UnknownEvent
)
