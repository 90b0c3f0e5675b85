"""A bench for sound cards of any kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.card_bench import Bench
from tests.support.odd_card import build
from tests.support.priority import as_the_unit


@pytest.fixture(scope="session")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("odd_card.c", tmp_path_factory.mktemp("odd_card"))


@pytest.fixture(scope="session")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("kernel.c", tmp_path_factory.mktemp("kernel"))


@pytest.fixture
def bench(plugin: Path, kernel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    bench = Bench(plugin, kernel, tmp_path, monkeypatch)
    with as_the_unit():
        yield bench
    bench.close()
