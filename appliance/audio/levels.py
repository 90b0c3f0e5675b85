"""Loudness: levels in dBFS, the volume curve, and the shape of a fade.

0 dBFS is a peak, or a root mean square, of 32 768: a full-scale sine has -3 dBFS rms. Pure functions, any thread.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import numpy.typing as npt

from .format import WIRE_HZ

FULL_SCALE = 32_768.0
"""Magnitude of the largest int16 sample."""

INAUDIBLE_DBFS = -60.0
"""Peak below which a reply is silence: the dither of a synthesiser, and some 40 dB below the faintest speech of one."""

SILENCE_DBFS = -120.0
"""What a block of zeros counts as: below anything 16 bits can hold (-90.3 dBFS), and still a number to print."""

HUM_HZ = 150.0
"""Below it are the mains and their rectified hum, 50 to 120 Hz with the window's skirts, and little of a voice."""

FLAT_STEPS = 3
"""What sways by no more than so many steps of 16 bits is no sound. PortAudio's dither makes 0 and -1 of a muted card's
zeros, and the resampler, from a low rate, -2 to 1 (one step to either side). A live microphone's hiss sways by more
than this within milliseconds: one that did not would be at -98 dBFS."""


def decibel(ratio: float) -> float:
    """``ratio`` of two amplitudes in dB; zero and below give ``SILENCE_DBFS``."""
    return max(20 * math.log10(ratio), SILENCE_DBFS) if ratio > 0 else SILENCE_DBFS


def peak_dbfs(samples: npt.NDArray[np.int16]) -> float:
    """Level of the largest sample; ``SILENCE_DBFS`` for zeros and for no samples."""
    if samples.size == 0:
        return SILENCE_DBFS
    return decibel(max(int(samples.max()), -int(samples.min())) / FULL_SCALE)


def audible_dbfs(samples: npt.NDArray[np.int16]) -> float:
    """Root mean square level above ``HUM_HZ``, so without a card's offset and the mains' hum: some cards have either as
    loud as soft speech, and nobody hears it. int16 at ``WIRE_HZ``, 10 ms and more: shorter ones have no room for a hum.
    ``SILENCE_DBFS`` of no samples, and of those that are ``is_flat``. 15 µs for 40 ms.
    """
    if samples.size == 0 or is_flat(samples):
        return SILENCE_DBFS
    window, first_bin = _hum_filter(samples.size)
    sound = samples.astype(np.float32)
    spectrum = np.fft.rfft((sound - sound.mean()) * window)[first_bin:]
    # Half of the energy is at the negative frequencies.
    energy = 2 * float(np.sum(spectrum.real**2 + spectrum.imag**2)) / samples.size
    return decibel(math.sqrt(energy / float(np.dot(window, window))) / FULL_SCALE)


@cache
def _hum_filter(frames: int) -> tuple[npt.NDArray[np.float32], int]:
    """A window for so many samples, and the first bin of their spectrum that is none of the hum's."""
    return np.hanning(frames + 2)[1:-1].astype(np.float32), math.ceil(HUM_HZ * frames / WIRE_HZ)


class Swing:
    """Between which values samples lie, to tell a line that nothing comes over from one that is only quiet."""

    def __init__(self) -> None:
        self._lowest, self._highest = 32_767, -32_768

    def add(self, samples: npt.NDArray[np.int16]) -> None:
        """More of them, in any portions."""
        if samples.size:
            self._lowest = min(self._lowest, int(samples.min()))
            self._highest = max(self._highest, int(samples.max()))

    @property
    def flat(self) -> bool:
        """Nothing but one value, wherever the card has its zero, give or take a dither; also of no samples."""
        return self._highest - self._lowest <= FLAT_STEPS


def is_flat(samples: npt.NDArray[np.int16]) -> bool:
    """``Swing.flat`` of these alone."""
    swing = Swing()
    swing.add(samples)
    return swing.flat


def is_silent(pcm: bytes) -> bool:
    """Nothing of ``pcm``, int16 little-endian, could be heard. Also true of no samples."""
    return peak_dbfs(np.frombuffer(pcm, dtype="<i2")) < INAUDIBLE_DBFS


def volume_gain(percent: float) -> float:
    """Amplitude factor for a volume of 0 to 100; 0 is silence, 100 leaves the samples as they are.

    The cube is PulseAudio's curve for its sliders (``pa_sw_volume_to_linear``): equal steps sound equal down to about
    -40 dB, and unlike a straight line in dB it reaches silence at 0. 80 is -5.8 dB, 50 is -18 dB.
    """
    return (min(max(percent, 0.0), 100.0) / 100.0) ** 3


@cache
def fade_in(frames: int) -> npt.NDArray[np.float32]:
    """A raised cosine from just above 0 to just below 1, float32 of ``frames``, read-only; reversed it fades out.

    Its slope is 0 at both ends, so that neither a start nor an end makes a corner one could hear as a click.
    """
    phase = np.pi * (np.arange(frames) + 0.5) / max(frames, 1)
    shape: npt.NDArray[np.float32] = (0.5 - 0.5 * np.cos(phase)).astype(np.float32)
    shape.flags.writeable = False
    return shape


def to_int16(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
    """``samples`` (int16 scale) rounded to the nearest, held at the ends of the range; the argument is overwritten."""
    np.rint(samples, out=samples)
    # np.clip does the same in 6 us instead of 1.5 for a block of 10 ms: it goes through Python.
    np.minimum(samples, 32_767, out=samples)
    np.maximum(samples, -32_768, out=samples)
    return samples.astype(np.int16)
