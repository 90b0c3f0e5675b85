"""How soon a microphone's blocks leave its sound host: each at once, in pieces, or not before they are asked for.

While nobody talks with the box the wake-ups of fifty messages a second, and what the daemon makes of each, would cost
most of what an idle box does. So its host holds the newest sound, as much as a press sends from before it, and no more;
that never enters the daemon unless somebody presses. Standard library only, no I/O of its own.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from . import messages


class HandOver:
    """One per opened microphone: the sound thread adds, another says how soon. ``put`` is called under a lock, so that
    what one thread hands over never overtakes what the other does.

    ``kept_frames``: held at the pace HOLD, in whole blocks, so that it may be one block more. ``frame_bytes``: of all
    channels together.
    """

    def __init__(self, put: Callable[[messages.Block], None], hz: int, frame_bytes: int, kept_frames: int) -> None:
        self._put = put
        self._hz = hz
        self._frame_bytes = frame_bytes
        self._kept_frames = kept_frames
        self._most_frames = messages.MOST_SAMPLES * 2 // frame_bytes
        self._lock = threading.Lock()
        self._piece_ms = messages.AT_ONCE
        self._waiting: deque[messages.Block] = deque()
        self._waiting_frames = 0
        self._left_out = 0
        """Frames that a HOLD has let go of."""

    @property
    def piece_ms(self) -> int:
        """The pace; may be read by any thread."""
        return self._piece_ms

    def is_patient(self, frames: int) -> bool:
        """Nothing leaves before so many frames are there, and it does not matter if it is that late."""
        return self._piece_ms == messages.HOLD or self._piece_ms * self._hz // 1000 > frames

    def go_by(self, piece_ms: int) -> None:
        """From now on that is the pace. What waits is handed over at once, unless it is HOLD."""
        with self._lock:
            self._piece_ms = piece_ms
            if piece_ms != messages.HOLD:
                self._hand_over()

    def add(self, block: messages.Block) -> None:
        """The next block."""
        with self._lock:
            self._waiting.append(block)
            self._waiting_frames += self._frames(block)
            if self._piece_ms == messages.HOLD:
                while self._waiting_frames - (oldest := self._frames(self._waiting[0])) >= self._kept_frames:
                    self._waiting.popleft()
                    self._waiting_frames -= oldest
                    self._left_out += oldest
            elif self._waiting_frames >= self._piece_ms * self._hz // 1000:
                self._hand_over()

    def _hand_over(self) -> None:
        """All that waits; blocks that follow each other without a gap are joined as far as a message has room."""
        while self._waiting:
            first = self._waiting.popleft()
            parts, frames = [first.pcm], self._frames(first)
            while self._waiting:
                following = self._waiting[0]
                joined = frames + self._frames(following)
                if following.first_frame != first.first_frame + frames or joined > self._most_frames:
                    break
                parts.append(self._waiting.popleft().pcm)
                frames = joined
            self._put(messages.Block(first.first_s, first.first_frame - self._left_out, b"".join(parts)))
        self._waiting_frames = 0

    def _frames(self, block: messages.Block) -> int:
        return len(block.pcm) // self._frame_bytes
