"""The figures of a day: what is counted, what a power cut leaves of it, and who says it when."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.box.day_book import DAY_S, EVERY_S, FILE, DayBook
from appliance.box.metrics import Totals
from appliance.journal.catalog import ATTRIBUTE, Kind
from appliance.storage.day import MOST_LATENCIES, Day, decoded, percentile
from tests.support.simulated_time import on_paper


def turn(outcome: str = "answered", answered_s: float | None = 1.5, underruns: int = 0) -> dict[str, Any]:
    return {"event": "turn", "outcome": outcome, "end_to_audible_s": answered_s, "underruns": underruns}


def said(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    """The fields of each DAY entry."""
    entries = [getattr(record, ATTRIBUTE, None) for record in caplog.records]
    return [dict(entry.fields) for entry in entries if entry is not None and entry.kind is Kind.DAY]


def test_a_day_is_read_back_as_it_was_written() -> None:
    day = Day(covers_s=60.0, sent_s=3.25)
    day.turn("answered", 1.25, 2)
    day.turn("nobody spoke", None, 0)
    day.fault("fault_key", 125.0)
    day.measured(61.5, -67, undervoltage=True)
    day.measured(None, None, undervoltage=False)
    day.measured(40.0, -50, undervoltage=False)
    assert decoded(day.encoded()) == day
    fields = day.fields()
    assert fields["OUTCOMES"] == "answered:1 nobody_spoke:1" and fields["FAULT_MINUTES"] == "fault_key:2"
    assert (fields["UNDERRUNS"], fields["HOTTEST_C"], fields["WIFI_WEAKEST_DBM"]) == (2, 62, -67)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"null", b"\xff", b'{"covers_s": -1}', Day().encoded().replace(b"0.0", b"1e999")]
)
def test_a_file_that_a_card_has_spoilt_is_no_day(content: bytes) -> None:
    with pytest.raises(ValueError, match="holds no figures of a day"):
        decoded(content)


def test_a_busy_day_keeps_no_more_than_its_last_latencies() -> None:
    day = Day()
    for number in range(2 * MOST_LATENCIES):
        day.turn("answered", number / 1000, 0)
    assert day.answered_ms == list(range(MOST_LATENCIES, 2 * MOST_LATENCIES))
    assert len(day.encoded()) < 4096


def test_percentiles_are_values_that_were_measured() -> None:
    assert percentile([], 0.5) is None
    assert [percentile(list(range(1, 101)), part) for part in (0.5, 0.95, 1.0)] == [50, 95, 100]
    assert percentile([7], 0.95) == 7


class Box:
    """What the book is told of a box, in paper time."""

    def __init__(self, folder: Path) -> None:
        self.book = DayBook(str(folder))
        self.totals = Totals()
        self.book.attach(lambda _: Totals(sent_s=self.totals.sent_s, connected_s=self.totals.connected_s))
        self.running = asyncio.create_task(self.book.run())

    async def stop(self) -> None:
        self.running.cancel()
        await asyncio.wait([self.running])


@pytest.fixture(autouse=True)
def _setting(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paper time does not wait for threads."""

    async def at_once(what: Callable[..., None], *arguments: object) -> None:
        what(*arguments)

    monkeypatch.setattr(asyncio, "to_thread", at_once)
    caplog.set_level(logging.INFO)


def test_a_stop_says_what_was_done_and_leaves_nothing_behind(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        box = Box(tmp_path)
        await asyncio.sleep(60)
        box.book.happened(turn())
        box.book.happened({"event": "state", "light": "fault_microphone"})
        await asyncio.sleep(300)
        box.book.happened({"event": "state", "light": "ready"})
        box.totals = Totals(sent_s=4.0, connected_s=61.0)
        await asyncio.sleep(240)
        await box.stop()

    on_paper(scene())
    (fields,) = said(caplog)
    assert (fields["REASON"], fields["TURNS"], fields["COVERS_S"]) == ("stop", 1, 600)
    assert (fields["FAULT_MINUTES"], fields["SENT_S"], fields["CONNECTED_S"]) == ("fault_microphone:5", 4, 61)
    assert "1 turns, 1 answered" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_a_power_cut_loses_ten_minutes_at_most_and_the_next_start_says_the_rest(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = b""

    async def cut() -> None:
        nonlocal kept
        box = Box(tmp_path)
        for _ in range(12):
            box.book.happened(turn())
            await asyncio.sleep(300)
        kept = (tmp_path / FILE).read_bytes()
        await box.stop()

    async def start() -> None:
        box = Box(tmp_path)
        await asyncio.sleep(1)
        await box.stop()

    on_paper(cut())
    caplog.clear()
    (tmp_path / FILE).write_bytes(kept)
    on_paper(start())
    first, second = said(caplog)
    assert first["REASON"] == "cut" and first["TURNS"] in (10, 11, 12)
    assert 3600 - EVERY_S <= int(str(first["COVERS_S"])) <= 3600
    assert (second["REASON"], second["TURNS"]) == ("stop", 0)


def test_a_day_that_is_over_is_said_and_the_next_begins_at_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        box = Box(tmp_path)
        box.book.happened(turn())
        await asyncio.sleep(DAY_S + 60)
        box.book.happened(turn("nobody spoke", None))
        await box.stop()

    on_paper(scene())
    first, second = said(caplog)
    assert (first["REASON"], first["OUTCOMES"], first["COVERS_S"]) == ("day", "answered:1", round(DAY_S))
    assert (second["REASON"], second["OUTCOMES"], second["COVERS_S"]) == ("stop", "nobody_spoke:1", 60)


def test_a_box_that_is_built_anew_counts_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        box = Box(tmp_path)
        box.totals = Totals(sent_s=4.0)
        box.book.attach(lambda _: Totals(sent_s=2.0))
        await asyncio.sleep(1)
        await box.stop()

    on_paper(scene())
    (fields,) = said(caplog)
    assert fields["SENT_S"] == 6


def test_a_spoilt_file_is_one_line_and_no_obstacle(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        (tmp_path / FILE).write_bytes(b"\x00" * 100)
        box = Box(tmp_path)
        await asyncio.sleep(1)
        await box.stop()

    on_paper(scene())
    assert "the figures of the last day are lost" in caplog.text
    assert [fields["REASON"] for fields in said(caplog)] == ["stop"]
