"""Names that the system's resolver takes long over: the real resolver's place, and the real command's end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.link import event_loop

STOP_S = 5.0
"""What the unit gives a box to end (TimeoutStopSec=)."""

BOX = """
import socket, sys, threading
from appliance import cli
from appliance.link import link

def silent(*_, **__):
    print("asked", flush=True)
    threading.Event().wait()

socket.getaddrinfo, link.START_SPREAD_S = silent, 0.0
sys.exit(cli.main(["--config", *sys.argv[1:]]))
"""

CONFIGURATION = """
[credentials]
key_file = "{folder}/key"
[link]
connect = "always"
connect_timeout_s = 1
[panel.button]
gpio = 0
[panel.leds]
kind = "none"
gpio = []
[control]
socket = "{folder}/control.sock"
"""


@contextlib.contextmanager
def asking(folder: Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """The real command, once it has asked a resolver that is silent for ever."""
    (folder / "key").write_text("swaram_test_0123456789abcdef\n")
    (folder / "config.toml").write_text(CONFIGURATION.format(folder=folder))
    arguments = (sys.executable, "-c", BOX, str(folder / "config.toml"), *command)
    environment = {**os.environ, "STATE_DIRECTORY": str(folder)}
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, env=environment) as box:
        try:
            assert box.stdout is not None
            while (line := box.stdout.readline()) != b"asked\n":
                assert line, "it has ended"
            yield box
        finally:
            box.kill()


def test_a_box_ends_while_a_name_is_being_resolved(tmp_path: Path) -> None:
    with asking(tmp_path, "run") as box:
        box.send_signal(signal.SIGTERM)
        assert box.wait(STOP_S) == 0


def test_the_doctor_ends_when_everything_is_said(tmp_path: Path) -> None:
    with asking(tmp_path, "doctor", "--no-ask") as doctor:
        report, _ = doctor.communicate(timeout=30)
    assert b"fault   name" in report and doctor.returncode == 2


def test_a_name_and_what_is_none() -> None:
    async def asked() -> None:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo("127.0.0.1", 443, type=socket.SOCK_STREAM)
        assert [each[4] for each in found] == [("127.0.0.1", 443)]
        with pytest.raises(UnicodeError):
            await loop.getaddrinfo("api..example.org", 443)

    with asyncio.Runner(loop_factory=event_loop.Loop) as runner:
        runner.run(asked())


def hang(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """The system's resolver answers when this is set."""
    answer = threading.Event()

    def late(*_: object, **__: object) -> list[object]:
        answer.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", late)
    return answer


def test_an_answer_that_nobody_waits_for_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = hang(monkeypatch)

    async def asked() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.get_running_loop().getaddrinfo("example.org", 443)
        (asking,) = (thread for thread in threading.enumerate() if thread.name == event_loop.RESOLVER)
        answer.set()
        await asyncio.to_thread(asking.join)

    with asyncio.Runner(loop_factory=event_loop.Loop) as runner:
        runner.run(asked())


def test_a_resolver_that_has_hung_for_good_does_not_fill_the_box_with_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = hang(monkeypatch)

    async def asked() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(event_loop.MOST_ASKED):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await loop.getaddrinfo("example.org", 443)
        resolvers = [thread for thread in threading.enumerate() if thread.name == event_loop.RESOLVER]
        with pytest.raises(socket.gaierror):
            await loop.getaddrinfo("example.org", 443)
        answer.set()
        for thread in resolvers:
            await asyncio.to_thread(thread.join)
        assert await loop.getaddrinfo("example.org", 443) == []

    with asyncio.Runner(loop_factory=event_loop.Loop) as runner:
        runner.run(asked())
