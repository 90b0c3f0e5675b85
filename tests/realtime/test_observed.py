"""What is said of a service from the record of a session."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.realtime.observed import observations

Line = dict[str, Any]


def sent(t_s: float, type_: str, **fields: Any) -> Line:
    return {"t": t_s, "way": ">", "type": type_, "fields": fields}


def said(t_s: float, type_: str, **fields: Any) -> Line:
    return {"t": t_s, "way": "<", "type": type_, "fields": fields}


def delta(
    t_s: float, response_id: str | None = "r1", size: int = 48_000, type_: str = "response.output_audio.delta"
) -> Line:
    ids = {} if response_id is None else {"response_id": response_id, "item_id": "i1"}
    return said(t_s, type_, **ids, delta=f"audio({size} bytes)")


def created(t_s: float, response_id: str | None = "r1") -> Line:
    return said(t_s, "response.created", **({} if response_id is None else {"response": {"id": response_id}}))


def done(t_s: float, response_id: str | None = "r1", status: str | None = "completed") -> Line:
    response = {"id": response_id, "status": status}
    return said(t_s, "response.done", response={name: value for name, value in response.items() if value is not None})


MISSING = "missing"
ITEM = {"type": "function_call", "call_id": "c1", "name": "get_time", "arguments": "json(2 chars)"}


def call(
    t_s: float,
    response_id: str | None = "r1",
    *,
    name: str | None = "get_time",
    arguments: str | None = "json(2 chars)",
) -> Line:
    ids = {} if response_id is None else {"response_id": response_id}
    told = {} if arguments == MISSING else {"arguments": arguments}
    return said(t_s, "response.function_call_arguments.done", **ids, call_id="c1", name=name, **told)


def output(t_s: float) -> Line:
    return sent(t_s, "conversation.item.create", item={"type": "function_call_output", "call_id": "c1"})


def closed(t_s: float, by: str, code: int) -> Line:
    return {"t": t_s, "way": "=", "type": "closed", "by": by, "code": code, "reason": "text(0 chars)"}


APPEND = sent(0.5, "input_audio_buffer.append", audio="audio(1920 bytes)")
UPDATE, SESSION, UPDATED = sent(0.0, "session.update"), said(0.1, "session.created"), said(0.2, "session.updated")
COMMIT = sent(1.0, "input_audio_buffer.commit")
CREATE = sent(3.0, "response.create")


@pytest.mark.parametrize(
    ("lines", "name", "line"),
    [
        ([UPDATE, SESSION, UPDATED], "settings", "confirmed after 200 ms"),
        ([UPDATE, UPDATED, {**SESSION, "t": 0.3}], "settings", "confirmed after 200 ms, before session.created"),
        ([UPDATE, UPDATED], "settings", "confirmed after 200 ms, without a session.created"),
        ([UPDATE, SESSION], "settings", "never confirmed (no session.updated)"),
        ([UPDATE, SESSION, UPDATE, UPDATED], "settings", "confirmed after 200 ms, at the 2. form that was tried"),
        ([APPEND], "speech", "says nothing of what it hears"),
        ([APPEND, said(1.0, "input_audio_buffer.speech_started")], "speech", "1 speech_started, 0 speech_stopped"),
        ([COMMIT], "commit", "taken without a word"),
        ([COMMIT, said(1.1, "input_audio_buffer.committed")], "commit", "confirmed"),
        (
            [COMMIT, said(1.1, "error", error={"type": "x", "code": "not_implemented"})],
            "commit",
            "answered with an error, x/not_implemented",
        ),
        ([COMMIT, closed(1.1, "line", 1006)], "commit", "the connection ended on it"),
        ([COMMIT, created(1.1), closed(1.5, "line", 1006)], "commit", "taken without a word"),
        ([delta(1.0)], "names", "as in the reference"),
        ([delta(1.0, type_="response.audio.delta")], "names", "those of the beta: response.audio.delta"),
        ([created(1.0), delta(1.1), done(1.2)], "ids", "every response, and every piece of one, says which it is"),
        ([created(1.0, None), delta(1.1, None), done(1.2, None)], "ids", "none anywhere"),
        ([created(1.0), delta(1.1, None), done(1.2)], "ids", "missing in response.output_audio.delta"),
        ([created(1.0), delta(1.1)], "beginning", "response.created before its audio"),
        ([delta(1.0), created(1.0)], "beginning", "response.created after its first audio"),
        (
            [created(0.9), call(1.0), done(1.1), delta(1.2, "r2"), created(1.2, "r2"), delta(1.3, "r2")],
            "beginning",
            "response.created after its first audio",
        ),
        ([created(0.9), call(1.0), done(1.1), delta(1.2, "r2")], "beginning", "no response.created"),
        ([delta(1.0)], "beginning", "no response.created"),
        ([created(1.0), delta(1.1)], "end", "no response.done"),
        ([created(1.0), done(1.1)], "end", "response.done, completed"),
        ([created(1.0), done(1.1, status=None)], "end", "response.done, without a status"),
        ([created(1.0), said(1.1, "response.done")], "end", "response.done, without a response"),
        ([delta(1.0), delta(1.0)], "pace", "2.0 s of audio at once"),
        ([delta(1.0), delta(2.0), delta(3.0)], "pace", "3.0 s of audio in 2.0 s, 1.5 times as fast as it plays"),
        ([delta(1.0), delta(5.0)], "pace", "2.0 s of audio in 4.0 s, slower than it plays"),
        ([delta(1.0), done(1.0), created(9.0, "r2"), delta(9.0, "r2")], "pace", "2.0 s of audio at once"),
        ([delta(1.0), created(1.0), delta(2.0)], "pace", "2.0 s of audio in 1.0 s, 2.0 times as fast as it plays"),
        ([delta(1.0)], "words", "of the question: no; of the answer: no"),
        (
            [delta(1.0), said(1.1, "response.audio_transcript.delta")],
            "words",
            "of the question: no; of the answer: yes",
        ),
        (
            [created(0.9), delta(1.0), done(1.1), created(1.2, "r2"), delta(1.3, "r2")],
            "answer",
            "in 2 parts, with the end of a response or a tool between them",
        ),
        ([call(1.0)], "call", "in response.function_call_arguments.done"),
        ([call(1.0, arguments=None)], "call", "in response.function_call_arguments.done, arguments null"),
        ([call(1.0, arguments=MISSING)], "call", "in response.function_call_arguments.done, without arguments"),
        (
            [call(1.0, arguments="object")],
            "call",
            "in response.function_call_arguments.done, arguments that are no JSON text",
        ),
        ([call(1.0, name=None)], "call", "in response.function_call_arguments.done, without a name"),
        (
            [said(0.9, "response.output_item.added", item=ITEM), call(1.0, name=None)],
            "call",
            "in response.output_item.added and response.function_call_arguments.done, "
            "its name only in response.output_item.added",
        ),
        ([said(1.0, "response.done", response={"output": [ITEM]})], "call", "only in response.done"),
        (
            [said(0.9, "response.output_item.added", item={**ITEM, "arguments": "text(0 chars)"}), call(1.0)],
            "call",
            "in response.output_item.added and response.function_call_arguments.done",
        ),
        ([delta(1.0)], "tool", "none was called"),
        ([call(1.0)], "tool", "called, and not answered"),
        (
            [created(0.9), call(1.0), done(1.1), output(1.2), created(1.3, "r2"), delta(1.4, "r2")],
            "tool",
            "response.done before the result; a new response follows by itself",
        ),
        (
            [created(0.9), call(1.0), output(1.3), delta(1.4), done(1.5)],
            "tool",
            "the result is awaited within the response; the same response goes on by itself",
        ),
        (
            [created(0.9, None), call(1.0, None), output(1.3), delta(1.4, None)],
            "tool",
            "the result is awaited within the response; the same response goes on by itself",
        ),
        (
            [created(0.9), call(1.0), output(1.3), created(1.4, "r2"), delta(1.5, "r2")],
            "tool",
            "the result is awaited within the response; a new response follows by itself",
        ),
        (
            [created(0.9), call(1.0), done(1.1), output(1.3), CREATE, created(3.1, "r2")],
            "tool",
            "response.done before the result; a new response follows only after response.create",
        ),
        (
            [created(0.9), call(1.0), done(1.1), output(1.3), CREATE],
            "tool",
            "response.done before the result; nothing follows",
        ),
        (
            [
                created(0.9),
                said(1.0, "response.output_item.done", item={"type": "function_call", "call_id": "c1"}),
                output(1.3),
            ],
            "tool",
            "the result is awaited within the response; nothing follows",
        ),
        (
            [created(0.9), said(1.0, "response.done", response={"output": [ITEM]}), output(1.3), created(1.4, "r2")],
            "tool",
            "response.done before the result; a new response follows by itself",
        ),
        ([CREATE, created(3.1)], "nudge", "an answer came only after response.create"),
        ([CREATE], "nudge", "no answer even then"),
        ([said(1.0, "error", error="text(9 chars)")], "errors", "without a code"),
        ([said(1.0, "error", error={"type": "server_error"})] * 2, "errors", "server_error"),
        ([said(1.0, "rate_limits.updated"), said(1.0, "")], "other events", "rate_limits.updated, unreadable"),
        ([closed(1.0, "service", 4003)], "close", "4003, by the service"),
    ],
)
def test_what_is_seen(lines: list[Line], name: str, line: str) -> None:
    assert {seen.name: seen.line for seen in observations(lines)}[name] == line


def test_what_did_not_happen_is_not_mentioned() -> None:
    assert [seen.name for seen in observations([closed(1.0, "box", 1000)])] == ["tool"]
    assert not {"nudge", "commit", "errors", "close"} & {seen.name for seen in observations([UPDATE, UPDATED])}
