"""Events as JSON text, and back. The only file with the wire's names.

``_CLIENT`` and ``_SERVER`` are the protocol's two tables, one row an event: its name, how its fields are read, how they
are written. ``encode`` and ``decode`` are the appliance's side; ``encode_server`` and ``decode_client`` are that of the
embedded service.

Reading raises ProtocolError and nothing else, whatever arrives, in time and memory bounded by the message's length, for

- what is not a JSON object in a text message, or has numbers that are none (NaN, 1e999), or is nested beyond reason;
- a field of the tables that is missing, null or of the wrong kind; ``ProtocolError.field`` names it. Fields that no row
  names are not looked at;
- base64 that is not exactly base64. A lenient decoder skips what it does not know and shifts every sample after it.

Where less will do, the row says so. No event needs an id: the service's own clients read none. Of what ends a reply, of
a call, of an error and of the service's own ``session`` nothing need be there and any part may be of any kind: nothing
but ``response.done`` ends a reply, a call that cannot be read is still to be answered, an error is worth having in any
shape, and that a session was created or updated is what counts.

``_OTHER_NAMES`` has the events that are read and never written: names of the protocol's beta, which servers still use.
"""

from __future__ import annotations

import json
from binascii import b2a_base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypeVar

from appliance.errors import ProtocolError

from . import dialects
from . import events as ev
from .fields import MAX_IDENTIFIER_CHARS, Fields, parse

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


def _read_created(message: Fields) -> ev.ResponseCreated:
    response = message.inner_or_none("response")
    return ev.ResponseCreated(None if response is None else response.identifier_or_none("id"))


def _read_call(call: Fields) -> ev.FunctionCall:
    name = call.text_or_empty("name")[:MAX_IDENTIFIER_CHARS] or None
    # JSON in JSON, says the reference; a service that leaves out the inner text means the same.
    arguments = call.json_if_any("arguments")
    return ev.FunctionCall(call.identifier_if_any("call_id"), name, arguments, call.identifier_if_any("item_id"))


def _read_arguments(message: Fields) -> ev.FunctionCallArgumentsDone:
    call = _read_call(message)
    response_id = message.identifier_if_any("response_id")
    return ev.FunctionCallArgumentsDone(response_id, call.name, call.call_id, call.arguments, call.item_id)


def _read_call_item(item: Fields) -> ev.FunctionCall | None:
    """An item of a reply that is a call; None: it is another one."""
    if item.text_or_empty("type") != "function_call":
        return None
    return replace(_read_call(item), item_id=item.identifier_if_any("id"))


def _read_output_item(message: Fields) -> tuple[str | None, ev.FunctionCall | None]:
    return message.identifier_if_any("response_id"), _read_call_item(message.inner_or_empty("item"))


def _write_call_item(call: ev.FunctionCall | None) -> dict[str, object]:
    if call is None:
        return {"type": "message"}
    fields = {"id": call.item_id, "call_id": call.call_id, "name": call.name, "arguments": call.arguments}
    return {"type": "function_call", **_said(fields)}


def _read_done(message: Fields) -> ev.ResponseDone:
    response = message.inner_or_empty("response")
    details = response.inner_or_empty("status_details")
    error = details.inner_or_empty("error")
    calls = (_read_call_item(item) for item in response.inner_if_any("output"))
    return ev.ResponseDone(
        response.identifier_if_any("id") or message.identifier_if_any("response_id"),
        response.text_or_empty("status"),
        ev.StatusDetails(
            details.text_or_empty("type"),
            details.text_or_empty("reason"),
            error.code_or_empty("code") or error.text_or_empty("type"),
            error.text_or_empty("message"),
        ),
        tuple(call for call in calls if call is not None),
    )


def _write_done(event: ev.ResponseDone) -> dict[str, object]:
    response: dict[str, object] = _said({"id": event.response_id, "status": event.status or None})
    details = event.details
    if details != ev.NO_DETAILS:
        error = _said({"code": details.code or None, "message": details.message or None})
        said = {"type": details.type or None, "reason": details.reason or None, "error": error or None}
        response["status_details"] = _said(said)
    if event.calls:
        response["output"] = [_write_call_item(call) for call in event.calls]
    return {"response": response}


