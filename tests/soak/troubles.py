"""What happens to a box in its years: each trouble is a coroutine that begins something, waits, and ends it.

A trouble is known by a name and by the ends of a turn that it excuses. What it does not excuse is a fault of the box.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from appliance.simulator.scenario import Close, Connection, Fail, Moment, Scenario, Silence, Step
from appliance.simulator.service import Service
from appliance.simulator.virtual_card import VirtualCard
from appliance.turn.states import Outcome
from tests.support.slow_network import Line, SlowNetwork

from .box import Box

NOT_TAKEN = "the press opened nothing"
"""What a turn that never began is called, beside the machine's own outcomes."""

SLOW = Line(rate_bps=200_000, delay_s=0.15, loss=0.02)
"""Issue 5."""

LINK = frozenset(
    {Outcome.REFUSED, Outcome.STALE, Outcome.LINK_LOST, Outcome.NO_ANSWER, Outcome.EMPTY_ANSWER, Outcome.STALLED}
)
MICROPHONE = frozenset({Outcome.NO_MICROPHONE, Outcome.NO_SPEECH, Outcome.STALE, Outcome.NO_ANSWER})
SPEAKER = frozenset({Outcome.STALLED})


@dataclass(frozen=True, slots=True)
class World:
    """All that can be made to fail."""

    box: Box
    card: VirtualCard
    network: SlowNetwork
    service: Service


@dataclass(frozen=True, slots=True)
class Trouble:
    """``strike(world, seconds)`` returns when it is over. ``excuses``: ends of a turn that it may cause.

    ``deafens``: some of what was said may be missing. ``untouchable``: a press may open nothing.
    """

    name: str
    strike: Callable[[World, float], Awaitable[None]]
    excuses: frozenset[Outcome] = frozenset()
    deafens: bool = False
    untouchable: bool = False

    def excuses_end(self, outcome: str) -> bool:
        """Whether a turn may end so while this lasts."""
        return outcome in {each.value for each in self.excuses} or (self.untouchable and outcome == NOT_TAKEN)


def _plan(connection: Connection) -> Callable[[World, float], Awaitable[None]]:
    async def strike(world: World, seconds: float) -> None:
        before, world.service.scenario = world.service.scenario, Scenario(connections=(connection,))
        world.network.cut()
        try:
            await asyncio.sleep(seconds)
        finally:
            world.service.scenario = before
            # A session with a plan of its own goes on with it; it is ended so that the trouble is over.
            world.network.cut()

    return strike


async def _cut(world: World, _: float) -> None:
    world.network.cut()


async def _refuse(world: World, seconds: float) -> None:
    world.network.refuse()
    world.network.cut()
    try:
        await asyncio.sleep(seconds)
    finally:
        await world.network.listen()


async def _still(world: World, seconds: float) -> None:
    world.network.moves.clear()
    try:
        await asyncio.sleep(seconds)
    finally:
        world.network.moves.set()


async def _slow(world: World, seconds: float) -> None:
    before, world.network.line = world.network.line, SLOW
    try:
        await asyncio.sleep(4 * seconds)
    finally:
        world.network.line = before


async def _microphone(world: World, seconds: float) -> None:
    await asyncio.to_thread(world.card.unplug_microphone)
    try:
        await asyncio.sleep(seconds)
    finally:
        await asyncio.to_thread(world.card.plug_microphone)


async def _speaker(world: World, seconds: float) -> None:
    await asyncio.to_thread(world.card.unplug_speaker)
    try:
        await asyncio.sleep(seconds)
    finally:
        await asyncio.to_thread(world.card.plug_speaker)


async def _server(world: World, seconds: float) -> None:
    await asyncio.to_thread(world.card.kill_server)
    try:
        await asyncio.sleep(seconds)
    finally:
        # Not in a thread: the server dies with the one that starts it.
        world.card.restart_server()


def _stopped_host(name: str) -> Callable[[World, float], Awaitable[None]]:
    async def strike(world: World, seconds: float) -> None:
        host = world.box.host(name)
        if host is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(host, signal.SIGSTOP)
        await asyncio.sleep(seconds)
        # Whoever was replaced meanwhile is gone; whoever was not goes on.
        if world.box.host(name) == host:
            with contextlib.suppress(ProcessLookupError):
                os.kill(host, signal.SIGCONT)

    return strike


async def _stopped_daemon(world: World, seconds: float) -> None:
    os.kill(world.box.process_id, signal.SIGSTOP)
    try:
        await asyncio.sleep(min(seconds, 3.0))
    finally:
        os.kill(world.box.process_id, signal.SIGCONT)


async def _hogs(_: World, seconds: float) -> None:
    hog = (sys.executable, "-c", "while True: pass")
    hogs = [await asyncio.create_subprocess_exec(*hog) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        await asyncio.sleep(2 * seconds)
    finally:
        for process in hogs:
            process.kill()
            await process.wait()


def _clock(step_s: float) -> Callable[[World, float], Awaitable[None]]:
    async def strike(world: World, seconds: float) -> None:
        world.box.step_clock(step_s)
        await asyncio.sleep(seconds)
        world.box.step_clock(0.0)

    return strike


TROUBLES = (
    Trouble("busy (1013)", _plan(Connection(steps=(Step(on=Moment.OPEN, do=Close(code=1013)),))), LINK),
    Trouble("connection reset", _cut, LINK),
    Trouble("no credits (4003)", _plan(Connection(steps=(Step(on=Moment.OPEN, do=Close(code=4003)),))), LINK),
    Trouble("connection refused", _refuse, LINK),
    Trouble("network still", _still, LINK),
    Trouble("service says nothing", _plan(Connection(steps=(Step(on=Moment.SETTINGS, do=Silence()),))), LINK),
    Trouble("error without a close", _plan(Connection(steps=(Step(on=Moment.SPEECH, do=Fail()),))), LINK),
    Trouble("slow network", _slow, LINK),
    Trouble("microphone unplugged", _microphone, MICROPHONE, deafens=True, untouchable=True),
    Trouble("speaker unplugged", _speaker, SPEAKER),
    Trouble("sound server killed", _server, MICROPHONE | SPEAKER, deafens=True, untouchable=True),
    Trouble("capture host stopped", _stopped_host("capture"), MICROPHONE, deafens=True, untouchable=True),
    Trouble("playback host stopped", _stopped_host("playback"), SPEAKER),
    Trouble("daemon stopped", _stopped_daemon, LINK | MICROPHONE, deafens=True),
    Trouble("processor busy", _hogs, frozenset(), deafens=True),
    Trouble("clock a year ahead", _clock(365 * 86_400.0)),
    Trouble("clock a year behind", _clock(-365 * 86_400.0)),
)
"""A stopped host, and a busy processor, may cost sound; only what a person must do is an excuse for losing a turn."""
