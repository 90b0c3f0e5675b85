"""When the history is written: at a new fault, rarely otherwise, at the end, and whole."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from appliance.storage import history_writer
from appliance.storage.history import MOST_BYTES
from appliance.storage.history_writer import CauseCounter, Recorder

READY = {"event": "state", "state": "ready", "link": "closed", "light": "ready"}
FAULT = {"event": "state", "state": "ready", "link": "closed", "light": "fault_key"}

WRITER = """
import asyncio, sys
from appliance.storage import history_writer
history_writer.SETTLE_S = history_writer.EVERY_S = 0.0

async def yes():
    return True

async def main():
    kept = history_writer.Recorder(sys.argv[1], yes)
    writing = asyncio.create_task(kept.run())
    print("ready", flush=True)
    number = 0
    while not writing.done():
        number += 1
        kept.count("turn")
        kept.happened({"event": "state", "state": "ready", "link": "closed", "light": f"fault_{number % 7}"})
        await asyncio.sleep(0)

asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_writer, "SETTLE_S", 0.0)


def synchronised(answer: bool) -> Any:
    async def ask() -> bool:
        return answer

    return ask


@asynccontextmanager
async def recording(folder: Path, *, clock: bool = True) -> AsyncIterator[Recorder]:
    kept = Recorder(str(folder), synchronised(clock))
    task = asyncio.create_task(kept.run())
    await asyncio.sleep(0)
    try:
        yield kept
    finally:
        task.cancel()
        await asyncio.wait([task])


def written(folder: Path) -> Any:
    return json.loads((folder / history_writer.FILE).read_bytes())


async def until_written(folder: Path) -> Any:
    # Written in a thread: nothing on the loop tells.
    def look() -> None:
        while not (folder / history_writer.FILE).exists():
            time.sleep(0.005)

    async with asyncio.timeout(10):
        await asyncio.to_thread(look)
    return written(folder)


async def test_a_new_fault_is_written_at_once(tmp_path: Path) -> None:
    async with recording(tmp_path) as kept:
        kept.count("no_key")
        kept.happened(FAULT)
        data = await until_written(tmp_path)
    assert [change[2:] for change in data["changes"]] == [["ready", "closed", "fault_key"]]
    assert [set(counts) for counts in data["days"].values()] == [{"no_key", "fault_key"}]
    assert all(began is not None for began in data["boots"].values())


async def test_anything_else_waits_and_is_written_when_the_box_stops(tmp_path: Path) -> None:
    async with recording(tmp_path) as kept:
        kept.happened(READY)
        # Whatever is due at once is done within these.
        for _ in range(20):
            await asyncio.sleep(0)
        assert not (tmp_path / history_writer.FILE).exists()
    assert len(written(tmp_path)["changes"]) == 1


async def test_the_same_fault_again_and_again_is_written_once(tmp_path: Path) -> None:
    async with recording(tmp_path) as kept:
        kept.happened(FAULT)
        await until_written(tmp_path)
        (tmp_path / history_writer.FILE).unlink()
        for _ in range(20):
            kept.happened(READY)
            kept.happened(FAULT)
            await asyncio.sleep(0)
        assert not (tmp_path / history_writer.FILE).exists()
    assert len(written(tmp_path)["changes"]) == 41


async def test_words_are_not_kept(tmp_path: Path) -> None:
    async with recording(tmp_path) as kept:
        kept.happened({"event": "caption", "side": "person", "text": "a secret"})
        kept.happened({"event": "turn", "turn": 1, "outcome": "answered"})
        kept.happened(READY)
    assert "secret" not in (tmp_path / history_writer.FILE).read_text()
    assert len(written(tmp_path)["changes"]) == 1


async def test_ends_of_turns_and_beginnings_of_faults_are_counted(tmp_path: Path) -> None:
    async with recording(tmp_path) as kept:
        for event in (READY, FAULT, {**FAULT, "link": "connecting"}, READY, FAULT):
            kept.happened(event)
        kept.happened({"event": "turn", "turn": 1, "outcome": "answered"})
    (counts,) = written(tmp_path)["days"].values()
    assert counts == {"fault_key": 2, "turn_answered": 1}


