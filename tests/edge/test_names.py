"""Names that the system's resolver takes long over: the real resolver's place, and the real command's end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from appliance.edge import names

STOP_S = 5.0
"""What the unit gives a box to end (TimeoutStopSec=)."""

BOX = """
import socket, sys, threading
from appliance import cli
from appliance.edge import link

def silent(*_, **__):
    print("asked", flush=True)
    threading.Event().wait()

socket.getaddrinfo, link.START_SPREAD_S = silent, 0.0
sys.exit(cli.main(["--config", sys.argv[1], "run"]))
"""

CONFIGURATION = """
[credentials]
key_file = "{folder}/key"
[link]
connect = "always"
[panel.button]
gpio = 0
[panel.leds]
kind = "none"
gpio = []
[control]
socket = "{folder}/control.sock"
"""


def test_a_box_ends_while_a_name_is_being_resolved(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("swaram_test_0123456789abcdef\n")
    (tmp_path / "config.toml").write_text(CONFIGURATION.format(folder=tmp_path))
    command = (sys.executable, "-c", BOX, str(tmp_path / "config.toml"))
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "STATE_DIRECTORY": str(tmp_path)}) as box:
        try:
            assert box.stdout is not None
            assert box.stdout.readline() == b"asked\n"
            box.send_signal(signal.SIGTERM)
            assert box.wait(STOP_S) == 0
        finally:
            box.kill()


def test_a_name_and_what_is_none() -> None:
    async def asked() -> None:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo("127.0.0.1", 443, type=socket.SOCK_STREAM)
        assert [each[4] for each in found] == [("127.0.0.1", 443)]
        with pytest.raises(UnicodeError):
            await loop.getaddrinfo("api..example.org", 443)

    with asyncio.Runner(loop_factory=names.Loop) as runner:
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
        (asking,) = (thread for thread in threading.enumerate() if thread.name == names.RESOLVER)
        answer.set()
        await asyncio.to_thread(asking.join)

    with asyncio.Runner(loop_factory=names.Loop) as runner:
        runner.run(asked())


def test_a_resolver_that_has_hung_for_good_does_not_fill_the_box_with_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = hang(monkeypatch)

    async def asked() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(names.MOST_ASKED):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await loop.getaddrinfo("example.org", 443)
        resolvers = [thread for thread in threading.enumerate() if thread.name == names.RESOLVER]
        with pytest.raises(socket.gaierror):
            await loop.getaddrinfo("example.org", 443)
        answer.set()
        for thread in resolvers:
            await asyncio.to_thread(thread.join)
        assert await loop.getaddrinfo("example.org", 443) == []

    with asyncio.Runner(loop_factory=names.Loop) as runner:
        runner.run(asked())
