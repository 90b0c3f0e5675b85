"""How soon a microphone's blocks leave its host, and what of them."""

from __future__ import annotations

from appliance.soundhost import messages
from appliance.soundhost.hand_over import HandOver

HZ = 1000
PERIOD = 20
"""Frames of a block, which are milliseconds here."""


class Room:
    """A microphone of one channel, whose frames say which they are."""

    def __init__(self, kept_frames: int = 50) -> None:
        self.put: list[messages.Block] = []
        self.hand_over = HandOver(self.put.append, HZ, 2, kept_frames)
        self.heard = 0

    def hears(self, blocks: int, lost: int = 0) -> None:
        self.heard += lost
        for _ in range(blocks):
            frames = range(self.heard, self.heard + PERIOD)
            pcm = b"".join(frame.to_bytes(2, "little") for frame in frames)
            self.hand_over.add(messages.Block(self.heard / HZ, self.heard, pcm))
            self.heard += PERIOD

    def frames(self) -> list[int]:
        pcm = b"".join(block.pcm for block in self.put)
        return [int.from_bytes(pcm[at : at + 2], "little") for at in range(0, len(pcm), 2)]


def test_at_once_each_block_is_a_message() -> None:
    room = Room()
    room.hears(3)
    assert [block.first_frame for block in room.put] == [0, 20, 40]


def test_in_pieces_they_are_joined() -> None:
    room = Room()
    room.hand_over.go_by(60)
    room.hears(5)
    assert [(block.first_s, block.first_frame, len(block.pcm) // 2) for block in room.put] == [(0.0, 0, 60)]
    room.hand_over.go_by(messages.AT_ONCE)
    assert room.frames() == list(range(100)), "what waited is there, with nobody waiting for another block"


def test_held_back_nothing_leaves_and_the_newest_is_there_when_it_is_wanted() -> None:
    room = Room(kept_frames=50)
    room.hears(1)
    room.hand_over.go_by(messages.HOLD)
    room.hears(500)
    assert room.frames() == list(range(20))
    room.hand_over.go_by(messages.AT_ONCE)
    assert room.frames()[20:] == list(range(room.heard - 60, room.heard)), "whole blocks, at least what is to be kept"
    assert room.put[1].first_s == (room.heard - 60) / HZ


def test_what_was_held_back_is_no_hole_and_what_was_lost_is_one() -> None:
    room = Room()
    room.hears(1)
    room.hand_over.go_by(messages.HOLD)
    room.hears(100)
    room.hears(1, lost=7)
    room.hand_over.go_by(messages.AT_ONCE)
    room.hears(1)
    assert [(block.first_frame, len(block.pcm) // 2) for block in room.put] == [(0, 20), (20, 40), (67, 20), (87, 20)]


def test_a_message_never_becomes_too_large() -> None:
    room = Room()
    room.hand_over.go_by(60_000)
    room.hears(messages.MOST_SAMPLES // PERIOD + 1)
    room.hand_over.go_by(messages.AT_ONCE)
    assert [len(block.pcm) // 2 for block in room.put] == [messages.MOST_SAMPLES, PERIOD]
    assert all(len(messages.pack(block)) <= messages.LARGEST_BYTES for block in room.put)


def test_long_reads_are_for_what_waits_longer_anyway() -> None:
    room = Room()
    patient = []
    for piece_ms in (messages.AT_ONCE, 60, 200, messages.HOLD):
        room.hand_over.go_by(piece_ms)
        patient.append(room.hand_over.is_patient(3 * PERIOD))
    assert patient == [False, False, True, True]
