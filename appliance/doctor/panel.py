"""Pins: the driver, the button and the light, where no daemon has them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final

from appliance.config.settings import ContactSettings, PanelSettings
from appliance.panel import pins
from appliance.panel.light import Pattern
from appliance.panel.panel import Panel
from appliance.panel.usb_button import Keys

from .finding import Finding, fault, ok, skipped, warning

PINS: Final = "pins"
BUTTON: Final = "button"
BUTTON_BOX: Final = "button box"
LIGHT: Final = "light"

PRESS_S: Final = 15.0
"""What a person gets to walk over to the box and press."""

WALK: Final = (Pattern.READY, Pattern.LISTENING, Pattern.WAIT, Pattern.SPEAKING, Pattern.FAULT_NETWORK)
"""What staff see every day, and one fault; `lights` shows all."""

STEP_S: Final = 3.0
"""Each of them: three blinks of *wait*, half of a breath and more."""

PLUG_IN: Final = "plug it in; voice-appliance keys lists what is there"
NOT_WIRED: Final = ContactSettings(0, "up")

WIRING: Final = "check the wiring (README, Wiring)"


def driver(settings: PanelSettings) -> Finding:
    """Whether gpiozero finds its pins; with one of its own makeshifts that is a warning."""
    if not (settings.button.gpio or settings.mute.gpio or settings.leds.kind != "none"):
        return skipped(PINS, "none are wired, says the configuration")
    try:
        makeshift = pins.open_driver()
    except OSError as error:
        return broken(str(error))
    if makeshift:
        return warning(PINS, f"gpiozero uses {pins.driver_name()}", makeshift)
    return ok(PINS, f"gpiozero uses {pins.driver_name()}")


def broken(said: str) -> Finding:
    """A fault of the pins. ``said``: by ``pins.explained``, what to do and in brackets what the driver said."""
    return fault(PINS, "no access to button and light", said)


def without_pins(settings: PanelSettings) -> PanelSettings:
    """What is left where there are no pins: the button box on USB."""
    return replace(settings, button=NOT_WIRED, mute=NOT_WIRED, leds=replace(settings.leds, kind="none"))


@contextlib.asynccontextmanager
async def taken(settings: PanelSettings) -> AsyncIterator[tuple[Panel, Keys, asyncio.Event]]:
    """The panel, the button box on USB, and what is set when a button goes down. Given back at the end."""
    pressed = asyncio.Event()

    def edge(down: bool, at_s: float, source: str) -> None:
        if down:
            pressed.set()

    # A switch is no button.
    panel = Panel(replace(settings, mute=NOT_WIRED), edge)
    keys = Keys(settings.key, edge)
    tasks = [asyncio.create_task(part.run()) for part in (panel, keys)]
    # Each takes what it can get, or knows why not, before anything else in its task.
    await asyncio.sleep(0)
    try:
        yield panel, keys, pressed
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        panel.close()


def where(settings: PanelSettings) -> str:
    """Which button is meant; empty if the box has none."""
    on_pin = f"GPIO{settings.button.gpio}" if settings.button.gpio else ""
    return " or ".join(filter(None, (on_pin, settings.key.key if settings.key.device else "")))


def button(place: str, *, seen: bool) -> Finding:
    """What a press that was asked for has come to. ``place``: of ``where``."""
    if seen:
        return ok(BUTTON, f"a press was seen ({place})")
    fix = f"{WIRING}, panel.button and panel.key"
    return fault(BUTTON, f"no press was seen within {PRESS_S:.0f} s ({place})", fix)


def button_box(trouble: str) -> Finding:
    """The one on USB. ``trouble``: its line, "no key: why; what to do"."""
    if not trouble:
        return ok(BUTTON_BOX, "it is there")
    why, _, fix = trouble.removeprefix("no key: ").partition("; ")
    return fault(BUTTON_BOX, f"it cannot be used: {why}", f"{fix or PLUG_IN}")


def light(seen: bool | None) -> Finding:
    """What a person says of the light; None: nobody was asked."""
    if seen is None:
        return skipped(LIGHT, "nobody was asked whether it shows")
    if seen:
        return ok(LIGHT, "it shows what it should")
    return fault(LIGHT, "it does not show what it should", f"{WIRING}, the LED's direction, and panel.leds")
