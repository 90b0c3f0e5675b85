"""When the link may try again: hours of it, on paper."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.link.failures import Class, Failure, What
from appliance.link.retry import (
    GHOST_S,
    LASTING_FAULT_S,
    NETWORK_FAULT_S,
    PROVEN_S,
    SETTINGS_PROBE_S,
    WAITING_CAP_S,
    Decision,
    Policy,
    RetryTimes,
)

TIMES = RetryTimes(backoff_first_s=0.5, backoff_cap_s=30.0, credit_probe_s=900.0, limit_probe_s=60.0, renewable=False)
BUSY = Failure(What.CLOSED, 1013)
KEY, CREDITS, FULL = (Failure(What.CLOSED, code) for code in (4001, 4003, 4008))
LOST = Failure(What.NO_PONG)


class Paper:
    """A policy and a clock."""

    def __init__(self, times: RetryTimes = TIMES) -> None:
        self.policy = Policy(times)
        self.now_s = 1000.0

    def attempt(self, failure: Failure, *, waiting: bool = False, jitter: float = 1.0) -> Decision:
        self.policy.attempted(self.now_s)
        return self.policy.failed(failure, self.now_s, waiting=waiting, jitter=jitter)

    def session(self, seconds: float, failure: Failure) -> Decision:
        self.policy.attempted(self.now_s)
        self.policy.opened(self.now_s)
        self.now_s += seconds
        return self.policy.failed(failure, self.now_s, waiting=False, jitter=1.0)

    def delay(self, decision: Decision) -> float:
        assert decision.automatic_s is not None
        return decision.automatic_s - self.now_s


def test_windows_double_to_the_cap() -> None:
    paper = Paper()
    assert [paper.delay(paper.attempt(BUSY)) for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_while_somebody_waits_the_cap_is_low() -> None:
    paper = Paper()
    assert max(paper.delay(paper.attempt(BUSY, waiting=True)) for _ in range(9)) == WAITING_CAP_S


def test_accepting_is_not_enough_to_forgive() -> None:
    paper = Paper()
    delays = [paper.delay(paper.session(1.0, BUSY)) for _ in range(4)]
    assert delays == [0.5, 1, 2, 4], "a server that accepts and dies is not hammered"
    assert paper.delay(paper.session(PROVEN_S, BUSY)) == 0.5


def test_a_completed_turn_forgives() -> None:
    paper = Paper()
    for _ in range(5):
        paper.attempt(BUSY)
    paper.policy.proven()
    assert paper.delay(paper.attempt(BUSY)) == 0.5


def test_the_services_wish_binds_a_press_too() -> None:
    paper = Paper()
    decision = paper.attempt(Failure(What.HTTP, 429, retry_after_s=20.0), jitter=0.0)
    assert paper.delay(decision) == 20 and decision.asked_s - paper.now_s == 20


@pytest.mark.parametrize(("failure", "probe_s"), [(KEY, None), (CREDITS, 900.0), (FULL, 60.0)])
def test_latches_wait_for_a_press_or_a_slow_probe(failure: Failure, probe_s: float | None) -> None:
    paper = Paper()
    decision = paper.attempt(failure)
    assert decision.latched and decision.asked_s == paper.now_s + 5
    assert decision.automatic_s == (None if probe_s is None else paper.now_s + probe_s)


@pytest.mark.parametrize(("failure", "most"), [(KEY, 0), (CREDITS, 4), (FULL, 60)])
def test_an_hour_on_a_latch(failure: Failure, most: int) -> None:
    paper, attempts = Paper(), 0
    decision = paper.attempt(failure)
    end_s = paper.now_s + 3600
    while decision.automatic_s is not None and decision.automatic_s <= end_s:
        paper.now_s = decision.automatic_s
        decision = paper.attempt(failure)
        attempts += 1
    assert attempts == most


def test_probes_can_be_switched_off() -> None:
    paper = Paper(replace(TIMES, credit_probe_s=0.0))
    assert paper.attempt(CREDITS).automatic_s is None


def test_a_full_plan_right_after_a_lost_connection_is_our_own_ghost() -> None:
    paper = Paper()
    paper.session(60.0, LOST)
    paper.now_s += GHOST_S - 1
    decision = paper.attempt(FULL)
    assert not decision.latched and decision.verdict.class_ is Class.TRANSIENT
    paper.now_s += 2
    assert paper.attempt(FULL).latched


def test_a_full_plan_after_a_clean_end_is_somebody_else() -> None:
    paper = Paper()
    paper.policy.attempted(paper.now_s)
    paper.policy.opened(paper.now_s)
    paper.policy.closed(paper.now_s + 5)
    paper.now_s += 6
    assert paper.attempt(FULL).latched


def test_with_a_token_source_one_fresh_token_at_once_then_a_latch() -> None:
    paper = Paper(replace(TIMES, renewable=True))
    first = paper.attempt(KEY)
    assert not first.latched and first.automatic_s == paper.now_s
    second = paper.attempt(KEY)
    assert second.latched and paper.delay(second) == SETTINGS_PROBE_S


def test_refused_settings_are_probed_slowly() -> None:
    paper = Paper()
    decision = paper.attempt(Failure(What.SETTINGS_REFUSED))
    assert decision.latched and paper.delay(decision) == SETTINGS_PROBE_S


@pytest.mark.parametrize(
    ("failure", "after_s", "fault"),
    [
        (KEY, 0.0, 1),
        (CREDITS, 0.0, 3),
        (FULL, LASTING_FAULT_S, 3),
        (Failure(What.CERTIFICATE_TIME), LASTING_FAULT_S, 5),
        (Failure(What.CERTIFICATE_ISSUER), 0.0, 6),
        (BUSY, NETWORK_FAULT_S, 6),
        (Failure(What.SETTINGS_REFUSED), 0.0, 7),
    ],
)
def test_what_is_shown_and_when(failure: Failure, after_s: float, fault: int) -> None:
    paper = Paper()
    paper.attempt(failure)
    if after_s:
        assert paper.policy.fault(paper.now_s + after_s - 1) is None
    assert paper.policy.fault(paper.now_s + after_s) == fault
    paper.policy.opened(paper.now_s + after_s)
    assert paper.policy.fault(paper.now_s + after_s + 1) is None


@given(
    failures=st.lists(
        st.tuples(st.sampled_from(What), st.sampled_from([0, 4001, 4003, 4008, 1013, 401, 503])), max_size=30
    ),
    jitter=st.floats(0, 1, exclude_max=True),
)
def test_a_box_is_never_left_without_a_way_back(failures: list[tuple[What, int]], jitter: float) -> None:
    paper = Paper()
    for what, code in failures:
        decision = paper.attempt(Failure(what, code), jitter=jitter)
        assert decision.latched or decision.automatic_s is not None
        assert decision.asked_s <= paper.now_s + 5
        paper.now_s += 1


BOXES, ATTEMPTS, TENTHS = 1000, 8, 10


def stampede(boxes: int = BOXES, seed: int = 1) -> list[float]:
    """Boxes that are cut off together and refused again and again: for each attempt, the fullest tenth of its window,
    as a multiple of the mean (decision 14)."""
    chance = random.Random(seed)
    policies = [Policy(TIMES) for _ in range(boxes)]
    worst = []
    for attempt in range(ATTEMPTS):
        window_s = min(TIMES.backoff_cap_s, TIMES.backoff_first_s * 2**attempt)
        tenths = [0] * TENTHS
        for policy in policies:
            policy.attempted(0.0)
            decision = policy.failed(BUSY, 0.0, waiting=False, jitter=chance.random())
            assert decision.automatic_s is not None
            tenths[int(decision.automatic_s / window_s * TENTHS)] += 1
        worst.append(max(tenths) / (boxes / TENTHS))
    return worst


def test_a_thousand_boxes_cut_off_at_once_do_not_come_back_at_once() -> None:
    assert max(stampede()) <= 2.0
