"""The microphone's memory: the last seconds heard, found again by time or by index.

Single-threaded (the event loop's thread). An index counts every frame ever written, so it never repeats. int16 mono at
``WIRE_HZ``; times are monotonic seconds.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from appliance.errors import AudioGoneError

from .format import frames_from_s, s_from_frames


class Ring:
    """A buffer of fixed size; a write costs one copy of the block, whatever the ring holds.

    ``capacity_frames``: the most it holds. ``idle_frames``: how much of the newest audio it keeps while nobody holds it
    (the pre-roll); None keeps all that fits. Forgotten audio is overwritten with zeros.
    """

    def __init__(self, capacity_frames: int, idle_frames: int | None = None) -> None:
        self._samples = np.zeros(capacity_frames, dtype=np.int16)
        self._idle_frames = capacity_frames if idle_frames is None else min(idle_frames, capacity_frames)
        self._anchors: deque[tuple[int, float]] = deque()
        """(index, time) of the first frame of each block that is still held, and of the block before those."""
        self._held_from: int | None = None
        self.start = 0
        """Index of the oldest frame held; equal to ``end`` when there is none."""
        self.end = 0
        """Index of the frame that will be written next."""
        self.overwritten_frames = 0
        """Frames that somebody held and that were overwritten all the same, because the ring was full."""

    @property
    def capacity_frames(self) -> int:
        """The most the ring holds."""
        return self._samples.size

    def write(self, samples: npt.NDArray[np.int16], first_sample_s: float) -> None:
        """Append a block whose first frame was heard at ``first_sample_s``.

        A time before that of the last block counts as that block's: time never runs backwards along the ring.
        """
        if samples.size == 0:
            return
        if self._anchors:
            first_sample_s = max(first_sample_s, self._anchors[-1][1])
        self._anchors.append((self.end, first_sample_s))
        capacity = self._samples.size
        kept = samples[-capacity:]
        at = (self.end + samples.size - kept.size) % capacity
        head = min(kept.size, capacity - at)
        self._samples[at : at + head] = kept[:head]
        self._samples[: kept.size - head] = kept[head:]
        self.end += samples.size
        oldest = self.end - capacity
        if oldest > self.start:
            self.overwritten_frames += oldest - self.start if self._held_from is not None else 0
            self.start = oldest
        self._tidy()

    def keep_idle(self, frames: int) -> None:
        """From now on ``idle_frames`` is this, as far as the ring is large enough."""
        self._idle_frames = min(frames, self.capacity_frames)
        self._tidy()

    def hold(self, from_index: int | None) -> None:
        """Keep everything from ``from_index`` on, as far as the ring is large enough; None: keep ``idle_frames`` again.

        What lies before it is forgotten at once. ``from_index`` is at most ``end``.
        """
        self._held_from = from_index
        self._tidy()

    def forget(self, before_index: int) -> None:
        """Overwrite everything before ``before_index`` with zeros, held or not."""
        before = min(before_index, self.end)
        if before <= self.start:
            return
        capacity = self._samples.size
        at = self.start % capacity
        head = min(before - self.start, capacity - at)
        self._samples[at : at + head] = 0
        self._samples[: before - self.start - head] = 0
        self.start = before
        self._tidy_anchors()

    def read(self, index: int, frames: int) -> npt.NDArray[np.int16]:
        """A copy of up to ``frames`` from ``index`` on; fewer, or none, where the ring ends.

        Raises AudioGoneError when ``index`` is before ``start``.
        """
        if index < self.start:
            raise AudioGoneError(f"the microphone's memory begins {self.start - index} frames after what was asked for")
        count = max(min(frames, self.end - index), 0)
        at = index % self._samples.size
        head = min(count, self._samples.size - at)
        return np.concatenate((self._samples[at : at + head], self._samples[: count - head]))

    def index_at(self, time_s: float) -> int:
        """Index of the frame heard at ``time_s``, rounded to the nearest.

        Within a hole between two blocks it is the first frame after the hole. Before the oldest and after the newest
        block it follows the nominal rate, so it may lie before ``start``, even below 0, or beyond ``end``; in an
        empty ring nothing was written, and it is ``end``.
        """
        if not self._anchors:
            return self.end
        following: int | None = None
        for index, at_s in reversed(self._anchors):
            if at_s <= time_s:
                found = index + frames_from_s(time_s - at_s)
                return found if following is None else min(found, following)
            following = index
        index, at_s = self._anchors[0]
        return index + frames_from_s(time_s - at_s)

    def time_at(self, index: int) -> float:
        """When frame ``index`` was heard, or will be: ``index_at`` backwards. AudioGoneError if nothing was written."""
        if not self._anchors:
            raise AudioGoneError("the microphone has not been heard yet")
        for first, at_s in reversed(self._anchors):
            if first <= index:
                return at_s + s_from_frames(index - first)
        first, at_s = self._anchors[0]
        return at_s + s_from_frames(index - first)

    def _tidy(self) -> None:
        """Forget what nobody needs."""
        self.forget(self.end - self._idle_frames if self._held_from is None else self._held_from)
        self._tidy_anchors()

    def _tidy_anchors(self) -> None:
        while len(self._anchors) > 2 and self._anchors[1][0] <= self.start:
            self._anchors.popleft()
