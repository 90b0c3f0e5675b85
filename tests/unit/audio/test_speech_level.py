"""The verdict on a turn's microphone."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.audio.speech_level import SpeechLevel


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


@pytest.mark.parametrize("rest", [0, -1])
def test_what_is_left_of_a_muted_card_is_one_step_and_dead(rest: int) -> None:
    """Of 24 bits cut to 16 it is 0 and -1."""
    judged = SpeechLevel()
    steps = np.random.default_rng(1).integers(rest, rest + 2, 24_000).astype("<i2")
    for begin in range(0, steps.size, 960):
        judged.add(steps[begin : begin + 960].tobytes())
    assert judged.dead
    assert "muted or dead" in judged.verdict


def test_one_sample_is_no_silence() -> None:
    judged = level(0)
    judged.add(b"\2\0")
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
