"""What systemd starts: one box after the other in one process, until it is asked to end.

A reload (SIGHUP) reads the configuration again. Wrong: the old one stays, and the light says so. Right, and only
settings of ``LIVE`` differ: they are changed in the running box. Otherwise the box ends as at a stop and a new one is
built, between two turns, in the same process; what the microphone was muted by stays. Everything runs on the event
loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final

from appliance import __version__, boot_files
from appliance.config import Config, cautions
from appliance.daemon import Daemon
from appliance.edge import journal, names, notify, undervoltage
from appliance.edge.control import SOURCE as CONTROL_SOCKET
from appliance.errors import ConfigurationError
from appliance.kinds import Kind, entry
from appliance.memory import Memory
from appliance.turn.vocabulary import State

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


class Service:
    """Runs boxes. ``read`` gives the configuration as it is now on the disk, or raises ConfigurationError."""

    def __init__(self, config: Config, read: Callable[[], Config], notifications: notify.Notifications) -> None:
        self._config = config
        self._box_name = journal.box_name(config.box.name)
        self._read = read
        self._notifications = notifications
        self._stopping = False
        self._muted = False
        """By the control socket, carried over to the next box; the switch speaks for itself."""
        self._recorded = False
        """The same of ``ctl record on``."""
        self._change: asyncio.Task[None] | None = None
        """Applies a new configuration when the turn is over; None: none waits."""
        self.memory: Memory | None = None
        """Of what outlasts a power cut; None keeps nothing."""
        self.daemon: Daemon | None = None
        """The present box; None before the first."""

    async def run(self) -> None:
        """Until ``stop()``. Raises what a part of a box raised."""
        async with self.memory.recording() if self.memory is not None else contextlib.nullcontext():
            while not self._stopping:
                await self._one_box()

    def stop(self) -> None:
        """End: the reply fades, the session closes, the light goes out."""
        if not self._stopping:
            self._stopping = True
            self._notifications.stopping()
            log.info("stopping", extra=entry(Kind.STOPPED))
            if self.daemon is not None:
                self.daemon.stop()

    def reload(self) -> None:
        """Read the configuration again, and go by it from the end of the present turn on."""
        daemon = self.daemon
        if self._stopping or daemon is None:
            return
        self._notifications.reloading()
        if self._change is not None:
            # Whatever waits for the end of a turn is no more what somebody wants.
            self._change.cancel()
            self._change = None
        try:
            config = self._read()
        except ConfigurationError as error:
            first, more = error.problems[0], len(error.problems) - 1
            others = f" (and {more} more: voice-appliance config --check)" if more else ""
            line = f"the new configuration is wrong, the former stays in force: {first}{others}"
            log.error("%s", line, extra=entry(Kind.RELOAD_REFUSED))
            daemon.face.setup_problems = (*error.problems, *boot_files.refused())
            daemon.face.show()
            self._notifications.ready(daemon.face.words())
            return
        self._change = asyncio.get_running_loop().create_task(self._apply(config, daemon), name="reload")

    async def _apply(self, config: Config, daemon: Daemon) -> None:
        changed = changes(self._config, config)
        if daemon.machine.state is not State.READY:
            # The reload is over, as far as systemd has to wait for it: a turn may last minutes.
            self._notifications.ready("the new configuration counts after this turn")
            await daemon.until(lambda: daemon.machine.state is State.READY, None)
        self._change = None
        said = ", ".join(changed) or "nothing has changed"
        log.info("configuration read again: %s", said, extra=entry(Kind.RELOADED))
        self._config = config
        self._box_name = journal.box_name(config.box.name)
        if self.memory is not None:
            self.memory.took_over()
        daemon.face.setup_problems = boot_files.refused()
        daemon.face.show()
        if all(name in LIVE for name in changed):
            logging.getLogger().setLevel(config.log.level.upper())
            daemon.apply(config)
            self._notifications.ready(daemon.face.words())
            if self.memory is not None:
                await self.memory.worked()
        else:
            self._muted = CONTROL_SOCKET in daemon.buttons.muted_by
            self._recorded = daemon.wire_record.is_switched_on
            daemon.stop()

    async def _one_box(self) -> None:
        for caution in cautions(self._config):
            log.warning("%s", caution, extra=entry(Kind.CONFIGURATION_DOUBTFUL))
        self.daemon = daemon = Daemon(self._config)
        if self.memory is not None:
            self.memory.attach(daemon)
        for refused in boot_files.refused():
            log.error(
                "a file of the boot partition is not taken over: %s", refused, extra=entry(Kind.BOOT_FILE_REFUSED)
            )
        if self._muted:
            daemon.mute(True)
        if self._recorded:
            daemon.record(True)
        daemon.look_for_key()
        text = notify.StatusText(self._notifications, daemon.face.words)
        daemon.listeners.append(lambda _: text.changed())
        workers: dict[str, notify.Due] = {
            "microphone": lambda: daemon.microphone.due_s,
            "speaker": lambda: daemon.speaker.due_s,
            "connection": lambda: daemon.link.due_s,
            "light": lambda: daemon.panel.due_s,
            "conversation": lambda: daemon.machine.next_deadline_s,
        }
        beside: tuple[Coroutine[Any, Any, None], ...] = (
            notify.Watchdog(self._notifications, workers).run(),
            self._announce(daemon),
            undervoltage.watch(),
        )
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(each) for each in beside]
                await group.create_task(daemon.run(), name="box")
                for task in tasks:
                    task.cancel()
        finally:
            text.close()
            if self._change is not None:
                self._change.cancel()
                self._change = None

    async def _announce(self, daemon: Daemon) -> None:
        """Tell that the box is ready as soon as it is: not that there is a network, or a microphone."""
        await daemon.panel.lit.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SOCKET_S):
                await daemon.control.listening.wait()
        if not self._stopping:
            self._notifications.ready(daemon.face.words())
            # Not "ready": that is the box's own word, and it may want a microphone or a key.
            log.info(
                "up, version %s: %s", __version__, daemon.face.words(), extra=entry(Kind.READY, VERSION=__version__)
            )
            if self.memory is not None:
                await self.memory.worked()

    def around(self) -> Mapping[str, object]:
        """What every entry in the journal says of the moment."""
        fields: dict[str, object] = {"BOX_NAME": self._box_name}
        if self.daemon is not None:
            machine = self.daemon.machine
            fields |= {"STATE": machine.state.value, "TURN_ID": machine.number or None}
        return fields


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


def run(config: Config, read: Callable[[], Config], begin: Callable[[Service], None]) -> int:
    """The ``run`` command: until SIGTERM or SIGINT. ``begin`` is given the service before anything happens. Returns
    the exit code."""

    async def main() -> None:
        service = Service(config, read, notify.manager())
        begin(service)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, service.stop)
        loop.add_signal_handler(signal.SIGHUP, service.reload)
        await service.run()

    with asyncio.Runner(loop_factory=names.Loop) as runner:
        runner.run(main())
    return 0
