"""What the speaker's host writes next: samples, a fade, or silence. Mono int16, no I/O, standard library only.

One thread fills it (``push``, ``flush``), another empties it (``block``); a lock joins them. It never makes a step in
the sound: a flush fades out over what was queued, samples that fail to come fade out from the last one, and what
follows such a break fades in. The player's own fades normally leave nothing of that to do.
"""

from __future__ import annotations

import threading
from array import array

FADE_S = 0.005
"""Longest fade, as decision 19 allows: one period of 200 Hz."""

AUDIBLE = 64
"""A last sample beyond this (-54 dBFS) is the middle of a sound; less can break off without a tick."""


class OutputQueue:
    """``bound_frames``: more is never queued; the daemon's credit is far below."""

    def __init__(self, hz: int, bound_frames: int) -> None:
        self._bound = bound_frames
        self._fade = int(FADE_S * hz)
        self._lock = threading.Lock()
        self._samples = array("h")
        self._tail = array("h")
        """The faded end of what a flush took away, or of what broke off; written before anything else."""
        self._last = 0
        """Sample that was handed out last."""
        self._silent = True
        """The last block ended in silence: nothing sounds that would have to fade out."""
        self._risen = self._fade
        """Frames handed out of a fade-in: 0 when sound broke off for want of samples, all of it when it is over."""
        self._epoch = 0
        self._taken = 0
        self.breaks = 0
        """Times that sound broke off in its middle for want of samples."""

    def push(self, epoch: int, pcm: bytes) -> None:
        """Queue ``pcm``; nothing happens if the epoch is over. Raises OverflowError beyond the bound."""
        with self._lock:
            if epoch != self._epoch:
                return
            self._samples.frombytes(pcm)
            if len(self._samples) > self._bound:
                raise OverflowError(f"{len(self._samples)} frames queued, {self._bound} allowed")

    def flush(self, epoch: int) -> None:
        """Begin ``epoch``: nothing queued so far is heard but the next 5 ms of it, fading, if it sounds already."""
        with self._lock:
            tail = self._tail
            if not tail and not self._silent:
                tail = self._samples[: self._fade]
                self._rise(tail)
                last = tail[-1] if tail else self._last
                tail.extend([last] * (self._fade - len(tail) if abs(last) > AUDIBLE else 0))
                _fade_out(tail)
            self._tail = tail
            self._samples = array("h")
            self._risen = self._fade
            self._epoch = epoch
            self._taken = 0

    def block(self, frames: int) -> array[int] | None:
        """The next ``frames`` samples, padded with silence; None if they are all silence."""
        with self._lock:
            out = self._tail[:frames]
            del self._tail[:frames]
            self._last = out[-1] if out else self._last
            if not self._tail:
                out.extend(self._take(frames - len(out)))
            self._silent = len(out) < frames
            if not out:
                self._last = 0
                return None
            out.frombytes(bytes(2 * (frames - len(out))))
            self._last = out[-1]
            return out

    @property
    def position(self) -> tuple[int, int, int]:
        """(epoch, frames of it handed out, frames queued)."""
        with self._lock:
            return self._epoch, self._taken, len(self._samples)

    def _take(self, frames: int) -> array[int]:
        """Up to ``frames`` of what is queued, with the edges of a break smoothed."""
        out = self._samples[:frames]
        del self._samples[:frames]
        self._taken += len(out)
        self._rise(out)
        last = out[-1] if out else self._last
        if len(out) < frames and abs(last) > AUDIBLE:
            self.breaks += 1
            self._risen = 0
            end = array("h", [last]) * self._fade
            _fade_out(end)
            room = frames - len(out)
            out.extend(end[:room])
            self._tail = end[room:]
        return out

    def _rise(self, samples: array[int]) -> None:
        """The next part of a fade-in that is under way, in place."""
        rising = min(len(samples), self._fade - self._risen)
        for at in range(rising):
            samples[at] = samples[at] * (self._risen + at) // self._fade
        self._risen += rising


def stereo(mono: array[int]) -> array[int]:
    """Every sample twice."""
    both = array("h", bytes(4 * len(mono)))
    both[0::2] = mono
    both[1::2] = mono
    return both


def _fade_out(samples: array[int]) -> None:
    """Down to nothing over the whole length, in place. A straight line: 240 samples take 20 µs."""
    count = len(samples)
    for at, sample in enumerate(samples):
        samples[at] = sample * (count - 1 - at) // count
