"""Walk through everything that the light can say: name, meaning, and the pattern itself, drawn here as it goes by and
shown on the box's own LED, if one is configured.

A daemon that runs has the LED; stop it first (systemctl stop voice-appliance), or see the drawing alone.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final, TextIO

from appliance.config import loader
from appliance.config import settings as config_tables
from appliance.errors import UsageError
from appliance.panel.light import MEANINGS, Pattern

CELL_S: Final = 0.1
"""One character of the drawing: 6 s, the longest fault and its pause, fit into 60."""

SAMPLES: Final = 5
"""Looks at the pattern in one character, of which the brightest counts: the shortest blip lasts 0.12 s."""

SHADES: Final = {True: " ▁▂▃▄▅▆▇█", False: " .:-=+*%#"}
"""From dark to full, where the terminal knows Unicode and where it does not."""

LAMPS: Final = ("ready", "busy", "fault")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which, for how long, and whether the LED takes part."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("patterns", metavar="PATTERN", nargs="*", help="only these, such as wait or fault_key")
    parser.add_argument("--seconds", type=float, default=6.0, metavar="S", help="how long each is shown (6)")
    parser.add_argument("--draw", action="store_true", help="only draw them, all at once, without the LED")


def run(args: argparse.Namespace) -> int:
    """Show them; 0. Raises ConfigurationError and UsageError."""
    settings = loader.load(args.config).panel
    patterns = list(Pattern)
    if args.patterns:
        known = {pattern.name.lower(): pattern for pattern in Pattern}
        unknown = [name for name in args.patterns if name.lower().replace("-", "_") not in known]
        if unknown:
            raise UsageError(f"no such pattern: {', '.join(unknown)}; there are: {', '.join(known)}")
        patterns = [known[name.lower().replace("-", "_")] for name in args.patterns]
    if not 0.5 <= args.seconds <= 3600:
        raise UsageError(f"--seconds must be from 0.5 to 3600, not {args.seconds:g}")
    drawing = Drawing(sys.stdout, settings.leds.kind)
    if args.draw:
        for pattern in patterns:
            drawing.title(pattern)
            drawing.strip(pattern, args.seconds)
        return 0
    asyncio.run(walk(patterns, args.seconds, settings, drawing))
    return 0


async def walk(
    patterns: Sequence[Pattern], seconds: float, settings: config_tables.PanelSettings, drawing: Drawing
) -> None:
    """Show each on the LED of ``settings`` while it is drawn."""
    from appliance.panel.panel import Panel

    # Only the light: whatever else is wired may stay with a daemon that runs.
    none = config_tables.ContactSettings(0, "up")
    panel = Panel(replace(settings, button=none, mute=none), lambda down, at_s, source: None)
    light = asyncio.create_task(panel.run())
    try:
        loop = asyncio.get_running_loop()
        # It takes its LED in its first turn, and may not be able to dim it.
        await asyncio.sleep(0)
        if panel.is_dimmed is False:
            drawing.switch_only()
        for pattern in patterns:
            drawing.title(pattern)
            panel.show(pattern)
            began_s = loop.time()
            for number, cell in enumerate(drawing.cells(pattern, seconds)):
                drawing.write(cell)
                await asyncio.sleep(began_s + (number + 1) * CELL_S - loop.time())
            drawing.write("\n")
    finally:
        light.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await light
        panel.close()


class Drawing:
    """Patterns on ``stream``, a character for each 0.1 s, as an LED of ``kind`` shows them."""

    def __init__(self, stream: TextIO, kind: str) -> None:
        self._stream = stream
        self._kind = kind
        self._switched = kind in ("led", "three")
        """The LED is on or off, whatever its kind."""
        self._shades = SHADES[(stream.encoding or "ascii").lower().replace("-", "").startswith("utf")]
        self._coloured = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"

    def switch_only(self) -> None:
        """The LED proved to be one that cannot be dimmed."""
        self._switched = True

    def title(self, pattern: Pattern) -> None:
        """Name and meaning, on a line above the drawing; of three LEDs, which."""
        lamps = " + ".join(name for name, lit in zip(LAMPS, pattern.lamps, strict=True) if lit)
        which = f" [{lamps}]" if self._kind == "three" else ""
        self.write(f"{pattern.name.lower():<18}{MEANINGS[pattern]}{which}\n")

    def strip(self, pattern: Pattern, seconds: float) -> None:
        """All of it at once."""
        self.write("".join(self.cells(pattern, seconds)) + "\n")

    def cells(self, pattern: Pattern, seconds: float) -> Iterator[str]:
        """The characters, in the pattern's colour where the terminal has colours."""
        red, green, blue = (round(40 + 215 * part) for part in pattern.colour)
        for number in range(round(seconds / CELL_S)):
            times_s = [(number + sample / SAMPLES) * CELL_S for sample in range(SAMPLES)]
            level = max(float(pattern.is_lit(at_s)) if self._switched else pattern.brightness(at_s) for at_s in times_s)
            # The square root: the eye takes a tenth of the current for a third of the light. What glows is not dark.
            step = round(level**0.5 * (len(self._shades) - 1))
            cell = self._shades[max(step, 1) if level else 0]
            yield f"\x1b[38;2;{red};{green};{blue}m{cell}\x1b[0m" if self._coloured else cell

    def write(self, text: str) -> None:
        """At once, over a pipe too."""
        self._stream.write(text)
        self._stream.flush()
