"""How a service follows its protocol where the reference leaves it open, from the record of one session. Pure.

``observations`` takes the lines of ``record.py``, of one session, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

Line: TypeAlias = Mapping[str, Any]

BYTES_PER_S: Final = 48_000
"""Of int16 mono at 24 kHz."""

AT_ONCE_S: Final = 0.05
"""An answer that is here within this has no pace."""

SOON_S: Final = 1.0
"""What follows a commit within this is its answer."""

CREATED: Final = "response.created"
DONE: Final = "response.done"
CALL: Final = "response.function_call_arguments.done"
COMMIT: Final = "input_audio_buffer.commit"
CREATE: Final = "response.create"
OUTPUT: Final = "conversation.item.create"

AUDIO: Final = frozenset({"response.output_audio.delta", "response.audio.delta"})
ANSWER_TEXT: Final = frozenset({"response.output_audio_transcript.delta", "response.audio_transcript.delta"})
BETA: Final = frozenset({"response.audio.delta", "response.audio_transcript.delta"})
"""What OpenAI called them before its Realtime was generally available."""

KNOWN: Final = frozenset(
    {
        "session.created",
        "session.updated",
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "conversation.item.input_audio_transcription.completed",
        "conversation.item.created",
        "error",
        *(CREATED, DONE, CALL),
        *(AUDIO | ANSWER_TEXT),
    }
)
"""The events of the reference, and their older names."""

MOST_NAMED: Final = 6


@dataclass(frozen=True, slots=True)
class Observation:
    """``name``: what was looked at, one or two words; ``line``: what is so."""

    name: str
    line: str


def observations(lines: Sequence[Line]) -> list[Observation]:
    """Everything that can be seen in this session; what did not happen in it is left out."""
    looks: tuple[tuple[str, Callable[[Sequence[Line]], str]], ...] = (
        ("settings", _settings),
        ("speech", _speech),
        ("commit", _commit),
        ("names", _names),
        ("ids", _ids),
        ("beginning", _beginning),
        ("end", _end),
        ("pace", _pace),
        ("words", _words),
        ("answer", _answer),
        ("call", _call),
        ("tool", _tool),
        ("nudge", _nudge),
        ("errors", _errors),
        ("other events", _others),
        ("close", _close),
    )
    seen = ((name, look(lines)) for name, look in looks)
    return [Observation(name, line) for name, line in seen if line]


def audio_bytes(line: Line) -> int:
    """Of the audio in a line; 0 for one without."""
    for value in line.get("fields", {}).values():
        if isinstance(value, str) and value.startswith("audio("):
            return int(value.removeprefix("audio(").partition(" ")[0])
    return 0


# ---------------------------------------------------------------- finding


def _received(lines: Iterable[Line], *types: str) -> list[Line]:
    return [line for line in lines if line["way"] == "<" and line["type"] in types]


def _sent(lines: Iterable[Line], type_: str) -> list[Line]:
    return [line for line in lines if line["way"] == ">" and line["type"] == type_]


def _after(lines: Sequence[Line], this: Line) -> list[Line]:
    at = next(index for index, line in enumerate(lines) if line is this)
    return list(lines[at + 1 :])


def _response_id(line: Line) -> str | None:
    fields = line.get("fields", {})
    response = fields.get("response")
    found = fields.get("response_id") or (response.get("id") if isinstance(response, dict) else None)
    return found if isinstance(found, str) else None


# ---------------------------------------------------------------- looking


def _settings(lines: Sequence[Line]) -> str:
    asked, confirmed = _sent(lines, "session.update"), _received(lines, "session.updated")
    if not asked:
        return ""
    if not confirmed:
        return "never confirmed (no session.updated)"
    created = _received(lines, "session.created")
    late = not created or lines.index(created[0]) > lines.index(confirmed[0])
    parts = [f"confirmed after {_ms(confirmed[0]['t'] - asked[-1]['t'])}"]
    if late:
        parts.append("before session.created" if created else "without a session.created")
    if len(asked) > 1:
        parts.append(f"at the {len(asked)}. form that was tried")
    return ", ".join(parts)


def _speech(lines: Sequence[Line]) -> str:
    began = _received(lines, "input_audio_buffer.speech_started")
    ended = _received(lines, "input_audio_buffer.speech_stopped")
    if not _sent(lines, "input_audio_buffer.append"):
        return ""
    if not began and not ended:
        return "says nothing of what it hears"
    return f"{len(began)} speech_started, {len(ended)} speech_stopped"


def _commit(lines: Sequence[Line]) -> str:
    sent = _sent(lines, COMMIT)
    if not sent:
        return ""
    soon = [line for line in _after(lines, sent[0]) if line["t"] <= sent[0]["t"] + SOON_S]
    if error := _received(soon, "error"):
        return f"answered with an error, {_code(error[0])}"
    answered = _received(soon, CREATED, DONE, *AUDIO)
    if not answered and any(line["type"] == "closed" and line.get("by") != "box" for line in soon):
        return "the connection ended on it"
    return "confirmed" if _received(soon, "input_audio_buffer.committed") else "taken without a word"


def _names(lines: Sequence[Line]) -> str:
    beta = {line["type"] for line in _received(lines, *BETA)}
    if beta:
        return f"those of the beta: {', '.join(sorted(beta))}"
    return "as in the reference" if _received(lines, *AUDIO) else ""


def _ids(lines: Sequence[Line]) -> str:
    events = _received(lines, CREATED, DONE, CALL, *AUDIO)
    without = sorted({line["type"] for line in events if _response_id(line) is None})
    if not events:
        return ""
    if not without:
        return "every response, and every piece of one, says which it is"
    if all(_response_id(line) is None for line in events):
        return "none anywhere"
    return f"missing in {', '.join(without)}"


def _beginning(lines: Sequence[Line]) -> str:
    audio = _received(lines, *AUDIO)
    if not audio:
        return ""
    announced = early = late = False
    for line in _received(lines, CREATED, DONE, *AUDIO):
        match line["type"]:
            case "response.created":
                announced, late = True, late or early
                early = False
            case "response.done":
                announced = early = False
            case _:
                early = early or not announced
    if late:
        return "response.created after its first audio"
    return "response.created before its audio" if _received(lines, CREATED) and not early else "no response.created"


def _end(lines: Sequence[Line]) -> str:
    done, events = _received(lines, DONE), _received(lines, CREATED, *AUDIO)
    if not events:
        return ""
    if not done:
        return "no response.done"
    states = [_status(line) for line in done]
    return f"response.done, {', '.join(dict.fromkeys(states))}"


def _status(line: Line) -> str:
    response = line.get("fields", {}).get("response")
    if not isinstance(response, dict):
        return "without a response"
    status = response.get("status")
    return status if isinstance(status, str) else "without a status"


def _pace(lines: Sequence[Line]) -> str:
    audio = _received(lines, *AUDIO)
    if not audio:
        return ""
    seconds = sum(map(audio_bytes, audio)) / BYTES_PER_S
    took_s = sum(burst[-1]["t"] - burst[0]["t"] for burst in _bursts(lines))
    if took_s < AT_ONCE_S:
        return f"{seconds:.1f} s of audio at once"
    times = seconds / took_s
    plays = f"{times:.1f} times as fast as it plays" if times >= 1 else "slower than it plays"
    return f"{seconds:.1f} s of audio in {took_s:.1f} s, {plays}"


def _answer(lines: Sequence[Line]) -> str:
    """Said only when it is unusual."""
    count = len(_bursts(lines))
    return f"in {count} parts, with the end of a response or a tool between them" if count > 1 else ""


def _bursts(lines: Iterable[Line]) -> list[list[Line]]:
    """Audio that came without the end of a response, or a tool, in between."""
    bursts: list[list[Line]] = [[]]
    for line in lines:
        if line["type"] in AUDIO:
            bursts[-1].append(line)
        elif line["type"] in (DONE, CALL, OUTPUT) and bursts[-1]:
            bursts.append([])
    return [burst for burst in bursts if burst]


def _words(lines: Sequence[Line]) -> str:
    if not _received(lines, *AUDIO):
        return ""
    question = bool(_received(lines, "conversation.item.input_audio_transcription.completed"))
    answer = bool(_received(lines, *ANSWER_TEXT))
    return f"of the question: {_yes(question)}; of the answer: {_yes(answer)}"


def _items(line: Line) -> list[Mapping[str, Any]]:
    """The items of a response that stand in an event: its own, or those of the output that it ends with."""
    fields = line.get("fields", {})
    response = fields.get("response")
    output = response.get("output") if isinstance(response, dict) else None
    items = [fields.get("item"), *(output if isinstance(output, list) else [])]
    return [item for item in items if isinstance(item, dict)]


def _calls(lines: Iterable[Line]) -> list[tuple[Line, Mapping[str, Any]]]:
    """Wherever a call stands, with what says which it is: in an event of its own, or in an item."""
    calls: list[tuple[Line, Mapping[str, Any]]] = []
    for line in lines:
        if line["way"] != "<" or not line["type"].startswith("response."):
            continue
        if line["type"] == CALL:
            calls.append((line, line.get("fields", {})))
        calls += [(line, item) for item in _items(line) if item.get("type") == "function_call"]
    return calls


def _call(lines: Sequence[Line]) -> str:
    """Where it stands, and what of it."""
    calls = _calls(lines)
    if not calls:
        return ""
    places = list(dict.fromkeys(line["type"] for line, _ in calls))
    named = list(dict.fromkeys(line["type"] for line, call in calls if isinstance(call.get("name"), str)))
    given = [call for _, call in calls if call.get("arguments") is not None]
    parts = [f"in {' and '.join(places)}" if CALL in places else f"only in {' and '.join(places)}"]
    if named != places:
        parts.append(f"its name only in {' and '.join(named)}" if named else "without a name")
    if not given:
        parts.append("arguments null" if any("arguments" in call for _, call in calls) else "without arguments")
    elif not any(str(call["arguments"]).startswith("json(") for call in given):
        parts.append("arguments that are no JSON text")
    return ", ".join(parts)


def _tool(lines: Sequence[Line]) -> str:
    calls, outputs = _calls(lines), _sent(lines, OUTPUT)
    if not calls:
        return "none was called"
    call = calls[0][0]
    if not outputs:
        return "called, and not answered"
    between = [call, *(line for line in _after(lines, call) if line["t"] <= outputs[0]["t"])]
    first = (
        "response.done before the result" if _received(between, DONE) else "the result is awaited within the response"
    )
    return f"{first}; {_continuation(_after(lines, outputs[-1]), _response_id(call))}"


def _continuation(rest: Sequence[Line], asked_by: str | None) -> str:
    """What came after a tool's result."""
    answer = next((line for line in rest if line["way"] == "<" and line["type"] in {CREATED, *AUDIO}), None)
    if answer is None:
        return "nothing follows"
    nudged = [line for line in _sent(rest, CREATE) if line["t"] <= answer["t"]]
    same = answer["type"] != CREATED and _response_id(answer) == asked_by
    what = "the same response goes on" if same else "a new response follows"
    return f"{what} {'only after response.create' if nudged else 'by itself'}"


