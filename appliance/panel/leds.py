"""What can shine on the box: one kind of LED each, behind one interface. Times and meanings come from the ``Light``.

An addressable strip would be one more class here. Nothing here knows gpiozero: ``pins.py`` hands the devices in.
"""

from __future__ import annotations

from typing import Any, Protocol

Colour = tuple[float, float, float]


class Light(Protocol):
    """One thing the light can say. Times are seconds since it began to be shown; intervals are more than 0."""

    @property
    def name(self) -> str:
        """Its name, for ``current_light``."""

    @property
    def colour(self) -> Colour:
        """Red, green, blue, 0 to 1, before the brightness."""

    @property
    def lamps(self) -> tuple[bool, bool, bool]:
        """Which of the LEDs ready, busy and fault take part, where there are three."""

    def brightness(self, elapsed_s: float) -> float:
        """0 to 1, for an LED that can be dimmed."""

    def frame_interval_s(self, elapsed_s: float) -> float | None:
        """Until ``brightness`` changes; None: it does not."""

    def is_lit(self, elapsed_s: float) -> bool:
        """For an LED that can only be switched."""

    def switch_interval_s(self, elapsed_s: float) -> float | None:
        """Until ``is_lit`` changes; None: it does not."""


class Lamp(Protocol):
    """One LED of some kind, or several that speak together."""

    def level(self, light: Light, elapsed_s: float) -> float:
        """0 to 1: how bright this kind of LED is then."""

    def next_change_s(self, light: Light, elapsed_s: float) -> float | None:
        """Until that changes; None: it does not."""

    def write(self, level: float, light: Light) -> None:
        """Light it. Writes only what differs from what is shown. Raises whatever the pin driver does."""

    def write_again(self) -> None:
        """What is shown already, to learn whether the pins still obey. Raises whatever the pin driver does."""

    def close(self) -> None:
        """Put it out and give the pins back. Raises whatever the pin driver does."""


class NoLamp:
    """No LED: nothing to see, nothing to wake up for."""

    def level(self, light: Light, elapsed_s: float) -> float:
        return 0.0

    def next_change_s(self, light: Light, elapsed_s: float) -> float | None:
        return None

    def write(self, level: float, light: Light) -> None:
        pass

    def write_again(self) -> None:
        pass

    def close(self) -> None:
        pass


class _Wired:
    """What all LEDs on pins have in common. ``device`` is gpiozero's, dark."""

    def __init__(self, device: Any) -> None:
        self._device = device
        self._written: Any = device.value

    def write_again(self) -> None:
        self._device.value = self._written

    def close(self) -> None:
        try:
            self._device.off()
        finally:
            self._device.close()

    def _set(self, value: object) -> None:
        if value != self._written:
            self._device.value = value
            self._written = value


class DimmedLamp(_Wired):
    """An LED with PWM, of one colour (a PWMLED) or three (an RGBLED)."""

    def level(self, light: Light, elapsed_s: float) -> float:
        return light.brightness(elapsed_s)

    def next_change_s(self, light: Light, elapsed_s: float) -> float | None:
        return light.frame_interval_s(elapsed_s)

    def write(self, level: float, light: Light) -> None:
        self._set(tuple(part * level for part in light.colour) if isinstance(self._written, tuple) else level)


class _Switched(_Wired):
    """On and off only."""

    def level(self, light: Light, elapsed_s: float) -> float:
        return float(light.is_lit(elapsed_s))

    def next_change_s(self, light: Light, elapsed_s: float) -> float | None:
        return light.switch_interval_s(elapsed_s)


class SwitchedLamp(_Switched):
    """One LED that is on or off (an LED)."""

    def write(self, level: float, light: Light) -> None:
        self._set(int(level >= 0.5))


class SwitchedColours(_Switched):
    """One LED of three colours that are on or off (an RGBLED without PWM). A colour's part is on if it is there at all:
    amber becomes yellow."""

    def write(self, level: float, light: Light) -> None:
        self._set(tuple(int(part > 0 and level >= 0.5) for part in light.colour))


class ThreeLamps(_Switched):
    """Three LEDs that are on or off: ready, busy, fault (an LEDBoard of three). Where a pattern needs more than one
    they blink together."""

    def write(self, level: float, light: Light) -> None:
        self._set(tuple(int(takes_part and level >= 0.5) for takes_part in light.lamps))
