"""What a daemon remembers, as processes that are started, killed and asked: no sound card is needed for it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.storage import history_writer, last_good_config

GOOD = """
microphone.device = "no such microphone"
speaker.device = "no such speaker"
panel.button.gpio = 0
panel.leds = { kind = "none", gpio = [] }
talk.mode = "hold"
"""

WRONG = GOOD.replace('"hold"', '"shout"')


class Box:
    """A daemon as systemd starts one, with folders of its own."""

    def __init__(self, folder: Path) -> None:
        self.configuration = folder / "config.toml"
        self.state = folder / "state"
        self.state.mkdir()
        self._log = folder / "log"
        self._environment = {**os.environ, "STATE_DIRECTORY": str(self.state), "RUNTIME_DIRECTORY": str(folder)}

    def _command(self, *arguments: str) -> tuple[str, ...]:
        return (sys.executable, "-m", "appliance", "--config", str(self.configuration), *arguments)

    @contextlib.contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """Until the end of the block at the latest."""
        with self._log.open("ab") as log:
            process = subprocess.Popen(self._command("run"), env=self._environment, stderr=log)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def ctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command("ctl", *arguments), env=self._environment, capture_output=True, text=True, check=False
        )

    def status(self) -> dict[str, Any] | None:
        """None while no daemon answers."""
        answer = self.ctl("status", "--json")
        return json.loads(answer.stdout)["status"] if answer.returncode == 0 else None

    @property
    def log(self) -> str:
        return self._log.read_text()


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def until(condition: Callable[[], object], timeout_s: float = 20) -> None:
    """Another process does it, and tells nobody."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def test_a_box_goes_on_with_the_last_configuration_that_worked_and_says_so(box: Box) -> None:
    box.configuration.write_text(GOOD)
    with box.running():
        until((box.state / last_good_config.FILE).exists)
    assert (box.state / last_good_config.FILE).read_text() == GOOD
    box.configuration.write_text(WRONG)
    with box.running() as process:
        until(lambda: box.status() is not None or process.poll() is not None)
        status = box.status()
    assert status is not None, box.log
    assert "config.toml:6: talk.mode" in status["fault"]
    assert "config.toml:6: talk.mode" in box.log
    assert "the last one that worked is in force" in box.log
    assert (box.state / last_good_config.FILE).read_text() == GOOD


def test_without_one_a_wrong_configuration_ends_the_daemon_for_good(box: Box) -> None:
    box.configuration.write_text(WRONG)
    with box.running() as process:
        assert process.wait(20) == 78
    assert "config.toml:6: talk.mode" in box.log


def test_the_history_is_there_after_the_plug_was_pulled(box: Box) -> None:
    box.configuration.write_text(GOOD)
    with box.running() as process:
        until((box.state / history_writer.FILE).exists)
        asked = box.ctl("history")
        assert asked.returncode == 0
        assert "fault_microphone" in asked.stdout
        process.kill()
        process.wait()
    # Its configuration is no hindrance either.
    box.configuration.write_text(WRONG)
    after = box.ctl("history")
    assert after.returncode == 0, after.stderr
    assert "fault_microphone 1" in after.stdout
    assert json.loads(box.ctl("history", "--json").stdout)["changes"][-1][-1] == "fault_microphone"


def test_a_box_without_a_history_says_that_there_is_none(box: Box) -> None:
    box.configuration.write_text(GOOD)
    asked = box.ctl("history")
    assert asked.returncode == 69
    assert "no history" in asked.stderr
