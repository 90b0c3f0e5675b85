"""Times and losses from nothing but when reads come back."""

from __future__ import annotations

import random

import pytest

from appliance.soundhost.block_clock import BlockClock, BreakCounter

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


class Loudspeaker:
    """A card that plays, and a writer that waits for room in its buffer of 30 ms. ``true_hz``: as above."""

    period_frames = 480
    buffer_frames = 1440

    def __init__(self, true_hz: float = HZ) -> None:
        self.breaks = BreakCounter(HZ, self.period_frames)
        self.true_hz = true_hz
        self.now_s = 1000.0
        self.empty_s = 0.0
        """When it has played all that was written."""

    def write(self, late_s: float = 0.0, sounding: bool = True) -> None:
        """The next block. The writer comes back from it ``late_s`` after it could."""
        began_s = self.now_s
        room_s = self.empty_s - (self.buffer_frames - self.period_frames) / self.true_hz
        self.now_s = max(began_s, room_s)
        self.empty_s = max(self.empty_s, self.now_s) + self.period_frames / self.true_hz
        self.now_s += late_s
        room = self.buffer_frames - int(max(self.empty_s - self.now_s, 0) * self.true_hz)
        seen = room // self.period_frames * self.period_frames if sounding or self.breaks.undecided else 0
        self.breaks.wrote(began_s, self.now_s, seen, sounding)


@pytest.mark.parametrize("true_hz", [HZ, HZ * 1.0002, HZ * 0.9998])
def test_a_writer_that_is_late_by_less_than_the_buffer_breaks_nothing(true_hz: float) -> None:
    chance = random.Random(4)
    card = Loudspeaker(true_hz)
    for number in range(60_000):
        card.write(0.018 if number % 500 == 0 else chance.uniform(0, 0.004))
    assert card.breaks.count == 0


@pytest.mark.parametrize("late_s", [0.04, 0.05, 0.1, 0.3, 2.0])
def test_a_device_that_ran_dry_is_counted_once(late_s: float) -> None:
    card = Loudspeaker()
    for expected in (1, 2):
        for number in range(100):
            card.write(late_s if number == 50 else 0.0005)
        assert card.breaks.count == expected


def test_a_device_that_ran_dry_in_silence_is_nobodys_concern() -> None:
    card = Loudspeaker()
    for late_s in (0.2, 0.018, 0.012):
        for number in range(100):
            card.write(late_s if number == 50 else 0.0, sounding=False)
        for _ in range(100):
            card.write()
    assert card.breaks.count == 0
    for number in range(100):
        card.write(0.05 if number == 50 else 0.0)
    assert card.breaks.count == 1


def test_sound_from_the_first_block_on_is_no_break() -> None:
    """The buffer fills without a wait at first: a reply that goes on on a new device."""
    card = Loudspeaker()
    for _ in range(100):
        card.write(0.001)
    assert card.breaks.count == 0
