"""The tests' own rule: what failed while the machine stood still is tried again, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.rerun_on_stall import LATE_S, Witness

ROOT = Path(__file__).parents[2]

CONFTEST = """
import pytest
from tests.support.rerun_on_stall import Repeating, Witness

class Told(Witness):
    def late_s(self, since_s):
        return {late_s}

def pytest_configure(config):
    plugin = Repeating()
    plugin._witness = Told()
    config.pluginmanager.register(plugin)

@pytest.fixture
def card():
    return "a card"
"""

TEST = """
from pathlib import Path

def test_sound({fixture}):
    tries = Path(__file__).with_name("tries")
    tries.write_text(tries.read_text() + "x" if tries.exists() else "x")
    assert len(tries.read_text()) > {failures}
"""


@pytest.mark.parametrize(
    ("fixture", "late_s", "failures", "tries", "passes"),
    [
        ("card", 0.05, 0, 1, True),
        ("card", 0.05, 2, 3, True),
        ("card", 0.05, 3, 3, False),
        ("card", 0.0, 1, 1, False),
        ("tmp_path", 0.05, 1, 1, False),
    ],
)
def test_what_is_tried_again(
    tmp_path: Path, fixture: str, late_s: float, failures: int, tries: int, passes: bool
) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST.format(late_s=late_s))
    (tmp_path / "test_sound.py").write_text(TEST.format(fixture=fixture, failures=failures))
    run = subprocess.run(
        (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (len((tmp_path / "tries").read_text()), run.returncode == 0) == (tries, passes), run.stdout
    assert ("REPEATED test_sound.py::test_sound - the machine stood still for 50" in run.stdout) == (tries > 1)


def test_a_process_that_stands_still_is_noticed() -> None:
    witness = Witness()
    try:
        began_s = time.monotonic()
        while not witness.late_s(began_s):
            os.kill(witness.process_id, signal.SIGSTOP)
            time.sleep(0.1)
            os.kill(witness.process_id, signal.SIGCONT)
            time.sleep(0.05)
            assert time.monotonic() - began_s < 10
        assert witness.late_s(began_s) > LATE_S
        assert witness.late_s(time.monotonic() + 60) == 0
    finally:
        witness.end()
