"""Configuration: ``default.toml`` and a person's files, checked as a whole, as frozen dataclasses.

Beside a file ``config.toml`` there may be a folder ``config.toml.d``, which holds what a group of boxes has in common:
its ``*.toml`` count in the order of their names, each over the one before, and the file itself, which is the box's own,
over all of them.

``default.toml`` is the schema: the type of a setting is that of its default, what it may be stands in brackets in the
comment behind it. Nothing here repeats a default or a range. A table whose name is ``NAME`` stands for any number of
tables with names that a person chooses; those of its defaults that break their own rule must be given. The dataclasses
are in ``settings.py``.
"""

from __future__ import annotations

import functools
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final, NamedTuple, get_args, get_origin, get_type_hints

from appliance.config import json_schema
from appliance.config.contradictions import cautions as cautions
from appliance.config.contradictions import contradictions
from appliance.config.invisible import find_invisible, named, visible
from appliance.config.settings import Config as Config
from appliance.config.toml_lines import KeyPath, TomlPosition, document, places
from appliance.config.validation import KEY_ADVICE, Setting, expectation, objection, redacted, syntax_hint
from appliance.errors import ConfigurationError

SYSTEM_PATH = "/etc/voice-appliance/config.toml"
"""Read when no file is named and this one exists."""

GROUP_ENDING: Final = ".d"
"""Of the folder beside the file: what a package with the settings of a group of boxes installs."""

ANY_NAME = "NAME"
"""In ``default.toml``: a table that a person may have several of, under names of their own."""

_OWN_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What OpenAI's Realtime takes as the name of a function."""

_DEFAULT_PATH = os.path.join(os.path.dirname(__file__), "default.toml")


class _Problem(NamedTuple):
    layer: int
    """Which of the files, in the order in which they count; ``OVERRIDES`` for none of them."""
    line: int
    """0 for what has no line: an override, a file that cannot be read."""
    key: KeyPath
    text: str


class _Layer(NamedTuple):
    """One file: what it says, and where in it."""

    written: Mapping[str, Any]
    where: Mapping[KeyPath, TomlPosition]


OVERRIDES: Final = -1
"""In place of a layer: a value that stands in no file."""


@functools.cache
def schema() -> dict[KeyPath, Setting]:
    """Every setting, in the order of ``default.toml``; those with ``ANY_NAME`` in their key stand for many."""
    with open(_DEFAULT_PATH, encoding="utf-8") as file:
        text = file.read()
    where = places(text)
    rows: dict[KeyPath, Setting] = {}
    for key, value in _leaves(tomllib.loads(text)):
        comment = re.match(r"#\s*\[([^]]*)\] ", where[key].comment)
        assert comment, f"default.toml:{where[key].line}: no [range] behind {'.'.join(key)}"
        rows[key] = Setting(value, tuple(comment[1].split(" | ")))
    return rows


@functools.cache
def _tables() -> frozenset[KeyPath]:
    return frozenset(key[:length] for key in schema() for length in range(1, len(key)))


def _row(key: KeyPath) -> KeyPath:
    """The setting or table of ``default.toml`` that says what ``key`` is: itself, or the one of ``ANY_NAME``."""
    row: KeyPath = ()
    for name in key:
        known = (*row, name) in schema() or (*row, name) in _tables()
        row = (*row, ANY_NAME if not known and (*row, ANY_NAME) in _tables() else name)
    return row


def source(path: str | os.PathLike[str] | None) -> str:
    """The file that ``load`` reads for ``path``: that one, or the system's if it exists; else an empty string."""
    if path is not None:
        return os.fspath(path)
    return SYSTEM_PATH if os.path.exists(SYSTEM_PATH) else ""


def sources(path: str | os.PathLike[str] | None) -> list[str]:
    """The files that ``load`` reads for ``path``, in the order in which they count: later ones win. Those of the group
    (``PATH.d/*.toml``), then ``source(path)``."""
    name = source(path)
    folder = f"{name or SYSTEM_PATH}{GROUP_ENDING}"
    try:
        group = sorted(each for each in os.listdir(folder) if each.endswith(".toml") and not each.startswith("."))
    except OSError:
        # There is none, which is usual, or it is not ours to read.
        group = []
    return [*(os.path.join(folder, each) for each in group), *([name] if name else [])]


