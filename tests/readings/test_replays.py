"""What a box records of a service is that service again: the same question ends in the same way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from appliance.simulator import readings, script
from appliance.simulator.catalog import NamedReading
from appliance.simulator.replay import Replay
from appliance.simulator.scenario import Connection, Scenario, Turn

from .box import MODELS, MODES, ReadingBox, answer, reading_box, silent_room
from .pair_loop import on_paper
from .test_readings import ENTRIES

CLOSE_S = 0.3
"""Of an answer's length: half a delta at each end, and the fades."""


HEARD_ALIKE = [entry for entry in ENTRIES if entry.name != "silent-reply"]
"""A record holds no samples, so it cannot say that they were zeros: its replay has a voice."""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("entry", HEARD_ALIKE, ids=lambda entry: entry.name)
def test_a_record_of_it_is_answered_in_the_same_way(
    entry: NamedReading, mode: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    reading, record = readings.named([entry.name]), tmp_path / "wire.jsonl"
    scenario = Scenario(connections=(Connection(turns=tuple(Turn(replies=(answer(number),)) for number in range(2))),))
    first: list[dict[str, Any]] = []
    again: list[dict[str, Any]] = []

    async def story() -> None:
        async with reading_box(monkeypatch, reading, "simple", mode, scenario, log__record=str(record)) as box:
            for _ in range(2):
                await box.ask()
            first.extend(box.room.turns)
        box.room.daemon.wire_record.close()
        async with Replay(script.load(record)) as replay:
            more = {"talk__mode": mode, "service__model": MODELS["simple"]}
            async with silent_room(replay, monkeypatch, **more) as room:
                box = ReadingBox(room, mode)
                for _ in range(2):
                    await box.ask()
                again.extend(room.turns)

    on_paper(story())
    assert [turn["outcome"] for turn in first] == [turn["outcome"] for turn in again], (first, again)
    for one, other in zip(first, again, strict=True):
        for figure in ("answer_s", "heard_s"):
            assert one[figure] == pytest.approx(other[figure], abs=CLOSE_S), (figure, one, other)
