from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.audio.earcons import Earcon, earcon, tick
from appliance.audio.format import WIRE_HZ, frames_from_ms
from appliance.audio.player import FADE_FRAMES, Player
from appliance.audio.player_events import PlayerEvent, ReplyFinished, ReplyStarted, ReplyTruncated, ReplyUnderran
from appliance.audio.reply import ReplyBuffer

PERIOD = frames_from_ms(10)
QUEUE = frames_from_ms(60)

Int16 = npt.NDArray[np.int16]


def constant(milliseconds: float, value: int = 10_000) -> Int16:
    return np.full(frames_from_ms(milliseconds), value, dtype=np.int16)


def numbers(milliseconds: float) -> Int16:
    return (np.arange(frames_from_ms(milliseconds)) % 20_000 + 100).astype(np.int16)


class Card:
    """The speaker and its host: keeps 60 ms ahead, plays a period at a time, silence where there is nothing."""

    def __init__(self, player: Player) -> None:
        self.player = player
        self.queue = np.empty(0, dtype=np.int16)
        self.heard: list[Int16] = []
        self.played: list[Int16] = []
        """As ``heard``, without the silence that the host adds."""
        self.events: list[PlayerEvent] = []
        self.written = 0

    def run(self, milliseconds: float) -> Card:
        for _ in range(round(milliseconds / 10)):
            self.fill()
            played, self.queue = self.queue[:PERIOD], self.queue[PERIOD:]
            self.played.append(played)
            self.heard.append(np.concatenate((played, np.zeros(PERIOD - played.size, dtype=np.int16))))
            self.written += played.size
            self.player.played(self.written)
            self.events += self.player.take_events()
        return self

    def fill(self) -> None:
        taken = self.player.take(QUEUE - self.queue.size)
        assert taken.dtype == np.int16
        self.queue = np.concatenate((self.queue, taken))
        assert self.queue.size <= QUEUE

    def flush(self) -> None:
        self.queue = np.empty(0, dtype=np.int16)
        self.written = 0

    @property
    def sound(self) -> Int16:
        return np.concatenate(self.heard)


def playing(**settings: float) -> tuple[Player, Card]:
    player = Player(**settings)
    player.play()
    return player, Card(player)


def steepest(sound: Int16) -> int:
    return int(np.abs(np.diff(sound.astype(int), prepend=0, append=0)).max())


def area_ms(sound: Int16, value: int = 10_000) -> float:
    """Milliseconds of ``constant`` at full gain that the sound amounts to; a fade counts half of its 5 ms."""
    return float(sound.sum()) / value / 24


FADE_STEP = round(10_000 * np.pi / 2 / FADE_FRAMES) + 2
"""The steepest step of a fade of the constant: what ``steepest`` may find, where a click would be thousands."""


def test_a_reply_sounds_whole_and_once() -> None:
    player, card = playing()
    reply = numbers(500)
    for part in np.array_split(reply, 7):
        player.append("a", part.tobytes())
    player.end("a")
    card.run(600)
    inner = slice(FADE_FRAMES, reply.size - FADE_FRAMES)
    assert np.array_equal(card.sound[: reply.size][inner], reply[inner])
    assert not card.sound[reply.size :].any()
    assert card.events == [ReplyStarted("a"), ReplyFinished("a", reply.size)]
    assert player.idle
    assert player.written_s("a") == 0.5
    assert player.underruns == 0


def test_a_reply_shorter_than_the_prebuffer_is_heard_when_it_ends() -> None:
    player, card = playing()
    player.append("a", constant(40).tobytes())
    card.run(100)
    assert not card.sound.any()
    player.end("a")
    card.run(100)
    assert area_ms(card.sound) == pytest.approx(35, abs=0.1)
    assert steepest(card.sound) <= FADE_STEP
    assert card.events[-1] == ReplyFinished("a", frames_from_ms(40))


@pytest.mark.parametrize("frames", [1, 2, 100, 130])
def test_even_a_reply_shorter_than_its_fades_ends(frames: int) -> None:
    player, card = playing()
    player.append("a", np.full(frames, 10_000, dtype=np.int16).tobytes())
    player.end("a")
    card.run(30)
    assert steepest(card.sound) <= FADE_STEP
    assert ReplyFinished("a", frames) in card.events


