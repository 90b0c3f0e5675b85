"""Every button alike: a pin, a key of a USB box and the control socket, each driven as a hand does it, through a whole
box that is not connected to anything. The outcome depends on the gesture, not on where it comes from."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gpiozero.pins.mock import MockFactory

from appliance.panel import contact, panel, usb_button
from appliance.panel.buttons import Buttons
from appliance.turn.states import State
from tests.support.bench import Bench, on_bench
from tests.support.button_box import Box, Ports
from tests.support.mock_pins import mock_pins

GPIO = 17

Move = Callable[[bool], Awaitable[None]]
"""The button goes down (True) or up."""


class Hand:
    """On the one button of a bench."""

    def __init__(self, bench: Bench, move: Move, edges: list[bool]) -> None:
        self.bench = bench
        self._move = move
        self._edges = edges

    async def down(self) -> None:
        await self._seen(True)

    async def up(self) -> None:
        await self._seen(False)

    async def click(self, held_s: float) -> None:
        await self.down()
        await self.bench.passes(held_s)
        await self.up()

    async def _seen(self, down: bool) -> None:
        before = len(self._edges)
        await self._move(down)
        async with asyncio.timeout(5):
            while len(self._edges) == before:  # noqa: ASYNC110  (the box's own parts are not to be touched)
                await asyncio.sleep(0.0005)


Gesture = Callable[[Hand], Coroutine[Any, Any, None]]


async def hold(hand: Hand) -> None:
    await hand.click(0.6)
    await hand.bench.passes(0.5)


async def touch(hand: Hand) -> None:
    await hand.click(0.1)
    await hand.bench.passes(0.6)


async def two_taps(hand: Hand) -> None:
    await touch(hand)
    await hand.bench.passes(0.6)
    await touch(hand)


async def double_click(hand: Hand) -> None:
    await hand.click(0.08)
    await hand.bench.passes(0.1)
    await hand.click(0.08)
    await hand.bench.passes(0.6)


async def jam(hand: Hand) -> None:
    await hand.down()
    await hand.bench.passes(2.5)
    await hand.up()
    await hand.bench.passes(0.6)


async def jam_and_again(hand: Hand) -> None:
    await jam(hand)
    hand.bench.daemon.remote.quiet()
    await hold(hand)


ASKED = ["listening", "sending", "waiting"]

OUTCOMES: dict[tuple[str, Gesture], list[str]] = {
    ("hold", hold): ASKED,
    ("hold", touch): ["listening", "ready"],
    ("hold", double_click): ["listening", "ready", "listening", "ready"],
    ("hold", jam): ASKED,
    ("hold", jam_and_again): [*ASKED, "ready", *ASKED],
    ("auto", hold): ASKED,
    ("auto", touch): ["listening"],
    ("auto", double_click): ["listening"],
    ("auto", jam): ASKED,
    ("tap", touch): ["listening"],
    ("tap", two_taps): ASKED,
    ("tap", double_click): ["listening"],
    ("tap", jam): ["listening", "ready"],
}
"""The states that the box goes through, by ``talk.mode`` and gesture. A jam lasts longer than the longest hold, and
longer than silence is listened to."""


@pytest.fixture
def factory() -> Iterator[MockFactory]:
    with mock_pins() as mock:
        yield mock


@contextlib.asynccontextmanager
async def running(*parts: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def by_pin(bench: Bench, factory: MockFactory, box: Box) -> AsyncIterator[Move]:
    async def move(down: bool) -> None:
        pin = factory.pin(GPIO)
        # From a thread, as the driver of real pins reports. Waited for without the loop, whose paper clock would jump.
        driver = threading.Thread(target=pin.drive_low if down else pin.drive_high)
        driver.start()
        driver.join()

    async with running(bench.daemon.panel.run()):
        await asyncio.sleep(0)
        yield move
        bench.daemon.panel.close()


@contextlib.asynccontextmanager
async def by_key(bench: Bench, factory: MockFactory, box: Box) -> AsyncIterator[Move]:
    async def move(down: bool) -> None:
        box.send(int(down), asyncio.get_running_loop().time())

    async with running(bench.daemon.keys.run()):
        await asyncio.sleep(0)
        assert box.grabbed
        yield move


@contextlib.asynccontextmanager
async def by_socket(bench: Bench, factory: MockFactory, box: Box) -> AsyncIterator[Move]:
    async def move(down: bool) -> None:
        reader, writer = await asyncio.open_unix_connection(bench.daemon.config.control.socket_path)
        writer.write(json.dumps({"command": "press" if down else "release"}).encode() + b"\n")
        assert json.loads(await reader.readline()) == {"ok": True}
        writer.close()

    async with running(bench.daemon.control.run()):
        await bench.daemon.control.listening.wait()
        yield move


@pytest.mark.parametrize("source", [by_pin, by_key, by_socket])
@pytest.mark.parametrize(("mode", "gesture"), OUTCOMES, ids=lambda value: getattr(value, "__name__", value))
def test_a_gesture_means_the_same_whatever_is_pressed(
    mode: str,
    gesture: Gesture,
    source: Callable[[Bench, MockFactory, Box], contextlib.AbstractAsyncContextManager[Move]],
    factory: MockFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    box = Ports(tmp_path, monkeypatch).plug()
    edges: list[bool] = []
    original = Buttons.edge

    def noted(buttons: Buttons, down: bool, at_s: float, source: str) -> None:
        original(buttons, down, at_s, source)
        edges.append(down)

    async def story(bench: Bench) -> None:
        clock = SimpleNamespace(monotonic=asyncio.get_running_loop().time)
        for module in (contact, panel, usb_button):
            monkeypatch.setattr(module, "time", clock)
        bench.connect()
        async with source(bench, factory, box) as move:
            await gesture(Hand(bench, move, edges))
        states = [event["state"] for event in bench.events if event["event"] == "state"]
        assert [state for state, _ in itertools.groupby(states)] == OUTCOMES[mode, gesture]

    monkeypatch.setattr(Buttons, "edge", noted)
    on_bench(
        story,
        talk__mode=mode,
        talk__max_hold_s=2,
        talk__max_hold_warning_s=0.5,
        talk__no_speech_s=1.5,
        panel__button__gpio=GPIO,
        panel__key__device="Voice Box",
        panel__key__key="KEY_F13",
        control__socket=str(tmp_path / "control.sock"),
    )


@pytest.mark.parametrize("other", [0, GPIO])
def test_a_box_that_is_unplugged_ends_its_hold_and_the_light_says_whether_anybody_can_press(
    other: int, factory: MockFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = Ports(tmp_path, monkeypatch)
    box = ports.plug()

    async def story(bench: Bench) -> None:
        daemon = bench.daemon
        monkeypatch.setattr(usb_button, "time", SimpleNamespace(monotonic=asyncio.get_running_loop().time))
        bench.connect()
        async with by_key(bench, factory, box) as move:
            await move(True)
            await bench.passes(1)
            assert daemon.panel.current_light == "listening"
            box.unplug()
            await bench.passes(0.6)
            assert bench.state() is State.WAITING
            daemon.remote.quiet()
            assert daemon.panel.current_light == ("ready" if other else "fault_setup")
            ports.plug()
            await bench.passes(usb_button.RETRY_S + 0.1)
            assert daemon.panel.current_light == "ready"

    on_bench(story, panel__button__gpio=other, panel__key__device="Voice Box", panel__key__key="KEY_F13")
