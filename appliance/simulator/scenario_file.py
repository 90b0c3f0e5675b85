"""A scenario from a TOML file. Its tables are the dataclasses of ``scenario.py``, field by field::

    reading = "no-ids done-bare"         # of the page (`simulate --list-readings`); also in a connection or a turn

    [[connection]]                       # 1st attempt: refused
    http = 503
    headers = { Retry-After = "2" }

    [[connection]]                       # 2nd attempt: lost in the middle of the question
    accept_after_ms = 2000
      [[connection.step]]
      on = "audio"
      audio_ms = 1500
      do = "reset"                       # the action: close, reset, hang-up, freeze, silence, fail, send, speak
      [[connection.step]]
      on = "done"
      do = "close"                       # an action's own fields stand next to it
      code = 4003

    [[connection]]                       # 3rd and all further attempts
      [[connection.turn]]
      heard = "ask-time"
        [[connection.turn.reply]]
        call = [{ name = "get_time" }]
        [[connection.turn.reply]]
        voice = "time"

Lists are named in the singular, as TOML's double brackets read best. ``pcm`` and binary messages cannot be given here.
"""

from __future__ import annotations

import dataclasses
import enum
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from appliance.errors import ConfigurationError
from appliance.simulator import readings, scenario, voices

_ACTIONS: Final[Mapping[str, type[Any]]] = {
    "close": scenario.Close,
    "reset": scenario.Reset,
    "hang-up": scenario.HangUp,
    "freeze": scenario.Freeze,
    "silence": scenario.Silence,
    "fail": scenario.Fail,
    "send": scenario.SendRaw,
    "speak": scenario.Speak,
}

_LISTS: Final[Mapping[str, str]] = {
    "connection": "connections",
    "step": "steps",
    "turn": "turns",
    "reply": "replies",
    "call": "calls",
}
"""TOML's singular to the field's plural."""

_NOT_IN_FILES: Final = {"pcm"}

_KINDS: Final[Mapping[type[Any], str]] = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
}


def load(path: Path) -> scenario.Scenario:
    """The scenario in a file. Raises ConfigurationError with every problem found; each line begins with the path."""
    try:
        # With the mark that Windows' editor puts first.
        return parse(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigurationError([f"{path}: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise ConfigurationError([f"{path}: is not UTF-8 text; save the file as UTF-8"]) from None
    except ConfigurationError as error:
        raise ConfigurationError([f"{path}: {problem}" for problem in error.problems]) from None


def parse(text: str) -> scenario.Scenario:
    """The scenario in a TOML text. Raises ConfigurationError with every problem found."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError([str(error)]) from None
    reader = _Reader()
    found = reader.build(scenario.Scenario, table, "")
    if reader.problems:
        raise ConfigurationError(reader.problems)
    assert isinstance(found, scenario.Scenario)
    return found


class _Reader:
    """Builds dataclasses from tables by their types, and gathers what is wrong."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def build(self, kind: type[Any], table: object, where: str) -> object:
        """An instance of the dataclass ``kind``; None if that is impossible, and then a problem says why."""
        if not isinstance(table, dict):
            return self._problem(where, "must be a table")
        values: dict[str, Any] = {}
        if kind is scenario.Step:
            table, values["do"] = self._action(table, where)
        hints = typing.get_type_hints(kind)
        fields = {item.name: item for item in dataclasses.fields(kind)}
        for given, value in table.items():
            name = given if given in fields else _LISTS.get(given, given)
            if name not in fields or name in _NOT_IN_FILES:
                self._problem(f"{where}{name}", "is not known here")
            else:
                values[name] = self._value(hints[name], value, f"{where}{name}")
        for name, item in fields.items():
            required = item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
            if required and name not in values:
                self._problem(f"{where}{name}", "is missing")
                return None
        return kind(**values)

    def _action(self, table: dict[str, Any], where: str) -> tuple[dict[str, Any], object]:
        """The step's own fields, and the action made of the others."""
        own = {item.name for item in dataclasses.fields(scenario.Step)}
        step = {name: value for name, value in table.items() if name in own and name != "do"}
        kind = _ACTIONS.get(str(table.get("do")))
        if kind is None:
            return step, self._problem(f"{where}do", f"must be one of {', '.join(_ACTIONS)}")
        return step, self.build(kind, {name: value for name, value in table.items() if name not in own}, where)

    def _value(self, hint: Any, value: object, where: str) -> object:
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if readings.Reading in arguments:
            return self._reading(value, where)
        if origin is types.UnionType:
            # "X | None" and "str | bytes": TOML has neither None nor bytes, so the first is what a file can give.
            return self._value(arguments[0], value, where)
        if origin is tuple:
            if not isinstance(value, list):
                return self._problem(where, "must be a list")
            if dataclasses.is_dataclass(arguments[0]):
                return tuple(self.build(arguments[0], one, f"{where}[{i}].") for i, one in enumerate(value))  # type: ignore[arg-type]
            return tuple(self._value(arguments[0], one, f"{where}[{i}]") for i, one in enumerate(value))
        if origin is typing.Literal:
            good = value in arguments
            return value if good else self._problem(where, f"must be one of {', '.join(arguments)}")
        if dataclasses.is_dataclass(hint):
            return self.build(hint, value, f"{where}.")  # type: ignore[arg-type]
        if isinstance(hint, type) and issubclass(hint, enum.Enum):
            choices = [choice.value for choice in hint]
            return hint(value) if value in choices else self._problem(where, f"must be one of {', '.join(choices)}")
        return self._plain(origin or hint, value, where)

    def _reading(self, value: object, where: str) -> object:
        """One name or several, as a text or a list of texts."""
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            return self._problem(where, "must be the names of readings, a text or a list of texts")
        try:
            return readings.named(names)
        except ConfigurationError as error:
            for problem in error.problems:
                self._problem(where, problem)
            return None

    def _plain(self, kind: Any, value: object, where: str) -> object:
        if where.endswith(".voice") and value not in (*voices.recordings(), "parrot"):
            return self._problem(where, f"must be one of {', '.join(voices.recordings())}, parrot")
        if kind is Mapping:
            good = isinstance(value, dict) and all(isinstance(one, str) for one in value.values())
            return value if good else self._problem(where, "must be a table of strings")
        accepted = (int, float) if kind is float else (kind,)
        if not isinstance(value, accepted) or isinstance(value, bool) is not (kind is bool):
            return self._problem(where, f"must be {_KINDS[kind]}")
        return value

    def _problem(self, where: str, what: str) -> Any:
        """Always None, in the place of a value; ``load`` fails at the end."""
        self.problems.append(f"{where.rstrip('.') or 'the file'}: {what}")
        return None
