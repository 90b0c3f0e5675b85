"""A minute of ``make chaos``, the same each time."""

from __future__ import annotations

import pytest

from .episode import run


@pytest.mark.parametrize("name", ["3.2", "3.17", "3.19"])
def test_no_box_sends_a_word_twice_or_its_own_voice_or_leaves_anything_behind(name: str) -> None:
    report = run(name, 20.0)
    assert report.box_s > 20 and not report.troubles, "\n".join(report.trace)
