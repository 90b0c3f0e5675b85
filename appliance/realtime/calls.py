"""The calls of one reply, put together from whatever names them. Pure; ``session.py`` has the rules.

A call may stand in ``response.function_call_arguments.done``, in ``response.output_item.added`` and ``.done``, and in
``response.done``; in one of them or in all, with its name here and its arguments there. It is whole when one of the
last three has named it, when the first of the two has said its arguments, or when its reply is done. It is passed on
once, by its call id; a second time only if what was missing has come.

Every call gets an answer, or the service waits for ever. So arguments that are missing, of the wrong kind or beyond all
bounds are passed on as ``UNREADABLE``, and a missing name as "": whoever carries out the call answers both with an
error. Only a call without an id cannot be answered.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from appliance.turn.events import ToolCall as ToolCall

from . import events as ev

MAX_CALLS: Final = 128
"""Tool calls that one turn may make; an answer each, half of what may wait to be sent. A model asks for one, seldom for
three. Not measured."""

MAX_ARGUMENTS_CHARS: Final = 64 * 1024
"""Longest arguments of one call. Not measured; a schema's worth of values is some hundred characters."""

UNREADABLE: Final = "null"
"""JSON that is no object, and so no arguments."""


@dataclass(slots=True)
class _Parts:
    """What is known of one call so far."""

    call_id: str | None
    item_id: str | None
    name: str | None = None
    arguments: str | None = None
    passed_on: ToolCall | None = None
    begun_only: bool = False
    """All that is known of its arguments stood where the call began."""


class Calls:
    """Of one reply."""

    def __init__(self) -> None:
        self._calls: list[_Parts] = []

    def begun(self, call: ev.FunctionCall) -> ToolCall | None:
        """The reply begins a call: who is called may be said here alone. Arguments that are "" are still to come;
        others may be all that comes, so the call is returned to be passed on, unless what follows says otherwise."""
        parts = self._known(replace(call, arguments=call.arguments or None))
        if parts is None or not call.arguments:
            return None
        parts.begun_only = parts.passed_on is None
        return self._pass_on(parts)

    def whole(self, call: ev.FunctionCall) -> ToolCall | None:
        """All of a call is said. Returns it if it is to be passed on: new, or better known than before."""
        parts = self._known(call)
        if parts is None:
            return None
        if parts.begun_only and call.arguments:
            parts.begun_only, parts.arguments, parts.passed_on = False, call.arguments, None
        return self._pass_on(parts)

    def left(self) -> list[ToolCall]:
        """The reply is done: calls that were begun, and of which nothing more was said."""
        made = [self._pass_on(parts) for parts in self._calls if parts.passed_on is None]
        return [call for call in made if call is not None]

    @staticmethod
    def _pass_on(parts: _Parts) -> ToolCall | None:
        if parts.call_id is None:
            return None
        readable = parts.arguments is not None and len(parts.arguments) <= MAX_ARGUMENTS_CHARS
        wanted = ToolCall(parts.call_id, parts.name or "", (parts.arguments or "") if readable else UNREADABLE)
        before = parts.passed_on
        if before is not None and before.name and before.arguments != UNREADABLE:
            return None
        parts.passed_on = wanted
        return None if wanted == before else wanted

    def _known(self, call: ev.FunctionCall) -> _Parts | None:
        """The call that is meant, with what is new about it; None: there are too many."""
        parts = next((parts for parts in self._calls if self._is_of(call, parts)), None)
        if parts is None:
            if len(self._calls) >= MAX_CALLS:
                return None
            parts = _Parts(call.call_id, call.item_id)
            self._calls.append(parts)
        parts.call_id = parts.call_id or call.call_id
        parts.item_id = parts.item_id or call.item_id
        parts.name = parts.name or call.name
        if call.arguments:
            parts.arguments = parts.arguments or call.arguments
        elif parts.arguments is None:
            parts.arguments = call.arguments
        return parts

    @staticmethod
    def _is_of(call: ev.FunctionCall, parts: _Parts) -> bool:
        if call.call_id is not None and parts.call_id is not None:
            return call.call_id == parts.call_id
        if call.item_id is not None and parts.item_id is not None:
            return call.item_id == parts.item_id
        # Neither shares an id: the call that has begun and is not whole is the one that is meant.
        return parts.passed_on is None
