"""The way of a sound from the speaker to the microphone of the same box: the loudspeaker's distortion, the air and the
room. The same each time; numpy alone.

The room is the usual model of late reverberation: noise that decays by 60 dB in ``rt60_s``, after a direct sound that
carries half of the energy. float64 at int16 scale, mono.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Sound = npt.NDArray[np.float64]


class Path(NamedTuple):
    """What lies between speaker and microphone. ``gain_db``: of the echo at the microphone against what was played;
    ``delay_s``: of the direct sound, all buffers and the air together. ``rt60_s``: 0.3 is a furnished room, 0.75 a bare
    one. ``saturation``: the share of full scale towards which the speaker saturates; 0: it does not."""

    gain_db: float
    delay_s: float = 0.045
    rt60_s: float = 0.3
    saturation: float = 0.0
    seed: int = 1


class AcousticPath:
    """One stream through a ``Path`` at ``hz``; any block sizes."""

    def __init__(self, path: Path, hz: int) -> None:
        self._path = path
        self._response = _impulse_response(path, hz)
        self._tail = np.zeros(self._response.size - 1)
        self._size = 0
        self._spectrum = np.zeros(0, dtype=np.complex128)
        """Of the response, for that size."""

    def hears(self, played: Sound) -> Sound:
        """What the microphone hears of the next ``played``; as many samples."""
        saturation = self._path.saturation * 32768
        driven = saturation * np.tanh(played / saturation) if saturation else played
        whole = self._convolved(driven)
        whole[: self._tail.size] += self._tail
        self._tail = whole[played.size :]
        return whole[: played.size]

    def _convolved(self, sound: Sound) -> Sound:
        count = sound.size + self._response.size - 1
        # Of a length that the transform is quick with, and seldom another one.
        size = 1 << (count - 1).bit_length()
        if size != self._size:
            self._size, self._spectrum = size, np.fft.rfft(self._response, size)
        return np.fft.irfft(np.fft.rfft(sound, size) * self._spectrum, size)[:count]


def _impulse_response(path: Path, hz: int) -> Sound:
    """The direct sound, then the room's."""
    random = np.random.default_rng(path.seed)
    at_s = np.arange(1, round(path.rt60_s * hz)) / hz
    room = random.normal(size=at_s.size) * 10 ** (-3 * at_s / path.rt60_s)
    room *= 1 / np.sqrt(np.sum(room**2))
    response: Sound = np.concatenate((np.zeros(round(path.delay_s * hz)), [1.0], room)) / np.sqrt(2)
    response *= 10 ** (path.gain_db / 20)
    return response
