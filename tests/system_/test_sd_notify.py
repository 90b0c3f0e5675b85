"""What systemd hears, at a real datagram socket."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.system import sd_notify


class Systemd:
    """The end of the socket that systemd has."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(5)

    def heard(self) -> dict[str, str]:
        """The next message; TimeoutError if none comes."""
        lines = self._socket.recv(4096).decode().splitlines()
        return {name: value for name, _, value in (line.partition("=") for line in lines)}

    def everything(self) -> list[str]:
        """All messages that are there now."""
        self._socket.setblocking(False)
        messages = []
        try:
            while True:
                messages.append(self._socket.recv(4096).decode())
        except BlockingIOError:
            self._socket.settimeout(5)
            return messages

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Systemd]:
    path = tmp_path / "notify"
    end = Systemd(path)
    monkeypatch.setenv("NOTIFY_SOCKET", str(path))
    yield end
    end.close()


def test_what_is_said_reaches_systemd_in_its_own_words(systemd: Systemd) -> None:
    manager = sd_notify.manager()
    manager.ready("ready; link closed, on demand")
    manager.status("listening")
    manager.alive()
    before_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    manager.reloading()
    manager.stopping()
    assert systemd.heard() == {"READY": "1", "STATUS": "ready; link closed, on demand"}
    assert systemd.heard() == {"STATUS": "listening"}
    assert systemd.heard() == {"WATCHDOG": "1"}
    reloading = systemd.heard()
    assert reloading["RELOADING"] == "1"
    assert before_us <= int(reloading["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert systemd.heard() == {"STOPPING": "1", "STATUS": "stopping"}


def test_nothing_that_is_said_becomes_another_message(systemd: Systemd) -> None:
    manager = sd_notify.manager()
    manager.ready("no microphone\nSTOPPING=1")
    manager.status("listening\nWATCHDOG=trigger\x1b[2J")
    assert systemd.heard() == {"READY": "1", "STATUS": "no microphone STOPPING=1"}
    assert systemd.heard() == {"STATUS": "listening WATCHDOG=trigger [2J"}


def test_without_systemd_nothing_is_said_and_nothing_is_needed() -> None:
    nobody = sd_notify.manager({})
    assert isinstance(nobody, sd_notify.Nobody)
    for say in (nobody.alive, nobody.reloading, nobody.stopping):
        say()
    nobody.ready("x")
    nobody.status("x")
    assert nobody.watchdog_s is None


@pytest.mark.parametrize(
    ("variables", "watchdog_s"),
    [
        ({"WATCHDOG_USEC": "20000000"}, 20.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": str(os.getpid())}, 20.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_kept_only_where_it_is_meant(variables: dict[str, str], watchdog_s: float | None) -> None:
    assert sd_notify.manager({"NOTIFY_SOCKET": "/run/notify", **variables}).watchdog_s == watchdog_s


def test_a_worker_is_late_only_beyond_its_own_time() -> None:
    workers = {"microphone": 100.0, "light": 100.0 - sd_notify.LATE_S, "connection": None, "speaker": 50.0}
    assert sd_notify.late(workers, 100.0) == {"speaker": 50.0}


async def test_the_watchdog_is_fed_while_all_move_and_not_while_one_does_not(
    systemd: Systemd, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    due: dict[str, float | None] = {"microphone": None, "light": None}
    manager = sd_notify.Manager(watchdog_s=0.04)
    watchdog = sd_notify.Watchdog(manager, {"microphone": lambda: due["microphone"], "light": lambda: due["light"]})
    task = asyncio.create_task(watchdog.run())
    for _ in range(3):
        assert await asyncio.to_thread(systemd.heard) == {"WATCHDOG": "1"}
    due["microphone"] = time.monotonic() - sd_notify.LATE_S - 1
    with caplog.at_level(logging.ERROR):
        watchdog.beat(time.monotonic())
        systemd.everything()
        for _ in range(3):
            watchdog.beat(time.monotonic())
    assert systemd.everything() == []
    assert [record.getMessage() for record in caplog.records] == [
        "the microphone has not moved for 6 s: systemd starts the box again if it stays so"
    ]
    due["microphone"] = time.monotonic() + 1
    assert await asyncio.to_thread(systemd.heard) == {"WATCHDOG": "1"}
    task.cancel()
    await asyncio.wait([task])


async def test_many_changes_are_one_status_and_no_change_is_none(systemd: Systemd) -> None:
    words = ["connecting"]
    text = sd_notify.StatusText(sd_notify.Manager(None), lambda: words[-1])
    text.changed()
    words.append("listening")
    text.changed()
    assert await asyncio.to_thread(systemd.heard) == {"STATUS": "listening"}
    text.changed()
    await asyncio.sleep(sd_notify.SETTLE_S * 1.2)
    assert systemd.everything() == []
    text.close()
