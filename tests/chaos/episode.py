"""One box from its start to its end, and what must be so of each."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import numpy as np
import pytest

from appliance.audio.format import frames_from_s
from appliance.realtime import events as ev
from appliance.simulator.records import ConnectionRecord
from appliance.simulator.service import Service
from appliance.turn.states import Outcome, State
from tests.support.simulated_time import on_paper

from . import service as chance
from .people import Person, Troubles
from .room import APART, LOUDEST, OWN_VOICE, STEP_S, STEPS, Room

SETTLE_S: Final = 200.0
"""Longer than any chain of deadlines: whoever is not ready then is stuck."""

CROSSING_FRAMES: Final = 10
"""A tone is zero for a sample now and then."""

GRACE_S: Final = 0.0
"""Loopback within one process: what was sent is there, or on its way for another step of the room."""


@dataclass(frozen=True, slots=True)
class Report:
    """Of one episode. ``box_s``: how long the box has lived."""

    name: str
    box_s: float
    turns: int
    answered: int
    troubles: list[str]
    trace: list[str]


def run(name: str, seconds: float) -> Report:
    """``name`` is the seed of everything that is random in it."""
    reports: list[Report] = []

    async def main() -> None:
        random = Random(name)
        with pytest.MonkeyPatch.context() as monkeypatch, _faults() as faults:
            report = await _lives(name, seconds, random, monkeypatch)
            left = _left_behind()
            reports.append(
                Report(name, report.box_s, report.turns, report.answered, report.troubles + faults + left, report.trace)
            )

    on_paper(main(), GRACE_S)
    return reports[0]


async def _lives(name: str, seconds: float, random: Random, monkeypatch: pytest.MonkeyPatch) -> Report:
    async with Service(chance.settings(random), chance.scenario(random)) as service:
        room = Room(service, random, monkeypatch)
        link = asyncio.create_task(room.daemon.link.run())
        person, troubles = Person(room, random), Troubles(room, random)
        lives = [asyncio.create_task(person.lives()), asyncio.create_task(troubles.happen())]
        await room.runs(seconds)
        await _end(*lives)
        room.speaking = False
        person.down(False)
        troubles.end()
        room.note("everything is in order again")
        if not await room.runs(SETTLE_S, lambda: room.daemon.machine.state is State.READY):
            room.trouble(f"stuck in {room.daemon.machine.state.value}")
        await room.runs(15)
        _judge_rest(room)
        _judge_words(room, service.connections)
        box_s = room.now_s
        room.daemon.turns.close()
        room.daemon.face.close()
        room.daemon.buttons.close()
        await _end(link)
    answered = sum(turn["outcome"] == Outcome.ANSWERED.value for turn in room.turns)
    return Report(name, box_s, len(room.turns), answered, room.troubles, room.trace)


async def _end(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.contextmanager
def _faults() -> Iterator[list[str]]:
    """Exceptions that somebody caught and logged, or nobody did."""
    faults: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.exc_info:
                faults.append(f"{record.getMessage()}: {record.exc_info[1]!r}")

    handler = Handler()
    logging.getLogger("appliance").addHandler(handler)
    logging.getLogger("asyncio").addHandler(handler)
    try:
        yield faults
    finally:
        logging.getLogger("appliance").removeHandler(handler)
        logging.getLogger("asyncio").removeHandler(handler)


def _left_behind() -> list[str]:
    """Tasks and timers of a box that has ended, and of its service."""
    loop: Any = asyncio.get_running_loop()
    tasks = [f"a task is left: {task.get_coro()}" for task in asyncio.all_tasks() - {asyncio.current_task()}]
    return tasks + [f"a timer is left: {timer}" for timer in loop._scheduled if not timer.cancelled()]


def _judge_rest(room: Room) -> None:
    """A box that is ready holds nothing of the last turn."""
    daemon = room.daemon
    left = {
        "a deadline": daemon.machine.next_deadline_s is not None,
        "the turns' timer": daemon.turns._timer is not None,
        "the look at the playback": daemon.turns._playback_timer is not None
        and not daemon.turns._playback_timer.cancelled()
        and daemon.turns._playback_timer.when() > asyncio.get_running_loop().time(),
        "a tool": daemon.tools._task is not None and not daemon.tools._task.done(),
        "the tick": daemon.sounds._tick_timer is not None,
        "zeros": daemon.uplink.due_s is not None,
        "words": daemon.utterance.duration_s > 0,
        "an answer": daemon.player.held_frames > 0,
    }
    for what, is_left in left.items():
        if is_left and daemon.machine.state is State.READY:
            room.trouble(f"{what} is left in {daemon.machine.state.value}")
    numbers = [turn["turn"] for turn in room.turns]
    if numbers != list(range(1, daemon.machine.number + 1)):
        room.trouble(f"turns without a line, or with two: {numbers} of {daemon.machine.number}")


def _judge_words(room: Room, connections: list[ConnectionRecord]) -> None:
    sent = [_steps(room, connection) for connection in connections]
    for turn in room.turns:
        if turn["outcome"] != Outcome.ANSWERED.value:
            continue
        due = {step for step, _ in room.due.get(turn["turn"], ())}
        if due and not any(due <= steps for steps in sent):
            lost = min((due - steps for steps in sent), key=len, default=due)
            room.trouble(f"turn {turn['turn']} was answered without {len(lost)} of {len(due)} steps of it")


def _steps(room: Room, connection: ConnectionRecord) -> set[int]:
    """The steps of speech that left in one session, none of them twice."""
    appends = [event.audio for _, event in connection.received if isinstance(event, ev.InputAudioBufferAppend)]
    sizes = np.abs(np.frombuffer(b"".join(appends), "<i2").astype(np.int32))
    own = np.flatnonzero(sizes == OWN_VOICE)
    stretches = np.split(own, np.flatnonzero(np.diff(own) > CROSSING_FRAMES) + 1)
    longest = max((int(stretch[-1] - stretch[0]) + 1 for stretch in stretches if stretch.size), default=0)
    if longest > frames_from_s(STEP_S):
        # A block of the paper speaker begins up to a step beside what the box was told of it.
        room.trouble(f"connection {connection.number} was sent {longest} samples of the box's own voice")
    speech = sizes[(sizes >= LOUDEST) & (sizes < LOUDEST + APART * STEPS)]
    steps, counts = np.unique((speech - LOUDEST) // APART, return_counts=True)
    twice = steps[counts > frames_from_s(STEP_S)]
    if twice.size:
        room.trouble(f"connection {connection.number} was sent {twice.size} steps twice, the first {twice[0]}")
    return {int(step) for step in steps}
