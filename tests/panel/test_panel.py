"""The panel on gpiozero's mock pins, which behave like electricity: an output shows what is written to it, an input has
the pull-up's level until something drives it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from gpiozero import Device, OutputDevice
from gpiozero.pins.mock import MockFactory, MockPin

from appliance.config import loader
from appliance.config.settings import ContactSettings, LedSettings, PanelSettings
from appliance.panel import panel as panel_module
from appliance.panel.light import GLOW, Pattern
from appliance.panel.panel import ACKNOWLEDGE_PAUSE_S, ACKNOWLEDGE_S, MOST_EDGES, Light, Panel
from tests.support.mock_pins import mock_pins

BUTTON, LED, RED, GREEN, BLUE = 17, 27, 5, 6, 13

TIMEOUT_S = 20.0
"""For what takes milliseconds on an idle machine."""


def settings(
    kind: str = "pwm",
    gpio: tuple[int, ...] = (LED,),
    active_high: bool = True,
    button: int = BUTTON,
    pull: str = "up",
    mute: int = 0,
) -> PanelSettings:
    leds = LedSettings(kind=kind, gpio=gpio, active_high=active_high)
    contacts = (ContactSettings(button, pull), ContactSettings(mute, pull))
    return dataclasses.replace(loader.load("/dev/null").panel, leds=leds, button=contacts[0], mute=contacts[1])


@dataclasses.dataclass
class Recorder:
    """What the panel reports."""

    edges: list[tuple[bool, float, str]] = dataclasses.field(default_factory=list)
    arrived: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)

    def __call__(self, down: bool, at_s: float, source: str) -> None:
        assert threading.current_thread() is threading.main_thread()
        self.edges.append((down, at_s, source))
        self.arrived.set()

    async def until(self, count: int) -> list[bool]:
        """The first ``count`` edges, as soon as they have come."""
        async with asyncio.timeout(TIMEOUT_S):
            while len(self.edges) < count:
                self.arrived.clear()
                await self.arrived.wait()
        return [down for down, _, _ in self.edges]


@pytest.fixture(autouse=True)
def factory() -> Iterator[MockFactory]:
    with mock_pins() as mock:
        yield mock


def pin(number: int) -> MockPin:
    return Device.pin_factory.pin(number)


@contextlib.asynccontextmanager
async def running(panel: Panel) -> AsyncIterator[Panel]:
    task = asyncio.create_task(panel.run())
    # The pins are taken in the task's first turn.
    await asyncio.sleep(0)
    try:
        yield panel
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        panel.close()


async def until(condition: Callable[[], bool]) -> None:
    """For what only an LED shows: it has no event to wait for."""
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


def change_times_s(led: MockPin) -> list[float]:
    """When an LED changed, in seconds since its ``clear_states``."""
    return list(itertools.accumulate(held_s for held_s, _ in led.states[1:]))


def lines_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the panel has said."""
    return [record.getMessage() for record in caplog.records if record.name == panel_module.__name__]


def armed_timers() -> int:
    """Timers that would wake the loop."""
    loop: Any = asyncio.get_running_loop()
    return sum(not timer.cancelled() for timer in loop._scheduled)


# ------------------------------------------------------------ the button


async def test_an_edge_reaches_the_loop_with_its_time() -> None:
    told = Recorder()
    async with running(Panel(settings(), told)):
        before_s = time.monotonic()
        pin(BUTTON).drive_low()
        after_s = time.monotonic()
        assert await told.until(1) == [True]
        pin(BUTTON).drive_high()
        assert await told.until(2) == [True, False]
    (_, at_s, source), _ = told.edges
    assert before_s <= at_s <= after_s and source == "button"


async def test_edges_from_the_pin_drivers_thread_are_handed_over() -> None:
    told = Recorder()
    async with running(Panel(settings(), told)):

        def press() -> None:
            pin(BUTTON).drive_low()
            pin(BUTTON).drive_high()

        await asyncio.to_thread(press)
        assert await told.until(2) == [True, False]


