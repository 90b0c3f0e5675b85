"""The button and the light on the box: the only importer of gpiozero.

The panel knows pins, not meanings: what it shows is any object with the methods of ``Light`` (the daemon passes the
patterns of ``turn/lights.py``), and what the button means is for whom ``on_edge`` tells. Pins come from gpiozero's
``Device.pin_factory``, so that tests and the demo run on its mock.

Threads: gpiozero reports an edge on the pin driver's thread. That thread only notes it and asks the loop, once, to
look; everything else happens on the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

log = logging.getLogger(__name__)

SOURCE: Final = "button"
"""What ``on_edge`` is told as the source of an edge."""

ACKNOWLEDGE_S: Final = 0.08
"""How long a press inverts the light (ruling 23)."""

ACKNOWLEDGE_PAUSE_S: Final = 0.4
"""From one inversion to the next at least: a contact that chatters slower than the debounce must not make the light
flicker. Nothing on the box flashes faster than 2.5 Hz."""

MOST_EDGES: Final = 64
"""Edges kept for a loop that is busy. Beyond them an edge and its opposite cancel: of a storm only the first edges and
the last state matter."""

Colour = tuple[float, float, float]
Part = TypeVar("Part")
OnEdge = Callable[[bool, float, str], None]
"""(down, at_s, source): a button's contact changed at the monotonic time ``at_s``. Called on the loop."""


class ButtonSettings(Protocol):
    """Where the button is."""

    @property
    def gpio(self) -> int:
        """BCM number; 0: there is none."""

    @property
    def pull(self) -> str:
        """``up``: the button joins the pin to ground. ``down``: to 3.3 V."""


class LedSettings(Protocol):
    """Where the LED is, and which kind."""

    @property
    def kind(self) -> str:
        """``none``, ``led`` (on and off), ``pwm`` (dimmed) or ``rgb``."""

    @property
    def gpio(self) -> tuple[int, ...]:
        """BCM numbers; for ``rgb`` red, green, blue."""

    @property
    def active_high(self) -> bool:
        """Lit when the pin is high."""


class PanelSettings(Protocol):
    """What is wired to the pins."""

    @property
    def button(self) -> ButtonSettings: ...

    @property
    def leds(self) -> LedSettings: ...


class Light(Protocol):
    """One thing the light can say. Times are seconds since it began to be shown; intervals are more than 0."""

    @property
    def name(self) -> str:
        """Its name, for ``current_light``."""

    @property
    def colour(self) -> Colour:
        """Red, green, blue, 0 to 1, before the brightness."""

    def brightness(self, elapsed_s: float) -> float:
        """0 to 1, for an LED that can be dimmed."""

    def frame_interval_s(self, elapsed_s: float) -> float | None:
        """Until ``brightness`` changes; None: it does not."""

    def is_lit(self, elapsed_s: float) -> bool:
        """For an LED that can only be switched."""

    def switch_interval_s(self, elapsed_s: float) -> float | None:
        """Until ``is_lit`` changes; None: it does not."""


