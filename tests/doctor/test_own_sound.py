"""Talking over answers: whether the box would take its own voice for a person's."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from appliance.audio.levels import SILENCE_DBFS
from appliance.config import loader
from appliance.doctor.finding import Grade
from appliance.doctor.own_sound import ENOUGH_DB, judged, opens, own_sound, taken_out
from appliance.simulator.virtual_card import VirtualCard
from tests.support import acoustics


@pytest.mark.parametrize(("dbfs", "opened"), [(-20.0, True), (-40.0, True), (-62.0, False), (-90.0, False)])
def test_what_is_left_of_the_boxs_voice(dbfs: float, opened: bool) -> None:
    room = acoustics.to_int16(acoustics.silence(np.random.default_rng(1), 2.0, -70.0))
    said = acoustics.spoken("ask-monsoon", dbfs)
    said = said + acoustics.silence(np.random.default_rng(2), said.size / acoustics.HZ + 0.01, -70.0)[: said.size]
    assert opens(room, acoustics.to_int16(said)) is opened


def test_what_is_said_of_it() -> None:
    assert judged(False, SILENCE_DBFS).line.endswith("hears it not at all")
    found = judged(True, -31.4)
    assert found.verdict is Grade.WARNING and "at -31 dBFS" in found.line and 'full_duplex = "off"' in found.fix


@pytest.mark.parametrize(("echo_db", "verdict"), [(None, Grade.OK), (-6.0, Grade.WARNING)])
async def test_a_clip_through_the_card(virtual_card: VirtualCard, echo_db: float | None, verdict: Grade) -> None:
    virtual_card.echo(echo_db)
    devices = {"microphone.device": virtual_card.microphone, "speaker.device": virtual_card.speaker}
    found = await own_sound(loader.load("/dev/null", devices))
    assert found.verdict is verdict, found


def test_what_is_said_of_what_is_taken_out() -> None:
    assert taken_out(False, 31.4).verdict is Grade.OK and "31 dB" in taken_out(False, 31.4).line
    for opened, removed_db in ((True, 31.4), (False, ENOUGH_DB - 1), (False, None)):
        found = taken_out(opened, removed_db)
        assert found.verdict is Grade.WARNING and "farther apart" in found.fix


async def test_the_box_takes_its_own_voice_out(virtual_card: VirtualCard) -> None:
    pytest.importorskip("pywebrtc_audio")
    virtual_card.echo(-6)
    devices = {"microphone.device": virtual_card.microphone, "speaker.device": virtual_card.speaker}
    found = await own_sound(loader.load("/dev/null", {**devices, "talk.full_duplex": "software"}))
    assert found.verdict is Grade.OK and "good for talking over it" in found.line, found


async def test_without_the_canceller_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pywebrtc_audio", None)
    found = await own_sound(loader.load("/dev/null", {"talk.full_duplex": "software"}))
    assert found.verdict is Grade.WARNING and "pywebrtc-audio" in found.fix


async def test_without_a_microphone_nothing_is_said(virtual_card: VirtualCard) -> None:
    virtual_card.unplug_microphone()
    devices = {"microphone.device": virtual_card.microphone, "speaker.device": virtual_card.speaker}
    assert (await own_sound(loader.load("/dev/null", devices))).verdict is Grade.SKIPPED