async def test_a_box_goes_on_from_what_the_last_one_wrote(tmp_path: Path) -> None:
    for _ in range(2):
        async with recording(tmp_path) as kept:
            kept.count("turn")
            kept.happened(READY)
    assert [counts["turn"] for counts in written(tmp_path)["days"].values()] == [2]
    assert len(written(tmp_path)["changes"]) == 2


async def test_without_a_clock_nothing_gets_a_date(tmp_path: Path) -> None:
    async with recording(tmp_path, clock=False) as kept:
        kept.count("turn")
        kept.happened(FAULT)
        data = await until_written(tmp_path)
    assert list(data["days"]) == ["undated"]
    assert list(data["boots"].values()) == [None]


async def test_a_file_that_cannot_be_read_is_said_and_begun_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / history_writer.FILE).write_bytes(b"not json")
    async with recording(tmp_path) as kept:
        kept.happened(READY)
    assert "begins anew" in caplog.text
    assert len(written(tmp_path)["changes"]) == 1


async def test_a_folder_that_cannot_be_written_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = Recorder(str(tmp_path / "missing"), synchronised(True))
    for light in ("fault_key", "fault_network"):
        task = asyncio.create_task(kept.run())
        kept.happened({**FAULT, "light": light})
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    assert caplog.text.count("is not kept") == 1


async def test_a_box_that_stops_while_its_card_is_slow_has_one_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    begun, fsync, writers, most = threading.Event(), os.fsync, 0, 0

    def slow(descriptor: int) -> None:
        nonlocal writers, most
        writers += 1
        most = max(most, writers)
        begun.set()
        time.sleep(0.05)
        fsync(descriptor)
        writers -= 1

    monkeypatch.setattr(os, "fsync", slow)
    async with recording(tmp_path) as kept:
        kept.happened(FAULT)
        await asyncio.to_thread(begun.wait)
        kept.happened(READY)
    assert most == 1 and not caplog.records
    assert len(written(tmp_path)["changes"]) == 2


async def test_a_box_that_stops_while_the_clock_is_asked_for_forgets_nothing(tmp_path: Path) -> None:
    asked = asyncio.Event()

    async def slow() -> bool:
        if len(kept.as_data()["changes"]):
            asked.set()
            await asyncio.Event().wait()
        return False

    kept = Recorder(str(tmp_path), slow)
    task = asyncio.create_task(kept.run())
    await asyncio.sleep(0)
    kept.happened(FAULT)
    await asked.wait()
    task.cancel()
    await asyncio.wait([task])
    assert len(written(tmp_path)["changes"]) == 1


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    made = logging.getLogger("tests.counted")
    made.setLevel(logging.DEBUG)
    yield made
    for handler in made.handlers[:]:
        made.removeHandler(handler)


async def test_lines_of_the_journal_are_counted_by_kind(tmp_path: Path, logger: logging.Logger) -> None:
    async with recording(tmp_path) as kept:
        logger.addHandler(CauseCounter(kept, lambda record: getattr(record, "kind", None), asyncio.get_running_loop()))
        logger.warning("lost", extra={"kind": "connection_lost"})
        await asyncio.to_thread(logger.warning, "lost", extra={"kind": "connection_lost"})
        logger.warning("of no kind")
        logger.debug("lost", extra={"kind": "connection_lost"})
        await asyncio.sleep(0)
        assert list(kept.as_data()["days"].values()) == [{"connection_lost": 2}]


@pytest.mark.timeout(120)
def test_the_file_is_whole_whenever_the_plug_is_pulled(tmp_path: Path) -> None:
    chance, turns = random.Random(6), 0
    for _ in range(15):
        writer = subprocess.Popen((sys.executable, "-c", WRITER, str(tmp_path)), stdout=subprocess.PIPE)
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        with pytest.raises(subprocess.TimeoutExpired):
            writer.wait(chance.uniform(0.01, 0.2))
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        if (tmp_path / history_writer.FILE).exists():
            assert (tmp_path / history_writer.FILE).stat().st_size <= MOST_BYTES
            counted = sum(counts["turn"] for counts in written(tmp_path)["days"].values())
            assert counted >= turns
            turns = counted
    assert turns, "no writer lived long enough to write"
