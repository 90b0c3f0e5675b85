"""What a frame of sound is like: how loud between a telephone's edges, how voiced, how pure. Pure numpy, no decision.

int16 mono at ``WIRE_HZ`` comes in, frames of 20 ms. Who decides is ``gate.py`` (a voice begins) and ``speech_level.py``
(whether what the doctor hears is speech).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from .format import WIRE_HZ, frames_from_ms
from .levels import FULL_SCALE

FRAME: Final = frames_from_ms(20)
"""Samples; what ``Analyser.analyse`` takes multiples of."""

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
_SHORT_PERIODS: Final = slice(5, _HZ // 400)
"""Of what is higher than a voice, up to 1600 Hz: the pitch band ends there."""
_PEAK_BINS: Final = 4
"""To either side of a spectral peak: the window's main lobe."""


class Frames(NamedTuple):
    """One value for each frame. What was too faint to be judged has 0 for ``voiced`` and ``high``."""

    levels: npt.NDArray[np.float64]
    """dBFS, root mean square between 200 and 3400 Hz."""
    voiced: npt.NDArray[np.float64]
    """Share of the sound that repeats itself after one period of a voice, 75 to 400 Hz: its autocorrelation."""
    high: npt.NDArray[np.float64]
    """The same for periods shorter than a voice's. A tone of 400 to 1600 Hz repeats after its own period as well as
    after several of them; a voice has its overtones there, and much less."""
    spectra: npt.NDArray[np.float64]
    """Power in each bin of the telephone's band, 15.6 Hz apart; one row a frame."""

    def two_peaks(self, index: int) -> float:
        """Share of one frame's power that is in its two strongest spectral peaks."""
        spectrum = self.spectra[index]
        whole = float(spectrum.sum()) + 1e-9
        rest = spectrum.copy()
        for _ in range(2):
            at = int(rest.argmax())
            rest[max(at - _PEAK_BINS, 0) : at + _PEAK_BINS + 1] = 0
        return 1 - float(rest.sum()) / whole


def steadiness(spectra: npt.NDArray[np.float64]) -> float:
    """How alike the frames' spectra are, each a row: their mean correlation. 1: a tone, a chord, a hum, whatever its
    loudness does; a word changes."""
    shapes = np.sqrt(spectra)
    shapes /= np.sqrt(spectra.sum(axis=1, keepdims=True)) + 1e-9
    mean = shapes.mean(axis=0)
    return float(mean @ mean)


class Analyser:
    """Feed it sound in order, and ``interrupt`` where something is left out."""

    def __init__(self) -> None:
        window = np.hanning(_SPAN + 1)[:_SPAN]
        hz = np.fft.rfftfreq(_TRANSFORM, 1 / _HZ)
        first, last = np.searchsorted(hz, _BAND_HZ)
        self._window = window.astype(np.float32)
        self._band = slice(int(first), int(last))
        self._scale = 2 / (_TRANSFORM * np.sum(window**2) * FULL_SCALE**2)
        self._pitch_band = ((hz >= _PITCH_BAND_HZ[0]) & (hz < _PITCH_BAND_HZ[1])).astype(np.float64)
        fading = np.fft.irfft(np.abs(np.fft.rfft(window, _TRANSFORM)) ** 2)
        self._unfading = fading[0] / fading[: _PERIODS.stop]
        """The window lets even a perfect repetition look weaker, the more the longer its period."""
        self._before = np.zeros(_HOP, dtype=np.float32)

    def interrupt(self) -> None:
        """What comes does not follow what came."""
        self._before[:] = 0

    def analyse(self, samples: npt.NDArray[np.int16], above_dbfs: float) -> Frames:
        """Whole frames, one or many: ten at once cost a sixth. What is not louder than ``above_dbfs`` is not judged
        beyond its level: half of the cost."""
        sound = samples.astype(np.float32)
        # The mean of three is filter enough: what folds back into the band is the far end of an s.
        slow = (sound[0::3] + sound[1::3] + sound[2::3]) * np.float32(1 / _DECIMATION)
        joined = np.concatenate((self._before, slow))
        self._before = joined[-_HOP:].copy()
        spans = np.lib.stride_tricks.sliding_window_view(joined, _SPAN)[::_HOP] * self._window
        spectrum = np.fft.rfft(spans, _TRANSFORM)
        power = spectrum.real**2 + spectrum.imag**2
        spectra = power[:, self._band]
        levels = 10 * np.log10(spectra.sum(axis=1) * self._scale + 1e-12)
        voiced = np.zeros(levels.size)
        high = np.zeros(levels.size)
        judged = levels > above_dbfs
        if judged.any():
            repeats = np.fft.irfft(power[judged] * self._pitch_band)[:, : _PERIODS.stop]
            shares = repeats * self._unfading / (repeats[:, :1] + 1e-9)
            voiced[judged] = shares[:, _PERIODS].max(axis=1)
            high[judged] = shares[:, _SHORT_PERIODS].max(axis=1)
        return Frames(levels, voiced, high, spectra)
