"""Events as JSON text, and back. The only file with the wire's names.

``_CLIENT`` and ``_SERVER`` are the protocol's two tables, one row an event: its name, how its fields are read, how they
are written. ``encode`` and ``decode`` are the appliance's side; ``encode_server`` and ``decode_client`` are that of the
embedded service.

Reading raises ProtocolError and nothing else, whatever arrives, in time and memory bounded by the message's length, for

- what is not a JSON object in a text message, or has numbers that are none (NaN, 1e999), or is nested beyond reason;
- a field of the tables that is missing, null or of the wrong kind; ``ProtocolError.field`` names it. Fields that no row
  names are not looked at;
- base64 that is not exactly base64. A lenient decoder skips what it does not know and shifts every sample after it.

Where less will do, the row says so: ``response_id`` may be missing where the service's reference does not list it, and
so may the role and content of an item. The parts of an error, ``response.status`` and the service's own ``session`` may
be missing or of any kind: an error is worth having in any shape, nothing but ``response.done`` ends a reply
(``session.py`` says what becomes of one without a status), and that a session was created or updated is what counts.
"""

from __future__ import annotations

import json
from binascii import b2a_base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from appliance.errors import ProtocolError

from . import dialects
from . import events as ev
from .fields import Fields, parse

# ---------------------------------------------------------------- rows that need more than a line


def _read_tool_output(item: Fields) -> ev.FunctionCallOutput:
    if item.text("type") != "function_call_output":
        raise item.fault("type", "is not function_call_output, the only item a client creates")
    return ev.FunctionCallOutput(item.identifier("call_id"), item.text("output"))


def _write_tool_output(event: ev.FunctionCallOutput) -> dict[str, object]:
    return {"item": {"type": "function_call_output", "call_id": event.call_id, "output": event.output}}


def _read_item(item: Fields) -> ev.ConversationItemCreated:
    # Parts that are not text (audio) have none.
    parts = (part.text_or_none("text") for part in item.list_of_inner("content"))
    return ev.ConversationItemCreated(item.text_or_none("role"), tuple(part for part in parts if part is not None))


def _write_item(event: ev.ConversationItemCreated) -> dict[str, object]:
    kind = "function_call_output" if event.role is None else "message"
    content = [{"type": "input_text", "text": text} for text in event.text]
    return {"item": {"type": kind, "role": event.role, "content": content}}


def _read_done(response: Fields) -> ev.ResponseDone:
    return ev.ResponseDone(response.identifier("id"), response.text_or_empty("status"))


def _read_error(error: Fields) -> ev.ErrorEvent:
    return ev.ErrorEvent(error.text_or_empty("type"), error.text_or_empty("code"), error.text_or_empty("message"))


def _write_error(event: ev.ErrorEvent) -> dict[str, object]:
    return {"error": {"type": event.type, "code": event.code or None, "message": event.message}}


def _base64(audio: bytes) -> str:
    return b2a_base64(audio, newline=False).decode("ascii")


# ---------------------------------------------------------------- the protocol's tables

_Event = TypeVar("_Event")


@dataclass(frozen=True, slots=True)
class _Row(Generic[_Event]):
    """One event. ``write`` gives the fields beside ``type``; a None at the top level is left out."""

    wire_name: str
    event: type[_Event]
    read: Callable[[Fields], _Event]
    write: Callable[[_Event], Mapping[str, object]] = lambda _: {}


_APPEND: Final = "input_audio_buffer.append"

_CLIENT: Final[tuple[_Row[Any], ...]] = (
    _Row(
        "session.update",
        ev.SessionUpdate,
        lambda f: ev.SessionUpdate(*dialects.read(f.inner("session"))),
        lambda e: {"session": dialects.write(e.settings, e.dialect)},
    ),
    _Row(
        _APPEND,
        ev.InputAudioBufferAppend,
        lambda f: ev.InputAudioBufferAppend(f.audio("audio")),
        lambda e: {"audio": _base64(e.audio)},
    ),
    _Row("input_audio_buffer.commit", ev.InputAudioBufferCommit, lambda _: ev.InputAudioBufferCommit()),
    _Row("input_audio_buffer.clear", ev.InputAudioBufferClear, lambda _: ev.InputAudioBufferClear()),
    _Row("response.create", ev.ResponseCreate, lambda _: ev.ResponseCreate()),
    _Row(
        "response.cancel",
        ev.ResponseCancel,
        lambda f: ev.ResponseCancel(f.identifier_or_none("response_id")),
        lambda e: {"response_id": e.response_id},
    ),
    _Row(
        "conversation.item.create",
        ev.FunctionCallOutput,
        lambda f: _read_tool_output(f.inner("item")),
        _write_tool_output,
    ),
)

