"""What the model may ask the box to do, and the answers it gets.

A tool is declared to the service as a JSON Schema. Whatever goes wrong with a call, the service gets an error object
that it can speak about; a call is never left without an answer.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

log = logging.getLogger(__name__)

_NO_ARGUMENTS: Final[Mapping[str, Any]] = {"type": "object", "properties": {}, "additionalProperties": False}


class ToolError(Exception):
    """A call cannot be carried out. The text goes to the service, which may say it to the person."""


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A tool of our own. ``action`` takes the checked arguments, returns what becomes JSON, and may raise ToolError."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    action: Callable[[Mapping[str, Any]], Mapping[str, Any]]


class Tools:
    """The tools of one box. Called from the event loop."""

    def __init__(self, tools: Sequence[BuiltIn]) -> None:
        self._tools = {tool.name: tool for tool in tools}

    @property
    def declared(self) -> tuple[BuiltIn, ...]:
        """Every tool, in the order of declaration."""
        return tuple(self._tools.values())

    async def run(self, calls: Sequence[tuple[str, str, str]]) -> tuple[tuple[str, str], ...]:
        """Carry out calls, each (call id, name, arguments as JSON text); returns (call id, output as JSON text) for
        each."""
        return tuple((call_id, json.dumps(self._answer(name, arguments))) for call_id, name, arguments in calls)

    def _answer(self, name: str, arguments: str) -> Mapping[str, Any]:
        tool = self._tools.get(name)
        try:
            if tool is None:
                raise ToolError(f"there is no tool {name!r}")
            return tool.action(_checked(tool.parameters, arguments))
        except ToolError as error:
            log.warning("tool %s: %s", name, error)
            return {"error": str(error)}


def _checked(parameters: Mapping[str, Any], arguments: str) -> Mapping[str, Any]:
    """The arguments as a JSON object with all that is required and nothing that is unknown."""
    try:
        values = json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        raise ToolError("the arguments are not JSON") from None
    if not isinstance(values, dict):
        raise ToolError("the arguments are not a JSON object")
    known = parameters["properties"]
    if unknown := sorted(set(values) - set(known)):
        raise ToolError(f"unknown argument {unknown[0]!r}")
    if missing := sorted(set(parameters.get("required", ())) - set(values)):
        raise ToolError(f"missing argument {missing[0]!r}")
    return values


def get_time(clock: Callable[[], time.struct_time] = time.localtime) -> BuiltIn:
    """The box's local date and time."""
    return BuiltIn(
        "get_time",
        "The local date and time now",
        _NO_ARGUMENTS,
        lambda _: {"time": time.strftime("%Y-%m-%d %H:%M, %A", clock())},
    )


def set_volume(apply: Callable[[int], int]) -> BuiltIn:
    """The loudness of the box's voice. ``apply`` takes percent and returns the percent that is now in force."""

    def action(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        percent = arguments["percent"]
        if not isinstance(percent, int) or isinstance(percent, bool):
            raise ToolError("percent must be a whole number from 0 to 100")
        return {"percent": apply(max(0, min(100, percent)))}

    schema = {"type": "integer", "minimum": 0, "maximum": 100}
    parameters = {"type": "object", "properties": {"percent": schema}, "required": ["percent"]}
    return BuiltIn("set_volume", "Set how loud the voice is, in percent", parameters, action)
