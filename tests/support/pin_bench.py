"""A contact and an LED that tests can touch and see: gpiozero's mock pins, or real ones in a loop.

The loop on a Raspberry Pi, drawn in hardware/testing.md: GPIO22, the finger, through 1 kΩ to GPIO17, the contact;
GPIO27, the LED, through 1 kΩ to GPIO23, the eye. The finger is an output while it presses and floats otherwise, so that
a released contact is held by the pull of its own pin, as a button is.
"""

from __future__ import annotations

import glob
import time
from collections.abc import Iterator
from typing import Any, Protocol

import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory, MockPin, MockPWMPin

from appliance.panel import pins

CONTACT, LED, FINGER, EYE = 17, 27, 22, 23

SAMPLED_S = 0.3
"""Thirty periods of gpiozero's dimming, 100 Hz."""


class PinBench(Protocol):
    """What a test needs of the wiring."""

    def press(self) -> None:
        """Join the contact's pin to the other side: ground if it is pulled up, 3.3 V if it is pulled down."""

    def let_go(self) -> None:
        """Leave the contact's pin to its pull."""

    def is_high(self) -> bool:
        """The LED's pin is high, at this moment."""

    def duty(self) -> float:
        """The part of the time, 0 to 1, in which the LED's pin is high. May take SAMPLED_S."""


class MockBench:
    """On the mock that ``Device.pin_factory`` is."""

    def __init__(self, pull: str) -> None:
        self._pull = pull
        self._pressed = False
        contact = Device.pin_factory.pin(CONTACT)
        set_pull = contact._set_pull

        def pulled(value: str) -> None:
            # A closed contact wins over the pull of a pin that is taken.
            set_pull(value)
            self._join()

        contact._set_pull = pulled

    def press(self) -> None:
        self._pressed = True
        self._join()

    def let_go(self) -> None:
        self._pressed = False
        self._join()

    def _join(self) -> None:
        contact = Device.pin_factory.pin(CONTACT)
        (contact.drive_low if self._pressed == (self._pull == "up") else contact.drive_high)()

    def is_high(self) -> bool:
        return bool(Device.pin_factory.pin(LED).state)

    def duty(self) -> float:
        return float(Device.pin_factory.pin(LED).state)


class WiredBench:
    """On real pins, through whatever driver gpiozero takes for the panel, too."""

    def __init__(self, pull: str) -> None:
        self._pull = pull
        self._finger: Any = Device.pin_factory.pin(FINGER)
        self._eye: Any = Device.pin_factory.pin(EYE)
        self._eye.input_with_pull("floating")
        self.let_go()

    def press(self) -> None:
        self._finger.output_with_state(self._pull == "down")

    def let_go(self) -> None:
        self._finger.input_with_pull("floating")

    def is_high(self) -> bool:
        return bool(self._eye.state)

    def duty(self) -> float:
        end_s, high, looks = time.monotonic() + SAMPLED_S, 0, 0
        while time.monotonic() < end_s:
            high += self.is_high()
            looks += 1
        return high / looks

    def check(self) -> None:
        """Fail, saying which wire is missing."""
        contact, led = (Device.pin_factory.pin(number) for number in (CONTACT, LED))
        contact.input_with_pull(self._pull)
        for move, level in ((self.let_go, self._pull == "up"), (self.press, self._pull == "down")):
            move()
            time.sleep(0.01)
            if bool(contact.state) is not level:
                pytest.fail(f"GPIO{CONTACT} does not follow GPIO{FINGER}: wire them as hardware/testing.md says")
        self.let_go()
        for level in (True, False):
            led.output_with_state(level)
            time.sleep(0.01)
            if self.is_high() is not level:
                pytest.fail(f"GPIO{EYE} does not follow GPIO{LED}: wire them as hardware/testing.md says")
        for pin in (contact, led):
            pin.close()


def on_mock(pull: str, *, dimmed: bool) -> Iterator[PinBench]:
    """``dimmed``: pins that have PWM."""
    before, mock = Device.pin_factory, MockFactory(pin_class=MockPWMPin if dimmed else MockPin)
    Device.pin_factory = mock
    yield MockBench(pull)
    mock.reset()
    Device.pin_factory = before


def on_wires(pull: str) -> Iterator[PinBench]:
    """Skips the test where there are no pins, fails it where they are not wired."""
    if not glob.glob("/dev/gpiochip*"):
        pytest.skip("no /dev/gpiochip* here: real pins are on a Raspberry Pi wired as hardware/testing.md says")
    before, Device.pin_factory = Device.pin_factory, None
    try:
        pins.open_driver()
        bench = WiredBench(pull)
        bench.check()
        yield bench
        bench.let_go()
    finally:
        if Device.pin_factory is not None:
            Device.pin_factory.close()
        Device.pin_factory = before
