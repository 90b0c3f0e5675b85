"""A button box without USB: sysfs as files, event nodes as named pipes that hold the kernel's own event records.

The one seam is evdev's ``InputDevice``, whose ioctls a pipe does not know; what it reads, it reads from the pipe.
"""

from __future__ import annotations

import errno
import os
import shutil
import struct
import time
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Final

import evdev
import pytest

from appliance.panel import usb_button

RECORD: Final = struct.Struct("llHHi")
"""``struct input_event``: seconds, microseconds, type, code, value."""

Event = namedtuple("Event", "sec usec type code value")


class Ports:
    """The USB sockets of a machine, and every event node ever made there."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sysfs, self.nodes = folder / "sys", folder / "dev"
        self.sysfs.mkdir()
        self.nodes.mkdir()
        self.plugged: dict[str, Box] = {}
        """By the path of the node."""
        self._count = 0
        monkeypatch.setattr(usb_button, "SYSFS", str(self.sysfs))
        monkeypatch.setattr(usb_button, "NODES", str(self.nodes))
        monkeypatch.setattr(usb_button, "use_monotonic_clock", self._use_monotonic_clock)
        monkeypatch.setattr(evdev, "InputDevice", lambda path: _Opened(self, path))

    def plug(self, name: str = "Voice Box", key: str = "KEY_F13", numbers: str = "1209:b0c5", **more: str) -> Box:
        """A device with that key (and KEY_A). ``phys``: where; ``node``: a number that was there before."""
        node = f"event{more.get('node', self._count)}"
        self._count += 1
        device = self.sysfs / node / "device"
        (device / "id").mkdir(parents=True)
        (device / "capabilities").mkdir()
        # The kernel numbers its devices on and on; only those of the nodes come again.
        (self.sysfs / f"input{self._count}").touch()
        vendor, product = numbers.split(":")
        codes = sum(1 << evdev.ecodes.ecodes[each] for each in {key, "KEY_A"})
        words = [codes >> shift & (1 << 64) - 1 for shift in range(704, -1, -64)]
        sheet = {"name": name, "phys": more.get("phys", "usb-1/input0"), "id/vendor": vendor, "id/product": product}
        for file, text in {**sheet, "capabilities/key": " ".join(f"{word:x}" for word in words)}.items():
            (device / file).write_text(f"{text}\n")
        os.mkfifo(self.nodes / node)
        box = self.plugged[str(self.nodes / node)] = Box(self, self.nodes / node, evdev.ecodes.ecodes[key])
        return box

    def at(self, descriptor: int) -> Box:
        """The box that is open there. Raises OSError when it has been unplugged."""
        box = self.plugged.get(os.readlink(f"/proc/self/fd/{descriptor}"))
        if box is None:
            raise OSError(errno.ENODEV, "No such device")
        return box

    def _use_monotonic_clock(self, descriptor: int) -> None:
        self.at(descriptor).monotonic = True


class Box:
    """One device. Open or not, it takes what is pressed; the kernel keeps it for whoever has it open."""

    def __init__(self, ports: Ports, node: Path, code: int) -> None:
        self._ports = ports
        self._node = node
        self._code = code
        self._fifo = os.open(node, os.O_RDWR | os.O_NONBLOCK)
        self.grabbed = self.monotonic = self.down = False
        self.refuses: int = 0
        """The error that opening or grabbing it meets; 0: none."""

    def send(self, value: int, at_s: float | None = None, code: int | None = None) -> None:
        """The key goes up (0), down (1) or repeats (2), at that monotonic time: now, if None."""
        self.down = value != 0
        self.write(evdev.ecodes.EV_KEY, self._code if code is None else code, value, at_s)

    def write(self, kind: int, code: int, value: int, at_s: float | None = None) -> None:
        micros = round((time.monotonic() if at_s is None else at_s) * 1e6)
        stamp = divmod(micros, 1_000_000)
        os.write(self._fifo, RECORD.pack(*stamp, kind, code, value) + RECORD.pack(*stamp, 0, 0, 0))

    def unplug(self) -> None:
        """No release is sent, and whoever reads gets ENODEV at once."""
        if self._ports.plugged.pop(str(self._node), None) is None:
            return
        shutil.rmtree(self._ports.sysfs / self._node.name)
        self._node.unlink()
        # What the kernel does by hanging up.
        os.write(self._fifo, b"\0")
        os.close(self._fifo)


class _Opened:
    """What evdev's class of this name offers, over a named pipe."""

    def __init__(self, ports: Ports, path: str) -> None:
        self._ports = ports
        self._box = ports.plugged.get(path)
        if self._box is None:
            raise OSError(errno.ENOENT, "No such file or directory")
        if self._box.refuses not in (0, errno.EBUSY):
            raise OSError(self._box.refuses, os.strerror(self._box.refuses))
        self.path = path
        self.info = SimpleNamespace()
        self.fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def grab(self) -> None:
        box = self._ports.plugged.get(self.path)
        if box is None:
            raise OSError(errno.ENODEV, "No such device")
        if box.refuses:
            raise OSError(box.refuses, os.strerror(box.refuses))
        box.grabbed = True

    def ungrab(self) -> None:
        self._of().grabbed = False

    def active_keys(self) -> list[int]:
        """The keys that are down; asking empties the queue of key events."""
        self._drain()
        box = self._of()
        return [box._code] if box.down else []

    def read(self) -> Iterator[Event]:
        self._of()
        for fields in RECORD.iter_unpack(os.read(self.fd, 64 * RECORD.size)):
            yield Event(*fields)

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            if self._box is not None:
                self._box.grabbed = False

    def _of(self) -> Box:
        if self._box is None or self._ports.plugged.get(self.path) is not self._box:
            raise OSError(errno.ENODEV, "No such device")
        return self._box

    def _drain(self) -> None:
        try:
            while os.read(self.fd, 64 * RECORD.size):
                pass
        except BlockingIOError:
            pass
