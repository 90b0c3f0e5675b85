"""A box whose daemon runs: asked through its control socket, so that nothing is opened a second time.

The daemon keeps the microphone, the speaker, the pins and the account's one connection; what it cannot have it says in
its status. Afterwards it is as it was: a session that was opened for the check is closed, a turn that a press began is
ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from typing import Any, Final

from appliance.control import client
from appliance.errors import UnavailableError
from appliance.link.retry import GHOST, LATCHED_ATTEMPT_S

from . import panel, sound
from .finding import Finding, fault, ok, skipped, warning
from .voice_service import SESSION, fix_of

DAEMON: Final = "daemon"

LOOK_S: Final = 0.05
"""Between two looks at its status: one line over a socket, and a turn of the daemon's loop."""

NEWEST: Final = "speech_dbfs"
"""What the status of an older daemon lacks."""

REFUSED_S: Final = LATCHED_ATTEMPT_S + 0.5
"""A link that was refused makes no attempt sooner after its last; then it is asked once more."""

SETTLED_S: Final = 10.0
"""What a daemon that has just started gets to find microphone and speaker before they count as missing."""


class RunningBox:
    """The daemon on ``path``. Its methods raise UnavailableError when it has gone."""

    def __init__(self, path: str) -> None:
        self._path = path

    async def ask(self, command: str) -> dict[str, Any]:
        """The answer to one command."""
        # In a thread: the client waits, and this loop may have a meter to draw.
        return await asyncio.to_thread(client.ask, self._path, command)

    async def status(self) -> dict[str, Any]:
        """Everything that it shows of itself."""
        status: dict[str, Any] = (await self.ask("status"))["status"]
        return status

    async def settled(self) -> dict[str, Any]:
        """Its status once microphone and speaker are there, or are known to be missing."""
        ends_s = time.monotonic() + SETTLED_S
        while True:
            status = await self.status()
            microphone = status["microphone"] or status["microphone_fault"] or status["muted_by"]
            if (microphone and (status["speaker"] or status["speaker_fault"])) or time.monotonic() > ends_s:
                return status
            await asyncio.sleep(LOOK_S)

    async def attempt(self, timeout_s: float) -> None:
        """Have it try to connect now, and wait until that attempt has come to something, or so long."""
        try:
            reader, writer = await asyncio.open_unix_connection(self._path)
        except OSError as error:
            raise UnavailableError(f"the daemon has gone: {error.strerror}") from error
        over = asyncio.ensure_future(_attempt_over(reader))
        try:
            writer.write(b'{"command": "watch"}\n{"command": "retry"}\n')
            if not (await asyncio.wait([over], timeout=REFUSED_S))[0]:
                writer.write(b'{"command": "retry"}\n')
                await asyncio.wait([over], timeout=timeout_s)
        finally:
            over.cancel()
            writer.close()

    async def until(self, key: str, values: tuple[str, ...], timeout_s: float) -> dict[str, Any] | None:
        """Its status as soon as ``key`` has one of the values; None if that did not come in time."""
        ends_s = time.monotonic() + timeout_s
        while time.monotonic() < ends_s:
            status = await self.status()
            if status[key] in values:
                return status
            await asyncio.sleep(LOOK_S)
        return None

    async def hang_up(self, timeout_s: float) -> None:
        """Have it close its session, and wait until it has, or so long: it keeps one that somebody talks in."""
        await self.ask("hang-up")
        await self.until("link", ("closed", "latched", "retrying"), timeout_s)

    async def listen(self, for_s: float, meter: Callable[[float], None]) -> sound.Readings:
        """The readings of its microphone within ``for_s``; each level is shown by ``meter``."""
        readings, ends_s = sound.Readings(), time.monotonic() + for_s
        while time.monotonic() < ends_s:
            status = await self.status()
            readings.add(status["level_dbfs"], status["speech_dbfs"])
            meter(status["level_dbfs"])
            await asyncio.sleep(sound.LOOK_S)
        return readings


