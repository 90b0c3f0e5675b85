"""What systemd starts: one box after the other in one process, until it is asked to end.

A reload (SIGHUP) reads the configuration again. Wrong: the old one stays, and the light says so. Right, and only
settings of ``LIVE`` differ: they are changed in the running box. Otherwise the box ends as at a stop and a new one is
built, between two turns, in the same process; what the microphone was muted by stays.

What outlasts the process is kept here, too: the history, the figures of the day, and the last configuration that
worked. Everything runs on the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final

from appliance import __version__
from appliance.box.box import Box
from appliance.box.day_book import DayBook
from appliance.config.loader import cautions
from appliance.control.server import SOURCE as CONTROL_SOCKET
from appliance.errors import ConfigurationError
from appliance.journal import handler
from appliance.journal.catalog import ATTRIBUTE, Kind, entry
from appliance.link import event_loop
from appliance.storage import atomic_file, boot_files
from appliance.storage.history_writer import CauseCounter, Recorder
from appliance.storage.last_good_config import LastGood, Loaded
from appliance.system import sd_notify, undervoltage, wall_clock
from appliance.turn.states import State

log = logging.getLogger(__name__)

LIVE: Final = (
    "box.name",
    "limits.audio_s_per_hour",
    "log.level",
    "page.enabled",
    "page.keep_s",
    "page.language",
    "page.logo",
    "page.phone",
    "page.title",
    "page.touch",
    "panel.earcons",
    "panel.idle_glow",
    "speaker.volume",
    "transcripts.file",
    "transcripts.journal",
    "transcripts.keep",
    "transcripts.max_bytes",
)
"""Settings that are looked at each time they are needed: a running box takes them without losing its connection. Those
of the page are another process's. All others are built into a part, and a part is not rebuilt under its neighbours."""

SOCKET_S: Final = 1.0
"""A control socket listens in some 10 ms; a box whose socket cannot be made is ready without it."""


