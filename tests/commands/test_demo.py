"""``voice-appliance demo`` where it cannot begin: on a machine whose card is not there, or has been taken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest

from appliance import cli
from appliance.commands import demo
from appliance.errors import UnavailableError
from appliance.simulator.virtual_card import VirtualCard
from tests.support.mock_pins import mock_pins


def test_a_card_that_cannot_be_had_is_named_and_is_no_fault_of_ours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = demo._settings

    def without_card(folder: Path) -> dict[str, Any]:
        return settings(folder) | {"microphone.device": "usb:9-9", "speaker.device": "usb:9-9"}

    monkeypatch.setattr(demo, "_has_card", lambda: True)
    monkeypatch.setattr(demo, "_settings", without_card)
    monkeypatch.setattr(demo, "START_TIMEOUT_S", 3.0)
    with mock_pins():
        assert cli.main(["demo"]) == 69
    said = capsys.readouterr().err
    assert "internal fault" not in said
    assert "the demo has no microphone" in said and "systemctl stop voice-appliance" in said


@pytest.fixture
def nobody() -> Iterator[TextIO]:
    with open("/dev/null", encoding="utf-8") as null:
        yield null


async def test_without_anybody_to_press_it_says_so(monkeypatch: pytest.MonkeyPatch, nobody: TextIO) -> None:
    monkeypatch.setattr("sys.stdin", nobody)
    with pytest.raises(UnavailableError, match="nobody can press"), demo._keys():
        pass


def test_a_recording_that_cannot_be_written_is_said_before_three_conversations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def card() -> VirtualCard:
        raise AssertionError("the demo began")

    monkeypatch.setattr(demo, "VirtualCard", card)
    assert cli.main(["demo", "--virtual", "--output", str(tmp_path / "none" / "demo.wav")]) == 69
    assert "demo.wav" in capsys.readouterr().err
