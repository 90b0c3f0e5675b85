"""Whether the service can use the files that the configuration names. Whoever asks at a terminal sees more than it.

Where the service runs and root asks, the question is put in its own place: as its user, in its mount namespace
(nsenter(1) and setpriv(1), which every Debian has). Else its unit says what it does not see.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from appliance.config.settings import Config
from appliance.system import program_file, sandbox

from .finding import Finding, fault, ok, warning
from .machine import MachineFacts, Unit

PATHS: Final = "files"
PROGRAMS: Final = "programs"

ASK: Final = 'if test "$1" "$2"; then echo yes; else echo no; fi'
"""Of sh: whether the service may (``-r``, ``-w``, ``-x``)."""


@dataclass(frozen=True, slots=True)
class Named:
    """A path that the configuration names. ``key``: where. ``use``: what test(1) calls it: ``-r``, ``-w``, ``-x``."""

    key: str
    path: str
    use: str

    @property
    def objection(self) -> str:
        """Why the service's sandbox is in its way, and what to do; empty if it is not."""
        return sandbox.objection_to_writing(self.path) if self.use == "-w" else sandbox.objection(self.path)


def named(settings: Config) -> Iterator[Named]:
    """Every path that ``settings`` name, arguments of programs among them; none that is made of a default."""
    for key, path in (
        ("credentials.key_file", settings.credentials.key_file),
        ("link.ca_file", settings.link.ca_file),
        ("panel.clips_dir", settings.panel.clips_dir),
    ):
        if path:
            yield Named(key, path, "-r")
    commands = {"credentials.token_command": settings.credentials.token_command}
    commands |= {f"tools.{name}.command": tool.command for name, tool in settings.tools.own.items()}
    for key, command in commands.items():
        for number, part in enumerate(command):
            # An argument such as the script of an interpreter, or a file that holds a key.
            if number == 0 or (part.startswith("/") and os.path.exists(part)):
                yield Named(key, part, "-r" if number else "-x")
    for key, path in (("transcripts.file", settings.transcripts.file), ("control.socket", settings.control.socket)):
        if path:
            yield Named(key, path, "-w")


async def seen(settings: Config, machine: MachineFacts, unit: Unit) -> Finding | None:
    """Whether the service sees them all; None where there is no service that could not, or nothing is named."""
    paths = list(named(settings))
    if not unit.user or not paths:
        return None
    for one in paths:
        may = await _service_may(one, machine, unit)
        if may is False:
            fix = one.objection or f"its owner and mode, and those of the folders above: namei -l {one.path}"
            return fault(PATHS, f"{one.key}: the service, which runs as {unit.user}, cannot use {one.path}", fix)
        if may is None and one.objection:
            return warning(PATHS, f"{one.key}: the service will not find {one.path}", one.objection)
    return ok(PATHS, "the service sees what the configuration names")


def startable(settings: Config) -> Finding | None:
    """Whether each program that the configuration names is one that can be started; None if none is named."""
    programs = [one for one in named(settings) if one.use == "-x"]
    for one in programs:
        wrong = program_file.why(one.path) if os.path.exists(one.path) else "it is not there"
        if wrong:
            return fault(PROGRAMS, f"{one.key}: {one.path} cannot be started", wrong)
    return ok(PROGRAMS, f"{len(programs)} that can be started") if programs else None


async def _service_may(one: Named, machine: MachineFacts, unit: Unit) -> bool | None:
    """As the running service itself would find out; None if it does not run, or who asks is not root."""
    process_id = unit.properties.get("MainPID", "0")
    if not unit.is_active or process_id == "0":
        return None
    target = os.path.dirname(one.path) if one.use == "-w" else one.path
    inside = ("nsenter", f"--target={process_id}", "--mount", "--")
    group = unit.properties.get("Group") or unit.user
    as_user = ("setpriv", f"--reuid={unit.user}", f"--regid={group}", "--init-groups", "--")
    said = await machine.ask(*inside, *as_user, "/bin/sh", "-c", ASK, "sh", one.use, target)
    return {"yes": True, "no": False}.get(said or "")
