"""How a message looks on the wire. Pure: one message as the page has it goes in, those that are sent come out.

``FieldSet.LEAN`` sends what the page names. ``FieldSet.OPENAI`` sends every field that OpenAI's own types require: what
a caller gives as ``more``, with what is the same for all events of a kind. A reading then takes away, renames and
moves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, Final

from appliance.simulator.readings import Reading

Message = dict[str, Any]
"""JSON, as Python has it."""


class FieldSet(Enum):
    """How much each event carries."""

    LEAN = "lean"
    OPENAI = "openai"


SESSION_CREATED: Final = "session.created"
SESSION_UPDATED: Final = "session.updated"
CREATED: Final = "response.created"
DONE: Final = "response.done"
AUDIO_DELTA: Final = "response.output_audio.delta"
TRANSCRIPT_DELTA: Final = "response.output_audio_transcript.delta"
CALL: Final = "response.function_call_arguments.done"
ITEM_ADDED: Final = "response.output_item.added"
SPEECH_STARTED: Final = "input_audio_buffer.speech_started"
SPEECH_STOPPED: Final = "input_audio_buffer.speech_stopped"
TRANSCRIPT: Final = "conversation.item.input_audio_transcription.completed"
ITEM_CREATED: Final = "conversation.item.created"

_BETA_NAMES: Final = {
    AUDIO_DELTA: "response.audio.delta",
    TRANSCRIPT_DELTA: "response.audio_transcript.delta",
}

_REASONS: Final[Mapping[str, Message]] = {
    "failed": {
        "type": "failed",
        "error": {"type": "server_error", "code": "model_overloaded"},
    },
    "incomplete": {"type": "incomplete", "reason": "content_filter"},
}
"""``status_details`` of a response that a reading lets fail, in OpenAI's shape and words."""

_IDS: Final = frozenset({"response_id", "item_id", "event_id", "previous_item_id"})

_SAME_FOR_ALL: Final[Mapping[str, Message]] = {
    AUDIO_DELTA: {"output_index": 0, "content_index": 0},
    TRANSCRIPT_DELTA: {"output_index": 0, "content_index": 0},
    TRANSCRIPT: {"content_index": 0},
}


def shaped(message: Message, more: Mapping[str, Any], reading: Reading, fields: FieldSet) -> list[Message]:
    """What is sent for ``message``. ``more``: its fields that the page does not name; an object replaces the page's."""
    full = {**message, **_SAME_FOR_ALL.get(message["type"], {}), **more}
    messages = [full if fields is FieldSet.OPENAI else _lean(message, full, reading)]
    for step in _STEPS:
        messages = [changed for one in messages for changed in step(one, full, reading)]
    return messages


def _lean(message: Message, full: Message, reading: Reading) -> Message:
    """The page's fields, and those without which the reading could not be told."""
    if message["type"] == DONE:
        response = dict(message["response"])
        if reading.call_place == "done" or reading.call_name == "done":
            response["output"] = full["response"]["output"]
        return {**message, "response": response}
    if reading.wants_types and message["type"] in (SESSION_CREATED, SESSION_UPDATED):
        return {**message, "session": full["session"]}
    if reading.speech_twice and message["type"] in (SPEECH_STARTED, SPEECH_STOPPED):
        return {**message, "item_id": full["item_id"]}
    return dict(message)


# ---------------------------------------------------------------- what a reading changes, one thing each

_Step = Callable[[Message, Message, Reading], Iterator[Message]]


def _speech(message: Message, _: Message, reading: Reading) -> Iterator[Message]:
    """The second telling comes with the end: by then such a service has the words, and an item for them."""
    yield message
    if reading.speech_twice and message["type"] == SPEECH_STOPPED:
        again = {**message, "item_id": f"{message['item_id']}_again"}
        if "event_id" in message:
            again["event_id"] = f"{message['event_id']}_again"
        started = {name: value for name, value in again.items() if name != "audio_end_ms"}
        if "audio_end_ms" in again:
            started["audio_start_ms"] = again["audio_end_ms"]
        yield {**started, "type": SPEECH_STARTED}
        yield again


