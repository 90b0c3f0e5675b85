"""A bench for sound cards of any kind: insert one, start a sound host on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soundhost.test_host import Host
from tests.support.odd_card import Kind, OddCard


class Bench:
    """One card, and the sound hosts that are started on it."""

    def __init__(self, plugin: Path, kernel: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._plugin, self._kernel, self._home, self._monkeypatch = plugin, kernel, home, monkeypatch
        self._hosts: list[Host] = []

    def insert(self, kind: Kind, heard: bytes = b"", as_card: bool = False, named: str = "") -> OddCard:
        """Plug it in; ``named``: what an owner adds to the configuration."""
        card = OddCard(kind, self._plugin, self._home, heard, as_card, named)
        environment = {**card.environment, **({"LD_PRELOAD": str(self._kernel)} if as_card else {})}
        for name, value in environment.items():
            self._monkeypatch.setenv(name, value)
        return card

    def start(self, direction: str) -> Host:
        self._hosts.append(Host(direction))
        return self._hosts[-1]

    def close(self) -> None:
        for host in self._hosts:
            host.close()