async def test_a_storm_of_edges_costs_one_hand_over_and_loses_neither_its_start_nor_its_end() -> None:
    told = Recorder()
    async with running(Panel(settings(), told)):
        first_s = time.monotonic()
        # The loop is busy all the while.
        for _ in range(1000):
            pin(BUTTON).drive_low()
            pin(BUTTON).drive_high()
        pin(BUTTON).drive_low()
        last = await told.until(1)
    assert len(last) <= MOST_EDGES
    assert last == [index % 2 == 0 for index in range(len(last))], "down and up by turns"
    assert last[0] and last[-1]
    assert first_s <= told.edges[0][1] <= told.edges[-1][1]


async def test_an_edge_that_cannot_be_dealt_with_does_not_cost_the_next(caplog: pytest.LogCaptureFixture) -> None:
    told = Recorder()

    def failing(down: bool, at_s: float, source: str) -> None:
        told(down, at_s, source)
        if down:
            raise ValueError("out of order")

    async with running(Panel(settings(), failing)):
        pin(BUTTON).drive_low()
        pin(BUTTON).drive_high()
        assert await told.until(2) == [True, False]
    assert [record.message for record in caplog.records] == ["a press of the button was lost: ValueError: out of order"]
    assert caplog.records[0].exc_info is None


async def test_an_edge_after_the_end_of_the_loop_is_nobodys() -> None:
    told = Recorder()
    async with running(Panel(settings(), told)):
        handler = pin(BUTTON).when_changed
        assert handler is not None
    pin(BUTTON).drive_low()
    await asyncio.sleep(0)
    assert told.edges == []


def test_a_pin_driver_that_reports_after_the_loop_was_closed_is_not_hurt() -> None:
    async def start(panel: Panel) -> asyncio.Task[None]:
        task = asyncio.create_task(panel.run())
        await asyncio.sleep(0)
        return task

    told = Recorder()
    panel = Panel(settings(), told)
    asyncio.run(start(panel))
    pin(BUTTON).drive_low()
    assert told.edges == []
    panel.close()


# ------------------------------------------------------------ the light


async def test_a_dimmed_led_shows_the_brightness() -> None:
    async with running(Panel(settings(), Recorder())) as panel:
        panel.show(Pattern.READY)
        await until(lambda: pin(LED).state == GLOW)
        panel.show(Pattern.LISTENING)
        await until(lambda: pin(LED).state == 1.0)


async def test_an_rgb_led_shows_the_colour() -> None:
    async with running(Panel(settings("rgb", (RED, GREEN, BLUE)), Recorder())) as panel:
        panel.show(Pattern.RETRYING)
        await until(lambda: [pin(number).state for number in (RED, GREEN, BLUE)] == [1.0, 0.4, 0.0])
        panel.show(Pattern.READY)
        await until(lambda: [pin(number).state for number in (RED, GREEN, BLUE)] == [0.0, GLOW, 0.0])


async def test_three_leds_ready_busy_and_fault(factory: MockFactory) -> None:
    factory.pin_class = MockPin
    pins = (GREEN, BLUE, RED)
    async with running(Panel(settings("three", pins), Recorder())) as panel:
        for light, expected in (
            (Pattern.LISTENING, [True, False, False]),
            (Pattern.WAIT, [False, True, False]),
            (Pattern.RETRYING, [False, True, True]),
            (Pattern.FAULT_KEY, [False, False, True]),
            (Pattern.STOPPING, [True, True, True]),
            (Pattern.READY_DARK, [False, False, False]),
        ):
            panel.show(light)
            await until(lambda wanted=expected: [pin(number).state for number in pins] == wanted)  # type: ignore[misc]


async def test_an_led_to_3_3_volts_is_lit_when_its_pin_is_low() -> None:
    async with running(Panel(settings(active_high=False), Recorder())) as panel:
        assert pin(LED).state == 1.0
        panel.show(Pattern.LISTENING)
        await until(lambda: pin(LED).state == 0.0)


