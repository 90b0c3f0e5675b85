"""What a setting may be, and what to say to a person whose value is not that.

The rules come from the brackets in ``default.toml``; a message says what is expected, what stands there (never a key),
and what may be meant.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from appliance.config.invisible import NEVER_MEANT, find_invisible, name_of, visible

_LOOPBACK = re.compile(r"127\.\d+\.\d+\.\d+|::1|localhost")
"""Hosts that may be reached without TLS: literal addresses of this machine, no name that a resolver could answer."""

KEY_ADVICE = "; the key itself stays out of this file: put it into one of its own and name that in credentials.key_file"


class Setting(NamedTuple):
    """One row of ``default.toml``."""

    default: Any
    allowed: tuple[str, ...]
    """What stands between the brackets: ``text``, ``path``, ``url``, literals (``"tap"``, ``0``), ranges (``1..8``).

    Of a list these are said of each element. Of the whole value: ``command`` (a program and its arguments), ``none``
    (an empty list), ``schema`` (a table that ``json_schema.py`` knows about), ``table`` (anything that JSON
    can say).
    """

    @property
    def is_list(self) -> bool:
        """``allowed`` is said of the elements."""
        return isinstance(self.default, list) and "command" not in self.allowed


def shown(value: object, whole: bool = False) -> str:
    """``value`` as TOML on one line, for a person: it may hold a credential until ``redacted``.

    Tables are only mentioned, unless the ``whole`` is wanted.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(shown(item, whole) for item in value)}]"
    if isinstance(value, dict) and whole:
        return f"{{{', '.join(f'{shown(key)} = {shown(item, whole)}' for key, item in value.items())}}}"
    if not isinstance(value, str):
        return "a table" if isinstance(value, dict) else str(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + re.sub(r"[\n\r\t]", lambda found: f"\\u{ord(found[0]):04x}", visible(escaped)) + '"'


def redacted(line: str) -> str:
    """``line`` without the keys and passwords that people put where they do not belong."""
    return re.sub(r"(swaram_)\w+|(?<=://)\S*(?=@)|(key=)[^&\s\"]+", r"\1\2…", line)


def objection(setting: Setting, value: Any) -> str:
    """What is wrong with ``value``, or an empty string."""
    if hidden := _hidden(setting, value):
        return hidden
    if _follows(setting, value):
        return ""
    return f"must be {expectation(setting)}, not {shown(value)}{_meant_value(setting, value)}"


def _hidden(setting: Setting, value: Any) -> str:
    """What is wrong with a path, or a program's, in which a character cannot be seen; else empty."""
    path = value[0] if "command" in setting.allowed and isinstance(value, list) and value else value
    if not isinstance(path, str) or not {"path", "command"} & {*setting.allowed}:
        return ""
    return hidden_in(path)


def hidden_in(word: str) -> str:
    """What is wrong with ``word``, a name that only programs read, if a character in it cannot be seen; else empty."""
    index = find_invisible(word)
    return (
        f"has a {name_of(word[index])}, which cannot be seen, as character {index + 1}; delete it" if index >= 0 else ""
    )


def _follows(setting: Setting, value: Any) -> bool:
    default, allowed = setting
    if setting.is_list:
        return isinstance(value, list) and all(_fits(item, allowed, default[0]) for item in value)
    return _fits(value, allowed, default)


def expectation(setting: Setting) -> str:
    """What a value must be, to follow "must be"."""
    default, allowed = setting
    expected = [_expectation(item, isinstance(default, float)) for item in allowed]
    wanted = " or ".join(filter(None, [", ".join(expected[:-1]), expected[-1]]))
    return f"a list such as {shown(default)}, each of them {wanted}" if setting.is_list else wanted


def _is_command(value: Any) -> bool:
    """Texts, the first a full path; never with a key: everybody on the machine can read a program's arguments."""
    if not (isinstance(value, list) and value and all(isinstance(part, str) for part in value)):
        return False
    return value[0].startswith("/") and not any("\0" in part or "swaram_" in part for part in value)


def _is_json(value: Any) -> bool:
    """TOML has dates, times and infinities, which JSON has not."""
    if isinstance(value, dict):
        return all(map(_is_json, value.values()))
    if isinstance(value, list):
        return all(map(_is_json, value))
    return isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


_WHOLE: dict[str, Callable[[Any], bool]] = {
    "none": lambda value: value == [],
    "command": _is_command,
    "schema": lambda value: isinstance(value, dict),
    "table": lambda value: isinstance(value, dict) and _is_json(value),
}


def _fits(value: Any, allowed: tuple[str, ...], default: Any) -> bool:
    for item in allowed:
        if ".." in item:
            low, high = map(float, item.split(".."))
            kinds = (int, float) if isinstance(default, float) else (int,)
            if isinstance(value, kinds) and not isinstance(value, bool) and low <= value <= high:
                return True
        elif item == "text":
            if isinstance(value, str) and value.strip():
                return True
        elif item == "path":
            if isinstance(value, str) and value.startswith("/") and "\0" not in value:
                return True
        elif item in _WHOLE:
            if _WHOLE[item](value):
                return True
        elif item == "url":
            if isinstance(value, str) and re.fullmatch(r"\w+://[^\s/][\x21-\x7e]*", value):
                return True
        elif not isinstance(value, float) and shown(value) == item:
            return True
    return False


def _expectation(item: str, is_float: bool) -> str:
    if ".." in item:
        return f"a {'' if is_float else 'whole '}number from {' to '.join(item.split('..'))}"
    words = {
        "text": "text",
        "path": "a full path that starts with /",
        "url": "an address such as wss://host/path",
        "none": "[]",
        "command": 'a program with its full path, and its arguments: ["/usr/local/bin/program", "--option"]',
        "schema": "a table",
        "table": "a table of texts, numbers, truths, lists and tables",
    }
    return words.get(item, item)


def _meant_value(setting: Setting, value: Any) -> str:
    """``; did you mean …?`` for a value of the right thought in the wrong form, or an empty string."""
    default, allowed = setting
    if "swaram_" in (shown(value) if isinstance(value, (str, list)) else ""):
        return KEY_ADVICE
    if isinstance(value, str) and "command" in allowed:
        meant: Any = value.split()
    elif isinstance(value, str):
        meant = _from_word(value, allowed)
    elif isinstance(value, list) and setting.is_list:
        # Those that are meant otherwise, put right: all of them, or nothing is suggested.
        pairs = [(item, _from_word(item, allowed) if isinstance(item, str) else None) for item in value]
        meant = [item if _fits(item, allowed, default[0]) else other for item, other in pairs]
    elif isinstance(default, list):
        meant = value
    elif isinstance(default, bool) and value in (0, 1):
        meant = bool(value)
    elif isinstance(value, (int, float)) and (near := _nearest(value, allowed)) is not None:
        meant = near
    elif isinstance(value, float) and value.is_integer():
        meant = int(value)
    else:
        meant = None
    if setting.is_list:
        meant = meant if isinstance(meant, list) else [meant]
    return f"; did you mean {shown(meant)}?" if _follows(setting, meant) else ""


def _nearest(value: float, allowed: tuple[str, ...]) -> int | None:
    """Of numbers that are listed one by one: the one that ``value`` misses by a little, or says in thousands."""
    listed = [int(item) for item in allowed if item.isdecimal() and item != "0"]
    close = [number for number in listed if any(abs(meant / number - 1) < 0.05 for meant in (value, 1000 * value))]
    return close[0] if len(close) == 1 else None


def _from_word(text: str, allowed: tuple[str, ...]) -> Any:
    """What ``text`` means: the closest of the wanted words; where there is none, a truth or a number; else None."""
    word = text.translate(NEVER_MEANT).strip().lower()
    close = get_close_matches(word, [item.strip('"') for item in allowed if item.startswith('"')], 1, 0.5)
    truths = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
    if close or word in truths:
        return close[0] if close else truths[word]
    number = re.fullmatch(r"([+-]?\d+)(\.\d+)?\s*(%|ms|s|hz)?", word)
    if not number:
        return None
    return float(number[1] + number[2]) if number[2] else int(number[1])


def url_fault(url: str, schemes: tuple[str, ...]) -> str:
    """What is wrong with the address ``url``, or an empty string. Where ``wss`` is wanted, it is the service's."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # a malformed port shows itself when it is read
    except ValueError:
        parts, host = urlsplit(""), None
    if not host:
        return f"{shown(url)} is no address: the host or the port is malformed"
    if parts.scheme not in schemes:
        return f"must start with {' or '.join(f'{scheme}://' for scheme in schemes)}, not {parts.scheme}://"
    if "wss" not in schemes:
        return ""
    if parts.scheme == "ws" and not _LOOPBACK.fullmatch(host):
        return (
            f"ws:// sends the key in the clear: only to this machine itself; did you mean wss{url.removeprefix('ws')}?"
        )
    if parts.username or parts.password or re.search(r"key=|swaram_", url):
        return "must not hold a key: addresses end up in logs; see [credentials]"
    if parts.fragment or re.search(r"(^|&)model=", parts.query):
        return "the model is the setting service.model, and there is no #fragment"
    return ""


def syntax_hint(line: str) -> str:
    """What people mean who write ``line``. The line itself is not quoted: it may hold a key."""
    found = re.match(r"\s*[\w.\"-]+\s*(=?)\s*(.?\w*)", line)
    if not found or not found[1]:
        return "; a setting is written: name = value"
    if found[2].lower() in ("true", "false", "yes", "no", "on", "off"):
        return "; did you mean true or false, in small letters?"
    if re.match(r"[^\W\d]|[/'“”‘’«]", found[2]):
        return '; text stands in straight double quotes: name = "value"'
    return ""
