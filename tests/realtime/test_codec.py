"""The protocol's JSON: round trips, every field missing or wrong, and whatever else a network can bring."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import ProtocolError
from appliance.realtime import events as ev
from appliance.realtime.codec import decode, decode_client, encode, encode_server
from appliance.realtime.fields import LARGE_MESSAGE_CHARS, MAX_IDENTIFIER_CHARS

OPENAI = ev.Dialect.OPENAI

AUDIO = b"\x00\x01\xfe\xff"
AUDIO_BASE64 = "AAH+/w=="

SERVER_MESSAGES: list[tuple[dict[str, Any], ev.ServerEvent]] = [
    ({"type": "session.created", "session": {"id": "s"}}, ev.SessionCreated({"id": "s"})),
    ({"type": "session.updated", "session": {"voice": "mal-male"}}, ev.SessionUpdated({"voice": "mal-male"})),
    ({"type": "input_audio_buffer.speech_started"}, ev.SpeechStarted()),
    ({"type": "input_audio_buffer.speech_stopped"}, ev.SpeechStopped()),
    (
        {"type": "conversation.item.input_audio_transcription.completed", "item_id": "i", "transcript": "നമസ്കാരം"},
        ev.InputTranscriptionCompleted("i", "നമസ്കാരം"),
    ),
    (
        {
            "type": "conversation.item.created",
            "item": {"role": "user", "content": [{"type": "input_audio"}, {"type": "input_text", "text": "ശരി"}]},
        },
        ev.ConversationItemCreated("user", ("ശരി",)),
    ),
    ({"type": "response.created", "response": {"id": "r"}}, ev.ResponseCreated("r")),
    (
        {"type": "response.output_audio.delta", "response_id": "r", "item_id": "i", "delta": AUDIO_BASE64},
        ev.OutputAudioDelta("r", "i", AUDIO),
    ),
    (
        {"type": "response.output_audio_transcript.delta", "response_id": "r", "delta": "മഴ "},
        ev.OutputTranscriptDelta("r", "മഴ "),
    ),
    (
        {
            "type": "response.function_call_arguments.done",
            "response_id": "r",
            "name": "get_time",
            "call_id": "c",
            "arguments": "{}",
        },
        ev.FunctionCallArgumentsDone("r", "get_time", "c", "{}"),
    ),
    (
        {
            "type": "response.output_item.added",
            "response_id": "r",
            "item": {"type": "function_call", "id": "i", "call_id": "c", "name": "get_time"},
        },
        ev.OutputItemAdded("r", ev.FunctionCall("c", "get_time", None, "i")),
    ),
    (
        {
            "type": "response.output_item.done",
            "response_id": "r",
            "item": {"type": "function_call", "id": "i", "call_id": "c", "name": "get_time", "arguments": "{}"},
        },
        ev.OutputItemDone("r", ev.FunctionCall("c", "get_time", "{}", "i")),
    ),
    ({"type": "response.done", "response": {"id": "r", "status": "completed"}}, ev.ResponseDone("r", "completed")),
    (
        {
            "type": "response.done",
            "response": {
                "id": "r",
                "status": "failed",
                "status_details": {"type": "failed", "error": {"code": "rate_limit", "message": "slow down"}},
                "output": [
                    {"type": "message"},
                    {"type": "function_call", "call_id": "c", "name": "get_time", "arguments": "{}"},
                ],
            },
        },
        ev.ResponseDone(
            "r",
            "failed",
            ev.StatusDetails("failed", "", "rate_limit", "slow down"),
            (ev.FunctionCall("c", "get_time", "{}"),),
        ),
    ),
    (
        {"type": "error", "error": {"type": "server_error", "code": "busy", "message": "try again"}},
        ev.ErrorEvent("server_error", "busy", "try again"),
    ),
]

SETTINGS = ev.SessionSettings(
    "ചുരുക്കി പറയുക",
    "mal-male",
    (
        ev.ToolDeclaration(
            "set_volume", "Louder or softer", {"type": "object", "properties": {"percent": {"type": "integer"}}}
        ),
    ),
    "required",
    {"type": "server_vad", "silence_duration_ms": 500},
)

NESTED: dict[str, Any] = {
    "type": "session.update",
    "session": {
        "type": "realtime",
        "instructions": "ചുരുക്കി പറയുക",
        "output_modalities": ["audio"],
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "turn_detection": {"type": "server_vad", "silence_duration_ms": 500},
            },
            "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "mal-male"},
        },
        "tools": [
            {
                "type": "function",
                "name": "set_volume",
                "description": "Louder or softer",
                "parameters": {"type": "object", "properties": {"percent": {"type": "integer"}}},
            }
        ],
        "tool_choice": "required",
    },
}

CLIENT_MESSAGES: list[tuple[dict[str, Any], ev.ClientEvent]] = [
    (
        {
            "type": "session.update",
            "session": {
                "instructions": "ചുരുക്കി പറയുക",
                "voice": "mal-male",
                "tools": [
                    {
                        "type": "function",
                        "name": "set_volume",
                        "description": "Louder or softer",
                        "parameters": {"type": "object", "properties": {"percent": {"type": "integer"}}},
                    }
                ],
                "tool_choice": "required",
                "turn_detection": {"type": "server_vad", "silence_duration_ms": 500},
            },
        },
        ev.SessionUpdate(SETTINGS),
    ),
    (NESTED, ev.SessionUpdate(SETTINGS, OPENAI)),
    ({"type": "input_audio_buffer.append", "audio": AUDIO_BASE64}, ev.InputAudioBufferAppend(AUDIO)),
    ({"type": "input_audio_buffer.commit"}, ev.InputAudioBufferCommit()),
    ({"type": "input_audio_buffer.clear"}, ev.InputAudioBufferClear()),
    ({"type": "response.create"}, ev.ResponseCreate()),
    ({"type": "response.cancel", "response_id": "r"}, ev.ResponseCancel("r")),
    (
        {"type": "conversation.item.create", "item": {"type": "function_call_output", "call_id": "c", "output": "{}"}},
        ev.FunctionCallOutput("c", "{}"),
    ),
]


def refusal(message: str | bytes) -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        decode(message)
    return caught.value


# ---------------------------------------------------------------- what is exactly on the wire


@pytest.mark.parametrize(("message", "event"), SERVER_MESSAGES, ids=lambda value: type(value).__name__)
def test_reads_each_event_of_the_service(message: dict[str, Any], event: ev.ServerEvent) -> None:
    assert decode(json.dumps(message)) == event
    assert decode(encode_server(event)) == event


@pytest.mark.parametrize(("message", "event"), CLIENT_MESSAGES, ids=lambda value: type(value).__name__)
def test_writes_each_event_of_a_client(message: dict[str, Any], event: ev.ClientEvent) -> None:
    assert json.loads(encode(event)) == message
    assert decode_client(encode(event)) == event


def test_optional_parts_are_left_out_of_what_is_sent() -> None:
    assert json.loads(encode(ev.ResponseCancel(None))) == {"type": "response.cancel"}
    for dialect in ev.Dialect:
        assert "turn_detection" not in encode(ev.SessionUpdate(ev.SessionSettings(), dialect))


def test_settings_that_a_client_leaves_out_are_the_services_own() -> None:
    assert decode_client('{"type":"session.update","session":{}}') == ev.SessionUpdate(ev.SessionSettings())
    nested = decode_client('{"type":"session.update","session":{"type":"realtime"}}')
    assert nested == ev.SessionUpdate(ev.SessionSettings(), OPENAI)


@pytest.mark.parametrize("path", [("audio",), ("audio", "input"), ("audio", "output"), ("audio", "output", "voice")])
def test_what_is_nested_is_read_as_strictly(path: tuple[str, ...]) -> None:
    text = altered(NESTED, ("session", *path), 7)
    with pytest.raises(ProtocolError) as caught:
        decode_client(text)
    assert caught.value.field == ".".join(("session", *path))


def test_the_nested_settings_are_those_of_openais_own_types() -> None:
    """Their Python package is generated from their reference, and strict here: no field that it does not know."""
    types = pytest.importorskip("openai.types.realtime")
    sent = json.loads(encode(ev.SessionUpdate(SETTINGS, OPENAI)))
    event = types.SessionUpdateEvent.model_validate(sent, strict=True)
    assert isinstance(event.session, types.RealtimeSessionCreateRequest)
    assert event.model_dump(exclude_unset=True) == sent
    assert unknown(event) == []


def unknown(model: Any) -> list[str]:
    """Fields that a model of the package holds and does not declare. What is inside a tool's schema is the tool's."""
    here = list(model.model_extra or {})
    inner = [value for value in dict(model).values() if hasattr(value, "model_fields_set")]
    lists = [item for value in dict(model).values() if isinstance(value, list) for item in value]
    return here + [name for one in [*inner, *lists] if hasattr(one, "model_fields_set") for name in unknown(one)]


def test_a_message_is_ascii_whatever_is_said() -> None:
    assert encode(ev.SessionUpdate(SETTINGS)).isascii()


def test_unknown_events_are_events() -> None:
    assert decode('{"type":"rate_limits.updated","rate_limits":[]}') == ev.UnknownEvent("rate_limits.updated")
    assert decode(encode_server(ev.UnknownEvent("new.thing"))) == ev.UnknownEvent("new.thing")
    with pytest.raises(ProtocolError, match=r"conversation\.item\.truncate"):
        decode_client('{"type":"conversation.item.truncate"}')


# ---------------------------------------------------------------- fields that are missing or wrong


def leaves(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every path into nested objects, lists apart."""
    if not isinstance(value, dict):
        return []
    return [leaf for key, inner in value.items() for leaf in [(*path, key), *leaves(inner, (*path, key))]]