class Panel:
    """Button and light of one box. Build it, ``await run()`` it, show what is to be shown, ``close()`` it.

    A part that is not wired, or whose pins cannot be had, is replaced by one that does nothing; the second with one
    line in the log. The box can still be talked to through its control socket.
    """

    def __init__(self, settings: PanelSettings, on_edge: OnEdge) -> None:
        self._settings = settings
        self._on_edge = on_edge
        self._lamp: _Lamp = _NoLamp()
        self._button: _Button | None = None
        self._light: Light | None = None
        self._since_s = 0.0
        """When the light began to be shown."""
        self._inverted_to = 0.0
        """Level during an acknowledgement."""
        self._acknowledged_s = float("-inf")
        """When the last acknowledgement began."""
        self._changed = asyncio.Event()

    @property
    def current_light(self) -> str:
        """Name of what is shown, in lower case; empty before the first. True without an LED too."""
        return "" if self._light is None else self._light.name.lower()

    def show(self, light: Light) -> None:
        """Show ``light`` from now on. Showing what is shown already does not restart it."""
        if light is not self._light:
            self._light = light
            self._since_s = time.monotonic()
            self._changed.set()

    def acknowledge(self) -> None:
        """Invert the light for 80 ms: the press has been noticed. Call it before ``show``: then what the eye sees is
        the opposite of what it saw."""
        now_s = time.monotonic()
        if self._light is not None and now_s - self._acknowledged_s >= ACKNOWLEDGE_PAUSE_S:
            level = self._lamp.level(self._light, now_s - self._since_s)
            # Full or dark, not 1 - level: half way through a breath that would be no change at all.
            self._inverted_to = 0.0 if level >= 0.5 else 1.0
            self._acknowledged_s = now_s
            self._changed.set()

    async def run(self) -> None:
        """Take the pins, report edges and draw the light, until cancelled. A steady light causes no wake-ups."""
        self._take_pins()
        while True:
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._draw(time.monotonic())):
                    await self._changed.wait()

    def close(self) -> None:
        """Give the pins back, the LED dark. Harmless when repeated, or when ``run`` never was."""
        if self._button is not None:
            self._button.close()
            self._button = None
        lamp, self._lamp = self._lamp, _NoLamp()
        _put_out(lamp)

    def _take_pins(self) -> None:
        button, leds = self._settings.button, self._settings.leds
        if (button.gpio or leds.kind != "none") and _has_pin_driver():
            # The light first: it is what says that the box has power.
            self._lamp = _lamp(leds)
            self._button = _button(button, self._deliver)

    def _draw(self, now_s: float) -> float | None:
        """Write to the LED what is to be seen now. Returns seconds until that changes; None: it does not."""
        if self._light is None:
            return None
        elapsed_s = now_s - self._since_s
        interval_s = self._lamp.next_change_s(self._light, elapsed_s)
        level = self._lamp.level(self._light, elapsed_s)
        inverted_s = self._acknowledged_s + ACKNOWLEDGE_S - now_s
        if inverted_s > 0:
            interval_s, level = inverted_s, self._inverted_to
        try:
            self._lamp.write(level, self._light.colour)
        except Exception as error:
            # Every pin driver has exceptions of its own. The box lives on without its light.
            log.error("the light no longer works: %s; it stays dark until the daemon is started again", _reason(error))
            _put_out(self._lamp)
            self._lamp = _NoLamp()
            return None
        return interval_s

    def _deliver(self, down: bool, at_s: float) -> None:
        try:
            self._on_edge(down, at_s, SOURCE)
        except Exception:
            # One edge that could not be dealt with must not take the button from the person for good.
            log.exception("a %s of the button was lost", "press" if down else "release")


class _Button:
    """Edges of one contact, handed over from the pin driver's thread to the loop.

    Not gpiozero's Button: that one starts a thread that wakes ten times a second to look whether the button is held.
    """

    def __init__(self, settings: ButtonSettings, deliver: Callable[[bool, float], None]) -> None:
        """``deliver`` gets (down, at_s) on the loop. Raises whatever the pin driver does."""
        from gpiozero import DigitalInputDevice

        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._edges: deque[tuple[bool, float]] = deque()
        """Not yet delivered, down and up by turns. Guarded by the lock."""
        self._device: Any = DigitalInputDevice(settings.gpio, pull_up=settings.pull == "up")
        if self._device.is_active:
            log.warning("the button on GPIO%d is down at start: ignored until it is released", settings.gpio)
        self._device.when_activated = lambda: self._note(True)
        self._device.when_deactivated = lambda: self._note(False)

    def close(self) -> None:
        """Give the pin back; no edge is delivered afterwards."""
        with self._lock:
            self._edges.clear()
        try:
            self._device.when_activated = self._device.when_deactivated = None
            self._device.close()
        except Exception as error:
            log.debug("button: %s", _reason(error))

    def _note(self, down: bool) -> None:
        """On the pin driver's thread, which an exception would end for good."""
        at_s = time.monotonic()
        with self._lock:
            asked = bool(self._edges)
            if len(self._edges) >= MOST_EDGES:
                self._edges.pop()
            else:
                self._edges.append((down, at_s))
        if not asked:
            # RuntimeError: the loop has ended, and with it everybody who could want to know.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._hand_over)

    def _hand_over(self) -> None:
        with self._lock:
            edges = list(self._edges)
            self._edges.clear()
        for down, at_s in edges:
            self._deliver(down, at_s)


class _Lamp(Protocol):
    """One LED of some kind."""

    def level(self, light: Light, elapsed_s: float) -> float:
        """0 to 1: how bright this kind of LED is then."""

    def next_change_s(self, light: Light, elapsed_s: float) -> float | None:
        """Until that changes; None: it does not."""

    def write(self, level: float, colour: Colour) -> None:
        """Light it. Raises whatever the pin driver does."""

    def close(self) -> None:
        """Put it out and give the pins back. Raises whatever the pin driver does."""


