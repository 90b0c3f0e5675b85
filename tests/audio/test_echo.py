"""The echo canceller behind two cards with two clocks, in made rooms: what it takes out, what it lets through, and that
it knows when it cannot be relied upon. The canceller itself, AEC3, is the real one."""

from __future__ import annotations

import asyncio
import heapq
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pytest

from appliance.audio import echo
from appliance.audio.echo import DELAY_FRAMES, FRAME, EchoCanceller, Reference, Samples
from appliance.audio.format import WIRE_HZ, frames_from_s, s_from_frames
from appliance.audio.microphone import Microphone
from appliance.audio.player import Player
from appliance.audio.resample import Resampler
from appliance.audio.ring import Ring
from appliance.audio.speaker import Speaker
from appliance.config import loader
from appliance.simulator import voices
from appliance.simulator.acoustic_path import AcousticPath, Path, Sound
from appliance.simulator.virtual_card import VirtualCard
from appliance.soundhost.block_clock import BlockClock
from appliance.soundhost.messages import Written
from appliance.soundhost.written_sound import WrittenSound
from tests.support import acoustics
from tests.support.sound_host import speaker_settings, until

pytest.importorskip("pywebrtc_audio")

HZ = 48_000
PLAYED, READ = 480, 960
BUFFER_S = 0.030
ROOMS = [
    Path(0.0),
    Path(6.0, rt60_s=0.5, saturation=0.3),
    Path(0.0, rt60_s=0.75, delay_s=0.1),
    Path(-12.0, delay_s=0.03),
]


def replies(seconds: float, dbfs: float = -20.0) -> Sound:
    """The recorded voices, one after the other, with pauses of 0.3 s."""
    pause = np.zeros(frames_from_s(0.3))
    said = [np.concatenate((acoustics.spoken(name, dbfs), pause)) for name in voices.recordings()]
    return np.resize(np.concatenate(said), frames_from_s(seconds))


def waiting(late_s: float, period: int) -> int:
    """Frames that a card has, or has room for, so long after it was ready: whole periods, as ALSA counts."""
    return int(late_s * HZ) // period * period


