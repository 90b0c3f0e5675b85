"""What the box says of a turn: a tone, or where there is something to be done, the words for it; and how its own sound
is kept out of what the person says. On the event loop.
"""

from __future__ import annotations

import asyncio
from typing import Final

from appliance.box.parts import Parts, SoundTimes
from appliance.link import advice
from appliance.turn import announcements
from appliance.turn import states as v

EARCON_MASK_S: Final = 0.1
"""Nobody answers a sound sooner than this after the press that makes it; the listening earcon, 50 ms long and some 45
ms on its way through host and card (measured), is over by then."""

LATEST_EARCON_S: Final = 0.02
"""A press that is acted on later after it happened (by a busy loop, or because only a long one counts) has no listening
earcon: most of it would lie behind ``EARCON_MASK_S``. The light says the same."""


class TurnCues:
    """Of one box's turns."""

    def __init__(self, parts: Parts, times: SoundTimes) -> None:
        self._parts = parts
        self._times = times
        self._unasked = False
        """A voice opened the present turn, or the last one, and nobody has pressed since."""
        self._microphone_gone = False

    def opened(self, *, unasked: bool) -> None:
        """A turn begins, or goes on: by a voice alone, or somebody has pressed."""
        self._unasked = unasked

    def misses_microphone(self, gone: bool) -> None:
        """Whether it was there, or should have been; one that is switched off is not gone."""
        self._microphone_gone = gone

    def excuse(self, *, refused: bool) -> None:
        """Tell a room in which somebody spoke why it was in vain. ``refused``: by the service; else it is a rest."""
        clip = (self._advice() or announcements.Clip.CALL) if refused else announcements.Clip.WAIT
        self._parts.sounds.say(clip, None, unasked=True)

    def sound(self, sound: v.Sound, ended: v.Outcome | None) -> None:
        """A tone, or where there is something to be done, the words that say so."""
        parts = self._parts
        clip = None
        if ended is not None:
            clip = announcements.of_turn(ended, self._advice(), microphone_gone=self._microphone_gone)
        elif sound is v.Sound.ERROR:
            clip = announcements.of_press(muted=parts.microphone.is_closed, microphone_gone=self._microphone_gone)
        if clip is not None:
            parts.sounds.say(clip, sound, unasked=self._unasked)
            return
        if sound is v.Sound.LISTENING and self._is_late():
            return
        length_s = parts.sounds.tone(sound)
        if sound is v.Sound.LISTENING and length_s:
            # The microphone is live already: zeros take the place of our own sound, so that it is never taken for
            # speech; but what is said from EARCON_MASK_S after the press on is never touched.
            end_s = parts.speaker.audible_until_s
            begin_s, last_s = end_s - length_s, parts.ledger.figures.pressed_s + EARCON_MASK_S
            if begin_s < last_s:
                parts.utterance.mask(begin_s, min(end_s, last_s))

    def _is_late(self) -> bool:
        """The listening earcon would sound into what the person says, and be sent with it."""
        return asyncio.get_running_loop().time() > self._parts.ledger.figures.pressed_s + LATEST_EARCON_S

    def _advice(self) -> announcements.Clip | None:
        """What the connection's last failure asks for; None: it has not failed."""
        policy = self._parts.link.policy
        if policy.verdict is None:
            return None
        shown = policy.fault(asyncio.get_running_loop().time()) is not None
        return announcements.Clip(advice.of(policy.verdict, shown=shown).value)

    def make_way(self) -> None:
        """What is said from now on may leave: a clip or a tone ends, and nothing that sounded is sent, nor its echo.

        In ``hold`` that is not before the press has proved to be one, so that who taps at the button in haste hears
        the hint to its end. And a press that the link is about to refuse unheard leaves the clip as it is, for it says
        why. When the end of what sounds is known the utterance may begin behind it, and not sooner.
        """
        parts = self._parts
        if not parts.link.refuses:
            parts.sounds.hush()
        parts.utterance.not_before(parts.own_sound.heard_until_s)
