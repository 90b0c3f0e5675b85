"""Whole boxes over the virtual sound card and the embedded service."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pytest

from appliance.simulator.virtual_card import VirtualCard
from tests.support.priority import as_the_unit


@pytest.fixture(scope="module")
def card() -> Iterator[VirtualCard]:
    """One card for the tests of a file; the sound hosts find it through the environment they inherit."""
    before = dict(os.environ)
    with as_the_unit(), VirtualCard() as card:
        os.environ.update(card.environment)
        os.environ["GPIOZERO_PIN_FACTORY"] = "mock"
        os.environ["GPIOZERO_MOCK_PIN_CLASS"] = "mockpwmpin"
        try:
            yield card
        finally:
            os.environ.clear()
            os.environ.update(before)


ROOM_S = 300
"""Of noise: longer than all tests of a file."""


@pytest.fixture(scope="module")
def quiet_room(card: VirtualCard) -> Iterator[None]:
    """Noise of some -55 dBFS, which nobody takes for speech: exact silence is a dead microphone's."""
    noise = np.random.default_rng(6).normal(0, 60, ROOM_S * 24_000).astype(np.int16)
    playing = card.play_into_microphone(noise)
    yield
    playing.stop()
