"""One contact on a pin, a button or a switch: its edges, handed over from the pin driver to the loop.

The driver is not believed. On some pairs of kernel and driver no edge is ever reported, and a driver's thread that an
exception has ended says nothing either. So the contact is looked at as well: twice a second where the kernel itself has
agreed to report edges, or the driver has reported one; ten times a second before. A level that nobody reported counts
as an edge at once, and from then on there is a look every 20 ms; if the driver is still silent a quarter of a second
later it is given up, with one line, and the looking goes on every 20 ms.

What that costs a healthy box, of a core of the machine it was measured on (gpiozero's mock, a shared virtual one):
0.14 % ten times a second, 0.04 % twice; every 20 ms from the start would be 0.7 %. One look is one read of the
pin, some 3 µs of it; the rest is the loop's waking up. A Pi takes several times that (not measured).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from appliance.journal.catalog import Kind, entry
from appliance.panel import pins

log = logging.getLogger(__name__)

MOST_EDGES: Final = 64
"""Edges kept for a loop that is busy. Beyond them an edge and its opposite cancel: of a storm only the first edges and
the last state matter."""

POLL_S: Final = 0.02
"""Between two looks at a contact whose driver is known not to report: nobody presses and lets go in less."""

UNPROVEN_S: Final = 0.1
"""Between two looks at one whose driver has reported nothing yet, perhaps because nothing has happened. It is within
what a person takes for at once; of a silent driver's first press a shorter one may go unseen."""

LOOK_S: Final = 0.5
"""Between two looks at one whose driver reports: how long a lost release can last, or a vanished chip go unnoticed."""

REPORT_S: Final = 0.25
"""What the driver gets to report an edge that was seen. Its thread is late by milliseconds on a busy machine."""


class Contact:
    """A contact that ``open`` has taken. ``deliver`` gets (closed, at_s), on the loop, closed and open by turns.
    ``failed`` is told, once, on the loop, when the pin can no longer be read; then ``close``, or ``open`` again.
    """

    def __init__(
        self,
        what: str,
        gpio: int,
        pull: str,
        deliver: Callable[[bool, float], None],
        failed: Callable[[Contact, Exception], None],
    ) -> None:
        """``what``: its name in the log. ``pull``: "up" (closed to ground) or "down" (closed to 3.3 V)."""
        self.what = what
        self.gpio = gpio
        self._pull = pull
        self._deliver = deliver
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._edges: deque[tuple[bool, float]] = deque()
        """Not yet delivered, closed and open by turns. Guarded by the lock, as the next three."""
        self.is_closed = False
        """Closed, as far as is known: what was noted last."""
        self._last_s = float("-inf")
        """When that was."""
        self._reports = False
        """The driver has reported an edge, or the kernel has agreed to."""
        self._device: Any = None
        """None while it is not open."""
        self._polled = False
        """The driver has been given up."""
        self._missed_s: float | None = None
        """When an edge was seen that the driver has not reported so far; None: there is none."""
        self._timer: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Take the pin. The level it has is the one to begin with, and no edge. Raises whatever the pin driver does."""
        self.close()
        self._device, silent, vouched_for = pins.contact(self.gpio, self._pull)
        self._polled, self._reports, self._missed_s = bool(silent), vouched_for, None
        self.is_closed = bool(self._device.is_active)
        if silent:
            self._say_polled(silent)
        else:
            self._device.when_activated = lambda device: self._reported(True, pins.edge_s(device))
            self._device.when_deactivated = lambda device: self._reported(False, pins.edge_s(device))
        self._timer = self._loop.call_later(self._interval_s(), self._look)

    def close(self) -> None:
        """Give the pin back; no edge is delivered afterwards. Harmless when repeated."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        device, self._device = self._device, None
        with self._lock:
            self._edges.clear()
        try:
            if device is not None:
                self._ignore(device)
                device.close()
        except Exception as error:
            log.debug("%s: %s", self.what, error)

    def answers(self) -> bool:
        """Whether the pin can be read."""
        try:
            return self._device is not None and self._device.is_active in (0, 1)
        except Exception:
            return False

    # ------------------------------------------------------------ looking

    def _look(self) -> None:
        now_s = time.monotonic()
        try:
            level = bool(self._device.is_active)
        except Exception as error:
            # Every pin driver has exceptions of its own.
            self._timer = None
            self._failed(self, error)
            return
        with self._lock:
            missed = level != self.is_closed
        if missed:
            self._note(level, now_s)
            if not self._polled and self._missed_s is None:
                self._missed_s = now_s
        if self._missed_s is not None and now_s - self._missed_s >= REPORT_S:
            self._polled, self._missed_s = True, None
            self._ignore(self._device)
            self._say_polled("an edge was seen that the pin driver did not report")
        self._timer = self._loop.call_later(self._interval_s(), self._look)

    def _interval_s(self) -> float:
        """To the next look."""
        if self._polled or self._missed_s is not None:
            return POLL_S
        return LOOK_S if self._reports else UNPROVEN_S

    def _say_polled(self, reason: str) -> None:
        text = "the %s on GPIO%d is looked at every %.0f ms, because edges are not reported: %s; nothing is lost by it"
        log.warning(text, self.what, self.gpio, 1000 * POLL_S, reason, extra=entry(Kind.PINS_MAKESHIFT))

    def _ignore(self, device: Any) -> None:
        """An edge that comes after all, long after it was seen, must not count a second time."""
        # gpiozero warns, in several lines, of a handler that is removed twice.
        if getattr(device, "when_activated", None) is not None:
            device.when_activated = device.when_deactivated = None

    # ------------------------------------------------------------ edges

    def _reported(self, closed: bool, at_s: float | None) -> None:
        """On the pin driver's thread, which an exception would end for good; or on the loop."""
        self._reports, self._missed_s = True, None
        self._note(closed, time.monotonic() if at_s is None else at_s)

    def _note(self, closed: bool, at_s: float) -> None:
        """On either. An edge that both have noticed counts once."""
        with self._lock:
            if closed is self.is_closed:
                return
            self.is_closed = closed
            # The kernel's report of an edge may come after a later look.
            self._last_s = max(self._last_s, at_s)
            asked = bool(self._edges)
            if len(self._edges) >= MOST_EDGES:
                self._edges.pop()
            else:
                self._edges.append((closed, self._last_s))
        if not asked:
            # RuntimeError: the loop has ended, and with it everybody who could want to know.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._hand_over)

    def _hand_over(self) -> None:
        with self._lock:
            edges = list(self._edges)
            self._edges.clear()
        for closed, at_s in edges:
            self._deliver(closed, at_s)