async def _attempt_over(reader: asyncio.StreamReader) -> None:
    """Until the link has begun to connect and has ended that, one way or the other."""
    began = False
    with contextlib.suppress(OSError):
        while line := await reader.readline():
            message = json.loads(line)
            link = message.get("status", message).get("link")
            if began and link not in (None, "connecting"):
                return
            began = began or link == "connecting"


async def find(path: str, is_active: bool = False) -> tuple[RunningBox | None, Finding]:
    """The daemon that listens on ``path``, and what was found; None if there is none that can be talked to.

    ``is_active``: systemd says that one runs.
    """
    box = RunningBox(path)
    try:
        status = await box.settled()
        status[NEWEST]
    except UnavailableError as error:
        return None, _absent(error, path, is_active)
    except KeyError:
        return None, fault(
            DAEMON, "it is of another version than this program", "sudo systemctl restart voice-appliance"
        )
    return box, ok(
        DAEMON, f"it runs: {status['state']}, light {status['light']}; it is tested through its control socket"
    )


def _absent(error: UnavailableError, path: str, is_active: bool) -> Finding:
    match error.__cause__:
        case FileNotFoundError() | ConnectionRefusedError() if is_active:
            fix = (
                "journalctl -u voice-appliance says why; set control.socket to a path that can be made, or leave it out"
            )
            return fault(DAEMON, f"the service runs, but does not listen on {path}", fix)
        case FileNotFoundError() | ConnectionRefusedError():
            return skipped(DAEMON, "none runs: this program opens microphone, speaker, pins and a session itself")
        case PermissionError():
            return warning(DAEMON, "one runs, and this user may not talk to it", "sudo voice-appliance doctor")
    what, _, _ = str(error).partition(";")
    return fault(DAEMON, what, "journalctl -u voice-appliance, then sudo systemctl restart voice-appliance")


def is_somebodys(finding: Finding) -> bool:
    """A daemon has the hardware, but cannot be asked: what it has must not be opened beside it."""
    return finding.name == DAEMON and bool(finding.fix)


async def session(box: RunningBox, timeout_s: float) -> tuple[Finding, bool]:
    """One session, opened by the daemon itself, and whether it must be closed again afterwards.

    One that is open already is proof enough; so a plan for one connection, which the daemon has, is no fault.
    """
    if (await box.status())["link"] == "open":
        return ok(SESSION, "the daemon has one open; no other was opened"), False
    began_s = time.monotonic()
    await box.attempt(timeout_s)
    took_ms = 1000 * (time.monotonic() - began_s)
    status = await box.status()
    if status["link"] == "open":
        line = f"the daemon opened and configured one in {took_ms:.0f} ms; it cost one connection, no audio"
        return ok(SESSION, line), True
    happened, _, fix = (status["fault"] or f"no session within {timeout_s:.0f} s").rpartition(": ")
    if fix.startswith(GHOST):
        line = "the service still counts a connection that was lost a moment ago; that passes by itself"
        return skipped(SESSION, line, "look again in two minutes"), False
    return fault(SESSION, happened or fix, fix_of(fix if happened else "")), False


def microphone(status: dict[str, Any]) -> Finding:
    """Whether the daemon has one."""
    if status["muted_by"]:
        fix = "voice-appliance ctl unmute, or the switch on the box"
        return warning(sound.MICROPHONE, f"it is switched off: {status['muted_by']}", fix)
    return _device(sound.MICROPHONE, status)


def speaker(status: dict[str, Any]) -> Finding:
    """Whether the daemon has one."""
    return _device(sound.SPEAKER, status)


def _device(name: str, status: dict[str, Any]) -> Finding:
    opened = status[name]
    if opened is None:
        return sound.missing(name, status[f"{name}_fault"] or "the daemon has found none")
    return ok(name, f"{opened['name']}, {opened['hz']} Hz")


def button_box(status: dict[str, Any]) -> Finding:
    """Whether the daemon has the one on USB that the configuration names."""
    return panel.button_box(status["key_fault"] or "")


def pins(status: dict[str, Any]) -> Finding:
    """Whether the daemon has the pins that the configuration names."""
    if status["panel_fault"]:
        return panel.broken(status["panel_fault"])
    return ok(panel.PINS, "the daemon has those that the configuration names")
