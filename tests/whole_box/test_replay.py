"""What was said survives the connection: it is heard once, whole and in order, by the session that answers."""

from __future__ import annotations

import asyncio
import contextlib
import random
from pathlib import Path

import numpy as np

from appliance.simulator.scenario import (
    Call,
    Close,
    Connection,
    Freeze,
    Moment,
    Reply,
    Reset,
    Silence,
    Step,
    Turn,
    faults,
)
from appliance.simulator.service import Service
from appliance.simulator.sound_match import find
from appliance.simulator.virtual_card import VirtualCard
from appliance.turn.states import Outcome, State
from tests.support.rig import Samples, ask_holding, box, in_state, question, say, turn_over


def six_seconds() -> Samples:
    """Somebody who speaks for six seconds without a pause long enough to end a turn."""
    parts = [question(name) for name in ("ask-monsoon", "ask-who", "ask-time")]
    joined = np.concatenate(parts)[: 6 * 24_000]
    assert joined.size == 6 * 24_000
    return joined


BUSY = Connection(steps=(Step(on=Moment.OPEN, do=Close(code=1013)),))
TROUBLES = {
    "busy five times": [BUSY] * 5,
    "reset after 2 s of speech": [Connection(steps=(Step(on=Moment.AUDIO, do=Reset(), audio_ms=2000),))],
    "accepts and goes silent": [Connection(steps=(Step(on=Moment.READY, do=Freeze()),))],
    "never confirms the settings": [Connection(steps=(Step(on=Moment.SETTINGS, do=Silence()),))],
    "HTTP 503": [Connection(http=503)],
}


IMPATIENT = {"link__configure_timeout_s": 1.0, "link__ping_interval_s": 1.0, "link__ping_timeout_s": 1.0}


async def test_everything_said_is_heard_once(card: VirtualCard, tmp_path: Path) -> None:
    """Five boxes in one room, each with a trouble of its own, hear the same six seconds."""
    random.seed(7)
    said = six_seconds()
    async with contextlib.AsyncExitStack() as stack:
        services = {
            name: await stack.enter_async_context(Service(scenario=faults(*trouble)))
            for name, trouble in TROUBLES.items()
        }
        daemons = [
            await stack.enter_async_context(box(service, card, tmp_path, talk__mode="hold", **IMPATIENT))
            for service in services.values()
        ]
        for daemon in daemons:
            daemon.remote.edge(True, "test")
        await say(card, said)
        await asyncio.sleep(0.15)
        for daemon in daemons:
            daemon.remote.edge(False, "test")
        assert [await turn_over(daemon) for daemon in daemons] == [Outcome.ANSWERED.value] * len(daemons)
    for service in services.values():
        heard_once(said, service)


def heard_once(said: Samples, service: Service) -> None:
    """The session that answered heard all of it, in order, and nothing of it twice."""
    answering = service.connections[-1]
    heard = find(said, np.frombuffer(answering.audio, dtype="<i2"), 24_000)
    assert heard.correlation > 0.99 and heard.missing_ms == 0
    twice = np.frombuffer(answering.audio, dtype="<i2")[heard.lag_frames + said.size :]
    assert not twice.size or np.abs(twice.astype(np.int32)).max() < 1000, "nothing of it comes a second time"
    assert not service.violations


async def test_a_question_too_old_is_given_up_and_never_sent(card: VirtualCard, tmp_path: Path) -> None:
    async with (
        Service(scenario=faults(*[BUSY] * 50)) as service,
        box(service, card, tmp_path, talk__mode="hold", talk__stale_s=1.0) as daemon,
    ):
        await ask_holding(daemon, card, question())
        assert await turn_over(daemon) == Outcome.STALE.value
        assert daemon.ring.end - daemon.ring.start <= 24_000, "given up, it is wiped"
    assert not any(connection.audio for connection in service.connections)


async def test_an_answer_that_was_heard_is_not_asked_for_again(card: VirtualCard, tmp_path: Path) -> None:
    lost = Connection(
        steps=(Step(on=Moment.DELTA, do=Reset(), nth=8),), turns=(Turn(replies=(Reply(voice="who", speed=1),)),)
    )
    async with (
        Service(scenario=faults(lost)) as service,
        box(service, card, tmp_path, talk__mode="hold") as daemon,
    ):
        await ask_holding(daemon, card, question())
        assert await turn_over(daemon) == Outcome.LINK_LOST.value
        assert daemon.turns.last is not None and daemon.turns.last["heard_s"] > 0.5
        await asyncio.sleep(0.5)
    assert len(service.connections) == 1


async def test_a_tool_is_never_run_again(card: VirtualCard, tmp_path: Path) -> None:
    replies = (Reply(calls=(Call(name="get_time"),)), Reply(voice="time"))
    lost = Connection(steps=(Step(on=Moment.TOOL, do=Reset()),), turns=(Turn(replies=replies),))
    async with (
        Service(scenario=faults(lost)) as service,
        box(service, card, tmp_path, talk__mode="hold") as daemon,
    ):
        await ask_holding(daemon, card, question())
        assert await turn_over(daemon) == Outcome.LINK_LOST.value
        await asyncio.sleep(0.5)
    assert len(service.connections) == 1


async def test_a_tapped_question_survives_too(card: VirtualCard, tmp_path: Path) -> None:
    async with (
        Service(scenario=faults(BUSY, BUSY, BUSY)) as service,
        box(service, card, tmp_path, talk__mode="tap") as daemon,
    ):
        daemon.remote.edge(True, "test")
        await asyncio.sleep(0.15)
        daemon.remote.edge(False, "test")
        playing = await asyncio.to_thread(card.play_into_microphone, question())
        await in_state(daemon, State.LISTENING)
        assert await turn_over(daemon) == Outcome.ANSWERED.value
        playing.stop()
    heard = find(question(), np.frombuffer(service.connections[-1].audio, dtype="<i2"), 24_000)
    assert heard.correlation > 0.99 and heard.missing_ms == 0
