"""The last stage before the card: earcons on top of the voice, then the volume.

Works in float32 at int16 scale, so that mixing and scaling round once. Single-threaded, no I/O; only ``player.py``
uses it.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from .format import frames_from_ms
from .levels import to_int16, volume_gain

RAMP_FRAMES = frames_from_ms(20)
"""A change of volume takes this long: its steps, one per sample, are inaudible, and a turned knob shows no lag."""


class Mixer:
    """Earcons and volume. ``volume``: 0 to 100 (``levels.volume_gain``)."""

    def __init__(self, volume: float) -> None:
        self._volume = volume
        self._gain = self._target = volume_gain(volume)
        self._ramp_left = 0
        self._earcons: deque[npt.NDArray[np.int16]] = deque()
        self._offset = 0
        """Frames of ``_earcons[0]`` that are mixed."""

    def add(self, earcon: npt.NDArray[np.int16]) -> None:
        """Queue an earcon behind those that wait or sound."""
        if earcon.size:
            self._earcons.append(earcon)

    @property
    def waiting(self) -> bool:
        """An earcon waits or sounds."""
        return bool(self._earcons)

    @property
    def sounding(self) -> bool:
        """An earcon is partly mixed."""
        return self._offset > 0

    def cut(self) -> None:
        """Forget the rest of the earcon that sounds, if one does."""
        if self._offset:
            self._earcons.popleft()
            self._offset = 0

    def clear(self) -> None:
        """Forget every earcon."""
        self._earcons.clear()
        self._offset = 0

    @property
    def volume(self) -> float:
        """0 to 100."""
        return self._volume

    def set_volume(self, percent: float) -> None:
        """See ``volume``."""
        self._volume = percent
        self._target = volume_gain(percent)
        self._ramp_left = RAMP_FRAMES

    def mix(self, voice: npt.NDArray[np.float32], frames: int, from_silence: bool) -> npt.NDArray[np.int16]:
        """``voice`` (overwritten) with the earcons from its first sample on, at the present volume, as int16.

        At least as long as ``voice``, at most ``frames`` or ``voice``. ``from_silence``: nothing sounded just before,
        so that a change of volume need not be gradual.
        """
        mixed = self._with_earcons(voice, frames)
        if mixed.size == 0:
            return np.empty(0, dtype=np.int16)
        self._scale(mixed, from_silence)
        return to_int16(mixed)

    def _with_earcons(self, voice: npt.NDArray[np.float32], frames: int) -> npt.NDArray[np.float32]:
        if not self._earcons or frames == 0:
            return voice
        mixed = np.zeros(max(frames, voice.size), dtype=np.float32)
        mixed[: voice.size] = voice
        filled = 0
        while self._earcons and filled < frames:
            earcon = self._earcons[0]
            count = min(frames - filled, earcon.size - self._offset)
            mixed[filled : filled + count] += earcon[self._offset : self._offset + count]
            filled += count
            self._offset += count
            if self._offset == earcon.size:
                self._earcons.popleft()
                self._offset = 0
        return mixed[: max(filled, voice.size)]

    def _scale(self, samples: npt.NDArray[np.float32], from_silence: bool) -> None:
        """Apply the volume in place, on its way from the old to the new where it was changed."""
        ramp = 0 if from_silence else min(self._ramp_left, samples.size)
        self._ramp_left = 0 if from_silence else self._ramp_left
        if ramp:
            step = (self._target - self._gain) / self._ramp_left
            gains = self._gain + step * np.arange(1, ramp + 1)
            samples[:ramp] *= gains.astype(np.float32)
            self._ramp_left -= ramp
            self._gain = float(gains[-1])
        if ramp < samples.size:
            samples[ramp:] *= np.float32(self._target)
            self._gain = self._target