def load(path: str | os.PathLike[str] | None = None, overrides: Mapping[str, Any] | None = None) -> Config:
    """The configuration of ``sources(path)`` over the defaults.

    ``overrides`` (dotted key → value) count as if written in the last file, and win. Raises ConfigurationError with
    every problem at once, in the order of files and lines, each ``file:line: key: what is wrong; what may be meant``.
    """
    names = sources(path)
    values = {key: setting.default for key, setting in schema().items() if ANY_NAME not in key}
    layers: list[_Layer] = []
    problems: list[_Problem] = []
    for number, name in enumerate(names):
        text, written, unread = _read(name, number)
        layers.append(_Layer(written, places(text) if written else {}))
        problems += [*unread, *_take(written, layers[-1].where, values, number)]
    for dotted, value in (overrides or {}).items():
        problems += _take(_nested(dotted.split("."), value), {}, values, OVERRIDES)
    wrong = {problem.key for problem in problems}
    problems += _missing(values, layers, wrong)
    config: Config = _build(Config, values)
    for keys, text in contradictions(config):
        if wrong.isdisjoint(keys):
            key = next((key for key in keys if _layer(layers, key) != OVERRIDES), keys[0])
            problems.append(_at(layers, key, text))
    if problems:
        raise ConfigurationError([_sentence(names, problem) for problem in sorted(problems)])
    return config


def _layer(layers: Sequence[_Layer], key: KeyPath) -> int:
    """The number of the file whose word on ``key`` counts: the last that mentions it; else ``OVERRIDES``."""

    def mentions(table: Mapping[str, Any]) -> bool:
        inner: Any = table
        for name in key:
            if not isinstance(inner, Mapping) or name not in inner:
                return False
            inner = inner[name]
        return True

    numbers = (number for number in reversed(range(len(layers))) if mentions(layers[number].written))
    return next(numbers, OVERRIDES)


def _at(layers: Sequence[_Layer], key: KeyPath, text: str) -> _Problem:
    """A problem with ``key`` as a whole, in the file that has the last word on it."""
    number = _layer(layers, key)
    return _Problem(number, 0 if number == OVERRIDES else _line(layers[number].where, key), key, text)


def merged(path: str | os.PathLike[str] | None = None) -> bytes:
    """What the files of ``sources(path)`` say together, as one file; a single one's own bytes. Raises OSError."""
    names = sources(path)
    if len(names) == 1:
        with open(names[0], "rb") as file:
            return file.read()
    together: dict[str, Any] = {}
    for number, name in enumerate(names):
        _over(together, _read(name, number)[1])
    return document(together).encode()


def _over(table: dict[str, Any], later: Mapping[str, Any]) -> None:
    """Put what ``later`` says over ``table``."""
    for name, value in later.items():
        if isinstance(value, dict) and isinstance(table.get(name), dict):
            _over(table[name], value)
        else:
            table[name] = value


def _leaves(table: Mapping[str, Any], above: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    for name, value in table.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*above, name))
        else:
            yield (*above, name), value


def _nested(names: list[str], value: Any) -> dict[str, Any]:
    return {names[0]: _nested(names[1:], value) if names[1:] else value}


def _build(kind: type[Any], values: Mapping[KeyPath, Any], above: KeyPath = ()) -> Any:
    """The dataclass ``kind`` from the ``values`` below ``above``; its nested dataclasses are tables of that name."""
    arguments = {}
    for name, hint in get_type_hints(kind).items():
        key = (*above, name)
        if key in values:
            value = values[key]
        elif get_origin(hint) is Mapping:
            names = dict.fromkeys(own[-2] for own in values if own[:-2] == above and len(own) > len(above) + 1)
            value = {own: _build(get_args(hint)[1], values, (*above, own)) for own in names}
        else:
            value = _build(hint, values, key)
        arguments[name] = tuple(value) if isinstance(value, list) else value
    return kind(**arguments)


def _line(where: Mapping[KeyPath, TomlPosition], key: KeyPath) -> int:
    """The line of ``key``, or of the inline table it stands in; 0 when it stands in no file."""
    return next((where[key[:length]].line for length in range(len(key), 0, -1) if key[:length] in where), 0)


def _sentence(names: Sequence[str], problem: _Problem) -> str:
    name = "override" if problem.layer == OVERRIDES else names[problem.layer]
    place = f"{name}:{problem.line}" if problem.line else name
    return redacted(": ".join(part for part in (place, visible(".".join(problem.key)), problem.text) if part))


