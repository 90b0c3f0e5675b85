"""The configuration that a box goes on with when somebody saves a wrong one."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from appliance.config import loader
from appliance.errors import ConfigurationError
from appliance.storage import last_good_config
from appliance.storage.last_good_config import LastGood

GOOD = 'talk.mode = "hold"\n'
WRONG = 'talk.mode = "shout"\n'


def written(folder: Path, text: str) -> str:
    path = folder / "config.toml"
    path.write_text(text)
    return str(path)


def kept_in(folder: str | None) -> LastGood:
    return LastGood(folder, loader.load, loader.merged)


@pytest.fixture
def state(tmp_path: Path) -> str:
    (tmp_path / "state").mkdir()
    return str(tmp_path / "state")


def test_a_good_configuration_is_taken_and_has_no_problems(tmp_path: Path, state: str) -> None:
    loaded = kept_in(state).load(written(tmp_path, GOOD))
    assert loaded.config.talk.mode == "hold"
    assert loaded.problems == ()


def test_the_last_one_that_worked_replaces_a_wrong_one_and_says_so(tmp_path: Path, state: str) -> None:
    kept_in(state).keep(kept_in(state).load(written(tmp_path, GOOD)))
    path = written(tmp_path, WRONG)
    loaded = kept_in(state).load(path)
    assert loaded.config.talk.mode == "hold"
    assert len(loaded.problems) == 1
    assert loaded.problems[0].startswith(f"{path}:1: talk.mode: ")


def test_one_that_never_worked_is_not_gone_back_to(tmp_path: Path, state: str) -> None:
    kept_in(state).load(written(tmp_path, GOOD))
    with pytest.raises(ConfigurationError):
        kept_in(state).load(written(tmp_path, WRONG))


def test_running_on_the_last_good_one_does_not_replace_it(tmp_path: Path, state: str) -> None:
    kept_in(state).keep(kept_in(state).load(written(tmp_path, GOOD)))
    kept_in(state).keep(kept_in(state).load(written(tmp_path, WRONG)))
    assert Path(state, last_good_config.FILE).read_text() == GOOD


def test_a_last_good_one_that_is_no_longer_good_ends_with_the_problems_of_the_new_one(
    tmp_path: Path, state: str
) -> None:
    Path(state, last_good_config.FILE).write_text("gone.setting = 1\n")
    with pytest.raises(ConfigurationError, match=r"config\.toml:1: talk\.mode"):
        kept_in(state).load(written(tmp_path, WRONG))


def test_without_a_state_folder_nothing_is_kept(tmp_path: Path) -> None:
    kept_in(None).keep(kept_in(None).load(written(tmp_path, GOOD)))
    with pytest.raises(ConfigurationError):
        kept_in(None).load(written(tmp_path, WRONG))


def test_a_card_is_not_written_when_nothing_has_changed(tmp_path: Path, state: str) -> None:
    loaded = kept_in(state).load(written(tmp_path, GOOD))
    kept_in(state).keep(loaded)
    before = Path(state, last_good_config.FILE).stat()
    kept_in(state).keep(loaded)
    assert Path(state, last_good_config.FILE).stat().st_ino == before.st_ino
    assert Path(state, last_good_config.FILE).stat().st_mode & 0o777 == 0o600


def test_two_reloads_on_a_slow_card_do_not_write_over_each_other(
    tmp_path: Path, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, fsync = threading.Event(), os.fsync

    def slow(descriptor: int) -> None:
        begun.set()
        time.sleep(0.05)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    with ThreadPoolExecutor() as threads:
        first = threads.submit(kept_in(state).keep, kept_in(state).read(written(tmp_path, GOOD)))
        begun.wait()
        second = threads.submit(kept_in(state).keep, kept_in(state).read(written(tmp_path, GOOD + "box.name = 'b'\n")))
    assert first.exception() is None and second.exception() is None
    assert kept_in(state).load(written(tmp_path, WRONG)).config.box.name == "b"


def test_the_settings_of_a_group_are_kept_with_the_boxs_own(tmp_path: Path, state: str) -> None:
    path = written(tmp_path, GOOD)
    (tmp_path / "config.toml.d").mkdir()
    (tmp_path / "config.toml.d" / "50-shops.toml").write_text("speaker.volume = 31\n")
    kept_in(state).keep(kept_in(state).load(path))
    (tmp_path / "config.toml.d" / "50-shops.toml").write_text("speaker.volume = 901\n")
    loaded = kept_in(state).load(path)
    assert (loaded.config.talk.mode, loaded.config.speaker.volume) == ("hold", 31)
    assert "50-shops.toml:1: speaker.volume: " in loaded.problems[0]
