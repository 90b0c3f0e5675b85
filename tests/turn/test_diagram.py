"""The README shows the machine that runs."""

from __future__ import annotations

from pathlib import Path

from .diagram import drawn


def test_the_readme_shows_the_table() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert f"```mermaid\n{drawn()}\n```" in readme, "draw it anew: python -m tests.turn.diagram"
