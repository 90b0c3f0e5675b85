"""Every message survives the wire, and nothing else is taken for one."""

from __future__ import annotations

import pytest

from appliance.audio import wire
from appliance.audio.devices import Card, Device

TO_HOST = [
    wire.Open("usb:1-1.2", 0, 2, 20),
    wire.Samples(7, b"\x01\x02\x03\x04"),
    wire.Open("auto", 0, 0, 20, worst_rank=0, refused=("1-1.3", "Headphones")),
    wire.Open("auto", 0, 0, 20, idle_ms=400),
    wire.Flush(4_000_000_000),
    wire.Pace(200),
    wire.Pace(wire.HOLD),
]
FROM_HOST = [
    wire.Opened("മൈക്ക്: USB Audio (hw:1,0)", "1-1.2", "", 44_100, 2, 882, 0.04),
    wire.Failed('no microphone "x"; there is none at all'),
    wire.Listing(
        [Device(0, "usbmic", 1, 0, 48_000)], [Card(2, "Device", "USB-Audio", "USB PnP Sound Device", "1-1.3")]
    ),
    wire.Listing([], []),
    wire.Trying(),
    wire.Waiting(),
    wire.Resting(),
    wire.Block(12345.678901234, 1 << 40, bytes(range(256)) * 20),
    wire.Played(3, 1 << 40, 2880, 1, 12345.678901234),
]


@pytest.mark.parametrize("message", TO_HOST, ids=lambda message: type(message).__name__)
def test_to_the_host(message: wire.Open | wire.Pace | wire.Samples | wire.Flush) -> None:
    assert wire.unpack_for_host(wire.pack(message)) == message
    assert type(wire.unpack_for_host(wire.pack(message))) is type(message)


@pytest.mark.parametrize("message", FROM_HOST, ids=lambda message: type(message).__name__)
def test_from_the_host(message: wire.FromHost) -> None:
    assert wire.unpack_from_host(wire.pack(message)) == message
    assert type(wire.unpack_from_host(wire.pack(message))) is type(message)


def test_the_question_for_devices_is_none() -> None:
    assert wire.unpack_for_host(wire.LIST) is None


def test_anything_else_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="no message"):
        wire.unpack_for_host(wire.pack(wire.Played(0, 0, 0, 0, 0.0)))
    with pytest.raises(ValueError, match="no message"):
        wire.unpack_from_host(wire.pack(wire.Flush(0)))


def test_the_largest_block_that_can_be_configured_is_one_message() -> None:
    """The rest of a longer one is cut off without a word: a hole in every block."""
    frames = 96_000 * 60 // 1000
    assert len(wire.pack(wire.Block(0.0, 0, bytes(2 * 8 * frames)))) <= wire.LARGEST_BYTES