def _read(name: str, layer: int) -> tuple[str, dict[str, Any], list[_Problem]]:
    """Text and values of the file, or what keeps it from being read."""
    try:
        with open(name, "rb") as file:
            content = file.read()
    except OSError as error:
        return "", {}, [_Problem(layer, 0, (), f"cannot be read: {error.strerror}")]
    try:
        # Editors of other systems put a byte order mark in front, which TOML does not know.
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return "", {}, [_Problem(layer, line, (), "is not UTF-8 text; save the file as UTF-8")]
    try:
        return text, tomllib.loads(text), []
    except tomllib.TOMLDecodeError as error:
        said = re.fullmatch(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", str(error))
        lines = text.rstrip().split("\n")
        line = int(said[2] or len(lines)) if said else 1
        reason = said[1] if said else str(error)
        start = sum(len(before) + 1 for before in lines[: line - 1])
        index = find_invisible(text, start, start + len(lines[line - 1]))
        # What the parser complains of is seldom what a person could see then.
        hint = f"; there is a {named(text, index)}: delete it, or write a space there" if index >= 0 else ""
        hint = hint or syntax_hint(lines[line - 1])
        return "", {}, [_Problem(layer, line, (), f"is not TOML: {reason[:1].lower()}{reason[1:]}{hint}")]


def _take(
    table: Mapping[str, Any], where: Mapping[KeyPath, TomlPosition], values: dict[KeyPath, Any], layer: int
) -> list[_Problem]:
    """Put what ``table`` holds and the schema allows into ``values``; return the rest as problems of that ``layer``."""
    problems: list[_Problem] = []

    def visit(key: KeyPath, value: Any) -> None:
        row = _row(key)
        setting = schema().get(row)
        if setting is not None:
            text = objection(setting, value)
            if not text:
                values[key] = float(value) if isinstance(setting.default, float) else value
            if not text and "schema" in setting.allowed:
                faults = [((*key, *at), text) for at, text in json_schema.faults(value)]
                problems.extend(_Problem(layer, _line(where, at), at, text) for at, text in faults)
        elif row not in _tables() or (row[-1] == ANY_NAME and not isinstance(value, dict)):
            text = f"no such {'table' if isinstance(value, dict) else 'setting'}{_meant_key(key, value)}"
        elif isinstance(value, dict):
            if row[-1] == ANY_NAME:
                own = {(*key, name[-1]): setting.default for name, setting in schema().items() if name[:-1] == row}
                values.update({name: default for name, default in own.items() if name not in values})
            for name, below in value.items():
                visit((*key, name), below)
            good = row[-1] != ANY_NAME or _OWN_NAME.fullmatch(key[-1])
            text = "" if good else "a name is made of up to 64 letters a to z, digits, _ and -"
        else:
            text = f"is a table: write [{'.'.join(key)}] on a line of its own and its settings below"
        if text:
            problems.append(_Problem(layer, _line(where, key), key, text))

    for name, value in table.items():
        visit((name,), value)
    return problems


def _missing(values: Mapping[KeyPath, Any], layers: Sequence[_Layer], wrong: set[KeyPath]) -> Iterator[_Problem]:
    """What must be given and is not: its default, which breaks its own rule, is still there. Not what was said to be
    ``wrong`` already."""
    for key, value in values.items():
        setting = schema()[_row(key)]
        if key not in wrong and objection(setting, value):
            table = next(
                (key[:length] for length in range(len(key), 0, -1) if _layer(layers, key[:length]) != OVERRIDES), key
            )
            yield _at(layers, table, f"is missing; it must be {expectation(setting)}")._replace(key=key)


def _meant_key(key: KeyPath, value: Any) -> str:
    """``; did you mean …?`` for a key or table that does not exist, or an empty string."""
    if isinstance(value, str) and "swaram_" in value:
        return KEY_ADVICE
    above = _row(key[:-1])
    if isinstance(value, dict):
        known = _tables() | {name for name, setting in schema().items() if isinstance(setting.default, dict)}
    else:
        known = frozenset(schema())
    here = {name[-1] for name in known if name[:-1] == above and name[-1] != ANY_NAME}
    elsewhere = sorted(".".join(name) for name in known if name[-1] == key[-1])
    dotted = {".".join(name) for name in known}
    close = [".".join((*key[:-1], name)) for name in get_close_matches(key[-1], here, 1, 0.6)]
    close = close or elsewhere or get_close_matches(".".join(key), dotted, 1, 0.8)
    return f"; did you mean {' or '.join(close)}?" if close else ""