class Daemon:
    """Runs boxes. Build it inside a running event loop."""

    def __init__(
        self, path: str | None, loaded: Loaded, last_good: LastGood, notifications: sd_notify.Notifications
    ) -> None:
        """``path``: of the configuration, as ``config.loader.load`` takes it; ``loaded``: what to begin with."""
        self._path = path
        self._loaded = loaded
        """What the present box runs with."""
        self._coming = loaded
        """What was read last, and may wait for the end of a turn."""
        self._last_good = last_good
        self._recorder = Recorder(last_good.folder, wall_clock.is_synchronised)
        self._day_book = DayBook(last_good.folder)
        self._box_name = handler.box_name(loaded.config.box.name)
        self._notifications = notifications
        self._stopping = False
        self._muted = False
        """By the control socket, carried over to the next box; the switch speaks for itself."""
        self._recorded = False
        """The same of ``ctl record on``."""
        self._change: asyncio.Task[None] | None = None
        """Applies a new configuration when the turn is over; None: none waits."""
        self.box: Box | None = None
        """The present one; None before the first."""

    async def run(self) -> None:
        """Until ``stop()``. Raises what a part of a box raised."""
        async with self._recording():
            while not self._stopping:
                await self._one_box()

    def stop(self) -> None:
        """End: the reply fades, the session closes, the light goes out."""
        if not self._stopping:
            self._stopping = True
            self._notifications.stopping()
            log.info("stopping", extra=entry(Kind.STOPPED))
            if self.box is not None:
                self.box.stop()

    def reload(self) -> None:
        """Read the configuration again, and go by it from the end of the present turn on."""
        box = self.box
        if self._stopping or box is None:
            return
        self._notifications.reloading()
        if self._change is not None:
            # Whatever waits for the end of a turn is no more what somebody wants.
            self._change.cancel()
            self._change = None
        try:
            self._coming = self._last_good.read(self._path)
        except ConfigurationError as error:
            first, more = error.problems[0], len(error.problems) - 1
            others = f" (and {more} more: voice-appliance config --check)" if more else ""
            line = f"the new configuration is wrong, the former stays in force: {first}{others}"
            log.error("%s", line, extra=entry(Kind.RELOAD_REFUSED))
            box.face.set_up((*error.problems, *boot_files.refused()))
            self._notifications.ready(box.face.words())
            return
        self._change = asyncio.get_running_loop().create_task(self._apply(self._coming, box), name="reload")

    async def _apply(self, coming: Loaded, box: Box) -> None:
        config = coming.config
        changed = changes(self._loaded.config, config)
        if box.machine.state is not State.READY:
            # The reload is over, as far as systemd has to wait for it: a turn may last minutes.
            self._notifications.ready("the new configuration counts after this turn")
            await box.until(lambda: box.machine.state is State.READY, None)
        self._change = None
        said = ", ".join(changed) or "nothing has changed"
        log.info("configuration read again: %s", said, extra=entry(Kind.RELOADED))
        self._loaded = coming
        self._box_name = handler.box_name(config.box.name)
        box.face.set_up(boot_files.refused())
        if all(name in LIVE for name in changed):
            logging.getLogger().setLevel(config.log.level.upper())
            box.apply(config)
            self._notifications.ready(box.face.words())
            await self._worked()
        else:
            self._muted = CONTROL_SOCKET in box.buttons.muted_by
            self._recorded = box.wire_record.is_switched_on
            box.stop()

    def build(self) -> Box:
        """A box of the present configuration, whose history is kept."""
        problems = (*self._loaded.problems, *boot_files.refused())
        box = Box(self._loaded.config, setup_problems=problems, recall=self._recorder.as_data)
        box.watch(self._recorder.happened)
        box.watch(self._day_book.happened)
        self._day_book.attach(box.ledger.totals)
        return box

    async def _one_box(self) -> None:
        for caution in cautions(self._loaded.config):
            log.warning("%s", caution, extra=entry(Kind.CONFIGURATION_DOUBTFUL))
        self.box = box = self.build()
        for refused in boot_files.refused():
            log.error(
                "a file of the boot partition is not taken over: %s", refused, extra=entry(Kind.BOOT_FILE_REFUSED)
            )
        if self._muted:
            box.remote.mute(True)
        if self._recorded:
            box.remote.record(True)
        box.look_for_key()
        text = sd_notify.StatusText(self._notifications, box.face.words)
        box.watch(lambda _: text.changed())
        workers: dict[str, sd_notify.Due] = {
            "microphone": lambda: box.microphone.due_s,
            "speaker": lambda: box.speaker.due_s,
            "connection": lambda: box.link.due_s,
            "light": lambda: box.panel.due_s,
            "conversation": lambda: box.machine.next_deadline_s,
        }
        beside: tuple[Coroutine[Any, Any, None], ...] = (
            sd_notify.Watchdog(self._notifications, workers).run(),
            self._announce(box),
            undervoltage.watch(),
        )
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(each) for each in beside]
                await group.create_task(box.run(), name="box")
                for task in tasks:
                    task.cancel()
        finally:
            text.close()
            if self._change is not None:
                self._change.cancel()
                self._change = None

    async def _announce(self, box: Box) -> None:
        """Tell that the box is ready as soon as it is: not that there is a network, or a microphone."""
        await box.panel.lit.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SOCKET_S):
                await box.control.listening.wait()
        if not self._stopping:
            self._notifications.ready(box.face.words())
            # Not "ready": that is the box's own word, and it may want a microphone or a key.
            log.info("up, version %s: %s", __version__, box.face.words(), extra=entry(Kind.READY, VERSION=__version__))
            await self._worked()

    async def _worked(self) -> None:
        """The box is ready: with its configuration it can be used."""
        try:
            await asyncio.to_thread(self._last_good.keep, self._loaded)
        except OSError as error:
            line = "the last good configuration is not kept: %s: %s"
            log.error(line, self._last_good.folder, atomic_file.reason(error), extra=entry(Kind.NOT_KEPT))

    @contextlib.asynccontextmanager
    async def _recording(self) -> AsyncIterator[None]:
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

    def around(self) -> Mapping[str, object]:
        """What every entry in the journal says of the moment."""
        fields: dict[str, object] = {"BOX_NAME": self._box_name}
        if self.box is not None:
            machine = self.box.machine
            fields |= {"STATE": machine.state.value, "TURN_ID": machine.number or None}
        return fields


def _say_if_failed(task: asyncio.Task[None]) -> None:
    """A box can be talked with that remembers nothing; but that it does not is said."""
    if not task.cancelled() and (error := task.exception()) is not None:
        line = "the %s is no longer kept: %s: %s"
        log.error(line, task.get_name(), type(error).__name__, error, exc_info=error, extra=entry(Kind.FAULT_OF_OURS))


def _cause(record: logging.LogRecord) -> str | None:
    """Name of the kind of journal entry that a line is (EVENT); None for a line that is of none."""
    entry = getattr(record, ATTRIBUTE, None)
    return None if entry is None else str(entry.kind.name).lower()


def changes(old: Any, new: Any, above: str = "") -> list[str]:
    """Dotted names of the settings that differ. A table with names of a person's own is one setting."""
    names = []
    for field in fields(old):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if is_dataclass(before):
            names += changes(before, after, f"{above}{field.name}.")
        elif before != after:
            names.append(above + field.name)
    return names


def run(path: str | None, loaded: Loaded, last_good: LastGood, begin: Callable[[Daemon], None]) -> int:
    """The ``run`` command: until SIGTERM or SIGINT. ``begin`` is given the daemon before anything happens. Returns the
    exit code."""

    async def main() -> None:
        daemon = Daemon(path, loaded, last_good, sd_notify.manager())
        begin(daemon)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, daemon.stop)
        loop.add_signal_handler(signal.SIGHUP, daemon.reload)
        await daemon.run()

    with asyncio.Runner(loop_factory=event_loop.Loop) as runner:
        runner.run(main())
    return 0
