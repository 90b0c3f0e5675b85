"""The person in front of the box, as far as the doctor talks with one."""

from __future__ import annotations

import asyncio
import sys
from typing import Final, TextIO

METER_STEPS: Final = 40


METER_FLOOR_DBFS: Final = -80.0
"""What an empty meter means; a quiet room is some -65 (not measured)."""


class Person:
    """Whoever sits at the terminal. Questions go to standard error: standard output is the report's."""

    def __init__(self, *, asks: bool, stream: TextIO | None = None) -> None:
        """``asks``: somebody is there; if not, every answer is None."""
        self.asks = asks
        self._stream = stream or sys.stderr

    def tell(self, text: str) -> None:
        """Say what to do now."""
        if self.asks:
            print(f"  {text}", file=self._stream, flush=True)

    async def yes(self, question: str) -> bool | None:
        """The answer to a question of yes or no; Enter is yes. None: nobody is asked, or the terminal has gone."""
        if not self.asks:
            return None
        while True:
            self._stream.write(f"  {question} [Y/n] ")
            self._stream.flush()
            answer = await _line()
            if answer == "":
                self.asks = False
                return None
            word = answer.strip().lower()
            if word in ("", "y", "yes", "n", "no"):
                return word in ("", "y", "yes")

    def meter(self, dbfs: float) -> None:
        """Draw a level over the last one."""
        if self.asks:
            filled = round(METER_STEPS * max(0.0, min(1.0, 1 - dbfs / METER_FLOOR_DBFS)))
            self._stream.write(f"\r\x1b[K  {'#' * filled}{'-' * (METER_STEPS - filled)} {dbfs:4.0f} dBFS")
            self._stream.flush()

    def meter_over(self) -> None:
        """Leave the last level standing."""
        if self.asks:
            self._stream.write("\n")


async def _line() -> str:
    """One line of standard input, a terminal; empty at its end. Not in a thread: Ctrl-C could not end that."""
    loop = asyncio.get_running_loop()
    there = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), there.set)
    try:
        await there.wait()
    finally:
        loop.remove_reader(sys.stdin.fileno())
    return sys.stdin.readline()
