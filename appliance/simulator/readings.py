"""What the service's page leaves open, and how a service can be played that reads it in another way than this project.

A ``Reading`` is a set of switches, each with the page's own meaning as its default; ``catalog.py`` has the named ones.
``named()`` puts several together. ``plan.py`` (which replies a turn gets), ``shape.py`` (how a message looks),
``dialects.py`` (which settings are accepted), ``responder.py`` and ``session.py`` carry them out.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from appliance.errors import ConfigurationError
from appliance.simulator import catalog


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How one service reads the page. ``names``: of which named readings it is made, in the order of the catalog.

    Settings. ``dialect``: "any" takes what it knows; "flat" refuses ``session.type`` and ``session.audio``; "typed"
    wants ``session.type`` and takes undeclared audio for 16 kHz; "nested" also refuses a flat voice or turn detection.
    ``settings``: what follows a ``session.update`` that is accepted.

    What a client sends. ``commit`` and ``cancel``: what they do. ``append_min_bytes``: shorter appends end the session.
    ``needs_create``: the answer after a tool's output waits for a ``response.create``.

    A turn. ``transcript``: what was said is told. ``speech_twice``: its beginning and end are told again, with another
    id.

    Tools. ``calls``: every turn asks for this many first. ``tool``: the result is awaited "between" two responses,
    "inside" one, or the first response is "never-done". ``tool_speech_ms``: spoken before the call. ``arguments``:
    their kind. ``call_name`` and ``call_place``: where the name and the call stand. ``call_status``: of its response.

    Replies. ``ids``: events have them. ``id_reused``: the ids of responses begin anew with each turn. ``created``: when
    ``response.created`` comes. ``done``: what ``response.done`` says. ``prelude``: a short response comes before the
    first. ``status``: of answers; those that are not completed have no sound, and a reason. ``sound``: of
    answers. ``answers``: so many turns of a session are answered, None for all. ``line``: what becomes of the
    connection once an answer is out.

    Words. ``beta_names``: of the audio's events. ``error``: its shape.
    """

    names: tuple[str, ...] = ()
    dialect: Literal["any", "flat", "typed", "nested"] = "any"
    settings: Literal["confirmed", "silent", "confirmed-first", "locked"] = "confirmed"
    commit: Literal["page", "drops-in-speech", "refused", "ignored"] = "page"
    cancel: Literal["page", "refused", "server-error", "completed", "twice", "event", "silent"] = "page"
    append_min_bytes: int = 0
    needs_create: bool = False
    transcript: bool = True
    speech_twice: bool = False
    calls: int = 0
    tool: Literal["between", "inside", "never-done"] = "between"
    tool_speech_ms: float = 0.0
    arguments: Literal["text", "null", "missing", "object"] = "text"
    call_name: Literal["call", "added", "done", "nowhere"] = "call"
    call_place: Literal["event", "added", "done"] = "event"
    call_status: Literal["completed", "incomplete"] = "completed"
    ids: bool = True
    id_reused: bool = False
    created: Literal["first", "late", "never"] = "first"
    done: Literal["page", "bare", "no-status"] = "page"
    prelude: bool = False
    status: Literal["completed", "failed", "incomplete"] = "completed"
    sound: Literal["whole", "zeros", "none"] = "whole"
    answers: int | None = None
    line: Literal["kept", "closed", "dropped"] = "kept"
    beta_names: bool = False
    error: Literal["page", "code-in-type", "text"] = "page"

    @property
    def wants_types(self) -> bool:
        """Settings are OpenAI's own: typed, with declared formats."""
        return self.dialect in ("typed", "nested")


PAGE: Final = Reading()
"""This project's own."""

_ADDED: Final = frozenset({"calls", "tool_speech_ms"})
"""Switches of which the larger value holds when two names set them. With any other, the two contradict each other."""

_SUBJECTS: Final[Mapping[str, str]] = {
    "dialect": "which settings are accepted",
    "settings": "what follows session.update",
    "commit": "what a commit does",
    "cancel": "what a cancel does",
    "tool": "where a tool's result is awaited",
    "arguments": "what kind the arguments are",
    "call_name": "where a tool's name stands",
    "call_place": "where a call stands",
    "created": "when response.created comes",
    "done": "what response.done says",
    "status": "how an answer ends",
    "sound": "what an answer sounds like",
    "answers": "how many turns are answered",
    "line": "what becomes of the connection",
    "error": "how an error looks",
}

