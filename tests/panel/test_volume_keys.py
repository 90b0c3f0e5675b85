"""Volume keys and knobs, over named pipes that hold the kernel's own event records."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from appliance.panel import volume_keys
from appliance.panel.volume_keys import EV_KEY, EV_REL, EVENT, KEY_VOLUMEDOWN, KEY_VOLUMEUP, VolumeKeys, steps_in

from .test_panel import until


class Ports:
    """Input devices of a machine."""

    def __init__(self, folder: Path) -> None:
        self.sysfs, self.nodes = folder / "sys", folder / "dev"
        self.sysfs.mkdir()
        self.nodes.mkdir()
        self._ends: dict[str, int] = {}

    def plug(self, name: str) -> str:
        node = f"event{len(list(self.nodes.iterdir()))}"
        (self.sysfs / node / "device").mkdir(parents=True)
        (self.sysfs / node / "device" / "name").write_text(f"{name}\n")
        os.mkfifo(self.nodes / node)
        # Both ends, so that it is no end of file while nobody writes.
        self._ends[node] = os.open(self.nodes / node, os.O_RDWR | os.O_NONBLOCK)
        return node

    def send(self, node: str, kind: int, code: int, *values: int) -> None:
        os.write(self._ends[node], b"".join(EVENT.pack(0, 0, kind, code, value) for value in values))

    def close(self) -> None:
        for end in self._ends.values():
            os.close(end)


@pytest.fixture
def ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ports]:
    made = Ports(tmp_path)
    monkeypatch.setattr(volume_keys, "SYSFS", str(made.sysfs))
    monkeypatch.setattr(volume_keys, "NODES", str(made.nodes))
    monkeypatch.setattr(volume_keys, "RETRY_S", 0.02)
    # A pipe knows no such request.
    monkeypatch.setattr(volume_keys, "grab", lambda descriptor: None)
    yield made
    made.close()


@contextlib.asynccontextmanager
async def running(selector: str) -> AsyncIterator[tuple[VolumeKeys, list[int]]]:
    steps: list[int] = []
    part = VolumeKeys(selector, steps.append)
    task = asyncio.create_task(part.run())
    try:
        yield part, steps
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_two_keys_on_two_devices_make_it_louder_and_softer(ports: Ports) -> None:
    up, down, other = ports.plug("VOLUME_UP"), ports.plug("VOLUME_DOWN"), ports.plug("Keyboard")
    async with running("volume") as (part, steps):
        await until(lambda: len(part._open) == 2)
        ports.send(other, EV_KEY, KEY_VOLUMEUP, 1, 0)
        ports.send(up, EV_KEY, KEY_VOLUMEUP, 1, 2, 2, 0)
        await until(lambda: sum(steps) == 3)
        ports.send(down, EV_KEY, KEY_VOLUMEDOWN, 1, 0)
        await until(lambda: sum(steps) == 2)
    assert not part._open


async def test_a_knob_tells_its_steps(ports: Ports) -> None:
    knob = ports.plug("rotary@5")
    async with running("Rotary") as (part, steps):
        await until(lambda: bool(part._open))
        ports.send(knob, EV_REL, 0, 1, 1, -1, 1)
        await until(lambda: sum(steps) == 2)


async def test_it_is_found_when_it_comes_later(ports: Ports, caplog: pytest.LogCaptureFixture) -> None:
    async with running("rotary") as (part, _):
        await until(lambda: "no volume keys" in caplog.text)
        ports.plug("rotary@5")
        await until(lambda: bool(part._open))
    assert caplog.text.count("no volume keys") == 1


async def test_one_that_is_pulled_out_is_said_and_looked_for(
    ports: Ports, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    knob = ports.plug("rotary@5")

    def gone(descriptor: int, most: int) -> bytes:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))

    async with running("rotary") as (part, _):
        await until(lambda: bool(part._open))
        shutil.rmtree(ports.sysfs / knob)
        monkeypatch.setattr(os, "read", gone)
        ports.send(knob, EV_REL, 0, 1)
        await until(lambda: not part._open)
    assert "are gone" in caplog.text


async def test_one_that_another_program_has_is_one_line(
    ports: Ports, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken(descriptor: int) -> None:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    ports.plug("rotary@5")
    monkeypatch.setattr(volume_keys, "grab", taken)
    async with running("rotary") as (part, _):
        await until(lambda: "busy" in caplog.text)
        assert not part._open
    assert next(record.levelno for record in caplog.records) == logging.ERROR


async def test_without_a_name_nothing_is_done() -> None:
    await VolumeKeys("", lambda steps: None).run()


def test_what_is_no_volume_is_not_counted() -> None:
    assert steps_in(EVENT.pack(0, 0, EV_KEY, 30, 1) + EVENT.pack(0, 0, 0, 0, 0)) == 0
