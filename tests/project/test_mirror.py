"""The containers' Debian comes from where this machine's own does, and from nowhere else."""

from __future__ import annotations

import pytest

from tests.containers.machine import mirror_of

TARGETS = """\
NodeSource https://example.org/node
Debian http://mirror.example/debian-security/
Debian http://mirror.example/debian/
"""


def test_the_mirror_is_that_of_apt() -> None:
    assert mirror_of(TARGETS) == "http://mirror.example/debian"


@pytest.mark.parametrize("targets", ["", "Raspbian http://mirror.example/raspbian/\n"])
def test_without_one_it_stops_with_words(targets: str) -> None:
    with pytest.raises(RuntimeError, match="apt on this machine has no mirror of Debian"):
        mirror_of(targets)