def _read_cancelled(message: Fields) -> ev.ResponseDone:
    return replace(_read_done(message), status="cancelled")


def _read_error(message: Fields) -> ev.ErrorEvent:
    """Three shapes are known: an object in ``error``, a text there, and the parts beside ``type``."""
    text = message.text_or_empty("error")
    error = message.inner_or_empty("error")
    return ev.ErrorEvent(
        error.text_or_empty("type"),
        error.code_or_empty("code") or message.code_or_empty("code"),
        error.text_or_empty("message") or text or message.text_or_empty("message"),
    )


def _write_error(event: ev.ErrorEvent) -> dict[str, object]:
    return {"error": {"type": event.type, "code": event.code or None, "message": event.message}}


def _said(fields: Mapping[str, object]) -> dict[str, object]:
    """Without the parts that nobody said."""
    return {name: value for name, value in fields.items() if value is not None}


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
    _Row(
        "input_audio_buffer.speech_started",
        ev.SpeechStarted,
        lambda f: ev.SpeechStarted(f.identifier_if_any("item_id")),
        lambda e: {} if e.item_id is None else {"item_id": e.item_id},
    ),
    _Row("input_audio_buffer.speech_stopped", ev.SpeechStopped, lambda _: ev.SpeechStopped()),
    _Row(
        "conversation.item.input_audio_transcription.completed",
        ev.InputTranscriptionCompleted,
        lambda f: ev.InputTranscriptionCompleted(f.identifier_or_none("item_id"), f.text("transcript")),
        lambda e: {"item_id": e.item_id, "transcript": e.transcript},
    ),
    _Row("conversation.item.created", ev.ConversationItemCreated, lambda f: _read_item(f.inner("item")), _write_item),
    _Row(
        "response.created",
        ev.ResponseCreated,
        _read_created,
        lambda e: {"response": _said({"id": e.response_id})},
    ),
    _Row(
        "response.output_audio.delta",
        ev.OutputAudioDelta,
        lambda f: ev.OutputAudioDelta(
            f.identifier_or_none("response_id"), f.identifier_or_none("item_id"), f.audio("delta")
        ),
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
        _read_arguments,
        lambda e: {
            "response_id": e.response_id,
            "item_id": e.item_id,
            "name": e.name,
            "call_id": e.call_id,
            "arguments": e.arguments,
        },
    ),
    _Row(
        "response.output_item.added",
        ev.OutputItemAdded,
        lambda f: ev.OutputItemAdded(*_read_output_item(f)),
        lambda e: {"response_id": e.response_id, "item": _write_call_item(e.call)},
    ),
    _Row(
        "response.output_item.done",
        ev.OutputItemDone,
        lambda f: ev.OutputItemDone(*_read_output_item(f)),
        lambda e: {"response_id": e.response_id, "item": _write_call_item(e.call)},
    ),
    _Row("response.done", ev.ResponseDone, _read_done, _write_done),
    _Row("error", ev.ErrorEvent, _read_error, _write_error),
)

_CLIENT_BY_NAME: Final = {row.wire_name: row for row in _CLIENT}
_SERVER_BY_NAME: Final = {row.wire_name: row for row in _SERVER}
_OTHER_NAMES: Final[Mapping[str, Callable[[Fields], ev.ServerEvent]]] = {
    "response.audio.delta": _SERVER_BY_NAME["response.output_audio.delta"].read,
    "response.audio_transcript.delta": _SERVER_BY_NAME["response.output_audio_transcript.delta"].read,
    "response.cancelled": _read_cancelled,
}
_READ: Final = {**{name: row.read for name, row in _SERVER_BY_NAME.items()}, **_OTHER_NAMES}
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
    read = _READ.get(wire_name)
    if read is None:
        return ev.UnknownEvent(wire_name)
    event: ev.ServerEvent = read(fields)
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
    return json.dumps({"type": row.wire_name, **_said(row.write(event))}, separators=(",", ":"), allow_nan=False)
