"""``voice-appliance lights``: every pattern with its name, drawn, and on the LED of gpiozero's mock."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory

from appliance import cli
from appliance.commands.lights import SHADES, Drawing, walk
from appliance.config import loader
from appliance.panel.light import MEANINGS, Pattern
from tests.support.mock_pins import mock_pins

LED = 27


class Terminal(io.TextIOWrapper):
    """Text that was written, in some encoding."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding)

    @property
    def text(self) -> str:
        self.flush()
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode(self.encoding)


@pytest.fixture(autouse=True)
def factory() -> Iterator[MockFactory]:
    with mock_pins() as mock:
        yield mock


def strip(pattern: Pattern, kind: str = "pwm", encoding: str = "utf-8", seconds: float = 6) -> str:
    terminal = Terminal(encoding)
    Drawing(terminal, kind).strip(pattern, seconds)
    return terminal.text.removesuffix("\n")


def test_every_pattern_has_a_meaning_and_a_drawing_of_its_own() -> None:
    assert set(MEANINGS) == set(Pattern)
    assert len(set(MEANINGS.values())) == len(Pattern)
    for kind in ("pwm", "led"):
        # A wait is one pattern, whatever it waits for.
        drawn = {strip(pattern, kind) for pattern in Pattern if pattern is not Pattern.RETRYING}
        assert len(drawn) == len(Pattern) - 1


def test_the_flashes_of_a_fault_can_be_counted_in_its_drawing() -> None:
    for count, pattern in enumerate((pattern for pattern in Pattern if pattern.name.startswith("FAULT")), start=1):
        once = strip(pattern, seconds=count / 2 + 1)
        assert len(once.split()) == count


def test_a_terminal_without_unicode_gets_other_shades() -> None:
    assert set(strip(Pattern.SPEAKING, encoding="ascii")) <= set(SHADES[False])
    assert set(strip(Pattern.LISTENING, encoding="ascii")) == {"#"}


def test_the_command_draws_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--config", "/dev/null", "lights", "--draw"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[::2]] == [pattern.name.lower() for pattern in Pattern]
    assert all(len(line) <= 80 for line in lines)


def test_three_leds_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.toml").write_text('[panel.leds]\nkind = "three"\ngpio = [5, 6, 13]\n')
    assert cli.main(["--config", str(tmp_path / "config.toml"), "lights", "--draw", "retrying", "fault-key"]) == 0
    assert re.findall(r"\[.*\]", capsys.readouterr().out) == ["[busy + fault]", "[fault]"]


@pytest.mark.parametrize("arguments", [["wiat"], ["--seconds", "0"]])
def test_what_cannot_be_shown_is_said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--config", "/dev/null", "lights", *arguments]) == 64
    assert len(capsys.readouterr().err.splitlines()) == 1


async def test_the_led_goes_along_and_is_dark_and_free_at_the_end() -> None:
    settings = loader.load("/dev/null").panel
    led = Device.pin_factory.pin(LED)
    terminal = Terminal()
    began_s = time.monotonic()
    await walk([Pattern.LISTENING, Pattern.MUTE], 0.5, settings, Drawing(terminal, "pwm"))
    assert time.monotonic() - began_s >= 0.99
    assert [state for _, state in led.states if state in (0.0, 1.0)][-2:] == [1.0, 0.0] and led.function == "input"
    assert terminal.text.splitlines()[1::2] == ["█████", "██   "]