def test_a_reply_of_nothing_ends_without_having_begun() -> None:
    player, card = playing()
    player.append("a", b"")
    player.end("a")
    assert card.run(20).events == [ReplyFinished("a", 0)]
    assert player.idle


def test_it_starts_when_the_prebuffer_is_full_and_not_before() -> None:
    player, card = playing(prebuffer_ms=60)
    player.append("a", constant(59).tobytes())
    card.run(50)
    assert not card.sound.any()
    player.append("a", constant(1).tobytes())
    card.run(10)
    assert card.sound.any()


def test_nothing_sounds_while_the_gate_is_closed() -> None:
    player = Player()
    card = Card(player)
    player.append("a", constant(500).tobytes())
    player.end("a")
    card.run(200)
    assert not card.sound.any()
    assert player.held_frames == frames_from_ms(500)
    player.play()
    card.run(600)
    assert card.events[-1] == ReplyFinished("a", frames_from_ms(500))


def test_hold_fades_out_and_play_goes_on_there() -> None:
    player, card = playing()
    reply = constant(500)
    player.append("a", reply.tobytes())
    player.end("a")
    card.run(100)
    player.hold()
    card.run(200)
    assert not card.sound[-PERIOD:].any()
    player.play()
    card.run(500)
    assert steepest(card.sound) <= FADE_STEP
    assert area_ms(card.sound) == pytest.approx(490, abs=0.1)
    assert player.underruns == 0


def test_starts_ends_and_gaps_do_not_click() -> None:
    """A constant is the hardest case: every edge is a full step unless it is faded."""
    player, card = playing()
    for length_ms in (100, 100, 120, 240, 480):
        player.append("a", constant(length_ms).tobytes())
        card.run(length_ms + 150)
    player.end("a")
    card.run(100)
    assert steepest(card.sound) <= FADE_STEP
    assert area_ms(card.sound) == pytest.approx(1015, abs=0.1)
    assert player.underruns == 5
    assert card.events[1] == ReplyUnderran("a", 1)
    assert card.events[-1] == ReplyFinished("a", frames_from_ms(1040))


def test_a_reply_that_arrives_too_slowly_goes_on_in_ever_longer_pieces() -> None:
    player, card = playing(prebuffer_ms=60)
    for _ in range(500):
        player.append("a", constant(8).tobytes())
        card.run(20)
    player.end("a")
    card.run(2000)
    assert player.underruns <= 6
    assert area_ms(card.sound) == pytest.approx(4000, abs=10 * player.underruns)


def test_after_an_underrun_the_prebuffer_fills_again() -> None:
    player, card = playing(prebuffer_ms=60)
    player.append("a", constant(100).tobytes())
    card.run(200)
    player.append("a", constant(50).tobytes())
    card.run(100)
    silent_from = frames_from_ms(100)
    assert not card.sound[silent_from:].any()
    player.append("a", constant(10).tobytes())
    card.run(20)
    assert card.sound[silent_from:].any()


def test_audio_that_arrives_just_in_time_is_no_underrun() -> None:
    """40 ms every 40 ms, after a first 80: as long as 20 ms are on their way it waits without a fade."""
    player, card = playing(prebuffer_ms=60)
    reply = numbers(1_000)
    player.append("a", reply[: frames_from_ms(80)].tobytes())
    for at_ms in range(80, 1_000, 40):
        card.run(40)
        player.append("a", reply[frames_from_ms(at_ms) : frames_from_ms(at_ms + 40)].tobytes())
    player.end("a")
    card.run(200)
    inner = slice(FADE_FRAMES, reply.size - FADE_FRAMES)
    assert player.underruns == 0
    assert np.array_equal(card.sound[: reply.size][inner], reply[inner])


def test_the_pause_before_the_end_of_a_reply_is_known_counts_once() -> None:
    """Everything was played, then ``end`` comes: the gap was real, and the reply is drained at that moment."""
    player, card = playing()
    player.append("a", constant(100).tobytes())
    card.run(300)
    assert player.underruns == 1
    assert ReplyFinished("a", frames_from_ms(100)) not in card.events
    player.end("a")
    assert player.take_events() == [ReplyFinished("a", frames_from_ms(100))]
    assert player.idle


