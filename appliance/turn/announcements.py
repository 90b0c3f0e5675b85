"""The spoken clips: which one says what to do after a press that led to nothing, and when it may begin. Pure.

A clip takes the place of the tone that would sound at that moment. What has gone wrong with
the connection comes in as a clip already (``link/advice.py`` decides it); what has gone wrong with the turn or the
microphone is decided here.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from .states import Outcome


class Clip(Enum):
    """What is said. The value is its name: of the texts, of the files, and of an owner's own recording."""

    WAIT = "wait"
    """Wait a little: it passes by itself."""
    CHECK = "check"
    """Check the internet or the plug: who stands there may be able to mend it."""
    CALL = "call"
    """Call the number on this box: it takes somebody else."""
    HOLD = "hold"
    """Keep it pressed while you speak."""
    MUTED = "muted"
    """The microphone is off."""


def of_press(*, muted: bool, microphone_gone: bool) -> Clip:
    """What is said of a press that nobody could have heard. Neither of the two: the box has only just started."""
    if muted:
        return Clip.MUTED
    return Clip.CALL if microphone_gone else Clip.WAIT


def of_turn(outcome: Outcome, advice: Clip | None, *, microphone_gone: bool) -> Clip | None:
    """What is said of a turn that failed; None: a tone is enough, for speaking again is all there is to do.

    ``advice``: what the connection's last failure asks for; None if it has not failed. ``microphone_gone``: lost for
    longer than a stumble, and not switched off.
    """
    match outcome:
        case Outcome.REFUSED:
            return advice or Clip.CALL
        case Outcome.STALE:
            # Without a failure the connection is there, or hangs: a network too slow to carry a question.
            return advice or Clip.CHECK
        case Outcome.NO_ANSWER:
            return Clip.WAIT
        case Outcome.TOO_SHORT:
            return Clip.HOLD
        case Outcome.NO_MICROPHONE:
            return Clip.CALL if microphone_gone else None
        case _:
            return None


REPEAT_S: Final = 3.0
"""After its end a clip is not said again for so long; a press meanwhile gets the tone. Who presses again at once has
just heard the words, and a box that says nothing at all would seem dead; after three seconds it is another person, or
one who has turned away and back. Not measured."""

UNASKED_S: Final = 60.0
"""Between two clips that no press asked for: in open mode noise opens the gate, too."""


class Answer(Enum):
    """What a press gets."""

    CLIP = "the clip, from its start"
    NOTHING = "nothing: the clip still sounds"
    TONE = "the tone in whose place the clip stands"


class Announcements:
    """When a clip may begin. Times are monotonic seconds.

    A person who hammers the button wants to be answered, and to hear the answer to its end. So the same clip is neither
    begun anew nor cut by a press that leads to it again, and right after its end such a press gets a short tone; but
    another clip, which is news, takes its place at once. A press that makes the box listen does cut it (``cut``).
    """

    def __init__(self) -> None:
        self._clip: Clip | None = None
        self._until_s = float("-inf")
        self._unasked_s = float("-inf")

    def ask(self, clip: Clip, now_s: float, *, unasked: bool = False) -> Answer:
        """A press led to ``clip``; ``unasked``: no press, but an open gate. If this says CLIP, call ``begun``."""
        if unasked:
            if self.sounding(now_s):
                return Answer.NOTHING
            if now_s < self._unasked_s + UNASKED_S:
                return Answer.TONE
            self._unasked_s = now_s
            return Answer.CLIP
        if clip is self._clip and now_s < self._until_s + REPEAT_S:
            return Answer.NOTHING if self.sounding(now_s) else Answer.TONE
        return Answer.CLIP

    def begun(self, clip: Clip, until_s: float) -> None:
        """It sounds, until ``until_s``."""
        self._clip, self._until_s = clip, until_s

    def cut(self, now_s: float) -> None:
        """It was silenced; harmless when none sounds."""
        self._until_s = min(self._until_s, now_s)

    def sounding(self, now_s: float) -> bool:
        """A clip sounds."""
        return now_s < self._until_s
