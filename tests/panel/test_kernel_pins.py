"""gpiozero's devices on the pins of our own factory. The kernel is played at its descriptors: a line is one end of a
socket pair, its edges are what the other end sends. The real one is asked in the virtual machine (``make test-vm``)."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

import pytest
from gpiozero import LED, Device, DigitalInputDevice, PWMOutputDevice
from gpiozero.exc import PinEdgeDetectUnsupported, PinFixedPull, PinInvalidPull, PinPWMUnsupported, PinSetInput

from appliance.panel import kernel_pins, pins
from appliance.panel.contact import Contact
from appliance.panel.gpio_lines import Flag, Line
from appliance.panel.kernel_pins import KernelFactory

CONTACT, LIGHT = 17, 27
BOTH = Flag.EDGE_RISING | Flag.EDGE_FALLING


class PlayedLine(Line):
    """What the kernel answers, but for the descriptor, which is real."""

    def __init__(self, chip: PlayedChip, offset: int) -> None:
        self.ours, self.kernels = socket.socketpair()
        super().__init__(self.ours.fileno())
        self.chip, self.offset = chip, offset
        self.flags, self.high, self.debounce_us = Flag(0), False, 0

    def configure(self, flags: Flag, *, high: bool = False, debounce_us: int = 0) -> None:
        self._check()
        self.flags, self.debounce_us = flags, debounce_us
        # Nothing is joined to it but its pull.
        self.high = high if Flag.OUTPUT in flags else Flag.PULL_UP in flags

    def read(self) -> bool:
        self._check()
        return self.high

    def write(self, high: bool) -> None:
        self._check()
        self.high = high

    def close(self) -> None:
        self.ours.close()
        self.kernels.close()
        self._fd = -1
        self.chip.taken.pop(self.offset, None)

    def _check(self) -> None:
        if self.chip.is_gone:
            raise OSError(errno.ENODEV, "No such device")

    def change(self, high: bool, at_s: float) -> None:
        """The level changes, and the kernel reports it if it was asked to."""
        self.high = high
        if Flag.EDGE_RISING in self.flags:
            kind = 1 if high else 2
            self.kernels.send(struct.pack("<QIIII24x", round(at_s * 1e9), kind, self.offset, 1, 1))


class PlayedChip:
    """The header's."""

    def __init__(self) -> None:
        self.taken: dict[int, PlayedLine] = {}
        self.is_gone = False
        self.is_open = True

    def request(self, offset: int, flags: Flag, *, high: bool = False, debounce_us: int = 0) -> PlayedLine:
        if offset in self.taken:
            raise OSError(errno.EBUSY, "Device or resource busy")
        line = PlayedLine(self, offset)
        line.configure(flags, high=high, debounce_us=debounce_us)
        self.taken[offset] = line
        return line

    def close(self) -> None:
        self.is_open = False


@pytest.fixture
def chip(monkeypatch: pytest.MonkeyPatch) -> Iterator[PlayedChip]:
    played = PlayedChip()
    monkeypatch.setattr(kernel_pins, "header_chip", lambda: played)
    monkeypatch.setattr(KernelFactory, "_get_revision", lambda factory: 0xC03114)
    monkeypatch.setattr(Device, "pin_factory", None)
    monkeypatch.delenv("GPIOZERO_PIN_FACTORY", raising=False)
    assert pins.open_driver() == "" and pins.driver_name() == "kernel"
    yield played
    Device.pin_factory.close()
    assert not played.taken and not played.is_open


async def told(edges: list[Any], count: int) -> list[Any]:
    async with asyncio.timeout(5):
        while len(edges) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    return edges


def readers() -> int:
    loop: Any = asyncio.get_running_loop()
    # One of them is the loop's own.
    return len(loop._selector.get_map()) - 1


async def test_a_contact_has_pull_edges_and_the_kernels_debounce(chip: PlayedChip) -> None:
    device, silent, vouched_for = pins.contact(CONTACT, "up")
    line = chip.taken[CONTACT]
    assert (line.flags, line.debounce_us) == (Flag.INPUT | Flag.PULL_UP | BOTH, 1000)
    assert (silent, vouched_for, device.is_active) == ("", True, False)
    device.close()
    device, *_ = pins.contact(CONTACT, "down")
    assert chip.taken[CONTACT].flags == Flag.INPUT | Flag.PULL_DOWN | BOTH and not device.is_active
    device.close()
    assert not chip.taken and readers() == 0


