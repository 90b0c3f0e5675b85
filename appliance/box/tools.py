"""What the model may ask the box to do, and the answers it gets.

A tool is declared to the service as a JSON Schema: built in, or a program of the owner's. Whatever goes wrong with a
call, the service gets an error object that it can speak about; a call is never left without an answer. Arguments and
answers are what people say and hear, so neither is ever logged.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from appliance.config import json_schema
from appliance.config.settings import ToolSettings
from appliance.errors import ProgramError
from appliance.journal.catalog import Kind, entry
from appliance.journal.foreign_text import NAME_CHARS, one_line
from appliance.system import program, wall_clock

log = logging.getLogger(__name__)

CALLS_AT_ONCE: Final = 8
"""Of one reply. They run side by side, and each may be a process: a model gone astray must not fill the memory."""

ARGUMENTS_BYTES: Final = 65_536
"""Far above what anybody says in one breath."""

ANSWER_BYTES: Final = 32_768
"""Of a program of the owner's. The model reads all of it before it speaks: some ten thousand Malayalam letters."""

_NO_ARGUMENTS: Final[Mapping[str, Any]] = {"type": "object", "properties": {}, "additionalProperties": False}

Action = Callable[[Mapping[str, Any]], Awaitable[Any]]
"""Takes arguments that fit the schema, returns what becomes JSON, and may raise ToolError. It may be cancelled."""


class ToolError(Exception):
    """A call cannot be carried out. The text goes to the service, which may say it to the person.

    ``complaint`` is for the journal only; empty when there is nothing to add.
    """

    def __init__(self, text: str, complaint: str = "") -> None:
        super().__init__(text)
        self.complaint = complaint


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool. ``parameters`` is the JSON Schema of its arguments, without faults (``json_schema.faults``)."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    action: Action


class Tools:
    """The tools of one box. Called from the event loop."""

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._task: asyncio.Task[None] | None = None
        """What ``begin`` began last; None: it was aborted, or nothing has begun."""

    @property
    def declared(self) -> tuple[Tool, ...]:
        """Every tool, in the order of declaration."""
        return tuple(self._tools.values())

    def begin(
        self, calls: Sequence[tuple[str, str, str]], finished: Callable[[tuple[tuple[str, str], ...]], None]
    ) -> None:
        """``run`` the calls beside the loop's other work; ``finished`` is told the outputs, also when that fails."""
        self._task = asyncio.get_running_loop().create_task(self._run_for(calls, finished))

    def abort(self) -> None:
        """End what ``begin`` began; its ``finished`` is not called any more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run_for(
        self, calls: Sequence[tuple[str, str, str]], finished: Callable[[tuple[tuple[str, str], ...]], None]
    ) -> None:
        try:
            outputs = await self.run(calls)
        except Exception:
            # A fault of ours, as in a command of the control socket: the person hears of it, the box goes on.
            log.exception("a tool failed", extra=entry(Kind.FAULT_OF_OURS))
            outputs = tuple((call_id, _error("the tool failed")) for call_id, _, _ in calls)
        finished(outputs)

    async def run(self, calls: Sequence[tuple[str, str, str]]) -> tuple[tuple[str, str], ...]:
        """Carry out calls, each (call id, name, arguments as JSON text), side by side; returns (call id, output as JSON
        text) for each, in their order.

        Cancelled, it leaves nothing running. Raises only what is a fault of ours.
        """
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._answer(name, text)) for _, name, text in calls[:CALLS_AT_ONCE]]
        answers = [task.result() for task in tasks]
        answers += [_error("too many calls at once; ask again for this one")] * (len(calls) - len(answers))
        return tuple((call_id, answer) for (call_id, _, _), answer in zip(calls, answers, strict=True))

    async def _answer(self, name: str, arguments: str) -> str:
        began_s = time.monotonic()
        called = one_line(name, NAME_CHARS)
        try:
            tool = self._tools.get(name)
            if tool is None:
                raise ToolError(f"there is no tool {called!r}")
            answer = _text(await tool.action(_checked(tool.parameters, arguments)))
        except ToolError as error:
            said = f" ({error.complaint})" if error.complaint else ""
            log.warning("tool %s: %s%s", called, one_line(str(error)), said, extra=entry(Kind.TOOL_FAILED, TOOL=called))
            return _error(str(error))
        took_s = time.monotonic() - began_s
        log.info("tool %s: answered after %.1f s", called, took_s, extra=entry(Kind.TOOL_ANSWERED, TOOL=called))
        return answer


def _error(text: str) -> str:
    return json.dumps({"error": text})


def _text(value: Any) -> str:
    """``value`` as JSON. Malayalam stays Malayalam: the model reads this text, and escapes are six letters for one."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError):
        raise ToolError("this cannot be said in JSON") from None
    # Half of a surrogate pair, which JSON's escapes can hold, fits into no message.
    return text.encode("utf-8", "replace").decode()


