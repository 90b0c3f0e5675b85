"""What one person says in one turn: stretches of the ring, read out in order, once or again.

Single-threaded (the event loop's thread), no I/O. int16 mono at ``WIRE_HZ``; times are monotonic seconds and may lie in
the future: they are turned into samples when the microphone has got there.

A stretch that has ended is copied out of the ring. The microphone goes on while the answer is awaited, and a ring
that had to keep 30 s of question and everything heard since would overwrite the question before ``stale_s`` has
passed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .format import frames_from_s, s_from_frames
from .ring import Ring


@dataclass(slots=True)
class _Stretch:
    """One uninterrupted part of the utterance. Indices are the ring's."""

    start_s: float
    end_s: float | None = None
    start: int | None = None
    """Index of its first frame; None while that moment is still to come."""
    end: int | None = None
    """Index behind its last frame; None while it is not known."""
    gone: int = 0
    """Frames from ``start`` on that were overwritten before they could be copied."""
    copy: npt.NDArray[np.int16] | None = None
    """Frames [start + gone, end) when ``end`` is known, else None."""


class Utterance:
    """Reads what is said out of ``ring``, which it holds from ``begin`` to ``close``.

    At most the ring's capacity is kept of stretches that have ended; beyond it the oldest whole stretch goes.
    """

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._stretches: list[_Stretch] = []
        self._masks: list[tuple[float, float]] = []
        self._number = 0
        """The stretch that is being read."""
        self._offset = 0
        """Frames of it, from its start, that are handed out or lost."""
        self.lost_frames = 0
        """Frames missing from what was handed out, since ``begin`` or ``rewind``: overwritten before they were read."""
        self._given = 0
        """Index behind the last frame handed out since ``rewind``, of this utterance or one before it."""

    # ------------------------------------------------------------ what belongs to it

    def begin(self, start_s: float) -> None:
        """The utterance starts at ``start_s``, or where the ring's memory begins if that is later.

        What was handed out of an utterance before it, and not since a ``rewind``, is part of it and not handed out
        again: whoever got it has it.
        """
        self._stretches = [_Stretch(start_s)]
        self._masks = []
        self._from_the_start()
        self._advance()

    def end(self, at_s: float) -> None:
        """The last sample is the one at ``at_s``, usually still to come; as long as it is, a later call moves it."""
        if self._stretches and self._stretches[-1].end is None:
            self._stretches[-1].end_s = at_s
            self._advance()

    def cut(self) -> None:
        """The microphone is gone: an end still to come is where its sound ended. Nothing happens without an end."""
        last = self._stretches[-1] if self._stretches else None
        if last is not None and last.end is None and last.end_s is not None and self._ring.end > 0:
            last.end_s = min(last.end_s, self._ring.time_at(self._ring.end))
            self._advance()

    def resume(self, start_s: float) -> None:
        """The same utterance goes on from ``start_s``; nothing is read twice, an end still to come is called off."""
        if not self._stretches:
            self.begin(start_s)
            return
        self._advance()
        last = self._stretches[-1]
        if last.end is None:
            last.end_s = None
        else:
            self._stretches.append(_Stretch(start_s))
        self._advance()

    def not_before(self, time_s: float) -> None:
        """What was heard before ``time_s`` and is not yet handed out does not belong to it (our own voice).

        May lie in the future: nothing is handed out until then. What was handed out stays, also in a repetition.
        """
        self._advance()
        if not self._stretches or self._stretches[-1].end is not None or time_s <= self._stretches[-1].start_s:
            return
        last = self._stretches[-1]
        if last.start is not None and self._read_of(last) > 0:
            read_to = last.start + self._offset
            if self._ring.index_at(time_s) <= read_to:
                return
            self._close_stretch(read_to)
            self._stretches.append(_Stretch(time_s, last.end_s))
        else:
            last.start_s, last.start, last.gone = time_s, None, 0
        self._advance()

    def mask(self, from_s: float, to_s: float) -> None:
        """Hand out zeros for what is heard from ``from_s`` to ``to_s``: an earcon of ours.

        What is handed out stays, and so does what was heard before an ``end`` that lies behind us.
        """
        self._masks.append((from_s, to_s))

    def keep_between(self, seconds: float) -> None:
        """So much of the newest sound is kept while no stretch is open: a next one may begin so far back."""
        self._ring.keep_idle(frames_from_s(seconds))

    def close(self) -> None:
        """Answered or given up: forget all of it and let the ring go."""
        self._stretches = []
        self._masks = []
        self._from_the_start()
        self._ring.hold(None)

    # ------------------------------------------------------------ reading it

    def next(self, max_frames: int) -> bytes | None:
        """The next samples, int16 little-endian, at most ``max_frames``; None while there are none, or no more."""
        self._advance()
        while self._number < len(self._stretches):
            stretch = self._stretches[self._number]
            if stretch.start is None:
                return None
            if self._offset < stretch.gone:
                self.lost_frames += stretch.gone - self._offset
                self._offset = stretch.gone
            samples = self._read(stretch, max_frames)
            if samples.size:
                self._offset += samples.size
                self._given = stretch.start + self._offset
                return samples.tobytes()
            if stretch.end is None or self._number + 1 == len(self._stretches):
                return None
            self._number += 1
            self._offset = 0
        return None

    def rewind(self) -> None:
        """Nothing counts as handed out any more: ``next`` starts again from the beginning."""
        self._from_the_start()
        self._given = 0

    # ------------------------------------------------------------ looking

    @property
    def available_frames(self) -> int:
        """Frames that ``next`` could give now."""
        self._advance()
        total = sum(self._length(stretch) for stretch in self._stretches[self._number :])
        if self._number < len(self._stretches):
            total -= max(self._offset - self._stretches[self._number].gone, 0)
        return total

    @property
    def ended(self) -> bool:
        """The last sample is fixed, though it may be still to come. False before ``begin``."""
        return bool(self._stretches) and self._stretches[-1].end_s is not None

    @property
    def delivered(self) -> bool:
        """It has ended, and the microphone has delivered all of it."""
        self._advance()
        return bool(self._stretches) and self._stretches[-1].end is not None

    @property
    def complete(self) -> bool:
        """It is delivered, and all of that is handed out."""
        return self.delivered and self.available_frames == 0

    @property
    def duration_s(self) -> float:
        """Seconds of it that exist so far and are still held."""
        self._advance()
        return s_from_frames(sum(self._length(stretch) for stretch in self._stretches))

    # ------------------------------------------------------------ inside

    def _from_the_start(self) -> None:
        self._number = 0
        self._offset = 0
        self.lost_frames = 0

    def _length(self, stretch: _Stretch) -> int:
        """Frames of ``stretch`` that are there."""
        if stretch.start is None:
            return 0
        end = self._ring.end if stretch.end is None else stretch.end
        return end - stretch.start - stretch.gone

    def _advance(self) -> None:
        """Fix what the microphone has meanwhile made certain, and tell the ring what is needed.

        Only the last stretch can be open. Before the microphone was ever heard no time has an index.
        """
        if not self._stretches or self._stretches[-1].end is not None:
            return
        ring = self._ring
        last = self._stretches[-1]
        if ring.end == 0:
            ring.hold(0)
            return
        if last.start is None:
            # An end before the start makes an empty stretch: released while our own voice was still in the room.
            start = ring.index_at(last.start_s if last.end_s is None else min(last.start_s, last.end_s))
            if start > ring.end:
                ring.hold(ring.end)
                return
            previous = self._stretches[-2].end if len(self._stretches) > 1 else None
            last.start = min(max(start, ring.start, previous or 0), ring.end)
            if previous is None:
                self._offset = max(self._given - last.start, 0)
        last.gone = max(last.gone, ring.start - last.start)
        ring.hold(last.start + last.gone)
        if last.end_s is not None and (end := ring.index_at(last.end_s)) <= ring.end:
            self._close_stretch(max(end, last.start + last.gone, last.start + self._read_of(last)))
            ring.hold(None)

    def _read_of(self, stretch: _Stretch) -> int:
        """Frames of ``stretch`` that are handed out or lost."""
        return self._offset if self._stretches[self._number] is stretch else 0

    def _close_stretch(self, end: int) -> None:
        """End the last stretch at ``end``, copy it out of the ring, and keep the bound on all copies."""
        last = self._stretches[-1]
        assert last.start is not None
        last.end = end
        last.copy = self._masked(last.start + last.gone, end - last.start - last.gone)
        total = sum(stretch.copy.size for stretch in self._stretches if stretch.copy is not None)
        for stretch in self._stretches[:-1]:
            if total <= self._ring.capacity_frames or stretch.copy is None:
                break
            total -= stretch.copy.size
            stretch.gone += stretch.copy.size
            stretch.copy = stretch.copy[:0]

    def _read(self, stretch: _Stretch, max_frames: int) -> npt.NDArray[np.int16]:
        """Up to ``max_frames`` of ``stretch`` from where reading stands, which is not in what is gone."""
        if stretch.copy is not None:
            first = self._offset - stretch.gone
            return stretch.copy[first : first + max_frames]
        assert stretch.start is not None
        return self._masked(stretch.start + self._offset, max_frames)

    def _masked(self, index: int, frames: int) -> npt.NDArray[np.int16]:
        """What the ring holds there, with our own sounds replaced by zeros."""
        samples = self._ring.read(index, frames)
        for from_s, to_s in self._masks:
            first = max(self._ring.index_at(from_s) - index, 0)
            behind = self._ring.index_at(to_s) - index
            if behind > first:
                samples[first:behind] = 0
        return samples
