"""The button, the mute switch and the light on the box.

The panel knows pins, not meanings: what it shows is any object with the methods of ``Light`` (the daemon passes the
patterns of ``panel/light.py``), and what a contact means is for whom ``on_edge`` tells.

Threads: some pin drivers report an edge on a thread of their own. That thread only notes it and asks the loop, once,
to look; everything else happens on the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Final

from appliance.config.settings import PanelSettings
from appliance.journal.catalog import Kind, entry
from appliance.panel import pins
from appliance.panel.contact import MOST_EDGES, Contact
from appliance.panel.leds import DimmedLamp, Lamp, Light, NoLamp

__all__ = ["ACKNOWLEDGE_PAUSE_S", "ACKNOWLEDGE_S", "MOST_EDGES", "MUTE_SWITCH", "RETRY_S", "SOURCE", "Light", "Panel"]

log = logging.getLogger(__name__)

SOURCE: Final = "button"
"""What ``on_edge`` is told as the source of an edge of the button."""

MUTE_SWITCH: Final = "mute switch"
"""The same for the switch. One that is closed at the start, down, counts as just closed."""

LIGHT: Final = "light"
"""What the log calls it."""

ACKNOWLEDGE_S: Final = 0.08
"""How long a press inverts the light (decision 23)."""

ACKNOWLEDGE_PAUSE_S: Final = 0.4
"""From one inversion to the next at least: a contact that chatters slower than the debounce must not make the light
flicker. Nothing on the box flashes faster than 2.5 Hz."""

RETRY_S: Final = 2.0
"""Between two attempts to have a vanished pin again, as for every other piece of hardware (design.md, section 2)."""

LONGEST_RETRY_S: Final = 60.0
"""What that pause doubles to where a pin could not be had at the start. A group that udev sets late, or a program that
still holds the pin, is over in seconds; a machine without pins stays one, and loading a driver in vain takes it some
10 ms."""

OnEdge = Callable[[bool, float, str], None]
"""(down, at_s, source): a contact changed at the monotonic time ``at_s``. Called on the loop."""


class Panel:
    """Button, mute switch and light of one box. Build it, ``await run()`` it, show what is to be shown, ``close()`` it.

    A part that is not wired, or whose pins cannot be had, does nothing; the second with one line in the log. The box
    can still be talked to through its control socket. Pins that vanish while it runs are one line, too. Both are tried
    again until they are there.
    """

    def __init__(self, settings: PanelSettings, on_edge: OnEdge) -> None:
        self._settings = settings
        self._on_edge = on_edge
        self._lamp: Lamp = NoLamp()
        self._contacts: list[Contact] = []
        self._light: Light | None = None
        self._since_s = 0.0
        """When the light began to be shown."""
        self._inverted_to = 0.0
        """Level during an acknowledgement."""
        self._acknowledged_s = float("-inf")
        """When the last acknowledgement began."""
        self._gone: list[Contact] = []
        """Contacts whose pins have vanished and are tried again."""
        self._lamp_gone = False
        """The LED is tried again with them."""
        self._retry_s = RETRY_S
        """The next pause; grows only before the first success."""
        self._retry_timer: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()
        self.lit = asyncio.Event()
        """Set when the first light was drawn, or there is no LED to draw it on."""
        self.due_s: float | None = None
        """When the light changes by itself, in monotonic seconds; None: it is steady, or ``run`` has not begun."""
        self.faults: dict[str, str] = {}
        """Part that does not work: one line that says why, and what to do."""

    @property
    def current_light(self) -> str:
        """Name of what is shown, in lower case; empty before the first. True without an LED too."""
        return "" if self._light is None else self._light.name.lower()

    @property
    def is_dimmed(self) -> bool | None:
        """Whether the LED shows brightness between dark and full; None: there is none, or ``run`` has not begun."""
        return None if isinstance(self._lamp, NoLamp) else isinstance(self._lamp, DimmedLamp)

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
            interval_s = self._draw(time.monotonic())
            self.due_s = None if interval_s is None else time.monotonic() + interval_s
            if self._light is not None:
                self.lit.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(interval_s):
                    await self._changed.wait()

    def close(self) -> None:
        """Give the pins back, the LED dark. Harmless when repeated, or when ``run`` never was."""
        if self._retry_timer is not None:
            self._retry_timer.cancel()
            self._retry_timer = None
        for contact in (*self._contacts, *self._gone):
            contact.close()
        self._contacts, self._gone = [], []
        self._put_out()

    # ------------------------------------------------------------ taking the pins

    def _take_pins(self) -> None:
        button, mute, leds = self._settings.button, self._settings.mute, self._settings.leds
        if not (button.gpio or mute.gpio or leds.kind != "none"):
            return
        wanted = [
            Contact(what, settings.gpio, settings.pull, deliver, self._lost)
            for what, settings, deliver in ((SOURCE, button, self._button), (MUTE_SWITCH, mute, self._switch))
            if settings.gpio
        ]
        try:
            makeshift = pins.open_driver()
        except OSError as error:
            self.faults["button and light"] = str(error)
            log.error("no button and no light: %s", error, extra=entry(Kind.NO_PINS))
            self._gone, self._lamp_gone = wanted, leds.kind != "none"
            self._try_again(self._retry_s)
            return
        if makeshift:
            log.warning("pins: %s", makeshift, extra=entry(Kind.PINS_MAKESHIFT))
        # The light first: it is what says that the box has power.
        if leds.kind != "none":
            self._lamp_gone = not self._take_lamp(logging.ERROR)
        for contact in wanted:
            self._take(contact)
        if self._gone or self._lamp_gone:
            self._try_again(self._retry_s)

    def _take_lamp(self, level: int) -> bool:
        leds = self._settings.leds
        try:
            self._lamp = pins.lamp(leds.kind, leds.gpio, leds.active_high)
        except Exception as error:
            # Every pin driver has exceptions of its own. A box without pins can still be talked to by the socket.
            self.faults[LIGHT] = _explained(error)
            numbers = ", ".join(map(str, leds.gpio))
            log.log(level, "no light on GPIO%s: %s", numbers, _explained(error), extra=entry(Kind.NO_PINS))
            return False
        return True

    def _take(self, contact: Contact) -> None:
        try:
            contact.open()
        except Exception as error:
            self.faults[contact.what] = _explained(error)
            what, extra = contact.what, entry(Kind.NO_PINS)
            log.error("no %s on GPIO%d: %s", what, contact.gpio, _explained(error), extra=extra)
            self._gone.append(contact)
            return
        self._contacts.append(contact)
        self._begin(contact)

    def _begin(self, contact: Contact) -> None:
        """What the level means that a contact was found with."""
        if contact.what == MUTE_SWITCH:
            # A switch stands where it stands, and an edge may have been missed.
            self._switch(contact.is_closed, time.monotonic())
        elif contact.is_closed:
            line = "the button on GPIO%d is down at start: ignored until it is released"
            log.warning(line, contact.gpio, extra=entry(Kind.BUTTON_STUCK))

    # ------------------------------------------------------------ the light

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
            self._lamp.write(level, self._light)
        except Exception as error:
            self._lost(None, error)
            return None
        return interval_s

    def _put_out(self) -> None:
        lamp, self._lamp = self._lamp, NoLamp()
        try:
            lamp.close()
        except Exception as error:
            log.debug("light: %s", _explained(error))

    # ------------------------------------------------------------ pins that vanish

    def _lost(self, failed: Contact | None, error: Exception) -> None:
        """A contact (None: the light) no longer answers. What else is gone with it is looked at now, so that it is one
        line."""
        lamp = failed is None or not self._lamp_answers()
        gone = [contact for contact in self._contacts if contact is failed or not contact.answers()]
        parts = " and ".join([*(contact.what for contact in gone), *([LIGHT] if lamp else [])])
        then = f"tried again every {RETRY_S:g} s" if gone else "it stays dark until the daemon is started again"
        log.error("the %s no longer works: %s; %s", parts, _explained(error), then, extra=entry(Kind.PINS_LOST))
        if lamp:
            self.faults[LIGHT] = _explained(error)
            self._put_out()
        for contact in gone:
            self.faults[contact.what] = _explained(error)
            self._contacts.remove(contact)
            contact.close()
            if contact.what == SOURCE and contact.is_closed:
                # Nobody will see its release; a switch, though, stays where it stood.
                self._button(False, time.monotonic())
        self._gone += gone
        self._lamp_gone = self._lamp_gone or (lamp and bool(gone))
        if self._gone:
            self._retry_s = RETRY_S
            self._try_again(0)

    def _lamp_answers(self) -> bool:
        try:
            self._lamp.write_again()
        except Exception:
            return False
        return True

    def _try_again(self, longer_by_s: float) -> None:
        """Have ``_retry`` called after the pause, and the one after that longer by so much."""
        if self._retry_timer is None:
            self._retry_timer = asyncio.get_running_loop().call_later(self._retry_s, self._retry, longer_by_s)
            self._retry_s = min(self._retry_s + longer_by_s, LONGEST_RETRY_S)

    def _retry(self, longer_by_s: float) -> None:
        self._retry_timer = None
        try:
            if not self._contacts and isinstance(self._lamp, NoLamp):
                # Nothing else of ours depends on the driver's handle of the chip, and it may be void.
                pins.open_driver_again()
            for contact in self._gone:
                contact.open()
            lamp_is_back = self._lamp_gone and self._take_lamp(logging.DEBUG)
        except Exception as error:
            log.debug("pins: %s", _explained(error))
            for contact in self._gone:
                contact.close()
            self._try_again(2 * longer_by_s)
            return
        back, self._gone = self._gone, []
        self._contacts += back
        names = [contact.what for contact in back]
        # The driver and all contacts are there; the light alone may stay dark.
        self.faults = {} if lamp_is_back else {what: why for what, why in self.faults.items() if what == LIGHT}
        if lamp_is_back:
            self._lamp_gone = False
            self._changed.set()
            names.append(LIGHT)
        if names:
            verb = "works" if len(names) == 1 else "work"
            log.info("the %s %s again", " and ".join(names), verb, extra=entry(Kind.PINS_BACK))
        for contact in back:
            self._begin(contact)
        if self._lamp_gone:
            self._try_again(2 * longer_by_s)

    # ------------------------------------------------------------ what the contacts tell

    def _button(self, down: bool, at_s: float) -> None:
        self._tell(down, at_s, SOURCE)

    def _switch(self, closed: bool, at_s: float) -> None:
        self._tell(closed, at_s, MUTE_SWITCH)

    def _tell(self, down: bool, at_s: float, source: str) -> None:
        try:
            self._on_edge(down, at_s, source)
        except Exception as error:
            # One edge that could not be dealt with must not take the button from the person for good.
            trace = error if log.isEnabledFor(logging.DEBUG) else None
            edge, kind = "press" if down else "release", type(error).__name__
            said = "a %s of the %s was lost: %s: %s"
            log.error(said, edge, source, kind, error, exc_info=trace, extra=entry(Kind.PRESS_LOST))


def _explained(error: Exception) -> str:
    return pins.explained(str(error) or type(error).__name__)
