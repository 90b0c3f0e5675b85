"""Transcripts: off by default, private, bounded."""

from __future__ import annotations

import json
import logging
import resource
import stat
from pathlib import Path

import pytest

from appliance.config import loader
from appliance.config.settings import TranscriptSettings
from appliance.storage.transcripts import Transcripts


def settings(
    file: Path | str = "", *, journal: bool = False, max_bytes: int = 400, keep: int = 2
) -> TranscriptSettings:
    return TranscriptSettings(journal, str(file), max_bytes, keep)


def test_nothing_is_kept_by_default(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shipped = loader.load(None).transcripts
    assert not shipped.journal and not shipped.file
    with caplog.at_level(logging.DEBUG):
        Transcripts(settings()).turn(1, "secret", "answer", "answer")
    assert not caplog.records and not list(tmp_path.iterdir())


def test_a_line_a_turn_that_only_the_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "said.jsonl"
    path.touch(mode=0o644)
    Transcripts(settings(path), clock=lambda: 0.0).turn(7, "മഴ?", "നാളെ മഴ", "നാളെ")
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "time": "1970-01-01T00:00:00Z",
        "turn": 7,
        "person": "മഴ?",
        "box": "നാളെ മഴ",
        "heard": "നാളെ",
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_files_are_rotated_and_bounded(tmp_path: Path) -> None:
    path = tmp_path / "said.jsonl"
    transcripts = Transcripts(settings(path))
    for number in range(50):
        transcripts.turn(number, "question", "answer", "answer")
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["said.jsonl", "said.jsonl.1", "said.jsonl.2"]
    assert all(file.stat().st_size <= 400 for file in files)
    turns = [json.loads(line)["turn"] for file in reversed(files) for line in file.read_text().splitlines()]
    assert turns == list(range(turns[0], 50))


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    transcripts = Transcripts(settings(tmp_path / "absent" / "said.jsonl"))
    for number in range(3):
        transcripts.turn(number, "question", "answer", "answer")
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "question" not in caplog.text


def test_a_card_that_fills_up_leaves_no_half_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "said.jsonl"
    kept = Transcripts(settings(path))
    kept.turn(1, "one", "", "")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, limits[1]))
    try:
        kept.turn(2, "two", "", "")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    kept.turn(3, "three", "", "")
    assert [json.loads(line)["turn"] for line in path.read_text().splitlines()] == [1, 3]
    assert caplog.text.count("transcripts are not kept") == 1


def test_the_journal_gets_one_line_whatever_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        Transcripts(settings(journal=True)).turn(1, "one\ntwo\x1b[31m", "\ud800", "three")
    (record,) = caplog.records
    assert "\n" not in record.getMessage() and "\x1b" not in record.getMessage()
