"""A service that reads its page in another way in each turn, and a person who now and then interrupts it.

READINGS_TURNS=10000 (``make readings``) has so many turns, in walks of 100; READINGS_SEED begins with another seed. A
failure names its own.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from appliance.simulator import readings
from appliance.simulator.readings import Reading
from appliance.simulator.scenario import Connection, Scenario, Turn
from appliance.turn.states import Outcome, State

from .box import MODELS, MODES, ReadingBox, answer, reading_box, slow_answer
from .conftest import COUNT
from .pair_loop import on_paper
from .test_readings import ENTRIES, SEED, expected

TURNS = int(os.environ.get("READINGS_TURNS", "120"))
WALK = 40 if TURNS <= 200 else 100
"""Turns of one box."""

CONNECTIONS = 60
"""Planned for one walk; the last one repeats."""

OF_A_SESSION = {"dialect", "settings", "append_min_bytes", "answers"}
"""Switches of readings that hold for all of a session: settings are asked for before the first turn."""

AT_ONCE = 3
"""Readings of one turn, at most."""


@dataclass
class Plan:
    """One turn."""

    reading: Reading
    silent: bool
    """The service says nothing of an answer."""


class Walk:
    """What the service does is drawn in advance, from ``seed`` alone."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self.model = self._chance.choice(list(MODELS))
        self.mode = self._chance.choice(MODES)
        lasting = [one for one in ENTRIES if OF_A_SESSION & one.switches.keys() and "answers" not in one.switches]
        self._lasting = self._chance.choice([None, *lasting])
        self.session = readings.named([self._lasting.name] if self._lasting else [])
        self.plans = [[self._plan() for _ in range(WALK)] for _ in range(CONNECTIONS)]
        self.scenario = Scenario(connections=tuple(self._connection(number) for number in range(CONNECTIONS)))

    def _plan(self) -> Plan:
        found = [self._lasting] if self._lasting else []
        for entry in self._chance.sample(ENTRIES, self._chance.randint(0, AT_ONCE)):
            lasts = OF_A_SESSION & entry.switches.keys()
            if not lasts and not any(readings.contradiction(entry, other) for other in found):
                found.append(entry)
        return Plan(readings.named(entry.name for entry in found), silent=self._chance.random() < 0.03)

    def _connection(self, number: int) -> Connection:
        turns = []
        for at, plan in enumerate(self.plans[number]):
            reply = slow_answer(at % 20) if self._chance.random() < 0.2 else answer(WALK * number + at)
            turns.append(Turn(replies=() if plan.silent else (reply,), reading=plan.reading))
        return Connection(turns=tuple(turns))

    def interrupts(self) -> bool:
        return self._chance.random() < 0.15

    def hurries(self) -> bool:
        return self._chance.random() < 0.3


def last_plan(box: ReadingBox, walk: Walk) -> Plan:
    """Of the turn that the service took last."""
    record = next(record for record in reversed(box.service.accepted) if record.turns)
    plans = walk.plans[min(record.number, CONNECTIONS - 1)]
    return plans[min(len(record.turns), WALK) - 1]


def check(box: ReadingBox, walk: Walk) -> None:
    plan = last_plan(box, walk)
    turn, wrong = box.room.turns[-1], box.complaints()
    due = expected(plan.reading, walk.model, 0)
    outcomes = {Outcome.NO_ANSWER.value} if plan.silent else due.outcomes
    if turn["outcome"] not in outcomes:
        wrong.append(f"{turn['outcome']}, not {' or '.join(sorted(outcomes))}")
    elif not plan.silent and due.heard and not box.expected():
        wrong.append("no answer was sent whole")
    names = ", ".join(plan.reading.names) or "the page"
    assert not wrong, f"{names}: {'; '.join(wrong)}\n{box.room.turns}"


async def wander(box: ReadingBox, walk: Walk) -> int:
    """Returns how many questions were asked."""
    asked = 0
    while asked < WALK:
        box.forget()
        if walk.interrupts():
            await box.ask_twice(strict=False)
            asked += 2
        else:
            await box.ask(State.ENDING if walk.hurries() else State.READY)
            asked += 1
        check(box, walk)
    return asked


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(SEED, SEED + -(-TURNS // WALK)))
def test_a_service_that_reads_its_page_in_another_way_in_each_turn(
    seed: int, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    walk = Walk(seed)

    async def story() -> None:
        async with reading_box(monkeypatch, walk.session, walk.model, walk.mode, walk.scenario) as box:
            try:
                record_property(COUNT, await wander(box, walk))
            except AssertionError as error:
                lasting = ", ".join(walk.session.names)
                raise AssertionError(f"READINGS_SEED={seed}, {walk.model}, {walk.mode}, {lasting}: {error}") from None

    on_paper(story())
