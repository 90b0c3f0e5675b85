"""A USB button box: one key of an input device, as a button.

The box is looked for in sysfs, where every input device says its name, its USB numbers and its keys without being
opened. Opening each to ask it would stop the loop: the kernel takes its time over closing one, 42 ms on the machine of
github.com/rcspam/dictee/issues/33. The box alone is opened, and grabbed, so that the console does not get its keys.

While it is there nothing is polled. While it is not, sysfs is listed every 2 s: one system call or two, some 50 µs.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import grp
import logging
import os
import pwd
import re
import struct
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from appliance.config import key_names
from appliance.config.settings import KeySettings
from appliance.errors import UnavailableError
from appliance.journal.catalog import Kind, entry
from appliance.journal.rate_limit import Repeats

log = logging.getLogger(__name__)

SOURCE: Final = "key"
"""What ``on_edge`` is told as the source of an edge."""

RETRY_S: Final = 2.0
"""Between two looks for a box that is not there, as for every other piece of hardware (design.md, section 2)."""

SYSFS: Final = "/sys/class/input"
NODES: Final = "/dev/input"

EV_SYN: Final = 0
EV_KEY: Final = 1
SYN_DROPPED: Final = 3
"""Types and codes of linux/input-event-codes.h."""

EVIOCSCLOCKID: Final = 0x400445A0
"""The request of linux/input.h that chooses the clock of a device's time stamps, as x86 and ARM number it."""

OnEdge = Callable[[bool, float, str], None]
"""(down, at_s, source): the key changed at the monotonic time ``at_s``. Called on the loop."""


@dataclass(frozen=True, slots=True)
class InputDevice:
    """An input device that has keys. A box may be several: a keyboard has one for its letters, one for its volume."""

    path: str
    name: str
    numbers: str
    """``vendor:product``, hexadecimal, four digits each."""
    place: str
    """Where it is plugged in, the same for all devices of a box; empty where the driver does not say."""
    codes: frozenset[int]
    """Of its keys."""


def input_devices(sysfs: str = SYSFS, nodes: str = NODES) -> list[InputDevice]:
    """Those that have keys, in the order in which they came. One that goes meanwhile is left out."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for name in sorted(os.listdir(sysfs), key=lambda name: (len(name), name)):
            if re.fullmatch(r"event\d+", name):
                with contextlib.suppress(OSError):
                    found.append(_described(f"{sysfs}/{name}/device", f"{nodes}/{name}"))
    return [device for device in found if device.codes]


def _described(folder: str, path: str) -> InputDevice:
    def said(name: str) -> str:
        with open(f"{folder}/{name}", encoding="utf-8", errors="replace") as file:
            return file.read().strip()

    numbers = f"{said('id/vendor')}:{said('id/product')}".lower()
    return InputDevice(path, said("name"), numbers, said("phys").rpartition("/")[0], bits(said("capabilities/key")))


def bits(text: str, word_bits: int = 8 * struct.calcsize("l")) -> frozenset[int]:
    """The bits that are set in one of sysfs's bitmaps: hexadecimal words of the reader's size, the highest first."""
    number = 0
    for word in text.split():
        number = number << word_bits | int(word, 16)
    return frozenset(bit for bit in range(number.bit_length()) if number >> bit & 1)


def fitting(selector: str, known: Iterable[InputDevice]) -> list[InputDevice]:
    """The devices that ``selector`` means: by their numbers, else of exactly that name, else with it in their name."""
    known = list(known)
    if numbers := re.fullmatch(r"([0-9a-fA-F]{1,4}):([0-9a-fA-F]{1,4})", selector):
        wanted = ":".join(number.lower().zfill(4) for number in numbers.groups())
        return [device for device in known if device.numbers == wanted]
    exact = [device for device in known if device.name == selector]
    return exact or [device for device in known if selector.lower() in device.name.lower()]


def box(selector: str, code: int, known: Iterable[InputDevice]) -> list[InputDevice]:
    """The devices with the key ``code`` of the one box that ``selector`` means: of several boxes the first.

    Several devices of a box may have the key, though only one sends it; which, shows when it is pressed.
    """
    mine = fitting(selector, (device for device in known if code in device.codes))
    return [device for device in mine if device is mine[0] or (device.place and device.place == mine[0].place)]


def refusal(path: str, error: OSError) -> str:
    """Why the device at ``path`` cannot be had, and what to do: the end of a line."""
    if error.errno in (errno.EACCES, errno.EPERM):
        user, group = str(os.getuid()), "input"
        with contextlib.suppress(KeyError, OSError):
            user = pwd.getpwuid(os.getuid()).pw_name
            group = grp.getgrgid(os.stat(path).st_gid).gr_name
        # A node of root's own group is one without udev's usual rule (hardware/61-voice-appliance.rules).
        group = "input" if group == "root" else group
        return f"no permission for {path}: sudo usermod -aG {group} {user}, or SupplementaryGroups={group} in the unit"
    if error.errno == errno.EBUSY:
        return f"{path} is taken by another program (a second daemon, triggerhappy?): end that"
    return f"{path}: {error.strerror or error}"


def opened(path: str) -> Any:
    """evdev's device at ``path``. Raises OSError."""
    import evdev

    return evdev.InputDevice(path)


