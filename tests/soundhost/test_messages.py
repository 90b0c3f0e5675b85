"""Every message survives the wire, and nothing else is taken for one."""

from __future__ import annotations

import pytest

from appliance.soundhost import messages
from appliance.soundhost.devices import Card, Device

TO_HOST = [
    messages.Open("usb:1-1.2", 0, 2, 20),
    messages.Samples(7, b"\x01\x02\x03\x04"),
    messages.Open("auto", 0, 0, 20, worst_rank=0, refused=("1-1.3", "Headphones")),
    messages.Open("auto", 0, 0, 20, idle_ms=400),
    messages.Flush(4_000_000_000),
    messages.Pace(200),
    messages.Pace(messages.HOLD),
]
FROM_HOST = [
    messages.Opened("മൈക്ക്: USB Audio (hw:1,0)", "1-1.2", "", 44_100, 2, 882, 0.04),
    messages.Failed('no microphone "x"; there is none at all'),
    messages.Listing(
        [Device(0, "usbmic", 1, 0, 48_000)], [Card(2, "Device", "USB-Audio", "USB PnP Sound Device", "1-1.3")]
    ),
    messages.Listing([], []),
    messages.Trying(),
    messages.Waiting(),
    messages.Resting(),
    messages.Block(12345.678901234, 1 << 40, bytes(range(256)) * 20),
    messages.Played(3, 1 << 40, 2880, 1, 12345.678901234),
    messages.Written(12345.678901234, 1 << 40, b"\x01\x02" * 960),
]


@pytest.mark.parametrize("message", TO_HOST, ids=lambda message: type(message).__name__)
def test_to_the_host(message: messages.Open | messages.Pace | messages.Samples | messages.Flush) -> None:
    assert messages.unpack_for_host(messages.pack(message)) == message
    assert type(messages.unpack_for_host(messages.pack(message))) is type(message)


@pytest.mark.parametrize("message", FROM_HOST, ids=lambda message: type(message).__name__)
def test_from_the_host(message: messages.FromHost) -> None:
    assert messages.unpack_from_host(messages.pack(message)) == message
    assert type(messages.unpack_from_host(messages.pack(message))) is type(message)


def test_the_question_for_devices_is_none() -> None:
    assert messages.unpack_for_host(messages.LIST) is None


def test_anything_else_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="no message"):
        messages.unpack_for_host(messages.pack(messages.Played(0, 0, 0, 0, 0.0)))
    with pytest.raises(ValueError, match="no message"):
        messages.unpack_from_host(messages.pack(messages.Flush(0)))


def test_the_largest_block_that_can_be_configured_is_one_message() -> None:
    """The rest of a longer one is cut off without a word: a hole in every block."""
    frames = 96_000 * 60 // 1000
    assert len(messages.pack(messages.Block(0.0, 0, bytes(2 * 8 * frames)))) <= messages.LARGEST_BYTES
