"""What may be kept of a session to find out later how the service speaks: the shape of each message, and no word. Pure.

A record is lines of JSON, one an entry. ``t``: seconds since the connection; ``way``: ``>`` to the service, ``<`` from
it, ``=`` what became of the connection::

    {"t": 0.0, "way": "=", "type": "connected", "host": "api.swaram.live", "status": 101}
    {"t": 0.002, "way": ">", "type": "session.update", "fields": {"session": {"voice": "text(10 chars)", …}}}
    {"t": 1.942, "way": "<", "type": "response.output_audio.delta", "fields": {"response_id": "resp_1", "delta": …}}
    {"t": 9.204, "way": "=", "type": "closed", "by": "service", "code": 1000, "reason": "text(4 chars)"}

Of a field its name and its kind are kept: ``text(12 chars)``, ``json(2 chars)`` for text that holds a JSON object,
``audio(4800 bytes)``, ``number``, ``object`` for what is not looked into; true, false and null as they are, lists and
objects by what is in them. Ids, types, codes and states are kept as they are, if they look like such a thing: short, of
letters, digits and a few signs, and like no key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeAlias

from appliance.turn.value import Value

from .fields import LARGE_MESSAGE_CHARS, LARGE_MESSAGE_COMMAS

# ---------------------------------------------------------------- what is recorded


class Connected(Value):
    """The handshake was answered with ``status``, and a session begins."""

    host: str
    status: int


class Attempt(Value):
    """An attempt that led to no session. ``what``: a name of ``retry.What``; ``status``: of HTTP, 0 where there was
    none."""

    host: str
    what: str
    status: int


class Message(Value):
    """As it went over the line."""

    way: Literal["<", ">"]
    message: str | bytes


class Closed(Value):
    """The end. ``by``: whose close frame came first; ``line``: there was none, ``code`` is 1006."""

    by: Literal["service", "box", "line"]
    code: int
    reason_chars: int


Entry: TypeAlias = Connected | Attempt | Message | Closed

Record: TypeAlias = Callable[[Entry], None]
"""Told of everything, as it happens. Must not block."""


def unrecorded(_: Entry) -> None:
    """The ``Record`` of a link that nobody records."""


# ---------------------------------------------------------------- what is kept of it

MAX_NAME_CHARS: Final = 64
MAX_FIELDS: Final = 32
"""Of one object; OpenAI's largest, a session's, has some twenty."""
MAX_ITEMS: Final = 16
"""Of one list."""
MAX_DEPTH: Final = 8
MAX_NODES: Final = 400
"""Of one message: some 12 KB of a record at most."""

_KEPT: Final = frozenset({"type", "status", "code", "role", "object", "reason", "id"})
"""Fields whose values are kept, as are those that end in ``_id``; ``name`` only where it is a tool's that is called."""

_CLOSED: Final = frozenset({"parameters", "metadata", "arguments", "output", "logprobs"})
"""Objects that are not looked into: their field names are a person's own, and may be words. A list named output is that
of a response, and no tool's."""

_AUDIO: Final = frozenset({"audio", "delta"})
"""Fields that hold audio: of an append, and of an event whose type speaks of audio and of no transcript."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.$-]*")
_VALUE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/+-]*")
_SECRET: Final = re.compile(r"swaram_|^sk-|^ek_|^eyJ|bearer", re.IGNORECASE)
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_KIND: Final = re.compile(r"(text|json|audio|binary|field)\((\d{1,9}) (?:chars|bytes)\)")


def line_of(entry: Entry, t_s: float) -> dict[str, Any]:
    """The entry's line, as a JSON object. Never raises, whatever the message is."""
    head: dict[str, Any] = {"t": round(t_s, 3)}
    match entry:
        case Connected(host, status):
            return {**head, "way": "=", "type": "connected", "host": host, "status": status}
        case Attempt(host, what, status):
            return {**head, "way": "=", "type": "refused", "host": host, "what": what, "status": status}
        case Closed(by, code, reason_chars):
            return {
                **head,
                "way": "=",
                "type": "closed",
                "by": by,
                "code": code,
                "reason": f"text({reason_chars} chars)",
            }
        case Message(way, message):
            return {**head, "way": way, **skeleton(message)}


