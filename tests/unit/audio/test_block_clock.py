"""Times and losses from nothing but when reads come back."""

from __future__ import annotations

import random

import pytest

from appliance.audio.block_clock import BlockClock

HZ = 48_000
PERIOD = 960
PERIOD_S = PERIOD / HZ


class Card:
    """A card that captures a period every 20 ms, and a reader that comes back for it ``late_s`` after it could.

    ``true_hz``: what its quartz makes of 48 000.
    """

    def __init__(self, true_hz: float = HZ) -> None:
        self.clock = BlockClock(HZ, PERIOD)
        self.true_hz = true_hz
        self.captured = 0
        """Frames the card has captured when the next read can come back, lost ones included."""
        self.now_s = 1000.0

    def read(self, late_s: float = 0.0) -> tuple[float, int, float]:
        """(time said, index said, time at which the block really began)."""
        began_s = self.now_s
        self.captured += PERIOD
        ready_s = 1000.0 + self.captured / self.true_hz
        self.now_s = max(ready_s, began_s) + late_s
        behind = int((self.now_s - ready_s) * self.true_hz)
        # What waits is there in whole periods only, as ALSA and PulseAudio count it.
        first_s, first = self.clock.block(began_s, self.now_s, PERIOD, behind // PERIOD * PERIOD)
        return first_s, first, ready_s - PERIOD_S

    def lose(self, frames: int) -> None:
        self.captured += frames


def test_a_steady_card() -> None:
    card = Card()
    for count in range(100):
        first_s, first, true_s = card.read()
        assert first == count * PERIOD
        assert first_s == pytest.approx(true_s, abs=1e-6)


def test_late_reads_do_not_move_the_times() -> None:
    card, chance = Card(), random.Random(1)
    card.read()
    for count in range(1, 3000):
        late_s = chance.choice([0.013, 0.019, 0.050, 0.3]) if chance.random() < 0.03 else chance.random() * 0.004
        first_s, first, true_s = card.read(late_s)
        assert first == count * PERIOD, "a late read is no lost frame"
        assert abs(first_s - true_s) < 0.002


def test_the_first_read_being_late_is_forgotten_at_once() -> None:
    card = Card()
    card.read(late_s=0.3)
    said = [card.read() for _ in range(25)]
    first_s, _, true_s = said[-1]
    assert first_s == pytest.approx(true_s, abs=1e-6)


@pytest.mark.parametrize("deviation", [-0.0005, 0.0005])
def test_a_card_whose_quartz_is_off_is_followed(deviation: float) -> None:
    card = Card(HZ * (1 + deviation))
    for count in range(60 * 50):
        first_s, first, true_s = card.read()
        assert first == count * PERIOD
        assert abs(first_s - true_s) < 0.002


@pytest.mark.parametrize(("frames", "blocks_later"), [(600, 3), (960, 3), (2000, 0), (4800, 0), (48_000 * 5, 0)])
def test_lost_frames_are_counted_once(frames: int, blocks_later: int) -> None:
    card = Card()
    for _ in range(50):
        card.read()
    card.lose(frames)
    for count in range(50, 50 + blocks_later):
        assert card.read()[1] == count * PERIOD
    for count in range(50 + blocks_later, 100):
        first_s, first, true_s = card.read()
        assert first == pytest.approx(count * PERIOD + frames, abs=5)
        assert first_s == pytest.approx(true_s, abs=0.001)


def test_a_stopped_reader_that_finds_everything_waiting_has_lost_nothing() -> None:
    card = Card()
    for _ in range(50):
        card.read()
    card.read(late_s=1.5)
    for count in range(51, 200):
        first_s, first, true_s = card.read()
        assert first == count * PERIOD
        assert abs(first_s - true_s) < 0.002
