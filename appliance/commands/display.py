"""What happens in a box, live on a terminal: one line that is redrawn, and above it the lines that stay.

On a pipe or a dumb terminal only the lines that stay are written. Malayalam is never inside the redrawn line, and
always last on a line of its own: its width on a terminal is anybody's guess. Any encoding will do; what it cannot show
is replaced.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import Any, Final, TextIO

from appliance.turn.lights import Pattern

FRAMES_PER_S: Final = 12
"""Enough for a breath to look like one; each frame is one short write."""

METER_STEPS: Final = 10
METER_FLOOR_DB: Final = -60.0


class Display:
    """Shows one box on ``stream``. ``light`` and ``level_db`` are asked for at each frame."""

    def __init__(self, stream: TextIO, light: Callable[[], Pattern], level_db: Callable[[], float]) -> None:
        self._stream = stream
        self._light = light
        self._level_db = level_db
        self._live = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._unicode = (stream.encoding or "ascii").lower().replace("-", "").startswith("utf")
        self._started_s = time.monotonic()
        self._shown: Pattern | None = None
        self._since_s = 0.0
        self._state = {"state": "starting", "link": "closed"}
        self._said: dict[str, str] = {}

    async def run(self) -> None:
        """Redraw until cancelled. Does nothing where nothing can be redrawn."""
        if not self._live:
            return
        try:
            while True:
                self._frame()
                await asyncio.sleep(1 / FRAMES_PER_S)
        finally:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def event(self, event: dict[str, Any]) -> None:
        """Something the daemon published."""
        match event:
            case {"event": "state", "state": state, "link": link, "light": light}:
                self._state = {"state": state, "link": link}
                self.line(f"{state:<10} light: {light.replace('_', ' '):<18} link: {link}")
            case {"event": "caption", "side": side, "until_s": float(), "text": text}:
                # The pieces of a reply are not shown: all of it is told once more, when its turn has ended.
                self._said[side] = f"{self._said.get(side, '')} {text}".strip()
            case {"event": "turn"}:
                self._turn(event)

    def line(self, text: str) -> None:
        """A line that stays, with the seconds since the start."""
        self._keep(f"{time.monotonic() - self._started_s:7.2f} s  {text}")

    def _turn(self, turn: dict[str, Any]) -> None:
        for side in ("person", "box"):
            if text := self._said.pop(side, ""):
                self.line(f"the {side} said:")
                self._keep(text.strip())
        figures = [
            f"{name} {turn[key] * 1000:.0f} ms"
            for name, key in (
                ("press to first audio sent", "press_to_first_append_s"),
                ("end of question to first sound", "end_to_audible_s"),
                ("arrival to sound", "first_delta_to_audible_s"),
            )
            if turn[key] is not None
        ]
        heard = f"{turn['heard_s']:.1f} of {turn['answer_s']:.1f} s of answer heard"
        self.line(f"turn {turn['turn']} {turn['outcome']}: {turn['said_s']:.1f} s said, {heard}")
        if figures:
            self.line(f"       {', '.join(figures)}")

    def _keep(self, text: str) -> None:
        self._stream.write(("\r\x1b[K" if self._live else "") + text + "\n")
        self._stream.flush()

    def _frame(self) -> None:
        light = self._light()
        if light is not self._shown:
            self._shown, self._since_s = light, time.monotonic()
        brightness = light.brightness(time.monotonic() - self._since_s)
        # The square root: the eye, and a terminal's colours, take a tenth of the current for a third of the light.
        red, green, blue = (round(40 + 215 * part * brightness**0.5) for part in light.colour)
        lamp = f"\x1b[38;2;{red};{green};{blue}m{'●' if self._unicode else 'O'}\x1b[0m"
        steps = round(METER_STEPS * max(0.0, 1 - self._level_db() / METER_FLOOR_DB))
        full, empty = ("█", "░") if self._unicode else ("#", "-")
        meter = full * min(steps, METER_STEPS) + empty * (METER_STEPS - min(steps, METER_STEPS))
        state = f"{self._state['state']:<10} link: {self._state['link']:<11}"
        self._stream.write(f"\r\x1b[K {lamp}  {state} mic {meter}")
        self._stream.flush()
