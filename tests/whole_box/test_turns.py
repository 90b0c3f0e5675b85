"""Questions and answers, end to end."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from appliance.audio.earcons import Earcon, earcon
from appliance.realtime import events
from appliance.simulator.scenario import Call, Reply, Turn, conversation
from appliance.simulator.service import Service
from appliance.simulator.settings import SIMPLE_MODEL, SimulatorSettings
from appliance.simulator.sound_match import Comparison, find
from appliance.simulator.turn_detection import DetectionSettings
from appliance.simulator.virtual_card import VirtualCard
from appliance.turn.states import Outcome, State
from tests.support.rig import (
    KEY,
    PRESS_TO_SPEECH_S,
    ask_holding,
    box,
    in_state,
    question,
    say,
    together,
    turn_over,
    words,
)

MODELS = [SIMPLE_MODEL, "mal-realtime-premium"]

ANSWER_FRAMES = 16_800
"""0.7 s of speech, in a test where it matters what is heard."""

ANSWER_EVERY_MS = 900
"""Answers of several boxes, one after the other."""

SHORT = conversation(Turn(replies=(Reply(tone_ms=300),)))
"""In a test where it only matters that there is an answer."""


async def test_a_held_question_is_heard_whole_and_answered_whole(card: VirtualCard, tmp_path: Path) -> None:
    """Four boxes hear the same question, and answer one after the other: there is one speaker."""
    kinds = [(mode, model) for mode in ("auto", "hold") for model in MODELS]
    answers = [
        question("ask-monsoon")[first : first + ANSWER_FRAMES] for first in range(0, 4 * ANSWER_FRAMES, ANSWER_FRAMES)
    ]
    replies = [
        Reply(pcm=answer.tobytes(), delay_ms=800 + place * ANSWER_EVERY_MS) for place, answer in enumerate(answers)
    ]
    services = [Service(SimulatorSettings(key=KEY), conversation(Turn(replies=(reply,)))) for reply in replies]
    asked = words(200, 1240)
    async with (
        together(*services),
        together(
            *(
                box(service, card, tmp_path, talk__mode=mode, service__model=model)
                for service, (mode, model) in zip(services, kinds, strict=True)
            )
        ) as daemons,
    ):
        # A machine with no time to spare makes gaps of its own, now and then; a fault of ours is there every time.
        answered: list[Comparison] = []
        for attempt in range(1, 4):
            with card.record_speaker(hz=24_000) as recording:
                await ask_holding(daemons[0], card, asked, *daemons[1:])
                assert [await turn_over(daemon, attempt) for daemon in daemons] == [Outcome.ANSWERED.value] * 4
                await asyncio.sleep(0.2)
                heard = recording.stop()
            answered = [find(answer, heard, 24_000) for answer in answers]
            if all(one.correlation > 0.99 and one.longest_gap_ms <= 5 for one in answered):
                break
        else:
            pytest.fail(f"not heard whole: {answered}")
    for service, kind in zip(services, kinds, strict=True):
        (connection,) = service.connections
        sent = find(asked, np.frombuffer(connection.audio, dtype="<i2"), 24_000)
        assert sent.correlation > 0.99 and sent.missing_ms == 0, kind
        assert not service.violations and connection.close_code == 1000


async def test_a_tapped_question_is_ended_by_the_service(card: VirtualCard, tmp_path: Path) -> None:
    services = [Service(scenario=SHORT) for _ in MODELS]
    asked = words(200, 1240)
    async with (
        together(*services),
        together(
            *(
                box(service, card, tmp_path, talk__mode="tap", service__model=model)
                for service, model in zip(services, MODELS, strict=True)
            )
        ) as daemons,
    ):
        for daemon in daemons:
            daemon.remote.edge(True, "test")
        await asyncio.sleep(PRESS_TO_SPEECH_S)
        for daemon in daemons:
            daemon.remote.edge(False, "test")
        await say(card, asked)
        assert [await turn_over(daemon) for daemon in daemons] == [Outcome.ANSWERED.value] * 2
    for service in services:
        sent = find(asked, np.frombuffer(service.connections[0].audio, dtype="<i2"), 24_000)
        assert sent.correlation > 0.99 and sent.missing_ms == 0
        assert not service.connections[0].received_of(events.InputAudioBufferCommit)


async def test_commit_and_turn_detection_race_both_ways(card: VirtualCard, tmp_path: Path) -> None:
    races: tuple[Literal["ends", "late", "twice", "ignored"], ...] = ("ends", "late", "twice", "ignored")
    turns = (Turn(commit=race, heard="ask-time", replies=(Reply(tone_ms=300),)) for race in races)
    # Only the scripted race: on a busy machine the release may come half a second after the words.
    patient = SimulatorSettings(detection=DetectionSettings(silence_ms=1000))
    services = [Service(patient, conversation(turn)) for turn in turns]
    async with (
        together(*services),
        together(*(box(service, card, tmp_path, talk__mode="hold") for service in services)) as daemons,
    ):
        await ask_holding(daemons[0], card, words(), *daemons[1:])
        for daemon, race in zip(daemons, races, strict=True):
            assert await turn_over(daemon) == Outcome.ANSWERED.value, race
            assert daemon.turns.last is not None
            assert daemon.turns.last["answer_s"] == pytest.approx(0.3, abs=0.001), race
            assert daemon.turns.last["heard_s"] == pytest.approx(0.3, abs=0.05), race
    for service in services:
        (connection,) = service.connections
        assert len(connection.received_of(events.InputAudioBufferCommit)) == 1
        assert sum(reply.cancelled_by != "client" for reply in service.replies) == 1


async def test_a_reply_that_is_complete_before_the_user_goes_on_is_not_heard(card: VirtualCard, tmp_path: Path) -> None:
    """A pause while the button is held: the first reply, all of it in, answers half a question (decision 2)."""
    first, second = question("ask-monsoon")[:ANSWER_FRAMES], question("ask-who")[:ANSWER_FRAMES]
    turns = (Turn(replies=(Reply(pcm=first.tobytes(), speed=0),)), Turn(replies=(Reply(pcm=second.tobytes()),)))
    async with (
        Service(scenario=conversation(*turns)) as service,
        box(service, card, tmp_path, talk__mode="hold") as daemon,
    ):
        with card.record_speaker(hz=24_000) as recording:
            daemon.remote.edge(True, "test")
            await say(card, words())
            await service.wait_for(lambda: service.replies and service.replies[0].status == "completed")
            await ask_holding(daemon, card, words(540, 1240))
            assert await turn_over(daemon) == Outcome.ANSWERED.value
            await asyncio.sleep(0.2)
            heard = recording.stop()
    assert find(second, heard, 24_000).correlation > 0.99
    assert find(first, heard, 24_000).correlation < 0.5
    assert not service.connections[0].received_of(events.ResponseCancel), "its response.done was in: nothing to cancel"


async def test_a_pause_is_answered_when_the_user_says_no_more(card: VirtualCard, tmp_path: Path) -> None:
    async with Service(scenario=SHORT) as service, box(service, card, tmp_path, talk__mode="hold") as daemon:
        daemon.remote.edge(True, "test")
        await say(card, words())
        await service.wait_for(lambda: service.replies and service.replies[0].status == "completed")
        assert daemon.machine.state is State.LISTENING
        daemon.remote.edge(False, "test")
        assert await turn_over(daemon) == Outcome.ANSWERED.value
    assert len(service.replies) == 1
    assert not service.connections[0].received_of(events.InputAudioBufferCommit)


async def test_a_too_short_hold_sends_nothing_and_is_no_error(card: VirtualCard, tmp_path: Path) -> None:
    async with Service(scenario=SHORT) as service, box(service, card, tmp_path, talk__mode="hold") as daemon:
        daemon.remote.edge(True, "test")
        await asyncio.sleep(0.05)
        daemon.remote.edge(False, "test")
        assert await turn_over(daemon) == Outcome.TOO_SHORT.value
        assert all(not connection.audio for connection in service.connections)
        # Longer than the hint, which this press ends, and its echo: what is said meanwhile is not sent.
        await ask_holding(daemon, card, words(200, 1240))
        assert await turn_over(daemon, 2) == Outcome.ANSWERED.value
    assert not service.connections[0].received_of(events.ResponseCreate), "answered because it was heard"


@pytest.mark.parametrize("mode", ["hold", "auto"])
async def test_a_hold_in_which_nobody_was_heard_is_over_at_once(
    mode: str, card: VirtualCard, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody stands too far away: below what the service counts as something to commit, and no dead microphone."""
    far_away = np.random.default_rng(7).integers(-10, 11, 24_000).astype(np.int16)
    async with Service(scenario=SHORT) as service, box(service, card, tmp_path, talk__mode=mode) as daemon:
        with caplog.at_level(logging.INFO), card.record_speaker(hz=24_000) as recording:
            await ask_holding(daemon, card, far_away)
            assert await turn_over(daemon, timeout_s=3) == Outcome.NO_SPEECH.value
            assert daemon.machine.state is State.READY
            await asyncio.sleep(0.5)
            heard = recording.stop()
        sorry = find(earcon(Earcon.SORRY), heard, 24_000)
        assert sorry.correlation > 0.95
        assert not np.any(np.abs(heard[sorry.lag_frames + earcon(Earcon.SORRY).size + 480 :]) > 20), "no clip, no tick"
        lines = [record.getMessage() for record in caplog.records]
        assert sum("nobody spoke, nothing heard in 1." in line for line in lines) == 1
        assert sum("too quiet, or nobody spoke" in line for line in lines) == 1
        (connection,) = service.connections
        assert len(connection.received_of(events.InputAudioBufferCommit)) == 1
        assert not connection.received_of(events.ResponseCreate)
        await ask_holding(daemon, card, words())
        assert await turn_over(daemon, 2) == Outcome.ANSWERED.value
        assert service.connections == [connection], "the session is kept"


