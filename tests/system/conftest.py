"""Whole boxes over the virtual sound card and the embedded service."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from appliance.commands.virtual_card import VirtualCard


@pytest.fixture(scope="module")
def card() -> Iterator[VirtualCard]:
    """One card for the tests of a file; the sound hosts find it through the environment they inherit."""
    before = dict(os.environ)
    with VirtualCard() as card:
        os.environ.update(card.environment)
        os.environ["GPIOZERO_PIN_FACTORY"] = "mock"
        os.environ["GPIOZERO_MOCK_PIN_CLASS"] = "mockpwmpin"
        try:
            yield card
        finally:
            os.environ.clear()
            os.environ.update(before)
