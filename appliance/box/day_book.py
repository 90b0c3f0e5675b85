"""Keeps the figures of the day (``storage/day.py``), and says them: at each stop, once a day, and at a start what a
power cut has left unsaid. Everything runs on the event loop but the writing of the file, which blocks, in a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from appliance import __version__
from appliance.box.metrics import Totals
from appliance.journal.catalog import Kind, entry
from appliance.storage import atomic_file
from appliance.storage.day import Day, decoded
from appliance.storage.history_writer import FAULT
from appliance.system import machine_figures, undervoltage

log = logging.getLogger(__name__)

FILE: Final = "day.json"
"""In the state folder."""

EVERY_S: Final = 600.0
"""Between two writes of the file, and two looks at the machine: what a power cut costs at most."""

DAY_S: Final = 86_400.0 - EVERY_S
"""Looked at every ten minutes, this makes a box that has nothing else to say heard of once in 24 hours."""

CUT: Final = "cut"
STOP: Final = "stop"
DAY: Final = "day"
"""Why the figures are said (REASON): the power had failed, the box stops, a day is over."""


class DayBook:
    """Of one process; boxes may follow one another in it. Build it inside a running event loop."""

    def __init__(self, folder: str | None) -> None:
        """``folder``: of the state; None keeps nothing over a power cut."""
        self._folder = folder
        self._path = None if folder is None else os.path.join(folder, FILE)
        self._day = Day()
        self._since_s = self._now_s()
        """Up to when the seconds are counted."""
        self._light = ""
        self._totals: Callable[[float], Totals] | None = None
        """Of the present box, since it began; None before the first."""
        self._counted = Totals()
        """Of them: what is in the day already."""
        self._failed = False

    def attach(self, totals: Callable[[float], Totals]) -> None:
        """``totals`` are those of the box from now on."""
        self._pass()
        self._totals, self._counted = totals, Totals()

    def happened(self, event: Mapping[str, Any]) -> None:
        """What the box publishes."""
        match event["event"]:
            case "turn":
                self._day.turn(event["outcome"], event["end_to_audible_s"], event["underruns"])
            case "state":
                self._pass()
                self._light = event["light"]

    async def run(self) -> None:
        """Say what the last process could not; then look and write every ten minutes, and say every day. When it is
        cancelled, say the rest."""
        self._say_unsaid()
        try:
            while True:
                self._look()
                if self._day.covers_s >= DAY_S:
                    self._say(DAY)
                await self._write_aside(self._day.encoded())
                await asyncio.sleep(EVERY_S)
        finally:
            self._say(STOP)
            self._remove()

    def _pass(self) -> None:
        """Count the time until now to what was so meanwhile."""
        now_s = self._now_s()
        passed_s, self._since_s = now_s - self._since_s, now_s
        self._day.covers_s += passed_s
        if self._light.startswith(FAULT):
            self._day.fault(self._light, passed_s)
        if self._totals is not None:
            totals = self._totals(now_s)
            new, self._counted = totals.since(self._counted), totals
            self._day.sent_s += new.sent_s
            self._day.received_s += new.received_s
            self._day.connected_s += new.connected_s

    def _look(self) -> None:
        self._pass()
        weak = undervoltage.is_raised()
        self._day.measured(machine_figures.celsius(), machine_figures.wifi_dbm(), undervoltage=weak)

    def _say(self, reason: str) -> None:
        self._pass()
        day, self._day = self._day, Day()
        self._write_entry(day, reason)

    def _write_entry(self, day: Day, reason: str) -> None:
        words = {CUT: "before the power was cut", STOP: "until this stop", DAY: "in the last day"}[reason]
        free_mib = machine_figures.free_mib(self._folder)
        fields = {**day.fields(), "REASON": reason, "VERSION": __version__, "DISK_FREE_MIB": free_mib}
        log.info("%s: %s", words, day.line(), extra=entry(Kind.DAY, **fields))

    def _say_unsaid(self) -> None:
        """What a process has written and could not say: somebody has pulled the plug, or killed it."""
        if self._path is None:
            return
        try:
            with open(self._path, "rb") as file:
                day = decoded(file.read())
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            log.warning("the figures of the last day are lost: %s: %s", self._path, error, extra=entry(Kind.NOT_KEPT))
        else:
            self._write_entry(day, CUT)

    async def _write_aside(self, content: bytes) -> None:
        """In a thread, which has ended when this returns, also when it is cancelled: a file has one writer."""
        writing = asyncio.create_task(asyncio.to_thread(self._write, content))
        try:
            await asyncio.wait({writing})
        finally:
            await writing

    def _write(self, content: bytes) -> None:
        if self._path is None:
            return
        try:
            atomic_file.write(self._path, content)
            self._failed = False
        except OSError as error:
            # Once: a full card must not fill the journal too.
            if not self._failed:
                line = "the figures of the day are not kept over a power cut: %s: %s"
                log.error(line, self._path, atomic_file.reason(error), extra=entry(Kind.NOT_KEPT))
            self._failed = True

    def _remove(self) -> None:
        if self._path is not None:
            with contextlib.suppress(OSError):
                atomic_file.remove(self._path)

    @staticmethod
    def _now_s() -> float:
        return asyncio.get_running_loop().time()