OPTIONAL = {
    ("session.created", "session"),
    ("session.updated", "session"),
    ("conversation.item.input_audio_transcription.completed", "item_id"),
    ("conversation.item.created", "item.role"),
    ("conversation.item.created", "item.content"),
    ("response.created", "response"),
    ("response.created", "response.id"),
    ("response.output_audio.delta", "response_id"),
    ("response.output_audio.delta", "item_id"),
    ("response.output_audio_transcript.delta", "response_id"),
}
"""What may be missing."""

ANY_KIND = {
    "response.function_call_arguments.done",
    "response.output_item.added",
    "response.output_item.done",
    "response.done",
    "error",
    "session.created",
    "session.updated",
}
"""Events of which every field may be missing, and of any kind."""


def anything_goes(message: dict[str, Any], path: tuple[str, ...]) -> bool:
    return message["type"] in ANY_KIND and path != ("type",)


REQUIRED = [
    (message, path)
    for message, _ in SERVER_MESSAGES
    for path in leaves(message)
    if path[0] != "session" or len(path) == 1
]


def altered(message: dict[str, Any], path: tuple[str, ...], *value: object) -> str:
    """``message`` with the field at ``path`` replaced, or removed where no value is given."""
    copy = json.loads(json.dumps(message))
    parent = copy
    for key in path[:-1]:
        parent = parent[key]
    del parent[path[-1]]
    if value:
        parent[path[-1]] = value[0]
    return json.dumps(copy)


