"""No step in the sound, whatever is pushed and flushed when."""

from __future__ import annotations

import math
from array import array
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.soundhost.output_queue import AUDIBLE, FADE_S, OutputQueue, stereo

HZ = 48_000
PERIOD = 480
FADE = int(FADE_S * HZ)


def tone(frames: int, start: int = 0) -> array[int]:
    """100 Hz at a quarter of full scale, a cosine: it begins with a step."""
    return array("h", [round(8000 * math.cos(math.tau * 100 * (start + at) / HZ)) for at in range(frames)])


QUARTER = HZ // 400
"""Where that tone is zero."""

SLOPE = 8000 * math.tau * 100 / HZ + 8000 / FADE + 2
"""The steepest that tone and fade together can be."""


def steps(samples: array[int]) -> int:
    return max((abs(after - before) for before, after in pairwise(samples)), default=0)


def drain(queue: OutputQueue, blocks: int) -> array[int]:
    heard = array("h")
    for _ in range(blocks):
        block = queue.block(PERIOD)
        heard.extend(array("h", bytes(2 * PERIOD)) if block is None else block)
    return heard


def test_what_is_pushed_comes_out_unchanged_and_silence_is_none() -> None:
    queue = OutputQueue(HZ, 4800)
    sound = tone(1000)
    assert queue.block(PERIOD) is None
    queue.push(0, sound.tobytes())
    sound[-1] = 0
    assert drain(queue, 2) == sound[:960]
    assert queue.position == (0, 960, 40)


def test_a_flush_fades_what_was_queued_within_5_ms() -> None:
    queue = OutputQueue(HZ, 4800)
    queue.push(0, tone(2400).tobytes())
    heard = drain(queue, 2)
    queue.flush(1)
    heard.extend(drain(queue, 3))
    assert steps(heard) <= SLOPE
    assert heard[: 2 * PERIOD] == tone(2 * PERIOD)
    assert any(heard[2 * PERIOD :])
    assert not any(heard[2 * PERIOD + FADE :])
    assert queue.position == (1, 0, 0)
    assert queue.breaks == 0


@pytest.mark.parametrize("queued", [0, 7])
def test_a_flush_with_hardly_anything_queued_fades_from_the_last_sample(queued: int) -> None:
    queue = OutputQueue(HZ, 4800)
    queue.push(0, tone(PERIOD + queued).tobytes())
    heard = drain(queue, 1)
    queue.flush(1)
    heard.extend(drain(queue, 2))
    assert steps(heard) <= SLOPE
    assert not any(heard[PERIOD + FADE :])


def test_a_second_flush_does_not_prolong_the_first() -> None:
    queue = OutputQueue(HZ, 4800)
    queue.push(0, tone(2400).tobytes())
    heard = drain(queue, 1)
    queue.flush(1)
    queue.flush(2)
    heard.extend(drain(queue, 2))
    assert steps(heard) <= SLOPE
    assert not any(heard[PERIOD + FADE :])
    assert queue.position[0] == 2


def test_the_fade_goes_on_in_blocks_shorter_than_itself() -> None:
    queue = OutputQueue(HZ, 4800)
    queue.push(0, tone(2400).tobytes())
    heard = array("h")
    for at in range(8):
        if at == 3:
            queue.flush(1)
        heard.extend(queue.block(120) or array("h", bytes(240)))
    assert steps(heard) <= SLOPE
    assert not any(heard[3 * 120 + FADE :])


def test_after_a_flush_the_old_epoch_is_not_heard_and_the_new_one_is() -> None:
    queue = OutputQueue(HZ, 4800)
    queue.flush(1)
    queue.push(0, tone(PERIOD).tobytes())
    assert queue.block(PERIOD) is None
    queue.push(1, tone(PERIOD).tobytes())
    assert drain(queue, 1) == tone(PERIOD)
    assert queue.position == (1, PERIOD, 0)


def test_new_sound_follows_right_behind_the_fade() -> None:
    queue = OutputQueue(HZ, 4800)
    queue.push(0, tone(2400).tobytes())
    drain(queue, 1)
    queue.flush(1)
    queue.push(1, array("h", [5] * PERIOD).tobytes())
    assert drain(queue, 1)[FADE:] == array("h", [5] * (PERIOD - FADE))


def test_sound_that_breaks_off_fades_out_and_in_again_and_is_counted() -> None:
    queue = OutputQueue(HZ, 4800)
    queue.push(0, tone(700).tobytes())
    heard = drain(queue, 4)
    assert queue.breaks == 1
    queue.push(0, tone(PERIOD, start=700).tobytes())
    heard.extend(drain(queue, 1))
    assert steps(heard) <= SLOPE
    assert queue.breaks == 1


@pytest.mark.parametrize("end", [PERIOD + 1, PERIOD + 220, 2 * PERIOD - 1, 2 * PERIOD])
def test_a_flush_right_after_a_break_is_no_click(end: int) -> None:
    """What came after the break was never heard: there is nothing to fade out of."""
    queue = OutputQueue(HZ, 4800)
    queue.push(0, tone(end).tobytes())
    heard = drain(queue, 3)
    queue.push(0, tone(PERIOD, start=end).tobytes())
    queue.flush(1)
    heard.extend(drain(queue, 2))
    assert steps(heard) <= SLOPE
    assert not any(heard[3 * PERIOD :])


def test_a_flush_before_the_first_block_of_a_sound_is_no_click() -> None:
    queue = OutputQueue(HZ, 4800)
    queue.push(0, tone(2400).tobytes())
    queue.flush(1)
    assert queue.block(PERIOD) is None


def test_a_flush_amid_the_fade_in_after_a_break_is_no_click() -> None:
    queue = OutputQueue(HZ, 4800)
    queue.push(0, tone(700).tobytes())
    heard = drain(queue, 2)
    queue.push(0, tone(2400, start=700).tobytes())
    heard.extend(queue.block(120) or array("h"))
    queue.flush(1)
    heard.extend(drain(queue, 2))
    assert steps(heard) <= SLOPE


@given(st.lists(st.one_of(st.integers(1, 1000), st.sampled_from(["block", "block", "flush"])), max_size=60))
def test_there_is_no_step_whatever_is_pushed_and_flushed_when(doings: list[int | str]) -> None:
    queue = OutputQueue(HZ, 1_000_000)
    heard = array("h")
    epoch, begin = 0, QUARTER
    for doing in doings:
        if isinstance(doing, int):
            queue.push(epoch, tone(doing, begin).tobytes())
            begin += doing
        elif doing == "block":
            heard.extend(queue.block(PERIOD) or array("h", bytes(2 * PERIOD)))
        else:
            epoch += 1
            queue.flush(epoch)
            # A player begins anew at zero.
            begin = QUARTER
    assert steps(heard) <= SLOPE


def test_sound_that_ends_quietly_is_no_break() -> None:
    queue = OutputQueue(HZ, 4800)
    queue.push(0, array("h", [AUDIBLE] * 100).tobytes())
    drain(queue, 2)
    assert queue.breaks == 0


def test_more_than_the_bound_is_refused() -> None:
    queue = OutputQueue(HZ, 4800)
    queue.push(0, bytes(2 * 4800))
    with pytest.raises(OverflowError):
        queue.push(0, bytes(2))


def test_stereo() -> None:
    assert stereo(array("h", [1, -2])) == array("h", [1, 1, -2, -2])
