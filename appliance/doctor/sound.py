"""Microphone and speaker, where no daemon has them: through the same sound hosts, opened in the same way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, NoReturn, TypeVar

from appliance.audio import microphone as mic
from appliance.audio import speaker as spk
from appliance.audio.card_preference import Preference
from appliance.audio.earcons import Earcon, earcon
from appliance.audio.echo import EchoCanceller
from appliance.audio.levels import SILENCE_DBFS
from appliance.audio.player import Player
from appliance.audio.ring import Ring
from appliance.config.settings import MicrophoneSettings, SpeakerSettings

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

SPEECH_READINGS: Final = 3
"""A third of a second of speech: one that is loud by a plop's doing is not believed, nor two."""

FAINT_DBFS: Final = -45.0
"""Root mean square of 0.2 s of loud speech; below it the service hears the room more than the person. Speech at
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
class MicrophoneCheck:
    """What the microphone gave."""

    loudest_dbfs: float
    """The highest reading, of whatever it was; ``SILENCE_DBFS``: there was no sound at all."""
    speech_dbfs: float
    """The ``SPEECH_READINGS``-th highest of speech; ``SILENCE_DBFS``: nobody spoke."""
    asked: bool
    """Somebody was asked to speak."""


class Readings:
    """Of the microphone, one every ``LOOK_S``: what is like speech is judged by itself, so that neither a plop nor a
    hum passes for a voice."""

    def __init__(self) -> None:
        self._loudest_dbfs = SILENCE_DBFS
        self._speech_dbfs = [SILENCE_DBFS] * SPEECH_READINGS

    def add(self, level_dbfs: float, speech_dbfs: float) -> None:
        """How loud it was, and how loud the speech in it; SILENCE_DBFS: there was none."""
        self._loudest_dbfs = max(self._loudest_dbfs, level_dbfs)
        self._speech_dbfs = sorted([*self._speech_dbfs, speech_dbfs])[1:]

    def heard(self, *, asked: bool) -> MicrophoneCheck:
        """What they say together."""
        return MicrophoneCheck(self._loudest_dbfs, self._speech_dbfs[0], asked)


def missing(name: str, reason: str) -> Finding:
    """No microphone, or no speaker, in the words of the sound host."""
    return fault(name, reason if reason.startswith("no ") else f"no {name}: {reason}", PLUG)


def level(heard: MicrophoneCheck) -> Finding:
    """Whether what was heard can be understood. A signal that never moves comes from no room: it is muted, or dead;
    but a switch that somebody has set is no fault, so it is one only where somebody spoke (decision 21)."""
    loudest, speech = heard.loudest_dbfs, heard.speech_dbfs
    if loudest <= SILENCE_DBFS and not heard.asked:
        return warning(
            LEVEL, "it gives no sound at all, and nobody was asked to speak", f"if it is not meant: {UNMUTE}"
        )
    if loudest <= SILENCE_DBFS:
        return fault(LEVEL, "it gives no sound at all, not even a hiss: muted, or dead", UNMUTE)
    if not heard.asked:
        return ok(LEVEL, f"it hears something ({loudest:.0f} dBFS); nobody was asked to speak")
    if speech <= SILENCE_DBFS:
        line = f"no speech is heard, only hum or noise of {loudest:.0f} dBFS at most"
        return warning(LEVEL, line, f"say a whole sentence; nearer to it; {UNMUTE}; another microphone")
    if speech < FAINT_DBFS:
        return warning(LEVEL, f"speech is too faint: {speech:.0f} dBFS at most", f"nearer to it; {UNMUTE}")
    if speech > LOUD_DBFS:
        return warning(LEVEL, f"speech is too loud: {speech:.0f} dBFS", "alsamixer, F4: lower it; sudo alsactl store")
    return ok(LEVEL, f"speech is heard well: {speech:.0f} dBFS")


def spoken_in_vain(dbfs: float) -> Finding:
    """A hands-free box to which somebody seems to speak without being heard, at that level."""
    return warning(LEVEL, f"somebody seems to have spoken too faintly to be heard: {dbfs:.0f} dBFS", UNMUTE)


def tone(heard: bool | None, name: str) -> Finding:
    """What a person says of the tones; None: nobody was asked."""
    if heard is None:
        return skipped("tone", "nobody was asked whether it is heard")
    if heard:
        return ok("tone", f"heard from {name}")
    fix = "its own switch and volume; alsamixer: M takes the mute off; speaker.volume; another speaker.device"
    return fault("tone", f"nothing is heard from {name}", fix)


async def listen(microphone: mic.Microphone, for_s: float, meter: Callable[[float], None]) -> Readings:
    """The readings within ``for_s``; each level is shown by ``meter``."""
    loop = asyncio.get_running_loop()
    readings, ends_s = Readings(), loop.time() + for_s
    while loop.time() < ends_s:
        level_dbfs = microphone.level_dbfs
        readings.add(level_dbfs, microphone.speech_dbfs)
        meter(level_dbfs)
        await asyncio.sleep(LOOK_S)
    return readings


@contextlib.asynccontextmanager
async def open_microphone(
    settings: MicrophoneSettings,
    preference: Preference,
    ring: Ring | None = None,
    echo: EchoCanceller | None = None,
) -> AsyncIterator[tuple[mic.Microphone, str]]:
    """The microphone, and why there is none; empty: it hears. ``preference``: the daemon's, which may wait for one.
    ``ring``: where what it hears is wanted; None: only its level is. ``echo``: takes out of it what is played; None:
    nothing is taken out."""
    first: asyncio.Future[mic.MicrophoneEvent] = asyncio.get_running_loop().create_future()

    def told(event: mic.MicrophoneEvent) -> None:
        if not first.done():
            first.set_result(event)

    microphone = mic.Microphone(settings, ring or Ring(mic.LOOK_FRAMES), told, preference=preference, echo=echo)
    microphone.attend(True)
    async with _running(microphone.run()):
        event = await _in_time(first)
        yield microphone, "" if isinstance(event, mic.MicrophoneOpened) else _reason(event)


@contextlib.asynccontextmanager
async def open_speaker(
    settings: SpeakerSettings, preference: Preference, echo: EchoCanceller | None = None
) -> AsyncIterator[tuple[Player, str, str]]:
    """Something to play with, the speaker's name, and why there is none; empty: it plays. ``preference``, ``echo``: as
    above."""
    first: asyncio.Future[spk.SpeakerEvent] = asyncio.get_running_loop().create_future()

    def told(event: spk.SpeakerEvent) -> None:
        if not first.done():
            first.set_result(event)

    player = Player(volume=settings.volume)
    speaker = spk.Speaker(settings, player, told, preference=preference, echo=echo)
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
