"""What the service hears of a person: whether it hears speech now, and in which turn something was said, for its words
may come when the next turn has begun. Pure.

The service names what is said (``item_id``) when it hears it begin, and again with its words. Where it names nothing,
words belong to the newest turn of which it has heard anything.
"""

from __future__ import annotations

from typing import Final

MOST_NAMES: Final = 64
"""Remembered of one session. Words come a few seconds after what they are of, so the last two or three would do."""


class Speeches:
    """Of one session. Turns are numbers that grow; 0: before the first. The attributes may be read by anyone."""

    def __init__(self) -> None:
        self.turn = 0
        """The present turn, or the last one."""
        self.in_speech = False
        """Speech has begun, and neither ended nor been answered."""
        self.paused = False
        """Speech has ended in the present turn."""
        self._turns: dict[str, int] = {}
        """By name, oldest first."""
        self._newest: str | None = None
        self._heard_in = 0
        """The newest turn of which the service has shown that it heard something."""

    def begin_turn(self, number: int) -> None:
        """What is being said is of this turn, too."""
        self.turn = number
        self.paused = False
        if self.in_speech:
            self.began(self._newest)

    def began(self, item_id: str | None) -> None:
        """Something begins to be said."""
        self.in_speech = True
        self.heard()
        self._newest = item_id
        if item_id is None:
            return
        self._turns.pop(item_id, None)
        self._turns[item_id] = self.turn
        if len(self._turns) > MOST_NAMES:
            del self._turns[next(iter(self._turns))]

    def ended(self) -> None:
        """It has been said."""
        self.in_speech = False
        self.paused = True

    def answered(self) -> None:
        """The service begins to answer, so it takes the speech to be over, also when it forgot to say so."""
        self.in_speech = False

    def heard(self) -> None:
        """The service has heard something of the present turn."""
        self._heard_in = self.turn

    def turn_of(self, item_id: str | None) -> int:
        """The turn in which what has this name was said; a name that was never told is of what was heard last."""
        heard_last = self._heard_in or self.turn
        return heard_last if item_id is None else self._turns.get(item_id, heard_last)