def test_a_later_reply_queues_behind_the_first() -> None:
    player, card = playing()
    player.append("a", constant(100, 5_000).tobytes())
    player.append("b", constant(100, 9_000).tobytes())
    player.end("b")
    card.run(300)
    assert card.sound.max() == 5_000
    player.append("a", constant(50, 5_000).tobytes())
    player.end("a")
    card.run(300)
    assert [event for event in card.events if not isinstance(event, ReplyUnderran)] == [
        ReplyStarted("a"),
        ReplyFinished("a", frames_from_ms(150)),
        ReplyStarted("b"),
        ReplyFinished("b", frames_from_ms(100)),
    ]
    assert int(np.flatnonzero(card.sound == 5_000).max()) < int(np.flatnonzero(card.sound == 9_000).min())


def test_replies_one_after_the_other_leave_no_gap() -> None:
    player, card = playing()
    for name in "abc":
        player.append(name, constant(95).tobytes())
        player.end(name)
    card.run(400)
    assert area_ms(card.sound) == area_ms(card.sound[: frames_from_ms(285)]) == pytest.approx(270, abs=0.1)
    assert steepest(card.sound) <= FADE_STEP


def test_flush_forgets_everything_and_closes_the_gate() -> None:
    player, card = playing()
    player.append("a", constant(500).tobytes())
    player.append("b", constant(500).tobytes())
    player.earcon(earcon(Earcon.SENT))
    card.run(100)
    player.flush()
    card.flush()
    assert player.idle
    assert player.take(QUEUE).size == 0
    assert player.written_s("a") == pytest.approx(0.1 - 0.0, abs=0.08)
    player.play()
    assert player.append("a", constant(500).tobytes()) == 0
    assert player.append("b", constant(500).tobytes()) == 0
    player.append("c", constant(100).tobytes())
    player.end("c")
    before = len(card.events)
    card.run(200)
    assert card.events[before:] == [ReplyStarted("c"), ReplyFinished("c", frames_from_ms(100))]


def test_dropping_a_reply_that_waits_disturbs_nothing() -> None:
    player, card = playing()
    player.append("a", constant(200, 5_000).tobytes())
    player.end("a")
    player.append("b", constant(200, 9_000).tobytes())
    player.end("b")
    card.run(50)
    assert not player.drop("b")
    card.run(300)
    assert card.sound.max() == 5_000
    assert card.events == [ReplyStarted("a"), ReplyFinished("a", frames_from_ms(200))]
    assert player.idle


def test_dropping_the_reply_that_sounds_keeps_the_one_behind_it() -> None:
    player, card = playing()
    player.append("a", constant(200, 5_000).tobytes())
    player.append("b", constant(200, 9_000).tobytes())
    player.end("b")
    card.run(50)
    assert player.drop("a")
    card.flush()
    player.rewind(0)
    card.run(300)
    assert area_ms(card.sound[frames_from_ms(50) :], 9_000) == pytest.approx(195, abs=0.1)
    assert card.events[-1] == ReplyFinished("b", frames_from_ms(200))
    assert player.append("a", constant(10).tobytes()) == 0


def test_what_a_flush_of_the_host_took_from_another_reply_is_played_again() -> None:
    player, card = playing()
    player.append("a", constant(30, 5_000).tobytes())
    player.end("a")
    reply = numbers(300)
    player.append("b", reply.tobytes())
    player.end("b")
    card.run(10)
    assert player.drop("a")
    card.flush()
    player.rewind(0)
    card.heard.clear()
    card.run(400)
    inner = slice(FADE_FRAMES, reply.size - FADE_FRAMES)
    assert np.array_equal(card.sound[: reply.size][inner], reply[inner])


def test_a_reply_that_is_unknown_when_dropped_never_starts() -> None:
    player = Player()
    assert not player.drop("a")
    assert player.append("a", constant(100).tobytes()) == 0
    assert player.idle


def test_when_the_host_is_replaced_a_reply_goes_on_200_ms_back() -> None:
    player, card = playing()
    reply = numbers(800)
    for part in np.array_split(reply, 20):
        player.append("a", part.tobytes())
    player.end("a")
    card.run(500)
    written = card.written
    card.flush()
    card.heard.clear()
    player.rewind()
    assert player.written_s("a") == written / WIRE_HZ
    card.run(600)
    first = written - frames_from_ms(200)
    assert np.array_equal(
        card.sound[FADE_FRAMES : frames_from_ms(400)], reply[first:][FADE_FRAMES : frames_from_ms(400)]
    )
    assert card.events == [ReplyStarted("a"), ReplyFinished("a", reply.size)]


