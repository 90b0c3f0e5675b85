"""gpiozero's mock pins, in the place of whatever drives this machine's."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from gpiozero import Device
from gpiozero.pins.mock import MockFactory, MockPWMPin


@contextlib.contextmanager
def mock_pins() -> Iterator[MockFactory]:
    """All of them, with PWM; the former driver is back afterwards."""
    before, mock = Device.pin_factory, MockFactory(pin_class=MockPWMPin)
    Device.pin_factory = mock
    try:
        yield mock
    finally:
        mock.reset()
        Device.pin_factory = before
