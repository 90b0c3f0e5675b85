"""What the sound host says of what it plays: nothing left out, and each at its moment."""

from __future__ import annotations

from array import array

import pytest

from appliance.soundhost.messages import Written
from appliance.soundhost.written_sound import PIECE_S, WrittenSound

HZ = 48_000
PERIOD = 480
PERIOD_S = PERIOD / HZ


def block(value: int) -> array[int]:
    return array("h", [value]) * PERIOD


class Card:
    """Takes a block every 10 ms; ``told`` is what the host would send."""

    def __init__(self, period: int = PERIOD) -> None:
        self.written = WrittenSound(HZ, period)
        self.told: list[Written] = []
        self.now_s = 1000.0
        self.period_s = period / HZ

    def write(self, samples: array[int] | None, late_s: float = 0.0) -> None:
        began_s = self.now_s
        self.now_s += self.period_s
        self.told += self.written.wrote(began_s, self.now_s + late_s, 0, samples)


def samples(told: list[Written]) -> list[int]:
    return [sample for piece in told for sample in array("h", piece.pcm)]


def test_silence_is_not_told() -> None:
    card = Card()
    for _ in range(100):
        card.write(None)
    assert not card.told


def test_a_sound_is_told_whole_in_pieces_with_its_place_and_time() -> None:
    card = Card()
    for _ in range(7):
        card.write(None)
    for value in range(1, 6):
        card.write(block(value))
    card.write(None)
    assert samples(card.told) == [value for value in range(1, 6) for _ in range(PERIOD)]
    assert max(len(piece.pcm) for piece in card.told) == 2 * PIECE_S * HZ
    assert [piece.first_frame for piece in card.told] == [7 * PERIOD, 9 * PERIOD, 11 * PERIOD]
    for piece in card.told:
        assert piece.first_s == pytest.approx(1000.0 + piece.first_frame / HZ, abs=1e-6)


def test_what_is_written_waits_no_longer_than_a_piece() -> None:
    """Whoever listens takes it for known so soon after."""
    card = Card()
    for value in range(50):
        card.write(block(value + 1))
        assert card.now_s - 1000.0 - len(samples(card.told)) / HZ < PIECE_S


def test_a_write_that_comes_back_late_moves_nothing() -> None:
    card = Card()
    for number in range(100):
        card.write(block(1), late_s=0.004 if number % 7 == 3 else 0.0)
    for piece in card.told:
        assert piece.first_s == pytest.approx(1000.0 + piece.first_frame / HZ, abs=0.001)


def test_long_periods_are_pieces_of_their_own() -> None:
    card = Card(period=4 * PERIOD)
    card.write(array("h", [3]) * (4 * PERIOD))
    assert len(card.told) == 1


def test_after_a_rest_the_frames_have_gone_on_by_the_time() -> None:
    card = Card()
    for _ in range(10):
        card.write(block(1))
    card.now_s += 25.0
    card.written.rested()
    card.write(None)
    for _ in range(4):
        card.write(block(2))
    after = next(piece for piece in card.told if piece.first_frame > 10 * PERIOD)
    assert after.first_s == pytest.approx(1000.0 + after.first_frame / HZ, abs=1e-4)
    assert after.first_frame == pytest.approx((25.0 + 11 * PERIOD_S) * HZ, abs=2)


def test_a_device_that_starts_late_after_a_rest_moves_no_frame() -> None:
    """Its first writes come back late; the sound comes when that is over."""
    card = Card()
    for _ in range(10):
        card.write(block(1))
    card.now_s += 25.0
    card.written.rested()
    for number in range(20):
        card.write(None, late_s=0.012 if number < 3 else 0.0)
    for _ in range(4):
        card.write(block(2))
    after = next(piece for piece in card.told if piece.first_frame > 10 * PERIOD)
    assert after.first_s == pytest.approx(1000.0 + after.first_frame / HZ, abs=1e-4)


def test_a_break_ends_a_piece() -> None:
    """What follows a loss is another place."""
    card = Card()
    for _ in range(5):
        card.write(block(1))
    card.now_s += 0.2
    for _ in range(5):
        card.write(block(2))
    for piece in card.told:
        assert len(set(array("h", piece.pcm))) == 1
    assert samples(card.told) == [1] * (5 * PERIOD) + [2] * (4 * PERIOD), "the last waits for its piece"
