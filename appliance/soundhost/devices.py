"""Which of the machine's sound devices is meant. Pure functions on lists, but for those at the end; stdlib only.

A device is what PortAudio lists: a card's own ("USB PnP Sound Device: Audio (hw:2,0)"), or an ALSA plugin that somebody
named in an ``.asoundrc`` ("usbmic"). A card is what the kernel lists. Card numbers move from boot to boot, so nothing
here is ever remembered by number.

The selector of a configuration is one of

- ``auto``: the USB card; without one the card in the Pi's header, then the headphone socket, and HDMI only if there is
  nothing else. Among equals the lowest USB port, or card number, and of a card its first device. Plugins are for those
  who name them.
- ``usb:1-1.2``: the card in that socket, whatever it is called and whenever it was plugged in.
- anything else: a name, either exactly or in part, capitals ignored, of the device or of its card.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Literal, NamedTuple

from appliance.errors import DeviceNotFoundError

Direction = Literal["capture", "playback"]

MOST_HARDWARE_CHANNELS = 8
"""A device with more is a plugin that converts to whatever is asked (PulseAudio's says 32, dmix 128)."""

NOUN: Mapping[Direction, str] = {"capture": "microphone", "playback": "speaker"}

UNLISTED = -1
"""Number of a device that the kernel has and PortAudio's list has not: in use, not to be opened by us, or broken."""

KINDS = ("usb", "header", "socket", "hdmi")
"""Of cards, the likeliest first: what somebody bought and plugged in, before what came along. ``rank`` is the index."""


class Device(NamedTuple):
    """One line of PortAudio's list."""

    number: int
    """PortAudio's index, valid until it is initialised again; or UNLISTED."""
    name: str
    inputs: int
    """Most channels it records; 0: it does not."""
    outputs: int
    default_hz: int

    def channels(self, direction: Direction) -> int:
        """Most channels in that direction; of an unlisted one 1 for any number."""
        return self.inputs if direction == "capture" else self.outputs


class Card(NamedTuple):
    """One card of the kernel's list."""

    number: int
    id: str
    """Short name, such as Headphones or Device; unique at any time."""
    driver: str
    name: str
    usb_port: str
    """Where it is plugged in, such as 1-1.2 (bus 1, hub port 1, its port 2); empty if it is not on USB."""

    @property
    def place(self) -> str:
        """What tells it from the other cards of the machine, also after it was away: its port, or its id."""
        return self.usb_port or self.id

    @property
    def rank(self) -> int:
        """How likely it is the one meant, 0 the most: index into KINDS."""
        if self.usb_port:
            return 0
        driver = self.driver.casefold()
        if "hdmi" in driver:
            return 3
        # snd-aloop and snd-dummy are made for tests; bcm2835 is the Pi's headphone socket. Others: header (I2S).
        return 2 if driver.startswith(("bcm2835", "loopback", "dummy")) else 1

    @property
    def order(self) -> tuple[int, list[int], int]:
        """Sorts cards as ``auto`` prefers them: by rank, then port as numbers (1-1.2 before 1-1.10), then number."""
        return self.rank, [int(part) for part in re.findall(r"\d+", self.usb_port)], self.number


class Limits(NamedTuple):
    """Which cards ``auto`` leaves alone: it waits for one that was here before (``card_preference``)."""

    worst_rank: int = len(KINDS) - 1
    """A card of a worse rank is not taken."""
    refused: Collection[str] = ()
    """Places of cards that were there beside a better one, which has gone."""

    def allow(self, card: Card) -> bool:
        """``auto`` may take it."""
        return card.rank <= self.worst_rank and card.place not in self.refused


class Choice(NamedTuple):
    """The answer of ``choose``."""

    device: Device
    usb_port: str
    """Empty for what is not on USB."""
    note: str
    """One line for the journal where the choice was not obvious: what else would have done. Mostly empty."""


CARD_LINE = re.compile(r"^\s*(\d+) \[(.*?)\s*\]: (.*?) - (.*)$", re.MULTILINE)
HARDWARE_NAME = re.compile(r"\(hw:(\d+),(\d+)\)$")
USB_PORT = re.compile(r"^\d+-\d+(\.\d+)*$")
PCM_FOLDER = re.compile(r"^pcm(\d+)([cp])$")
PCM_NAME = re.compile(r"^name: (.*\S)", re.MULTILINE)

PROC = "/proc/asound"
SYSTEM = "/sys/class/sound"
NODES = "/dev/snd"


class KernelFolders(NamedTuple):
    """Where the kernel shows its sound cards; other folders in tests."""

    proc: str = PROC
    system: str = SYSTEM
    nodes: str = NODES

    def listing(self) -> bytes:
        """The kernel's own list of its cards; empty if it has no sound at all."""
        try:
            with open(os.path.join(self.proc, "cards"), "rb") as listing:
                return listing.read()
        except OSError:
            return b""

    def cards(self) -> list[Card]:
        """The cards that are there now."""
        return read_cards(os.path.join(self.proc, "cards"), self.system)


def parse_cards(listing: str, usb_ports: Mapping[int, str]) -> list[Card]:
    """The cards of a ``/proc/asound/cards``; ``usb_ports``: card number → port. Unknown lines are skipped."""
    return [
        Card(int(number), name, driver, long_name, usb_ports.get(int(number), ""))
        for number, name, driver, long_name in CARD_LINE.findall(listing)
    ]


def choose(
    selector: str,
    direction: Direction,
    devices: Sequence[Device],
    cards: Sequence[Card],
    limits: Limits = Limits(),  # noqa: B008  (a tuple)
) -> Choice:
    """The device that ``selector`` means. Raises DeviceNotFoundError with one line that lists what there is.

    ``limits`` bind ``auto`` alone.
    """
    able = [(device, card_of(device, cards)) for device in devices if device.channels(direction) > 0]
    found: list[tuple[Device, Card | None]]
    if selector == "auto":
        allowed = [(device, card) for device, card in able if card is not None and limits.allow(card)]
        best = min((card.rank for _, card in allowed), default=0)
        found = [(device, card) for device, card in allowed if card.rank == best]
        if not allowed and any(card is not None for _, card in able):
            raise DeviceNotFoundError(_awaited(direction, able, limits))
    elif selector.startswith("usb:"):
        port = selector.removeprefix("usb:")
        found = [
            (device, card) for device, card in able if card is not None and card.usb_port and card.usb_port == port
        ]
    else:
        found = [pair for pair in able if selector in _names(*pair)]
        part = selector.casefold()
        found = found or [pair for pair in able if any(part in name.casefold() for name in _names(*pair))]
    if not found:
        raise DeviceNotFoundError(_nothing(selector, direction, able))
    found.sort(key=_order)
    (device, card), *others = found
    # Several devices of one card (analogue, digital) are no question worth a line: the first is the analogue one.
    rivals = [other for other, its_card in others if its_card is None or its_card != card]
    note = ""
    if rivals:
        listed = ", ".join(described(other, cards) for other in rivals)
        note = f'{NOUN[direction]} "{selector}": took {described(device, cards)}; there is also {listed}'
    return Choice(device, card.usb_port if card else "", note)


def completed(listed: Sequence[Device], kernel: Sequence[Device], direction: Direction) -> list[Device]:
    """What PortAudio lists for ``direction``, and what the kernel has besides.

    PortAudio leaves out what is busy: which card is the best would depend on who has one open at that moment.
    """
    able = [device for device in listed if device.channels(direction) > 0]
    known = {hardware_of(device.name) for device in able}
    return able + [each for each in kernel if each.channels(direction) > 0 and hardware_of(each.name) not in known]


def hardware_of(name: str) -> tuple[int, int] | None:
    """Numbers of card and device behind the device of that name; None for a plugin."""
    hardware = HARDWARE_NAME.search(name)
    return None if hardware is None else (int(hardware[1]), int(hardware[2]))


def card_of(device: Device, cards: Sequence[Card]) -> Card | None:
    """The card behind a device; None for a plugin."""
    return card_named(device.name, cards)


def card_named(name: str, cards: Sequence[Card]) -> Card | None:
    """The card behind the device of that name; None for a plugin."""
    hardware = hardware_of(name)
    return next((card for card in cards if hardware is not None and card.number == hardware[0]), None)


def described(device: Device, cards: Sequence[Card]) -> str:
    """A device as a person would write it into the configuration: its name, and its port if it is on USB."""
    card = card_of(device, cards)
    name = HARDWARE_NAME.sub("", device.name).rstrip(" :-")
    return f'"{name}" (usb:{card.usb_port})' if card is not None and card.usb_port else f'"{name}"'


def _nothing(selector: str, direction: Direction, able: Sequence[tuple[Device, Card | None]]) -> str:
    noun = NOUN[direction]
    listed = ", ".join(described(device, [card] if card else []) for device, card in able)
    missing = f"no sound card with a {noun}" if selector == "auto" else f'no {noun} "{selector}"'
    return f"{missing}; there is {listed}" if listed else f"{missing}; there is none at all"


def _names(device: Device, card: Card | None) -> tuple[str, ...]:
    """All names under which a device may be asked for."""
    bare = HARDWARE_NAME.sub("", device.name).rstrip(" :-")
    return (device.name, bare) if card is None else (device.name, bare, card.id, card.name)


def _awaited(direction: Direction, able: Sequence[tuple[Device, Card | None]], limits: Limits) -> str:
    noun = NOUN[direction]
    # After a start a kind of card is missing; later a certain card, and all that were beside it are left alone.
    kind = "USB " if limits.worst_rank == 0 and not limits.refused else ""
    left = ", ".join(dict.fromkeys(described(device, [card]) for device, card in able if card is not None))
    return f"the {kind}{noun} that was here is missing; {left} is not taken in its place ({noun}.fallback_s)"


def _order(pair: tuple[Device, Card | None]) -> tuple[int, list[int], int, int]:
    """Lowest port first, as numbers (1-1.2 before 1-1.10), then by card and device number; plugins last."""
    device, card = pair
    port = card.order[1] if card is not None else []
    hardware = hardware_of(device.name)
    if hardware is None:
        return (2, port, device.number, 0)
    return (0 if port else 1, port, *hardware)


# ------------------------------------------------------------ what the kernel says


def read_cards(
    listing: str | os.PathLike[str] = f"{PROC}/cards", system: str | os.PathLike[str] = SYSTEM
) -> list[Card]:
    """The cards that are there now; none if the kernel has no sound at all.

    ``system``/cardN/device leads to the USB interface, ``…/usb1/1-1/1-1.2/1-1.2:1.0``, whose name holds the port.
    """
    try:
        # Not pathlib: nothing else in a sound host needs its 0.6 MB.
        with open(listing, encoding="utf-8", errors="replace") as cards:
            text = cards.read()
    except OSError:
        return []
    ports = {}
    for card in parse_cards(text, {}):
        device = os.path.realpath(os.path.join(system, f"card{card.number}", "device"))
        port = os.path.basename(device).partition(":")[0]
        if USB_PORT.match(port):
            ports[card.number] = port
    return parse_cards(text, ports)


def read_devices(cards: Sequence[Card], proc: str = PROC) -> list[Device]:
    """The devices of the cards, one for each direction, as the kernel has them whoever uses them; named as PortAudio
    would name them, and UNLISTED."""
    found = []
    for card in cards:
        folder = os.path.join(proc, f"card{card.number}")
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        for pcm in filter(None, map(PCM_FOLDER.match, names)):
            try:
                with open(os.path.join(folder, pcm[0], "info"), encoding="utf-8", errors="replace") as info:
                    said = PCM_NAME.search(info.read())
            except OSError:
                said = None
            name = f"{card.name}: {_without_card(said[1] if said else '', card)} (hw:{card.number},{pcm[1]})"
            found.append(Device(UNLISTED, name, int(pcm[2] == "c"), int(pcm[2] == "p"), 0))
    return found


def _without_card(name: str, card: Card) -> str:
    """A device's name as PortAudio shortens it (SkipCardDetailsInName): its card's is not repeated."""
    words = name.split()
    for word in card.name.split():
        if words[:1] == [word]:
            del words[0]
    return " ".join(words) or "-"


def able_cards(direction: Direction, machine: KernelFolders = KernelFolders()) -> list[Card]:  # noqa: B008  (a tuple)
    """The cards that have a device of that direction, the one first that ``auto`` takes."""
    cards = machine.cards()
    devices = read_devices(cards, machine.proc)
    able = {hardware_of(device.name) for device in devices if device.channels(direction) > 0}
    return sorted(
        (card for card in cards if any(each and each[0] == card.number for each in able)), key=lambda card: card.order
    )


def is_there(card: Card, proc: str = PROC) -> bool:
    """Whether the kernel still has a card of that number: one look at a folder, 3 µs."""
    return os.path.exists(os.path.join(proc, f"card{card.number}"))


def node_of(name: str, direction: Direction) -> str:
    """The file in NODES of the card's device of that name; empty for a plugin."""
    hardware = hardware_of(name)
    side = "c" if direction == "capture" else "p"
    return "" if hardware is None else f"pcmC{hardware[0]}D{hardware[1]}{side}"


def obstacle(name: str, direction: Direction, nodes: str = NODES) -> int:
    """Why the card's device of that name cannot be opened now, as an errno; 0: it can.

    Opens it for a moment: only for who holds the card lock. ENOENT for a plugin.
    """
    if not (node := node_of(name, direction)):
        return errno.ENOENT
    try:
        os.close(os.open(os.path.join(nodes, node), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        return error.errno or errno.EIO
    return 0
