"""The light language, rendered to time series as an LED would show it."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.panel.light import AMBER, BLUE, FRAME_S, GLOW, GREEN, RED, WHITE, Conditions, Fault, Pattern, arbiter

Column = Literal["dimmed", "switched"]
COLUMNS: tuple[Column, ...] = ("dimmed", "switched")

STEP_S = 0.005
"""Every edge of the language lies on a multiple of 10 ms; series are taken between them."""

FAULTS = {fault: Pattern[f"FAULT_{fault.name}"] for fault in Fault}
ONCE = {Pattern.STOPPING}
"""What does not repeat."""


def level(pattern: Pattern, column: Column, elapsed_s: float) -> float:
    return pattern.brightness(elapsed_s) if column == "dimmed" else float(pattern.is_lit(elapsed_s))


def interval_s(pattern: Pattern, column: Column, elapsed_s: float) -> float | None:
    return pattern.frame_interval_s(elapsed_s) if column == "dimmed" else pattern.switch_interval_s(elapsed_s)


def series(pattern: Pattern, column: Column, seconds: float) -> list[float]:
    return [level(pattern, column, (index + 0.5) * STEP_S) for index in range(round(seconds / STEP_S))]


def runs_s(pattern: Pattern, column: Column, seconds: float) -> list[tuple[bool, float]]:
    """(lit, how long) from the start; the last one is cut off by the end."""
    lit = [sample >= 0.5 for sample in series(pattern, column, seconds)]
    return [(state, round(len(list(run)) * STEP_S, 3)) for state, run in itertools.groupby(lit)]


def period_s(pattern: Pattern, column: Column) -> float | None:
    """The shortest time after which the series repeats, in steps of 10 ms; None: it is steady."""
    samples = series(pattern, column, 20.0)
    if max(samples) - min(samples) < 1e-9:
        return None
    for shift in range(2, len(samples) // 2, 2):
        if all(abs(a - b) < 1e-6 for a, b in zip(samples, samples[shift:], strict=False)):
            return round(shift * STEP_S, 3)
    raise AssertionError(f"{pattern} does not repeat")


def cycle(pattern: Pattern, column: Column, samples: int = 120) -> list[float]:
    """One period, brightness and rate taken away: brightest is 1, and every cycle has as many samples."""
    length_s = 1.0 if pattern in ONCE else period_s(pattern, column) or 1.0
    levels = [level(pattern, column, (index + 0.5) * length_s / samples) for index in range(samples)]
    return [value / (max(levels) or 1.0) for value in levels]


def flashes(levels: list[float]) -> int:
    """How often the light comes on in one cycle that may begin anywhere."""
    return sum(before < 0.5 <= now for before, now in zip(levels[-1:] + levels[:-1], levels, strict=True))


# ------------------------------------------------------------ the table, row by row


def test_starting_is_one_slow_fade_in_that_begins_anew_if_it_lasts() -> None:
    samples = series(Pattern.STARTING, "dimmed", 2.99)
    assert samples == sorted(samples) and samples[0] < 0.01 and samples[-1] > 0.98
    assert period_s(Pattern.STARTING, "dimmed") == 3.0
    lengths_s = [length_s for lit, length_s in runs_s(Pattern.STARTING, "switched", 3.0) if lit]
    assert lengths_s == sorted(lengths_s) and len(set(lengths_s)) == 3


def test_ready_glows_and_listening_is_full() -> None:
    assert set(series(Pattern.READY, "dimmed", 5)) == {GLOW}
    for column in COLUMNS:
        assert set(series(Pattern.LISTENING, column, 5)) == {1.0}
        assert set(series(Pattern.READY_DARK, column, 5)) == {0.0}
    assert GLOW <= 1 / 15, "told apart by brightness alone, so by a lot of it"
    assert runs_s(Pattern.READY, "switched", 8.0) == [(True, 1.0), (False, 3.0)] * 2


@pytest.mark.parametrize("column", COLUMNS)
def test_invite_is_a_slow_double_blip(column: Column) -> None:
    blip, gap, again, pause = runs_s(Pattern.INVITE, column, 3.0)
    assert blip == again == (True, 0.12)
    assert gap[1] < 0.5 < 2.0 < pause[1]
    assert period_s(Pattern.INVITE, column) == 3.0


@pytest.mark.parametrize("column", COLUMNS)
def test_the_end_of_a_long_hold_is_listening_that_winks_twice(column: Column) -> None:
    dark_s = [length_s for lit, length_s in runs_s(Pattern.LISTENING_ENDING, column, 1.65) if not lit]
    assert dark_s == [0.15, 0.15]
    assert Pattern.LISTENING_ENDING.colour == Pattern.LISTENING.colour == GREEN


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("pattern", [Pattern.WAIT, Pattern.RETRYING])
def test_a_wait_is_an_even_blink_of_one_hertz(pattern: Pattern, column: Column) -> None:
    assert runs_s(pattern, column, 3.0) == [(True, 0.5), (False, 0.5)] * 3


def test_speaking_breathes_slowly_and_never_goes_out() -> None:
    samples = series(Pattern.SPEAKING, "dimmed", 3.0)
    assert period_s(Pattern.SPEAKING, "dimmed") == 3.0
    half = len(samples) // 2
    assert samples[:half] == sorted(samples[:half], reverse=True)
    assert max(samples) > 0.99 and 0.05 < min(samples) < 0.1
    assert samples == pytest.approx(samples[::-1])
    assert runs_s(Pattern.SPEAKING, "switched", 3.6) == [(True, 1.5), (False, 0.3)] * 2


@pytest.mark.parametrize("column", COLUMNS)
def test_mute_is_one_short_blip_every_four_seconds(column: Column) -> None:
    assert runs_s(Pattern.MUTE, column, 8.0) == [(True, 0.12), (False, 3.88)] * 2


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("fault", Fault)
def test_a_fault_is_its_number_in_flashes_and_a_pause(fault: Fault, column: Column) -> None:
    pattern, count = FAULTS[fault], fault.value
    flash, gap, pause = (True, 0.25), (False, 0.25), (False, 0.25 + 1.5)
    shown = [flash, gap] * (count - 1) + [flash, pause]
    assert runs_s(pattern, column, 2 * (count * 0.5 + 1.5)) == shown * 2
    assert pattern.colour == RED


def test_the_faults_have_the_numbers_of_the_label() -> None:
    names = ["KEY", "MICROPHONE", "ACCOUNT", "SPEAKER", "CLOCK", "NETWORK", "SETUP"]
    assert [(fault.name, fault.value) for fault in Fault] == list(zip(names, range(1, 8), strict=True))


def test_stopping_is_one_quick_fade_out() -> None:
    samples = series(Pattern.STOPPING, "dimmed", 5.0)
    assert samples == sorted(samples, reverse=True) and samples[0] > 0.95
    assert set(samples[round(0.4 / STEP_S) :]) == {0.0}
    assert [lit for lit, _ in runs_s(Pattern.STOPPING, "switched", 5.0)] == [True, False]
    for column in COLUMNS:
        assert interval_s(Pattern.STOPPING, column, 0.4) is None


def test_the_colours_of_the_table() -> None:
    assert Pattern.STARTING.colour == Pattern.STOPPING.colour == WHITE
    assert Pattern.READY.colour == Pattern.INVITE.colour == Pattern.LISTENING.colour == GREEN
    assert Pattern.WAIT.colour == Pattern.SPEAKING.colour == BLUE
    assert Pattern.RETRYING.colour == AMBER
    assert Pattern.MUTE.colour == RED


# ------------------------------------------------------------ the language as a whole


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("pattern", Pattern)
def test_nothing_is_faster_than_2_5_hertz(pattern: Pattern, column: Column) -> None:
    lit = [sample >= 0.5 for sample in series(pattern, column, 20.0)]
    rises = [index for index in range(1, len(lit)) if lit[index] and not lit[index - 1]]
    falls = [index for index in range(1, len(lit)) if lit[index - 1] and not lit[index]]
    for edges in (rises, falls):
        assert all((b - a) * STEP_S >= 0.4 for a, b in itertools.pairwise(edges))


@pytest.mark.parametrize("column", COLUMNS)
def test_no_two_patterns_differ_only_in_colour_brightness_or_rate(column: Column) -> None:
    """Told apart by the count of flashes; or by their shape, with all three taken away, at the phase most alike."""
    of_one_row = {frozenset({Pattern.WAIT, Pattern.RETRYING})}
    if column == "dimmed":
        # The table's own exception: a faint glow, and the full light sixteen times as bright.
        of_one_row.add(frozenset({Pattern.READY, Pattern.LISTENING}))
    cycles = {pattern: cycle(pattern, column) for pattern in Pattern}
    for one, other in itertools.combinations(Pattern, 2):
        if frozenset({one, other}) in of_one_row:
            continue
        a, b = cycles[one], cycles[other]
        if flashes(a) != flashes(b):
            continue
        shifts = [0] if ONCE & {one, other} else range(len(a))
        apart = min(sum(abs(x - y) for x, y in zip(a, b[shift:] + b[:shift], strict=True)) / len(a) for shift in shifts)
        assert apart > 0.05, f"{one.name} and {other.name} are alike"


def test_only_an_owner_who_wants_it_so_has_a_box_that_is_alive_and_dark() -> None:
    for pattern, column in itertools.product(set(Pattern) - {Pattern.READY_DARK} - ONCE, COLUMNS):
        assert max(series(pattern, column, 5.0)) >= GLOW, pattern


# ------------------------------------------------------------ what it costs


@pytest.mark.parametrize(
    ("pattern", "column", "most_per_minute"),
    [
        (Pattern.READY, "dimmed", 0),
        (Pattern.LISTENING, "dimmed", 0),
        (Pattern.LISTENING, "switched", 0),
        (Pattern.READY, "switched", 30),
        (Pattern.MUTE, "dimmed", 30),
        (Pattern.WAIT, "dimmed", 120),
        (Pattern.FAULT_ACCOUNT, "dimmed", 120),
        (Pattern.SPEAKING, "switched", 67),
        (Pattern.SPEAKING, "dimmed", 60 / FRAME_S + 1),
    ],
)
def test_wake_ups_a_minute(pattern: Pattern, column: Column, most_per_minute: float) -> None:
    elapsed_s, count = 0.0, 0
    while elapsed_s < 60 and (wait_s := interval_s(pattern, column, elapsed_s)) is not None:
        # A timer is never early; a microsecond late stands for rounding.
        elapsed_s += wait_s + 1e-6
        count += 1
    assert count <= most_per_minute


@given(st.sampled_from(Pattern), st.sampled_from(COLUMNS), st.floats(0, 1e6))
def test_between_two_changes_nothing_changes_that_can_be_seen(pattern: Pattern, column: Column, at_s: float) -> None:
    wait_s = interval_s(pattern, column, at_s)
    assert wait_s is None or wait_s > 0
    start = level(pattern, column, at_s)
    assert 0 <= start <= 1
    for part in (0.25, 0.5, 0.75):
        later = level(pattern, column, at_s + part * (60.0 if wait_s is None else wait_s))
        if wait_s == FRAME_S and pattern is Pattern.STARTING:
            # It falls back to dark once in three seconds.
            assert abs(later - start) < 0.05 or later < 0.01
        elif column == "dimmed" and pattern in {Pattern.SPEAKING, Pattern.STARTING, Pattern.STOPPING}:
            assert abs(later - start) < 0.2
        elif wait_s is None or wait_s > 1e-6:
            assert later == start


# ------------------------------------------------------------ the arbiter

TESTS: list[tuple[Pattern, Callable[[Conditions], bool]]] = [
    (Pattern.STOPPING, lambda c: c.stopping),
    (Pattern.IDENTIFY, lambda c: c.identifying and (c.muted or not c.listening)),
    (Pattern.MUTE, lambda c: c.muted),
    (Pattern.LISTENING_ENDING, lambda c: c.listening and c.hold_ending),
    (Pattern.LISTENING, lambda c: c.listening),
    (Pattern.SPEAKING, lambda c: c.speaking),
    (Pattern.FAULT_MICROPHONE, lambda c: Fault.MICROPHONE in c.faults),
    (Pattern.FAULT_SPEAKER, lambda c: Fault.SPEAKER in c.faults),
    (Pattern.FAULT_KEY, lambda c: Fault.KEY in c.faults),
    (Pattern.FAULT_ACCOUNT, lambda c: Fault.ACCOUNT in c.faults),
    (Pattern.FAULT_CLOCK, lambda c: Fault.CLOCK in c.faults),
    (Pattern.FAULT_NETWORK, lambda c: Fault.NETWORK in c.faults),
    (Pattern.FAULT_SETUP, lambda c: Fault.SETUP in c.faults),
    (Pattern.WAIT, lambda c: c.waiting),
    (Pattern.RETRYING, lambda c: c.retrying),
    (Pattern.WAIT, lambda c: c.connecting),
    (Pattern.RESTING, lambda c: c.resting),
    (Pattern.INVITE, lambda c: c.inviting),
    (Pattern.READY, lambda c: c.ready and c.idle_glow),
    (Pattern.READY_DARK, lambda c: c.ready),
    (Pattern.STARTING, lambda c: True),
]
"""Decision 23, highest first."""

conditions = st.builds(
    Conditions,
    faults=st.frozensets(st.sampled_from(Fault)),
    **{
        field.name: st.booleans() if field.name == "idle_glow" else st.sampled_from([False, False, False, True])
        for field in dataclasses.fields(Conditions)
        if field.name != "faults"
    },
)


@given(conditions)
def test_the_documented_winner_wins(so: Conditions) -> None:
    shown = arbiter(so)
    rank = next(index for index, (_, holds) in enumerate(TESTS) if holds(so))
    assert shown is TESTS[rank][0]


def test_every_condition_alone_has_its_pattern() -> None:
    for pattern, so in [
        (Pattern.STOPPING, Conditions(stopping=True)),
        (Pattern.IDENTIFY, Conditions(identifying=True)),
        (Pattern.MUTE, Conditions(muted=True)),
        (Pattern.LISTENING, Conditions(listening=True)),
        (Pattern.SPEAKING, Conditions(speaking=True)),
        (Pattern.WAIT, Conditions(waiting=True)),
        (Pattern.WAIT, Conditions(connecting=True)),
        (Pattern.RETRYING, Conditions(retrying=True)),
        (Pattern.INVITE, Conditions(inviting=True)),
        (Pattern.READY, Conditions(ready=True)),
        (Pattern.STARTING, Conditions(hold_ending=True)),
        (Pattern.STARTING, Conditions()),
    ]:
        assert arbiter(so) is pattern
    for fault, pattern in FAULTS.items():
        assert arbiter(Conditions(ready=True, faults=frozenset({fault}))) is pattern
    assert arbiter(Conditions(ready=True, idle_glow=False)) is Pattern.READY_DARK


def test_from_press_to_release_the_light_is_listening_whatever_the_link_does() -> None:
    every_fault = frozenset(Fault)
    for connecting, retrying in itertools.product((False, True), repeat=2):
        so = Conditions(listening=True, connecting=connecting, retrying=retrying, ready=True, faults=every_fault)
        assert arbiter(so) is Pattern.LISTENING


def test_on_three_leds_no_two_patterns_look_alike() -> None:
    """Which LEDs, and when, in 12 s; a wait is one pattern elsewhere, but here a trouble adds the fault's LED."""
    times_s = [step * 0.02 for step in range(600)]
    series = {pattern: (pattern.lamps, tuple(map(pattern.is_lit, times_s))) for pattern in Pattern}
    del series[Pattern.READY_DARK]
    assert len(set(series.values())) == len(series)


def test_of_three_leds_the_fault_takes_part_only_in_what_is_not_well() -> None:
    with_fault = {pattern.name for pattern in Pattern if pattern.lamps[2]}
    faults = {pattern.name for pattern in Pattern if pattern.name.startswith("FAULT")}
    assert with_fault == faults | {"MUTE", "RETRYING", "RESTING", "IDENTIFY", "STARTING", "STOPPING"}
