from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from appliance.audio.format import WIRE_HZ, frames_from_s, s_from_frames
from appliance.audio.ring import Ring
from appliance.audio.utterance import Utterance

PERIOD = 480
PRE_ROLL_S = 0.3


class Microphone:
    """Writes samples that say which index they have, one period after the other, from second 100 on."""

    def __init__(self, keep_s: float = 5.0) -> None:
        self.ring = Ring(frames_from_s(keep_s), frames_from_s(PRE_ROLL_S))
        self.hole_s = 0.0

    @property
    def now_s(self) -> float:
        return 100.0 + s_from_frames(self.ring.end) + self.hole_s

    def hear(self, seconds: float) -> None:
        for _ in range(round(seconds * WIRE_HZ / PERIOD)):
            self.ring.write(numbers(self.ring.end, PERIOD), self.now_s)


def numbers(first: int, frames: int) -> npt.NDArray[np.int16]:
    return (np.arange(first, first + frames) % 30_000 + 1).astype(np.int16)


def read_all(utterance: Utterance, at_a_time: int = 960) -> npt.NDArray[np.int16]:
    parts = []
    while (piece := utterance.next(at_a_time)) is not None:
        assert 0 < len(piece) <= 2 * at_a_time
        parts.append(np.frombuffer(piece, dtype="<i2"))
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int16)


def test_pre_roll_speech_and_tail_arrive_complete() -> None:
    microphone = Microphone()
    microphone.hear(1.0)
    press_s = microphone.now_s
    utterance = Utterance(microphone.ring)
    utterance.begin(press_s - PRE_ROLL_S)
    heard = [read_all(utterance)]
    for _ in range(20):
        microphone.hear(0.04)
        heard.append(read_all(utterance))
    utterance.end(microphone.now_s + 0.2)
    assert utterance.ended
    assert not utterance.complete
    microphone.hear(0.1)
    heard.append(read_all(utterance))
    assert not utterance.complete
    microphone.hear(0.4)
    heard.append(read_all(utterance))
    assert utterance.complete
    first = frames_from_s(1.0 - PRE_ROLL_S)
    assert np.array_equal(np.concatenate(heard), numbers(first, frames_from_s(PRE_ROLL_S + 0.8 + 0.2)))
    assert utterance.lost_frames == 0
    assert utterance.duration_s == PRE_ROLL_S + 0.8 + 0.2


def test_an_end_within_a_block_cuts_there() -> None:
    microphone = Microphone()
    microphone.hear(1.0)
    utterance = Utterance(microphone.ring)
    utterance.begin(microphone.now_s)
    utterance.end(microphone.now_s + 0.0333)
    microphone.hear(0.5)
    assert read_all(utterance).size == frames_from_s(0.0333)


def test_it_waits_as_long_as_the_link_needs_and_the_microphone_goes_on() -> None:
    microphone = Microphone(keep_s=5.0)
    microphone.hear(0.5)
    utterance = Utterance(microphone.ring)
    utterance.begin(microphone.now_s - PRE_ROLL_S)
    microphone.hear(4.0)
    utterance.end(microphone.now_s)
    assert utterance.available_frames == frames_from_s(4.0 + PRE_ROLL_S)
    microphone.hear(20.0)
    expected = numbers(frames_from_s(0.2), frames_from_s(4.3))
    assert np.array_equal(read_all(utterance), expected)
    utterance.rewind()
    assert not utterance.complete
    assert np.array_equal(read_all(utterance, 7_777), expected)
    assert utterance.lost_frames == 0
    assert microphone.ring.end - microphone.ring.start == frames_from_s(PRE_ROLL_S)


def test_what_the_ring_cannot_hold_is_counted_not_hidden() -> None:
    microphone = Microphone(keep_s=2.0)
    microphone.hear(0.5)
    utterance = Utterance(microphone.ring)
    utterance.begin(microphone.now_s)
    microphone.hear(3.0)
    assert utterance.available_frames == frames_from_s(2.0)
    assert read_all(utterance).size == frames_from_s(2.0)
    assert utterance.lost_frames == frames_from_s(1.0)
    assert microphone.ring.overwritten_frames == frames_from_s(1.0)


def test_what_was_sent_in_time_is_lost_only_to_a_repetition() -> None:
    microphone = Microphone(keep_s=2.0)
    microphone.hear(0.5)
    utterance = Utterance(microphone.ring)
    utterance.begin(microphone.now_s)
    sent = 0
    for _ in range(30):
        microphone.hear(0.1)
        sent += read_all(utterance).size
    assert (sent, utterance.lost_frames) == (frames_from_s(3.0), 0)
    utterance.rewind()
    assert read_all(utterance).size == frames_from_s(2.0)
    assert utterance.lost_frames == frames_from_s(1.0)