def test_a_host_that_fails_again_and_again_does_not_walk_the_reply_backwards() -> None:
    player, card = playing()
    reply = numbers(800)
    player.append("a", reply.tobytes())
    player.end("a")
    card.run(500)
    first = card.written - frames_from_ms(200)
    for progress_ms in (0, 50, 100, 0):
        card.flush()
        player.rewind()
        card.heard.clear()
        card.run(progress_ms)
    card.flush()
    player.rewind()
    card.heard.clear()
    card.run(600)
    assert np.array_equal(card.sound[FADE_FRAMES:4_800], reply[first:][FADE_FRAMES:4_800])
    assert card.events == [ReplyStarted("a"), ReplyFinished("a", reply.size)]


def test_a_reply_whose_last_queued_sample_was_just_written_is_cut_too() -> None:
    player, _ = playing()
    player.append("a", constant(400).tobytes())
    player.take(frames_from_ms(300))
    player.played(frames_from_ms(300))
    player.rewind()
    assert player.held_frames == frames_from_ms(300)


def test_a_gap_that_was_coming_when_the_host_failed_is_forgotten() -> None:
    player, card = playing()
    player.append("a", constant(100).tobytes())
    player.played(player.take(QUEUE).size)
    player.played(player.taken_frames + player.take(QUEUE).size)
    player.take(60)
    assert player.underruns == 1
    player.rewind()
    player.append("a", constant(100).tobytes())
    player.end("a")
    card.run(300)
    assert area_ms(card.sound) == pytest.approx(195, abs=0.1)


def test_an_earcon_that_the_host_lost_is_not_finished() -> None:
    player = Player()
    player.earcon(earcon(Earcon.SORRY))
    player.take(PERIOD)
    player.rewind()
    assert player.take(QUEUE).size == 0
    assert player.silent


def test_after_dropping_a_reply_with_nothing_on_its_way_the_next_one_starts_as_any_other() -> None:
    player, _ = playing()
    player.append("a", constant(200).tobytes())
    player.played(player.take(PERIOD).size)
    assert not player.drop("a")
    player.append("b", constant(20).tobytes())
    assert player.take(QUEUE).size == 0
    assert player.underruns == 0


def test_a_host_that_fails_in_a_pause_after_an_earlier_failure_loses_nothing() -> None:
    player, _ = playing()
    player.append("a", constant(500).tobytes())
    player.take(frames_from_ms(300))
    player.played(frames_from_ms(300))
    player.rewind()
    player.take(PERIOD)
    player.hold()
    player.take(PERIOD)
    assert player.silent
    player.rewind()
    assert player.held_frames == frames_from_ms(400)


def test_many_tiny_deltas_are_joined() -> None:
    reply = ReplyBuffer("a")
    for value in range(2_000):
        reply.add(np.array([value], dtype=np.int16))
    assert len(reply._ahead) <= 5
    assert np.array_equal(reply.take(2_000), np.arange(2_000))


def test_when_the_host_is_replaced_between_replies_nothing_is_repeated() -> None:
    player, card = playing()
    player.append("a", constant(100).tobytes())
    card.run(300)
    card.flush()
    card.heard.clear()
    player.rewind()
    player.end("a")
    card.run(100)
    assert not card.sound.any()
    assert card.events[-1] == ReplyFinished("a", frames_from_ms(100))


def test_an_earcon_sounds_with_the_gate_closed_and_marks_no_reply() -> None:
    player = Player()
    card = Card(player)
    player.append("a", constant(500).tobytes())
    player.earcon(earcon(Earcon.SORRY))
    player.earcon(earcon(Earcon.SENT))
    card.run(300)
    expected = np.concatenate((earcon(Earcon.SORRY), earcon(Earcon.SENT)))
    assert np.array_equal(card.sound[: expected.size], expected)
    assert card.events == []


