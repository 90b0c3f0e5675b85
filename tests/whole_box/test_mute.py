"""The microphone switched off, by ``ctl`` and by a switch on the box."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from gpiozero import Device

from appliance.audio.sound_host import SoundHost
from appliance.errors import UnavailableError
from appliance.panel.light import Pattern
from appliance.simulator.scenario import Reply, Turn, conversation
from appliance.simulator.service import Service
from appliance.simulator.virtual_card import VirtualCard
from appliance.turn.states import Outcome, State
from tests.support.rig import ask_holding, box, has_listened, in_state, in_time, turn_over, words

SWITCH_GPIO = 22


def said(caplog: pytest.LogCaptureFixture, text: str) -> int:
    return sum(text in record.getMessage() for record in caplog.records)


async def test_muted_the_light_says_so_a_press_is_told_and_nothing_is_heard(
    card: VirtualCard, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    scenario = conversation(Turn(replies=(Reply(tone_ms=300),)))
    async with Service(scenario=scenario) as service, box(service, card, tmp_path, talk__mode="hold") as daemon:
        daemon.remote.mute(True)
        assert daemon.panel.current_light == Pattern.MUTE.name.lower()
        assert daemon.remote.status()["muted_by"] == "control socket"
        await in_time(lambda: daemon.microphone.process_id is None)
        with card.record_speaker(hz=24_000) as recording:
            daemon.remote.edge(True, "test")
            assert daemon.machine.state is State.READY
            await in_time(lambda: bool(np.abs(recording.samples).max(initial=0) > 1000))
            daemon.remote.edge(False, "test")
        assert said(caplog, "the microphone is off: a press cannot be heard") == 1
        assert not service.connections
        daemon.remote.mute(False)
        await daemon.until(lambda: daemon.ready, 20)
        assert daemon.panel.current_light == Pattern.READY.name.lower()
        await has_listened(daemon)
        # Longer than the clip, which this press ends, and its echo: what is said meanwhile is not sent.
        await ask_holding(daemon, card, words(200, 1240))
        assert await turn_over(daemon) == "answered"
    assert said(caplog, "the microphone lost") == said(caplog, "no microphone") == 0


async def test_muted_in_the_middle_of_a_question_it_is_given_up(card: VirtualCard, tmp_path: Path) -> None:
    async with Service() as service, box(service, card, tmp_path, talk__mode="hold") as daemon:
        daemon.remote.edge(True, "test")
        await in_state(daemon, State.LISTENING)
        daemon.remote.mute(True)
        assert await turn_over(daemon) == Outcome.NO_MICROPHONE.value
        assert daemon.panel.current_light == Pattern.MUTE.name.lower()
        daemon.remote.edge(False, "test")


async def test_a_muted_box_still_answers_what_was_asked_before(card: VirtualCard, tmp_path: Path) -> None:
    scenario = conversation(Turn(replies=(Reply(tone_ms=1500),)))
    async with Service(scenario=scenario) as service, box(service, card, tmp_path, talk__mode="hold") as daemon:
        await ask_holding(daemon, card, words())
        await in_state(daemon, State.WAITING, State.SPEAKING)
        daemon.remote.mute(True)
        daemon.remote.edge(True, "test")
        daemon.remote.edge(False, "test")
        await in_state(daemon, State.READY)
        assert daemon.machine.number == 1, "no other turn was opened"


async def test_the_switch_on_the_box_wins_over_the_socket(card: VirtualCard, tmp_path: Path) -> None:
    async with Service() as service, box(service, card, tmp_path, panel__mute__gpio=SWITCH_GPIO) as daemon:
        switch = Device.pin_factory.pin(SWITCH_GPIO)
        for _ in range(5):
            switch.drive_low()
            switch.drive_high()
        switch.drive_low()
        await daemon.until(lambda: daemon.microphone.is_closed, 10)
        host = daemon.microphone._host
        assert isinstance(host, SoundHost)
        started = host.started
        with pytest.raises(UnavailableError, match="mute switch"):
            daemon.remote.mute(False)
        daemon.remote.mute(True)
        switch.drive_high()
        await daemon.until(lambda: daemon.remote.status()["muted_by"] == "control socket", 10)
        assert daemon.microphone.is_closed and host.started == started
        daemon.remote.mute(False)
        await daemon.until(lambda: daemon.ready, 20)
