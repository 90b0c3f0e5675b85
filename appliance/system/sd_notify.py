"""What systemd is told of the daemon, and the watchdog that it keeps over it (sd_notify(3)).

``Manager`` speaks to systemd; ``Nobody`` is its twin for a daemon that was started by hand, and does nothing.
``Watchdog`` tells systemd that all is well only while every worker moves: a process that is merely alive is not well.
Thread: the event loop's. A notification is one datagram to the local systemd, some 20 µs.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping
from typing import Final, NoReturn, Protocol

from appliance.journal.catalog import Kind, entry
from appliance.journal.foreign_text import one_line

log = logging.getLogger(__name__)

BEATS: Final = 4
"""Notifications in one watchdog interval. Two would do (sd_watchdog_enabled(3)); with four a beat may be missed twice,
by a card that stalls, without an innocent restart."""

LATE_S: Final = 5.0
"""A worker that is so late with its own next step has stopped. Each of its steps takes milliseconds; what holds up the
whole loop, such as a stalling card, delays all of them and this very look alike (not measured on a Pi)."""

SETTLE_S: Final = 0.5
"""Within this, changes of the status text become one: a turn brings six, some of them in one moment."""

Due = Callable[[], float | None]
"""When a worker takes its next step by itself, in monotonic seconds; None: it waits for somebody else."""


class Notifications(Protocol):
    """What a daemon can tell whoever started it."""

    watchdog_s: float | None
    """It must hear ``alive`` this often; None: it does not wait for it."""

    def ready(self, status: str) -> None:
        """The configuration is valid, the light is lit, the loop turns; a reload is over."""

    def status(self, text: str) -> None:
        """One line for ``systemctl status``."""

    def alive(self) -> None:
        """Every worker moves."""

    def reloading(self) -> None:
        """The configuration is being read again; ``ready`` ends it."""

    def stopping(self) -> None:
        """The end has begun."""


class Nobody:
    """For a daemon that systemd did not start."""

    watchdog_s: float | None = None

    def ready(self, status: str) -> None:
        """Not told."""

    def status(self, text: str) -> None:
        """Not told."""

    def alive(self) -> None:
        """Not told."""

    def reloading(self) -> None:
        """Not told."""

    def stopping(self) -> None:
        """Not told."""


class Manager:
    """systemd, at the socket that ``$NOTIFY_SOCKET`` names. Raises ImportError without Debian's python3-systemd."""

    def __init__(self, watchdog_s: float | None) -> None:
        # Here: a daemon that is started by hand needs no such package.
        from systemd.daemon import notify

        self._notify: Callable[[str], bool] = notify
        self.watchdog_s = watchdog_s

    def ready(self, status: str) -> None:
        """READY=1 with the status text."""
        self._notify(f"READY=1\nSTATUS={one_line(status, None)}")

    def status(self, text: str) -> None:
        """STATUS=."""
        self._notify(f"STATUS={one_line(text, None)}")

    def alive(self) -> None:
        """WATCHDOG=1."""
        self._notify("WATCHDOG=1")

    def reloading(self) -> None:
        """RELOADING=1, with the time that systemd 253 and later want beside it."""
        self._notify(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """STOPPING=1."""
        self._notify("STOPPING=1\nSTATUS=stopping")


def manager(environ: Mapping[str, str] = os.environ) -> Notifications:
    """Whoever started this process, as its environment says."""
    if not environ.get("NOTIFY_SOCKET"):
        return Nobody()
    return Manager(_watchdog_s(environ))


def _watchdog_s(environ: Mapping[str, str]) -> float | None:
    """``WATCHDOG_USEC``, if it is meant for this process and not for the shell that started it."""
    microseconds = environ.get("WATCHDOG_USEC", "")
    if not microseconds.isascii() or not microseconds.isdigit() or int(microseconds) == 0:
        return None
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(microseconds) / 1_000_000


def late(workers: Mapping[str, float | None], now_s: float) -> dict[str, float]:
    """Who should have moved by ``now_s`` and has not, and by how many seconds. ``workers`` maps names to when each was
    to take its next step; one that waits for somebody else (None) is never late. Pure."""
    overdue = {name: now_s - due_s for name, due_s in workers.items() if due_s is not None}
    return {name: late_s for name, late_s in overdue.items() if late_s > LATE_S}


class Watchdog:
    """Tells systemd that all is well for as long as it is. ``workers``: see ``late``."""

    def __init__(self, notifications: Notifications, workers: Mapping[str, Due]) -> None:
        self._notifications = notifications
        self._workers = workers
        self._said: set[str] = set()

    async def run(self) -> NoReturn:
        """Until cancelled. That this very task runs is the proof that the loop turns."""
        interval_s = self._notifications.watchdog_s
        if interval_s is None:
            await asyncio.Event().wait()
            raise AssertionError
        while True:
            self.beat(time.monotonic())
            await asyncio.sleep(interval_s / BEATS)

    def beat(self, now_s: float) -> None:
        """Look at every worker; one notification if all move. One that has stopped is said once."""
        stopped = late({name: due() for name, due in self._workers.items()}, now_s)
        for name in stopped.keys() - self._said:
            log.error(
                "the %s has not moved for %.0f s: systemd starts the box again if it stays so",
                name,
                stopped[name],
                extra=entry(Kind.WORKER_STOPPED, WORKER=name),
            )
        self._said = set(stopped)
        if not stopped:
            self._notifications.alive()


class StatusText:
    """The line of ``systemctl status``: told when it changes, and not more often than every SETTLE_S."""

    def __init__(self, notifications: Notifications, words: Callable[[], str]) -> None:
        self._notifications = notifications
        self._words = words
        self._told = ""
        self._timer: asyncio.TimerHandle | None = None

    def changed(self) -> None:
        """Something may be different now."""
        if self._timer is None and not isinstance(self._notifications, Nobody):
            self._timer = asyncio.get_running_loop().call_later(SETTLE_S, self._tell)

    def close(self) -> None:
        """No timer is left behind."""
        if self._timer is not None:
            self._timer.cancel()

    def _tell(self) -> None:
        self._timer = None
        text = self._words()
        if text != self._told:
            self._told = text
            self._notifications.status(text)