def _transcript(message: Message, _: Message, reading: Reading) -> Iterator[Message]:
    tells = message["type"] == TRANSCRIPT or (message["type"] == ITEM_CREATED and message["item"].get("role") == "user")
    if reading.transcript or not tells:
        yield message


def _call(message: Message, full: Message, reading: Reading) -> Iterator[Message]:
    if message["type"] == DONE and "output" in message.get("response", {}):
        output = [
            _call_item(item, reading, is_last=reading.call_place == "done") for item in message["response"]["output"]
        ]
        yield {**message, "response": {**message["response"], "output": output}}
        return
    if message["type"] != CALL:
        yield message
        return
    if reading.call_place == "added" or reading.call_name == "added":
        item = {
            "id": full.get("item_id", f"item_{message['call_id']}"),
            "type": "function_call",
            "call_id": message["call_id"],
            "name": message["name"],
            "arguments": message["arguments"] if reading.call_place == "added" else "",
        }
        added = {
            "type": ITEM_ADDED,
            "response_id": full.get("response_id"),
            "output_index": full.get("output_index", 0),
        }
        if "event_id" in full:
            added["event_id"] = f"{full['event_id']}_added"
        yield {**added, "item": _call_item(item, reading, is_last=reading.call_place == "added")}
    if reading.call_place == "event":
        yield _without_name(_with_arguments(message, reading), keeps=reading.call_name == "call")


def _call_item(item: Message, reading: Reading, is_last: bool) -> Message:
    """A call as an item. ``is_last``: it stands nowhere else, so that oddities of its arguments show here."""
    if item.get("type") != "function_call":
        return item
    shown = _with_arguments(item, reading) if is_last else item
    return _without_name(shown, keeps=reading.call_name != "nowhere")


def _with_arguments(call: Message, reading: Reading) -> Message:
    match reading.arguments:
        case "null":
            return {**call, "arguments": None}
        case "missing":
            return {name: value for name, value in call.items() if name != "arguments"}
        case "object":
            return {**call, "arguments": {}}
        case _:
            return call


def _without_name(call: Message, keeps: bool) -> Message:
    return call if keeps else {name: value for name, value in call.items() if name != "name"}


def _response(message: Message, full: Message, reading: Reading) -> Iterator[Message]:
    if message["type"] == CREATED and reading.created == "never":
        return
    if message["type"] != DONE:
        yield message
        return
    response = dict(message["response"])
    asked = any(item.get("type") == "function_call" for item in full["response"]["output"])
    asks = asked and reading.tool != "inside"
    if reading.status != "completed" and not asks and (reason := _REASONS.get(response.get("status", ""))):
        response["status_details"] = reason
    if reading.done == "no-status":
        response.pop("status", None)
    yield {"type": DONE} if reading.done == "bare" else {**message, "response": response}


def _ids(message: Message, _: Message, reading: Reading) -> Iterator[Message]:
    if reading.ids:
        yield message
        return
    bare = {name: value for name, value in message.items() if name not in _IDS and name != "response"}
    if isinstance(item := bare.get("item"), dict):
        bare["item"] = {name: value for name, value in item.items() if name != "id"}
    yield bare


def _words(message: Message, _: Message, reading: Reading) -> Iterator[Message]:
    if reading.beta_names:
        message = {**message, "type": _BETA_NAMES.get(message["type"], message["type"])}
    if message["type"] == "error" and reading.error != "page":
        fault = message["error"]
        if reading.error == "text":
            message = {**message, "error": fault["message"], "code": fault.get("code")}
        else:
            message = {**message, "error": {"type": fault.get("code") or fault["type"], "message": fault["message"]}}
    yield message


_STEPS: Final[Sequence[_Step]] = (_speech, _transcript, _call, _response, _ids, _words)