def test_an_earcon_is_mixed_into_a_reply_that_sounds() -> None:
    player, card = playing()
    player.append("a", constant(500).tobytes())
    player.end("a")
    card.run(100)
    player.earcon(earcon(Earcon.SENT))
    card.run(500)
    start = frames_from_ms(150)
    difference = card.sound[start : start + earcon(Earcon.SENT).size] - 10_000
    assert np.array_equal(difference, earcon(Earcon.SENT))
    assert card.events[-1] == ReplyFinished("a", frames_from_ms(500))


def test_a_reply_waits_for_the_earcon_before_it() -> None:
    player, card = playing()
    player.earcon(earcon(Earcon.LISTENING))
    player.append("a", constant(300).tobytes())
    player.end("a")
    card.run(400)
    length = earcon(Earcon.LISTENING).size
    assert np.array_equal(card.sound[:length], earcon(Earcon.LISTENING))
    assert area_ms(card.sound[length:]) == pytest.approx(295, abs=0.1)


@pytest.mark.parametrize("late_ms", range(0, 60, 10))
def test_a_tick_is_over_before_the_first_sample_of_a_reply(late_ms: int) -> None:
    """Whatever is already on its way to the card when the reply comes."""
    player = Player()
    card = Card(player)
    player.earcon(tick())
    card.run(late_ms)
    player.append("a", constant(300).tobytes())
    player.end("a")
    player.play()
    card.run(500)
    assert np.array_equal(card.sound[: tick().size], tick())
    assert area_ms(card.sound[tick().size :]) == pytest.approx(295, abs=0.1)


def test_a_clip_that_is_hushed_is_gone_and_the_reply_behind_it_starts() -> None:
    player, card = playing()
    player.earcon(constant(4_000, 8_000))
    player.append("a", constant(300).tobytes())
    player.end("a")
    card.run(100)
    assert player.hush()
    card.flush()
    player.rewind(0)
    card.heard.clear()
    card.run(500)
    assert area_ms(card.sound) == pytest.approx(295, abs=0.1) and not (card.sound == 8_000).any()


def test_a_tone_that_the_card_has_not_played_to_its_end_can_still_be_cut() -> None:
    """All of it may be taken at once: what is on its way is what counts."""
    player = Player()
    player.earcon(constant(100))
    taken = player.take(frames_from_ms(200)).size
    player.played(taken - 1)
    assert player.hush()
    player.rewind(0)
    player.earcon(constant(100))
    player.played(player.take(frames_from_ms(200)).size)
    assert not player.hush()


def test_hushing_what_has_not_sounded_takes_nothing_from_the_card() -> None:
    player, card = playing()
    assert not player.hush()
    player.append("a", constant(300).tobytes())
    card.run(50)
    player.earcon(constant(100))
    assert not player.hush()
    player.end("a")
    card.run(400)
    assert area_ms(card.sound) == pytest.approx(295, abs=0.1)


def test_an_earcon_does_not_tear_a_reply_that_waits_for_its_next_samples() -> None:
    player, card = playing()
    player.append("a", constant(100).tobytes())
    card.run(50)
    player.earcon(np.zeros(frames_from_ms(100), dtype=np.int16))
    card.fill()
    player.append("a", constant(100).tobytes())
    player.end("a")
    card.run(300)
    assert area_ms(card.sound) == area_ms(card.sound[: frames_from_ms(200)]) == pytest.approx(195, abs=0.1)


def test_too_loud_a_mixture_is_clipped() -> None:
    player, card = playing()
    player.append("a", constant(200, 32_000).tobytes())
    player.end("a")
    card.run(10)
    player.earcon(earcon(Earcon.SENT))
    card.run(300)
    assert card.sound.max() == 32_767
    assert card.sound.min() >= 0


def test_the_volume_changes_smoothly_while_something_sounds() -> None:
    player, card = playing(volume=100)
    player.append("a", constant(500).tobytes())
    player.end("a")
    card.run(100)
    player.set_volume(50)
    card.run(500)
    assert steepest(card.sound) <= FADE_STEP
    assert card.sound[frames_from_ms(300)] == 1_250
    assert player.volume == 50


def test_the_volume_changes_at_once_in_silence() -> None:
    player, card = playing(volume=100)
    player.set_volume(50)
    player.append("a", constant(100).tobytes())
    player.end("a")
    card.run(150)
    assert card.sound.max() == 1_250


