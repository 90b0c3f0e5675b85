"""Messages between the daemon and a sound host: one datagram each, a letter, then a fixed header or JSON, then samples.

::

    daemon ─► host   o open {json}   l list   a pace <ms>  p samples <epoch> pcm   f flush <epoch>
    host ─► daemon   O opened {json}   D devices {json}   X failed {json}   T trying
                     S written <time, index> pcm
                     W waiting       R resting
                     B block <time, index> pcm             P played <epoch, written, queued, underruns, time>

The socket is SOCK_SEQPACKET: messages keep their edges, and a closed end is an empty read. Both ends run the same
code on the same machine, so that byte order and alignment are the machine's own. Times are CLOCK_MONOTONIC, which all
processes share. Standard library only; ValueError for what is no message.
"""

from __future__ import annotations

import json
import struct
from typing import Any, NamedTuple

from .devices import KINDS, Card, Device

LARGEST_BYTES = 98_304
"""Room for one message: 60 ms of eight channels at 96 kHz are 92 kB, of an ordinary card 4. The kernel's own limit for
a datagram is 208 kB."""

MOST_SAMPLES = 48_000
"""In one message; two bytes each, and its header."""

SILENCE_S = 0.060
"""From a flush until nothing leaves the speaker any more (decision 19), where the card's period and buffer allow it."""

AT_ONCE = 0
"""A pace: somebody talks with the box."""

HOLD = -1
"""A pace: nobody does, and nobody wants to hear the room."""


class Open(NamedTuple):
    """Daemon → host: find a device and open it. Answered by Opened or Failed; once opened, a host stays so."""

    device: str
    """As in ``devices.choose``."""
    rate_hz: int
    """0: 48 000 if the device can, else the best that it can."""
    channel: int
    """Of the microphone: this one is wanted, counted from 1; 0: all of them, to be mixed. A speaker ignores it."""
    period_ms: int
    level_percent: int = -1
    """The card's own volume is set to so much of its range, and unmuted; -1: left alone."""
    worst_rank: int = len(KINDS) - 1
    refused: tuple[str, ...] = ()
    """Both as in ``devices.Limits``."""
    idle_ms: int = 0
    """While the pace is not AT_ONCE: so much of a microphone's newest sound is held for HOLD, and a speaker that was
    silent for so long is stopped; 0: never."""
    tells_sound: bool = False
    """A speaker says what it plays: Written."""


class Opened(NamedTuple):
    """Host → daemon: the device runs from now on."""

    name: str
    usb_port: str
    note: str
    """As in ``devices.Choice``."""
    hz: int
    channels: int
    """Of the blocks of a microphone. A speaker is sent mono whatever the card has."""
    period_frames: int
    buffer_s: float
    """The device's buffer. Of a speaker: how long after it was written a frame leaves it at most."""
    level_note: str = ""
    """One line on why the card's own volume could not be set as asked; mostly empty."""


class Failed(NamedTuple):
    """Host → daemon: there is no such device now, or it cannot be opened, or it has just been lost."""

    reason: str
    """One line."""


class Trying(NamedTuple):
    """Host → daemon: all devices have been looked at. A call begins that is short, or never returns."""


class Waiting(NamedTuple):
    """Host → daemon: another sound host looks at the cards, and this one waits for its turn; or its turn has come."""


class Resting(NamedTuple):
    """Host → daemon: the device is open, and there is nothing to say of it: a sign of life."""


class Listing(NamedTuple):
    """Host → daemon: all there is; the devices that PortAudio leaves out are among them, UNLISTED."""

    devices: list[Device]
    cards: list[Card]


class Block(NamedTuple):
    """Host → daemon: what the microphone heard, interleaved int16."""

    first_s: float
    """When its first frame was heard: as exact as the reader's clock, and never later than the read that brought it."""
    first_frame: int
    """Frames before it since the device was opened, lost ones included: a gap in the count is a hole in the sound. What
    a HOLD has left out does not count."""
    pcm: bytes


class Written(NamedTuple):
    """Host → daemon: what a speaker was given that was no silence, mono int16, faded ends included."""

    first_s: float
    """When its first frame was given to the device, always as long before it is heard."""
    first_frame: int
    """Frames before it since the device was opened, silence and rest included."""
    pcm: bytes