def _checked(parameters: Mapping[str, Any], arguments: str) -> Mapping[str, Any]:
    """The arguments as a JSON object that fits the schema."""
    if len(arguments) > ARGUMENTS_BYTES:
        raise ToolError("the arguments are too long")
    try:
        values = json.loads(arguments or "{}", parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise ToolError("the arguments are not JSON") from None
    if not isinstance(values, dict):
        raise ToolError("the arguments are not a JSON object")
    if wrong := json_schema.mismatch(parameters, values):
        raise ToolError(wrong)
    return values


def _refuse(constant: str) -> NoReturn:
    """NaN and the infinities are Python's, not JSON's."""
    raise ValueError(constant)


def offered(
    settings: ToolSettings,
    volume_bounds: tuple[int, int],
    apply_volume: Callable[[int], None],
    end: Callable[[], None],
    status: Callable[[], Mapping[str, Any]],
) -> list[Tool]:
    """What the configuration lets the model ask for: ``tools.builtin``, and the owner's own after them."""
    built_in = (
        get_time(wall_clock.is_synchronised, wall_clock.local_time),
        set_volume(*volume_bounds, apply_volume),
        end_conversation(end),
        appliance_status(status),
    )
    own = (
        of_owner(name, tool.description, tool.parameters, tool.command, tool.timeout_s)
        for name, tool in settings.own.items()
    )
    return [*(tool for tool in built_in if tool.name in settings.builtin), *own]


# ---------------------------------------------------------------- built in


def get_time(is_synchronised: Callable[[], Awaitable[bool]], clock: Callable[[], time.struct_time]) -> Tool:
    """The box's local date and time, or "unknown": a wrong time, said with confidence, is worse than none."""

    async def action(_: Mapping[str, Any]) -> Mapping[str, Any]:
        if not await is_synchronised():
            return {"time": "unknown", "reason": "the clock has not been set from the network since the box started"}
        return {"time": time.strftime("%Y-%m-%d %H:%M, %A, UTC%z", clock())}

    return Tool("get_time", "The local date and time now", _NO_ARGUMENTS, action)


def set_volume(lowest: int, highest: int, apply: Callable[[int], None]) -> Tool:
    """The loudness of the box's voice, kept within ``lowest`` to ``highest``, percent. ``apply`` takes percent."""

    async def action(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        wanted = int(arguments["percent"])
        percent = max(lowest, min(highest, wanted))
        apply(percent)
        limited = {} if percent == wanted else {"note": f"this box can be set from {lowest} to {highest}"}
        return {"percent": percent, **limited}

    schema = {"type": "integer", "minimum": 0, "maximum": 100}
    parameters = {**_NO_ARGUMENTS, "properties": {"percent": schema}, "required": ["percent"]}
    return Tool("set_volume", "Set how loud the voice is, in percent", parameters, action)


def end_conversation(end: Callable[[], None]) -> Tool:
    """Goodbye. ``end`` must let the reply that follows be heard before it closes anything."""

    async def action(_: Mapping[str, Any]) -> Mapping[str, Any]:
        end()
        return {"status": "the conversation ends after your next words; say goodbye, briefly"}

    description = "End the conversation, when the person says goodbye or wants nothing more"
    return Tool("end_conversation", description, _NO_ARGUMENTS, action)


def appliance_status(status: Callable[[], Mapping[str, Any]]) -> Tool:
    """How the box is. ``status`` gives what may be spoken to anybody who stands in front of it."""

    async def action(_: Mapping[str, Any]) -> Mapping[str, Any]:
        return status()

    description = "How this voice box is: its volume, microphone and speaker, and how long it has been running"
    return Tool("appliance_status", description, _NO_ARGUMENTS, action)


# ---------------------------------------------------------------- the owner's


def of_owner(
    name: str, description: str, parameters: Mapping[str, Any], command: Sequence[str], timeout_s: float
) -> Tool:
    """A program of the owner's: ``command`` is its full path and its own arguments.

    It is given the call's arguments as one JSON object on standard input, and answers with one JSON value on standard
    output; ``system/program.py`` says how it runs. ``parameters`` may leave out what every tool's schema begins with.
    """

    async def action(arguments: Mapping[str, Any]) -> Any:
        given = _text(arguments).encode()
        try:
            output = await program.run(command, given, timeout_s, ANSWER_BYTES)
        except ProgramError as error:
            said = "; ".join(filter(None, (error.complaint, error.advice)))
            raise ToolError(f"the tool {error.summary}", said) from None
        if not output.strip():
            raise ToolError("the tool answered with nothing")
        try:
            return json.loads(output.decode(), parse_constant=_refuse)
        except (ValueError, RecursionError):
            raise ToolError("the tool's answer is not JSON") from None

    return Tool(name, description, {"type": "object", "properties": {}, **parameters}, action)