async def test_a_blink_goes_on_by_itself() -> None:
    async with running(Panel(settings(), Recorder())) as panel:
        led = pin(LED)
        led.clear_states()
        panel.show(Pattern.WAIT)
        await until(lambda: len(led.states) >= 4)
    assert [state for _, state in led.states[1:4]] == [1.0, 0.0, 1.0]
    for index, at_s in enumerate(change_times_s(led)[:3]):
        assert at_s >= 0.5 * index - 0.001


async def test_a_steady_light_causes_no_wake_ups_and_a_blink_one_for_each_change() -> None:
    async with running(Panel(settings(button=0), Recorder())) as panel:
        for steady in (Pattern.READY, Pattern.LISTENING):
            panel.show(steady)
            await until(lambda: pin(LED).state == panel._light.brightness(0))  # type: ignore[union-attr]
            for _ in range(3):
                await asyncio.sleep(0)
            assert armed_timers() == 0
        panel.show(Pattern.WAIT)
        for _ in range(3):
            await asyncio.sleep(0)
        assert armed_timers() == 1


@dataclasses.dataclass
class Counting:
    """A light that counts how often it is drawn."""

    name: str = "COUNTING"
    colour: tuple[float, float, float] = (1.0, 1.0, 1.0)
    lamps: tuple[bool, bool, bool] = (True, True, True)
    drawn_s: list[float] = dataclasses.field(default_factory=list)

    def brightness(self, elapsed_s: float) -> float:
        self.drawn_s.append(elapsed_s)
        return 1.0

    def frame_interval_s(self, elapsed_s: float) -> float | None:
        return None

    def is_lit(self, elapsed_s: float) -> bool:
        return True

    def switch_interval_s(self, elapsed_s: float) -> float | None:
        return None


async def test_showing_what_is_shown_neither_restarts_nor_redraws_it() -> None:
    light = Counting()
    async with running(Panel(settings(), Recorder())) as panel:
        for _ in range(10):
            panel.show(light)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert len(light.drawn_s) == 1
        assert panel.current_light == "counting"


@pytest.mark.parametrize(("light", "before", "during"), [(Pattern.LISTENING, 1.0, 0.0), (Pattern.READY, GLOW, 1.0)])
async def test_a_press_inverts_the_light_for_80_ms(light: Light, before: float, during: float) -> None:
    async with running(Panel(settings(), Recorder())) as panel:
        led = pin(LED)
        panel.show(light)
        await until(lambda: led.state == before)
        led.clear_states()
        panel.acknowledge()
        await until(lambda: len(led.states) >= 3)
        assert [state for _, state in led.states[1:3]] == [during, before]
        assert change_times_s(led)[1] >= ACKNOWLEDGE_S - 0.001


async def test_a_press_that_changes_the_light_is_seen_at_once() -> None:
    async with running(Panel(settings(), Recorder())) as panel:
        led = pin(LED)
        panel.show(Pattern.READY)
        await until(lambda: led.state == GLOW)
        panel.acknowledge()
        panel.show(Pattern.LISTENING)
        await until(lambda: led.state == 1.0)
        assert [state for _, state in led.states][-2:] == [GLOW, 1.0], "no dark moment between the two"


async def test_a_chattering_contact_does_not_make_the_light_flicker() -> None:
    async with running(Panel(settings(), Recorder())) as panel:
        led = pin(LED)
        panel.show(Pattern.LISTENING)
        await until(lambda: led.state == 1.0)
        led.clear_states()
        start_s = time.monotonic()
        while time.monotonic() < start_s + 2.5 * ACKNOWLEDGE_PAUSE_S:
            panel.acknowledge()
            await asyncio.sleep(0.005)
        took_s = time.monotonic() - start_s
        falls = sum(state == 0.0 for _, state in led.states[1:])
    assert 2 <= falls <= took_s / ACKNOWLEDGE_PAUSE_S + 1


