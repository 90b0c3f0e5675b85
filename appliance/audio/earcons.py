"""The short tones that speak to a person who cannot see the light: synthesised, no files.

Each has a contour of its own, so that they differ by more than pitch: up, level, down, and two low strokes. 400 to
1500 Hz is where a small speaker is loud and an older ear still good. Any thread.
"""

from __future__ import annotations

from enum import Enum
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from .format import WIRE_HZ, frames_from_ms
from .levels import fade_in, to_int16

PEAK = 8_192
"""-12 dBFS: clear beside speech with peaks near -6 dBFS and an rms near -20, and not startling."""

EDGE_MS = 5.0
"""Fade at the ends of each tone; below some 3 ms a start is heard as a click."""

OVERTONE = 0.2
"""Share of the octave above: a pure sine vanishes on a speaker with a hole at its pitch. It stays below 1500 Hz."""


class Earcon(Enum):
    """What a tone says. Values are those of the turn machine's sounds."""

    LISTENING = "listening"
    """Speak now. The shortest: people start at its first half, and the microphone hears it."""
    SENT = "sent"
    """What you said is on its way."""
    SORRY = "sorry"
    """That did not work; please again."""
    ERROR = "error"
    """Something is broken that speaking again does not mend."""


# (from Hz, to Hz, ms) of each tone; 0 Hz is a pause.
_CONTOURS: dict[Earcon, tuple[tuple[float, float, float], ...]] = {
    Earcon.LISTENING: ((500, 800, 50),),
    Earcon.SENT: ((660, 660, 70),),
    Earcon.SORRY: ((700, 420, 150),),
    Earcon.ERROR: ((440, 440, 60), (0, 0, 30), (440, 440, 60)),
}


TICK_HZ: Final = 1000.0
"""Between the tones of the earcons, and quickest to fall away from them: one short stroke, no melody."""

TICK_MS: Final = 25.0
TICK_PEAK: Final = 1_029
"""-30 dBFS, 18 dB below an earcon: heard in a quiet room by who listens for it, lost in a noisy one, where the light
says the same. Where the microphone hears the speaker at -12 dB, it is at -42 dBFS there."""


@cache
def tick() -> npt.NDArray[np.int16]:
    """Once every few seconds while an answer is awaited: int16 mono at ``WIRE_HZ``, read-only, faded at both ends."""
    samples = to_int16(_tone(TICK_HZ, TICK_HZ, TICK_MS, overtone=0.0) * np.float32(TICK_PEAK / PEAK))
    samples.flags.writeable = False
    return samples


@cache
def earcon(name: Earcon) -> npt.NDArray[np.int16]:
    """The samples of an earcon: int16 mono at ``WIRE_HZ``, at most 150 ms, starting and ending at zero, read-only.

    Made at the first call (0.2 ms); the daemon asks for each once when it starts.
    """
    samples = to_int16(np.concatenate([_tone(*part) for part in _CONTOURS[name]]))
    samples.flags.writeable = False
    return samples


def _tone(from_hz: float, to_hz: float, length_ms: float, overtone: float = OVERTONE) -> npt.NDArray[np.float32]:
    """A glide with one overtone and faded ends, float32 at int16 scale."""
    frames = frames_from_ms(length_ms)
    if from_hz == 0:
        return np.zeros(frames, dtype=np.float32)
    pitch_hz = np.linspace(from_hz, to_hz, frames)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / WIRE_HZ
    tone: npt.NDArray[np.float32] = (np.sin(phase) + overtone * np.sin(2 * phase)).astype(np.float32)
    tone *= PEAK / (1 + overtone)
    edge = fade_in(frames_from_ms(EDGE_MS))
    tone[: edge.size] *= edge
    tone[-edge.size :] *= edge[::-1]
    return tone
