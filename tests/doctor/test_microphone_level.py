"""What the doctor says of a microphone, over sounds that are not speech, or not only."""

from __future__ import annotations

from typing import Final

import numpy as np
import pytest

from appliance.audio.microphone import LOOK_FRAMES, Microphone
from appliance.audio.ring import Ring
from appliance.config import loader
from appliance.doctor import sound
from appliance.doctor.finding import Finding, Grade
from appliance.soundhost import messages
from tests.support import acoustics, tones

ANSWER_S: Final = 4.5
"""While somebody who was asked to speak is listened to."""


def hum(dbfs: float, hz: float = 50.0) -> acoustics.Sound:
    """The mains', with its overtones."""
    return acoustics.at_dbfs(tones.tone(hz, ANSWER_S, (1.0, 0.5, 0.4, 0.2, 0.3, 0.1, 0.2)), dbfs)


def plop(peak: float) -> acoustics.Sound:
    """Somebody's breath, or a finger on the microphone, in the middle."""
    at_s = np.arange(acoustics.frames(0.12)) / acoustics.HZ
    heard = np.zeros(acoustics.frames(ANSWER_S))
    begin = heard.size // 2
    heard[begin : begin + at_s.size] = peak * np.exp(-at_s / 0.03) * np.sin(2 * np.pi * 90 * at_s)
    return heard


def sentence(dbfs: float) -> acoustics.Sound:
    """One, with a breath before it."""
    heard = np.zeros(acoustics.frames(ANSWER_S))
    said = acoustics.spoken("ask-who", dbfs)
    heard[acoustics.frames(0.7) : acoustics.frames(0.7) + said.size] = said
    return heard


@pytest.mark.parametrize(
    ("heard", "verdict", "said"),
    [
        (sentence(-26), Grade.OK, "heard well"),
        (sentence(-26) + 1_000, Grade.OK, "heard well"),
        (sentence(-26) + hum(-36), Grade.OK, "heard well"),
        (sentence(-26) + plop(20_000), Grade.OK, "heard well"),
        (sentence(-58), Grade.WARNING, "too faint"),
        (sentence(-58) + 1_000, Grade.WARNING, "too faint"),
        (sentence(-58) + plop(20_000), Grade.WARNING, "too faint"),
        (sentence(-58) + hum(-30), Grade.WARNING, "no speech is heard"),
        (hum(-30), Grade.WARNING, "no speech is heard"),
        (hum(-30, 60.0), Grade.WARNING, "no speech is heard"),
        (hum(-30, 100.0), Grade.WARNING, "no speech is heard"),
        (plop(20_000), Grade.WARNING, "no speech is heard"),
        (0 * plop(1), Grade.WARNING, "no speech is heard"),
        (0 * plop(1) + 1_000, Grade.WARNING, "no speech is heard"),
    ],
)
def test_what_somebody_says_to_the_doctor(heard: acoustics.Sound, verdict: Grade, said: str) -> None:
    """Through a live card, which hisses; a real ``Microphone`` gives the readings, as the doctor takes them."""
    finding = examined(heard + acoustics.silence(np.random.default_rng(4), ANSWER_S, -80.0))
    assert finding.verdict is verdict and said in finding.line


@pytest.mark.parametrize("offset", [0, -1_000])
def test_a_capsule_that_gives_nothing_but_what_the_driver_adds(offset: int) -> None:
    """The zeros of a muted card, dithered; or its offset."""
    finding = examined(np.random.default_rng(5).integers(-1, 1, acoustics.frames(ANSWER_S)) + float(offset))
    assert finding.verdict is Grade.FAULT and "muted, or dead" in finding.line


def examined(heard: acoustics.Sound) -> Finding:
    """What the doctor finds when the microphone gives this to it, block by block."""
    microphone = Microphone(loader.load(None).microphone, Ring(LOOK_FRAMES), lambda event: None)
    microphone.opened(messages.Opened("card", "", "", acoustics.HZ, 1, 480, 0.0))
    readings = sound.Readings()
    samples = acoustics.to_int16(heard)
    # The resampler has to forget the zeros before an offset.
    for number, begin in enumerate(range(0, samples.size - 479, 480)):
        microphone.received(messages.Block(begin / acoustics.HZ, begin, samples[begin : begin + 480].tobytes()))
        microphone.fetched()
        if number % 5 == 4:
            readings.add(microphone.level_dbfs, microphone.speech_dbfs)
    return sound.level(readings.heard(asked=True))
