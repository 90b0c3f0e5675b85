"""The lock under which a process looks at the cards: one at a time, and never for ever."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appliance.soundhost.card_lock import REMIND_S, card_lock

HOLDER = """
import sys, time
from appliance.soundhost.card_lock import card_lock
with card_lock(lambda: None, sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> subprocess.Popen[bytes]:
    """Another process that has the lock."""
    process = subprocess.Popen((sys.executable, "-c", HOLDER, str(tmp_path)), stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()


def test_it_is_free_again_when_its_holder_is_killed(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    said: list[float] = []

    def waiting() -> None:
        said.append(time.monotonic())
        if len(said) == 2:
            end(holder)

    with card_lock(waiting, str(tmp_path)):
        # At the beginning, after a second, and when the wait was over.
        assert len(said) == 3
        assert said[1] - said[0] == pytest.approx(REMIND_S, abs=0.5)
        with pytest.raises(TimeoutError), card_lock(_never, str(tmp_path)):
            pass


def _never() -> None:
    raise TimeoutError


def test_a_holder_that_never_lets_go_is_waited_for_within_bounds(
    tmp_path: Path, holder: subprocess.Popen[bytes]
) -> None:
    began_s = time.monotonic()
    with card_lock(lambda: None, str(tmp_path), patience_s=0.3):
        assert 0.3 <= time.monotonic() - began_s < 5.0
        assert holder.poll() is None
    end(holder)


def test_where_the_kernel_has_no_sound_there_is_nothing_to_lock(tmp_path: Path) -> None:
    with card_lock(_never, str(tmp_path / "snd")), card_lock(_never, str(tmp_path / "snd")):
        pass


def test_it_is_given_back_and_leaves_no_descriptor(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    for _ in range(3):
        with card_lock(_never, str(tmp_path)):
            pass
    assert os.listdir("/proc/self/fd") == before
