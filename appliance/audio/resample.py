"""Between a card's sample rate and ``WIRE_HZ``, and from a card's channels to one. Stateful: one object per stream.

A polyphase filter in numpy: a windowed sinc (Kaiser) at the common multiple of both rates, of which each output sample
uses one phase. The rates' ratio is a small fraction, so the pattern of phases repeats after a few inputs, a block: one
product of all blocks with one matrix, whose rows are the phases. Any thread; one thread per object.

Chosen over soxr for its delay (soxr: 21 to 38 ms, it hands out bursts) and because it is no dependency. The delay is
1.71 ms between 24 kHz and 32 to 96 kHz, 1.85 at 22.05, 2.56 at 16, 5.13 at 8. Measured with a 1 kHz tone at -3 dBFS,
int16 to int16: 91 dB from the signal to everything else together, no line above -94 dB, and tones that could alias stay
below -87 dB. It takes 0.8 to 1.6 ms of processor time per second of sound, the down-mix included.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .levels import to_int16

STOPBAND_DB = 90.0
"""Images and aliases lie below this; the ear would forgive 70, int16 itself has 98. Each 10 dB cost 0.2 ms of delay."""

PASSBAND_SHARE = 0.86
"""Flat up to this share of the lower rate's half (10.3 kHz of 12), beyond which is only the hiss of an s. The rest, up
to exactly that half, is the slope; a steeper one is a longer filter: 0.91 would cost 2.7 ms of delay instead of 1.7."""

LONGEST_BLOCK_FRAMES = 1_600
"""A ratio whose pattern is longer (47 999 to 24 000 Hz) would need gigabytes. The rates that cards have stay below
641."""

Samples = npt.NDArray[np.int16] | npt.NDArray[np.float32]


def to_mono(samples: npt.NDArray[np.int16], channels: int, channel: int | Literal["mix"]) -> npt.NDArray[np.float32]:
    """One channel of interleaved ``samples``: the mean of all ("mix"), or one, counted from 1.

    float32 at int16 scale, not rounded, so that the only rounding is the resampler's. ValueError when the card has no
    such channel.
    """
    if channel == "mix":
        # Sums of slices: ``mean(axis=1)`` takes six times as long (measured, 20 ms blocks of stereo).
        mono = samples[0::channels].astype(np.float32)
        for number in range(1, channels):
            mono += samples[number::channels]
        if channels > 1:
            mono *= np.float32(1 / channels)
        return mono
    if not 1 <= channel <= channels:
        raise ValueError(f"channel {channel} of a microphone with {channels}")
    return samples[channel - 1 :: channels].astype(np.float32)


class Resampler:
    """From ``source_hz`` to ``target_hz``, both positive; with equal rates it only rounds.

    Output sample n belongs to the input at n / ``target_hz`` - ``delay_s`` seconds after the first input sample. No
    input waits: each call gives every output whose newest input has arrived. ValueError for rates that have no common
    measure to speak of; every rate that sound cards use is fine.
    """

    def __init__(self, source_hz: int, target_hz: int) -> None:
        common = math.gcd(source_hz, target_hz)
        self._identical = source_hz == target_hz
        self._block_in = source_hz // common
        self._block_out = target_hz // common
        if max(self._block_in, self._block_out) > LONGEST_BLOCK_FRAMES:
            raise ValueError(f"cannot resample from {source_hz} Hz to {target_hz} Hz")
        taps = _prototype(source_hz, target_hz)
        self._history = 0 if self._identical else math.ceil(taps.size / self._block_out) - 1
        """Input frames before a block that its first output still uses."""
        self._matrix = np.empty((0, 0), dtype=np.float32) if self._identical else self._matrix_of(taps)
        self.delay_s = 0.0 if self._identical else (taps.size - 1) / 2 / math.lcm(source_hz, target_hz)
        """How much later than its input a sound comes out, in seconds, at every frequency."""
        self._pending = np.zeros(0, dtype=np.float32)
        self._given = 0
        self.reset()

    def reset(self) -> None:
        """Forget what went before: after a hole in the stream."""
        self._pending = np.zeros(self._history, dtype=np.float32)
        self._given = 0

    def process(self, samples: Samples) -> npt.NDArray[np.int16]:
        """The next ``samples`` (mono, int16 or float32 at int16 scale, any number) at the target rate, rounded once."""
        if self._identical:
            return to_int16(samples.astype(np.float32))
        pending = np.concatenate((self._pending, samples), dtype=np.float32)
        ready = pending.size - self._history
        blocks, rest = divmod(ready, self._block_in)
        # Output n needs input up to floor(n * block_in / block_out): those of a begun block that have it are given too.
        begun = -(-rest * self._block_out // self._block_in)
        rows = blocks + (1 if rest else 0)
        outputs = blocks * self._block_out + begun
        padded = np.zeros(rows * self._block_in + self._history, dtype=np.float32)
        padded[: pending.size] = pending
        row_length = self._block_in + self._history
        strides = (self._block_in * padded.itemsize, padded.itemsize)
        windows: npt.NDArray[np.float32] = np.ndarray((rows, row_length), np.float32, padded, strides=strides)
        # einsum has SIMD loops of its own. ``@`` needs a good BLAS, and Debian's numpy comes with the plain one: 48 to
        # 24 kHz then costs 1.8 ms of processor time per second of sound instead of 0.5, 44.1 to 24 kHz 3.4 instead of
        # 0.9.
        result = np.einsum("ij,kj->ik", windows, self._matrix).reshape(-1)[self._given : outputs]
        self._pending = pending[blocks * self._block_in :]
        self._given = begun
        return to_int16(result)

    def flush(self) -> npt.NDArray[np.int16]:
        """The end of the sound, which the filter still holds; then as after ``reset``. Its last samples are zero."""
        tail = self.process(np.zeros(self._history, dtype=np.float32))
        self.reset()
        return tail

    def _matrix_of(self, taps: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        """(block_out, history + block_in): row n holds the phase of output n, at the inputs it uses."""
        phase_taps = self._history + 1
        padded = np.zeros(phase_taps * self._block_out)
        padded[: taps.size] = taps
        phases = padded.reshape(phase_taps, self._block_out)
        matrix = np.zeros((self._block_out, self._history + self._block_in), dtype=np.float32)
        for output in range(self._block_out):
            newest, phase = divmod(output * self._block_in, self._block_out)
            matrix[output, newest : newest + phase_taps] = phases[::-1, phase]
        return matrix


@cache
def _prototype(source_hz: int, target_hz: int) -> npt.NDArray[np.float64]:
    """The filter at the common multiple of both rates: symmetric, odd length, unity gain for every phase together."""
    common_hz = math.lcm(source_hz, target_hz)
    half_hz = min(source_hz, target_hz) / 2
    slope = half_hz * (1 - PASSBAND_SHARE) / common_hz
    # Kaiser's formulas: J. F. Kaiser, "Nonrecursive digital filter design using the I0-sinh window function", 1974.
    half_length = math.ceil((STOPBAND_DB - 7.95) / (14.36 * slope) / 2)
    beta = 0.1102 * (STOPBAND_DB - 8.7)
    cut = half_hz * (1 + PASSBAND_SHARE) / 2 / common_hz
    at: npt.NDArray[Any] = np.arange(-half_length, half_length + 1)
    taps: npt.NDArray[np.float64] = np.sinc(2 * cut * at) * np.kaiser(2 * half_length + 1, beta)
    taps *= common_hz / source_hz / taps.sum()
    return taps
