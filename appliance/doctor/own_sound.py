"""Whether the box would take its own voice for a person's: where a voice may end an answer (``talk.full_duplex``).

One of the box's own clips is said through the speaker, at the configured volume, and what the microphone hears of it,
or what is left of that where the box takes it out itself, is given to the gate that listens while an answer sounds.
"""

from __future__ import annotations

import asyncio
import math
from typing import Final

import numpy as np
import numpy.typing as npt

from appliance.audio.card_preference import Preference
from appliance.audio.clips import Clips
from appliance.audio.echo import SETTLED_S, EchoCanceller, webrtc
from appliance.audio.format import frames_from_s
from appliance.audio.frames import FRAME
from appliance.audio.gate import Gate
from appliance.audio.levels import SILENCE_DBFS
from appliance.audio.ring import Ring
from appliance.audio.speech_level import speech_dbfs
from appliance.box.hands_free import BATCH_FRAMES
from appliance.config.settings import Config
from appliance.errors import UnavailableError
from appliance.storage import history_text
from appliance.turn.announcements import Clip

from . import sound
from .finding import Finding, ok, skipped, warning

OWN_SOUND: Final = "talking over answers"

ENOUGH_DB: Final = 15.0
"""Made rooms give 25 to 46 (``tests/audio/test_echo.py``), beside a fan less."""

INSTALL: Final = "the package voice-appliance-aec, or pip's pywebrtc-audio (hardware/sound.md); 64-bit systems only"
FARTHER: Final = (
    "microphone and speaker farther apart; a lower speaker.volume; the card's own gain control off (alsamixer); "
    'a speakerphone; talk.full_duplex = "off"'
)

ROOM_S: Final = 2.0
"""Listened to before the clip, so that the gate knows the room."""


async def own_sound(settings: Config) -> Finding:
    """Says a clip and listens. Skipped where either device is missing, which another finding says."""
    echo = None
    if settings.talk.full_duplex == "software":
        try:
            echo = EchoCanceller(webrtc())
        except UnavailableError as error:
            return warning(OWN_SOUND, f"{error}: the box does not listen while it speaks", INSTALL)
    cards = history_text.cards()
    hears = Preference("capture", settings.microphone.fallback_s, cards.rank("capture"))
    speaks = Preference("playback", settings.speaker.fallback_s, cards.rank("playback"))
    clip = Clips(settings.panel.language, settings.panel.clips_dir).spoken(Clip.WAIT.value)
    said_s = clip.length_s + sound.FADE_OUT_S
    times = 1 if echo is None else 1 + math.ceil(SETTLED_S / clip.length_s)
    ring = Ring(frames_from_s(ROOM_S + times * said_s + sound.OPEN_S))
    begun = 0
    async with (
        sound.open_speaker(settings.speaker, speaks, echo) as (player, _, no_speaker),
        sound.open_microphone(settings.microphone, hears, ring, echo) as (_, no_microphone),
    ):
        if no_speaker or no_microphone:
            return skipped(OWN_SOUND, "not tried: it needs microphone and speaker")
        await asyncio.sleep(ROOM_S)
        for _ in range(times):
            # The last time counts: what the canceller lets through before it knows the room is heard by nobody.
            begun = ring.end
            player.earcon(clip.samples)
            await asyncio.sleep(said_s)
    room, heard = ring.read(ring.start, begun - ring.start), ring.read(begun, ring.end - begun)
    opened = opens(room, heard)
    return judged(opened, speech_dbfs(heard)) if echo is None else taken_out(opened, echo.removed_db)


def opens(room: npt.NDArray[np.int16], heard: npt.NDArray[np.int16]) -> bool:
    """The gate takes for a voice what is ``heard`` after ``room``; both int16 mono at ``WIRE_HZ``."""
    gate = Gate()
    opened = False
    for samples in (room, heard):
        for first in range(0, samples.size - BATCH_FRAMES * FRAME + 1, BATCH_FRAMES * FRAME):
            began = gate.hear(samples[first : first + BATCH_FRAMES * FRAME])
            opened = opened or (samples is heard and began is not None)
    return opened


def judged(opened: bool, dbfs: float) -> Finding:
    """``dbfs``: how loud the microphone hears the clip; SILENCE_DBFS: not at all, or not as speech."""
    level = "not at all" if dbfs <= SILENCE_DBFS else f"at {dbfs:.0f} dBFS"
    if opened:
        line = f"the microphone hears the box's own voice, {level}: it would interrupt itself"
        return warning(
            OWN_SOUND, line, 'a speakerphone that takes it out; a lower speaker.volume; talk.full_duplex = "off"'
        )
    return ok(OWN_SOUND, f"the box does not take its own voice for a person's; the microphone hears it {level}")


def taken_out(opened: bool, removed_db: float | None) -> Finding:
    """``removed_db``: of the clip, by the box itself; None: it has not settled, since it heard too little of it."""
    if removed_db is None:
        return warning(OWN_SOUND, "the box has not heard enough of its own voice to take it out", FARTHER)
    line = f"{removed_db:.0f} dB of the box's own voice are taken out of what it hears"
    if opened or removed_db < ENOUGH_DB:
        return warning(OWN_SOUND, f"{line}: not enough to talk over it", FARTHER)
    return ok(OWN_SOUND, f"{line}: good for talking over it")
