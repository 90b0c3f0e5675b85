"""One Chromium for the tests of a file, and where they leave their pictures."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.support.priority import as_the_unit
from tests.whole_box.conftest import card, quiet_room

from .chromium import Tab, browser

__all__ = ["card", "quiet_room"]

ROOT = Path(__file__).parents[3]
PICTURES = ROOT / "build" / "page"
"""What a person looks at after a run; .gitignore has it."""

AXE = Path(os.environ.get("AXE", ROOT / "build" / "axe" / "node_modules" / "axe-core" / "axe.min.js"))
"""Fetched by make test-page."""


def keep(name: str, picture: bytes) -> None:
    """Keep a screenshot as NAME.png."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    (PICTURES / f"{name}.png").write_bytes(picture)


class Axe:
    """Deque's accessibility engine, in the page that is shown. It comes in over the debugger, past the page's CSP."""

    def __init__(self) -> None:
        self._source = AXE.read_text(encoding="utf-8")

    async def violations(self, tab: Tab) -> list[str]:
        """What it finds, a line each. All rules, the best practices and WCAG's AAA too."""
        await tab.value(f"{self._source}; true")
        options = {"resultTypes": ["violations"], "rules": {"color-contrast-enhanced": {"enabled": True}}}
        found: dict[str, Any] = json.loads(
            await tab.value(f"axe.run(document, {json.dumps(options)}).then((found) => JSON.stringify(found))")
        )
        assert len(found["passes"]) > 5, "it looked at nothing"
        return [
            f"{one['id']}: {one['help']}: {node['html']} {node.get('failureSummary', '')}"
            for one in found["violations"]
            for node in one["nodes"]
        ]


@pytest.fixture(scope="session")
def axe() -> Axe:
    return Axe()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tab() -> AsyncIterator[Tab]:
    # Before whatever else this machine does, as on a kiosk nothing else is done.
    with as_the_unit():
        async with browser() as tab:
            yield tab


@pytest.fixture
def timed() -> None:
    """For a test that measures time: it is run again if this machine itself stood still
    (``tests/support/rerun_on_stall.py``)."""
