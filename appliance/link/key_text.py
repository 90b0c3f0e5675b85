"""The key in a text that a person or a program has written: taken out where the meaning is plain, else refused.

Pure. A refusal says what the text is instead, and never a character of it that could belong to a key.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, Final

from appliance.config.invisible import NEVER_MEANT, find_invisible, named

NOTHING: Final = "no key"
"""The text of the error where there is nothing at all."""

_NO_KEY: Final = frozenset({"", "unset", "null", "none", "nil", "undefined", "true", "false", "nan"})
"""What stands where no key is: nothing, what the unit gives without a key file (``SetCredential=``), and what programs
print for nothing."""

MEMBERS: Final = ("value", "token", "access_token", "api_key", "apikey", "api-key", "key", "client_secret", "secret")
"""Members of a JSON object that hold a key, in small letters. ``value`` is that of ``client_secrets``."""

_QUOTES: Final = ('""', "''", "``", "“”", "„“", "‘’", "«»")

_ASSIGNMENT: Final = re.compile(r"(?:export\s+|set\s+|Environment=)?[\"']?([A-Za-z_][\w.-]*)[\"']?\s*[=:]\s*(\S.*)")
"""``NAME=key``, as in shells, Compose files, headers and TOML. Whether it is meant so is for ``_assigned``."""

_NAMES_KEY: Final = re.compile(r"key|token|secret|credential|authorization|password", re.IGNORECASE)


class NoKeyError(ValueError):
    """There is no key. The text says what there is, to follow "holds" or "printed"."""


def decoded(content: bytes) -> str:
    """The text of a file or of a program's output. Raises NoKeyError for what is no text."""
    is_utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        # Editors and shells of other systems write UTF-16, or put a byte order mark in front.
        return content.decode("utf-16" if is_utf_16 else "utf-8-sig")
    except UnicodeDecodeError:
        raise NoKeyError("something that is no text: not UTF-8") from None


def key_in(text: str) -> str:
    """The key that ``text`` holds: one word of printable ASCII, which fits into a header and begins no other.

    Quotes, ``NAME=`` and ``Bearer`` before it, JSON around it, spaces and what cannot be seen are taken off. Raises
    NoKeyError.
    """
    bare = _stripped(text)
    if bare.startswith("{\\rtf"):
        raise NoKeyError("a document of a word processor; save it as plain text")
    if bare.startswith("<"):
        raise NoKeyError("a web page or XML")
    if bare.startswith(("{", "[")):
        return key_in(_member(bare))
    lines = [line for line in map(_stripped, bare.splitlines()) if line and not line.startswith("#")]
    if len(lines) > 1:
        raise NoKeyError("more than one line")
    key = lines[0] if lines else ""
    while (inner := _unwrapped(key)) != key:
        key = inner
    if key.lower() in _NO_KEY:
        raise NoKeyError(NOTHING if key.lower() in ("", "unset") else f"{key.lower()} where the key should be")
    if re.fullmatch(r"\$\{?\w+\}?|%\w+%", key):
        raise NoKeyError("the name of a variable where its value is meant")
    if "://" in key:
        raise NoKeyError("an address")
    if re.search(r"\.\.\.|\*\*\*", key):
        raise NoKeyError("a shortened key; copy all of it")
    index = find_invisible(key)
    stray = key[index] if index >= 0 else next((char for char in key if not char.isascii()), "")
    if stray:
        raise NoKeyError(f"stray characters: {named(text, text.index(stray))}")
    if re.search(r"[\s\"'`<>{}\\]", key):
        raise NoKeyError("more than one key or stray characters")
    return key


def _stripped(text: str) -> str:
    """``text`` without what cannot be seen and is never meant, and without spaces of any kind at its ends."""
    return text.translate(NEVER_MEANT).strip()


def _unwrapped(text: str) -> str:
    """``text`` without one pair of quotes, one name before it, or one ``Bearer``; the same if there is none."""
    if len(text) >= 2 and text[0] + text[-1] in _QUOTES and not {text[0], text[-1]} & {*text[1:-1]}:
        return text[1:-1].strip()
    if text[:7].lower() == "bearer ":
        return text[7:].strip()
    return _assigned(text.rstrip(";,")).strip()


def _assigned(text: str) -> str:
    """What stands behind ``NAME=``. A token may end in ``=`` itself, so the name has to speak of a key, or the rest has
    to look like one."""
    found = _ASSIGNMENT.fullmatch(text)
    if found is None or found[2].startswith("="):
        return text
    is_meant = _NAMES_KEY.search(found[1]) or "swaram_" in found[2][:10]
    return found[2] if is_meant and not found[1].startswith("swaram_") else text


def _member(text: str) -> str:
    """The one member of a JSON object that is a key by its name. Raises NoKeyError."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise NoKeyError("something that looks like JSON and is not") from None
    keys = set(_members(values))
    if len(keys) != 1:
        what = "more than one member that may be the key" if keys else f"no member such as {', '.join(MEMBERS[:5])}"
        raise NoKeyError(f"JSON with {what}")
    return keys.pop()


def _members(values: Any) -> Iterator[str]:
    """Texts of members whose names are those of keys, also one level below (``{"client_secret": {"value": …}}``)."""
    if not isinstance(values, dict):
        return
    for name, value in values.items():
        if name.lower() not in MEMBERS:
            continue
        if isinstance(value, dict):
            yield from (text for below, text in value.items() if below.lower() == "value" and isinstance(text, str))
        elif isinstance(value, str) and not value.startswith(("{", "[")):
            yield value
