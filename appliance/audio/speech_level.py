"""Whether a turn's microphone was too loud, too quiet, or dead: one verdict a turn; and how loud somebody
speaks at this moment. Pure functions of samples."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .format import SAMPLE_BYTES, WIRE_HZ
from .frames import FRAME, Analyser, steadiness
from .gate import FAINTEST_NOTICED_DBFS, STEADY, VOICED
from .levels import SILENCE_DBFS, Swing, audible_dbfs

CLIPPED = 32_000
"""A sample beyond this is taken for a clipped one: the resampler rounds the corners of full scale by some 0.2 dB."""

CLIPPED_SHARE = 0.001
"""Of the samples; from here on it is heard as a rasp. A single peak is not worth a line. Not measured with a person."""

QUIET_DBFS = -45.0
"""The loudest 40 ms of speech are above this at arm's length from an ordinary USB microphone; the turn detection of the
embedded service begins here, too. Not measured with a person."""

SHORTEST_S = 0.5
"""A shorter turn says nothing about the microphone."""

SPEECH_FRAMES = 3
"""Voiced ones, 60 ms: a plop has one or two."""


def speech_dbfs(samples: npt.NDArray[np.int16]) -> float:
    """Level of the speech in some tenths of a second, int16 mono at ``WIRE_HZ``: of its voiced frames, between 200 and
    3400 Hz. ``SILENCE_DBFS`` where nobody speaks: a hiss is not voiced, a hum and a beep do not change."""
    count = samples.size // FRAME
    if count <= SPEECH_FRAMES:
        return SILENCE_DBFS
    frames = Analyser().analyse(samples[: count * FRAME], FAINTEST_NOTICED_DBFS)
    # The first frame has nothing before it.
    voiced = np.flatnonzero(frames.voiced[1:] > VOICED) + 1
    if voiced.size < SPEECH_FRAMES or steadiness(frames.spectra[voiced]) > STEADY:
        return SILENCE_DBFS
    return 10 * float(np.log10(np.mean(10 ** (frames.levels[voiced] / 10))))


class SpeechLevel:
    """``add`` what was sent of a turn, then ask for the ``verdict``."""

    def __init__(self) -> None:
        self._samples = 0
        self._clipped = 0
        self._loudest_dbfs = SILENCE_DBFS
        self._swing = Swing()

    def add(self, pcm: bytes) -> None:
        """Some 40 ms, int16 mono at ``WIRE_HZ``. 40 µs."""
        samples: npt.NDArray[np.int16] = np.frombuffer(pcm[: len(pcm) // SAMPLE_BYTES * SAMPLE_BYTES], dtype=np.int16)
        if samples.size == 0:
            return
        self._swing.add(samples)
        self._samples += samples.size
        self._clipped += int(np.count_nonzero((samples >= CLIPPED) | (samples <= -CLIPPED)))
        self._loudest_dbfs = max(self._loudest_dbfs, audible_dbfs(samples))

    @property
    def dead(self) -> bool:
        """All of a turn was zeros, or what a card and its driver make of them: a real microphone always hisses."""
        return self._swing.flat and self._samples >= SHORTEST_S * WIRE_HZ

    @property
    def verdict(self) -> str:
        """One line with the fix; empty if there is nothing to say."""
        if self._samples < SHORTEST_S * WIRE_HZ:
            return ""
        if self._swing.flat:
            return (
                "microphone muted or dead: a whole turn without a sound; look for a switch on it, "
                "set microphone.capture_percent, or try another one"
            )
        if self._clipped > CLIPPED_SHARE * self._samples:
            share = 100 * self._clipped / self._samples
            return (
                f"the microphone is too loud: {share:.1f} % of the samples are cut off; "
                "lower microphone.capture_percent, or speak from farther away"
            )
        if self._loudest_dbfs < QUIET_DBFS:
            return (
                f"too quiet, or nobody spoke: {self._loudest_dbfs:.0f} dBFS at its loudest; "
                "raise microphone.capture_percent, or speak closer to the microphone"
            )
        return ""
