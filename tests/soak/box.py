"""The box under test: ``voice-appliance run``, a process of its own, driven and watched through its control socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.bench.processes import family

KEY = "swaram_test_0123456789abcdef"

START_TIMEOUT_S = 20.0
ANSWER_TIMEOUT_S = 15.0
"""For one command: a stopped daemon answers when it goes on."""

CONFIGURATION = """\
service.url = "{url}"
microphone.device = "usbmic"
speaker.device = "usbspeaker"
control.socket = "{socket}"
panel.button.gpio = 0
panel.leds = {{ kind = "none", gpio = [] }}
limits.audio_s_per_hour = 0.0
link.credit_probe_s = 4.0
link.limit_probe_s = 4.0
"""
"""The shipped defaults, except that nobody bounds what is said here, and that a refusal is over some seconds after the
service has got over it."""

CLOCK_SEAM = """\
import os, time
_real, _path = time.time, os.environ["SOAK_CLOCK"]
def _stepped():
    with open(_path) as file:
        return _real() + float(file.read() or 0)
time.time = _stepped
"""
"""``sitecustomize``: the wall clock of this one process, and a file that says how far it is off."""


class Box:
    """Start with ``start``. ``turns`` holds the figures of every turn that has ended, ``states`` every change shown."""

    def __init__(self, folder: Path, url: str, environment: Mapping[str, str]) -> None:
        self.log = folder / "box.log"
        self._socket = folder / "control.sock"
        self._clock = folder / "clock"
        self.step_clock(0.0)
        seam = folder / "seam"
        seam.mkdir()
        (seam / "sitecustomize.py").write_text(CLOCK_SEAM, encoding="utf-8")
        configuration = folder / "config.toml"
        configuration.write_text(CONFIGURATION.format(url=url, socket=self._socket), encoding="utf-8")
        self._arguments = ("-m", "appliance", "--config", str(configuration), "run")
        self._environment = {
            **os.environ,
            **environment,
            "SWARAM_API_KEY": KEY,
            "GPIOZERO_PIN_FACTORY": "mock",
            "PYTHONPATH": str(seam),
            "SOAK_CLOCK": str(self._clock),
        }
        self._process: asyncio.subprocess.Process | None = None
        self._watching: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self.turns: list[dict[str, Any]] = []
        self.states: list[dict[str, Any]] = []

    async def start(self) -> None:
        """Until it would hear a press. Raises TimeoutError."""
        with self.log.open("w") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *self._arguments,
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        async with asyncio.timeout(START_TIMEOUT_S):
            while not await self.is_ready():  # noqa: ASYNC110  (nobody announces it)
                await asyncio.sleep(0.05)
        self._watching = asyncio.create_task(self._watch())
        await self.until(lambda: self.states, ANSWER_TIMEOUT_S)

    async def stop(self) -> int:
        """End it; its exit status."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.terminate()
        try:
            async with asyncio.timeout(10):
                status = await self._process.wait()
        except TimeoutError:
            self._process.kill()
            status = await self._process.wait()
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await self._watching
        return status

    @property
    def process_id(self) -> int:
        """Of the daemon."""
        assert self._process is not None
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """The daemon is gone, which nobody asked of it."""
        return self._process is None or self._process.returncode is not None

    def host(self, name: str) -> int | None:
        """The process id of the sound host "capture" or "playback"; None while there is none."""
        return next((member for member, what in self.family().items() if what == name), None)

    def family(self) -> dict[int, str]:
        """The daemon and its children by process id; one that ends meanwhile is left out."""
        with contextlib.suppress(OSError):
            return family(self.process_id)
        return {}

    def journal(self) -> str:
        """What it has said so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def step_clock(self, seconds: float) -> None:
        """Set its wall clock so far from the real one."""
        self._clock.write_text(f"{seconds}", encoding="ascii")

    async def ask(self, command: str) -> dict[str, Any]:
        """One command, and the answer. Raises TimeoutError and OSError."""
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            reader, writer = await asyncio.open_unix_connection(self._socket)
            try:
                writer.write(json.dumps({"command": command}).encode() + b"\n")
                answer: dict[str, Any] = json.loads(await reader.readline())
            finally:
                writer.close()
                await writer.wait_closed()
        return answer

    async def status(self) -> dict[str, Any]:
        """What ``ctl status`` shows."""
        status: dict[str, Any] = (await self.ask("status"))["status"]
        return status

    async def is_ready(self) -> bool:
        """A press would be heard, and its answer; nothing is shown but that it is ready."""
        try:
            status = await self.status()
        except (OSError, TimeoutError):
            return False
        return status.get("light") == "ready" and bool(status["microphone"]) and bool(status["speaker"])

    async def until(self, condition: Callable[[], object], timeout_s: float) -> bool:
        """Wait for a condition on ``turns`` or ``states``; False if it did not come true in time."""
        deadline_s = time.monotonic() + timeout_s
        while not condition():
            self._news.clear()
            try:
                async with asyncio.timeout(deadline_s - time.monotonic()):
                    await self._news.wait()
            except TimeoutError:
                return bool(condition())
        return True

    async def _watch(self) -> None:
        reader, writer = await asyncio.open_unix_connection(self._socket)
        writer.write(b'{"command": "watch"}\n')
        try:
            while line := await reader.readline():
                event: dict[str, Any] = json.loads(line)
                if "status" in event:
                    self.states.append({**event["status"], "time_s": time.monotonic()})
                elif event["event"] == "turn":
                    self.turns.append(event)
                elif event["event"] == "state":
                    self.states.append(event)
                self._news.set()
        finally:
            writer.close()
