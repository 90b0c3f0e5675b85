"""JSON text from the network, read strictly: ``parse`` gives a message's name and its ``Fields``.

Raises ProtocolError and nothing else, for what ``codec.py`` says. Knows no event; the names are in ``codec.py``.
"""

from __future__ import annotations

import json
import math
from binascii import a2b_base64
from collections.abc import Mapping
from typing import Final

from appliance.errors import ProtocolError

MAX_IDENTIFIER_CHARS: Final = 256
"""Longest id or event name. Those of OpenAI Realtime are about 30 characters; ids are kept and logged, so they must not
be megabytes."""

LARGE_MESSAGE_CHARS: Final = 1 << 20
"""A longer message can only be one that is nearly all audio."""

LARGE_MESSAGE_COMMAS: Final = 100
"""An audio delta has fewer than ten. Measured: 20 MB of JSON made of ``{},`` becomes 455 MB of Python objects, half a
Pi; 20 MB of one text become 20 MB, in 24 ms. Counting the commas first takes 12 ms."""


class Fields:
    """The fields of one JSON object, read strictly. A null counts as missing."""

    __slots__ = ("_event", "_path", "_values")

    def __init__(self, event: str, values: Mapping[str, object], path: str = "") -> None:
        """``event`` and ``path`` (of this object in its message, with a dot behind it) are for the error's text."""
        self._event = event
        self._values = values
        self._path = path

    def fault(self, name: str, problem: str) -> ProtocolError:
        """The error to raise for field ``name``."""
        field = self._path + name
        return ProtocolError(f"{self._event}: {field} {problem}", field=field)

    def text_or_none(self, name: str) -> str | None:
        value = self._values.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise self.fault(name, "is not text")
        return _well_formed(value)

    def text(self, name: str) -> str:
        value = self.text_or_none(name)
        if value is None:
            raise self.fault(name, "is missing")
        return value

    def text_if_any(self, name: str) -> str | None:
        """The text, or None for whatever else stands there."""
        value = self._values.get(name)
        return _well_formed(value) if isinstance(value, str) else None

    def json_if_any(self, name: str) -> str | None:
        """The text, or what else stands there as JSON text; None if nothing does."""
        value = self._values.get(name)
        return self.text_if_any(name) if value is None or isinstance(value, str) else json.dumps(value)

    def text_or_empty(self, name: str) -> str:
        """The text, or "" for whatever else stands there."""
        return self.text_if_any(name) or ""

    def identifier_or_none(self, name: str) -> str | None:
        value = self.text_or_none(name)
        if value is not None and not 0 < len(value) <= MAX_IDENTIFIER_CHARS:
            raise self.fault(name, f"has {len(value)} characters, an identifier has 1 to {MAX_IDENTIFIER_CHARS}")
        return value

    def identifier_if_any(self, name: str) -> str | None:
        """The identifier, or None for whatever else stands there."""
        value = self.text_or_empty(name)
        return value if 0 < len(value) <= MAX_IDENTIFIER_CHARS else None

    def code_or_empty(self, name: str) -> str:
        """A text or a whole number, as text; "" for whatever else stands there."""
        value = self._values.get(name)
        return str(value) if type(value) is int else self.text_or_empty(name)

    def identifier(self, name: str) -> str:
        value = self.identifier_or_none(name)
        if value is None:
            raise self.fault(name, "is missing")
        return value

    def audio(self, name: str) -> bytes:
        value = self._values.get(name)
        if value is None:
            raise self.fault(name, "is missing")
        if not isinstance(value, str):
            raise self.fault(name, "is not text")
        # Python's strict mode lets surplus padding pass ("AAAA===="), hence the first condition.
        if len(value) % 4 == 0 and not value.endswith("==="):
            try:
                return a2b_base64(value, strict_mode=True)
            except ValueError:
                pass
        raise self.fault(name, "is not base64")

    def mapping_or_none(self, name: str) -> dict[str, object] | None:
        value = self._values.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.fault(name, "is not an object")
        return value

    def mapping(self, name: str) -> dict[str, object]:
        value = self.mapping_or_none(name)
        if value is None:
            raise self.fault(name, "is missing")
        return value

    def mapping_or_empty(self, name: str) -> dict[str, object]:
        """The object, or an empty one for whatever else stands there."""
        value = self._values.get(name)
        return value if isinstance(value, dict) else {}

    def inner_or_none(self, name: str) -> Fields | None:
        value = self.mapping_or_none(name)
        return None if value is None else Fields(self._event, value, f"{self._path}{name}.")

    def inner(self, name: str) -> Fields:
        return Fields(self._event, self.mapping(name), f"{self._path}{name}.")

    def inner_or_empty(self, name: str) -> Fields:
        """The object, or one without a field for whatever else stands there."""
        value = self._values.get(name)
        return Fields(self._event, value if isinstance(value, dict) else {}, f"{self._path}{name}.")

    def inner_if_any(self, name: str) -> list[Fields]:
        """The objects of a list; whatever else stands there is left out."""
        values = self._values.get(name)
        inner = [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []
        return [Fields(self._event, value, f"{self._path}{name}[].") for value in inner]

    def list_of_inner(self, name: str) -> list[Fields]:
        """The objects of a list; none if it is missing."""
        values = self._values.get(name)
        if values is None:
            return []
        if not isinstance(values, list):
            raise self.fault(name, "is not a list")
        inner = []
        for index, value in enumerate(values):
            if not isinstance(value, dict):
                raise self.fault(f"{name}[{index}]", "is not an object")
            inner.append(Fields(self._event, value, f"{self._path}{name}[{index}]."))
        return inner


def _well_formed(text: str) -> str:
    """``text`` without half surrogate pairs, which JSON can express and no log, file or socket can take."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="replace").decode()
    return text


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _no_number("one beyond all bounds")


_JSON: Final = json.JSONDecoder(parse_constant=_no_number, parse_float=_finite)


def parse(message: str | bytes) -> tuple[str, Fields]:
    """The event's name and its fields."""
    if not isinstance(message, str):
        raise ProtocolError(f"a binary message of {len(message)} bytes; events are text")
    if len(message) > LARGE_MESSAGE_CHARS and message.count(",") > LARGE_MESSAGE_COMMAS:
        raise ProtocolError(f"a message of {len(message)} characters that is no single piece of audio")
    try:
        values = _JSON.decode(message)
    except RecursionError:
        raise ProtocolError("JSON nested too deeply") from None
    except ValueError as error:
        # Its text has a position or a number's fault in it, never the message's own text. Also: integers of more
        # than 4300 digits, which Python refuses because converting them takes quadratic time.
        raise ProtocolError(f"not JSON: {error}") from None
    if not isinstance(values, dict):
        raise ProtocolError("a JSON text that is no object")
    wire_name = Fields("an event", values).identifier("type")
    return wire_name, Fields(wire_name, values)
