"""What leaves the box, and at what pace."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.audio.ring import Ring
from appliance.audio.uplink import BURST_FRAMES, Uplink
from appliance.audio.utterance import Utterance


class Mouth:
    """A microphone in front of an uplink: one block a call, sample values count up."""

    def __init__(self) -> None:
        self.ring = Ring(24_000 * 5)
        self.uplink = Uplink(append_ms=40)
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
            assert 0 < len(chunk) <= 2 * BURST_FRAMES
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
    mouth.hears(0.02)
    assert not mouth.sends()
    mouth.utterance.end(mouth.now_s - 0.01)
    assert len(mouth.sends()) == 2 * 240
    assert mouth.uplink.finished


def test_zeros_follow_at_real_time_pace_only_when_asked_for(mouth: Mouth) -> None:
    mouth.begins()
    mouth.utterance.end(mouth.now_s)
    mouth.sends()
    assert mouth.uplink.due_s is None and not mouth.sends()
    mouth.uplink.start_silence(mouth.now_s)
    assert not mouth.sends()
    assert mouth.uplink.due_s == pytest.approx(mouth.now_s + 0.04)
    mouth.now_s += 0.5
    assert mouth.sends() == bytes(2 * 24 * 500)
    mouth.uplink.stop_silence()
    mouth.now_s += 0.5
    assert not mouth.sends()


def test_a_busy_loop_does_not_send_a_pause_that_nobody_made(mouth: Mouth) -> None:
    mouth.begins()
    mouth.utterance.end(mouth.now_s)
    mouth.sends()
    mouth.uplink.start_silence(mouth.now_s)
    mouth.now_s += 30
    assert len(mouth.sends()) == 2 * 24_000


def test_when_the_turn_is_over_nothing_leaves(mouth: Mouth) -> None:
    mouth.begins()
    mouth.uplink.start_silence(mouth.now_s)
    mouth.uplink.stop()
    mouth.now_s += 1
    assert not mouth.sends() and not mouth.uplink.finished and mouth.uplink.due_s is None
