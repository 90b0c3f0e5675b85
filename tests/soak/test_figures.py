from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.turn.states import Outcome

from .figures import LEAST_SAMPLES, MOST_GROWTH_MB, Asked, Run, Sample
from .troubles import NOT_TAKEN, TROUBLES

TROUBLE = {trouble.name: trouble for trouble in TROUBLES}
CALM = Sample(resident_mb=80.0, descriptors=30, threads=9, tasks=14, processes=3)


def asked(outcome: Outcome, *troubles: str, missing_ms: float | None = None) -> Asked:
    return Asked("hold", outcome.value, tuple(TROUBLE[name] for name in troubles), missing_ms)


@pytest.mark.parametrize(
    ("each", "verdict"),
    [
        (asked(Outcome.ANSWERED), "answered"),
        (asked(Outcome.ANSWERED, "slow network"), "answered"),
        (asked(Outcome.STALE, "connection refused"), "excused"),
        (asked(Outcome.STALE), "unexplained"),
        (asked(Outcome.STALE, "processor busy"), "unexplained"),
        (asked(Outcome.NO_MICROPHONE, "connection refused"), "unexplained"),
        (asked(Outcome.NO_MICROPHONE, "microphone unplugged"), "excused"),
        (Asked("hold", NOT_TAKEN, ()), "unexplained"),
        (Asked("hold", NOT_TAKEN, (TROUBLE["microphone unplugged"],)), "excused"),
        (Asked("hold", "still waiting", (TROUBLE["slow network"],)), "unexplained"),
    ],
)
def test_only_a_trouble_that_can_cause_an_end_excuses_it(each: Asked, verdict: str) -> None:
    assert each.verdict == verdict
    assert bool(list(Run([each]).failures())) is (verdict == "unexplained")


def test_lost_words_are_a_failure_unless_something_deafened_the_box() -> None:
    assert list(Run([asked(Outcome.ANSWERED, missing_ms=200)]).failures())
    assert list(Run([asked(Outcome.ANSWERED, "busy (1013)", missing_ms=200)]).failures())
    assert not list(Run([asked(Outcome.ANSWERED, "capture host stopped", missing_ms=200)]).failures())
    assert not list(Run([asked(Outcome.ANSWERED, missing_ms=20)]).failures())


@pytest.mark.parametrize(
    ("last", "fault"),
    [
        (CALM, ""),
        (replace(CALM, resident_mb=80.0 + 0.9 * MOST_GROWTH_MB), ""),
        (replace(CALM, resident_mb=80.0 + 1.1 * MOST_GROWTH_MB), "resident memory grew by 1.10 MB"),
        (replace(CALM, descriptors=31), "descriptors: 30 became 31"),
        (replace(CALM, tasks=15), "tasks: 14 became 15"),
    ],
)
def test_what_grows_is_a_failure(last: Sample, fault: str) -> None:
    cold = replace(CALM, resident_mb=70.0, descriptors=20)
    samples = [cold] * LEAST_SAMPLES + [CALM] * 2 * LEAST_SAMPLES + [last] * 2 * LEAST_SAMPLES
    assert list(Run(samples=samples).failures()) == ([fault] if fault else [])


def test_a_short_run_says_that_it_compares_nothing() -> None:
    run = Run(samples=[CALM])
    assert any("too few" in line for line in run.lines()) and not list(run.failures())