def test_a_second_press_goes_on_with_the_same_utterance() -> None:
    microphone = Microphone()
    microphone.hear(1.0)
    utterance = Utterance(microphone.ring)
    utterance.begin(microphone.now_s)
    microphone.hear(0.4)
    utterance.end(microphone.now_s)
    first = read_all(utterance)
    microphone.hear(1.0)
    assert utterance.complete
    utterance.resume(microphone.now_s - PRE_ROLL_S)
    assert not utterance.ended
    assert not utterance.complete
    microphone.hear(0.2)
    utterance.end(microphone.now_s)
    second = read_all(utterance)
    assert utterance.complete
    assert np.array_equal(first, numbers(frames_from_s(1.0), frames_from_s(0.4)))
    assert np.array_equal(second, numbers(frames_from_s(2.1), frames_from_s(0.5)))
    utterance.rewind()
    assert np.array_equal(read_all(utterance), np.concatenate((first, second)))


def test_a_second_press_reaching_back_reads_nothing_twice() -> None:
    microphone = Microphone()
    microphone.hear(1.0)
    utterance = Utterance(microphone.ring)
    utterance.begin(microphone.now_s)
    microphone.hear(0.4)
    utterance.end(microphone.now_s)
    microphone.hear(0.1)
    utterance.resume(microphone.now_s - PRE_ROLL_S)
    microphone.hear(0.1)
    assert np.array_equal(read_all(utterance), numbers(frames_from_s(1.0), frames_from_s(0.6)))


def test_a_press_within_the_tail_calls_the_end_off() -> None:
    microphone = Microphone()
    microphone.hear(1.0)
    utterance = Utterance(microphone.ring)
    utterance.begin(microphone.now_s)
    utterance.end(microphone.now_s + 0.2)
    microphone.hear(0.1)
    utterance.resume(microphone.now_s)
    microphone.hear(0.5)
    assert not utterance.ended
    assert read_all(utterance).size == frames_from_s(0.6)


def test_our_own_voice_is_left_out_before_anything_was_read() -> None:
    microphone = Microphone()
    microphone.hear(1.0)
    utterance = Utterance(microphone.ring)
    utterance.begin(microphone.now_s - PRE_ROLL_S)
    audible_until_s = microphone.now_s + 0.1
    utterance.not_before(audible_until_s)
    assert utterance.next(960) is None
    microphone.hear(0.06)
    assert utterance.next(960) is None
    utterance.not_before(audible_until_s + 0.05)
    microphone.hear(0.34)
    assert np.array_equal(read_all(utterance), numbers(frames_from_s(1.15), frames_from_s(0.25)))


def test_our_own_voice_is_left_out_after_something_was_read() -> None:
    microphone = Microphone()
    microphone.hear(1.0)
    utterance = Utterance(microphone.ring)
    utterance.begin(microphone.now_s - 0.1)
    first = read_all(utterance)
    utterance.not_before(microphone.now_s + 0.1)
    microphone.hear(0.4)
    utterance.end(microphone.now_s)
    second = read_all(utterance)
    assert np.array_equal(first, numbers(frames_from_s(0.9), frames_from_s(0.1)))
    assert np.array_equal(second, numbers(frames_from_s(1.1), frames_from_s(0.3)))
    utterance.rewind()
    assert np.array_equal(read_all(utterance), np.concatenate((first, second)))


def test_released_before_our_own_voice_has_died_away_is_an_empty_utterance() -> None:
    microphone = Microphone()
    microphone.hear(1.0)
    utterance = Utterance(microphone.ring)
    utterance.begin(microphone.now_s)
    utterance.not_before(microphone.now_s + 0.5)
    utterance.end(microphone.now_s + 0.2)
    microphone.hear(0.1)
    assert not utterance.complete
    microphone.hear(0.6)
    assert utterance.complete
    assert utterance.next(960) is None


def test_an_end_behind_what_was_already_read_takes_nothing_back() -> None:
    microphone = Microphone()
    microphone.hear(1.0)
    utterance = Utterance(microphone.ring)
    utterance.begin(microphone.now_s)
    microphone.hear(0.4)
    sent = read_all(utterance)
    utterance.end(microphone.now_s - 0.1)
    assert utterance.complete
    utterance.rewind()
    assert np.array_equal(read_all(utterance), sent)


