"""The speaker as the daemon has it: replies are heard whole, silence comes at once, and its times can be trusted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from appliance.audio.player import Player
from appliance.audio.speaker import (
    FirstSampleOut,
    LastSampleOut,
    Speaker,
    SpeakerEvent,
    SpeakerLost,
    SpeakerOpened,
    Underrun,
)
from appliance.config.settings import SpeakerSettings
from appliance.simulator.virtual_card import VirtualCard
from appliance.soundhost import messages
from tests.support.sound_host import (
    babble,
    hold_up,
    lag_of,
    likeness,
    speaker_settings,
    until,
    until_now,
    worst_likeness,
)

HZ = 24_000


class Listened(Speaker):
    """Keeps the host's reports."""

    def __init__(self, *arguments: Any) -> None:
        self.reports: list[messages.Played] = []
        super().__init__(*arguments)

    def received(self, message: messages.FromDevice) -> None:
        assert isinstance(message, messages.Played)
        self.reports.append(message)
        super().received(message)


class Box:
    """A speaker that runs, its player, and what it has said."""

    def __init__(self, settings: SpeakerSettings) -> None:
        self.player = Player(volume=100)
        self.events: list[SpeakerEvent] = []
        self.speaker = Listened(settings, self.player, self.events.append)
        self.task: asyncio.Task[Any] = asyncio.create_task(self.speaker.run())

    def say(self, response_id: str, pcm: bytes) -> None:
        self.player.play()
        self.player.append(response_id, pcm)
        self.player.end(response_id)

    def seen(self, kind: type[SpeakerEvent]) -> list[SpeakerEvent]:
        return [event for event in self.events if isinstance(event, kind)]


@contextlib.asynccontextmanager
async def speaking(settings: SpeakerSettings | None = None) -> AsyncIterator[Box]:
    box = Box(settings or speaker_settings())
    try:
        await until(lambda: box.speaker.reports or box.task.done())
        yield box
    finally:
        box.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await box.task