def _nudge(lines: Sequence[Line]) -> str:
    """A response.create that had nothing to do with a tool."""
    sent = _sent(lines, CREATE)
    outputs = _sent(lines, OUTPUT)
    early = [line for line in sent if not outputs or line["t"] < outputs[0]["t"]]
    if not early:
        return ""
    soon = [line for line in _after(lines, early[0]) if line["way"] == "<"]
    return "an answer came only after response.create" if _received(soon, CREATED, *AUDIO) else "no answer even then"


def _errors(lines: Sequence[Line]) -> str:
    return ", ".join(dict.fromkeys(_code(line) for line in _received(lines, "error")))


def _code(line: Line) -> str:
    error = line.get("fields", {}).get("error")
    if not isinstance(error, dict):
        return "without a code"
    parts = [error.get(name) for name in ("type", "code")]
    return "/".join(part for part in parts if isinstance(part, str) and part) or "without a code"


def _others(lines: Sequence[Line]) -> str:
    names = [line["type"] or "unreadable" for line in lines if line["way"] == "<" and line["type"] not in KNOWN]
    different = list(dict.fromkeys(names))
    more = len(different) - MOST_NAMED
    return ", ".join(different[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _close(lines: Sequence[Line]) -> str:
    closed = [line for line in lines if line["way"] == "=" and line["type"] == "closed"]
    return "" if not closed or closed[-1]["by"] == "box" else f"{closed[-1]['code']}, by the {closed[-1]['by']}"


def _yes(so: bool) -> str:
    return "yes" if so else "no"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"
