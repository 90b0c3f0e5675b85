"""When the microphone heard a block, and whether frames were lost before it. Pure; only the sound host uses it.

PortAudio's blocking read says neither: its times are those of a callback, and an overrun is reported only together with
closing the stream (ruling 20). What there is: the monotonic time at which a read came back, and how many frames it
brought. A read can only come back late, never early, so the least of (time - frames / rate) is when frame 0 was heard.
"""

from __future__ import annotations

LEAK = 0.001
"""The estimate may rise by this share of the time that passes, so that it follows a card whose clock runs slow. Quartz
stays within 0.0002, and one disturbed minute of reads that all come late moves it by 60 ms at most."""

WAITED_SHARE = 0.25
"""A read that took at least this part of a period had to wait for the card: nothing older was lying there."""


class BlockClock:
    """One per opened device. ``period_frames``: a usual block."""

    def __init__(self, hz: int, period_frames: int) -> None:
        self._hz = hz
        self._period_s = period_frames / hz
        self._origin_s: float | None = None
        """When frame 0 was heard, by what is known so far; None before the first block."""
        self._frames = 0
        self._late_before = False

    def block(self, began_s: float, returned_s: float, frames: int, waiting_frames: int) -> tuple[float, int]:
        """(time, index) of the first frame of the block just read; the index counts lost frames too.

        The read began and came back at those times, brought ``frames``, and left ``waiting_frames`` ready to be read.

        Lost are frames whose absence makes two reads in a row come back more than half a period too late although
        both really waited and nothing is ready behind them. One such read alone is a thread that was woken late. The
        loss is thus reported one block after the hole.
        """
        read_frames = self._frames + frames
        seen_s = returned_s - read_frames / self._hz
        if self._origin_s is None:
            self._origin_s = seen_s
        late_s = seen_s - waiting_frames / self._hz - self._origin_s
        waited = returned_s - began_s >= WAITED_SHARE * self._period_s
        late = waited and late_s > self._period_s / 2
        lost = 0
        if late and self._late_before:
            lost = round(late_s * self._hz)
            seen_s -= lost / self._hz
            late = False
        # A read that did not wait brings frames that lay there: it says nothing about the next one.
        self._late_before = late if waited else self._late_before
        self._origin_s = min(seen_s, self._origin_s + LEAK * frames / self._hz)
        first = self._frames + lost
        self._frames = first + frames
        return self._origin_s + first / self._hz, first