@pytest.mark.parametrize("active_high", [True, False])
async def test_the_end_leaves_the_led_dark_and_the_pins_free(active_high: bool) -> None:
    panel = Panel(settings(active_high=active_high), Recorder())
    async with running(panel):
        panel.show(Pattern.LISTENING)
        led = pin(LED)
        await until(lambda: led.state == float(active_high))
        led.clear_states()
    assert led.states[1].state == float(not active_high)
    assert led.function == pin(BUTTON).function == "input"
    panel.close()
    async with running(Panel(settings(), Recorder())):
        assert pin(LED).function == "output"


# ------------------------------------------------------------ what is not there


async def test_a_box_without_button_and_light_still_knows_what_it_would_show() -> None:
    Device.pin_factory = None
    async with running(Panel(settings("none", (), button=0), Recorder())) as panel:
        panel.show(Pattern.WAIT)
        panel.acknowledge()
        for _ in range(3):
            await asyncio.sleep(0)
        assert panel.current_light == "wait"
        assert Device.pin_factory is None, "gpiozero was not asked"


async def test_no_led_means_no_wake_ups() -> None:
    async with running(Panel(settings("none", (), button=0), Recorder())) as panel:
        panel.show(Pattern.SPEAKING)
        for _ in range(3):
            await asyncio.sleep(0)
        assert armed_timers() == 0


async def test_no_pin_driver_is_one_line_and_the_box_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Device.pin_factory = None
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "no-such-driver")
    async with running(Panel(settings(), Recorder())) as panel:
        panel.show(Pattern.READY)
        await asyncio.sleep(0)
        assert panel.current_light == "ready"
    (record,) = [record for record in caplog.records if record.name == panel_module.__name__]
    assert record.levelno == logging.ERROR
    assert "no-such-driver" in record.message and "\n" not in record.message


async def test_a_pin_that_cannot_be_had_costs_only_its_own_part(caplog: pytest.LogCaptureFixture) -> None:
    told = Recorder()
    with OutputDevice(LED):
        async with running(Panel(settings(), told)):
            pin(BUTTON).drive_low()
            assert await told.until(1) == [True]
    (record,) = [record for record in caplog.records if record.name == panel_module.__name__]
    assert record.message.startswith("no light on GPIO27")


@pytest.mark.parametrize(
    ("kind", "gpio", "shows"),
    [
        ("pwm", (LED,), {Pattern.LISTENING: (1,), Pattern.READY_DARK: (0,), Pattern.READY: (1,)}),
        (
            "rgb",
            (27, 22, 23),
            {Pattern.LISTENING: (0, 1, 0), Pattern.READY_DARK: (0, 0, 0), Pattern.RETRYING: (1, 1, 0)},
        ),
    ],
)
async def test_an_led_on_pins_without_pwm_is_switched_as_one_that_is_not_dimmed(
    kind: str, gpio: tuple[int, ...], shows: dict[Pattern, tuple[int, ...]], caplog: pytest.LogCaptureFixture
) -> None:
    Device.pin_factory.pin_class = MockPin
    async with running(Panel(settings(kind, gpio), Recorder())) as panel:
        for light, levels in shows.items():
            panel.show(light)
            await until(lambda levels=levels: tuple(int(pin(number).state) for number in gpio) == levels)  # type: ignore[misc]
        # 1 s lit in 4: an LED that cannot glow.
        panel.show(Pattern.READY)
        await asyncio.sleep(0)
        assert panel.due_s is not None and 0.9 < panel.due_s - time.monotonic() <= 1.0
    assert lines_of(caplog) == []


async def test_a_light_that_fails_while_it_shines_is_one_line_and_the_button_works_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = Recorder()
    async with running(Panel(settings(), told)) as panel:
        panel.show(Pattern.LISTENING)
        await until(lambda: pin(LED).state == 1.0)

        def gone(value: float) -> None:
            raise OSError("the chip is gone")

        pin(LED)._set_state = gone
        panel.show(Pattern.SPEAKING)
        panel.acknowledge()
        panel.show(Pattern.READY)
        await until(lambda: bool(caplog.records))
        panel.show(Pattern.LISTENING)
        pin(BUTTON).drive_low()
        assert await told.until(1) == [True]
    errors = [record.message for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == 1 and "the chip is gone" in errors[0]
