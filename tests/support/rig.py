"""A whole daemon in the test's own event loop: real sound hosts, a real WebSocket, gpiozero's mock pins."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from appliance.audio.format import frames_from_ms
from appliance.box.box import Box
from appliance.config import loader
from appliance.simulator import voices
from appliance.simulator.service import Service
from appliance.simulator.virtual_card import VirtualCard
from appliance.turn.states import State

KEY = "swaram_test_0123456789abcdef"

PRESS_TO_SPEECH_S = 0.15
"""People speak 100 ms after a press at the earliest (decision 20); the virtual card lets a sound begin up to 50 ms
before the player that makes it was started."""

SETTLED_S = 0.5
"""Of an open microphone: the pre-roll is full, as in a box that has been up for a while. It is kept in the sound host,
which says nothing of it before somebody presses."""

Samples = npt.NDArray[np.int16]

_Part = TypeVar("_Part")


def question(name: str = "ask-time") -> Samples:
    """A recorded question, int16 mono 24 kHz."""
    return np.frombuffer(voices.pcm(name), dtype="<i2")


def words(from_ms: float = 200, to_ms: float = 540) -> Samples:
    """A few syllables of a recorded question, cut where it is quiet (200, 540, 1240 ms): enough to be taken for speech,
    and a test is over in seconds."""
    return question()[frames_from_ms(from_ms) : frames_from_ms(to_ms)]


@contextlib.asynccontextmanager
async def together(*parts: AbstractAsyncContextManager[_Part]) -> AsyncIterator[list[_Part]]:
    """Enter several at the same time: a box takes a second to start, ten boxes hardly longer."""
    async with AsyncExitStack() as stack:
        async with asyncio.TaskGroup() as group:
            entering = [group.create_task(stack.enter_async_context(part)) for part in parts]
        yield [task.result() for task in entering]


async def in_time(condition: Callable[[], bool], timeout_s: float = 10) -> None:
    """Until something is so that nothing announces, such as what a recording holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  (nobody would set an event)
            await asyncio.sleep(0.005)


def box(service: Service, card: VirtualCard, folder: Path, **settings: Any) -> AbstractAsyncContextManager[Box]:
    """A box that is ready for a press. Settings as ``talk__mode="hold"``. It is stopped at the end, within a bound."""
    return _running(service, card, folder, settings, _has_listened())


def starting_box(
    service: Service, card: VirtualCard, folder: Path, **settings: Any
) -> AbstractAsyncContextManager[Box]:
    """The same, but it has only just begun to start."""
    return _running(service, card, folder, settings, lambda daemon: True)


@contextlib.asynccontextmanager
async def _running(
    service: Service, card: VirtualCard, folder: Path, settings: dict[str, Any], settled: Callable[[Box], bool]
) -> AsyncIterator[Box]:
    overrides = {
        "service.url": service.url,
        "microphone.device": card.microphone,
        "speaker.device": card.speaker,
        "control.socket": str(folder / f"control-{id(service)}.sock"),
        "panel.button.gpio": 0,
        "panel.leds.kind": "none",
        "panel.leds.gpio": [],
        # Several boxes share a room here, and one's tick would be heard in another's answer.
        "panel.waiting_tick": False,
        **{name.replace("__", "."): value for name, value in settings.items()},
    }

    async def credential() -> str:
        return KEY

    daemon = Box(loader.load(None, overrides), credential=credential)
    task = asyncio.create_task(daemon.run())
    try:
        await in_time(lambda: task.done() or settled(daemon), 20)
        yield daemon
        daemon.stop()
        async with asyncio.timeout(10):
            await task
    finally:
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def _has_listened() -> Callable[[Box], bool]:
    """Whether a box is ready for a press, and has been for so long that its pre-roll is full."""
    since_s: float | None = None

    def condition(daemon: Box) -> bool:
        nonlocal since_s
        if not daemon.ready or daemon.microphone.device is None:
            since_s = None
            return False
        since_s = time.monotonic() if since_s is None else since_s
        return time.monotonic() - since_s >= SETTLED_S

    return condition


async def has_listened(daemon: Box) -> None:
    """Until it is ready for a press and its pre-roll is full, as after ``box``."""
    condition = _has_listened()
    await in_time(lambda: condition(daemon), 20)


async def in_state(daemon: Box, *states: State, timeout_s: float = 20) -> None:
    """Until the turn machine is in one of the states."""
    await daemon.until(lambda: daemon.machine.state in states, timeout_s)


async def turn_over(daemon: Box, count: int = 1, timeout_s: float = 30) -> str:
    """Until so many turns have ended; returns the outcome of the last."""
    await daemon.until(lambda: daemon.turns.ended >= count, timeout_s)
    assert daemon.turns.last is not None
    outcome: str = daemon.turns.last["outcome"]
    return outcome


async def say(card: VirtualCard, samples: Samples) -> None:
    """Speak into the microphone, and return when all of it was heard."""
    playing = await asyncio.to_thread(card.play_into_microphone, samples)
    await asyncio.to_thread(playing.wait)


async def ask_holding(daemon: Box, card: VirtualCard, samples: Samples, *others: Box) -> None:
    """Press, say it, let go when it has been heard; at all of the boxes."""
    for each in (daemon, *others):
        each.remote.edge(True, "test")
    await say(card, samples)
    # What paplay has handed over is still on its way through the virtual card.
    await asyncio.sleep(0.15)
    for each in (daemon, *others):
        each.remote.edge(False, "test")
