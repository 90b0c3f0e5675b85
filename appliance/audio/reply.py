"""One reply in the player: its chunks, and how far each stage of playing it has come.

Positions are frames from the reply's first sample. Single-threaded, no I/O; only ``player.py`` uses it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

MERGE_FRAMES = 480
"""Chunks are joined up to this (20 ms): a service that sends ten samples at a time must not cost an object for each."""


@dataclass(slots=True)
class ReplyBuffer:
    """The audio of one response."""

    response_id: str
    received: int = 0
    """Frames that arrived and were kept."""
    taken: int = 0
    """Frames handed out for playing; runs backwards only in ``rewind``."""
    written: int = 0
    """Frames the card has taken; runs backwards only in ``rewind``."""
    written_most: int = 0
    """The furthest ``written`` ever was."""
    gaps: int = 0
    """Times that it ran dry."""
    ended: bool = False
    """The service has said that this was all."""
    truncated: bool = False
    """The player's bound was reached: what comes after is not kept."""
    fade_in_from: int = 0
    """Where the present stretch of sound begins."""
    fade_out_to: int | None = None
    """Where the present stretch of sound must have reached zero; None while it may go on."""
    _ahead: deque[npt.NDArray[np.int16]] = field(default_factory=deque)
    _offset: int = 0
    """Frames of ``_ahead[0]`` that are taken."""
    _behind: deque[npt.NDArray[np.int16]] = field(default_factory=deque)
    """Whole chunks that are taken and may be wanted again by ``rewind``, the oldest first."""
    _behind_frames: int = 0

    @property
    def available(self) -> int:
        """Frames that can be taken."""
        return self.received - self.taken

    @property
    def complete(self) -> bool:
        """Nothing more will be added: the last sample held is the last to sound."""
        return self.ended or self.truncated

    def add(self, samples: npt.NDArray[np.int16]) -> None:
        """Append ``samples``; they are kept by reference and must not change."""
        if samples.size == 0:
            return
        if self._ahead and self._ahead[-1].size + samples.size <= MERGE_FRAMES:
            self._ahead[-1] = np.concatenate((self._ahead[-1], samples))
        else:
            self._ahead.append(samples)
        self.received += samples.size

    def take(self, frames: int) -> npt.NDArray[np.float32]:
        """The next ``frames``, which must be available, as float32 in int16 scale (a new array)."""
        out = np.empty(frames, dtype=np.float32)
        done = 0
        while done < frames:
            chunk = self._ahead[0]
            count = min(frames - done, chunk.size - self._offset)
            out[done : done + count] = chunk[self._offset : self._offset + count]
            done += count
            self._offset += count
            if self._offset == chunk.size:
                self._behind.append(self._ahead.popleft())
                self._behind_frames += chunk.size
                self._offset = 0
        self.taken += frames
        return out

    def rewind(self, position: int) -> None:
        """Make ``position``, or the oldest sample still held if that is later, the next to be taken; never forward."""
        first = self.taken - self._offset
        while first > position and self._behind:
            chunk = self._behind.pop()
            self._behind_frames -= chunk.size
            self._ahead.appendleft(chunk)
            first -= chunk.size
        self.taken = min(max(first, position), self.taken)
        self._offset = self.taken - first
        self.written = min(self.written, self.taken)

    def forget(self, before: int) -> None:
        """Let go of whole chunks that end before ``before``."""
        oldest = self.taken - self._offset - self._behind_frames
        while self._behind and oldest + self._behind[0].size <= before:
            chunk = self._behind.popleft()
            self._behind_frames -= chunk.size
            oldest += chunk.size
