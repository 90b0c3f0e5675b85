"""Every named reading of the service's page, and every two that can occur together, against a whole box.

READINGS=all (``make readings``) has all pairs, in both modes of the service, held and tapped. Otherwise it is every
reading by itself, and of the pairs some, which ones depends on the seed that is printed.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from appliance.simulator import catalog, readings
from appliance.simulator.catalog import NamedReading
from appliance.simulator.readings import Reading
from appliance.simulator.scenario import Connection, Scenario, Turn
from appliance.turn.states import Outcome

from .box import MODELS, MODES, ReadingBox, answer, reading_box, slow_answer
from .conftest import COUNT
from .pair_loop import on_paper

ALL = os.environ.get("READINGS") == "all"
SEED = int(os.environ.get("READINGS_SEED", "11"))
PAIRS_OF_EACH = 1
"""In a run that is no run of all."""

REASONS = {"failed": "model_overloaded", "incomplete": "content_filter"}
ANSWERED, NO_ANSWER = {Outcome.ANSWERED.value}, {Outcome.NO_ANSWER.value}


def entry(name: str) -> NamedReading:
    found = catalog.find(name.replace("-N", "-1"))
    assert found is not None
    return found


ENTRIES = [entry(name) for name in catalog.names()]
PAIRS = [(one, other) for one, other in itertools.combinations(ENTRIES, 2) if not readings.contradiction(one, other)]


@dataclass
class Expected:
    """What one question may come to."""

    outcomes: set[str]
    reason: str = ""
    heard: int = field(default=1)
    """Answers that are heard, at least."""


def expected(reading: Reading, model: str, question: int) -> Expected:
    """``question``: from 0. What is not answered ends with sorry, and with the service's reason where it gives one."""
    asks = reading.calls > 0
    in_session = 0 if reading.line != "kept" else question
    if reading.answers is not None and in_session >= reading.answers:
        return Expected(NO_ANSWER, heard=0)
    if reading.status != "completed":
        outcomes = {Outcome.FAILED.value}
        if asks and reading.tool == "inside" and reading.status == "incomplete":
            # Some servers call a response incomplete because it called a tool: the box asks for more, and Premium,
            # which takes no such nudge, says nothing.
            outcomes |= ANSWERED if model == "simple" else NO_ANSWER
        return Expected(outcomes, REASONS[reading.status], heard=0)
    if reading.sound != "whole":
        # A tool may be the whole answer, and so may what came before; a nudge may bring about another.
        more = (ANSWERED | NO_ANSWER) if asks else ANSWERED if reading.prelude else set()
        if reading.sound == "none" and reading.created == "never":
            # All that comes is the response.done of a response that nobody has heard of.
            more |= NO_ANSWER
        return Expected({Outcome.EMPTY_ANSWER.value} | more, heard=0)
    return Expected(ANSWERED)


def check(box: ReadingBox, reading: Reading, model: str, interrupted: int | None) -> None:
    turns, wrong, heard = box.room.turns, box.complaints(), 0
    for number, turn in enumerate(turns):
        if number == interrupted:
            if turn["outcome"] != Outcome.INTERRUPTED.value:
                wrong.append(f"question {number}: {turn['outcome']}, not interrupted")
            continue
        due = expected(reading, model, number)
        heard += due.heard
        if turn["outcome"] not in due.outcomes:
            wrong.append(f"question {number}: {turn['outcome']}, not {' or '.join(sorted(due.outcomes))}")
        if turn["outcome"] not in ANSWERED and due.reason not in turn["reason"]:
            wrong.append(f"question {number}: the reason is {turn['reason']!r}, not {due.reason!r}")
    if len(box.expected()) < heard:
        wrong.append(f"{len(box.expected())} answers were sent whole, not {heard}")
    assert not wrong, f"{', '.join(reading.names)}: {'; '.join(wrong)}\n{box.room.turns}\n{box.service.summary()}"


def converse(monkeypatch: pytest.MonkeyPatch, names: list[str], model: str, mode: str) -> None:
    """Two questions; where it is about a cancel, a third whose press interrupts the second answer."""
    reading = readings.named(names)
    # Where the line goes with the answer all of that is sent at once, and nothing is left to cancel.
    interrupts = (
        reading.cancel != "page" and reading.line == "kept" and expected(reading, model, 1) == Expected(ANSWERED)
    )

    def turn(connection: int, question: int) -> Turn:
        number = 10 * connection + question
        return Turn(replies=(slow_answer(number) if interrupts and question == 1 else answer(number),))

    connections = (Connection(turns=tuple(turn(one, number) for number in range(3))) for one in range(8))

    async def story() -> None:
        async with reading_box(monkeypatch, reading, model, mode, Scenario(connections=tuple(connections))) as box:
            await box.ask()
            await (box.ask_twice() if interrupts else box.ask())
            check(box, reading, model, 1 if interrupts else None)

    on_paper(story())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("one", ENTRIES, ids=lambda one: one.name)
def test_each_reading_is_answered(
    one: NamedReading,
    model: str,
    mode: str,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    converse(monkeypatch, [one.name], model, mode)
    record_property(COUNT, 1)


def _some_pairs(one: NamedReading, model: str, mode: str) -> list[tuple[NamedReading, NamedReading]]:
    pairs = [pair for pair in PAIRS if pair[0] is one]
    if ALL:
        return pairs
    chance = random.Random(f"{SEED} {one.name} {model} {mode}")
    return chance.sample(pairs, min(PAIRS_OF_EACH, len(pairs)))


@pytest.mark.timeout(600 if ALL else 60)
@pytest.mark.parametrize(
    ("model", "mode"), list(itertools.product(MODELS, MODES)) if ALL else [("simple", "hold"), ("premium", "tap")]
)
@pytest.mark.parametrize("one", ENTRIES, ids=lambda one: one.name)
def test_two_readings_together_are_answered(
    one: NamedReading,
    model: str,
    mode: str,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    pairs, wrong = _some_pairs(one, model, mode), []
    for first, second in pairs:
        try:
            converse(monkeypatch, [first.name, second.name], model, mode)
        except AssertionError as error:
            wrong.append(str(error))
    record_property(COUNT, len(pairs))
    assert not wrong, f"{len(wrong)} of {len(pairs)} (seed {SEED}):\n" + "\n".join(wrong)