class Pace(NamedTuple):
    """Daemon → host: how soon the device is wanted from now on. A host begins with AT_ONCE."""

    piece_ms: int
    """AT_ONCE: each block of a microphone when it is there, a speaker that runs. HOLD: a microphone says nothing, until
    another pace brings what it holds. Otherwise pieces of about so much. A speaker takes both for: it may rest."""


class Samples(NamedTuple):
    """Daemon → host: mono int16 at the device's rate, to be played after what is queued. Of an old epoch: ignored."""

    epoch: int
    pcm: bytes


class Flush(NamedTuple):
    """Daemon → host: forget what is queued, fade out, and begin a new epoch."""

    epoch: int


class Played(NamedTuple):
    """Host → daemon: how far it is. While idle a sign of life."""

    epoch: int
    written_frames: int
    """Given to the device in this epoch, silence not counted."""
    queued_frames: int
    underruns: int
    """Times since opening that sound broke off for want of samples, or that the device ran dry."""
    time_s: float
    """When it was so."""


ToHost = Open | Pace | Samples | Flush | None
FromDevice = Block | Played | Written
"""What a device says that runs."""
FromHost = Opened | Failed | Trying | Waiting | Resting | Listing | FromDevice

BLOCK = struct.Struct("=cdQ")
PLAYED = struct.Struct("=cIQIId")
EPOCH = struct.Struct("=cI")
PACE = struct.Struct("=ci")
LETTERS = {Open: b"o", Opened: b"O", Failed: b"X", Trying: b"T", Waiting: b"W", Resting: b"R", Listing: b"D"}
"""Of those whose fields follow as a JSON list."""
LIST = b"l"
"""Daemon → host: answer with a Listing."""


def pack(message: Open | Pace | Samples | Flush | FromHost) -> bytes:
    """The datagram of ``message``."""
    match message:
        case Block():
            return BLOCK.pack(b"B", *message[:2]) + message.pcm
        case Written():
            return BLOCK.pack(b"S", *message[:2]) + message.pcm
        case Played():
            return PLAYED.pack(b"P", *message)
        case Samples():
            return EPOCH.pack(b"p", message.epoch) + message.pcm
        case Flush():
            return EPOCH.pack(b"f", message.epoch)
        case Pace():
            return PACE.pack(b"a", message.piece_ms)
    return LETTERS[type(message)] + json.dumps(message).encode()


def unpack_for_host(datagram: bytes) -> ToHost:
    """What the daemon says; None is ``LIST``."""
    match datagram[:1]:
        case b"p":
            return Samples(EPOCH.unpack_from(datagram)[1], datagram[EPOCH.size :])
        case b"f":
            return Flush(EPOCH.unpack(datagram)[1])
        case b"o":
            request = Open(*_fields(datagram))
            return request._replace(refused=tuple(request.refused))
        case b"a":
            return Pace(PACE.unpack(datagram)[1])
        case b"l":
            return None
    raise ValueError(f"no message to a sound host: {datagram[:1]!r}")


def unpack_from_host(datagram: bytes) -> FromHost:
    """What a host says."""
    match datagram[:1]:
        case b"B":
            _, first_s, first_frame = BLOCK.unpack_from(datagram)
            return Block(first_s, first_frame, datagram[BLOCK.size :])
        case b"S":
            _, first_s, first_frame = BLOCK.unpack_from(datagram)
            return Written(first_s, first_frame, datagram[BLOCK.size :])
        case b"P":
            return Played(*PLAYED.unpack(datagram)[1:])
        case b"O":
            return Opened(*_fields(datagram))
        case b"X":
            return Failed(*_fields(datagram))
        case b"T":
            return Trying()
        case b"W":
            return Waiting()
        case b"R":
            return Resting()
        case b"D":
            devices, cards = _fields(datagram)
            return Listing([Device(*device) for device in devices], [Card(*card) for card in cards])
    raise ValueError(f"no message from a sound host: {datagram[:1]!r}")


def _fields(datagram: bytes) -> list[Any]:
    """A named tuple is a JSON list."""
    fields: list[Any] = json.loads(datagram[1:])
    return fields
