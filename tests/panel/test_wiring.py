"""The panel as electricity: levels on pins in, levels on pins out. On gpiozero's mock, and with ``-m hardware`` on real
pins that are wired in a loop (hardware/testing.md)."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Iterator

import pytest
from gpiozero import InputDevice

from appliance.panel.contact import MOST_EDGES
from appliance.panel.gestures import Gesture, Gestures, Pressed, Released
from appliance.panel.light import GLOW, Pattern
from appliance.panel.panel import MUTE_SWITCH, Panel
from tests.support.pin_bench import CONTACT, LED, PinBench, on_mock, on_wires

from .test_panel import Recorder, lines_of, running, settings, until

PULLS = ("up", "down")

LONGEST_S = 0.02
"""From an edge to the light (issue of the panel)."""

DEBOUNCE_S = 0.03

Wired = Callable[..., PinBench]
"""(pull = "up", dimmed = False): the bench for it."""


# lgpio's generated code warns of itself when it is imported, and its thread when the chip is closed under it.
REAL = (pytest.mark.hardware, pytest.mark.filterwarnings("default"))


@pytest.fixture(params=["mock", pytest.param("wired", marks=REAL)])
def wired(request: pytest.FixtureRequest) -> Iterator[Wired]:
    """Each implementation in turn."""
    opened: list[Iterator[PinBench]] = []

    def open_bench(pull: str = "up", *, dimmed: bool = False) -> PinBench:
        opened.append(on_mock(pull, dimmed=dimmed) if request.param == "mock" else on_wires(pull))
        return next(opened[-1])

    yield open_bench
    for bench in reversed(opened):
        next(bench, None)


def panel_of(told: Recorder, kind: str = "none", pull: str = "up", **more: bool) -> Panel:
    return Panel(settings(kind, (LED,) if kind != "none" else (), button=CONTACT, pull=pull, **more), told)


# ------------------------------------------------------------ the contact


@pytest.mark.parametrize("pull", PULLS)
async def test_a_press_and_a_release_reach_the_loop_with_their_times(wired: Wired, pull: str) -> None:
    bench, told = wired(pull), Recorder()
    async with running(panel_of(told, pull=pull)):
        before_s = time.monotonic()
        bench.press()
        assert await told.until(1) == [True]
        bench.let_go()
        assert await told.until(2) == [True, False]
        after_s = time.monotonic()
    times = [at_s for _, at_s, _ in told.edges]
    assert before_s <= times[0] <= times[1] <= after_s
    assert {source for _, _, source in told.edges} == {"button"}


@pytest.mark.parametrize("pull", PULLS)
async def test_a_contact_that_is_stuck_at_the_start_is_no_press(
    wired: Wired, pull: str, caplog: pytest.LogCaptureFixture
) -> None:
    bench, told = wired(pull), Recorder()
    bench.press()
    async with running(panel_of(told, pull=pull)):
        await asyncio.sleep(0.05)
        assert told.edges == []
        assert lines_of(caplog) == [f"the button on GPIO{CONTACT} is down at start: ignored until it is released"]
        bench.let_go()
        await told.until(1)
        bench.press()
        assert await told.until(2) == [False, True]


async def test_a_contact_that_bounces_is_one_press_and_one_release(wired: Wired) -> None:
    bench, told = wired(), Recorder()
    async with running(panel_of(told)):
        for settle in (bench.press, bench.let_go):
            for _ in range(8):
                bench.press()
                await asyncio.sleep(0.001)
                bench.let_go()
                await asyncio.sleep(0.001)
            settle()
            await until(lambda wanted=settle == bench.press: bool(told.edges) and told.edges[-1][0] is wanted)  # type: ignore[misc]
            # A person holds a button longer than its contact bounces.
            await asyncio.sleep(2 * DEBOUNCE_S)
    gestures, seen = Gestures(DEBOUNCE_S, "button"), list[Gesture]()
    for down, at_s, _ in told.edges:
        seen += gestures.edge(down, at_s)
    seen += gestures.tick(time.monotonic() + DEBOUNCE_S)
    assert [type(gesture) for gesture in seen] == [Pressed, Released]


async def test_a_thousand_edges_end_in_the_right_state(wired: Wired) -> None:
    bench, told = wired(), Recorder()
    panel = panel_of(told)
    async with running(panel):
        (contact,) = panel._contacts
        for _ in range(50):
            for _ in range(10):
                bench.press()
                bench.let_go()
            assert len(contact._edges) <= MOST_EDGES
            await asyncio.sleep(0)
        bench.press()
        await until(lambda: bool(told.edges) and told.edges[-1][0])
        bench.let_go()
        await until(lambda: not told.edges[-1][0] and not contact._edges)
    assert [down for down, *_ in told.edges] == [index % 2 == 0 for index in range(len(told.edges))]


async def test_a_mute_switch_tells_where_it_stands_when_it_moves(wired: Wired) -> None:
    bench, told = wired(), Recorder()
    panel = Panel(settings("none", (), button=0, mute=CONTACT), told)
    async with running(panel):
        assert await told.until(1) == [False], "open at the start"
        bench.press()
        assert await told.until(2) == [False, True]
        bench.let_go()
        assert await told.until(3) == [False, True, False]
    assert {source for _, _, source in told.edges} == {MUTE_SWITCH}


async def test_a_contact_that_is_taken_is_one_line(wired: Wired, caplog: pytest.LogCaptureFixture) -> None:
    wired()
    with InputDevice(CONTACT, pull_up=True):
        async with running(panel_of(Recorder())):
            await asyncio.sleep(0)
    (line,) = lines_of(caplog)
    assert line.startswith(f"no button on GPIO{CONTACT}: the pin is taken") and "gpioinfo" in line


# ------------------------------------------------------------ the light


@pytest.mark.parametrize("active_high", [True, False])
async def test_an_led_is_lit_and_dark_and_dark_at_the_end(wired: Wired, active_high: bool) -> None:
    bench = wired()
    async with running(panel_of(Recorder(), "led", active_high=active_high)) as panel:
        assert bench.is_high() is not active_high, "dark when taken"
        for light, lit in ((Pattern.LISTENING, True), (Pattern.READY_DARK, False), (Pattern.LISTENING, True)):
            panel.show(light)
            await until(lambda high=lit is active_high: bench.is_high() is high)  # type: ignore[misc]
    async with running(panel_of(Recorder(), "led", active_high=active_high)):
        assert bench.is_high() is not active_high, "the pin is free again"


async def test_a_dimmed_led_has_the_brightness_of_its_pattern(wired: Wired) -> None:
    bench = wired(dimmed=True)
    async with running(panel_of(Recorder(), "pwm")) as panel:
        if not panel.is_dimmed:
            pytest.skip("the driver of these pins does not dim: GPIOZERO_PIN_FACTORY=lgpio does")
        for light, level in ((Pattern.READY, GLOW), (Pattern.LISTENING, 1.0), (Pattern.READY_DARK, 0.0)):
            panel.show(light)
            await asyncio.sleep(0.02)
            # Dimming is made by the driver's own thread, and looked at between its periods.
            assert bench.duty() == pytest.approx(level, abs=0.05), light.name


async def test_a_blink_has_its_rate(wired: Wired) -> None:
    bench = wired()
    async with running(panel_of(Recorder(), "led")) as panel:
        panel.show(Pattern.WAIT)
        changed_s = []
        for high in (True, False, True, False):
            await until(lambda high=high: bench.is_high() is high)  # type: ignore[misc]
            changed_s.append(time.monotonic())
    for number, at_s in enumerate(changed_s):
        assert at_s - changed_s[0] == pytest.approx(0.5 * number, abs=0.1)


async def test_from_a_press_to_the_light_it_is_within_the_bound(wired: Wired) -> None:
    bench, taken_s = wired(), []
    panel: Panel

    def edge(down: bool, at_s: float, source: str) -> None:
        panel.show(Pattern.LISTENING if down else Pattern.READY_DARK)

    panel = Panel(settings("led", (LED,), button=CONTACT), edge)
    async with running(panel):
        panel.show(Pattern.READY_DARK)
        for _ in range(20):
            await until(lambda: not bench.is_high())
            began_s = time.monotonic()
            bench.press()
            await until(bench.is_high)
            taken_s.append(time.monotonic() - began_s)
            bench.let_go()
    # The look every 2 ms is in it.
    print(f"press to light: median {1000 * statistics.median(taken_s):.1f} ms, longest {1000 * max(taken_s):.1f} ms")
    assert statistics.median(taken_s) <= LONGEST_S