def skeleton(message: str | bytes) -> dict[str, Any]:
    """``type`` and ``fields`` of a message; of one that is no event ``type`` is "" and ``unreadable`` its kind."""
    if isinstance(message, bytes):
        return {"type": "", "unreadable": f"binary({len(message)} bytes)"}
    unreadable = {"type": "", "unreadable": f"text({len(message)} chars)"}
    if len(message) > LARGE_MESSAGE_CHARS and message.count(",") > LARGE_MESSAGE_COMMAS:
        return unreadable
    try:
        event = json.loads(message)
    except (ValueError, RecursionError):
        return unreadable
    if not isinstance(event, dict):
        return unreadable
    kind = event.pop("type", None)
    name = _kept(kind) if isinstance(kind, str) else ""
    return {"type": name, "fields": _Shape(name).of_object(event, 0)}


class _Shape:
    """The shape of one event named ``type_``."""

    def __init__(self, type_: str) -> None:
        self._has_audio = type_.endswith(".append") or ("audio" in type_ and "transcript" not in type_)
        self._nodes = 0

    def of_object(self, fields: Mapping[str, Any], depth: int) -> dict[str, Any]:
        calls = "call_id" in fields
        shape = {}
        for name, value in list(fields.items())[:MAX_FIELDS]:
            known = len(name) <= MAX_NAME_CHARS and _NAME.fullmatch(name) and not _SECRET.search(name)
            shown = name if known else f"field({len(name)} chars)"
            shape[shown] = self._of(name, value, depth + 1, kept=calls and name == "name")
        return shape

    def _of(self, name: str, value: Any, depth: int, *, kept: bool = False) -> Any:
        self._nodes += 1
        if value is None or isinstance(value, bool):
            return value
        kept = kept or name in _KEPT or name.endswith("_id")
        if isinstance(value, int | float):
            return value if kept and isinstance(value, int) and abs(value) < 10**9 else "number"
        if isinstance(value, str):
            return _kept(value) if kept else self._of_text(name, value)
        closed = name in _CLOSED and not (name == "output" and isinstance(value, list))
        if closed or depth > MAX_DEPTH or self._nodes > MAX_NODES:
            return "object"
        if isinstance(value, dict):
            return self.of_object(value, depth)
        items = [self._of("", item, depth + 1) for item in value[:MAX_ITEMS]]
        return items if len(value) <= MAX_ITEMS else [*items, f"and {len(value) - MAX_ITEMS} more"]

    def _of_text(self, name: str, text: str) -> str:
        if name in _AUDIO and self._has_audio and len(text) % 4 == 0 and _BASE64.fullmatch(text):
            return f"audio({len(text) // 4 * 3 - text[-2:].count('=')} bytes)"
        if name in ("arguments", "output") and _holds_object(text):
            return f"json({len(text)} chars)"
        return f"text({len(text)} chars)"


def _kept(text: str) -> str:
    """The value as it is, or its kind if it does not look like an id or a code."""
    safe = len(text) <= MAX_NAME_CHARS and _VALUE.fullmatch(text) and not _SECRET.search(text)
    return text if safe else f"text({len(text)} chars)"


def _holds_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


# ---------------------------------------------------------------- and back


def filled(shape: Any, audio: Callable[[int], str]) -> Any:
    """A value of that shape, such as the service might have sent.

    ``audio`` gives base64 of so many bytes. Text is a filling of the same length, a number 0, an object empty. What
    stood as it was stands as it was.
    """
    if isinstance(shape, dict):
        return {_filling(name, audio): filled(value, audio) for name, value in shape.items()}
    if isinstance(shape, list):
        return [filled(item, audio) for item in shape if not (isinstance(item, str) and item.startswith("and "))]
    if shape == "number":
        return 0
    if shape == "object":
        return {}
    return _filling(shape, audio) if isinstance(shape, str) else shape


def _filling(text: str, audio: Callable[[int], str]) -> str:
    kind = _KIND.fullmatch(text)
    if kind is None:
        return text
    count = int(kind[2])
    match kind[1]:
        case "audio":
            return audio(count)
        case "json":
            return "{}".ljust(count)
        case _:
            return "x" * count