class _NoLamp:
    """No LED: nothing to see, nothing to wake up for."""

    def level(self, light: Light, elapsed_s: float) -> float:
        return 0.0

    def next_change_s(self, light: Light, elapsed_s: float) -> float | None:
        return None

    def write(self, level: float, colour: Colour) -> None:
        pass

    def close(self) -> None:
        pass


class _DimmedLamp:
    """An LED with PWM, of one colour (one pin) or three. Writes only what differs from what is shown."""

    def __init__(self, device: Any) -> None:
        """``device`` is gpiozero's PWMLED or RGBLED, dark."""
        self._device = device
        self._has_colour = isinstance(device.value, tuple)
        self._written: object = device.value

    def level(self, light: Light, elapsed_s: float) -> float:
        return light.brightness(elapsed_s)

    def next_change_s(self, light: Light, elapsed_s: float) -> float | None:
        return light.frame_interval_s(elapsed_s)

    def write(self, level: float, colour: Colour) -> None:
        value = tuple(part * level for part in colour) if self._has_colour else level
        if value != self._written:
            self._device.value = value
            self._written = value

    def close(self) -> None:
        self._device.off()
        self._device.close()


class _SwitchedLamp:
    """An LED that is on or off."""

    def __init__(self, device: Any) -> None:
        """``device`` is gpiozero's LED, dark."""
        self._device = device

    def level(self, light: Light, elapsed_s: float) -> float:
        return float(light.is_lit(elapsed_s))

    def next_change_s(self, light: Light, elapsed_s: float) -> float | None:
        return light.switch_interval_s(elapsed_s)

    def write(self, level: float, colour: Colour) -> None:
        self._device.value = level >= 0.5

    def close(self) -> None:
        self._device.off()
        self._device.close()


def _has_pin_driver() -> bool:
    """Whether gpiozero has found one; if not, or not the best, one line in the log says why."""
    from gpiozero import Device

    with warnings.catch_warnings(record=True) as fallbacks:
        # gpiozero tells by warnings, some of several lines, why it did not take the driver it should have taken.
        warnings.simplefilter("always")
        try:
            Device.ensure_pin_factory()
        except Exception as error:
            reasons = "; ".join(_reason(reason) for reason in (error, *(fallback.message for fallback in fallbacks)))
            log.error("no button and no light: install python3-lgpio, or set both to none (%s)", reasons)
            return False
    if fallbacks:
        log.warning("pins: %s", "; ".join(_reason(fallback.message) for fallback in fallbacks))
    return True


def _lamp(settings: LedSettings) -> _Lamp:
    """The LED that is wired, dark; or none, with a line in the log if there should be one."""
    if settings.kind == "none":
        return _NoLamp()
    import gpiozero

    def build() -> _Lamp:
        match settings.kind:
            case "led":
                return _SwitchedLamp(gpiozero.LED(*settings.gpio, active_high=settings.active_high))
            case "pwm":
                return _DimmedLamp(gpiozero.PWMLED(*settings.gpio, active_high=settings.active_high))
            case "rgb":
                return _DimmedLamp(gpiozero.RGBLED(*settings.gpio, active_high=settings.active_high))
        raise ValueError(f"an LED of kind {settings.kind!r} is not known")

    return _tried(build, f"no light on GPIO{', '.join(str(pin) for pin in settings.gpio)}") or _NoLamp()


def _button(settings: ButtonSettings, deliver: Callable[[bool, float], None]) -> _Button | None:
    """The button that is wired; or None, with a line in the log if there should be one."""
    if settings.gpio == 0:
        return None
    return _tried(lambda: _Button(settings, deliver), f"no button on GPIO{settings.gpio}")


def _tried(build: Callable[[], Part], what: str) -> Part | None:
    """What ``build`` returns, or None and one line that begins with ``what``."""
    try:
        return build()
    except Exception as error:
        # Every pin driver has exceptions of its own. A box without pins can still be talked to by the socket.
        log.error("%s: %s", what, _reason(error))
        return None


def _put_out(lamp: _Lamp) -> None:
    try:
        lamp.close()
    except Exception as error:
        log.debug("light: %s", _reason(error))


def _reason(error: BaseException | Warning | str) -> str:
    """One line that says what went wrong."""
    return " ".join(str(error).split()) or type(error).__name__
