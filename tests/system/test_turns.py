"""Questions and answers, end to end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from appliance.commands.comparison import find
from appliance.commands.virtual_card import VirtualCard
from appliance.realtime import events
from appliance.simulator.scenario import Call, Reply, Turn, conversation
from appliance.simulator.service import Service
from appliance.simulator.settings import SIMPLE_MODEL, ServiceSettings
from appliance.turn.vocabulary import Outcome, State

from .rig import KEY, PRESS_TO_SPEECH_S, ask_holding, box, in_state, question, say, turn_over

MODELS = [SIMPLE_MODEL, "mal-realtime-premium"]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("mode", ["auto", "hold"])
async def test_a_held_question_is_heard_whole_and_answered_whole(
    card: VirtualCard, tmp_path: Path, mode: str, model: str
) -> None:
    async with (
        Service(ServiceSettings(key=KEY)) as service,
        box(service, card, tmp_path, talk__mode=mode, service__model=model) as daemon,
    ):
        with card.record_speaker(hz=24_000) as recording:
            await ask_holding(daemon, card, question())
            assert await turn_over(daemon) == Outcome.ANSWERED.value
            await asyncio.sleep(0.2)
            heard = recording.stop()
    (connection,) = service.connections
    received = np.frombuffer(connection.audio, dtype="<i2")
    asked = find(question(), received, 24_000)
    assert asked.correlation > 0.99 and asked.missing_ms == 0
    (reply,) = service.replies
    answered = find(np.frombuffer(reply.pcm, dtype="<i2"), heard, 24_000)
    assert answered.correlation > 0.99 and answered.longest_gap_ms <= 5
    assert not service.violations and connection.close_code == 1000


@pytest.mark.parametrize("model", MODELS)
async def test_a_tapped_question_is_ended_by_the_service(card: VirtualCard, tmp_path: Path, model: str) -> None:
    async with (
        Service() as service,
        box(service, card, tmp_path, talk__mode="tap", service__model=model) as daemon,
    ):
        daemon.edge(True, "test")
        await asyncio.sleep(PRESS_TO_SPEECH_S)
        daemon.edge(False, "test")
        await say(card, question())
        assert await turn_over(daemon) == Outcome.ANSWERED.value
    asked = find(question(), np.frombuffer(service.connections[0].audio, dtype="<i2"), 24_000)
    assert asked.correlation > 0.99 and asked.missing_ms == 0
    assert not service.connections[0].received_of(events.InputAudioBufferCommit)


@pytest.mark.parametrize("race", ["ends", "late", "twice", "ignored"])
async def test_commit_and_turn_detection_race_both_ways(card: VirtualCard, tmp_path: Path, race: str) -> None:
    async with (
        Service(scenario=conversation(Turn(commit=race, heard="ask-time"))) as service,  # type: ignore[arg-type]
        box(service, card, tmp_path, talk__mode="hold") as daemon,
    ):
        await ask_holding(daemon, card, question())
        assert await turn_over(daemon) == Outcome.ANSWERED.value
        assert daemon.turns.last is not None
        assert daemon.turns.last["heard_s"] == pytest.approx(daemon.turns.last["answer_s"], abs=0.05)
    (connection,) = service.connections
    assert len(connection.received_of(events.InputAudioBufferCommit)) == 1
    assert sum(reply.cancelled_by != "client" for reply in service.replies) == 1


async def test_a_reply_that_is_complete_before_the_user_goes_on_is_not_heard(card: VirtualCard, tmp_path: Path) -> None:
    """A pause while the button is held: the first reply, all of it in, answers half a question (ruling 2)."""
    turns = (Turn(heard="ask-time", replies=(Reply(voice="volume", speed=0),)), Turn(heard="ask-who"))
    async with (
        Service(scenario=conversation(*turns)) as service,
        box(service, card, tmp_path, talk__mode="hold") as daemon,
    ):
        with card.record_speaker(hz=24_000) as recording:
            daemon.edge(True, "test")
            await say(card, question("ask-time"))
            await service.wait_for(lambda: service.replies and service.replies[0].status == "completed")
            await ask_holding(daemon, card, question("ask-who"))
            assert await turn_over(daemon) == Outcome.ANSWERED.value
            await asyncio.sleep(0.2)
            heard = recording.stop()
    first, second = (np.frombuffer(reply.pcm, dtype="<i2") for reply in service.replies)
    assert find(second, heard, 24_000).correlation > 0.99
    assert find(first, heard, 24_000).correlation < 0.5
    assert not service.connections[0].received_of(events.ResponseCancel), "its response.done was in: nothing to cancel"


async def test_a_pause_is_answered_when_the_user_says_no_more(card: VirtualCard, tmp_path: Path) -> None:
    async with Service() as service, box(service, card, tmp_path, talk__mode="hold") as daemon:
        daemon.edge(True, "test")
        await say(card, question())
        await service.wait_for(lambda: service.replies and service.replies[0].status == "completed")
        assert daemon.machine.state is State.LISTENING
        daemon.edge(False, "test")
        assert await turn_over(daemon) == Outcome.ANSWERED.value
    assert len(service.replies) == 1
    assert not service.connections[0].received_of(events.InputAudioBufferCommit)


async def test_a_too_short_hold_sends_nothing_and_is_no_error(card: VirtualCard, tmp_path: Path) -> None:
    async with Service() as service, box(service, card, tmp_path, talk__mode="hold") as daemon:
        daemon.edge(True, "test")
        await asyncio.sleep(0.05)
        daemon.edge(False, "test")
        assert await turn_over(daemon) == Outcome.TOO_SHORT.value
        assert all(not connection.audio for connection in service.connections)
        await ask_holding(daemon, card, question())
        assert await turn_over(daemon, 2) == Outcome.ANSWERED.value


@pytest.mark.parametrize("mode", ["auto", "hold", "tap"])
async def test_an_impatient_short_press_loses_nothing(card: VirtualCard, tmp_path: Path, mode: str) -> None:
    async with (
        Service(ServiceSettings(reply_delay_ms=1200)) as service,
        box(service, card, tmp_path, talk__mode=mode) as daemon,
    ):
        if mode == "tap":
            daemon.edge(True, "test")
            daemon.edge(False, "test")
            await say(card, question())
        else:
            await ask_holding(daemon, card, question())
        await in_state(daemon, State.WAITING)
        for _ in range(2):
            daemon.edge(True, "test")
            await asyncio.sleep(0.1)
            daemon.edge(False, "test")
            await asyncio.sleep(0.1)
        assert await turn_over(daemon) == Outcome.ANSWERED.value
    assert len(service.replies) == 1 and service.replies[0].cancelled_by is None


async def test_a_reply_of_forty_milliseconds_is_heard(card: VirtualCard, tmp_path: Path) -> None:
    async with (
        Service(scenario=conversation(Turn(replies=(Reply(tone_ms=40, tone_hz=1000),)))) as service,
        box(service, card, tmp_path, talk__mode="hold", panel__earcons=False) as daemon,
    ):
        with card.record_speaker(hz=24_000) as recording:
            await ask_holding(daemon, card, question())
            assert await turn_over(daemon) == Outcome.ANSWERED.value
            await asyncio.sleep(0.2)
            heard = recording.stop()
    loud = np.flatnonzero(np.abs(heard.astype(np.int32)) > 200)
    assert loud.size and 0.030 < (loud[-1] - loud[0]) / 24_000 < 0.050


async def test_a_tool_is_run_and_the_answer_follows(card: VirtualCard, tmp_path: Path) -> None:
    replies = (Reply(calls=(Call(name="set_volume", arguments='{"percent": 55}'),)), Reply(voice="volume"))
    async with (
        Service(scenario=conversation(Turn(replies=replies))) as service,
        box(service, card, tmp_path, talk__mode="hold") as daemon,
    ):
        await ask_holding(daemon, card, question())
        assert await turn_over(daemon) == Outcome.ANSWERED.value
        assert daemon.player.volume == 55
    (output,) = service.connections[0].received_of(events.FunctionCallOutput)
    assert output.output == '{"percent": 55}'
    assert not service.connections[0].received_of(events.ResponseCreate)
