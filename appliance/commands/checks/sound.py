"""Microphone and speaker, where no daemon has them: through the same sound hosts, opened in the same way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, NoReturn, TypeVar

from appliance.audio import microphone as mic
from appliance.audio import speaker as spk
from appliance.audio.earcons import Earcon, earcon
from appliance.audio.levels import SILENCE_DBFS
from appliance.audio.player import Player
from appliance.audio.ring import Ring
from appliance.config_tables import MicrophoneSettings, SpeakerSettings

from .finding import Finding, fault, ok, skipped, warning

MICROPHONE: Final = "microphone"
LEVEL: Final = "microphone level"
SPEAKER: Final = "speaker"

OPEN_S: Final = 20.0
"""To find and open a device, the sound host's own patience and a second try included."""

SPEAK_S: Final = 5.0
"""How long the meter is shown to a person who speaks: one sentence."""

LISTEN_S: Final = 1.5
"""How long the microphone is listened to when nobody was asked to speak: it shows whether there is any signal."""

LOOK_S: Final = 0.1
"""Between two readings of the level."""

FAINT_DBFS: Final = -45.0
"""Root mean square of 0.2 s of the loudest speech; below it the service hears the room more than the person. Speech at
half a metre, and a slider at 70 % (hardware/sound.md), gives some -25 (not measured on a real card)."""

LOUD_DBFS: Final = -6.0
"""The same: at such a mean the peaks of speech are cut off. They lie 10 to 14 dB above it (measured on the recordings
of ``simulator/voices``)."""

FADE_OUT_S: Final = 1.5
"""After the tones were queued, until the last has left the card; all of them together last half a second."""

PLUG: Final = "plug it in, into another socket, with another cable; voice-appliance devices lists what there is"
UNMUTE: Final = "the switch on the microphone; alsamixer, F4: M takes the mute off, and 70 %; then sudo alsactl store"


_Event = TypeVar("_Event")


@dataclass(frozen=True, slots=True)
class Heard:
    """What the microphone gave."""

    loudest_dbfs: float
    """Root mean square of some tenths of a second; ``SILENCE_DBFS``: zeros all the time."""
    asked: bool
    """Somebody was asked to speak."""


def missing(name: str, reason: str) -> Finding:
    """No microphone, or no speaker, in the words of the sound host."""
    return fault(name, reason if reason.startswith("no ") else f"no {name}: {reason}", PLUG)


def level(heard: Heard) -> Finding:
    """Whether what was heard can be understood. A signal of nothing but zeros comes from no room: it is muted, or dead
    (ruling 21)."""
    loudest = heard.loudest_dbfs
    if loudest <= SILENCE_DBFS:
        return fault(LEVEL, "it gives nothing but zeros: muted, or dead", UNMUTE)
    if not heard.asked:
        return ok(LEVEL, f"it hears something ({loudest:.0f} dBFS); nobody was asked to speak")
    if loudest < FAINT_DBFS:
        return warning(LEVEL, f"speech is too faint: {loudest:.0f} dBFS at most", f"nearer to it; {UNMUTE}")
    if loudest > LOUD_DBFS:
        return warning(LEVEL, f"speech is too loud: {loudest:.0f} dBFS", "alsamixer, F4: lower it; sudo alsactl store")
    return ok(LEVEL, f"speech is heard well: {loudest:.0f} dBFS")


def tone(heard: bool | None, name: str) -> Finding:
    """What a person says of the tones; None: nobody was asked."""
    if heard is None:
        return skipped("tone", "nobody was asked whether it is heard")
    if heard:
        return ok("tone", f"heard from {name}")
    fix = "its own switch and volume; alsamixer: M takes the mute off; speaker.volume; another speaker.device"
    return fault("tone", f"nothing is heard from {name}", fix)


async def loudest(level_dbfs: Callable[[], float], for_s: float, meter: Callable[[float], None]) -> float:
    """The highest reading within ``for_s``; each is shown by ``meter``."""
    loop = asyncio.get_running_loop()
    ends_s, highest = loop.time() + for_s, SILENCE_DBFS
    while loop.time() < ends_s:
        reading = level_dbfs()
        highest = max(highest, reading)
        meter(reading)
        await asyncio.sleep(LOOK_S)
    return highest


@contextlib.asynccontextmanager
async def open_microphone(settings: MicrophoneSettings) -> AsyncIterator[tuple[mic.Microphone, str]]:
    """The microphone, and why there is none; empty: it hears."""
    first: asyncio.Future[mic.MicrophoneEvent] = asyncio.get_running_loop().create_future()

    def told(event: mic.MicrophoneEvent) -> None:
        if not first.done():
            first.set_result(event)

    microphone = mic.Microphone(settings, Ring(1), told)
    microphone.attentive = True
    async with _running(microphone.run()):
        event = await _in_time(first)
        yield microphone, "" if isinstance(event, mic.MicrophoneOpened) else _reason(event)


@contextlib.asynccontextmanager
async def open_speaker(settings: SpeakerSettings) -> AsyncIterator[tuple[Player, str, str]]:
    """Something to play with, the speaker's name, and why there is none; empty: it plays."""
    first: asyncio.Future[spk.SpeakerEvent] = asyncio.get_running_loop().create_future()

    def told(event: spk.SpeakerEvent) -> None:
        if not first.done():
            first.set_result(event)

    player = Player(volume=settings.volume)
    speaker = spk.Speaker(settings, player, told)
    async with _running(speaker.run()):
        event = await _in_time(first)
        name = event.name if isinstance(event, spk.SpeakerOpened) else ""
        yield player, name, "" if name else _reason(event)


async def play(player: Player) -> None:
    """The tones, until they have sounded."""
    for sound in Earcon:
        player.earcon(earcon(sound))
    await asyncio.sleep(FADE_OUT_S)


@contextlib.asynccontextmanager
async def _running(part: Coroutine[Any, Any, NoReturn]) -> AsyncIterator[None]:
    task = asyncio.get_running_loop().create_task(part)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _in_time(first: asyncio.Future[_Event]) -> _Event | None:
    done, _ = await asyncio.wait([first], timeout=OPEN_S)
    return first.result() if done else None


def _reason(event: object | None) -> str:
    return getattr(event, "reason", "it does not answer")
