"""Cards with long periods or buffers, such as a dmix of the owner's: replies are whole, and what that costs is said."""

from __future__ import annotations

import asyncio
import contextlib
import re

import numpy as np
import pytest

from appliance.audio.player import Player
from appliance.audio.speaker import LastSampleOut, Speaker, SpeakerEvent, SpeakerOpened, Underrun
from appliance.soundhost.output_queue import FADE_S
from tests.support.card_bench import Bench
from tests.support.odd_card import Kind, from_format
from tests.support.sound_host import babble, lag_of, speaker_settings, until, worst_likeness


class Conversation:
    """The daemon's side: a speaker on the card, its player, and what it has said."""

    def __init__(self) -> None:
        self.events: list[SpeakerEvent] = []
        self.player = Player(volume=100)
        self.speaker = Speaker(speaker_settings(device="odd"), self.player, self.events.append)
        self.task = asyncio.create_task(self.speaker.run())

    def seen(self, kind: type[SpeakerEvent]) -> list[SpeakerEvent]:
        return [event for event in self.events if isinstance(event, kind)]

    async def end(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


LONG = {
    "512": Kind(channels="2", rates="48000", period="512", buffer="1024-8192"),
    "1024": Kind(channels="2", rates="48000", period="1024", buffer="2048-16384"),
    "2048": Kind(channels="2", rates="48000", period="2048", buffer="4096-16384"),
    "4096": Kind(channels="2", rates="48000", period="4096", buffer="8192-32768"),
    "8192": Kind(channels="2", rates="48000", period="8192", buffer="16384"),
    "a buffer of 341 ms": Kind(channels="2", rates="48000", period="256-1024", buffer="16384"),
}


@pytest.mark.parametrize("name", LONG)
async def test_a_reply_is_whole_on_a_card_of_long_periods(bench: Bench, name: str) -> None:
    card = bench.insert(LONG[name])
    box = Conversation()
    reply = babble(2.0)
    try:
        await until(lambda: box.seen(SpeakerOpened))
        box.player.play()
        # As fast as it is spoken, 40 ms at a time: as a service that is hardly ahead sends it.
        for at in range(0, reply.size, 960):
            box.player.append("a", reply[at : at + 960].tobytes())
            await asyncio.sleep(0.035)
        box.player.end("a")
        await until(lambda: box.seen(LastSampleOut))
    finally:
        await box.end()
    assert not box.seen(Underrun)
    assert card.xruns == 0
    heard = from_format(card.played, "S16_LE")[::4]
    assert worst_likeness(reply, heard, lag_of(reply, heard), 24_000) > 0.99


@pytest.mark.parametrize("name", LONG)
async def test_a_press_silences_a_card_as_soon_as_it_can_and_its_line_says_how_soon(bench: Bench, name: str) -> None:
    card = bench.insert(LONG[name])
    box = Conversation()
    try:
        await until(lambda: box.seen(SpeakerOpened))
        (opened,) = box.seen(SpeakerOpened)
        assert isinstance(opened, SpeakerOpened)
        box.player.play()
        box.player.append("a", babble(5.0).tobytes())
        await until(lambda: len(card.played) > 4 * 48_000)
        written = len(card.played)
        box.speaker.flush()
        # Some time has to pass: what would be heard if it did not stop.
        await asyncio.sleep(0.5)
    finally:
        await box.end()
    after = from_format(card.played[written:], "S16_LE")[::2]
    device = box.speaker.device
    assert device is not None
    still_s = (int(np.flatnonzero(after)[-1]) + 1) / 48_000 if np.any(after) else 0.0
    assert still_s <= device.period_frames / 48_000 + FADE_S + 0.001, "behind what the device already had"
    silent_s = opened.latency_s + still_s
    if opened.delay_note:
        (promised_ms,) = re.findall(r"for up to (\d+) ms", opened.delay_note)
        assert silent_s <= int(promised_ms) / 1000 + FADE_S + 0.001
    else:
        assert silent_s <= 0.060
    assert bool(opened.delay_note) == (name != "512")
