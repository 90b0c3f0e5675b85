"""Whether a turn's microphone was too loud, too quiet, or dead: one verdict a turn. Pure functions of samples."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .format import SAMPLE_BYTES, WIRE_HZ
from .levels import SILENCE_DBFS, rms_dbfs

CLIPPED = 32_000
"""A sample beyond this is taken for a clipped one: the resampler rounds the corners of full scale by some 0.2 dB."""

CLIPPED_SHARE = 0.001
"""Of the samples; from here on it is heard as a rasp. A single peak is not worth a line. Not measured with a person."""

QUIET_DBFS = -45.0
"""The loudest 40 ms of speech are above this at arm's length from an ordinary USB microphone; the turn detection of the
embedded service begins here, too. Not measured with a person."""

STILL = 1
"""A whole turn that is nowhere farther from zero is no sound: what is left of a muted card's hiss at 24 bits, or of a
converter's dither, is one step."""

SHORTEST_S = 0.5
"""A shorter turn says nothing about the microphone."""


class SpeechLevel:
    """``add`` what was sent of a turn, then ask for the ``verdict``."""

    def __init__(self) -> None:
        self._samples = 0
        self._clipped = 0
        self._loudest_dbfs = SILENCE_DBFS
        self._still = True

    def add(self, pcm: bytes) -> None:
        """Some 40 ms, int16 mono at ``WIRE_HZ``. 20 µs."""
        samples: npt.NDArray[np.int16] = np.frombuffer(pcm[: len(pcm) // SAMPLE_BYTES * SAMPLE_BYTES], dtype=np.int16)
        if not samples.size:
            return
        if samples.max() <= STILL and samples.min() >= -STILL:
            self._samples += samples.size
            return
        self._still = False
        self._samples += samples.size
        self._clipped += int(np.count_nonzero((samples >= CLIPPED) | (samples <= -CLIPPED)))
        # Without the card's offset: some have one as loud as soft speech, and nobody hears it.
        sound = samples.astype(np.float32)
        self._loudest_dbfs = max(self._loudest_dbfs, rms_dbfs(sound - sound.mean()))

    @property
    def dead(self) -> bool:
        """All of a turn was zero, give or take STILL: a real microphone always hisses."""
        return self._still and self._samples >= SHORTEST_S * WIRE_HZ

    @property
    def verdict(self) -> str:
        """One line with the fix; empty if there is nothing to say."""
        if self._samples < SHORTEST_S * WIRE_HZ:
            return ""
        if self.dead:
            return (
                "microphone muted or dead: a whole turn of silence; look for a switch on it, "
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