_SERVER: Final[tuple[_Row[Any], ...]] = (
    _Row(
        "session.created",
        ev.SessionCreated,
        lambda f: ev.SessionCreated(f.mapping_or_empty("session")),
        lambda e: {"session": dict(e.session)},
    ),
    _Row(
        "session.updated",
        ev.SessionUpdated,
        lambda f: ev.SessionUpdated(f.mapping_or_empty("session")),
        lambda e: {"session": dict(e.session)},
    ),
    _Row("input_audio_buffer.speech_started", ev.SpeechStarted, lambda _: ev.SpeechStarted()),
    _Row("input_audio_buffer.speech_stopped", ev.SpeechStopped, lambda _: ev.SpeechStopped()),
    _Row(
        "conversation.item.input_audio_transcription.completed",
        ev.InputTranscriptionCompleted,
        lambda f: ev.InputTranscriptionCompleted(f.identifier("item_id"), f.text("transcript")),
        lambda e: {"item_id": e.item_id, "transcript": e.transcript},
    ),
    _Row("conversation.item.created", ev.ConversationItemCreated, lambda f: _read_item(f.inner("item")), _write_item),
    _Row(
        "response.created",
        ev.ResponseCreated,
        lambda f: ev.ResponseCreated(f.inner("response").identifier("id")),
        lambda e: {"response": {"id": e.response_id}},
    ),
    _Row(
        "response.output_audio.delta",
        ev.OutputAudioDelta,
        lambda f: ev.OutputAudioDelta(f.identifier("response_id"), f.identifier("item_id"), f.audio("delta")),
        lambda e: {"response_id": e.response_id, "item_id": e.item_id, "delta": _base64(e.audio)},
    ),
    _Row(
        "response.output_audio_transcript.delta",
        ev.OutputTranscriptDelta,
        lambda f: ev.OutputTranscriptDelta(f.identifier_or_none("response_id"), f.text("delta")),
        lambda e: {"response_id": e.response_id, "delta": e.delta},
    ),
    _Row(
        "response.function_call_arguments.done",
        ev.FunctionCallArgumentsDone,
        lambda f: ev.FunctionCallArgumentsDone(
            f.identifier_or_none("response_id"), f.identifier("name"), f.identifier("call_id"), f.text("arguments")
        ),
        lambda e: {
            "response_id": e.response_id,
            "name": e.name,
            "call_id": e.call_id,
            "arguments": e.arguments,
        },
    ),
    _Row(
        "response.done",
        ev.ResponseDone,
        lambda f: _read_done(f.inner("response")),
        lambda e: {"response": {"id": e.response_id, "status": e.status or None}},
    ),
    _Row("error", ev.ErrorEvent, lambda f: _read_error(f.inner("error")), _write_error),
)

_CLIENT_BY_NAME: Final = {row.wire_name: row for row in _CLIENT}
_SERVER_BY_NAME: Final = {row.wire_name: row for row in _SERVER}
_ROW_BY_EVENT: Final = {row.event: row for row in (*_CLIENT, *_SERVER)}

# ---------------------------------------------------------------- the four functions


def encode(event: ev.ClientEvent) -> str:
    """The message for ``event``. ASCII only. TypeError or ValueError if a tool's schema is no JSON, a fault of ours."""
    if isinstance(event, ev.InputAudioBufferAppend):
        # 25 a second, for hours: base64 needs no escaping, so the general way would only look for what to escape.
        return f'{{"type":"{_APPEND}","audio":"{_base64(event.audio)}"}}'
    return _encode(event)


def decode(message: str | bytes) -> ev.ServerEvent:
    """The event of a message from the service. Raises ProtocolError."""
    wire_name, fields = parse(message)
    row = _SERVER_BY_NAME.get(wire_name)
    if row is None:
        return ev.UnknownEvent(wire_name)
    event: ev.ServerEvent = row.read(fields)
    return event


def encode_server(event: ev.ServerEvent) -> str:
    """The message for ``event`` as the service sends it."""
    if isinstance(event, ev.UnknownEvent):
        return json.dumps({"type": event.type})
    return _encode(event)


def decode_client(message: str | bytes) -> ev.ClientEvent:
    """The event of a message from a client. Raises ProtocolError, also for one that the service does not know."""
    wire_name, fields = parse(message)
    row = _CLIENT_BY_NAME.get(wire_name)
    if row is None:
        raise ProtocolError(f"{wire_name!r} is no event of a client", field="type")
    event: ev.ClientEvent = row.read(fields)
    return event


def _encode(event: ev.ClientEvent | ev.ServerEvent) -> str:
    row = _ROW_BY_EVENT[type(event)]
    fields = {name: value for name, value in row.write(event).items() if value is not None}
    return json.dumps({"type": row.wire_name, **fields}, separators=(",", ":"), allow_nan=False)
