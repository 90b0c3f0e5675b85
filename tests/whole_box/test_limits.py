"""An hour's allowance of audio: said, shown, logged, over by itself."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from appliance.simulator.scenario import Reply, Turn, conversation
from appliance.simulator.service import Service
from appliance.simulator.virtual_card import VirtualCard
from appliance.turn.states import Outcome, State
from tests.support.rig import ask_holding, box, question, turn_over


async def test_a_box_that_has_talked_enough_rests(
    card: VirtualCard, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with (
        Service(scenario=conversation(Turn(replies=(Reply(tone_ms=200),)))) as service,
        box(service, card, tmp_path, talk__mode="hold", limits__audio_s_per_hour=1.0) as daemon,
    ):
        await ask_holding(daemon, card, question())
        assert await turn_over(daemon) == Outcome.ANSWERED.value, "a turn that has begun is finished"
        assert daemon.panel.current_light == "resting" and daemon.remote.status()["rest_s"] > 3000
        daemon.remote.edge(True, "test")
        assert daemon.machine.state is State.READY and daemon.turns.ended == 1
        assert "resting: the hour's audio is used up" in caplog.text and "back in 60 min" in caplog.text
        daemon.remote.edge(False, "test")
        totals = daemon.remote.status()["totals"]
        assert totals["turns"] == totals["answered"] == 1 and totals["sent_s"] > 1 and totals["received_s"] == 0.2
    assert len(service.turns) == 1