def use_monotonic_clock(descriptor: int) -> None:
    """Have events stamped with the clock that everything here goes by, not the wall's. Raises OSError."""
    fcntl.ioctl(descriptor, EVIOCSCLOCKID, struct.pack("i", time.CLOCK_MONOTONIC))


class Keys:
    """The key of one box. Build it, ``await run()`` it.

    A box that is not configured does nothing. One that is absent, that goes, or that may not be used is one line in the
    log; it is looked for until it is there, and a hold that it began ends when it goes.
    """

    def __init__(self, settings: KeySettings, on_edge: OnEdge, on_change: Callable[[], None] = lambda: None) -> None:
        """``on_change`` is told when ``missing`` has changed."""
        self._settings = settings
        self._on_edge = on_edge
        self._on_change = on_change
        self._repeats = Repeats(log)
        self._code = 0
        self._open: dict[str, Any] = {}
        """evdev's devices by their path; empty while the box is not there."""
        self._down: set[str] = set()
        """Paths of the devices on which the key is down."""
        self._gone = asyncio.Event()
        self._listed: frozenset[str] | None = None
        """What sysfs held when the box was not found in it; None: it has to be looked through again."""
        self._trouble = ""
        """What was said last; empty while all is well."""
        self.missing = False
        """A box is configured and cannot be used."""

    @property
    def trouble(self) -> str:
        """Why the box cannot be used, and what to do; empty while it can, or none is configured."""
        return self._trouble

    async def run(self) -> None:
        """Report the key's edges, until cancelled. Returns at once if there is nothing to do."""
        if not self._settings.device:
            return
        try:
            self._code = key_names.codes()[self._settings.key]
        except UnavailableError as error:
            self._miss(f"no key {self._settings.key}: {error}")
            return
        try:
            while True:
                if self._take():
                    await self._gone.wait()
                    self._gone.clear()
                await asyncio.sleep(RETRY_S)
        finally:
            self._give_back()

    # ------------------------------------------------------------ taking the box

    def _take(self) -> bool:
        """Look for the box and take it. False: it is not there, or cannot be had."""
        with contextlib.suppress(FileNotFoundError):
            # Every device that is plugged in gets a number that no other had, so a changed box is a changed list.
            listed = frozenset(os.listdir(SYSFS))
            if listed == self._listed:
                return False
            self._listed = listed
        known = input_devices(SYSFS, NODES)
        mine = box(self._settings.device, self._code, known)
        if not mine:
            self._say_absent(known)
            return False
        self._listed = None
        try:
            held = [device.path for device in mine if self._open_one(device.path)]
        except OSError as error:
            self._give_back()
            # ENODEV, ENOENT: unplugged at this moment, or not quite there yet.
            if error.errno not in (errno.ENODEV, errno.ENOENT):
                self._miss(f'no key: "{mine[0].name}": {refusal(mine[0].path, error)}; tried again every {RETRY_S:g} s')
            return False
        self._down = set(held)
        paths = ", ".join(self._open)
        self._say(
            logging.INFO, f'the button is {self._settings.key} of "{mine[0].name}" ({paths})', Kind.BUTTON_BOX_FOUND
        )
        if held:
            line = f"{self._settings.key} is down at start: ignored until it is released"
            self._say(logging.WARNING, line, Kind.BUTTON_STUCK)
        self._trouble, self.missing = "", False
        self._on_change()
        return True

    def _open_one(self, path: str) -> bool:
        """Open and grab the device at ``path``. Returns whether its key is down. Raises OSError."""
        device = self._open[path] = opened(path)
        use_monotonic_clock(device.fd)
        device.grab()
        asyncio.get_running_loop().add_reader(device.fd, self._read, path, device)
        return self._code in device.active_keys()

    def _give_back(self) -> None:
        loop = asyncio.get_running_loop()
        opened, self._open = self._open, {}
        for device in opened.values():
            loop.remove_reader(device.fd)
            with contextlib.suppress(OSError):
                device.close()

    def _say_absent(self, known: list[InputDevice]) -> None:
        selector = self._settings.device
        if there := fitting(selector, known):
            names = ", ".join(dict.fromkeys(f'"{device.name}"' for device in there))
            self._miss(f"no key: {names} has no {self._settings.key}; voice-appliance keys shows what it sends")
        elif not self._trouble:
            hint = f"looked for every {RETRY_S:g} s; voice-appliance keys lists what is there"
            self._miss(f'no key: no "{selector}" is plugged in; {hint}')

    def _miss(self, line: str) -> None:
        """The box cannot be used, for this reason."""
        self._trouble = line
        self._say(logging.ERROR, line, Kind.BUTTON_BOX_LOST)
        if not self.missing:
            self.missing = True
            self._on_change()

    def _say(self, level: int, line: str, kind: Kind) -> None:
        # A loose plug comes and goes all day.
        self._repeats.log(level, line, time.monotonic(), entry(kind))

    # ------------------------------------------------------------ what it sends

    def _read(self, path: str, device: Any) -> None:
        """A part of what has come: at most 64 events, then the loop has its turn."""
        try:
            for event in device.read():
                if event.type == EV_SYN and event.code == SYN_DROPPED:
                    # The loop was busy and the kernel's queue ran over. Asking for the level empties that of keys.
                    self._note(path, self._code in device.active_keys(), time.monotonic())
                    return
                # Value 2 is the repetition of a key that is held.
                if event.type == EV_KEY and event.code == self._code and event.value in (0, 1):
                    self._note(path, event.value == 1, event.sec + event.usec / 1e6)
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(error)

    def _lost(self, error: OSError) -> None:
        if not self._open:
            return
        self._give_back()
        held, self._down = self._down, set()
        if held:
            # Nobody will see its release.
            self._tell(False, time.monotonic())
        reason = "unplugged" if error.errno == errno.ENODEV else error.strerror
        self._miss(f'no key: "{self._settings.device}" is gone ({reason}); looked for every {RETRY_S:g} s')
        self._gone.set()

    def _note(self, path: str, down: bool, at_s: float) -> None:
        before = bool(self._down)
        (self._down.add if down else self._down.discard)(path)
        if bool(self._down) is not before:
            self._tell(down, at_s)

    def _tell(self, down: bool, at_s: float) -> None:
        try:
            self._on_edge(down, at_s, SOURCE)
        except Exception as error:
            # One edge that could not be dealt with must not take the button from the person for good.
            trace = error if log.isEnabledFor(logging.DEBUG) else None
            edge, kind = "press" if down else "release", type(error).__name__
            line = "a %s of the %s was lost: %s: %s"
            log.error(line, edge, SOURCE, kind, error, exc_info=trace, extra=entry(Kind.PRESS_LOST))
