"""A test that never ends ends its run, wherever it hangs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PLUGINS = ("-p", "xdist", "-p", "pytest_timeout", "-p", "no:cacheprovider")

CONFTEST = """
from tests.support.hang_guard import HangGuard

def pytest_configure(config):
    config.pluginmanager.register(HangGuard(2.0))
"""

SWALLOWED = """
import pytest, threading

@pytest.mark.timeout(1)
def test_hangs():
    while True:
        try:
            threading.Event().wait()
        except BaseException:
            pass
"""

THREAD = """
import asyncio, threading
import pytest

@pytest.mark.timeout(1)
def test_hangs():
    asyncio.run(asyncio.to_thread(threading.Event().wait))
"""

CLEAN_UP = """
import pytest, threading

@pytest.fixture
def waits():
    yield
    threading.Event().wait()

def test_hangs(waits):
    assert False
"""


@pytest.mark.parametrize("body", [SWALLOWED, THREAD, CLEAN_UP], ids=["swallowed", "thread", "clean-up"])
def test_a_test_that_hangs_is_named_and_the_run_ends(tmp_path: Path, body: str) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_hanging.py").write_text(body)
    (tmp_path / "test_other.py").write_text("def test_other():\n    pass\n")
    run = subprocess.run(
        (sys.executable, "-m", "pytest", *PLUGINS, "-n1", "--rootdir", tmp_path, tmp_path),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=40,
    )
    assert "Timeout (0:00:02" in run.stderr, run.stdout
    assert "test_hanging.py" in run.stderr
    assert " failed, 1 passed" in run.stdout
    assert "crashed while running 'test_hanging.py::test_hangs'" in run.stdout
