"""In which turn something was said: what was understood of it may be told when the next turn has begun. Pure.

The service names what is said (``item_id``) when it hears it begin, and again with its words. Where it names nothing,
words belong to the newest turn of which it has heard anything.
"""

from __future__ import annotations

from typing import Final

MOST_NAMES: Final = 64
"""Remembered of one session. Words come a few seconds after what they are of, so the last two or three would do."""


class Speeches:
    """Of one session. Turns are numbers that grow; 0: before the first."""

    def __init__(self) -> None:
        self._turns: dict[str, int] = {}
        """By name, oldest first."""
        self._newest: str | None = None
        self._turn = 0
        self._heard_in = 0
        """The newest turn of which the service has shown that it heard something."""

    def begin_turn(self, number: int, *, goes_on: bool) -> None:
        """``goes_on``: what is being said is of this turn, too."""
        self._turn = number
        if goes_on:
            self.began(self._newest)

    def began(self, item_id: str | None) -> None:
        """Something begins to be said."""
        self.heard()
        self._newest = item_id
        if item_id is None:
            return
        self._turns.pop(item_id, None)
        self._turns[item_id] = self._turn
        if len(self._turns) > MOST_NAMES:
            del self._turns[next(iter(self._turns))]

    def heard(self) -> None:
        """The service has heard something of the present turn."""
        self._heard_in = self._turn

    def turn_of(self, item_id: str | None) -> int:
        """The turn in which what has this name was said; a name that was never told is of what was heard last."""
        heard_last = self._heard_in or self._turn
        return heard_last if item_id is None else self._turns.get(item_id, heard_last)