@dataclass
class Desk:
    """A speaker and a microphone, each with a card and a clock of its own, and a canceller that is told of both.

    ``said``: by a person at the microphone, at WIRE_HZ. ``late``: that share of reads and writes comes back up to 15 ms
    late. Times are those of a perfect clock.
    """

    played: Sound
    path: Path
    said: Sound | None = None
    drift_ppm: float = 0.0
    late: float = 0.0
    canceller: EchoCanceller = field(default_factory=lambda: EchoCanceller(echo.webrtc()))
    heard: list[Samples] = field(default_factory=list)
    left: list[tuple[float, Samples]] = field(default_factory=list)

    def run(self, until_s: float | None = None) -> None:
        """All of it."""
        self.canceller.opened(HZ, BUFFER_S)
        events = heapq.merge(self._writes(), self._reads(), key=lambda event: event[0])
        for at_s, event in events:
            if until_s is not None and at_s > until_s:
                break
            event()

    def _lateness(self, seed: int) -> Iterator[float]:
        random = np.random.default_rng(seed)
        while True:
            yield 0.015 * random.random() if random.random() < self.late else 0.0005 * random.random()

    def _writes(self) -> Iterator[tuple[float, Callable[[], object]]]:
        device = Resampler(WIRE_HZ, HZ).process(acoustics.to_int16(self.played))
        told, lateness, before_s = WrittenSound(HZ, PLAYED), self._lateness(1), 0.0
        for at in range(0, device.size - PLAYED, PLAYED):
            block = device[at : at + PLAYED]
            ready_s = (at + PLAYED) / HZ
            returned_s = max(ready_s, before_s) + next(lateness)
            samples = array("h", block.tobytes()) if block.any() else None
            messages = told.wrote(before_s, returned_s, waiting(returned_s - ready_s, PLAYED), samples)
            before_s = returned_s
            yield returned_s, partial(self._tell, messages)

    def _reads(self) -> Iterator[tuple[float, Callable[[], object]]]:
        hz = HZ * (1 + self.drift_ppm * 1e-6)
        path = AcousticPath(self.path, WIRE_HZ)
        room = path.hears(self.played)
        clock, lateness, before_s, step = BlockClock(HZ, READ), self._lateness(2), 0.0, READ // 2
        hiss = np.random.default_rng(3)
        for number in range(self.played.size // step - 2):
            at_s = (number * step + np.arange(step)) / (hz / 2)
            sound = np.interp((at_s - BUFFER_S) * WIRE_HZ, np.arange(room.size), room) + 4 * hiss.normal(size=step)
            if self.said is not None:
                sound += self.said[number * step : (number + 1) * step]
            ready_s = (number + 1) * READ / hz
            returned_s = max(ready_s, before_s) + next(lateness)
            first_s, _ = clock.block(before_s, returned_s, READ, waiting(returned_s - ready_s, READ))
            before_s = returned_s
            yield returned_s, partial(self._hear, acoustics.to_int16(sound), first_s)

    def _tell(self, messages: list[Written]) -> None:
        for each in messages:
            self.canceller.reference.written(*each)

    def _hear(self, samples: Samples, first_s: float) -> None:
        self.heard.append(samples)
        left, left_s = self.canceller.process(samples, first_s)
        self.left.append((left_s, left))

    def removed_db(self, from_s: float, until_s: float) -> float:
        """How much less is left than was heard, in that time."""
        heard, left = np.concatenate(self.heard), np.concatenate([samples for _, samples in self.left])
        part = slice(frames_from_s(from_s), frames_from_s(until_s))
        return level_db(heard[part]) - level_db(left[part])


def level_db(samples: Samples) -> float:
    return float(10 * np.log10(np.mean(samples.astype(float) ** 2) + 1e-9))


@pytest.mark.parametrize("path", ROOMS)
def test_an_echo_is_taken_out(path: Path) -> None:
    desk = Desk(replies(16.0), path)
    desk.run()
    assert desk.canceller.settled
    assert desk.removed_db(8.0, 15.0) > 20
    assert not desk.canceller.passed_since(12.5)


@pytest.mark.parametrize("drift_ppm", [-100.0, 100.0])
def test_clocks_that_do_not_agree(drift_ppm: float) -> None:
    """After twenty seconds they are apart by 2 ms, a fifth of the canceller's piece."""
    desk = Desk(replies(20.0), ROOMS[0], drift_ppm=drift_ppm)
    desk.run()
    assert desk.canceller.settled
    assert desk.removed_db(12.0, 19.0) > 25


def test_reads_and_writes_that_come_back_late() -> None:
    desk = Desk(replies(16.0), ROOMS[0], late=0.2)
    desk.run()
    assert desk.canceller.settled
    assert desk.removed_db(8.0, 15.0) > 20


@pytest.mark.parametrize("ratio_db", [0.0, 6.0])
def test_who_talks_over_an_answer_is_heard(ratio_db: float) -> None:
    said = np.zeros(frames_from_s(16.0))
    question = acoustics.spoken(voices.questions()[0].name, -20.0 + ratio_db)
    begin = frames_from_s(10.0)
    said[begin : begin + question.size] = question
    desk = Desk(replies(16.0), ROOMS[0], said)
    desk.run(10.0 + s_from_frames(question.size))
    assert desk.canceller.passed_since(10.0)
    left = np.concatenate([samples for _, samples in desk.left])[begin + DELAY_FRAMES :][: question.size - 2_400]
    clean = question[: left.size]
    likeness = float(np.corrcoef(left, clean)[0, 1])
    assert likeness > 0.6


def test_nothing_played_changes_nothing_but_the_time() -> None:
    canceller = EchoCanceller(lambda near, far: np.zeros_like(near))
    sound = np.arange(1, 5_000, dtype=np.int16)
    pieces = np.split(sound, [7, 480, 481, 2_000])
    left: list[Samples] = []
    at = 0
    for piece in pieces:
        samples, first_s = canceller.process(piece, s_from_frames(at))
        if samples.size:
            first = sum(each.size for each in left)
            assert first_s == pytest.approx(s_from_frames(first - DELAY_FRAMES))
        left.append(samples)
        at += piece.size
    whole = np.concatenate(left)
    assert whole.size == sound.size // FRAME * FRAME
    assert not whole[:DELAY_FRAMES].any()
    assert np.array_equal(whole[DELAY_FRAMES:], sound[: whole.size - DELAY_FRAMES])


def test_it_runs_only_while_something_sounds() -> None:
    asked = []

    def cancel(near: Samples, far: Samples) -> Samples:
        asked.append(near.size)
        return near

    played = np.concatenate((np.zeros(WIRE_HZ), replies(1.0), np.zeros(3 * WIRE_HZ)))
    desk = Desk(played, ROOMS[0], canceller=EchoCanceller(cancel))
    desk.run()
    assert s_from_frames(sum(asked)) == pytest.approx(1.0 + echo.TAIL_S + echo.LAG_S, abs=0.25)


def test_short_tones_settle_nothing() -> None:
    canceller = EchoCanceller(lambda near, far: near)
    tones = [np.concatenate((replies(0.1), np.zeros(WIRE_HZ))) for _ in range(8)]
    Desk(np.concatenate(tones), ROOMS[0], canceller=canceller).run()
    assert not canceller.settled


def test_another_speaker_is_learned_anew() -> None:
    canceller = EchoCanceller(lambda near, far: near)
    desk = Desk(replies(5.0), ROOMS[0], canceller=canceller)
    desk.run()
    assert canceller.settled
    canceller.opened(44_100, BUFFER_S)
    assert not canceller.settled


def test_a_jump_in_time_unsettles_it() -> None:
    canceller = EchoCanceller(lambda near, far: near)
    desk = Desk(replies(5.0), ROOMS[0], canceller=canceller)
    desk.run(4.5)
    assert canceller.settled
    canceller.process(np.zeros(480, dtype=np.int16), 4.6)
    assert not canceller.settled


@pytest.mark.parametrize("hz", [48_000, 44_100, 16_000])
def test_what_was_played_is_found_again_by_time(hz: int) -> None:
    reference, tone = Reference(), 8_000 * np.sin(2 * np.pi * 440 * np.arange(hz) / hz)
    reference.opened(hz)
    piece = hz // 50
    for at in range(0, hz, piece):
        reference.written(10 + at / hz, at, acoustics.to_int16(tone[at : at + piece]).tobytes())
    # After half a second of silence once more.
    reference.written(11.5, hz + hz // 2, acoustics.to_int16(tone[:piece]).tobytes())
    for time_s, loud in ((10.5, True), (11.2, False), (11.507, True)):
        frame = reference.frame_at(time_s)
        assert frame is not None
        assert (level_db(reference.read(frame, FRAME)) > 60) == loud
    assert not reference.read(reference.end, FRAME).any()
    assert not reference.read(-5_000_000, FRAME).any()


async def test_a_speaker_that_has_rested_is_where_it_was(
    virtual_card: VirtualCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real hosts: the device is stopped between two conversations; the canceller is relied upon from the first word."""
    monkeypatch.setattr("appliance.audio.speaker.REST_AFTER_S", 0.5)
    virtual_card.echo(-6)
    canceller, player = EchoCanceller(echo.webrtc()), Player()
    speaker = Speaker(speaker_settings(), player, lambda _: None, echo=canceller)
    heard = loader.load("/dev/null", {"microphone.device": virtual_card.microphone}).microphone
    microphone = Microphone(heard, Ring(frames_from_s(60.0)), lambda _: None, echo=canceller)
    parts = [asyncio.create_task(part.run()) for part in (speaker, microphone)]
    try:
        await until(lambda: speaker.device is not None and microphone.device is not None)
        for number in range(2):
            speaker.attend(True)
            # A turn begins before its answer.
            await asyncio.sleep(0.5)
            assert canceller.settled is (number == 1)
            player.play()
            player.append(f"r{number}", 2 * voices.pcm("ask-monsoon"))
            player.end(f"r{number}")
            await until(lambda: player.idle)
            assert canceller.settled
            speaker.attend(False)
            await asyncio.sleep(2.0)
        assert canceller.removed_db is not None and canceller.removed_db > 20
    finally:
        for part in parts:
            part.cancel()
        await asyncio.gather(*parts, return_exceptions=True)
