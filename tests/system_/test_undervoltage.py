"""A power supply that is too weak, on a machine whose sensor is a folder."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from appliance.system import undervoltage


def sensor(root: Path, number: int, name: str) -> Path:
    folder = root / f"hwmon{number}"
    folder.mkdir()
    (folder / "name").write_text(f"{name}\n")
    alarm = folder / "in0_lcrit_alarm"
    alarm.write_text("0\n")
    return alarm


async def test_a_machine_without_the_sensor_is_not_looked_at(tmp_path: Path) -> None:
    sensor(tmp_path, 0, "cpu_thermal")
    async with asyncio.timeout(1):
        await undervoltage.watch(tmp_path)


async def test_an_episode_is_one_line_however_often_it_dips(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensor(tmp_path, 0, "cpu_thermal")
    alarm = sensor(tmp_path, 1, "rpi_volt")
    looks = asyncio.Semaphore(0)
    looked = asyncio.Semaphore(0)

    async def next_look(_: float) -> None:
        looked.release()
        await looks.acquire()

    async def look(value: str) -> int:
        alarm.write_text(f"{value}\n")
        looks.release()
        await looked.acquire()
        return len(caplog.records)

    monkeypatch.setattr(asyncio, "sleep", next_look)
    now_s = [1000.0]
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now_s[0])
    caplog.set_level(logging.WARNING)
    task = asyncio.create_task(undervoltage.watch(tmp_path))
    await looked.acquire()
    assert [await look(value) for value in "1101011"] == [1] * 7
    assert "power supply" in caplog.text
    await look("0")
    now_s[0] += undervoltage.OVER_S
    assert await look("0") == 1
    assert await look("1") == 2
    task.cancel()
    await asyncio.wait([task])