async def test_edges_reach_the_loop_with_the_kernels_time_however_late_it_reads_them(chip: PlayedChip) -> None:
    edges: list[tuple[bool, float]] = []
    contact = Contact("button", CONTACT, "up", lambda closed, at_s: edges.append((closed, at_s)), lambda *_: None)
    contact.open()
    try:
        now_s = time.monotonic()
        chip.taken[CONTACT].change(False, now_s - 0.2)
        chip.taken[CONTACT].change(True, now_s - 0.1)
        assert await told(edges, 2) == [
            (True, pytest.approx(now_s - 0.2, abs=1e-6)),
            (False, pytest.approx(now_s - 0.1, abs=1e-6)),
        ]
    finally:
        contact.close()
    assert readers() == 0


async def test_an_edge_that_a_look_saw_first_leaves_the_times_in_order(chip: PlayedChip) -> None:
    edges: list[tuple[bool, float]] = []
    contact = Contact("button", CONTACT, "up", lambda closed, at_s: edges.append((closed, at_s)), lambda *_: None)
    contact.open()
    try:
        earlier_s = time.monotonic() - 1
        chip.taken[CONTACT].change(False, earlier_s)
        contact._look()
        chip.taken[CONTACT].change(True, earlier_s + 0.1)
        times_s = [at_s for _, at_s in await told(edges, 2)]
        assert [closed for closed, _ in edges] == [True, False] and times_s == sorted(times_s)
    finally:
        contact.close()


async def test_a_chip_that_goes_does_not_keep_the_loop_awake(chip: PlayedChip) -> None:
    """The descriptor of a line whose chip is gone is readable for ever."""
    lost: list[Exception] = []
    contact = Contact("button", CONTACT, "up", lambda *_: None, lambda contact, error: lost.append(error))
    contact.open()
    line = chip.taken[CONTACT]
    chip.is_gone = True

    def gone() -> list[Any]:
        raise OSError(errno.ENODEV, "No such device")

    line.edges = gone  # type: ignore[method-assign]
    line.kernels.send(b"readable")
    async with asyncio.timeout(5):
        while readers():  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert [str(error) for error in await told(lost, 1)] == ["[Errno 19] No such device"]
    contact.close()


async def test_an_led_is_taken_dark_and_given_back(chip: PlayedChip) -> None:
    led = LED(LIGHT, active_high=False)
    line = chip.taken[LIGHT]
    assert line.flags == Flag.OUTPUT and line.high, "to 3.3 V: dark is high, from the first moment on"
    led.on()
    assert not line.high and led.value == 1
    led.close()
    assert not chip.taken
    with LED(LIGHT) as led:
        assert not chip.taken[LIGHT].high
        led.on()
        assert chip.taken[LIGHT].high


async def test_a_pin_keeps_its_level_when_it_becomes_an_output(chip: PlayedChip) -> None:
    pin = Device.pin_factory.pin(LIGHT)
    pin.input_with_pull("up")
    assert (pin.function, pin.pull, pin.state) == ("input", "up", True)
    pin.function = "output"
    assert (pin.function, pin.state) == ("output", True)


async def test_there_is_no_dimming_here(chip: PlayedChip) -> None:
    with pytest.raises(PinPWMUnsupported):
        PWMOutputDevice(LIGHT)
    assert not chip.taken


def test_without_a_loop_there_are_levels_but_no_edges(chip: PlayedChip) -> None:
    with pytest.raises(PinEdgeDetectUnsupported):
        DigitalInputDevice(CONTACT, pull_up=True)
    device, silent, vouched_for = pins.contact(CONTACT, "up")
    assert "no event loop" in silent and not vouched_for and not device.is_active
    device.close()


async def test_what_a_pin_cannot_do_is_refused_as_gpiozero_does(chip: PlayedChip) -> None:
    contact, led, with_resistor = (Device.pin_factory.pin(number) for number in (CONTACT, LIGHT, 2))
    contact.input_with_pull("up")
    with pytest.raises(PinSetInput):
        contact.state = 1
    with pytest.raises(PinInvalidPull):
        contact.pull = "sideways"
    with pytest.raises(PinFixedPull):
        with_resistor.input_with_pull("down")
    led.output_with_state(0)
    with pytest.raises(PinFixedPull):
        led.pull = "up"


async def test_a_pin_that_another_program_has_is_said_with_the_fix(chip: PlayedChip) -> None:
    other = chip.request(CONTACT, Flag.INPUT)
    with pytest.raises(OSError, match="busy") as refused:
        pins.contact(CONTACT, "up")
    assert "gpioinfo shows by whom" in pins.explained(str(refused.value), folder="/nowhere")
    other.close()


async def test_the_environment_names_another_driver(chip: PlayedChip, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = Device.pin_factory
    monkeypatch.setattr(Device, "pin_factory", None)
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "mock")
    assert pins.open_driver() == "" and pins.driver_name() == "mock"
    Device.pin_factory.close()
    monkeypatch.setattr(Device, "pin_factory", ours)