@pytest.mark.parametrize(("message", "path"), REQUIRED, ids=str)
def test_a_missing_field_is_named(message: dict[str, Any], path: tuple[str, ...]) -> None:
    field = ".".join(path)
    for text in (altered(message, path), altered(message, path, None)):
        if anything_goes(message, path) or (message["type"], field) in OPTIONAL:
            decode(text)
        else:
            assert refusal(text).field == field
            assert field in str(refusal(text))


@pytest.mark.parametrize(("message", "path"), REQUIRED, ids=str)
@pytest.mark.parametrize("wrong", [7, True, [1]], ids=str)
def test_a_wrong_field_is_named(message: dict[str, Any], path: tuple[str, ...], wrong: object) -> None:
    field = ".".join(path)
    text = altered(message, path, wrong)
    if anything_goes(message, path):
        decode(text)
    else:
        assert (refusal(text).field or "").startswith(field)


def test_what_may_be_missing_reads_as_documented() -> None:
    transcript = decode('{"type":"response.output_audio_transcript.delta","delta":"മഴ"}')
    assert transcript == ev.OutputTranscriptDelta(None, "മഴ")
    done = decode('{"type":"response.done","response":{"id":"r"}}')
    assert done == ev.ResponseDone("r", "")
    assert decode('{"type":"response.done"}') == ev.ResponseDone(None, "")
    assert decode('{"type":"response.created"}') == ev.ResponseCreated(None)
    assert decode('{"type":"response.output_audio.delta","delta":""}') == ev.OutputAudioDelta(None, None, b"")
    item = decode('{"type":"response.output_item.added","item":{"type":"message"}}')
    assert item == ev.OutputItemAdded(None, None)
    output = decode('{"type":"conversation.item.created","item":{"type":"function_call_output"}}')
    assert output == ev.ConversationItemCreated(None, ())


