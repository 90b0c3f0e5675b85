"""The box ends in less than 2 s, whatever it is doing, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.box.box import Box
from appliance.link.link import LinkState
from appliance.simulator.scenario import Call, Connection, Freeze, Moment, Reply, Scenario, Step, Turn, conversation
from appliance.simulator.service import Service
from appliance.simulator.virtual_card import VirtualCard
from appliance.turn.states import State
from tests.support.programs import is_killed
from tests.support.rig import ask_holding, box, in_state, in_time, words

STOP_S = 2.0

LONG_REPLY = conversation(Turn(replies=(Reply(tone_ms=20_000),)))
NO_REPLY = conversation(Turn(replies=()))
CALLS_A_TOOL = conversation(Turn(replies=(Reply(calls=(Call(name="sleepy"),)),)))
NEVER_ACCEPTS = Scenario(connections=(Connection(accept_after_ms=60_000),))
FROZEN = Scenario(connections=(Connection(steps=(Step(on=Moment.AUDIO, audio_ms=200, do=Freeze()),)),))


@contextlib.asynccontextmanager
async def stopped_in_time(
    scenario: Scenario | None, card: VirtualCard, folder: Path, **settings: object
) -> AsyncIterator[Box]:
    """A box; what the test does brings it into the state in which it is stopped."""
    began_s = float("inf")
    async with Service(scenario=scenario) as service:
        async with box(service, card, folder, talk__mode="hold", **settings) as daemon:
            yield daemon
            began_s = time.monotonic()
        took_s = time.monotonic() - began_s
    assert took_s < STOP_S
    assert daemon.microphone.process_id is None and daemon.speaker.process_id is None


async def test_ready(card: VirtualCard, tmp_path: Path) -> None:
    async with stopped_in_time(None, card, tmp_path) as daemon:
        await in_state(daemon, State.READY)


async def test_listening(card: VirtualCard, tmp_path: Path) -> None:
    async with stopped_in_time(None, card, tmp_path) as daemon:
        daemon.remote.edge(True, "test")
        await in_state(daemon, State.LISTENING)


@pytest.mark.parametrize("scenario", [NEVER_ACCEPTS, FROZEN], ids=["connecting", "line-frozen"])
async def test_sending(card: VirtualCard, tmp_path: Path, scenario: Scenario) -> None:
    async with stopped_in_time(scenario, card, tmp_path) as daemon:
        await ask_holding(daemon, card, words())
        await in_state(daemon, State.SENDING, State.WAITING)


async def test_waiting(card: VirtualCard, tmp_path: Path) -> None:
    async with stopped_in_time(NO_REPLY, card, tmp_path) as daemon:
        await ask_holding(daemon, card, words())
        await in_state(daemon, State.WAITING)


async def test_speaking(card: VirtualCard, tmp_path: Path) -> None:
    async with stopped_in_time(LONG_REPLY, card, tmp_path) as daemon:
        await ask_holding(daemon, card, words())
        await in_state(daemon, State.SPEAKING)


async def test_a_tool_runs(card: VirtualCard, tmp_path: Path) -> None:
    sleepy: dict[str, object] = {
        "tools__sleepy__command": ["/bin/sleep", "30"],
        "tools__sleepy__description": "takes its time",
        "tools__sleepy__timeout_s": 15,
    }
    async with stopped_in_time(CALLS_A_TOOL, card, tmp_path, **sleepy) as daemon:
        await ask_holding(daemon, card, words())
        await in_time(lambda: bool(_sleepers()), 20)
    assert all(map(is_killed, _sleepers()))
    await in_time(lambda: not _sleepers())


def _sleepers() -> list[int]:
    """The processes that run the tool."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes() == b"/bin/sleep\x0030\x00":
                found.append(int(path.parent.name))
    return found


@pytest.mark.parametrize(("http", "state"), [(503, LinkState.RETRYING), (402, LinkState.LATCHED)])
async def test_without_a_connection(card: VirtualCard, tmp_path: Path, http: int, state: LinkState) -> None:
    scenario = Scenario(connections=(Connection(http=http),))
    async with stopped_in_time(scenario, card, tmp_path, link__connect="always", link__backoff_first_s=5.0) as daemon:
        daemon.remote.retry()
        await daemon.until(lambda: daemon.link.state is state, 10)


async def test_muted(card: VirtualCard, tmp_path: Path) -> None:
    async with stopped_in_time(None, card, tmp_path) as daemon:
        daemon.remote.mute(True)


async def test_without_a_microphone(card: VirtualCard, tmp_path: Path) -> None:
    async with stopped_in_time(None, card, tmp_path) as daemon:
        try:
            card.unplug_microphone()
            await daemon.until(lambda: daemon.microphone.device is None, 10)
        finally:
            card.plug_microphone()
