"""Volume keys, or a knob that turns without an end: input devices of the kernel, read as they are.

The devices are found by their names in sysfs, opened and grabbed; of what they send counts KEY_VOLUMEUP and
KEY_VOLUMEDOWN (also held down), and any relative axis, which is how the kernel's driver of rotary encoders tells of a
step. No library: an event is a record of 16 or 24 bytes. Everything runs on the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import logging
import os
import re
import struct
import time
from collections.abc import Callable
from typing import Final

from appliance.journal.catalog import Kind, entry
from appliance.journal.rate_limit import Repeats

log = logging.getLogger(__name__)

RETRY_S: Final = 2.0
"""Between two looks for what is not there, as for every other piece of hardware."""

SYSFS: Final = "/sys/class/input"
NODES: Final = "/dev/input"

EVENT: Final = struct.Struct("llHHi")
"""``struct input_event`` of linux/input.h: seconds, microseconds, type, code, value."""

MOST_EVENTS: Final = 64
"""Read at once; then the loop has its turn."""

EVIOCGRAB: Final = 0x40044590
"""The request of linux/input.h that keeps a device's events from the console."""

EV_KEY: Final = 1
EV_REL: Final = 2
KEY_VOLUMEDOWN: Final = 114
KEY_VOLUMEUP: Final = 115
"""Types and codes of linux/input-event-codes.h."""


def grab(descriptor: int) -> None:
    """Have the device for ourselves. Raises OSError: somebody else has it."""
    fcntl.ioctl(descriptor, EVIOCGRAB, 1)


def steps_in(records: bytes) -> int:
    """How many steps louder (or softer, below 0) these events mean."""
    steps = 0
    for _, _, kind, code, value in EVENT.iter_unpack(records):
        # Value 2 is the repetition of a key that is held.
        if kind == EV_KEY and value in (1, 2):
            steps += {KEY_VOLUMEUP: 1, KEY_VOLUMEDOWN: -1}.get(code, 0)
        elif kind == EV_REL:
            steps += value
    return steps


class VolumeKeys:
    """All devices with ``selector`` in their names. ``on_steps`` is told, on the loop, how many steps louder or softer
    somebody wants it. Build it, ``await run()`` it; an empty selector does nothing."""

    def __init__(self, selector: str, on_steps: Callable[[int], None]) -> None:
        self._selector = selector.lower()
        self._on_steps = on_steps
        self._repeats = Repeats(log)
        self._open: dict[str, int] = {}
        """Descriptors by the path of the device."""

    async def run(self) -> None:
        """Until cancelled. A device that comes later, or again, is taken within ``RETRY_S``."""
        if not self._selector:
            return
        try:
            while True:
                self._take()
                await asyncio.sleep(RETRY_S)
        finally:
            for path in list(self._open):
                self._close(path)

    def _take(self) -> None:
        """Open what is there and not open yet."""
        for path, name in self._found():
            if path not in self._open:
                try:
                    self._open_one(path)
                except OSError as error:
                    if error.errno not in (errno.ENODEV, errno.ENOENT):
                        line = f'no volume keys: "{name}" ({path}): {error.strerror}; tried again every {RETRY_S:g} s'
                        self._say(logging.ERROR, line)
                else:
                    self._say(logging.INFO, f'the volume is set by "{name}" ({path})')
        if not self._open:
            line = f'no volume keys: no input device has "{self._selector}" in its name; looked for again and again'
            self._say(logging.ERROR, line)

    def _found(self) -> list[tuple[str, str]]:
        """Path and name of the devices that are meant."""
        found = []
        with contextlib.suppress(FileNotFoundError):
            for node in sorted(os.listdir(SYSFS)):
                if re.fullmatch(r"event\d+", node):
                    with (
                        contextlib.suppress(OSError),
                        open(f"{SYSFS}/{node}/device/name", encoding="utf-8", errors="replace") as file,
                    ):
                        name = file.read().strip()
                        if self._selector in name.lower():
                            found.append((f"{NODES}/{node}", name))
        return found

    def _open_one(self, path: str) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            grab(descriptor)
        except OSError:
            os.close(descriptor)
            raise
        self._open[path] = descriptor
        asyncio.get_running_loop().add_reader(descriptor, self._read, path)

    def _read(self, path: str) -> None:
        try:
            records = os.read(self._open[path], EVENT.size * MOST_EVENTS)
        except BlockingIOError:
            return
        except OSError as error:
            line = f"the volume keys of {path} are gone: {error.strerror}"
            self._say(logging.WARNING, line)
            self._close(path)
            return
        if steps := steps_in(records[: len(records) // EVENT.size * EVENT.size]):
            self._on_steps(steps)

    def _close(self, path: str) -> None:
        descriptor = self._open.pop(path)
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)

    def _say(self, level: int, line: str) -> None:
        # A loose plug comes and goes all day.
        self._repeats.log(level, line, time.monotonic(), entry(Kind.VOLUME_KEYS))
