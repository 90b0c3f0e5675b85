"""An hour's audio."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from appliance.turn.allowance import HOUR_S, Allowance


def test_without_a_limit_there_is_no_rest() -> None:
    allowance = Allowance(0)
    allowance.spend(1e6, 0)
    assert allowance.rest_s(0) == 0


def test_what_was_spent_an_hour_ago_is_forgotten() -> None:
    allowance = Allowance(100)
    allowance.spend(60, 0)
    assert allowance.rest_s(10) == 0
    allowance.spend(60, 600)
    assert allowance.rest_s(700) == HOUR_S - 700
    assert allowance.rest_s(HOUR_S - 1) == 1
    assert allowance.rest_s(HOUR_S) == 0


def test_a_stuck_button_for_weeks_costs_the_limit_and_no_memory() -> None:
    allowance, spent, now_s = Allowance(1800), 0.0, 0.0
    while now_s < 7 * 24 * HOUR_S:
        if (rest_s := allowance.rest_s(now_s)) > 0:
            now_s += rest_s
        else:
            allowance.spend(40, now_s)
            spent += 40
            now_s += 45
    assert spent / (7 * 24) <= 1800 + 40
    assert len(allowance._spent) <= 62


@example([(1e-74, 60.0), (100.0, 0.0), (100.0, 0.0), (100.0, 0.0)])
@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 500)), max_size=60))
def test_a_rest_is_as_long_as_it_says(spending: list[tuple[float, float]]) -> None:
    allowance, now_s = Allowance(300), 0.0
    for seconds, later_s in spending:
        allowance.spend(seconds, now_s)
        now_s += later_s
    rest_s = allowance.rest_s(now_s)
    assert 0 <= rest_s <= HOUR_S
    assert allowance.rest_s(now_s + rest_s + 0.001) == 0
