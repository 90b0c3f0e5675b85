"""What tomllib does not do: it gives the values of a file, but not the lines for a message, and it only reads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'  # strings may hold every other token, so they come first
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'"
    r"|\#[^\n]*"
    r"|[\[\]{}=.,\n]"
    r"|[^\s\[\]{}=.,\#\"']+",
    re.DOTALL,
)

KeyPath = tuple[str, ...]
"""``("talk", "tap_max_ms")``: the tables, then the key."""


class TomlPosition(NamedTuple):
    """Where a table or a key is first mentioned."""

    line: int
    """Counted from 1."""
    comment: str
    """The comment behind the value, with its ``#``; empty when there is none, and for tables."""


def places(text: str) -> dict[KeyPath, TomlPosition]:
    """The place of every table and key of ``text``, in file order.

    ``text`` must be valid TOML (tomllib has accepted it): this only counts. Keys inside an inline table are not listed,
    the key that holds the inline table is.
    """
    found: dict[KeyPath, TomlPosition] = {}
    table: KeyPath = ()
    name: list[str] = []  # the dotted key or the table heading being read
    key: KeyPath | None = None  # the key whose value, or the comment behind it, is being read
    in_heading = False
    depth = 0  # of brackets within a value
    line = 1
    for match in _TOKEN.finditer(text):
        token = match.group()
        if token == "\n" and depth == 0:
            name, key, in_heading = [], None, False
        elif token.startswith("#"):
            if key is not None and depth == 0:
                found[key] = TomlPosition(found[key].line, token)
        elif key is not None:
            depth += (token in ("[", "{")) - (token in ("]", "}"))
        elif token == "[":
            in_heading = True
        elif token == "=" or (token == "]" and in_heading and name):
            path = tuple(name) if in_heading else table + tuple(name)
            for length in range(1, len(path) + 1):
                found.setdefault(path[:length], TomlPosition(line, ""))
            if in_heading:
                table, name = path, []
            else:
                key = path
        elif token not in (".", "]", "\n"):
            name.append(token.strip("\"'"))
        line += token.count("\n")
    return found


def document(table: Mapping[str, Any]) -> str:
    """A TOML text that tomllib reads as ``table``: one line for each value that is no table.

    Its values are those that a configuration can hold: text, numbers, booleans, lists and tables of them.
    """
    return "".join(f"{line}\n" for line in _lines(table, ""))


def _lines(table: Mapping[str, Any], above: str) -> Iterator[str]:
    for name, value in table.items():
        if isinstance(value, dict) and value:
            yield from _lines(value, f"{above}{_literal(name)}.")
        else:
            yield f"{above}{_literal(name)} = {_literal(value)}"


def _literal(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_literal(name)} = {_literal(item)}' for name, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + re.sub(r'[\x00-\x1f\x7f"\\]', lambda found: f"\\u{ord(found[0]):04x}", value) + '"'
    return str(value)
