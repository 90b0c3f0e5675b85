"""The input devices that have keys, and what they send: for choosing panel.key.device and panel.key.key.

Lists the devices, then shows every key that goes down, repeats (once for each press) or goes up, until Ctrl-C; a box
may be plugged in meanwhile. The first time a key comes up, the lines for the configuration follow. It shows what is
typed on any keyboard of this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
from typing import Any, Final

from appliance.config import key_names
from appliance.errors import UnavailableError
from appliance.panel import usb_button

WORDS: Final = ("up", "down", "repeat")
"""What the values 0, 1 and 2 of a key mean."""

SHORTEST_S: Final = 0.02
"""No person lets go sooner than this after pressing; a box that does sends both at the press, and cannot be held."""

NONE: Final = "no input device with keys is here; plug the box in, into another socket if it was"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whether to end after the list."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--list", action="store_true", help="only list the devices; needs neither rights nor evdev")


def run(args: argparse.Namespace) -> int:
    """List, and watch; 0. Raises UnavailableError: nothing to list, no evdev, no permission."""
    known = usb_button.input_devices(usb_button.SYSFS, usb_button.NODES)
    for device in known:
        print(f'{device.path}  {device.numbers}  "{device.name}", keys: {len(device.codes)}')
    if args.list:
        if not known:
            raise UnavailableError(NONE)
        return 0
    watch = Watch(key_names.names())
    print("press a key of the box; Ctrl-C ends" if known else NONE, flush=True)
    asyncio.run(watch.run())
    return 0


class Watch:
    """Prints what the keys of all devices do."""

    def __init__(self, names: dict[int, str]) -> None:
        """``names``: of the codes."""
        self._names = names
        self._seen: dict[str, usb_button.InputDevice] = {}
        """By path, also those that could not be opened: each is tried once."""
        self._down_s: dict[tuple[str, int], float] = {}
        """Path and code of the keys that are down: since when."""
        self._repeating: set[tuple[str, int]] = set()
        """Those whose repeating has been shown since they went down."""
        self._explained: set[tuple[str, int]] = set()
        """Those whose lines for the configuration have been printed."""

    async def run(self) -> None:
        """Until cancelled. Raises UnavailableError if there are devices and none may be read."""
        while True:
            known = {device.path: device for device in usb_button.input_devices(usb_button.SYSFS, usb_button.NODES)}
            self._seen = {path: device for path, device in self._seen.items() if known.get(path) == device}
            new = [device for path, device in known.items() if path not in self._seen]
            refused = [line for device in new if (line := self._open(device))]
            if refused and len(refused) == len(known):
                raise UnavailableError(refused[0])
            for line in refused:
                print(line, flush=True)
            await asyncio.sleep(usb_button.RETRY_S)

    def _open(self, found: usb_button.InputDevice) -> str:
        """Begin to read it. Returns why that is not possible, or an empty string."""
        self._seen[found.path] = found
        try:
            device = usb_button.opened(found.path)
            usb_button.use_monotonic_clock(device.fd)
        except OSError as error:
            return usb_button.refusal(found.path, error)
        asyncio.get_running_loop().add_reader(device.fd, self._read, found, device)
        try:
            # Only asked: whoever types Ctrl-C on this keyboard has to be heard.
            device.grab()
            device.ungrab()
        except OSError as error:
            if error.errno == errno.EBUSY:
                return f'"{found.name}" is taken, and nothing of it is seen here: systemctl stop voice-appliance'
        return ""

    def _read(self, found: usb_button.InputDevice, device: Any) -> None:
        try:
            for event in device.read():
                if event.type == usb_button.EV_KEY and event.value in (0, 1, 2):
                    self._show(found, event.code, event.value, event.sec + event.usec / 1e6)
        except BlockingIOError:
            return
        except OSError:
            asyncio.get_running_loop().remove_reader(device.fd)
            with contextlib.suppress(OSError):
                device.close()
            self._seen.pop(found.path, None)
            print(f'"{found.name}" is gone', flush=True)

    def _show(self, found: usb_button.InputDevice, code: int, value: int, at_s: float) -> None:
        which = (found.path, code)
        if value == 2 and which in self._repeating:
            return
        (self._repeating.add if value == 2 else self._repeating.discard)(which)
        key = self._names.get(code, f"key {code}, which has no name")
        print(f'"{found.name}" {key} {WORDS[value]}', flush=True)
        if value == 1:
            self._down_s[which] = at_s
        if value == 0 and which in self._down_s:
            held_s = at_s - self._down_s.pop(which)
            if held_s < SHORTEST_S:
                print('  up came with down: this key can be tapped, not held; talk.mode = "tap"')
            if which not in self._explained and code in self._names:
                self._explained.add(which)
                device = found.name if found.numbers.startswith("0000:") else found.numbers
                print(f'  for the configuration:\n[panel.key]\ndevice = "{device}"\nkey = "{key}"', flush=True)
