"""What is kept of a message: its shape, never what was said. And a message made from a shape again."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.realtime import codec, events
from appliance.realtime.record import (
    MAX_FIELDS,
    MAX_ITEMS,
    Attempt,
    Closed,
    Connected,
    Message,
    filled,
    line_of,
    skeleton,
)

PCM = b"\x01\x02" * 2400
AUDIO = base64.b64encode(PCM).decode()
WORDS = "മഴ എപ്പോൾ വരും"
KEY = "swaram_test_0123456789abcdef"


def base64_of(count: int) -> str:
    return base64.b64encode(bytes(count)).decode()


@pytest.mark.parametrize(
    ("event", "type_", "fields"),
    [
        (
            events.InputAudioBufferAppend(PCM),
            "input_audio_buffer.append",
            {"audio": "audio(4800 bytes)"},
        ),
        (
            events.OutputAudioDelta("resp_1", "item_1", PCM[:-1]),
            "response.output_audio.delta",
            {"response_id": "resp_1", "item_id": "item_1", "delta": "audio(4799 bytes)"},
        ),
        (
            events.OutputTranscriptDelta("resp_1", WORDS),
            "response.output_audio_transcript.delta",
            {"response_id": "resp_1", "delta": f"text({len(WORDS)} chars)"},
        ),
        (
            events.FunctionCallArgumentsDone(None, "get_time", "call_1", '{"zone": "Asia/Kolkata"}'),
            "response.function_call_arguments.done",
            {"name": "get_time", "call_id": "call_1", "arguments": "json(24 chars)"},
        ),
        (
            events.FunctionCallOutput("call_1", "half past six"),
            "conversation.item.create",
            {"item": {"type": "function_call_output", "call_id": "call_1", "output": "text(13 chars)"}},
        ),
        (
            events.ErrorEvent("server_error", "internal_error", WORDS),
            "error",
            {"error": {"type": "server_error", "code": "internal_error", "message": f"text({len(WORDS)} chars)"}},
        ),
    ],
    ids=["append", "delta", "transcript", "call", "output", "error"],
)
def test_of_an_event_its_shape_is_kept(event: Any, type_: str, fields: Any) -> None:
    encode = codec.encode if isinstance(event, events.InputAudioBufferAppend | events.FunctionCallOutput) else None
    message = encode(event) if encode is not None else codec.encode_server(event)
    assert skeleton(message) == {"type": type_, "fields": fields}


def test_settings_are_kept_without_what_they_say() -> None:
    parameters = {"type": "object", "properties": {"പേര്": {"type": "string", "enum": ["രാമൻ"]}}}
    tool = events.ToolDeclaration("book_a_table", "books for രാമൻ", parameters)
    shape = skeleton(codec.encode(events.SessionUpdate(events.SessionSettings(WORDS, "mal-female", (tool,)))))
    session = shape["fields"]["session"]
    assert session["tools"] == [
        {"type": "function", "name": "text(12 chars)", "description": "text(14 chars)", "parameters": "object"}
    ]
    assert session["instructions"] == f"text({len(WORDS)} chars)" and session["tool_choice"] == "text(4 chars)"


@pytest.mark.parametrize(
    ("field", "value", "kept"),
    [
        ("id", "resp_0123", "resp_0123"),
        ("id", KEY, "text(28 chars)"),
        ("id", "sk-proj-abc", "text(11 chars)"),
        ("call_id", "call 1\nforged", "text(13 chars)"),
        ("item_id", "x" * 65, "text(65 chars)"),
        ("item_id", WORDS, f"text({len(WORDS)} chars)"),
        ("code", 4001, 4001),
        ("status", "completed", "completed"),
        ("name", "get_time", "text(8 chars)"),
        ("threshold", 0.5, "number"),
        ("create_response", False, False),
        ("usage", None, None),
        ("arguments", {"name": WORDS}, "object"),
        ("output", {WORDS: 1}, "object"),
        (
            "output",
            [{"type": "function_call", "name": "get_time", "call_id": "c1", "arguments": {WORDS: 1}}],
            [{"type": "function_call", "name": "get_time", "call_id": "c1", "arguments": "object"}],
        ),
        ("modalities", ["audio", "text"], ["text(5 chars)", "text(4 chars)"]),
        (WORDS, 1, "number"),
    ],
)
def test_a_value_is_kept_only_where_it_is_a_name_for_something(field: str, value: object, kept: object) -> None:
    (shape,) = skeleton(json.dumps({"type": "x", field: value}))["fields"].values()
    assert shape == kept


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (b"\x00\x01", "binary(2 bytes)"),
        ("what?", "text(5 chars)"),
        ("[1]", "text(3 chars)"),
        ("[" * 100_000, "text(100000 chars)"),
        ('{"type":"x",' + '"a":1,' * 200_000 + '"b":1}', "text(1200018 chars)"),
    ],
    ids=["binary", "no JSON", "no object", "nested", "large"],
)
def test_what_is_no_event_is_its_length(message: str | bytes, kind: str) -> None:
    assert skeleton(message) == {"type": "", "unreadable": kind}


def test_a_message_that_is_all_names_stays_small() -> None:
    wide = {f"field_{number}": {"a": [{"id": "x"}] * 40} for number in range(200)}
    shape = skeleton(json.dumps({"type": "x", **wide}))
    assert len(shape["fields"]) == MAX_FIELDS and len(json.dumps(shape)) < 16_384
    assert shape["fields"]["field_0"]["a"][MAX_ITEMS] == "and 24 more"


def test_the_connections_own_lines() -> None:
    assert line_of(Connected("api.example.org", 101), 0.0) == {
        "t": 0.0,
        "way": "=",
        "type": "connected",
        "host": "api.example.org",
        "status": 101,
    }
    assert line_of(Attempt("api.example.org", "HTTP", 503), 0.0)["what"] == "HTTP"
    closed = line_of(Closed("service", 4003, 10), 12.34567)
    assert (closed["t"], closed["by"], closed["code"], closed["reason"]) == (12.346, "service", 4003, "text(10 chars)")
    assert line_of(Message("<", '{"type":"error"}'), 1.0) == {"t": 1.0, "way": "<", "type": "error", "fields": {}}


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=12), inner, max_size=5),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=12), JSON_VALUES, max_size=6), st.text(max_size=30))
def test_any_event_has_a_shape_and_any_shape_is_an_event_again(fields: dict[str, Any], type_: str) -> None:
    shape = skeleton(json.dumps({**fields, "type": type_}))
    again = skeleton(json.dumps({"type": shape["type"], **filled(shape["fields"], base64_of)}))
    assert json.dumps(again).isascii() and set(again) == {"type", "fields"}


@given(st.text(alphabet="അആഇഈ മഴ", min_size=1, max_size=40), st.sampled_from(["id", "delta", "name", "x", "reason"]))
def test_no_word_of_malayalam_is_ever_kept(words: str, field: str) -> None:
    kept = json.dumps(skeleton(json.dumps({"type": words, field: words, words: [words, {words: words}]})))
    assert kept.isascii() and "\\u" not in kept


def test_a_shape_gives_a_message_of_the_same_shape() -> None:
    for event in (
        events.OutputAudioDelta("resp_1", "item_1", PCM),
        events.FunctionCallArgumentsDone("resp_1", "get_time", "call_1", "{}"),
        events.ResponseDone("resp_1", "completed"),
        events.ErrorEvent("server_error", "x", "y"),
        events.InputTranscriptionCompleted("item_1", WORDS),
    ):
        shape = skeleton(codec.encode_server(event))
        message = json.dumps({"type": shape["type"], **filled(shape["fields"], base64_of)})
        assert skeleton(message) == shape
        assert type(codec.decode(message)) is type(event)
