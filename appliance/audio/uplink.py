"""What leaves the box next: the utterance as it grows, then zeros at real-time pace. No I/O; time is an argument.

No piece is shorter than ``append_ms``: there are services that end the connection when one is. So the last piece of an
utterance is filled up with zeros, and silence leaves in whole pieces. The link's writer pulls (``next``); whoever adds
audio or opens the uplink tells the writer to look again. Single-threaded, on the event loop.
"""

from __future__ import annotations

from .format import bytes_from_frames, frames_from_bytes, frames_from_ms, frames_from_s, s_from_frames
from .utterance import Utterance

BURST_FRAMES = frames_from_ms(200)
"""The largest single append. The service advises a few hundred milliseconds at most; larger ones save nothing
(measured: JSON and base64 cost the same per second of audio from 40 ms up)."""

SILENCE_CATCH_UP_S = 1.0
"""Zeros owed after a busy loop are sent up to this much. More would tell the service of a pause that nobody made."""


class Uplink:
    """One box's way out. ``append_ms``: the shortest piece; so much live audio is gathered before it is sent."""

    def __init__(self, append_ms: float) -> None:
        self._append_frames = frames_from_ms(append_ms)
        self._utterance: Utterance | None = None
        self._open = False
        self._silence_from_s: float | None = None
        self._silence_frames = 0

    def begin(self, utterance: Utterance) -> None:
        """A new utterance; nothing of it leaves before ``open()``."""
        self._utterance = utterance
        self._open = False
        self._silence_from_s = None

    def open(self) -> None:
        """What was said may leave."""
        self._open = True

    def stop(self) -> None:
        """The turn is over: nothing leaves, and the utterance is forgotten."""
        self._utterance = None
        self._open = False
        self._silence_from_s = None

    def start_silence(self, now_s: float) -> None:
        """Zeros from now on, as if the microphone heard nothing."""
        self._silence_from_s = now_s
        self._silence_frames = 0

    def stop_silence(self) -> None:
        """No more zeros."""
        self._silence_from_s = None

    @property
    def finished(self) -> bool:
        """The utterance has ended and its last sample has been given out."""
        return self._utterance is not None and self._open and self._utterance.complete

    def next(self, now_s: float) -> bytes | None:
        """PCM that is due at ``now_s``; None: nothing yet."""
        utterance = self._utterance
        if utterance is None or not self._open:
            return None
        if not utterance.complete:
            enough = 1 if utterance.delivered else self._append_frames
            return self._piece(utterance) if utterance.available_frames >= enough else None
        if self._silence_from_s is None:
            return None
        owed_frames = frames_from_s(now_s - self._silence_from_s) - self._silence_frames
        if owed_frames < self._append_frames:
            return None
        if owed_frames > frames_from_s(SILENCE_CATCH_UP_S):
            self._silence_frames += owed_frames - frames_from_s(SILENCE_CATCH_UP_S)
        frames = max(min(owed_frames, BURST_FRAMES) // self._append_frames, 1) * self._append_frames
        self._silence_frames += frames
        return bytes(bytes_from_frames(frames))

    def _piece(self, utterance: Utterance) -> bytes | None:
        """Up to a burst of it, across its stretches. What is missing to the shortest piece, at its end only, is zeros:
        a remainder waits for more before that."""
        piece = utterance.next(BURST_FRAMES)
        if piece is None:
            return None
        shortest_bytes = bytes_from_frames(self._append_frames)
        while len(piece) < shortest_bytes and (more := utterance.next(BURST_FRAMES - frames_from_bytes(len(piece)))):
            piece += more
        return piece.ljust(shortest_bytes, b"\0")

    @property
    def due_s(self) -> float | None:
        """When zeros are due next; None: none will be."""
        if self._silence_from_s is None:
            return None
        return self._silence_from_s + s_from_frames(self._silence_frames + self._append_frames)