_ANSWERLESS: Final = {"status": ("failed", "incomplete")}
_UNDONE_CALL: Final = {"tool": ("inside", "never-done")}
_NO_RESPONSE: Final = ({"ids": (False,)}, {"done": ("bare",)})
_NO_STATUS: Final = (*_NO_RESPONSE, {"done": ("no-status",)})

_Setting = Mapping[str, Sequence[object]]

_APART: Final[tuple[tuple[Sequence[_Setting], Sequence[_Setting], str], ...]] = (
    (
        [_UNDONE_CALL],
        [{"call_place": ("done",)}, {"call_name": ("done",)}, {"call_status": ("incomplete",)}],
        "the response of the call has no response.done before the result",
    ),
    ([{"tool": ("inside",)}], [{"needs_create": (True,)}], "a response that goes on needs no response.create"),
    (
        [{"call_place": ("added", "done")}],
        [{"call_name": ("added", "done")}],
        "the call and its name stand in the same place",
    ),
    (
        _NO_RESPONSE,
        [{"call_place": ("done",)}, {"call_name": ("done",)}],
        "a response.done without a response has no place for the call",
    ),
    (
        _NO_STATUS,
        [{"call_status": ("incomplete",)}, _ANSWERLESS],
        "a response.done without a status cannot say it",
    ),
    (
        [{"ids": (False,)}],
        [{"id_reused": (True,)}, {"speech_twice": (True,)}],
        "there are no ids to differ or to repeat",
    ),
    ([_ANSWERLESS], [{"sound": ("zeros", "none")}], "an answer that does not end completed has no sound anyway"),
    (
        [_ANSWERLESS, {"sound": ("none",)}],
        [{"line": ("closed", "dropped")}],
        "there is no whole answer after which the connection could end",
    ),
    ([{"id_reused": (True,)}], [{"line": ("closed", "dropped")}], "the session has no later turn"),
    (
        [{"settings": ("locked",)}],
        [{"dialect": ("flat", "typed", "nested")}],
        "a session that refuses all settings does not tell which it would take",
    ),
    (
        [{"beta_names": (True,)}],
        [{"dialect": ("typed", "nested")}],
        "session.type came when the names of the beta went",
    ),
)
"""What cannot occur together though no switch is set twice: any of the first, any of the second, and why."""


def named(names: Iterable[str]) -> Reading:
    """The readings of these names (each may hold several, with spaces or commas between) put together.

    Raises ConfigurationError for names that are not known and for readings that contradict each other, all at once.
    """
    entries = {}
    problems = []
    for name in (part for text in names for part in re.split(r"[\s,]+", text) if part):
        entry = catalog.find(name)
        if entry is None:
            close = difflib.get_close_matches(name, catalog.names(), 1)
            hint = f", did you mean {close[0]}?" if close else "; simulate --list-readings shows all"
            problems.append(f"no reading is called {name!r}{hint}")
        else:
            entries[name] = entry
    found = list(entries.values())
    problems += [
        f"{one.name} and {other.name} cannot occur together: {why}"
        for at, one in enumerate(found)
        for other in found[at + 1 :]
        if (why := contradiction(one, other))
    ]
    if problems:
        raise ConfigurationError(problems)
    switches: dict[str, object] = {}
    for entry in found:
        for switch, value in entry.switches.items():
            switches[switch] = max(value, switches.get(switch, value)) if switch in _ADDED else value  # type: ignore[call-overload]
    order = catalog.names()
    names_in_order = sorted(entries, key=lambda name: order.index(entries[name].listed_as))
    return replace(PAGE, names=tuple(names_in_order), **switches)  # type: ignore[arg-type]


def contradiction(one: catalog.NamedReading, other: catalog.NamedReading) -> str:
    """Why the two cannot occur together; "" if they can."""
    for switch, value in one.switches.items():
        if switch not in _ADDED and other.switches.get(switch, value) != value:
            return f"both say {_SUBJECTS[switch]}"
    for left, right, why in _APART:
        for first, second in ((one, other), (other, one)):
            if _any_of(first, left) and _any_of(second, right):
                return why
    return ""


def _any_of(entry: catalog.NamedReading, settings: Sequence[_Setting]) -> bool:
    return any(
        entry.switches.get(switch) in values
        for setting in settings
        for switch, values in setting.items()
        if switch in entry.switches
    )
