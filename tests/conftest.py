"""Fixtures for more than one room."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from appliance.commands.virtual_card import VirtualCard


@pytest.fixture(scope="session")
def _card() -> Iterator[VirtualCard]:
    with VirtualCard() as card:
        yield card


@pytest.fixture
def virtual_card(_card: VirtualCard, monkeypatch: pytest.MonkeyPatch) -> Iterator[VirtualCard]:
    """The session's one sound card, plugged in and with no echo; this process and its children see it."""
    for name, value in _card.environment.items():
        monkeypatch.setenv(name, value)
    yield _card
    _card.plug_speaker()
    _card.plug_microphone()
    _card.echo(None)
