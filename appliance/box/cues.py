"""What the box says by itself: tones, spoken clips, and a tick while an answer is awaited. On the event loop.

When a clip may begin is ``turn/announcements.py``'s, what it sounds like ``audio/clips.py``'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from appliance.audio.clips import Clips
from appliance.audio.earcons import Earcon, earcon
from appliance.audio.format import s_from_frames
from appliance.audio.player import Player
from appliance.audio.speaker import Speaker
from appliance.turn.announcements import Announcements, Answer, Clip
from appliance.turn.states import Sound

FIRST_TICK_S: Final = 1.5
"""An answer that comes sooner needs no tick: two people talking leave pauses of a second and more."""

TICK_EVERY_S: Final = 2.0
"""Slow enough not to press anybody, quick enough to be missed when the box has died."""

Samples = npt.NDArray[np.int16]


class Cues:
    """One box's own voice. ``tones`` is empty where they are switched off, ``tick`` None where it is.

    Without a speaker nothing is kept for one that comes back: a day's sounds would all be heard at once.
    """

    def __init__(
        self, player: Player, speaker: Speaker, clips: Clips, tones: Mapping[Sound, Samples], tick: Samples | None
    ) -> None:
        self._player = player
        self._speaker = speaker
        self._clips = clips
        self._tones = tones
        self._tick_samples = tick
        self._announcements = Announcements()
        self._tick_timer: asyncio.TimerHandle | None = None
        self._tick_held = False

    def sound_with(self, wanted: bool) -> None:
        """Whether tones sound from now on (``panel.earcons``)."""
        self._tones = tones(wanted)

    @property
    def saying(self) -> bool:
        """A clip sounds."""
        return self._announcements.sounding(_now_s())

    def tone(self, sound: Sound) -> float:
        """Play a tone, unless a clip sounds, which says more. Returns the seconds it lasts; 0: none sounds."""
        samples = self._tones.get(sound)
        if samples is None or self._speaker.device is None or self.saying:
            return 0.0
        self._player.earcon(samples)
        return s_from_frames(samples.size)

    def test(self) -> bool:
        """Play every tone, one after the other, also where they are switched off; False: there is no speaker."""
        if self._speaker.device is None:
            return False
        for sound in Earcon:
            self._player.earcon(earcon(sound))
        return True

    def confirm(self) -> None:
        """A short tone, also where tones are switched off: the box has done what somebody asked for at its keys."""
        if self._speaker.device is not None:
            self._player.earcon(earcon(Earcon.SENT))

    def say(self, clip: Clip, tone: Sound | None, *, unasked: bool = False) -> None:
        """Say what to do. ``tone``: what sounds instead where the words have just been said; None: nothing.

        ``unasked``: no press led to it (``Announcements.ask``).
        """
        if self._speaker.device is None:
            return
        match self._announcements.ask(clip, _now_s(), unasked=unasked):
            case Answer.TONE if tone is not None:
                self.tone(tone)
            case Answer.CLIP:
                # What another clip was saying is no more so.
                self._speaker.hush()
                spoken = self._clips.spoken(clip.value)
                self._player.earcon(spoken.samples)
                self._announcements.begun(clip, _now_s() + self._speaker.latency_s + spoken.length_s)

    def hush(self) -> None:
        """A clip or a tone that sounds fades out in 5 ms, and is over; replies are not touched."""
        self._speaker.hush()
        self._announcements.cut(_now_s())

    def await_answer(self, awaited: bool, *, held: bool) -> None:
        """Tick from ``FIRST_TICK_S`` after this was first called with ``awaited`` on, until it is called without.

        ``held``: a button is down, perhaps to speak: not now. A tick never runs into a reply: the player starts that
        only when no sound of ours is left to be taken.
        """
        self._tick_held = held
        if awaited and self._tick_timer is None and self._tick_samples is not None:
            self._tick_timer = asyncio.get_running_loop().call_later(FIRST_TICK_S, self._tick)
        elif not awaited:
            self.close()

    def close(self) -> None:
        """No timer is left behind."""
        if self._tick_timer is not None:
            self._tick_timer.cancel()
            self._tick_timer = None

    def _tick(self) -> None:
        self._tick_timer = asyncio.get_running_loop().call_later(TICK_EVERY_S, self._tick)
        silent = self._tick_held or self.saying or self._speaker.device is None
        if self._tick_samples is not None and not silent:
            self._player.earcon(self._tick_samples)


def tones(wanted: bool) -> Mapping[Sound, Samples]:
    """The earcons; none if they are switched off."""
    return {sound: earcon(Earcon(sound.value)) for sound in Sound} if wanted else {}


def _now_s() -> float:
    return asyncio.get_running_loop().time()
