"""Who has a sound card open. Reads /proc alone; stdlib only, any thread.

The kernel says for each substream of a card which thread opened it (``/proc/asound/card0/pcm0c/sub0/status``), to every
user. What that program is called is hidden where ``ProtectProc=`` (as in our unit) or ``hidepid=`` hides other users'
processes; the installer, who is outside, can look.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Sequence

from .devices import HARDWARE_NAME, NOUN, Card, Direction, KernelFolders, node_of, read_devices

OWNER = re.compile(r"^owner_pid\s*:\s*(\d+)$", re.MULTILINE)


def in_use(wanted: str, direction: Direction, cards: Sequence[Card], proc: str = "/proc") -> str:
    """One line that says who keeps us from ``wanted``, a device's name or a selector as in ``devices.choose``.

    Empty if nobody does. ``proc``: where the kernel's files are.
    """
    for card, holder in _holders(wanted, direction, cards, proc):
        return f'"{card.name}" is in use as a {NOUN[direction]} by {holder}; stop that, or choose another device'
    return ""


def holder_of(name: str, direction: Direction, cards: Sequence[Card], proc: str = "/proc") -> str:
    """The program that has the device of that name open, as far as we may see it; empty: nobody has."""
    return next((holder for _, holder in _holders(name, direction, cards, proc)), "")


def is_free(card: Card, direction: Direction, machine: KernelFolders) -> bool:
    """Whether the card's first device of that direction could be opened: nobody has it, and this user may.

    Without opening it, which may hang.
    """
    devices = (device for device in read_devices([card], machine.proc) if device.channels(direction) > 0)
    device = next(devices, None)
    if device is None or holder_of(device.name, direction, [card], os.path.dirname(machine.proc)):
        return False
    return os.access(os.path.join(machine.nodes, node_of(device.name, direction)), os.R_OK | os.W_OK)


def _holders(wanted: str, direction: Direction, cards: Sequence[Card], proc: str) -> Iterator[tuple[Card, str]]:
    """Cards that are meant and have no free place in that direction, and who has the first."""
    hardware = HARDWARE_NAME.search(wanted)
    for card in cards:
        if hardware is None and not _meant(wanted, card):
            continue
        if hardware is not None and int(hardware[1]) != card.number:
            continue
        owners = list(_owners(os.path.join(proc, "asound", f"card{card.number}"), direction, hardware and hardware[2]))
        if owners and all(owners):
            yield card, _described(owners[0], proc)


def kept_from_us(number: int, name: str, direction: Direction, cards: Sequence[Card], proc: str = "/proc") -> str:
    """One line on a card's device that could not be opened and may be opened later; ``number``: the errno.

    Empty for any other reason than that somebody has it, or that we have no rights (yet: udev is a moment late).
    """
    if number in (errno.EBUSY, errno.EAGAIN):
        in_use_by = in_use(name, direction, cards, proc)
        return (
            in_use_by
            or f'"{name}" is in use as a {NOUN[direction]} by another program; stop that, or choose another device'
        )
    if number in (errno.EACCES, errno.EPERM, errno.ENOENT):
        return f'"{name}" may not be opened by this user ({os.strerror(number)}); ls -l /dev/snd shows who may'
    return ""


def _meant(selector: str, card: Card) -> bool:
    if selector.startswith("usb:"):
        return card.usb_port == selector.removeprefix("usb:")
    part = selector.casefold()
    return selector == "auto" or part in card.id.casefold() or part in card.name.casefold()


def _owners(folder: str, direction: Direction, number: str | None) -> Iterator[int]:
    """The thread that opened each substream of that direction, 0 for one that is free; of PCM ``number`` if given."""
    ending = "c" if direction == "capture" else "p"
    for pcm in _listed(folder):
        if re.fullmatch(rf"pcm{number or r'[0-9]+'}{ending}", pcm):
            for substream in _listed(os.path.join(folder, pcm)):
                if substream.startswith("sub"):
                    owner = OWNER.search(_text(os.path.join(folder, pcm, substream, "status")))
                    yield int(owner[1]) if owner else 0


def _described(thread: int, proc: str) -> str:
    """The program and process that the thread belongs to, as far as we may see it."""
    name = _text(os.path.join(proc, str(thread), "comm")).strip()
    process = re.search(r"^Tgid:\s*(\d+)$", _text(os.path.join(proc, str(thread), "status")), re.MULTILINE)
    return (
        f"{name} (process {process[1]})" if name and process else f"another program (cat /proc/{thread}/comm names it)"
    )


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
