"""Looks for the device that is meant in two lists: the kernel's, which has all cards, and PortAudio's, which opens one.

PortAudio leaves out what is busy, so the choice is made from the kernel's list; then the device is looked for in
PortAudio's. Part of the sound host, whose sound thread calls it under the card lock: a call into a card may hang. It
keeps no list from one look to the next: what was not there may be a moment later, whatever the kernel says of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from appliance.errors import DeviceNotFoundError

from . import messages
from .card_owners import kept_from_us
from .devices import (
    UNLISTED,
    Card,
    Choice,
    Device,
    Direction,
    KernelFolders,
    Limits,
    choose,
    completed,
    obstacle,
    read_devices,
)

LEFT_OUT = 6
"""Looks at which PortAudio leaves a device out that can be opened: somebody has it at each of these moments, or
PortAudio cannot use it. Then the next best is taken. The supervisor looks so often in some 6 s."""


class CardFinder:
    """Looks for the devices of one direction. ``initialised`` makes a PortAudio that knows what is there now."""

    def __init__(self, direction: Direction, initialised: Callable[[], Any], machine: KernelFolders) -> None:
        self._direction = direction
        self._initialised = initialised
        self._machine = machine
        self.portaudio: Any = None
        """The PyAudio of the last look, in which a device's number counts; None before the first."""
        self._listed: list[Device] = []
        """Its list."""
        self._left_out: dict[str, int] = {}
        """How often PortAudio left out a device that could be opened."""

    def listing(self) -> messages.Listing:
        """All there is: what PortAudio lists, and what it leaves out."""
        self._initialise()
        cards, kernel = self._kernel()
        able = [*completed(self._listed, kernel, "capture"), *completed(self._listed, kernel, "playback")]
        return messages.Listing(list(dict.fromkeys(able)), cards)

    def _initialise(self) -> None:
        """Let PortAudio look at the machine anew: its list is made once, at initialisation. Raises OSError."""
        if self.portaudio is not None:
            self.portaudio.terminate()
            self.portaudio = None
        self.portaudio = self._initialised()
        self._listed = []
        for number in range(self.portaudio.get_device_count()):
            info = self.portaudio.get_device_info_by_index(number)
            channels = (int(info["maxInputChannels"]), int(info["maxOutputChannels"]))
            self._listed.append(Device(number, str(info["name"]), *channels, round(info["defaultSampleRate"])))

    def _kernel(self) -> tuple[list[Card], list[Device]]:
        """The kernel's cards and their devices now."""
        cards = self._machine.cards()
        return cards, read_devices(cards, self._machine.proc)

    def find(self, request: messages.Open) -> Choice:
        """The device meant, by a look of this moment.

        Raises DeviceNotFoundError: it is not there; OSError: it cannot be opened now.
        """
        cards, kernel = self._kernel()
        if _is_hardware(request.device):
            # A missing or busy card is the kernel's to tell: asking PortAudio takes a Pi Zero a while each time.
            self._choose(request, kernel, cards)
        self._initialise()
        devices = completed(self._listed, kernel, self._direction)
        while (choice := self._choose(request, devices, cards)).device.number == UNLISTED:
            name = choice.device.name
            self._left_out[name] = self._left_out.get(name, 0) + 1
            devices = [each for each in devices if each.name != name]
            if self._left_out[name] < LEFT_OUT or not devices:
                raise OSError(f'"{name}" is left out by PortAudio: it was in use for a moment, or cannot be used')
        return choice

    def behind_plug(self, device: Device) -> int:
        """PortAudio's number of ``device`` with ALSA's own conversion before it, the list being made anew.

        19.6 lists a card plain or so, never both, by this variable. Raises OSError when the card is gone meanwhile.
        """
        os.environ["PA_ALSA_PLUGHW"] = "1"
        try:
            self._initialise()
        finally:
            del os.environ["PA_ALSA_PLUGHW"]
        wanted = device.name.replace("(hw:", "(plughw:")
        number = next((other.number for other in self._listed if other.name == wanted), None)
        if number is None:
            raise OSError(f'"{device.name}" cannot be opened: it is gone')
        return number

    def _choose(self, request: messages.Open, devices: list[Device], cards: list[Card]) -> Choice:
        """The one of ``devices`` that is meant, and that PortAudio lists or could be opened.

        What is busy, or has no rights for us yet, is waited for, and nothing else taken in its place; what cannot be
        used at all, such as HDMI without a screen, is left out. Raises DeviceNotFoundError, OSError.
        """
        limits = Limits(request.worst_rank, request.refused)
        broken = ""
        while True:
            try:
                choice = choose(request.device, self._direction, devices, cards, limits)
            except DeviceNotFoundError:
                if broken:
                    raise OSError(broken) from None
                raise
            device = choice.device
            if device.number != UNLISTED or not (number := obstacle(device.name, self._direction, self._machine.nodes)):
                return choice
            if said := kept_from_us(number, device.name, self._direction, cards, os.path.dirname(self._machine.proc)):
                raise OSError(said)
            broken = f'"{device.name}" cannot be opened: {os.strerror(number)}'
            devices = [each for each in devices if each != device]


def _is_hardware(selector: str) -> bool:
    """Only a card of the kernel's can be meant."""
    return selector == "auto" or selector.startswith("usb:")
