"""Which of the machine's sound devices is meant. Pure functions on lists, but for ``read_cards``; stdlib only.

A device is what PortAudio lists: a card's own ("USB PnP Sound Device: Audio (hw:2,0)"), or an ALSA plugin that somebody
named in an ``.asoundrc`` ("usbmic"). A card is what the kernel lists. Card numbers move from boot to boot, so nothing
here is ever remembered by number.

The selector of a configuration is one of

- ``auto``: the USB card; without one the card in the Pi's header, then the headphone socket, and HDMI only if there is
  nothing else. Among equals the lowest USB port, or card number. Plugins are for those who name them.
- ``usb:1-1.2``: the card in that socket, whatever it is called and whenever it was plugged in.
- anything else: a name, either exactly or in part, capitals ignored, of the device or of its card.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from appliance.errors import DeviceNotFoundError

Direction = Literal["capture", "playback"]

MOST_HARDWARE_CHANNELS = 8
"""A device with more is a plugin that converts to whatever is asked (PulseAudio's says 32, dmix 128)."""

NOUN: Mapping[Direction, str] = {"capture": "microphone", "playback": "speaker"}


class Device(NamedTuple):
    """One line of PortAudio's list."""

    number: int
    """PortAudio's index; valid until it is initialised again."""
    name: str
    inputs: int
    """Most channels it records; 0: it does not."""
    outputs: int
    default_hz: int

    def channels(self, direction: Direction) -> int:
        """Most channels in that direction."""
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


def parse_cards(listing: str, usb_ports: Mapping[int, str]) -> list[Card]:
    """The cards of a ``/proc/asound/cards``; ``usb_ports``: card number → port. Unknown lines are skipped."""
    return [
        Card(int(number), name, driver, long_name, usb_ports.get(int(number), ""))
        for number, name, driver, long_name in CARD_LINE.findall(listing)
    ]


def read_cards(
    listing: str | os.PathLike[str] = "/proc/asound/cards", system: str | os.PathLike[str] = "/sys/class/sound"
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


def choose(selector: str, direction: Direction, devices: Sequence[Device], cards: Sequence[Card]) -> Choice:
    """The device that ``selector`` means. Raises DeviceNotFoundError with one line that lists what there is."""
    able = [(device, card_of(device, cards)) for device in devices if device.channels(direction) > 0]
    found: list[tuple[Device, Card | None]]
    if selector == "auto":
        best = min((_rank(card) for _, card in able if card is not None), default=0)
        found = [(device, card) for device, card in able if card is not None and _rank(card) == best]
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


def is_there(card: Card, proc: str = "/proc/asound") -> bool:
    """Whether the kernel still has a card of that number: one look at a folder, 3 µs."""
    return os.path.exists(os.path.join(proc, f"card{card.number}"))


def card_of(device: Device, cards: Sequence[Card]) -> Card | None:
    """The card behind a device; None for a plugin."""
    return card_named(device.name, cards)


def card_named(name: str, cards: Sequence[Card]) -> Card | None:
    """The card behind the device of that name; None for a plugin."""
    hardware = HARDWARE_NAME.search(name)
    if hardware is None:
        return None
    return next((card for card in cards if card.number == int(hardware[1])), None)


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


def _rank(card: Card) -> int:
    """How likely the card is the one meant, 0 the most: what somebody bought and plugged in, before what came along."""
    if card.usb_port:
        return 0
    driver = card.driver.casefold()
    if "hdmi" in driver:
        return 3
    # snd-aloop and snd-dummy are made for tests; bcm2835 is the Pi's headphone socket. Others sit on the header (I2S).
    return 2 if driver.startswith(("bcm2835", "loopback", "dummy")) else 1


def _order(pair: tuple[Device, Card | None]) -> tuple[int, list[int], int, int]:
    """Lowest port first, as numbers (1-1.2 before 1-1.10), then by card and device number; plugins last."""
    device, card = pair
    hardware = HARDWARE_NAME.search(device.name)
    port = [int(part) for part in re.findall(r"\d+", card.usb_port)] if card is not None else []
    if hardware is None:
        return (2, port, device.number, 0)
    return (0 if port else 1, port, int(hardware[1]), int(hardware[2]))
