"""The programs that are measured, as real processes, and the control socket through which the box is driven."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

KEY = "swaram_test_0123456789abcdef"

START_TIMEOUT_S = 15.0
TURN_TIMEOUT_S = 20.0
LOOK_S = 0.002
"""Between two looks at a box that starts: what the time to ready is rounded up to."""


class BenchmarkError(Exception):
    """What was to be measured did not happen."""


@contextlib.contextmanager
def program(
    *arguments: str, environment: Mapping[str, str], log: TextIO | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A Python program of this tree; it is ended at the end. Without a ``log`` its output is for ``first_line``."""
    process = subprocess.Popen(
        (sys.executable, *arguments),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log or subprocess.PIPE,
        stderr=log or subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def first_line(process: subprocess.Popen[str]) -> str:
    """What it says when it runs."""
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], START_TIMEOUT_S)
    line = process.stdout.readline() if readable else ""
    if not line:
        raise BenchmarkError(f"{process.args!r} does not start")
    return line


class Box:
    """``voice-appliance run`` with a configuration of its own; a context manager starts and ends it."""

    def __init__(self, folder: Path, url: str, environment: Mapping[str, str], settings: str) -> None:
        """``settings``: more lines of the configuration."""
        self.socket = folder / "control.sock"
        self.log = folder / "box.log"
        configuration = folder / "config.toml"
        configuration.write_text(
            f'service.url = "{url}"\n'
            f'microphone.device = "usbmic"\nspeaker.device = "usbspeaker"\ncontrol.socket = "{self.socket}"\n'
            f'panel.button.gpio = 0\npanel.leds = {{ kind = "none", gpio = [] }}\n{settings}',
            encoding="utf-8",
        )
        self._arguments = ("-m", "appliance", "--config", str(configuration), "run")
        self._environment = {**environment, "SWARAM_API_KEY": KEY}
        self._ended = contextlib.ExitStack()
        self._buffer = b""
        self._watching: socket.socket
        self.process_id = 0
        self.answers_after_s = 0.0
        """From the start of the process to the first answer of its control socket."""
        self.ready_after_s = 0.0
        """From the start of the process until a press would be heard, and its answer."""

    def __enter__(self) -> Box:
        log = self._ended.enter_context(self.log.open("w"))
        began_s = time.monotonic()
        process = program(*self._arguments, environment=self._environment, log=log)
        self.process_id = self._ended.enter_context(process).pid
        self._until(lambda: self._answers())
        self.answers_after_s = time.monotonic() - began_s
        self._until(self._is_ready)
        self.ready_after_s = time.monotonic() - began_s
        self._watching = self._ended.enter_context(contextlib.closing(self._connect()))
        self._watching.sendall(b'{"command": "watch"}\n')
        self.event(lambda event: event.get("ok"))
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.close()

    def ask(self, command: str) -> dict[str, Any]:
        """One command, and the answer."""
        with contextlib.closing(self._connect()) as connection:
            connection.sendall(json.dumps({"command": command}).encode() + b"\n")
            with connection.makefile("rb") as answers:
                answer: dict[str, Any] = json.loads(answers.readline())
        if not answer["ok"]:
            raise BenchmarkError(f"{command}: {answer['error']}")
        return answer

    def event(self, wanted: Callable[[dict[str, Any]], object], timeout_s: float = TURN_TIMEOUT_S) -> dict[str, Any]:
        """The next event that is ``wanted``; those before it are dropped."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            while b"\n" in self._buffer:
                line, _, self._buffer = self._buffer.partition(b"\n")
                event: dict[str, Any] = json.loads(line)
                if wanted(event):
                    return event
            self._watching.settimeout(max(deadline_s - time.monotonic(), 0.001))
            try:
                received = self._watching.recv(65_536)
            except TimeoutError:
                received = b""
            if not received:
                raise BenchmarkError(f"waited in vain; the box says:\n{self.log.read_text()}")
            self._buffer += received

    def state(self, *states: str) -> dict[str, Any]:
        """The next event that says that the turn is in one of ``states``."""
        return self.event(lambda event: event.get("state") in states)

    def turn(self) -> dict[str, Any]:
        """The figures of the next turn that ends."""
        return self.event(lambda event: event["event"] == "turn")

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(START_TIMEOUT_S)
            connection.connect(str(self.socket))
        except BaseException:
            connection.close()
            raise
        return connection

    def _answers(self) -> bool:
        with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
            self.ask("status")
            return True
        return False

    def _is_ready(self) -> bool:
        status: dict[str, Any] = self.ask("status")["status"]
        return status.get("light") in ("ready", "invite") and bool(status["microphone"]) and bool(status["speaker"])

    def _until(self, condition: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not condition():
            if time.monotonic() > deadline_s:
                raise BenchmarkError(f"the box does not become ready; it says:\n{self.log.read_text()}")
            time.sleep(LOOK_S)


def environment_with(card: Mapping[str, str]) -> dict[str, str]:
    """This process's own, with the virtual card and without what steers a service manager."""
    return {**os.environ, **card, "GPIOZERO_PIN_FACTORY": "mock"}
