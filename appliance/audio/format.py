"""The one place that converts between frames, bytes and milliseconds.

A frame is one sample of every channel. All audio inside the daemon is 16-bit signed little-endian mono at ``WIRE_HZ``,
the format of the service in both directions; only the sound hosts see a card's own rate and channel count.
"""

from __future__ import annotations

WIRE_HZ = 24_000
"""Sample rate of the service in both directions, and of everything inside the daemon."""

SAMPLE_BYTES = 2
"""One int16 sample."""


def frames_from_s(seconds: float, hz: int = WIRE_HZ) -> int:
    """Whole frames in ``seconds``, rounded to the nearest."""
    return round(seconds * hz)


def frames_from_ms(milliseconds: float, hz: int = WIRE_HZ) -> int:
    """Whole frames in ``milliseconds``, rounded to the nearest."""
    return round(milliseconds * hz / 1000)


def s_from_frames(frames: float, hz: int = WIRE_HZ) -> float:
    """Seconds that ``frames`` last."""
    return frames / hz


def ms_from_frames(frames: float, hz: int = WIRE_HZ) -> float:
    """Milliseconds that ``frames`` last."""
    return frames * 1000 / hz


def bytes_from_frames(frames: int, channels: int = 1) -> int:
    """Bytes of ``frames`` interleaved int16 frames."""
    return frames * channels * SAMPLE_BYTES


def frames_from_bytes(size: int, channels: int = 1) -> int:
    """Whole frames in ``size`` bytes; a trailing partial frame does not count."""
    return size // (channels * SAMPLE_BYTES)
