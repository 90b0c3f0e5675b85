"""Whether the sound breaks off while every core is busy: ``python -m tests.bench.load [SECONDS]``, 20 by default.

One speaker at the default settings plays an answer over the virtual card, beside two busy processes for each core, of
the same priority as the sound host. Exit status 1 if an underrun was counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

from appliance.audio.player import Player
from appliance.audio.speaker import LastSampleOut, Speaker, SpeakerEvent, SpeakerOpened, Underrun
from appliance.config import loader
from appliance.simulator.virtual_card import VirtualCard

FOR_EACH_CORE = 2
PATIENCE_S = 30.0
REPLY = b"\x00\x10\x00\xf0" * 12_000
"""One second at 24 kHz, never silent."""


@contextlib.contextmanager
def busy_cores() -> Iterator[int]:
    """Nothing left of any core for as long as this lasts; how many processes see to it."""
    count = FOR_EACH_CORE * (os.cpu_count() or 1)
    hogs = [subprocess.Popen((sys.executable, "-c", "while True: pass")) for _ in range(count)]
    try:
        yield count
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


async def play(seconds: int, card: VirtualCard) -> list[SpeakerEvent]:
    """An answer of so many seconds at the default settings; what the speaker said meanwhile."""
    settings = loader.load(None, {"speaker.device": card.speaker}).speaker
    events: list[SpeakerEvent] = []
    opened, drained = asyncio.Event(), asyncio.Event()

    def note(event: SpeakerEvent) -> None:
        events.append(event)
        for kind, happened in ((SpeakerOpened, opened), (LastSampleOut, drained)):
            if isinstance(event, kind):
                happened.set()

    player = Player(settings.prebuffer_ms, settings.reply_buffer_s, settings.volume)
    speaker = Speaker(settings, player, note, {**os.environ, **card.environment})
    running = asyncio.create_task(speaker.run())
    async with asyncio.timeout(seconds + PATIENCE_S):
        await opened.wait()
        player.play()
        player.append("load", REPLY * seconds)
        player.end("load")
        await drained.wait()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    return events


def main(seconds: int) -> int:
    with VirtualCard() as card, busy_cores() as count:
        events = asyncio.run(play(seconds, card))
    opened = next(event for event in events if isinstance(event, SpeakerOpened))
    underruns = sum(isinstance(event, Underrun) for event in events)
    buffer = f"device buffer {1000 * opened.latency_s:.0f} ms"
    print(f"{underruns} underruns in {seconds} s beside {count} busy processes on {os.cpu_count()} cores, {buffer}")
    return 1 if underruns else 0


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20))
