"""USB button boxes: found, taken, pressed, unplugged. Over named pipes."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import evdev
import pytest

from appliance.config.settings import KeySettings
from appliance.panel import usb_button
from appliance.panel.usb_button import SOURCE, InputDevice, Keys
from tests.support.button_box import Ports

from .test_panel import Recorder, armed_timers, until

ALL = frozenset({28, 183})
ENTER, F13 = 28, 183


@pytest.fixture
def ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ports:
    monkeypatch.setattr(usb_button, "RETRY_S", 0.02)
    return Ports(tmp_path, monkeypatch)


@contextlib.asynccontextmanager
async def running(
    told: Recorder, device: str = "Voice Box", key: str = "KEY_F13", *, taken: bool = True
) -> AsyncIterator[Keys]:
    part = Keys(KeySettings(device, key), told)
    task = asyncio.create_task(part.run())
    try:
        await until(lambda: task.done() or (bool(part._open) if taken else part.missing))
        yield part
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def lines(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    said = [
        record.getMessage()
        for record in caplog.records
        if record.name == usb_button.__name__ and record.levelno >= level
    ]
    assert not any("\n" in line for line in said)
    return said


# ------------------------------------------------------------ edges


async def test_a_press_reaches_the_loop_with_the_kernels_time(ports: Ports) -> None:
    box, told = ports.plug(), Recorder()
    async with running(told):
        assert box.grabbed and box.monotonic
        at_s = time.monotonic() - 0.005
        box.send(1, at_s)
        box.send(0, at_s + 0.004)
        await told.until(2)
    assert [(down, source) for down, _, source in told.edges] == [(True, SOURCE), (False, SOURCE)]
    assert [at for _, at, _ in told.edges] == pytest.approx([at_s, at_s + 0.004], abs=1e-6)
    assert not box.grabbed, "the console has it again"


async def test_repeats_and_other_keys_are_not_the_button(ports: Ports) -> None:
    box, told = ports.plug(), Recorder()
    async with running(told):
        box.send(1)
        for _ in range(5):
            box.send(2)
        box.send(1, code=evdev.ecodes.KEY_A)
        box.send(0, code=evdev.ecodes.KEY_A)
        box.write(evdev.ecodes.EV_MSC, evdev.ecodes.MSC_SCAN, 0x70068)
        box.send(0)
        assert await told.until(2) == [True, False]


async def test_a_box_that_is_there_costs_no_wake_ups(ports: Ports) -> None:
    ports.plug()
    async with running(Recorder()):
        await asyncio.sleep(0)
        assert armed_timers() == 0


async def test_a_storm_is_handed_on_in_order_while_others_have_their_turn(ports: Ports) -> None:
    box, told = ports.plug(), Recorder()
    async with running(told):
        turns = 0
        for _ in range(250):
            box.send(1)
            box.send(0)
        while len(told.edges) < 500:
            await asyncio.sleep(0)
            turns += 1
        times = [at_s for _, at_s, _ in told.edges]
    assert [down for down, _, _ in told.edges] == [True, False] * 250
    assert times == sorted(times)
    assert turns >= 1000 // 64, "two records an edge, 64 at a time"


async def test_what_the_kernel_could_not_keep_is_asked_for(ports: Ports) -> None:
    box, told = ports.plug(), Recorder()
    async with running(told):
        box.send(1)
        box.write(evdev.ecodes.EV_SYN, evdev.ecodes.SYN_DROPPED, 0)
        box.down = False
        assert await told.until(2) == [True, False]
        box.write(evdev.ecodes.EV_SYN, evdev.ecodes.SYN_DROPPED, 0)
        box.down = True
        assert await told.until(3) == [True, False, True]


async def test_an_edge_that_cannot_be_dealt_with_does_not_cost_the_next(
    ports: Ports, caplog: pytest.LogCaptureFixture
) -> None:
    box, told = ports.plug(), Recorder()

    class Failing(Recorder):
        def __call__(self, down: bool, at_s: float, source: str) -> None:
            told(down, at_s, source)
            if down:
                raise ValueError("out of order")

    async with running(Failing()):
        box.send(1)
        box.send(0)
        assert await told.until(2) == [True, False]
    assert lines(caplog) == ["a press of the key was lost: ValueError: out of order"]


async def test_a_key_that_is_down_at_start_is_said_and_is_no_press(
    ports: Ports, caplog: pytest.LogCaptureFixture
) -> None:
    box, told = ports.plug(), Recorder()
    box.down = True
    async with running(told):
        assert lines(caplog) == ["KEY_F13 is down at start: ignored until it is released"]
        box.send(0)
        await told.until(1)
        box.send(1)
        assert await told.until(2) == [False, True]


# ------------------------------------------------------------ which device


async def test_of_a_boxs_devices_those_with_the_key_are_taken_and_are_one_button(ports: Ports) -> None:
    letters = ports.plug("Voice Box", "KEY_B", phys="usb-1/input0")
    first = ports.plug("Voice Box Consumer Control", phys="usb-1/input1")
    second = ports.plug("Voice Box Keyboard", phys="usb-1/input2")
    other = ports.plug("Voice Box", phys="usb-2/input0", numbers="1209:0001")
    told = Recorder()
    async with running(told, "1209:b0c5"):
        assert [box.grabbed for box in (letters, first, second, other)] == [False, True, True, False]
        second.send(1)
        await told.until(1)
        first.send(1)
        await asyncio.sleep(0.01)
        second.send(0)
        first.send(0)
        await told.until(2)
        await asyncio.sleep(0.01)
    assert [down for down, _, _ in told.edges] == [True, False]


def device(name: str, numbers: str = "1209:b0c5", path: str = "/dev/input/event0", place: str = "") -> InputDevice:
    return InputDevice(path, name, numbers, place, ALL)


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("Voice Box", ["Voice Box"]),
        ("voice", ["Voice Box Keyboard", "Voice Box"]),
        ("Keyboard", ["Voice Box Keyboard"]),
        ("046D:C31C", ["Logitech"]),
        ("46d:c31c", ["Logitech"]),
        ("1:2", []),
        ("no such", []),
    ],
)
def test_a_device_is_meant_by_its_numbers_its_name_or_a_part_of_it(selector: str, found: list[str]) -> None:
    known = [device("Voice Box Keyboard"), device("Voice Box"), device("Logitech", "046d:c31c")]
    assert [each.name for each in usb_button.fitting(selector, known)] == found


def test_of_two_boxes_of_a_kind_the_first_is_meant() -> None:
    known = [
        device("Voice Box", place="usb-2", path="/dev/input/event2"),
        device("Voice Box", place="usb-1", path="/dev/input/event3"),
    ]
    assert usb_button.box("Voice Box", F13, known) == known[:1]
    known = [device("Voice Box", path=f"/dev/input/event{number}") for number in (2, 3)]
    assert usb_button.box("Voice Box", F13, known) == known[:1], "a driver that does not say where"


def test_sysfs_bitmaps_have_the_highest_word_first_and_no_leading_zeros() -> None:
    assert usb_button.bits("0") == frozenset()
    assert usb_button.bits("1 0 8", 32) == {3, 64}
    assert usb_button.bits("80000000000000 10000000", 64) == {28, 64 + 55}


def test_the_list_is_in_the_order_of_the_numbers_and_of_keys_only(ports: Ports) -> None:
    for node in ("10", "2"):
        ports.plug(f"box {node}", node=node)
    (ports.sysfs / "mouse0").mkdir()
    (ports.sysfs / "event3" / "device").mkdir(parents=True)
    ports.plug("no keys", node="4")
    (ports.sysfs / "event4/device/capabilities/key").write_text("0\n")
    assert [each.name for each in usb_button.input_devices(usb_button.SYSFS, usb_button.NODES)] == ["box 2", "box 10"]
    assert usb_button.input_devices("/nowhere", "/nowhere") == []


# ------------------------------------------------------------ not there, gone, back


async def test_a_box_that_is_plugged_in_later_is_found(ports: Ports, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    told = Recorder()
    async with running(told, taken=False) as part:
        await asyncio.sleep(5 * usb_button.RETRY_S)
        assert lines(caplog) == [
            'no key: no "Voice Box" is plugged in; looked for every 0.02 s; voice-appliance keys lists what is there'
        ]
        box = ports.plug()
        await until(lambda: not part.missing)
        box.send(1)
        assert await told.until(1) == [True]
    said = lines(caplog, logging.INFO)
    assert said[1:] == [f'the button is KEY_F13 of "Voice Box" ({ports.nodes}/event0)']


async def test_a_box_that_is_unplugged_while_held_lets_go_and_works_when_it_is_back(
    ports: Ports, caplog: pytest.LogCaptureFixture
) -> None:
    box, told = ports.plug(), Recorder()
    changes: list[bool] = []
    async with running(told) as part:
        part._on_change = lambda: changes.append(part.missing)
        box.send(1)
        await told.until(1)
        unplugged_s = time.monotonic()
        box.unplug()
        assert await told.until(2) == [True, False]
        assert unplugged_s <= told.edges[1][1] <= time.monotonic()
        await asyncio.sleep(5 * usb_button.RETRY_S)
        # At another node, and at the same again.
        for node in ("7", "7"):
            box = ports.plug(node=node)
            await until(lambda: not part.missing)
            count = len(told.edges)
            box.send(1)
            box.send(0)
            assert (await told.until(count + 2))[count:] == [True, False]
            box.unplug()
            await until(lambda: part.missing)
    assert changes == [True, False, True, False, True]
    assert lines(caplog) == ['no key: "Voice Box" is gone (unplugged); looked for every 0.02 s'], (
        "a loose plug says it once"
    )


async def test_a_box_that_is_absent_costs_a_listing_and_no_more(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    ports.plug("another")
    looks = 0
    described = usb_button._described

    def counted(folder: str, path: str) -> InputDevice:
        nonlocal looks
        looks += 1
        return described(folder, path)

    monkeypatch.setattr(usb_button, "_described", counted)
    async with running(Recorder(), taken=False):
        await asyncio.sleep(10 * usb_button.RETRY_S)
    assert looks == 1


@pytest.mark.parametrize(
    ("refused", "fix"),
    [
        (errno.EACCES, "sudo usermod -aG input "),
        (errno.EBUSY, "is taken by another program"),
        (errno.EIO, "Input/output error"),
    ],
)
async def test_a_box_that_cannot_be_had_is_one_line_with_the_fix_and_is_tried_again(
    ports: Ports, caplog: pytest.LogCaptureFixture, refused: int, fix: str
) -> None:
    box, told = ports.plug(), Recorder()
    box.refuses = refused
    async with running(told, taken=False) as part:
        await asyncio.sleep(5 * usb_button.RETRY_S)
        (line,) = lines(caplog)
        assert line.startswith('no key: "Voice Box": ') and fix in line and f"{ports.nodes}/event0" in line
        box.refuses = 0
        await until(lambda: not part.missing)
        box.send(1)
        assert await told.until(1) == [True]


async def test_a_box_without_that_key_says_which_box(ports: Ports, caplog: pytest.LogCaptureFixture) -> None:
    ports.plug("Voice Box", "KEY_B")
    async with running(Recorder(), "voice", taken=False):
        pass
    assert lines(caplog) == ['no key: "Voice Box" has no KEY_F13; voice-appliance keys shows what it sends']


async def test_without_evdev_it_is_one_line_with_the_fix(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "evdev", None)
    async with running(Recorder(), taken=False) as part:
        assert part.missing
    assert lines(caplog) == ["no key KEY_F13: the package evdev is not installed: sudo apt-get install python3-evdev"]


async def test_no_box_configured_is_nothing_to_do(caplog: pytest.LogCaptureFixture) -> None:
    part = Keys(KeySettings("", "KEY_ENTER"), Recorder())
    await part.run()
    assert not part.missing and not caplog.records