def test_volume_0_plays_silence_and_the_reply_still_ends() -> None:
    player, card = playing(volume=0)
    player.append("a", constant(100).tobytes())
    player.end("a")
    card.run(150)
    assert not card.sound.any()
    assert card.events[-1] == ReplyFinished("a", frames_from_ms(100))


def test_a_reply_beyond_the_bound_ends_there_and_says_so_once() -> None:
    player, card = playing(reply_buffer_s=1.0)
    assert player.append("a", numbers(900).tobytes()) == frames_from_ms(900)
    assert player.append("a", numbers(200).tobytes()) == frames_from_ms(100)
    card.run(500)
    assert player.append("a", numbers(200).tobytes()) == 0
    player.end("a")
    card.run(700)
    assert player.dropped_frames == frames_from_ms(300)
    assert [event for event in card.events if isinstance(event, ReplyTruncated)] == [ReplyTruncated("a")]
    assert card.events[-1] == ReplyFinished("a", frames_from_ms(1_000))
    assert player.underruns == 0


def test_a_reply_longer_than_the_bound_that_comes_no_faster_than_it_plays_is_kept() -> None:
    player, card = playing(reply_buffer_s=1.0)
    for _ in range(40):
        assert player.append("a", constant(100).tobytes()) == frames_from_ms(100)
        card.run(100)
    assert player.dropped_frames == 0


def test_half_a_sample_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="multiple"):
        Player().append("a", b"abc")


def test_whoever_empties_it_is_told_that_there_is_something() -> None:
    player = Player()
    calls: list[str] = []
    player.watch(lambda: calls.append("now"))
    player.append("a", constant(10).tobytes())
    player.end("a")
    player.play()
    player.earcon(earcon(Earcon.SENT))
    assert len(calls) == 4


def test_progress_that_runs_backwards_or_too_far_is_harmless() -> None:
    player, _ = playing()
    player.append("a", constant(100).tobytes())
    player.end("a")
    player.take(1_000)
    player.played(500)
    player.played(100)
    assert player.written_s("a") == 500 / WIRE_HZ
    player.played(10**9)
    assert player.written_s("a") == 1_000 / WIRE_HZ
    assert player.take_events() == [ReplyStarted("a")]


def test_silent_says_when_a_resampler_behind_may_be_flushed() -> None:
    player, card = playing()
    assert player.silent
    player.append("a", constant(100).tobytes())
    card.fill()
    assert not player.silent
    player.end("a")
    card.run(200)
    assert player.silent
    player.earcon(earcon(Earcon.SENT))
    player.take(100)
    assert not player.silent


def test_five_minutes_held_cost_no_more_than_one_second() -> None:
    """Taking a period depends on nothing that grows: no copy of what is held, no search through it."""

    def cost_s(seconds: int) -> float:
        player, _ = playing()
        for _ in range(seconds * 10):
            player.append("a", bytes(2 * frames_from_ms(100)))
        return min(timed(player) for _ in range(5))

    def timed(player: Player) -> float:
        began = time.process_time()
        for _ in range(15):
            player.take(PERIOD)
            player.played(player.taken_frames)
        return time.process_time() - began

    assert cost_s(300) < 20 * cost_s(1) + 0.002


def deliveries() -> st.SearchStrategy[list[tuple[int, int]]]:
    """(frames that arrive, milliseconds / 10 that pass then)."""
    return st.lists(st.tuples(st.integers(0, 4_000), st.integers(0, 25)), min_size=1, max_size=25)


@given(deliveries(), st.sampled_from([0, 60, 200]))
def test_however_it_arrives_every_sample_sounds_once_in_order(steps: list[tuple[int, int]], prebuffer_ms: int) -> None:
    """Silence may stand between, only after a counted underrun; a fade scales and neither skips nor repeats."""
    player, card = playing(prebuffer_ms=prebuffer_ms)
    sent = (np.arange(sum(frames for frames, _ in steps)) % 30_000 + 1).astype(np.int16)
    at = 0
    for frames, periods in steps:
        player.append("a", sent[at : at + frames].tobytes())
        at += frames
        card.run(periods * 10)
    player.end("a")
    card.run(sent.size / 24 + 100)
    assert card.events[-1] == ReplyFinished("a", sent.size)
    played = np.concatenate(card.played)
    assert played.size == sent.size
    assert (played <= sent).all()
    assert (played != sent).sum() <= 2 * FADE_FRAMES * (player.underruns + 1)
