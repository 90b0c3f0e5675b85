"""Hears in the microphone's sound that somebody begins to speak: what opens a turn where there is no button.

Single-threaded, no I/O; int16 mono at ``WIRE_HZ``. It only opens: when the person has finished, the service knows best.

A frame of 20 ms counts when it is louder than the room (``MARGIN_DB`` above the median of the last ``ROOM_S``), when it
is voiced (its autocorrelation repeats with the period of a voice), and when it is hardly softer than the loudest one
beside it. The last tells a syllable from a cup that is put down. ``NEEDED`` such frames within ``WINDOW`` are a voice.
Whatever goes on for longer than half of ``ROOM_S``, a fan, rain, music, has become the room itself.

Why this and not webrtcvad-wheels, the kept library with wheels for the Pi. Both were measured over the rooms of
``tests/rooms.py``, webrtcvad in its strictest mode with 12 of 18 frames. Openings that nobody spoke for in five minutes
(seed 7), this gate / webrtcvad: silence, fan, rain 0 / 0, a fan switched on and off 0 / 8, crockery 0 / 28, music 1 /
46. Of twelve questions at -26 dBFS heard within a second: 15 dB above fan and rain 12 / 12, above music 12 / 5; 10 dB
above music 12 / 2; 5 dB above a fan 12 / 2, above rain 12 / 12, above music 11 / 3; as loud as the fan 6 / 1, the music
0 / 1. webrtcvad takes 0.15 ms of processor time per second of sound, this 0.6 (ten frames at a time; 3.5 one at a
time): an idle daemon takes 1.4 times what it takes in ``auto``, the whole box 1.03 times (``make bench``; no Pi was
measured). The voices were synthetic; real people in real rooms were not measured.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from .format import WIRE_HZ, frames_from_ms, s_from_frames
from .levels import FULL_SCALE

FRAME: Final = frames_from_ms(20)
"""What ``hear`` takes multiples of."""

MARGIN_DB: Final = 8.0
"""Louder than the room by this. Somebody who speaks 5 dB above a fan (over the whole sentence) is still heard:
syllables stand out. A steady noise sways by some 2 dB."""

FAINTEST_DBFS: Final = -55.0
"""Below it nobody speaks to this box: 20 dB below a voice at arm's length (about -26 dBFS and 9 dB less in its soft
parts)."""

VOICED: Final = 0.65
"""Least share of a frame's sound that repeats itself after one period. Half the voiced frames of the recordings have
0.93 and more, nine in ten of a fan's at most 0.63, of rain's 0.39."""

NEAR_DB: Final = 12.0
"""Frames softer by more than this than the loudest in the window do not count: a struck thing fades by 3 dB a frame."""

NEEDED: Final = 8
"""Voiced frames: 160 ms, one syllable and a half. At 7 crockery opened the gate."""

WINDOW: Final = 16
"""... out of the last so many. 320 ms hold two syllables with a stop between them."""

DECISION_S: Final = WINDOW * s_from_frames(FRAME)
"""So far back may the beginning lie that ``hear`` reports."""

ROOM_S: Final = 8.0
"""A noise that begins is the room after half of it; a person who says one thing for longer than that is unheard of."""

_DECIMATION: Final = 3
_HZ: Final = WIRE_HZ // _DECIMATION
"""8 kHz tells a voice from a noise as well as 24, at a third of the cost."""
_HOP: Final = FRAME // _DECIMATION
_SPAN: Final = 2 * _HOP
"""A frame is judged together with the one before it: 40 ms hold three periods of a low voice (80 Hz)."""
_TRANSFORM: Final = 512
_BAND_HZ: Final = (200.0, 3400.0)
"""Loudness is that of the telephone's band: no hum, no rumble, no hiss."""
_PITCH_BAND_HZ: Final = (80.0, 1500.0)
"""Where a voice's harmonics are strong."""
_PERIODS: Final = slice(_HZ // 400, _HZ // 75)
"""Of a voice, in samples: 400 Hz, a child that calls, to 75 Hz."""


class Gate:
    """Feed ``hear`` everything that may be somebody's voice, in order, and ``interrupt`` where something is left
    out."""

    def __init__(self) -> None:
        window = np.hanning(_SPAN + 1)[:_SPAN]
        hz = np.fft.rfftfreq(_TRANSFORM, 1 / _HZ)
        self._window = window.astype(np.float32)
        self._band = ((hz >= _BAND_HZ[0]) & (hz < _BAND_HZ[1])) * (2 / (_TRANSFORM * np.sum(window**2) * FULL_SCALE**2))
        self._pitch_band = ((hz >= _PITCH_BAND_HZ[0]) & (hz < _PITCH_BAND_HZ[1])).astype(np.float64)
        fading = np.fft.irfft(np.abs(np.fft.rfft(window, _TRANSFORM)) ** 2)
        self._unfading = fading[0] / fading[_PERIODS]
        """The window lets even a perfect repetition look weaker, the more the longer its period."""
        self._levels = np.full(int(ROOM_S / s_from_frames(FRAME)), FAINTEST_DBFS - MARGIN_DB)
        self._level_at = 0
        self._before = np.zeros(_HOP, dtype=np.float32)
        self._counted: list[float] = []
        """Level of each of the last ``WINDOW`` frames; -inf of one that is no voice."""

    @property
    def room(self) -> npt.NDArray[np.float64]:
        """What is known of the room's loudness, to be set again when what was heard since was no part of it."""
        return self._levels.copy()

    @room.setter
    def room(self, levels: npt.NDArray[np.float64]) -> None:
        self._levels = levels.copy()

    @property
    def room_dbfs(self) -> float:
        """How loud the room is, between 200 and 3400 Hz."""
        middle = self._levels.size // 2
        return float(np.partition(self._levels, middle)[middle])

    def interrupt(self) -> None:
        """Something is left out: what was heard so far is no part of a word that follows. The room stays known."""
        self._before[:] = 0
        self._counted.clear()

    def hear(self, samples: npt.NDArray[np.int16]) -> int | None:
        """Whole frames, one or many (ten at once cost a sixth). If somebody has begun to speak, how many samples before
        the end of ``samples`` that was; None: nobody has. Then it begins anew.
        """
        count = samples.size // FRAME
        assert samples.size == count * FRAME, "whole frames only"
        if count == 0:
            return None
        levels, voiced = self._judge(samples)
        loud = levels > max(self.room_dbfs + MARGIN_DB, FAINTEST_DBFS)
        began = None
        for number in range(count):
            counts = loud[number] and voiced[number] > VOICED
            self._counted.append(float(levels[number]) if counts else -np.inf)
            del self._counted[:-WINDOW]
            if counts and began is None and (first := self._first()) is not None:
                began = (count - number - 1 + len(self._counted) - first) * FRAME
                self._counted.clear()
        places = (self._level_at + np.arange(count)) % self._levels.size
        self._levels[places] = levels
        self._level_at = (self._level_at + count) % self._levels.size
        return began

    def _first(self) -> int | None:
        """Index in the window of the first frame of a voice, if there is one."""
        near = max(self._counted) - NEAR_DB
        if sum(level > near for level in self._counted) < NEEDED:
            return None
        return next(index for index, level in enumerate(self._counted) if level > -np.inf)

    def _judge(self, samples: npt.NDArray[np.int16]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Of each frame: its level in dBFS, and how voiced it is; of those too faint to matter that is 0."""
        sound = samples.astype(np.float32)
        # The mean of three is filter enough: what folds back into the band is the far end of an s.
        slow = (sound[0::3] + sound[1::3] + sound[2::3]) * np.float32(1 / _DECIMATION)
        joined = np.concatenate((self._before, slow))
        self._before = joined[-_HOP:].copy()
        spans = np.lib.stride_tricks.sliding_window_view(joined, _SPAN)[::_HOP] * self._window
        spectrum = np.fft.rfft(spans, _TRANSFORM)
        power = spectrum.real**2 + spectrum.imag**2
        levels = 10 * np.log10(power @ self._band + 1e-12)
        voiced = np.zeros(levels.size)
        loud = levels > FAINTEST_DBFS
        if loud.any():
            repeats = np.fft.irfft(power[loud] * self._pitch_band)
            shares = repeats[:, _PERIODS] * self._unfading / (repeats[:, :1] + 1e-9)
            voiced[loud] = shares.max(axis=1)
        return levels, voiced
