"""From the samples of a card to int16: the upper half of each. Standard library only, for the sound host.

Nothing is rounded and nothing dithered, so that no sample can exceed the range, zeros stay zeros, and the hiss of a
muted card with more than 16 bits becomes 0 and -1.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import NamedTuple


class SampleFormat(NamedTuple):
    """One that a card has by itself, and what PortAudio is asked for then."""

    alsa: str
    """ALSA's name."""
    portaudio: int
    """``PaSampleFormat``, a bit of PortAudio's ABI (portaudio.h); PyAudio's constants are the same."""
    to_int16: Callable[[bytes], bytes]


def _same(pcm: bytes) -> bytes:
    return pcm


def _from_24(pcm: bytes) -> bytes:
    upper = bytearray(len(pcm) // 3 * 2)
    upper[0::2] = pcm[1::3]
    upper[1::2] = pcm[2::3]
    return bytes(upper)


def _from_32(pcm: bytes) -> bytes:
    return array("h", pcm)[1::2].tobytes()


USABLE = (
    SampleFormat("S16_LE", 8, _same),
    SampleFormat("S32_LE", 2, _from_32),
    SampleFormat("S24_3LE", 4, _from_24),
    SampleFormat("FLOAT_LE", 2, _from_32),
)
"""The best first. PortAudio 19.6 has no 24 bits in 32 (S24_LE) and no subframes of a digital output, and its conversion
to 8 bits is empty (``Int16_To_UInt8_Dither``).

The last is no card's: only plugins have float samples and nothing else. Them PortAudio makes 32 bits of, with a dither
that is cut off again, since a Python loop over floats would take a Pi Zero's core. What exceeds full scale is held
there by an ARM processor's own rounding, and by no other's. 20 ms of one channel at 48 kHz take 20 µs on a desktop."""


def usable(native: Sequence[str]) -> SampleFormat | None:
    """The best of the formats that a device has by itself; None if PortAudio can use none of them."""
    return next((form for form in USABLE if form.alsa in native), None)
