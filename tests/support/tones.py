"""Sounds of apparatus as a microphone hears them, made up: float64 at int16 scale, mono, 24 kHz. None is a voice.

``SOUNDS``: name and a function that gives thirty of them, or fewer, each a second or two long with silence around it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from tests.support.acoustics import HZ, Sound, at_dbfs, frames

BEEP_HZ: Final = (440, 523, 660, 784, 880, 1000, 1050, 1200, 1320, 1400)
BEEP_S: Final = (0.15, 0.3, 1.0)

EDGE_S: Final = 0.005
"""In which a sounder starts and stops."""

AROUND_S: Final = 0.5


def tone(hz: float | Sound, seconds: float, harmonics: tuple[float, ...] = (1.0,)) -> Sound:
    """A tone, of one frequency or one for each sample, with its harmonics, the first first; edges of ``EDGE_S``."""
    at_s = np.arange(frames(seconds)) / HZ
    turned = 2 * np.pi * np.cumsum(np.broadcast_to(hz, at_s.shape)) / HZ
    edge = np.clip(np.minimum(at_s, seconds - at_s) / EDGE_S, 0, 1)
    sound: Sound = edge * sum(loud * np.sin((number + 1) * turned) for number, loud in enumerate(harmonics) if loud)
    return sound


SQUARE: Final = (1.0, 0.0, 1 / 3, 0.0, 1 / 5, 0.0, 1 / 7)
"""A piezo sounder's, driven by a pin."""


def _beeps(harmonics: tuple[float, ...]) -> Iterator[Sound]:
    for hz in BEEP_HZ:
        for seconds in BEEP_S:
            yield tone(hz, seconds, harmonics)


def _low_beeps() -> Iterator[Sound]:
    for hz in (180, 250, 310, 350, 400):
        for seconds in (*BEEP_S, 2.0):
            yield tone(hz, seconds)


def _series() -> Iterator[Sound]:
    """A till, a microwave, an alarm clock: several of one kind."""
    for hz in BEEP_HZ:
        for on_s, off_s in ((0.06, 0.06), (0.1, 0.1), (0.2, 0.15)):
            yield np.tile(np.concatenate((tone(hz, on_s, SQUARE), np.zeros(frames(off_s)))), 4)


def _warbles() -> Iterator[Sound]:
    """A telephone's: two tones in turn, 10 to 30 times a second."""
    for low_hz, high_hz in ((440, 480), (650, 800), (853, 960), (1000, 1300), (1100, 1400)):
        for rate_hz in (10, 16, 25):
            at_s = np.arange(frames(1.5)) / HZ
            hz = np.where((at_s * rate_hz) % 1 < 0.5, low_hz, high_hz)
            for harmonics in ((1.0,), SQUARE):
                yield tone(hz, 1.5, harmonics)


def _chimes() -> Iterator[Sound]:
    """Ding, dong: two bars that ring out, with the partials of a bar (1, 2.76, 5.4)."""
    at_s = np.arange(frames(1.2)) / HZ
    for ding_hz, dong_hz in ((660, 550), (659, 523), (784, 622), (880, 698), (523, 415)):
        for fall_s in (0.2, 0.4, 0.8):
            for partial in (0.0, 0.3):
                struck = np.zeros(frames(1.8))
                for begin_s, hz in ((0.0, ding_hz), (0.6, dong_hz)):
                    bar = np.sin(2 * np.pi * hz * at_s) + partial * np.sin(2 * np.pi * 2.76 * hz * at_s) * np.exp(
                        -at_s / 0.1
                    )
                    begin = frames(begin_s)
                    struck[begin : begin + at_s.size] += bar * np.exp(-at_s / fall_s)
                yield struck


def _two_tones() -> Iterator[Sound]:
    """A telephone's keys (697 to 941 and 1209 to 1477 Hz), its dialling and ringing tones."""
    for low_hz in (697, 770, 852, 941):
        for high_hz in (1209, 1336, 1477):
            for seconds in (0.2, 0.6):
                yield tone(low_hz, seconds) + tone(high_hz, seconds)
    for pair in ((350, 440), (440, 480), (400, 450)):
        for seconds in (0.4, 2.0):
            yield tone(pair[0], seconds) + tone(pair[1], seconds)


def _sweeps() -> Iterator[Sound]:
    """A siren, a charger that is plugged in, a lift."""
    for first_hz, last_hz in ((400, 1200), (1200, 400), (500, 800), (1000, 2000), (300, 600)):
        for seconds in (0.2, 0.5, 1.5):
            hz = np.geomspace(first_hz, last_hz, frames(seconds))
            yield tone(hz, seconds)
            yield tone(hz, seconds, SQUARE)


SOUNDS: Final[dict[str, Callable[[], Iterator[Sound]]]] = {
    "beeps": lambda: _beeps((1.0,)),
    "square beeps": lambda: _beeps(SQUARE),
    "low beeps": _low_beeps,
    "series of beeps": _series,
    "warbles": _warbles,
    "chimes": _chimes,
    "two tones": _two_tones,
    "sweeps": _sweeps,
}


def heard(sound: Sound, room: Sound, dbfs: float) -> Sound:
    """``sound`` at that level in ``room``, which begins ``AROUND_S`` before it and goes on as long after."""
    around = frames(AROUND_S)
    mixed = room[: sound.size + 2 * around].copy()
    mixed[around : around + sound.size] += at_dbfs(sound, dbfs)
    return mixed