def test_what_was_overwritten_and_is_our_own_voice_is_no_loss() -> None:
    microphone = Microphone(keep_s=1.0)
    microphone.hear(1.0)
    utterance = Utterance(microphone.ring)
    utterance.begin(microphone.now_s)
    microphone.hear(1.5)
    utterance.not_before(microphone.now_s - 0.2)
    assert read_all(utterance).size == frames_from_s(0.2)
    assert utterance.lost_frames == 0


def test_an_earcon_of_ours_is_heard_as_silence() -> None:
    microphone = Microphone()
    microphone.hear(1.0)
    utterance = Utterance(microphone.ring)
    utterance.begin(microphone.now_s)
    utterance.mask(microphone.now_s + 0.1, microphone.now_s + 0.15)
    microphone.hear(0.4)
    expected = numbers(frames_from_s(1.0), frames_from_s(0.4))
    expected[frames_from_s(0.1) : frames_from_s(0.15)] = 0
    assert np.array_equal(read_all(utterance), expected)
    utterance.end(microphone.now_s)
    utterance.rewind()
    microphone.hear(2.0)
    assert np.array_equal(read_all(utterance), expected)


def test_a_hole_at_the_end_does_not_keep_it_waiting() -> None:
    microphone = Microphone()
    microphone.hear(1.0)
    utterance = Utterance(microphone.ring)
    utterance.begin(microphone.now_s)
    microphone.hear(0.2)
    utterance.end(microphone.now_s + 0.1)
    microphone.hole_s = 1.0
    microphone.hear(0.02)
    assert np.array_equal(read_all(utterance), numbers(frames_from_s(1.0), frames_from_s(0.2)))
    assert utterance.complete


def test_a_tail_that_never_comes_is_given_up_and_nothing_else() -> None:
    microphone = Microphone()
    microphone.hear(1.0)
    utterance = Utterance(microphone.ring)
    utterance.cut()
    start_s = microphone.now_s - PRE_ROLL_S
    utterance.begin(start_s)
    microphone.hear(1.0)
    utterance.cut()
    assert not utterance.ended, "a press that still lasts has no tail"
    utterance.end(microphone.now_s + 0.2)
    microphone.hear(0.1)
    heard = read_all(utterance)
    assert not utterance.complete
    utterance.cut()
    assert utterance.complete and heard.size == frames_from_s(1.4)
    microphone.hear(1.0)
    utterance.cut()
    assert utterance.complete and read_all(utterance).size == 0


def test_a_press_before_the_microphone_was_ever_heard() -> None:
    microphone = Microphone()
    utterance = Utterance(microphone.ring)
    utterance.begin(99.9)
    assert utterance.next(960) is None
    assert not utterance.complete
    microphone.hear(1.0)
    utterance.end(microphone.now_s)
    assert read_all(utterance).size == frames_from_s(1.0)


def test_closed_it_forgets_and_frees_the_ring() -> None:
    microphone = Microphone()
    microphone.hear(1.0)
    utterance = Utterance(microphone.ring)
    utterance.begin(microphone.now_s)
    microphone.hear(2.0)
    utterance.close()
    assert utterance.next(960) is None
    assert (utterance.available_frames, utterance.duration_s) == (0, 0.0)
    assert microphone.ring.end - microphone.ring.start == frames_from_s(PRE_ROLL_S)


def test_ended_stretches_are_bounded_by_the_ring_s_size() -> None:
    microphone = Microphone(keep_s=2.0)
    microphone.hear(0.5)
    utterance = Utterance(microphone.ring)
    utterance.begin(microphone.now_s)
    for _ in range(4):
        microphone.hear(0.8)
        utterance.end(microphone.now_s)
        microphone.hear(0.5)
        utterance.resume(microphone.now_s)
    assert utterance.duration_s == 1.6
    assert read_all(utterance).size == frames_from_s(1.6)
    assert utterance.lost_frames == frames_from_s(1.6)


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(1, 2_000), st.booleans()), max_size=25))
def test_however_it_is_read_it_is_the_same(steps: list[tuple[int, int, bool]]) -> None:
    """Any portions, interleaved with hearing, begun again at will: each sample once and in order."""
    microphone = Microphone()
    microphone.hear(0.4)
    utterance = Utterance(microphone.ring)
    utterance.begin(microphone.now_s - PRE_ROLL_S)
    got = b""
    for periods, frames, again in steps:
        microphone.hear(periods * PERIOD / WIRE_HZ)
        if again:
            utterance.rewind()
            got = b""
        got += utterance.next(frames) or b""
    utterance.end(microphone.now_s)
    got += read_all(utterance).tobytes()
    first = frames_from_s(0.1)
    assert np.array_equal(np.frombuffer(got, dtype="<i2"), numbers(first, microphone.ring.end - first))
