"""What a speaker's device was given, and when: for whoever takes it out of what the microphone hears. Only the sound
host uses it; pure.

A blocking write comes back when the device has taken as much before it, late perhaps and never early: so the clock of
the microphone's blocks tells this time, too. The frames count on while the device rests, by the time that goes by, so
that a place in them stays one moment.
"""

from __future__ import annotations

from array import array

from . import messages
from .block_clock import BlockClock

PIECE_S = 0.020
"""Told at once, at most: half the messages. Whoever listens counts on no more (``audio/echo.py``, LAG_S)."""


class WrittenSound:
    """One per opened device."""

    def __init__(self, hz: int, period_frames: int) -> None:
        self._hz = hz
        self._period_frames = period_frames
        self._clock = BlockClock(hz, period_frames)
        self._base = 0
        """What the clock's frames count from."""
        self._resumes = False
        """The clock is a new one. A device that has just started comes back late at first (12 ms on the virtual card),
        so that the base is certain only when a sound needs it: mostly a turn begins seconds before."""
        self._last = (0.0, 0)
        """Time and frame of the last block whose base was certain."""
        self._first = (0.0, 0)
        """The same of what waits."""
        self._waiting = array("h")

    def rested(self) -> None:
        """The device was stopped, and runs again from now on."""
        self._clock = BlockClock(self._hz, self._period_frames)
        self._resumes = True

    def wrote(
        self, began_s: float, returned_s: float, room_frames: int, samples: array[int] | None
    ) -> list[messages.Written]:
        """A block was written between those times, and left room for so much; ``samples``: mono, None for silence.
        What is to be told now, mostly nothing."""
        at_s, frame = self._clock.block(began_s, returned_s, self._period_frames, room_frames)
        if self._resumes:
            last_s, last_frame = self._last
            self._base = last_frame + round((at_s - last_s) * self._hz) - frame
            self._resumes = samples is None
        frame += self._base
        if not self._resumes:
            self._last = (at_s, frame)
        told = []
        if self._waiting and (samples is None or frame != self._first[1] + len(self._waiting)):
            told.append(self._told())
        if samples is not None:
            if not self._waiting:
                self._first = (at_s, frame)
            self._waiting.extend(samples)
            if len(self._waiting) >= PIECE_S * self._hz:
                told.append(self._told())
        return told

    def _told(self) -> messages.Written:
        """What waits, which waits no more."""
        told = messages.Written(*self._first, self._waiting.tobytes())
        self._waiting = array("h")
        return told
