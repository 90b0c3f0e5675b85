"""Is a sound contained in a recording? For the demo, which checks what the speaker played, and for the tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

WINDOW_MS = 5
"""Grain of the search for gaps: the shortest that a listener notices inside speech."""

QUIET_DB = -40.0
"""Windows of the reference this far below its loudest count as pauses: nothing can be missing from them."""

LOST_SHARE = 0.5
"""A window is missing when what differs from the reference has more than this share of its energy. Rounding and
resampling stay below 0.01; a hole is 1."""

SHIFT_MARGIN_FRAMES = 1024
"""Zeros behind a sound that is shifted; what comes round from its end is 60 dB down after so many."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a reference is found in a recording. All zero, with ``correlation`` 0, when the recording is too short."""

    correlation: float
    """Of the aligned stretches, 1 is identical up to loudness."""
    lag_frames: int
    """Where in the recording the reference begins."""
    longest_gap_ms: float
    """The longest stretch of the reference, pauses aside, that is not there."""
    missing_ms: float
    """All of them together."""


def find(reference: npt.NDArray[np.int16], recording: npt.NDArray[np.int16], hz: int) -> Comparison:
    """Align ``reference`` with ``recording`` (mono, both at ``hz``) where they agree best, and compare.

    One lag for the whole: a reply that was played with a pause in its middle does not pass for whole. The lag may be
    half a sample: a card's rate is twice ours, so that what it plays may lie between our samples, and a sharp consonant
    half a sample off looks like another sound (a correlation of 0.987, measured).
    """
    wanted = reference.astype(np.float64)
    found = (_find(shifted, recording.astype(np.float64), hz) for shifted in (wanted, _half_a_sample_later(wanted)))
    return max(found, key=lambda comparison: comparison.correlation)


def _find(wanted: npt.NDArray[np.float64], heard: npt.NDArray[np.float64], hz: int) -> Comparison:
    length = wanted.size
    if length == 0 or heard.size < length:
        return Comparison(0.0, 0, 0.0, 0.0)
    size = 1 << (heard.size + length - 1).bit_length()
    products = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(wanted, size)), size)
    lag = int(np.argmax(products[: heard.size - length + 1]))
    aligned = heard[lag : lag + length]
    energy = float(np.sqrt(np.sum(wanted**2) * np.sum(aligned**2)))
    correlation = float(products[lag]) / energy if energy else 0.0
    longest, total = _missing(wanted, aligned, round(hz * WINDOW_MS / 1000))
    return Comparison(correlation, lag, longest * WINDOW_MS, total * WINDOW_MS)


def _half_a_sample_later(samples: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """By the spectrum, with zeros behind, so that the end does not come round to the beginning."""
    size = samples.size + SHIFT_MARGIN_FRAMES
    spectrum = np.fft.rfft(samples, size)
    turned = spectrum * np.exp(-1j * np.pi * np.arange(spectrum.size) / size)
    return np.fft.irfft(turned, size)[: samples.size]


def _missing(wanted: npt.NDArray[np.float64], aligned: npt.NDArray[np.float64], window: int) -> tuple[int, int]:
    """Windows of ``wanted`` that ``aligned`` lacks: the longest run, and all."""
    count = wanted.size // window
    wanted, aligned = wanted[: count * window].reshape(-1, window), aligned[: count * window].reshape(-1, window)
    power = np.sum(wanted**2, axis=1)
    # The loudness of the recording, from windows that are certainly there: half of all are at least as loud as this.
    gains = np.sum(wanted * aligned, axis=1)[power > 0] / power[power > 0]
    gain = float(np.median(gains)) if gains.size else 0.0
    lost = np.sum((aligned - gain * wanted) ** 2, axis=1) > LOST_SHARE * gain**2 * power
    lost &= power > power.max(initial=0.0) * 10 ** (QUIET_DB / 10)
    longest = run = 0
    for window_lost in lost:
        run = run + 1 if window_lost else 0
        longest = max(longest, run)
    return longest, int(np.count_nonzero(lost))
