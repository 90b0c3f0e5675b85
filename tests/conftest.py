"""Fixtures for more than one room."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from appliance.link.event_loop import Loop
from appliance.simulator.virtual_card import VirtualCard
from tests.support.certificates import self_signed
from tests.support.hang_guard import HangGuard
from tests.support.priority import ORDINARY_NICE, UNIT_NICE, as_the_unit, share_of_session
from tests.support.rerun_on_stall import Repeating

# How long an example takes says how busy this machine is; what the code costs is measured by tests/bench.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Repeating())
    config.pluginmanager.register(HangGuard())
    if not hasattr(config, "workerinput"):
        share_of_session(UNIT_NICE)


def pytest_asyncio_loop_factories() -> dict[str, type[Loop]]:
    """The daemon's own loop is that of every test."""
    return {"loop": Loop}


WAITING = ("box", "whole_box", "soundhost", "simulator", "doctor", "audio")
"""Folders whose tests mostly wait, for sound or for their own simulated time, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What mostly waits begins first, and what only computes fills the processors beside it and at the end."""
    folders = {name: rank for rank, name in enumerate(WAITING)}
    root = Path(__file__).parent
    items.sort(key=lambda item: folders.get(item.path.relative_to(root).parts[0], len(folders)))


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        share_of_session(ORDINARY_NICE)


@pytest.fixture(scope="session")
def _card() -> Iterator[VirtualCard]:
    with VirtualCard() as card:
        yield card


@pytest.fixture
def virtual_card(_card: VirtualCard, monkeypatch: pytest.MonkeyPatch) -> Iterator[VirtualCard]:
    """The session's one sound card, plugged in and with no echo; this process and its children see it."""
    for name, value in _card.environment.items():
        monkeypatch.setenv(name, value)
    with as_the_unit():
        yield _card
    _card.plug_speaker()
    _card.plug_microphone()
    _card.echo(None)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A file with a certificate for 127.0.0.1 and its key."""
    return self_signed(tmp_path)


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Commands set up logging for a process of their own; here the next test is in the same one."""
    root, library = logging.getLogger(), logging.getLogger("websockets")
    handlers, levels = root.handlers[:], (root.level, library.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    library.setLevel(levels[1])
