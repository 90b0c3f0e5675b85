"""GPIO lines as the kernel offers them: version 2 of the character device (linux/gpio.h), in every kernel from 5.10 on.

An edge makes the line's descriptor readable, so that an event loop waits for it beside everything else: no thread, no
looking. The kernel stamps it with the monotonic clock and drops spikes that are shorter than the debounce period. All
calls return at once. Numbers and layouts are those of the header, where they may never change.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import os
import struct
from enum import IntFlag
from typing import Final, NamedTuple

LABELS: Final = ("pinctrl-rp1", "pinctrl-bcm2711", "pinctrl-bcm2835")
"""Of the chip that has the header's pins, by Raspberry Pi: 5, 4, all before. A chip's number says nothing: on a Pi 5 it
depends on the kernel."""

CONSUMER: Final = b"voice-appliance"
"""What gpioinfo shows as the owner of a line that is taken."""

_CHIP_INFO: Final = struct.Struct("=32s32sI")
"""struct gpiochip_info: name, label, number of lines."""

_REQUEST: Final = struct.Struct("=64I32s272sII20xi")
"""struct gpio_v2_line_request: offsets, consumer, configuration, number of lines, size of the event buffer (0: the
kernel's choice, 16 a line), descriptor."""

_CONFIG: Final = struct.Struct("=QI20x240s")
"""struct gpio_v2_line_config: flags, number of attributes, the attributes."""

_ATTRIBUTE: Final = struct.Struct("=I4xQQ")
"""struct gpio_v2_line_config_attribute: what it is, its value, the lines that it is for, as bits."""

_DEBOUNCE: Final = struct.Struct("=I4xI4xQ")
"""The same where the value is a debounce period: 32 bits, in microseconds."""

_VALUES: Final = struct.Struct("=QQ")
"""struct gpio_v2_line_values: levels and the lines meant, as bits."""

_EVENT: Final = struct.Struct("=QI36x")
"""struct gpio_v2_line_event: monotonic time in ns, and 1 for an edge up, 2 for one down."""

_OUTPUT_VALUES: Final = 2
_DEBOUNCE_PERIOD: Final = 3
_EDGE_UP: Final = 1
_MOST_EVENTS: Final = 64
"""At one reading; the kernel keeps 16 for one line."""


def _ioctl_number(direction: int, number: int, size: int) -> int:
    """As linux/ioctl.h makes them; ``direction``: 2 reads, 3 reads and writes. All architectures of a Raspberry Pi."""
    return direction << 30 | size << 16 | 0xB4 << 8 | number


GET_CHIP_INFO: Final = _ioctl_number(2, 0x01, _CHIP_INFO.size)
GET_LINE: Final = _ioctl_number(3, 0x07, _REQUEST.size)
SET_CONFIG: Final = _ioctl_number(3, 0x0D, _CONFIG.size)
GET_VALUES: Final = _ioctl_number(3, 0x0E, _VALUES.size)
SET_VALUES: Final = _ioctl_number(3, 0x0F, _VALUES.size)


class Flag(IntFlag):
    """enum gpio_v2_line_flag, as far as a box needs it."""

    INPUT = 1 << 2
    OUTPUT = 1 << 3
    EDGE_RISING = 1 << 4
    EDGE_FALLING = 1 << 5
    PULL_UP = 1 << 8
    PULL_DOWN = 1 << 9
    NO_PULL = 1 << 10


class Edge(NamedTuple):
    """The line changed to ``high`` at ``at_s`` (monotonic seconds)."""

    high: bool
    at_s: float


class Chip:
    """An open GPIO chip."""

    def __init__(self, path: str) -> None:
        """Raises OSError where there is none, or it may not be opened."""
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    @property
    def label(self) -> str:
        """What its driver calls it."""
        raw = bytearray(_CHIP_INFO.size)
        fcntl.ioctl(self._fd, GET_CHIP_INFO, raw)
        _, label, _ = _CHIP_INFO.unpack(raw)
        return bytes(label).partition(b"\0")[0].decode(errors="replace")

    def request(self, offset: int, flags: Flag, *, high: bool = False, debounce_us: int = 0) -> Line:
        """Take a line. ``high``: the level to begin with, of an output. Raises OSError; EBUSY: somebody else has it."""
        raw = bytearray(pack_request(offset, pack_config(flags, high=high, debounce_us=debounce_us)))
        fcntl.ioctl(self._fd, GET_LINE, raw)
        return Line(_REQUEST.unpack(raw)[-1])

    def close(self) -> None:
        """Lines that were taken stay. Harmless when repeated."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class Line:
    """A line that was taken. When its chip is gone everything but ``close`` raises OSError."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        os.set_blocking(fd, False)

    def fileno(self) -> int:
        """Readable when ``edges`` has something, or the chip is gone."""
        return self._fd

    def configure(self, flags: Flag, *, high: bool = False, debounce_us: int = 0) -> None:
        """Use it in another way, without giving it up."""
        fcntl.ioctl(self._fd, SET_CONFIG, bytearray(pack_config(flags, high=high, debounce_us=debounce_us)))

    def read(self) -> bool:
        """High, at this moment; with a debounce period: since that long."""
        raw = bytearray(_VALUES.pack(0, 1))
        fcntl.ioctl(self._fd, GET_VALUES, raw)
        return bool(_VALUES.unpack(raw)[0] & 1)

    def write(self, high: bool) -> None:
        """Drive an output."""
        fcntl.ioctl(self._fd, SET_VALUES, bytearray(_VALUES.pack(int(high), 1)))

    def edges(self) -> list[Edge]:
        """Those that have happened and were not read; mostly none or one."""
        try:
            raw = os.read(self._fd, _MOST_EVENTS * _EVENT.size)
        except BlockingIOError:
            return []
        return [Edge(kind == _EDGE_UP, at_ns / 1e9) for at_ns, kind in _EVENT.iter_unpack(raw)]

    def close(self) -> None:
        """Give it back. Harmless when repeated."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def pack_request(offset: int, config: bytes) -> bytes:
    """A gpio_v2_line_request for one line."""
    return _REQUEST.pack(offset, *(0,) * 63, CONSUMER, config, 1, 0, 0)


def pack_config(flags: Flag, *, high: bool, debounce_us: int) -> bytes:
    """A gpio_v2_line_config for one line."""
    attributes = b""
    if Flag.OUTPUT in flags:
        attributes += _ATTRIBUTE.pack(_OUTPUT_VALUES, int(high), 1)
    if debounce_us:
        attributes += _DEBOUNCE.pack(_DEBOUNCE_PERIOD, debounce_us, 1)
    return _CONFIG.pack(flags, len(attributes) // _ATTRIBUTE.size, attributes)


def header_chip(folder: str = "/dev") -> Chip:
    """The chip that has the header's pins, open. Raises OSError: there is none, or it may not be opened."""
    refused: OSError | None = None
    found: dict[str, Chip] = {}
    for path in sorted(glob.glob(f"{folder}/gpiochip*")):
        try:
            chip = Chip(path)
        except OSError as error:
            refused = error
            continue
        with contextlib.suppress(OSError):
            # The first of a label: a Pi 4's kernel also links gpiochip4 to gpiochip0.
            if found.setdefault(chip.label, chip) is chip:
                continue
        chip.close()
    chosen = next((found.pop(label) for label in LABELS if label in found), None)
    for chip in found.values():
        chip.close()
    if chosen is not None:
        return chosen
    if refused is not None:
        raise refused
    labels = f" among {', '.join(sorted(found))}" if found else ""
    raise OSError(errno.ENODEV, f"no gpiochip of a Raspberry Pi's header{labels}")
