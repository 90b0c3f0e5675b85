"""What a box keeps on its card from one start to the next, joined to the box that runs: its history, the figures of its
day, and the last configuration that worked. Everything runs on the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from appliance import boot_files, durable, last_good
from appliance.config import Config
from appliance.daemon import Daemon
from appliance.day_book import DayBook
from appliance.edge import wall_clock
from appliance.kinds import ATTRIBUTE, Kind, entry
from appliance.last_good import Loaded
from appliance.recorder import CauseCounter, Recorder

log = logging.getLogger(__name__)


class Memory:
    """Of one process; boxes may follow one another in it. Build it inside a running event loop."""

    def __init__(self, path: str | None, loaded: Loaded, folder: str | None) -> None:
        """``path``: of the configuration, as ``config.load`` takes it; ``folder``: the state folder, None remembers
        nothing beyond the process."""
        self._path = path
        self._folder = folder
        self._recorder = Recorder(folder, wall_clock.is_synchronised)
        self._day_book = DayBook(folder)
        self._loaded = loaded
        """What the present box runs with."""
        self._coming = loaded
        """What was read last, and may wait for the end of a turn."""

    def attach(self, daemon: Daemon) -> None:
        """``daemon`` is the box now."""
        daemon.face.setup_problems = (*self._loaded.problems, *boot_files.refused())
        daemon.listeners += [self._recorder.happened, self._day_book.happened]
        self._day_book.attach(daemon.ledger.totals)
        daemon.recall = self._recorder.as_data

    def read(self) -> Config:
        """The configuration as it is now on the disk, for a reload. Raises ConfigurationError."""
        self._coming = last_good.read(self._path)
        return self._coming.config

    def took_over(self) -> None:
        """What ``read`` gave last is in force."""
        self._loaded = self._coming

    async def worked(self) -> None:
        """The box is ready: with its configuration it can be used."""
        try:
            await asyncio.to_thread(last_good.keep, self._loaded, self._folder)
        except OSError as error:
            line = "the last good configuration is not kept: %s: %s"
            log.error(line, self._folder, durable.reason(error), extra=entry(Kind.NOT_KEPT))

    @contextlib.asynccontextmanager
    async def recording(self) -> AsyncIterator[None]:
        """Keep the history, and write it once more at the end."""
        counter = CauseCounter(self._recorder, _cause, asyncio.get_running_loop())
        logging.getLogger().addHandler(counter)
        tasks = [
            asyncio.create_task(self._recorder.run(), name="history"),
            asyncio.create_task(self._day_book.run(), name="day"),
        ]
        for task in tasks:
            task.add_done_callback(_say_if_failed)
        try:
            yield
        finally:
            logging.getLogger().removeHandler(counter)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


def _say_if_failed(task: asyncio.Task[None]) -> None:
    """A box can be talked with that remembers nothing; but that it does not is said."""
    if not task.cancelled() and (error := task.exception()) is not None:
        line = "the %s is no longer kept: %s: %s"
        log.error(line, task.get_name(), type(error).__name__, error, exc_info=error, extra=entry(Kind.FAULT_OF_OURS))


def _cause(record: logging.LogRecord) -> str | None:
    """Name of the kind of journal entry that a line is (EVENT); None for a line that is of none."""
    entry = getattr(record, ATTRIBUTE, None)
    return None if entry is None else str(entry.kind.name).lower()