@pytest.mark.parametrize(
    ("error", "read"),
    [
        ({"error": {"code": 500}}, ("", "500", "")),
        ({"error": "no such model"}, ("", "", "no such model")),
        ({"message": "no such model", "code": 404}, ("", "404", "no such model")),
        ({"error": {"type": "not_implemented", "message": "no"}}, ("not_implemented", "", "no")),
        ({"error": None}, ("", "", "")),
        ({}, ("", "", "")),
    ],
    ids=str,
)
def test_an_error_is_read_in_any_shape(error: dict[str, Any], read: tuple[str, str, str]) -> None:
    assert decode(json.dumps({**error, "type": "error"})) == ev.ErrorEvent(*read)


@pytest.mark.parametrize(
    ("arguments", "read"),
    [
        ({}, None),
        ({"arguments": None}, None),
        ({"arguments": {"city": "കൊച്ചി"}}, json.dumps({"city": "കൊച്ചി"})),
        ({"arguments": {}}, "{}"),
        ({"arguments": 7}, "7"),
        ({"arguments": ["Kochi"]}, '["Kochi"]'),
    ],
    ids=str,
)
def test_a_call_is_a_call_whatever_its_arguments_are(arguments: dict[str, Any], read: str | None) -> None:
    call = decode(json.dumps({"type": "response.function_call_arguments.done", "call_id": "c", **arguments}))
    assert call == ev.FunctionCallArgumentsDone(None, None, "c", read)


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("response.audio.delta", ev.OutputAudioDelta("r", None, AUDIO)),
        ("response.audio_transcript.delta", ev.OutputTranscriptDelta("r", AUDIO_BASE64)),
        ("response.cancelled", ev.ResponseDone("r", "cancelled")),
        ("response.text.delta", ev.UnknownEvent("response.text.delta")),
    ],
)
def test_names_of_the_beta_are_read(name: str, event: ev.ServerEvent) -> None:
    assert decode(json.dumps({"type": name, "response_id": "r", "delta": AUDIO_BASE64})) == event


@pytest.mark.parametrize("identifier", ["", "r" * (MAX_IDENTIFIER_CHARS + 1)])
def test_an_identifier_has_a_length(identifier: str) -> None:
    assert refusal(json.dumps({"type": "response.created", "response": {"id": identifier}})).field == "response.id"
    assert refusal(json.dumps({"type": identifier})).field == "type"


# ---------------------------------------------------------------- base64


@pytest.mark.parametrize(
    "text", ["A", "AAA", "AAAAA", "AAAA=", "AAAA====", "AA==AA==", "AA\n==", " AAAA", "AA-_", "====", "നമസ്", "AAA\0"]
)
def test_base64_is_strict(text: str) -> None:
    message = {"type": "response.output_audio.delta", "response_id": "r", "item_id": "i", "delta": text}
    assert refusal(json.dumps(message)).field == "delta"
    with pytest.raises(ProtocolError):
        decode_client(json.dumps({"type": "input_audio_buffer.append", "audio": text}))


@given(st.binary(max_size=200))
def test_audio_of_any_length_survives(audio: bytes) -> None:
    appended = ev.InputAudioBufferAppend(audio)
    assert decode_client(encode(appended)) == appended
    delta = ev.OutputAudioDelta("r", "i", audio)
    assert decode(encode_server(delta)) == delta


# ---------------------------------------------------------------- messages that are none


@pytest.mark.parametrize(
    "message",
    [
        b'{"type":"response.create"}',
        b"\x00\xff",
        "",
        "hello",
        "null",
        "7",
        "[]",
        '"text"',
        "{}",
        '{"type":7}',
        '{"type":"session.created","session":{"a":NaN}}',
        '{"type":"session.created","session":{"a":-Infinity}}',
        '{"type":"session.created","session":{"a":1e999}}',
        '{"type":"session.created","session":{"a":' + "9" * 5000 + "}}",
        '{"type":"session.created","session":' + '{"a":' * 100_000,
        "[" * 100_000,
        '{"type":"error"',
        '\ufeff{"type":"error"}',
    ],
    ids=lambda message: repr(message[:44]),
)
def test_nonsense_is_one_error(message: str | bytes) -> None:
    error = refusal(message)
    assert len(str(error)) < 300 and "\n" not in str(error)


def test_a_long_reply_in_one_message_is_fine() -> None:
    audio = bytes(15_000_000)
    delta = encode_server(ev.OutputAudioDelta("r", "i", audio))
    assert len(delta) > 20_000_000
    assert decode(delta) == ev.OutputAudioDelta("r", "i", audio)


