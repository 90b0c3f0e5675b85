"""``voice-appliance keys``: what is listed, what is shown, and the lines for the configuration."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import sys
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance import cli
from appliance.commands.keys import NONE, Watch
from appliance.config import key_names, loader, settings
from appliance.errors import UnavailableError
from appliance.panel import usb_button
from tests.panel.test_panel import until
from tests.support.button_box import Ports


@pytest.fixture
def ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ports:
    monkeypatch.setattr(usb_button, "RETRY_S", 0.02)
    return Ports(tmp_path, monkeypatch)


@contextlib.asynccontextmanager
async def watching(capsys: pytest.CaptureFixture[str]) -> AsyncIterator[list[str]]:
    """What has been printed so far, a line each; it grows."""
    watch = Watch(key_names.names())
    task = asyncio.create_task(watch.run())
    lines: list[str] = []

    async def collect() -> None:
        while True:
            lines.extend(capsys.readouterr().out.splitlines())
            await asyncio.sleep(0.002)

    collecting = asyncio.create_task(collect())
    await until(lambda: bool(watch._seen) or task.done())
    try:
        yield lines
        if task.done():
            await task
    finally:
        for each in (task, collecting):
            each.cancel()
        await asyncio.gather(task, collecting, return_exceptions=True)


def test_the_list_is_for_scripts_and_needs_neither_evdev_nor_rights(
    ports: Ports, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ports.plug().refuses = errno.EACCES
    monkeypatch.setitem(sys.modules, "evdev", None)
    assert cli.main(["keys", "--list"]) == 0
    assert capsys.readouterr().out == f'{ports.nodes}/event0  1209:b0c5  "Voice Box", keys: 2\n'


def test_an_empty_list_is_one_line_and_an_exit_code(ports: Ports, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["keys", "--list"]) == UnavailableError.exit_code
    assert capsys.readouterr() == ("", f"voice-appliance: {NONE}\n")


def test_without_evdev_it_says_how_to_get_it(
    ports: Ports, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ports.plug()
    monkeypatch.setitem(sys.modules, "evdev", None)
    assert cli.main(["keys"]) == UnavailableError.exit_code
    assert capsys.readouterr().err == (
        "voice-appliance: the package evdev is not installed: sudo apt-get install python3-evdev\n"
    )


def test_without_any_permission_it_says_which_group(ports: Ports, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        ports.plug().refuses = errno.EACCES
    assert cli.main(["keys"]) == UnavailableError.exit_code
    said = capsys.readouterr().err
    assert said.startswith(f"voice-appliance: no permission for {ports.nodes}/event0: sudo usermod -aG ")
    assert said.count("\n") == 1


async def test_it_shows_what_is_pressed_and_the_lines_to_write(
    ports: Ports, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    box = ports.plug()
    async with watching(capsys) as lines:
        for value, at_s in ((1, 100.0), (2, 100.001), (2, 100.002), (2, 100.003), (0, 100.004)):
            box.send(value, at_s)
        await until(lambda: any("key =" in line for line in lines))
        assert lines[:4] == [
            '"Voice Box" KEY_F13 down',
            '"Voice Box" KEY_F13 repeat',
            '"Voice Box" KEY_F13 up',
            '  up came with down: this key can be tapped, not held; talk.mode = "tap"',
        ]
        file = tmp_path / "config.toml"
        file.write_text("\n".join(lines[5:]))
        assert tomllib.loads(file.read_text()) == {"panel": {"key": {"device": "1209:b0c5", "key": "KEY_F13"}}}
        assert loader.load(file).panel.key == settings.KeySettings("1209:b0c5", "KEY_F13")
        shown = len(lines)
        box.send(1, 200.0)
        box.send(0, 200.5)
        await until(lambda: len(lines) >= shown + 2)
        assert lines[shown:] == ['"Voice Box" KEY_F13 down', '"Voice Box" KEY_F13 up'], "said once"
        assert not box.grabbed, "Ctrl-C on this keyboard has to reach the terminal"


async def test_boxes_come_and_go_and_have_keys_without_a_name(ports: Ports, capsys: pytest.CaptureFixture[str]) -> None:
    box = ports.plug("One")
    async with watching(capsys) as lines:
        box.unplug()
        await until(lambda: lines == ['"One" is gone'])
        box = ports.plug("Two", numbers="0000:0000")
        box.send(1)
        box.send(0)
        await until(lambda: 'device = "Two"' in lines)
        box.send(1, code=0x2FE)
        await until(lambda: '"Two" key 766, which has no name down' in lines)


async def test_a_box_that_a_daemon_has_taken_is_named(ports: Ports, capsys: pytest.CaptureFixture[str]) -> None:
    ports.plug("Taken").refuses = errno.EBUSY
    free = ports.plug("Free")
    async with watching(capsys) as lines:
        await until(lambda: bool(lines))
        assert lines == ['"Taken" is taken, and nothing of it is seen here: systemctl stop voice-appliance']
        free.send(1)
        await until(lambda: '"Free" KEY_F13 down' in lines)
