"""Recordings for tests, as owners make them."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt


def save(path: Path, samples: npt.NDArray[np.int16], hz: int, channels: int = 1) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, hz, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())


def sweep(hz: int, seconds: float = 1.5) -> npt.NDArray[np.int16]:
    """From 300 to 1000 Hz: found again at one place only, and half a sample beside it is as good."""
    at_s = np.arange(round(seconds * hz)) / hz
    phase = 2 * np.pi * (300 * at_s + 350 / seconds * at_s**2)
    return np.asarray(np.rint(8_000 * np.sin(phase)), dtype=np.int16)