@pytest.mark.parametrize("rate_hz", [0, 44_100])
async def test_a_reply_is_heard_whole(virtual_card: VirtualCard, rate_hz: int) -> None:
    reply = babble(1.2)
    async with speaking(speaker_settings(rate_hz=rate_hz)) as box:
        with await asyncio.to_thread(virtual_card.record_speaker, HZ) as recording:
            asked_s = time.monotonic()
            box.say("r1", reply.tobytes())
            await until(lambda: box.seen(LastSampleOut))
            await until(lambda: recording.time_s(recording.samples.size) > box.speaker.audible_until_s + 0.2)
        heard = recording.samples
        lag = lag_of(reply, heard)
        # The first and the last piece have the player's fades.
        assert worst_likeness(reply[240:-240], heard, lag + 240, HZ) > 0.99
        assert not np.any(heard[: lag - HZ // 100])
        assert box.speaker.heard_s("r1") == pytest.approx(1.2, abs=0.002)
        assert box.speaker.underruns == box.player.underruns == 0
        (audible,) = box.seen(FirstSampleOut)
        assert isinstance(audible, FirstSampleOut)
        assert 0 <= audible.written_s - asked_s < 0.2
        assert audible.at_s == pytest.approx(recording.time_s(lag), abs=0.06)
        until_s = box.speaker.audible_until_s
        assert until_s == pytest.approx(recording.time_s(int(np.flatnonzero(heard)[-1])), abs=0.06)


async def test_it_rests_when_nobody_attends_and_starts_without_a_click(
    virtual_card: VirtualCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the rest and after it a tone of 300 Hz, whose own steps are 157 at most, with the player's fades."""
    monkeypatch.setattr("appliance.audio.speaker.REST_AFTER_S", 0.3)
    tone = (2000 * np.sin(2 * np.pi * 300 * np.arange(HZ // 2) / HZ)).astype(np.int16)
    async with speaking() as box:
        with await asyncio.to_thread(virtual_card.record_speaker, HZ) as recording:
            for number in range(3):
                await _rest_after(box, f"r{number}", tone.tobytes())
            asked_s = time.monotonic()
            box.say("last", tone.tobytes())
            await until(lambda: len(box.seen(LastSampleOut)) == 4)
            await until(lambda: recording.time_s(recording.samples.size) > box.speaker.audible_until_s + 0.2)
        heard = recording.samples.astype(int)
        assert np.abs(np.diff(heard)).max() <= 165
        sounding = np.flatnonzero(np.convolve(np.abs(heard), np.ones(240), "same") > 240 * 500)
        assert np.count_nonzero(np.diff(sounding) > HZ // 10) == 3, "four tones, with nothing between them"
        (*_, audible) = box.seen(FirstSampleOut)
        assert isinstance(audible, FirstSampleOut)
        assert audible.written_s - asked_s < 0.2
        assert not box.seen(Underrun)


async def _rest_after(box: Box, response_id: str, pcm: bytes) -> None:
    """Play, rest, and run again."""
    drained = len(box.seen(LastSampleOut))
    box.speaker.attend(False)
    box.say(response_id, pcm)
    await until(lambda: len(box.seen(LastSampleOut)) > drained)
    await until(lambda: time.monotonic() - box.speaker.reports[-1].time_s > 0.7)
    box.speaker.attend(True)
    resting = len(box.speaker.reports)
    await until(lambda: len(box.speaker.reports) > resting)


async def test_it_never_rests_when_it_is_to_be_kept_open(
    virtual_card: VirtualCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.audio.speaker.REST_AFTER_S", 0.3)
    async with speaking(speaker_settings(keep_open=True)) as box:
        box.speaker.attend(False)
        begun_s = time.monotonic()
        await until(lambda: box.speaker.reports[-1].time_s > begun_s + 1.5)


async def test_a_reply_of_40_ms_is_heard(virtual_card: VirtualCard) -> None:
    reply = babble(0.040)
    async with speaking() as box:
        with await asyncio.to_thread(virtual_card.record_speaker, HZ) as recording:
            box.say("r1", reply.tobytes())
            await until(lambda: box.seen(LastSampleOut) and time.monotonic() > box.speaker.audible_until_s + 0.2)
        assert likeness(reply, recording.samples, lag_of(reply, recording.samples)) > 0.95


async def test_no_more_than_the_queue_is_on_its_way(virtual_card: VirtualCard) -> None:
    async with speaking() as box:
        box.say("r1", babble(0.8).tobytes())
        longest_s = 0.0
        while not box.seen(LastSampleOut):
            ahead_s = box.speaker.audible_until_s - box.speaker.latency_s - time.monotonic()
            longest_s = max(longest_s, ahead_s)
            await asyncio.sleep(0.005)
        assert longest_s <= 0.425, "400 ms, and the block that is being written"
        assert max(report.queued_frames for report in box.speaker.reports) <= 48_000 * 402 // 1000
        playing = [report for report in box.speaker.reports if 0 < report.written_frames < 36_000]
        assert min(report.queued_frames for report in playing[:-4]) > 0


async def test_a_flush_is_silence_at_once_and_a_new_reply_is_heard(virtual_card: VirtualCard) -> None:
    first, second = babble(3.0, seed=1), babble(0.5, seed=2)
    async with speaking() as box:
        with await asyncio.to_thread(virtual_card.record_speaker, HZ, 5) as recording:
            box.say("r1", first.tobytes())
            await until(lambda: box.speaker.heard_s("r1") > 0.5)
            (audible,) = box.seen(FirstSampleOut)
            assert isinstance(audible, FirstSampleOut)
            flushed_s = time.monotonic()
            box.speaker.flush()
            assert box.speaker.audible_until_s - flushed_s < 0.060
            heard_s = box.speaker.heard_s("r1")
            until_now(lambda: np.any(recording.samples) and not np.any(recording.samples[-HZ // 10 :]))
            silent = int(np.flatnonzero(recording.samples)[-1])
            # The delay of the path, from the same run: when its first sample should leave, and when it was heard.
            path_s = recording.time_s(lag_of(first[:HZ], recording.samples)) - audible.written_s
            assert recording.time_s(silent) - flushed_s <= 0.060 + path_s
            assert 0.5 < heard_s < 0.75
            box.player.append("r1", first.tobytes())
            box.say("r2", second.tobytes())
            await until(lambda: box.seen(LastSampleOut) and time.monotonic() > box.speaker.audible_until_s + 0.2)
        after = recording.samples[silent + 1 :]
        lag = lag_of(second, after)
        assert worst_likeness(second[240:-240], after, lag + 240, HZ) > 0.99
        assert not np.any(after[: lag - HZ // 100]), "nothing of the flushed reply, not even what arrived late"
    assert [event.response_id for event in box.events if isinstance(event, LastSampleOut)] == ["r2"]


async def test_dropping_one_reply_leaves_the_next(virtual_card: VirtualCard) -> None:
    second = babble(0.5, seed=2)
    async with speaking() as box:
        with await asyncio.to_thread(virtual_card.record_speaker, HZ) as recording:
            box.say("r1", babble(3.0).tobytes())
            box.say("r2", second.tobytes())
            await until(lambda: box.speaker.heard_s("r1") > 0.1)
            box.speaker.drop("r1")
            await until(lambda: box.seen(LastSampleOut) and time.monotonic() > box.speaker.audible_until_s + 0.2)
        heard = recording.samples
        assert worst_likeness(second[240:-240], heard, lag_of(second, heard) + 240, HZ) > 0.99
        assert heard.astype(bool).sum() < 1.2 * HZ


async def test_a_hung_host_is_replaced_and_the_reply_goes_on_a_little_before(virtual_card: VirtualCard) -> None:
    reply = babble(1.6)
    async with speaking() as box:
        with await asyncio.to_thread(virtual_card.record_speaker, HZ) as recording:
            box.say("r1", reply.tobytes())
            await until(lambda: box.speaker.heard_s("r1") > 0.5)
            hung = box.speaker.process_id
            assert hung is not None
            hung_s = time.monotonic()
            os.kill(hung, signal.SIGSTOP)
            stopped_at = box.player.written_s("r1")
            await until(lambda: len(box.seen(SpeakerOpened)) == 2)
            assert time.monotonic() - hung_s < 3
            await until(lambda: box.seen(LastSampleOut) and time.monotonic() > box.speaker.audible_until_s + 0.2)
        heard = recording.samples
    (lost,) = box.seen(SpeakerLost)
    assert isinstance(lost, SpeakerLost)
    assert "hung" in lost.reason
    # From 200 ms before the last sample that was reported as written, all of the rest.
    rest = reply[round((stopped_at - 0.1) * HZ) :][:-240]
    assert worst_likeness(rest, heard, lag_of(rest, heard), HZ) > 0.99
    assert len(box.seen(FirstSampleOut)) == 1, "it is the same reply"


async def test_a_reply_waits_for_a_speaker_that_is_plugged_in_later(virtual_card: VirtualCard) -> None:
    reply = babble(0.5)
    await asyncio.to_thread(virtual_card.unplug_speaker)
    box = Box(speaker_settings())
    await until(lambda: box.seen(SpeakerLost))
    box.say("r1", reply.tobytes())
    assert box.speaker.device is None
    assert box.speaker.audible_until_s <= time.monotonic()
    await asyncio.to_thread(virtual_card.plug_speaker)
    with await asyncio.to_thread(virtual_card.record_speaker, HZ) as recording:
        await until(lambda: box.seen(LastSampleOut) and time.monotonic() > box.speaker.audible_until_s + 0.2)
    box.task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await box.task
    assert worst_likeness(reply[240:-240], recording.samples, lag_of(reply, recording.samples) + 240, HZ) > 0.99


@pytest.mark.parametrize("sounding", [True, False])
async def test_a_device_that_runs_dry_is_counted_where_sound_was(virtual_card: VirtualCard, sounding: bool) -> None:
    """The sound host itself is held up, as by a busy machine: for longer than the device's buffer lasts."""
    async with speaking() as box:
        if sounding:
            box.player.play()
            box.player.append("r1", babble(1.0).tobytes())
            await until(lambda: box.speaker.reports[-1].written_frames > 0.3 * 48_000)
        process_id = box.speaker.process_id
        assert process_id is not None
        os.kill(process_id, signal.SIGSTOP)
        await asyncio.sleep(0.2)
        os.kill(process_id, signal.SIGCONT)
        seen = len(box.speaker.reports)
        await until(lambda: len(box.speaker.reports) > seen + 1)
        box.player.end("r1")
        await until(lambda: box.seen(LastSampleOut) or not sounding)
        assert box.seen(Underrun) == ([Underrun(None, 1)] if sounding else [])


async def test_a_slow_reply_underruns_and_a_held_up_loop_is_told_apart(virtual_card: VirtualCard) -> None:
    async with speaking() as box:
        box.player.play()
        box.player.append("r1", babble(0.2).tobytes())
        await until(lambda: box.seen(Underrun))
        assert box.seen(Underrun) == [Underrun("r1", 1)]
        box.player.append("r1", babble(1.0, seed=2).tobytes())
        await until(lambda: box.speaker.reports[-1].written_frames > 0.4 * 48_000)
        # What this is about: the event loop is held up for longer than the host's queue lasts.
        hold_up(0.6)
        await until(lambda: len(box.seen(Underrun)) == 2)
        assert box.seen(Underrun)[1] == Underrun(None, 1)
