"""When the microphone heard a block, and whether frames were lost before it. Pure; only the sound host uses it.

PortAudio's blocking read says neither: its times are those of a callback, and an overrun is reported only together with
closing the stream (decision 20). What there is: the monotonic time at which a read came back, and how many frames it
brought. A read can only come back late, never early, so the least of (time - frames / rate) is when frame 0 was heard.
"""

from __future__ import annotations

LEAK = 0.001
"""The estimate may rise by this share of the time that passes, so that it follows a card whose clock runs slow. Quartz
stays within 0.0002, and a disturbed minute of reads that all come late moves it by 60 ms at most."""

WAITED_SHARE = 0.25
"""A read that took at least this part of a period had to wait for the card: nothing older was lying there."""

CERTAIN_PERIODS = 1.5
"""Later than this with nothing waiting, and frames are gone: what a card has waiting shows in whole periods, so that a
thread that was woken late explains no more than one."""

SUSPECT_PERIODS = 0.5
"""Later than this (decision 20), and frames may be gone, if it stays so for SUSPECT_READS that waited."""

SUSPECT_READS = 4
"""A thread that is woken up to a period late so often in a row is a rare sight even on a busy machine, and mistaking it
for a loss moves the clock by less than a period."""


class BlockClock:
    """One per opened device. ``period_frames``: a usual block."""

    def __init__(self, hz: int, period_frames: int) -> None:
        self._hz = hz
        self._period_s = period_frames / hz
        self._origin_s: float | None = None
        """When frame 0 was heard, by what is known so far; None before the first block."""
        self._frames = 0
        self._suspect: list[float] = []
        """How late the last reads were, if all of them were suspiciously late, in seconds."""

    def block(self, began_s: float, returned_s: float, frames: int, waiting_frames: int) -> tuple[float, int]:
        """(time, index) of the first frame of the block just read; the index counts lost frames too.

        The read began and came back at those times, brought ``frames``, and left ``waiting_frames`` ready to be read.
        A large loss is counted before the first block after it, one of about a period SUSPECT_READS - 1 blocks later.
        """
        seen_s = returned_s - (self._frames + frames) / self._hz
        if self._origin_s is None:
            self._origin_s = seen_s
        lost = 0
        # A read that did not wait brings what lay there: its lateness says nothing about the card.
        if returned_s - began_s >= WAITED_SHARE * self._period_s:
            lost = round(self._lost_s(seen_s - waiting_frames / self._hz - self._origin_s) * self._hz)
            seen_s -= lost / self._hz
            self._origin_s += LEAK * frames / self._hz
        self._origin_s = min(seen_s, self._origin_s)
        first = self._frames + lost
        self._frames = first + frames
        return self._origin_s + first / self._hz, first

    def _lost_s(self, late_s: float) -> float:
        """How much of the lateness of a read that waited must be lost sound."""
        if late_s <= SUSPECT_PERIODS * self._period_s:
            self._suspect = []
            return 0.0
        self._suspect.append(late_s)
        if late_s <= CERTAIN_PERIODS * self._period_s and len(self._suspect) < SUSPECT_READS:
            return 0.0
        lost_s = late_s if late_s > CERTAIN_PERIODS * self._period_s else min(self._suspect)
        self._suspect = []
        return lost_s


class BreakCounter:
    """How often a speaker broke off in its sound because its device ran dry. One per opened device.

    PortAudio mends that by itself and says nothing: in the write that is under way, or in the question how much may be
    written, whichever comes first. But a device that ran dry is as much later with all that follows, and a write that
    had to wait for room shows it. Measured on the virtual card with a buffer of 30 ms, the writer held up for 50, 100
    and 300 ms: 20, 70 and 270 ms late from then on; otherwise within 6 ms. Gaps from half a period on are noticed.
    """

    def __init__(self, hz: int, period_frames: int) -> None:
        self._hz = hz
        self._period_frames = period_frames
        self._clock: BlockClock | None = None
        """None until the device's buffer was full for the first time: until then nothing has to wait."""
        self._next_frame = 0
        self._silent_blocks = SUSPECT_READS + 1
        """Blocks of silence since the last one that sounded."""
        self.count = 0

    @property
    def undecided(self) -> bool:
        """A gap in the last sound may yet show itself, also in blocks of silence: they are to be given their room."""
        return self._silent_blocks < SUSPECT_READS

    def wrote(self, began_s: float, returned_s: float, room_frames: int, sounding: bool) -> None:
        """A block was written, between these times, and left room for so much. ``sounding``: it was no silence.

        A room of 0 will do for a silent one unless ``undecided``: its delay may be taken for a gap that nobody hears.
        """
        self._silent_blocks = 0 if sounding else self._silent_blocks + 1
        if self._clock is None:
            if returned_s - began_s < WAITED_SHARE * self._period_frames / self._hz:
                return
            self._clock = BlockClock(self._hz, self._period_frames)
        _, first = self._clock.block(began_s, returned_s, self._period_frames, room_frames)
        # A gap shows up to SUSPECT_READS blocks after it.
        if first > self._next_frame and self._silent_blocks <= SUSPECT_READS:
            self.count += 1
        self._next_frame = first + self._period_frames
