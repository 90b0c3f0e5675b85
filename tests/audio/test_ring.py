from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.audio.format import WIRE_HZ, s_from_frames
from appliance.audio.ring import Ring
from appliance.errors import AudioGoneError


def numbers(first: int, frames: int) -> npt.NDArray[np.int16]:
    """Samples that say which index they have (modulo 30 000), never 0."""
    return (np.arange(first, first + frames) % 30_000 + 1).astype(np.int16)


def filled(capacity: int, blocks: list[int], idle: int | None = None) -> Ring:
    ring = Ring(capacity, idle)
    for frames in blocks:
        ring.write(numbers(ring.end, frames), 10.0 + s_from_frames(ring.end))
    return ring


@given(st.integers(1, 50), st.lists(st.integers(0, 70), max_size=30))
def test_holds_the_newest_and_nothing_else(capacity: int, blocks: list[int]) -> None:
    ring = filled(capacity, blocks)
    assert ring.end == sum(blocks)
    assert ring.end - ring.start == min(capacity, sum(blocks))
    assert np.array_equal(ring.read(ring.start, capacity), numbers(ring.start, ring.end - ring.start))


def test_reading_stops_at_the_end_and_copies() -> None:
    ring = filled(100, [80])
    copy = ring.read(70, 50)
    assert np.array_equal(copy, numbers(70, 10))
    copy[:] = 0
    assert np.array_equal(ring.read(70, 50), numbers(70, 10))
    assert ring.read(80, 5).size == 0
    assert ring.read(200, 5).size == 0


def test_reading_what_is_gone_is_an_error() -> None:
    ring = filled(100, [80, 80])
    assert ring.start == 60
    with pytest.raises(AudioGoneError, match="1 frames"):
        ring.read(59, 1)


def test_idle_it_keeps_only_its_share_and_wipes_the_rest() -> None:
    ring = filled(1_000, [50] * 10, idle=120)
    assert (ring.start, ring.end) == (380, 500)
    assert np.count_nonzero(ring._samples) == 120


def test_held_it_keeps_everything_until_it_is_let_go() -> None:
    ring = filled(1_000, [50] * 10, idle=120)
    ring.hold(400)
    assert ring.start == 400
    for _ in range(8):
        ring.write(numbers(ring.end, 50), 10.0 + s_from_frames(ring.end))
    assert (ring.start, ring.end, ring.overwritten_frames) == (400, 900, 0)
    assert np.array_equal(ring.read(400, 500), numbers(400, 500))
    ring.hold(None)
    assert ring.start == 780
    assert np.count_nonzero(ring._samples) == 120


def test_overflow_counts_only_what_somebody_held() -> None:
    ring = filled(100, [100, 30])
    assert ring.overwritten_frames == 0
    ring.hold(50)
    ring.write(numbers(130, 25), 20.0)
    assert (ring.start, ring.overwritten_frames) == (55, 5)
    ring.write(numbers(155, 250), 20.1)
    assert (ring.start, ring.overwritten_frames) == (305, 255)


def test_an_index_by_time_and_back() -> None:
    ring = filled(WIRE_HZ, [480] * 10)
    for index in (0, 1, 479, 480, 2_000, 4_799):
        assert ring.index_at(ring.time_at(index)) == index
    assert ring.index_at(10.0 - 0.01) == -240
    assert ring.index_at(10.2 + 0.01) == 4_800 + 240
    assert ring.time_at(4_800 + 240) == pytest.approx(10.21)


def test_time_in_a_hole_is_the_first_frame_after_it() -> None:
    ring = Ring(WIRE_HZ)
    ring.write(numbers(0, 480), 10.0)
    ring.write(numbers(480, 480), 11.0)
    assert ring.index_at(10.019) == 456
    assert ring.index_at(10.5) == 480
    assert ring.index_at(10.999) == 480
    assert ring.index_at(11.01) == 720
    assert ring.time_at(479) == pytest.approx(10.0 + 479 / WIRE_HZ)
    assert ring.time_at(480) == 11.0


def test_time_never_runs_backwards_along_the_ring() -> None:
    ring = Ring(WIRE_HZ)
    ring.write(numbers(0, 480), 10.0)
    ring.write(numbers(480, 480), 9.0)
    assert ring.time_at(480) == 10.0
    assert ring.index_at(9.5) <= ring.index_at(10.0) <= ring.index_at(10.5)


@given(st.lists(st.tuples(st.integers(1, 600), st.floats(-0.005, 0.3)), min_size=1, max_size=20))
def test_index_at_rises_with_time_whatever_the_holes(blocks: list[tuple[int, float]]) -> None:
    ring = Ring(3_000)
    time_s = 5.0
    for frames, gap_s in blocks:
        time_s += gap_s
        ring.write(numbers(ring.end, frames), time_s)
        time_s += s_from_frames(frames)
    found = [ring.index_at(at_s) for at_s in np.linspace(4.5, time_s + 0.5, 300)]
    assert found == sorted(found)
    assert ring.index_at(time_s + 1.0) > ring.end


def test_anchors_do_not_pile_up() -> None:
    ring = filled(4_800, [480] * 1_000, idle=960)
    assert len(ring._anchors) <= 4


def test_nothing_written_yet() -> None:
    ring = Ring(100)
    assert ring.index_at(3.0) == 0
    assert ring.read(0, 10).size == 0
    with pytest.raises(AudioGoneError):
        ring.time_at(0)
