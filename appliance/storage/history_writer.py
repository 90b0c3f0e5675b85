"""Keeps the history of a box on its card: what the file holds is ``history.py``'s, when it is written stands here.

A new fault is written at once, anything else at most every ten minutes and when the box stops: a card wears by what is
written, and a plug that is pulled costs ten minutes of memory at most. Everything runs on the event loop but the
writing, which blocks, in a thread.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from appliance.journal.catalog import Kind, entry
from appliance.storage import atomic_file
from appliance.storage.history import History, HistoryMoment, decoded
from appliance.system.wall_clock import local_time

log = logging.getLogger(__name__)

FILE: Final = "history.json"
"""In the state folder."""

EVERY_S: Final = 600.0
"""Between two writes, and between two of the same fault that are written at once: a fault that comes and goes each
second would wear the card out."""

SETTLE_S: Final = 2.0
"""A new fault is written so long after it is seen: what comes with it is written with it."""

FAULT: Final = "fault"
"""What the name of each light begins with that calls for somebody."""


def boot_id() -> str:
    """The first letters of the kernel's name for this start of the machine; enough to tell 200 changes apart."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read()[:8]
    except OSError:
        return "unknown"


class Recorder:
    """One history. ``is_synchronised`` says whether the wall clock can be believed (``system/wall_clock.py``)."""

    def __init__(self, folder: str | None, is_synchronised: Callable[[], Awaitable[bool]]) -> None:
        """``folder``: None keeps the history in memory only, for a daemon that systemd did not start."""
        self._path = None if folder is None else os.path.join(folder, FILE)
        self._is_synchronised = is_synchronised
        self._synchronised = False
        self._boot = boot_id()
        self._changed = asyncio.Event()
        self._urgent = asyncio.Event()
        self._faults: dict[str, float] = {}
        """Light of a fault: when it was last written at once, in monotonic seconds."""
        self._light = ""
        """Shown now."""
        self._failed = False
        self.history = self._read()

    def happened(self, event: Mapping[str, Any]) -> None:
        """What the box publishes: changes of state are kept, faults and ends of turns counted, words not looked at."""
        if event["event"] == "turn":
            self.count(f"turn_{event['outcome']}")
        if event["event"] != "state":
            return
        former, self._light = self._light, event["light"]
        light = self._light
        self.history.changed(self._now(), event["state"], event["link"], light)
        self._changed.set()
        if not light.startswith(FAULT) or light == former:
            return
        self.count(light)
        if time.monotonic() - self._faults.get(light, float("-inf")) >= EVERY_S:
            self._faults[light] = time.monotonic()
            self._urgent.set()

    def count(self, cause: str) -> None:
        """``cause`` has happened once more today."""
        self.history.count(self._now(), cause)
        self._changed.set()

    def as_data(self) -> dict[str, Any]:
        """The history as JSON values."""
        return self.history.as_data()

    async def run(self) -> None:
        """Write when it is time, until cancelled; then once more."""
        try:
            await self._look_at_clock()
            while True:
                await self._changed.wait()
                await self._until_due()
                await self._look_at_clock()
                self._changed.clear()
                self._urgent.clear()
                await self._write_aside(self.history.encoded())
        finally:
            if self._changed.is_set():
                self._write(self.history.encoded())

    async def _write_aside(self, content: bytes) -> None:
        """In a thread, which has ended when this returns, also when it is cancelled: a file has one writer."""
        writing = asyncio.create_task(asyncio.to_thread(self._write, content))
        try:
            await asyncio.wait({writing})
        finally:
            await writing

    async def _until_due(self) -> None:
        try:
            async with asyncio.timeout(EVERY_S):
                await self._urgent.wait()
        except TimeoutError:
            return
        await asyncio.sleep(SETTLE_S)

    async def _look_at_clock(self) -> None:
        self._synchronised = self._synchronised or await self._is_synchronised()
        self.history.passed(self._now())

    def _now(self) -> HistoryMoment:
        wall_s = time.time() if self._synchronised else None
        day = "" if wall_s is None else time.strftime("%Y-%m-%d", local_time(wall_s))
        return HistoryMoment(self._boot, time.monotonic(), wall_s, day)

    def _read(self) -> History:
        if self._path is None:
            return History()
        try:
            with open(self._path, "rb") as file:
                return decoded(file.read())
        except FileNotFoundError:
            return History()
        except (OSError, ValueError) as error:
            log.warning("the history begins anew: %s: %s", self._path, error, extra=entry(Kind.NOT_KEPT))
            return History()

    def _write(self, content: bytes) -> None:
        if self._path is None:
            return
        try:
            atomic_file.write(self._path, content)
            self._failed = False
        except OSError as error:
            # Once: a full card must not fill the journal too.
            if not self._failed:
                line = "the history is not kept: %s: %s"
                log.error(line, self._path, atomic_file.reason(error), extra=entry(Kind.NOT_KEPT))
            self._failed = True


class CauseCounter(logging.Handler):
    """Counts the warnings and errors of the journal by their kind, as often as they were said.

    ``cause`` gives a record's kind, or None for a line of none.
    """

    def __init__(
        self, recorder: Recorder, cause: Callable[[logging.LogRecord], str | None], loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(logging.WARNING)
        self._recorder = recorder
        self._cause = cause
        self._loop = loop

    def emit(self, record: logging.LogRecord) -> None:
        """From any thread."""
        name = self._cause(record)
        if name is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._recorder.count, name)
