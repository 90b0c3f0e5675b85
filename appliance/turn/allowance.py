"""How much audio a box may send and receive in an hour. Pure: time is an argument.

It bounds what a stuck button, a radio or a child can spend of somebody's credits (``limits.audio_s_per_hour``).
"""

from __future__ import annotations

from collections import deque
from typing import Final

HOUR_S: Final = 3600.0

GRAIN_S: Final = 60.0
"""What is spent is remembered by the minute: 61 pairs of numbers, whatever happens."""


class Allowance:
    """A sliding hour. ``limit_s`` 0: no limit."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._spent: deque[tuple[float, float]] = deque()
        """(when its minute began, seconds of audio), oldest first."""

    def go_by(self, limit_s: float) -> None:
        """Another limit from now on; what was spent stays spent."""
        self._limit_s = limit_s

    def spend(self, seconds: float, now_s: float) -> None:
        """So much audio was sent or received."""
        if self._spent and now_s - self._spent[-1][0] < GRAIN_S:
            began_s, so_far = self._spent.pop()
            self._spent.append((began_s, so_far + seconds))
        else:
            self._spent.append((now_s, seconds))

    def rest_s(self, now_s: float) -> float:
        """Seconds until the box may talk again; 0: it may now."""
        while self._spent and self._spent[0][0] <= now_s - HOUR_S:
            self._spent.popleft()
        if not self._limit_s:
            return 0.0
        # From the newest on, as it will be when the older are forgotten: the same sum comes out the same then.
        kept_s = 0.0
        for began_s, seconds in reversed(self._spent):
            kept_s += seconds
            if kept_s >= self._limit_s:
                return began_s + HOUR_S - now_s
        return 0.0
