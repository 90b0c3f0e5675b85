"""The owner's programs in whole boxes: whatever they do, the turn ends well and nothing of them is left."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np

from appliance.realtime import events
from appliance.simulator.scenario import Call, Reply, Turn, conversation
from appliance.simulator.service import Service
from appliance.simulator.sound_match import find
from appliance.simulator.virtual_card import VirtualCard
from appliance.turn.states import Outcome, State
from tests.support.programs import alive, events_flow, gone, number_in, python, shell
from tests.support.rig import ask_holding, box, in_state, question, turn_over

FLOOD = python("import sys\nfor _ in range(5): sys.stdout.write('x' * 1_000_000)")

WAYS_TO_FAIL = {
    "slow": (shell("sleep 10"), "the tool did not end within 1 s"),
    "crash": (shell("kill -SEGV $$"), "the tool was ended by signal 11"),
    "flood": (FLOOD, "the tool wrote more than 32768 bytes"),
    "garbage": (shell("echo '{'"), "the tool's answer is not JSON"),
    "missing": (["/no/such/program"], "the tool cannot be started: No such file or directory"),
}


async def test_every_way_to_fail_is_told_to_the_service_and_the_turn_ends_well(
    card: VirtualCard, tmp_path: Path
) -> None:
    names = [*WAYS_TO_FAIL, "unknown"]
    scenario = conversation(
        Turn(replies=(Reply(calls=tuple(Call(name=name) for name in names)), Reply(voice="volume"))),
    )
    settings: dict[str, Any] = {"tools__slow__timeout_s": 1}
    for name, (command, _) in WAYS_TO_FAIL.items():
        settings |= {f"tools__{name}__command": command, f"tools__{name}__description": "A tool"}
    async with (
        Service(scenario=scenario) as service,
        box(service, card, tmp_path, talk__mode="hold", **settings) as daemon,
    ):
        await ask_holding(daemon, card, question())
        async with events_flow():
            assert await turn_over(daemon) == Outcome.ANSWERED.value
        underruns = daemon.player.underruns
    told = [json.loads(event.output) for event in service.connections[0].received_of(events.FunctionCallOutput)]
    assert told == [
        *({"error": said} for _, said in WAYS_TO_FAIL.values()),
        {"error": "there is no tool 'unknown'"},
    ]
    assert not service.violations and service.connections[0].close_code == 1000 and underruns == 0


async def test_a_press_ends_a_tool_and_its_answer_is_not_sent(card: VirtualCard, tmp_path: Path) -> None:
    scenario = conversation(
        Turn(replies=(Reply(calls=(Call(name="slow"),)), Reply(voice="volume"))), Turn(replies=(Reply(voice="time"),))
    )
    settings = {
        "tools__slow__command": shell(f"sleep 60 & echo $! > {tmp_path}/pid; wait"),
        "tools__slow__description": "A tool",
        "tools__slow__timeout_s": 15,
    }
    async with (
        Service(scenario=scenario) as service,
        box(service, card, tmp_path, talk__mode="hold", **settings) as daemon,
    ):
        await ask_holding(daemon, card, question())
        process = await number_in(tmp_path / "pid")
        assert daemon.machine.state is State.WAITING and alive(process)
        await ask_holding(daemon, card, question())
        await gone(process)
        await turn_over(daemon, 2)
        assert service.connections[0].received_of(events.FunctionCallOutput) == []


async def test_stopping_the_box_ends_a_tool(card: VirtualCard, tmp_path: Path) -> None:
    scenario = conversation(Turn(replies=(Reply(calls=(Call(name="slow"),)), Reply(voice="volume"))))
    settings = {
        "tools__slow__command": shell(f"sleep 60 & echo $! > {tmp_path}/pid; wait"),
        "tools__slow__description": "A tool",
        "tools__slow__timeout_s": 15,
    }
    async with (
        Service(scenario=scenario) as service,
        box(service, card, tmp_path, talk__mode="hold", **settings) as daemon,
    ):
        await ask_holding(daemon, card, question())
        process = await number_in(tmp_path / "pid")
    await gone(process)


async def test_goodbye_is_heard_to_its_end_and_then_the_session_closes(card: VirtualCard, tmp_path: Path) -> None:
    scenario = conversation(Turn(replies=(Reply(calls=(Call(name="end_conversation"),)), Reply(voice="volume"))))
    async with (
        Service(scenario=scenario) as service,
        box(service, card, tmp_path, talk__mode="hold") as daemon,
    ):
        with card.record_speaker(hz=24_000) as recording:
            await ask_holding(daemon, card, question())
            assert await turn_over(daemon) == Outcome.ANSWERED.value
            await service.wait_for(lambda: service.connections[0].close_code == 1000, 10)
            await daemon.until(lambda: daemon.machine.state is State.READY and daemon.link.session is None, 10)
            await asyncio.sleep(0.2)
            heard = recording.stop()
    goodbye = find(np.frombuffer(service.replies[-1].pcm, dtype="<i2"), heard, 24_000)
    assert goodbye.correlation > 0.99 and goodbye.longest_gap_ms <= 5


async def test_a_press_during_goodbye_keeps_the_session(card: VirtualCard, tmp_path: Path) -> None:
    scenario = conversation(
        Turn(replies=(Reply(calls=(Call(name="end_conversation"),)), Reply(voice="monsoon"))),
        Turn(replies=(Reply(voice="time"),)),
    )
    async with (
        Service(scenario=scenario) as service,
        box(service, card, tmp_path, talk__mode="hold") as daemon,
    ):
        await ask_holding(daemon, card, question())
        await in_state(daemon, State.SPEAKING)
        await ask_holding(daemon, card, question())
        assert await turn_over(daemon, 2) == Outcome.ANSWERED.value
        assert len(service.connections) == 1 and daemon.link.session is not None
