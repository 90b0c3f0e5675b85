"""The doctor's questions, on a real terminal's two ends."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import pty
import sys
from collections.abc import Iterator

import pytest

from appliance.audio.levels import SILENCE_DBFS
from appliance.doctor.finding import fault, lines_of, ok
from appliance.doctor.person import Person


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """What is written here has been typed."""
    typed, terminal = pty.openpty()
    with os.fdopen(terminal) as standard_input:
        monkeypatch.setattr(sys, "stdin", standard_input)
        yield typed
    with contextlib.suppress(OSError):
        os.close(typed)


@pytest.mark.parametrize(("typed", "answer"), [("\n", True), ("y\n", True), ("No\n", False), ("what?\nn\n", False)])
async def test_a_question(keyboard: int, typed: str, answer: bool) -> None:
    said = io.StringIO()
    os.write(keyboard, typed.encode())
    async with asyncio.timeout(10):
        assert await Person(asks=True, stream=said).yes("Did you hear the tones?") is answer
    assert said.getvalue().count("Did you hear the tones? [Y/n]") == typed.count("\n")


async def test_a_terminal_that_goes_is_asked_no_more(keyboard: int) -> None:
    person = Person(asks=True, stream=io.StringIO())
    os.write(keyboard, b"\x04")
    async with asyncio.timeout(10):
        assert await person.yes("Well?") is None
    assert not person.asks


async def test_nobody_is_asked() -> None:
    said = io.StringIO()
    person = Person(asks=False, stream=said)
    person.tell("Press the button.")
    person.meter(-20)
    person.meter_over()
    assert await person.yes("Well?") is None and said.getvalue() == ""


def test_the_meter_stays_in_its_frame() -> None:
    for dbfs, filled in ((0.0, 40), (-40.0, 20), (SILENCE_DBFS, 0), (6.0, 40)):
        said = io.StringIO()
        Person(asks=True, stream=said).meter(dbfs)
        assert said.getvalue().count("#") == filled and said.getvalue().count("-" * (40 - filled))


def test_a_line_and_its_fix() -> None:
    assert lines_of(ok("key", "there is one")) == ["ok      key                there is one"]
    (line,) = lines_of(ok("microphone", "USB\nok      key  forged\x1b[2J"))
    assert line == "ok      microphone         USB ok key forged [2J"
    first, second = lines_of(fault("key", "there is none", "write it"))
    assert first.startswith("fault   key") and second.endswith("-> write it")
