"""What ``voice-appliance devices`` prints, on a machine whose cards are in use."""

from __future__ import annotations

import argparse
import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.commands import devices
from appliance.errors import DeviceNotFoundError
from appliance.soundhost import messages
from appliance.soundhost.devices import UNLISTED, Card, Device

LISTING = messages.Listing(
    [
        Device(UNLISTED, "USB PnP Sound Device: Audio (hw:2,0)", 1, 0, 0),
        Device(0, "bcm2835 Headphones: - (hw:0,0)", 0, 8, 44_100),
        Device(UNLISTED, "USB PnP Sound Device: Audio (hw:2,0)", 0, 1, 0),
    ],
    [
        Card(0, "Headphones", "bcm2835_headpho", "bcm2835 Headphones", ""),
        Card(2, "Device", "USB-Audio", "USB PnP Sound Device", "1-1.2"),
    ],
)
"""While the service runs: PortAudio lists the headphone socket alone."""

HAS_IT = {"name": "USB PnP Sound Device: Audio (hw:2,0)", "usb_port": "1-1.2", "hz": 48_000, "channels": 1}


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any] | None], int]:
    """Runs the command on that machine; a daemon whose status is given runs there. Returns the exit code."""
    monkeypatch.setattr(devices, "listing", lambda: LISTING)
    # The cards of the machine on which this runs are others.
    monkeypatch.setattr(devices, "holder_of", lambda *_: "arecord (process 7)")
    monkeypatch.setattr(devices, "in_use", lambda *_: "it is in use by arecord")
    path = str(tmp_path / "control.sock")
    (tmp_path / "config.toml").write_text(f'control.socket = "{path}"\n')

    def run(status: dict[str, Any] | None) -> int:
        if status is not None:
            _answer_once(path, {"ok": True, "status": status})
        return devices.run(argparse.Namespace(config=str(tmp_path / "config.toml")))

    return run


def _answer_once(path: str, answer: dict[str, Any]) -> None:
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()

    def serve() -> None:
        with server, server.accept()[0] as client:
            client.recv(4096)
            client.sendall(json.dumps(answer).encode() + b"\n")

    threading.Thread(target=serve, daemon=True).start()


def status(**changes: Any) -> dict[str, Any]:
    opened = {
        "microphone": HAS_IT,
        "speaker": HAS_IT,
        "microphone_fault": None,
        "speaker_fault": None,
        "muted_by": None,
    }
    return {**opened, **changes}


def test_the_running_daemon_says_what_it_has_open(
    listed: Callable[[dict[str, Any] | None], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert listed(status()) == 0
    assert capsys.readouterr().out.splitlines() == [
        'microphone.device = "auto"',
        '* "USB PnP Sound Device: Audio" (usb:1-1.2): open in the running daemon',
        'speaker.device = "auto"',
        '  "bcm2835 Headphones": 44100 Hz, channels: 8',
        '* "USB PnP Sound Device: Audio" (usb:1-1.2): open in the running daemon',
    ]


def test_what_the_daemon_lacks_is_its_own_reason(
    listed: Callable[[dict[str, Any] | None], int], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DeviceNotFoundError, match=r'^no speaker: "USB PnP" was unplugged$'):
        listed(status(speaker=None, speaker_fault='"USB PnP" was unplugged'))
    assert "*" not in capsys.readouterr().out.partition("speaker.device")[2]


def test_a_microphone_that_is_switched_off_is_not_missing(
    listed: Callable[[dict[str, Any] | None], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert listed(status(microphone=None, muted_by="control socket")) == 0
    assert "  the microphone is switched off: control socket\n" in capsys.readouterr().out


def test_without_a_daemon_a_busy_card_is_still_the_one_that_is_meant(
    listed: Callable[[dict[str, Any] | None], int], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DeviceNotFoundError, match=r"^it is in use by arecord\nit is in use by arecord$"):
        listed(None)
    row = '* "USB PnP Sound Device: Audio" (usb:1-1.2): in use by arecord (process 7)\n'
    assert capsys.readouterr().out.count(row) == 2


def test_without_a_daemon_a_card_that_the_box_waits_for_is_missing(
    listed: Callable[[dict[str, Any] | None], int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """As for the daemon that starts now: nothing is taken in its place."""
    (tmp_path / "cards").write_text("playback usb\n")
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    socket_alone = LISTING._replace(devices=[LISTING.devices[1]], cards=[LISTING.cards[0]])
    monkeypatch.setattr(devices, "listing", lambda: socket_alone)
    with pytest.raises(
        DeviceNotFoundError, match=r"the USB speaker that was here is missing; \"bcm2835 Headphones\" is"
    ):
        listed(None)
    assert "*" not in capsys.readouterr().out
