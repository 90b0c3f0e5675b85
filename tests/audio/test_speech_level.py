"""The verdict on a turn's microphone."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.audio.levels import SILENCE_DBFS
from appliance.audio.speech_level import SpeechLevel, speech_dbfs
from tests.support import acoustics


def level(amplitude: float, seconds: float = 1.0) -> SpeechLevel:
    """Noise with that root mean square, clipped as a card clips."""
    noise = np.random.default_rng(1).standard_normal(round(24_000 * seconds)) * amplitude
    samples = np.clip(noise, -32_768, 32_767).astype("<i2")
    judged = SpeechLevel()
    for begin in range(0, samples.size, 960):
        judged.add(samples[begin : begin + 960].tobytes())
    return judged


@pytest.mark.parametrize(
    ("amplitude", "said"),
    [
        (30_000, "too loud: 2"),
        (3_000, ""),
        (1_000, ""),
        (100, "too quiet, or nobody spoke: -50 dBFS"),
        (0, "muted or dead"),
    ],
)
def test_the_verdict(amplitude: float, said: str) -> None:
    judged = level(amplitude)
    assert said in judged.verdict
    assert bool(judged.verdict) is bool(said)
    assert judged.dead is (amplitude == 0)


@pytest.mark.parametrize(("lowest", "highest"), [(-1, 0), (-2, 1), (299, 301)])
def test_what_dither_makes_of_zeros_is_still_dead(lowest: int, highest: int) -> None:
    """A muted card's zeros, as PortAudio dithers and a resampler rounds them; and a capsule without current, whose card
    has its zero elsewhere."""
    judged = SpeechLevel()
    samples = np.random.default_rng(2).integers(lowest, highest, 24_000, endpoint=True).astype("<i2")
    for begin in range(0, samples.size, 960):
        judged.add(samples[begin : begin + 960].tobytes())
    assert judged.dead
    assert "muted or dead" in judged.verdict


def test_the_faintest_hiss_is_no_silence() -> None:
    judged = level(0)
    judged.add(b"\4\0")
    assert not judged.dead
    assert "too quiet" in judged.verdict


@pytest.mark.parametrize("amplitude", [0, 100, 30_000])
def test_a_short_turn_says_nothing(amplitude: float) -> None:
    judged = level(amplitude, 0.4)
    assert not judged.verdict
    assert not judged.dead


@pytest.mark.parametrize("offset", [-1_000, 300])
def test_a_card_whose_zero_is_elsewhere_makes_nobody_louder(offset: int) -> None:
    judged = SpeechLevel()
    noise = np.random.default_rng(1).standard_normal(24_000) * 100
    for begin in range(0, noise.size, 960):
        judged.add((noise[begin : begin + 960] + offset).astype("<i2").tobytes())
    assert "too quiet, or nobody spoke: -50 dBFS" in judged.verdict


@pytest.mark.parametrize("frames", [0, 1, 480, 1_439, 1_920])
def test_of_hardly_any_sound_nobody_speaks(frames: int) -> None:
    """A card that has just been opened has given none."""
    assert speech_dbfs(np.zeros(frames, dtype=np.int16)) == SILENCE_DBFS


def test_speech_is_as_loud_as_it_is() -> None:
    said = acoustics.to_int16(acoustics.spoken("ask-who", -26.0))
    looks = [speech_dbfs(said[begin : begin + 4_800]) for begin in range(0, said.size - 4_800, 2_400)]
    spoken = [look for look in looks if look > SILENCE_DBFS]
    assert len(spoken) > len(looks) / 2
    assert -30 < np.median(spoken) < -22
