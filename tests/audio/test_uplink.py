"""What leaves the box, and at what pace."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.audio.format import bytes_from_frames, frames_from_ms
from appliance.audio.ring import Ring
from appliance.audio.uplink import BURST_FRAMES, Uplink
from appliance.audio.utterance import Utterance

APPEND_MS = 60
SHORTEST_BYTES = bytes_from_frames(frames_from_ms(APPEND_MS))


class Mouth:
    """A microphone in front of an uplink: one block a call, sample values count up."""

    def __init__(self) -> None:
        self.ring = Ring(24_000 * 5)
        self.uplink = Uplink(append_ms=APPEND_MS)
        self.utterance = Utterance(self.ring)
        self.now_s = 10.0

    def hears(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.02)):
            first = self.ring.end
            self.ring.write(np.arange(first, first + 480).astype(np.int16), self.now_s)
            self.now_s += 0.02

    def begins(self, *, opened: bool = True) -> None:
        self.utterance.begin(self.now_s - 0.3)
        self.uplink.begin(self.utterance)
        if opened:
            self.uplink.open()

    def sends(self) -> bytes:
        sent = b""
        while (chunk := self.uplink.next(self.now_s)) is not None:
            assert SHORTEST_BYTES <= len(chunk) <= bytes_from_frames(BURST_FRAMES)
            sent += chunk
        return sent


@pytest.fixture
def mouth() -> Mouth:
    mouth = Mouth()
    mouth.hears(1.0)
    return mouth


def test_nothing_leaves_before_it_is_opened(mouth: Mouth) -> None:
    mouth.begins(opened=False)
    mouth.hears(0.5)
    assert not mouth.sends()
    mouth.uplink.open()
    assert len(mouth.sends()) == 2 * 24 * 800


def test_live_audio_is_gathered_but_the_last_piece_is_not_waited_for(mouth: Mouth) -> None:
    mouth.begins()
    mouth.sends()
    mouth.hears(0.04)
    assert not mouth.sends()
    mouth.utterance.end(mouth.now_s - 0.01)
    assert len(mouth.sends()) == SHORTEST_BYTES
    assert mouth.uplink.finished


def test_the_last_piece_is_filled_up_with_zeros(mouth: Mouth) -> None:
    """The shortest that a public server takes is 2 048 bytes; it ends the connection on less."""
    mouth.begins()
    mouth.utterance.end(mouth.now_s + 0.11)
    mouth.hears(0.12)
    sent = np.frombuffer(mouth.sends(), np.int16)
    spoken = frames_from_ms(410)
    assert (sent[:spoken] == np.arange(24 * 700, 24 * 1110).astype(np.int16)).all()
    assert sent.size % 24 == 0 and sent.size > spoken and not sent[spoken:].any()
    assert mouth.uplink.finished


def test_an_end_that_is_still_to_come_is_waited_for_in_whole_pieces(mouth: Mouth) -> None:
    mouth.begins()
    mouth.sends()
    mouth.utterance.end(mouth.now_s + 0.2)
    mouth.hears(0.02)
    assert not mouth.sends() and not mouth.uplink.finished
    mouth.hears(0.04)
    assert len(mouth.sends()) == SHORTEST_BYTES


def test_what_is_left_of_one_stretch_leaves_with_the_beginning_of_the_next(mouth: Mouth) -> None:
    """In a repetition: only the end of the whole is filled up."""
    mouth.begins()
    mouth.utterance.end(mouth.now_s + 0.01)
    mouth.hears(1.0)
    mouth.utterance.resume(mouth.now_s - 0.3)
    mouth.hears(0.1)
    mouth.utterance.end(mouth.now_s)
    sent = np.frombuffer(mouth.sends(), np.int16)
    first, second = frames_from_ms(310), frames_from_ms(400)
    now = 24 * 2100
    assert (sent[:first] == np.arange(24 * 700, 24 * 1010).astype(np.int16)).all()
    assert (sent[first : first + second] == np.arange(now - second, now).astype(np.int16)).all()
    assert not sent[first + second :].any()


def test_zeros_follow_at_real_time_pace_only_when_asked_for(mouth: Mouth) -> None:
    mouth.begins()
    mouth.utterance.end(mouth.now_s)
    mouth.sends()
    assert mouth.uplink.due_s is None and not mouth.sends()
    mouth.uplink.start_silence(mouth.now_s)
    assert not mouth.sends()
    assert mouth.uplink.due_s == pytest.approx(mouth.now_s + 0.06)
    mouth.now_s += 0.5
    assert mouth.sends() == bytes(2 * 24 * 480)
    assert mouth.uplink.due_s == pytest.approx(mouth.now_s + 0.04)
    mouth.uplink.stop_silence()
    mouth.now_s += 0.5
    assert not mouth.sends()


def test_a_busy_loop_does_not_send_a_pause_that_nobody_made(mouth: Mouth) -> None:
    mouth.begins()
    mouth.utterance.end(mouth.now_s)
    mouth.sends()
    mouth.uplink.start_silence(mouth.now_s)
    mouth.now_s += 30
    assert len(mouth.sends()) == 2 * 24 * 960


def test_when_the_turn_is_over_nothing_leaves(mouth: Mouth) -> None:
    mouth.begins()
    mouth.uplink.start_silence(mouth.now_s)
    mouth.uplink.stop()
    mouth.now_s += 1
    assert not mouth.sends() and not mouth.uplink.finished and mouth.uplink.due_s is None
