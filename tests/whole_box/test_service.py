"""Boxes as systemd runs them, one after the other: ready, reloaded, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from appliance.config import loader
from appliance.daemon import Daemon as Boxes
from appliance.simulator.service import Service
from appliance.simulator.virtual_card import VirtualCard
from appliance.storage.last_good_config import LastGood
from appliance.turn.states import State
from tests.support.rig import KEY, in_state, in_time


class Told:
    """What systemd would have been told, in order."""

    watchdog_s: float | None = 4.0

    def __init__(self) -> None:
        self.words: list[str] = []

    def ready(self, status: str) -> None:
        self.words.append(f"ready: {status}")

    def status(self, text: str) -> None:
        self.words.append(text)

    def alive(self) -> None:
        if self.words[-1:] != ["alive"]:
            self.words.append("alive")

    def reloading(self) -> None:
        self.words.append("reloading")

    def stopping(self) -> None:
        self.words.append("stopping")


class Rig:
    """A running service whose configuration file a test may write."""

    def __init__(self, boxes: Boxes, told: Told, file: Path) -> None:
        self.boxes = boxes
        self.told = told
        self._file = file

    def reload(self, text: str) -> None:
        self._file.write_text(text)
        self.boxes.reload()

    @property
    def is_up(self) -> bool:
        """The present box has both ends of the sound."""
        return self.boxes.box is not None and self.boxes.box.ready


@contextlib.asynccontextmanager
async def running(card: VirtualCard, folder: Path) -> AsyncIterator[Rig]:
    async with Service() as service:
        file, key = folder / "config.toml", folder / "key"
        file.write_text("")
        key.write_text(KEY)
        overrides: dict[str, Any] = {
            "service.url": service.url,
            "microphone.device": card.microphone,
            "speaker.device": card.speaker,
            "control.socket": str(folder / "control.sock"),
            "credentials.key_file": str(key),
        }
        told = Told()
        last_good = LastGood(None, lambda path: loader.load(path, overrides), loader.merged)
        boxes = Boxes(str(file), last_good.read(str(file)), last_good, told)
        task = asyncio.create_task(boxes.run())
        rig = Rig(boxes, told, file)
        try:
            await in_time(lambda: task.done() or rig.is_up)
            yield rig
        finally:
            boxes.stop()
            async with asyncio.timeout(5):
                await task


async def test_it_is_ready_alive_and_ends_as_systemd_wants_to_hear(card: VirtualCard, tmp_path: Path) -> None:
    async with running(card, tmp_path) as rig:
        told = rig.told.words
        await in_time(lambda: any(word.startswith("ready: ") for word in told) and "alive" in told)
        await in_time(
            lambda: told[-1] == "ready; link closed, on demand" or told[-2] == "ready; link closed, on demand"
        )
    assert told[-1] == "stopping"


async def test_a_setting_of_a_running_box_changes_without_its_connection(card: VirtualCard, tmp_path: Path) -> None:
    async with running(card, tmp_path) as rig:
        daemon = rig.boxes.box
        assert daemon is not None
        daemon.remote.retry()
        await daemon.until(lambda: daemon.link.session is not None, 10)
        session = daemon.link.session
        rig.reload("speaker.volume = 31\npanel.idle_glow = false\nbox.name = 'till 3'\nlimits.audio_s_per_hour = 60.0")
        await in_time(lambda: rig.told.words[-1].startswith("ready: "))
        assert rig.told.words.count("reloading") == 1
        assert rig.boxes.box is daemon
        assert daemon.link.session is session
        assert daemon.remote.status()["volume"] == 31
        assert daemon.face.conditions().idle_glow is False
        assert rig.boxes.around()["BOX_NAME"] == "till 3"


async def test_any_other_setting_waits_for_the_turn_and_a_muted_box_stays_muted(
    card: VirtualCard, tmp_path: Path
) -> None:
    async with running(card, tmp_path) as rig:
        first = rig.boxes.box
        assert first is not None
        first.remote.edge(True, "test")
        await in_state(first, State.LISTENING)
        rig.reload("talk.mode = 'hold'")
        await in_time(lambda: rig.told.words[-1] == "ready: the new configuration counts after this turn")
        assert rig.boxes.box is first
        assert first.machine.state is State.LISTENING
        first.remote.mute(True)
        await in_time(lambda: rig.boxes.box is not first)
        second = rig.boxes.box
        assert second is not None
        assert second.config.talk.mode == "hold"
        assert second.buttons.muted_by == ("control socket",)
        assert first.microphone.process_id is None


async def test_a_mistake_changes_nothing_and_is_one_line(
    card: VirtualCard, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(card, tmp_path) as rig:
        daemon = rig.boxes.box
        caplog.set_level(logging.ERROR)
        rig.reload("talk.mood = 'hold'\nspeaker.volume = 300")
        assert rig.told.words[-1].startswith("ready: ")
        assert rig.boxes.box is daemon
        errors = [record for record in caplog.records if record.levelno == logging.ERROR]
        (line,) = [record.getMessage() for record in errors]
        assert "the former stays in force" in line and "talk.mood" in line and "1 more" in line