async def test_an_impatient_short_press_loses_nothing(card: VirtualCard, tmp_path: Path) -> None:
    services = [Service(SimulatorSettings(reply_delay_ms=1800), SHORT) for _ in range(3)]
    async with (
        together(*services),
        box(services[0], card, tmp_path, talk__mode="auto") as auto,
        box(services[1], card, tmp_path, talk__mode="hold") as hold,
        box(services[2], card, tmp_path, talk__mode="tap") as tap,
    ):
        tap.remote.edge(True, "test")
        tap.remote.edge(False, "test")
        await ask_holding(auto, card, words(), hold)
        for daemon in (auto, hold, tap):
            await in_state(daemon, State.WAITING)
        for down in (True, False, True, False):
            for daemon in (auto, hold, tap):
                daemon.remote.edge(down, "test")
            await asyncio.sleep(0.1)
        for daemon in (auto, hold, tap):
            assert await turn_over(daemon) == Outcome.ANSWERED.value
    for service in services:
        assert len(service.replies) == 1 and service.replies[0].cancelled_by is None


async def test_a_reply_of_forty_milliseconds_is_heard(card: VirtualCard, tmp_path: Path) -> None:
    async with (
        Service(scenario=conversation(Turn(replies=(Reply(tone_ms=40, tone_hz=1000),)))) as service,
        box(service, card, tmp_path, talk__mode="hold", panel__earcons=False) as daemon,
    ):
        with card.record_speaker(hz=24_000) as recording:
            await ask_holding(daemon, card, words())
            assert await turn_over(daemon) == Outcome.ANSWERED.value
            await asyncio.sleep(0.2)
            heard = recording.stop()
    loud = np.flatnonzero(np.abs(heard.astype(np.int32)) > 200)
    assert loud.size and 0.030 < (loud[-1] - loud[0]) / 24_000 < 0.050


async def test_a_tool_is_run_and_the_answer_follows(card: VirtualCard, tmp_path: Path) -> None:
    replies = (Reply(calls=(Call(name="set_volume", arguments='{"percent": 55}'),)), Reply(tone_ms=300))
    async with (
        Service(scenario=conversation(Turn(replies=replies))) as service,
        box(service, card, tmp_path, talk__mode="hold") as daemon,
    ):
        await ask_holding(daemon, card, words())
        assert await turn_over(daemon) == Outcome.ANSWERED.value
        assert daemon.player.volume == 55
    (output,) = service.connections[0].received_of(events.FunctionCallOutput)
    assert output.output == '{"percent": 55}'
    assert not service.connections[0].received_of(events.ResponseCreate)
