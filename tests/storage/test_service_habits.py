"""What was found out about a service is there after a restart, and counts for no other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from appliance.realtime.events import Dialect
from appliance.realtime.opening import Habits
from appliance.storage.service_habits import HabitsFile

URL = "wss://voice.example/v1/realtime?model=m"
LEARNT = Habits(Dialect.OPENAI, taken=True, confirms=False)


def file(folder: Path, url: str = URL, dialect: Dialect = Dialect.SWARAM) -> HabitsFile:
    return HabitsFile(url, dialect, {"STATE_DIRECTORY": f"{folder}:/elsewhere"})


def learn(kept: HabitsFile, habits: Habits = LEARNT) -> None:
    for name in ("dialect", "taken", "confirms", "locked"):
        setattr(kept.habits, name, getattr(habits, name))
    kept.keep()


@pytest.mark.parametrize("learnt", [LEARNT, Habits(locked=True)], ids=["confirms-not", "locked"])
def test_what_was_learnt_is_read_again(tmp_path: Path, learnt: Habits) -> None:
    learn(file(tmp_path), learnt)
    assert file(tmp_path).habits == learnt
    assert [path.name for path in tmp_path.iterdir()] == ["service"]


def test_it_counts_for_that_address_and_that_configuration(tmp_path: Path) -> None:
    learn(file(tmp_path))
    assert file(tmp_path, url="wss://other.example").habits == Habits()
    assert file(tmp_path, dialect=Dialect.OPENAI).habits == Habits(Dialect.OPENAI)


def test_only_what_is_new_is_written(tmp_path: Path) -> None:
    """A service that is as its page says wears no card out."""
    kept = file(tmp_path)
    learn(kept, Habits(taken=True))
    assert not list(tmp_path.iterdir())
    learn(kept)
    (tmp_path / "service").unlink()
    kept.keep()
    assert not list(tmp_path.iterdir())


def test_what_no_session_has_proved_is_not_kept(tmp_path: Path) -> None:
    learn(file(tmp_path), Habits(Dialect.OPENAI))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"[]", b"7", b"{}", b'{"url": 1}', json.dumps({"url": URL, "configured": "swaram"}).encode()],
)
def test_a_file_that_is_not_ours_counts_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "service").write_bytes(content)
    assert file(tmp_path).habits == Habits()


def test_without_a_folder_nothing_is_kept() -> None:
    kept = HabitsFile(URL, Dialect.SWARAM, {})
    learn(kept)
    assert HabitsFile(URL, Dialect.SWARAM, {}).habits == Habits()


def test_a_folder_that_is_gone_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    learn(file(tmp_path / "gone"))
    assert "not kept for the next start" in caplog.text