@pytest.mark.parametrize("filling", ["{},", "1,", '"",', "[[[]]],"])
def test_a_large_message_that_is_not_audio_is_refused_unread(filling: str) -> None:
    values = filling * (LARGE_MESSAGE_CHARS // len(filling) + 1)
    message = f'{{"type":"session.updated","session":{{}},"x":[{values}0]}}'
    assert "no single piece of audio" in str(refusal(message))


def test_half_a_surrogate_pair_harms_nobody_downstream() -> None:
    event = decode('{"type":"response.output_audio_transcript.delta","delta":"a\\ud800b"}')
    assert event == ev.OutputTranscriptDelta(None, "a?b")


# ---------------------------------------------------------------- fuzz

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
names = st.sampled_from([message["type"] for message, _ in (*SERVER_MESSAGES, *CLIENT_MESSAGES)])
field_names = st.sampled_from(
    ["session", "response", "item", "error", "delta", "audio", "id", "status", "role", "content", "text", "response_id"]
)


def reads_or_refuses(message: str | bytes) -> None:
    for read in (decode, decode_client):
        try:
            read(message)
        except ProtocolError as error:
            str(error).encode()


@given(st.text() | st.binary())
def test_any_message_is_an_event_or_a_protocol_error(message: str | bytes) -> None:
    reads_or_refuses(message)


@given(names, st.dictionaries(field_names, json_values | st.dictionaries(field_names, json_values)))
def test_any_fields_are_an_event_or_a_protocol_error(name: str, fields: dict[str, Any]) -> None:
    reads_or_refuses(json.dumps({**fields, "type": name}))


@given(st.sampled_from(SERVER_MESSAGES), st.data())
def test_a_message_damaged_anywhere_is_an_event_or_a_protocol_error(
    row: tuple[dict[str, Any], ev.ServerEvent], data: st.DataObject
) -> None:
    text = json.dumps(row[0])
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    reads_or_refuses(text[:start] + data.draw(st.text(max_size=5)) + text[end:])


identifiers = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
words = st.text(st.characters(exclude_categories=["Cs"]))
maybe = st.none() | identifiers
calls = st.builds(ev.FunctionCall, maybe, maybe, st.none() | words, maybe)
schemas = st.dictionaries(words, st.integers() | words | st.booleans(), max_size=3)
server_events: st.SearchStrategy[ev.ServerEvent] = st.one_of(
    st.builds(ev.SessionCreated, schemas),
    st.builds(ev.SessionUpdated, schemas),
    st.builds(ev.InputTranscriptionCompleted, st.none() | identifiers, words),
    st.builds(ev.ConversationItemCreated, st.none() | words, st.lists(words, max_size=3).map(tuple)),
    st.builds(ev.ResponseCreated, maybe),
    st.builds(ev.OutputAudioDelta, maybe, maybe, st.binary()),
    st.builds(ev.OutputTranscriptDelta, maybe, words),
    st.builds(ev.FunctionCallArgumentsDone, maybe, maybe, maybe, st.none() | words, maybe),
    st.builds(ev.OutputItemAdded, maybe, st.none() | calls),
    st.builds(ev.OutputItemDone, maybe, st.none() | calls),
    st.builds(
        ev.ResponseDone,
        maybe,
        words,
        st.builds(ev.StatusDetails, words, words, words, words),
        st.just(()) | st.tuples(calls),
    ),
    st.builds(ev.ErrorEvent, words, words, words),
)
tools = st.builds(ev.ToolDeclaration, identifiers, words, schemas)
client_events: st.SearchStrategy[ev.ClientEvent] = st.one_of(
    st.builds(
        ev.SessionUpdate,
        st.builds(ev.SessionSettings, words, words, st.lists(tools, max_size=2).map(tuple), words, st.none() | schemas),
    ),
    st.builds(ev.ResponseCancel, st.none() | identifiers),
    st.builds(ev.FunctionCallOutput, identifiers, words),
)


@given(server_events)
def test_events_of_the_service_survive_the_wire(event: ev.ServerEvent) -> None:
    assert decode(encode_server(event)) == event


@given(client_events)
def test_events_of_a_client_survive_the_wire(event: ev.ClientEvent) -> None:
    assert decode_client(encode(event)) == event


def test_the_fast_way_to_append_is_json() -> None:
    audio = bytes(range(256))
    expected = {"type": "input_audio_buffer.append", "audio": b64encode(audio).decode()}
    assert json.loads(encode(ev.InputAudioBufferAppend(audio))) == expected
