"""The measure that the demo and the sound tests rely on: it must see what is missing, and nothing else."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from appliance.simulator.sound_match import find

HZ = 24_000


@pytest.fixture
def speech() -> npt.NDArray[np.int16]:
    """Noise that comes and goes like syllables."""
    noise = np.random.default_rng(1).normal(size=2 * HZ)
    syllables = np.sin(np.arange(noise.size) * 2 * np.pi * 4 / HZ) ** 2
    samples: npt.NDArray[np.int16] = (noise * syllables * 6000).astype(np.int16)
    return samples


def in_a_room(*pieces: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    return np.concatenate([np.zeros(HZ // 3, np.int16), *pieces, np.zeros(HZ // 2, np.int16)])


def test_found_whole_at_any_loudness(speech: npt.NDArray[np.int16]) -> None:
    found = find(speech, in_a_room((speech * 0.3).astype(np.int16)), HZ)
    assert found.correlation > 0.999 and found.lag_frames == HZ // 3 and found.missing_ms == 0


def test_a_hole_of_ten_milliseconds_is_seen(speech: npt.NDArray[np.int16]) -> None:
    damaged = speech.copy()
    at = HZ // 16
    damaged[at - 120 : at + 120] = 0
    found = find(speech, in_a_room(damaged), HZ)
    assert found.longest_gap_ms >= 5


def test_a_pause_in_the_middle_is_seen(speech: npt.NDArray[np.int16]) -> None:
    half = speech.size // 3
    found = find(speech, in_a_room(speech[:half], np.zeros(480, np.int16), speech[half:]), HZ)
    assert found.correlation < 0.9 and found.missing_ms > 400


def test_a_missing_end_is_seen(speech: npt.NDArray[np.int16]) -> None:
    found = find(speech, in_a_room(speech[: -HZ // 8], np.zeros(HZ // 8, np.int16)), HZ)
    assert found.missing_ms > 50


def test_something_else_is_not_found(speech: npt.NDArray[np.int16]) -> None:
    other = np.random.default_rng(2).normal(size=speech.size * 2) * 3000
    assert find(speech, other.astype(np.int16), HZ).correlation < 0.2
    assert find(speech, speech[:100], HZ).correlation == 0


def test_half_a_sample_is_no_difference() -> None:
    """As a card at twice the rate plays it: the odd samples of the interpolated sound."""
    rng = np.random.default_rng(3)
    spectrum = np.fft.rfft(rng.normal(0, 4000, HZ))
    spectrum[9 * spectrum.size // 10 :] = 0
    original = np.fft.irfft(spectrum, HZ)
    doubled = np.fft.irfft(np.concatenate((spectrum, np.zeros(HZ // 2))), 2 * HZ) * 2
    sound, between = original.astype(np.int16), doubled[1::2].astype(np.int16)
    found = find(sound, np.concatenate((np.zeros(500, dtype=np.int16), between)), HZ)
    assert found.correlation > 0.999 and found.missing_ms == 0
