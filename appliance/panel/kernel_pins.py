"""gpiozero's pins on the kernel's GPIO lines: edges come on the event loop, and a level that stays costs nothing.

Every driver that gpiozero brings has a thread, and lgpio's looks at its pins 2 000 times a second for ever (15 to
17 % of the processor for one button, measured in a virtual machine of a Raspberry Pi Zero's speed).
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from gpiozero.exc import (
    PinEdgeDetectUnsupported,
    PinFixedPull,
    PinInvalidBounce,
    PinInvalidEdges,
    PinInvalidFunction,
    PinInvalidPull,
    PinSetInput,
)
from gpiozero.pins.local import LocalPiFactory, LocalPiPin

from appliance.panel.gpio_lines import Flag, Line, header_chip

PULLS: Final = {"up": Flag.PULL_UP, "down": Flag.PULL_DOWN, "floating": Flag.NO_PULL}
EDGES: Final = {
    "both": Flag.EDGE_RISING | Flag.EDGE_FALLING,
    "rising": Flag.EDGE_RISING,
    "falling": Flag.EDGE_FALLING,
}


class KernelFactory(LocalPiFactory):  # type: ignore[misc]
    """All pins of the header. Raises OSError: there is no chip, or it may not be opened."""

    def __init__(self) -> None:
        super().__init__()
        self.chip = header_chip()
        self.pin_class = KernelPin

    def close(self) -> None:
        """Give back every pin, and the chip. Harmless when repeated."""
        super().close()
        # A factory whose construction has failed is closed, too.
        if (chip := getattr(self, "chip", None)) is not None:
            chip.close()


class KernelPin(LocalPiPin):  # type: ignore[misc]
    """One pin. Its line is taken when it is first used, and given back by ``close``. Without PWM."""

    def __init__(self, factory: KernelFactory, info: Any) -> None:
        super().__init__(factory, info)
        self.edge_s: float | None = None
        """When the edge was, in monotonic seconds, that ``when_changed`` is being told; None: there was none."""
        self._line: Line | None = None
        """None while the pin is not used."""
        self._loop: asyncio.AbstractEventLoop | None = None
        """Where edges are read; None: they are not watched."""
        self._function = "input"
        self._pull = "floating"
        self._edges = "both"
        self._bounce_s: float | None = None

    def close(self) -> None:
        """Give the line back. The pin can be used again."""
        self._unwatch()
        self._when_changed = None
        line, self._line = self._line, None
        if line is not None:
            line.close()
        self._function, self._pull, self._edges, self._bounce_s = "input", "floating", "both", None

    def output_with_state(self, state: float) -> None:
        """At once with that level: an LED to 3.3 V must not flash."""
        self._function = "output"
        self._apply(high=bool(state))

    def input_with_pull(self, pull: str) -> None:
        """At once with that pull: a floating pin has any level."""
        self._function = "input"
        self._set_pull(pull)

    # ------------------------------------------------------------ what gpiozero's properties call

    def _get_function(self) -> str:
        return self._function

    def _set_function(self, value: str) -> None:
        if value not in ("input", "output"):
            raise PinInvalidFunction(f"invalid function {value!r} for pin {self!r}")
        high = self._line is not None and self._line.read()
        self._function = value
        self._apply(high=high)

    def _get_state(self) -> bool:
        return self._taken().read()

    def _set_state(self, value: float) -> None:
        if self._function != "output":
            raise PinSetInput(f"cannot set state of pin {self!r}")
        self._taken().write(bool(value))

    def _get_pull(self) -> str:
        return self._pull

    def _set_pull(self, value: str) -> None:
        if self._function != "input":
            raise PinFixedPull(f"cannot set pull on non-input pin {self!r}")
        if self.info.pull not in (value, ""):
            raise PinFixedPull(f"{self!r} has a physical pull-{self.info.pull} resistor")
        if value not in PULLS:
            raise PinInvalidPull(f"invalid pull {value!r} for pin {self!r}")
        self._pull = value
        self._apply()

    def _get_bounce(self) -> float | None:
        return self._bounce_s

    def _set_bounce(self, value: float | None) -> None:
        if value is not None and value < 0:
            raise PinInvalidBounce("bounce must be 0 or greater")
        self._bounce_s = value
        self._apply()

    def _get_edges(self) -> str:
        return self._edges

    def _set_edges(self, value: str) -> None:
        if value not in EDGES:
            raise PinInvalidEdges(f"invalid edges {value!r} for pin {self!r}")
        self._edges = value
        self._apply()

    # ------------------------------------------------------------ edges

    def _enable_event_detect(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError as error:
            raise PinEdgeDetectUnsupported(f"no event loop runs that could be told of edges of {self!r}") from error
        self._loop = loop
        try:
            self._apply()
        except OSError:
            self._loop = None
            raise
        loop.add_reader(self._taken().fileno(), self._read_edges)

    def _disable_event_detect(self) -> None:
        if self._unwatch():
            self._apply()

    def _unwatch(self) -> bool:
        """Whether edges were watched."""
        loop, self._loop = self._loop, None
        if loop is None or self._line is None:
            return False
        # A loop that was closed has forgotten its readers.
        if not loop.is_closed():
            loop.remove_reader(self._line.fileno())
        return True

    def _read_edges(self) -> None:
        try:
            edges = self._taken().edges()
        except OSError:
            # The chip is gone, and its descriptor readable for ever. Whoever reads the pin next is told why.
            self._unwatch()
            return
        for edge in edges:
            if self._when_changed is None:
                return
            self.edge_s = edge.at_s
            self._call_when_changed(edge.at_s, int(edge.high))

    # ------------------------------------------------------------ the line

    def _taken(self) -> Line:
        if self._line is None:
            self._apply()
        assert self._line is not None
        return self._line

    def _apply(self, *, high: bool = False) -> None:
        """Have the line as it is wanted. Raises OSError."""
        flags, debounce_us = Flag.OUTPUT, 0
        if self._function == "input":
            flags = Flag.INPUT | PULLS[self._pull]
            if self._loop is not None:
                flags |= EDGES[self._edges]
            debounce_us = round(1e6 * (self._bounce_s or 0))
        if self._line is None:
            self._line = self.factory.chip.request(self._number, flags, high=high, debounce_us=debounce_us)
        else:
            self._line.configure(flags, high=high, debounce_us=debounce_us)
