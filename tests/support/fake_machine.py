"""A sound host on a machine that is a folder: ``fake_machine.py FOLDER capture|playback FD``.

The host is the real one; what is imitated is PortAudio, which opens each card for a moment and leaves out what it could
not open, and the kernel, in which one program at a time has a device: an flock of its file. The content of a file says
what else is so: an errno, that it is not to be opened; HIDDEN, that PortAudio cannot use it; HANGS, that PortAudio does
not return from opening it; FULL, that it fails then, as on a USB that is carrying all it can.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from appliance.soundhost.devices import KernelFolders

PROBE_S = 0.1
"""PortAudio's look at one device: on a Pi Zero it takes tenths of a second for all."""


HIDDEN = "hidden"
HANGS = "hangs"
FULL = "full"


class FakeCard(NamedTuple):
    """A card that plays and records."""

    id: str
    driver: str
    usb_port: str = ""


def machine(folder: Path) -> KernelFolders:
    return KernelFolders(str(folder / "proc/asound"), str(folder / "system"), str(folder / "snd"))


def plug(folder: Path, cards: dict[int, FakeCard], busy: tuple[int, str] | None = None) -> None:
    """Let these be all the cards, by number. ``busy``: number and side of what the kernel says is in use."""
    where = machine(folder)
    for path in (where.proc, where.system, where.nodes):
        Path(path).mkdir(parents=True, exist_ok=True)
    for number, card in cards.items():
        for side in "cp":
            pcm = Path(where.proc) / f"card{number}/pcm0{side}"
            (pcm / "sub0").mkdir(parents=True, exist_ok=True)
            (pcm / "info").write_text(f"card: {number}\ndevice: 0\nid: {card.id}\nname: Audio\n")
            (pcm / "sub0/status").write_text("owner_pid   : 1\n" if busy == (number, side) else "closed\n")
            node(folder, number, side).touch()
        (Path(where.system) / f"card{number}").mkdir(exist_ok=True)
        device = Path(where.system) / f"card{number}/device"
        device.unlink(missing_ok=True)
        device.symlink_to(f"../../usb1/{card.usb_port}:1.0" if card.usb_port else "../../soc")
    for gone in Path(where.proc).glob("card[0-9]*"):
        if int(gone.name[4:]) not in cards:
            gone.rename(folder / f"gone-{time.monotonic_ns()}")
    coming = Path(where.proc) / "cards.new"
    coming.write_text(
        "".join(
            f" {number} [{card.id:15}]: {card.driver} - {card.id}\n                      {card.id}\n"
            for number, card in sorted(cards.items())
        )
    )
    coming.rename(Path(where.proc) / "cards")


def node(folder: Path, number: int, side: str) -> Path:
    """The file of a card's microphone ("c") or speaker ("p")."""
    return folder / f"snd/pcmC{number}D0{side}"


def opened(path: str | Path) -> int:
    """A descriptor of a device that nobody else has. Raises OSError as the kernel would."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        if (content := os.read(descriptor, 16).decode()).isdigit():
            raise OSError(int(content), os.strerror(int(content)))
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY)) from None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


class FakePortAudio:
    """Its list, made at initialisation."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._devices: list[tuple[str, int, int]] = []
        for card in machine(folder).cards():
            channels = []
            for side in "cp":
                path = node(folder, card.number, side)
                try:
                    descriptor = opened(path)
                except OSError:
                    channels.append(0)
                    continue
                time.sleep(PROBE_S)
                os.close(descriptor)
                channels.append(0 if path.read_text() == HIDDEN else 2)
            if any(channels):
                self._devices.append((f"{card.name}: Audio (hw:{card.number},0)", channels[0], channels[1]))

    def get_device_count(self) -> int:
        return len(self._devices)

    def get_device_info_by_index(self, number: int) -> dict[str, Any]:
        name, inputs, outputs = self._devices[number]
        return {"name": name, "maxInputChannels": inputs, "maxOutputChannels": outputs, "defaultSampleRate": 48_000.0}

    def open(self, **how: Any) -> FakeStream:
        side = "c" if "input" in how else "p"
        name = self._devices[how["input_device_index" if side == "c" else "output_device_index"]][0]
        number = int(name.rpartition(":")[2].partition(",")[0])
        path = node(self._folder, number, side)
        while path.read_text() == HANGS:
            time.sleep(60)
        if path.read_text() == FULL:
            raise OSError(-9999, "Unanticipated host error")
        return FakeStream(opened(path), how)

    def terminate(self) -> None:
        pass


class FakeStream:
    """A device that runs in real time, and hears and plays nothing."""

    def __init__(self, descriptor: int, how: dict[str, Any]) -> None:
        self._descriptor = descriptor
        self._room = int(how["frames_per_buffer"])
        self._period_s = self._room / int(how["rate"])
        self._bytes = 2 * self._room * int(how["channels"])

    def get_input_latency(self) -> float:
        return self._period_s

    def get_read_available(self) -> int:
        return 0

    def get_write_available(self) -> int:
        return self._room

    def read(self, frames: int, exception_on_overflow: bool) -> bytes:
        time.sleep(self._period_s)
        return bytes(self._bytes)

    def write(self, pcm: bytes, frames: int) -> None:
        time.sleep(self._period_s)

    def close(self) -> None:
        os.close(self._descriptor)


def main(folder: Path, direction: str, descriptor: int) -> None:
    library: Any = ModuleType("pyaudio")
    library.PyAudio = lambda: FakePortAudio(folder)
    library.paInt16 = 8
    sys.modules["pyaudio"] = library
    from appliance.soundhost import card_finder, host

    def obstacle(name: str, side: str, nodes: str) -> int:
        number = int(name.rpartition(":")[2].partition(",")[0])
        try:
            os.close(opened(node(folder, number, "c" if side == "capture" else "p")))
        except OSError as error:
            return error.errno or errno.EIO
        return 0

    vars(card_finder)["obstacle"] = obstacle
    host.main("capture" if direction == "capture" else "playback", descriptor, machine(folder))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
