"""A reload, told on boxes whose parts do not run."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from appliance.config import loader
from appliance.daemon import Daemon
from appliance.storage import boot_files
from appliance.storage.history_writer import Recorder
from appliance.storage.last_good_config import LastGood
from appliance.system.sd_notify import Nobody
from appliance.turn import events

BASE = "[panel.button]\ngpio = 0\n[panel.leds]\nkind = 'none'\ngpio = []\n[box]\nname = 'till 3'\n[talk]\n"
GOOD = BASE + "mode = 'hold'\n"
BETTER = GOOD + "[speaker]\nvolume = 31\n"
WRONG = BASE + "mood = 'hold'\n"


def daemon_of(file: Path, folder: Path) -> Daemon:
    last_good = LastGood(str(folder), loader.load, loader.merged)
    return Daemon(str(file), last_good.read(str(file)), last_good, Nobody())


class Rig:
    """A service and its configuration's file. ``box``: the present one, which is ready."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "config.toml"
        self._file.write_text(GOOD)
        self.service = daemon_of(self._file, folder)
        self.box = self.service.box = self.service.build()
        self.box.turns.happens(events.MicrophoneReady())

    def reload(self, text: str) -> None:
        self._file.write_text(text)
        self.service.reload()

    async def settles(self) -> None:
        change = self.service._change
        if change is not None:
            await asyncio.wait([change])


async def test_a_mistake_is_shown_until_it_is_mended(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.reload(WRONG)
    assert rig.box.panel.current_light == "fault_setup"
    assert "talk.mood" in rig.box.remote.status()["fault"]
    assert "the set-up is wrong: " in rig.box.face.words()
    rig.reload(GOOD)
    await rig.settles()
    assert rig.box.panel.current_light == "ready"
    assert rig.box.remote.status()["fault"] is None
    rig.box.turns.close()


async def test_a_mistake_calls_off_what_waited_for_the_end_of_a_turn(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.box.remote.edge(True, "test")
    rig.reload(BETTER)
    await asyncio.sleep(0)
    rig.reload(WRONG)
    rig.box.remote.quiet()
    await rig.settles()
    assert rig.box.config.speaker.volume == 80, "the former stays in force"
    assert rig.box.panel.current_light == "fault_setup"
    rig.box.turns.close()
    rig.box.buttons.close()
    rig.box.face.close()


async def test_a_history_that_ends_by_a_fault_does_not_end_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    begun = asyncio.Event()

    async def fails(recorder: Recorder) -> None:
        begun.set()
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Recorder, "run", fails)
    rig = Rig(tmp_path)
    async with rig.service._recording():
        await begun.wait()
    assert "the history is no longer kept: RuntimeError: can't start new thread" in caplog.text


async def test_a_setting_that_leads_to_trouble_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(tmp_path)
    (tmp_path / "config.toml").write_text(GOOD + "[service]\ntool_choice = 'required'\n")
    service = daemon_of(tmp_path / "config.toml", tmp_path)
    running = asyncio.create_task(service.run())
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])
    assert [record.getMessage()[:19] for record in caplog.records].count("service.tool_choice") == 1
    rig.box.turns.close()


async def test_a_record_that_was_switched_on_goes_on_in_the_next_box(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    rig = Rig(tmp_path)
    rig.box.remote.record(True)
    rig.reload(BASE + "mode = 'tap'\n")
    await rig.settles()
    rig.box.turns.close()
    running = asyncio.create_task(rig.service._one_box())
    await asyncio.sleep(0)
    box = rig.service.box
    assert box is not None and box is not rig.box
    assert box.remote.status()["recorded_to"] == str(tmp_path / "wire.jsonl")
    running.cancel()
    await asyncio.wait([running])


async def test_a_refused_file_of_the_boot_partition_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "refused").write_text(f"{tmp_path}\t{tmp_path}/voice-appliance.toml:1: talk: is not TOML\n")
    monkeypatch.setattr(boot_files.refused, "__defaults__", (str(tmp_path),))
    rig = Rig(tmp_path)
    rig.box.face.show()
    assert rig.box.panel.current_light == "fault_setup"
    assert "is not TOML" in rig.box.remote.status()["fault"] and "is not TOML" in rig.box.face.words()
    # Another configuration mends another thing.
    rig.reload(GOOD)
    await rig.settles()
    assert rig.box.panel.current_light == "fault_setup"
    (tmp_path / "refused").unlink()
    rig.reload(GOOD)
    await rig.settles()
    assert rig.box.remote.status()["fault"] is None
