"""Keeps a radio from talking with the box for ever: where no button is needed, a voice may be anybody's. Pure.

Two signs tell such a room from a person: openings in a row to which there was no answer, because the service heard
nobody speak, and a conversation without a pause in which the box could invite. Then the box rests, twice as long each
time that it happens again, and comes back by itself. A press ends the rest: a radio presses no button.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RestraintSettings:
    """Times in seconds; values and reasons in ``default.toml``. ``turn_s``: longer than any turn of one person."""

    unanswered: int
    conversation_s: float
    rest_s: float
    rest_max_s: float
    turn_s: float


class Restraint:
    """Told of every turn that a voice opened. Times are monotonic seconds."""

    def __init__(self, settings: RestraintSettings) -> None:
        self._settings = settings
        self._unanswered = 0
        self._began_s: float | None = None
        """When the conversation began, the box has not invited since; None: it invites."""
        self._rests = 0
        """In a row."""
        self._until_s = float("-inf")
        """End of the last rest."""

    def opened(self, now_s: float) -> None:
        """A voice opened a turn."""
        if self._began_s is None:
            self._began_s = now_s
            if now_s - self._until_s >= self._settings.rest_max_s:
                # A room that was quiet for so long is another room.
                self._rests = 0

    def closed(self, now_s: float, *, answered: bool | None) -> str:
        """That turn is over. ``answered`` None: for reasons that say nothing about who spoke. Why the box rests now, in
        words for a journal, or an empty string."""
        settings = self._settings
        if answered is not None:
            self._unanswered = 0 if answered else self._unanswered + 1
        if self._unanswered >= settings.unanswered:
            return self._rest(
                now_s, f"the room opened {self._unanswered} turns and asked nothing: a noise, or a radio?"
            )
        if self._lasts_s(now_s) >= settings.conversation_s:
            minutes = self._lasts_s(now_s) / 60
            return self._rest(now_s, f"{minutes:.0f} min of talk without a pause: a radio, or a television?")
        return ""

    def endless(self, now_s: float) -> bool:
        """The turn itself does not end: the conversation is longer than it may be and one turn can last."""
        return self._lasts_s(now_s) >= self._settings.conversation_s + self._settings.turn_s

    def invites(self) -> None:
        """Nobody went on: what comes next is a conversation of its own."""
        self._began_s = None

    def pressed(self) -> None:
        """There is a person."""
        self._unanswered = self._rests = 0
        self._began_s = None
        self._until_s = float("-inf")

    def rest_s(self, now_s: float) -> float:
        """Seconds until a voice may open a turn again; 0: it may now."""
        return max(self._until_s - now_s, 0.0)

    def _lasts_s(self, now_s: float) -> float:
        return 0.0 if self._began_s is None else now_s - self._began_s

    def _rest(self, now_s: float, why: str) -> str:
        rest_s = min(self._settings.rest_s * 2.0**self._rests, self._settings.rest_max_s)
        self._rests = min(self._rests + 1, 32)
        self._until_s = now_s + rest_s
        self._unanswered = 0
        self._began_s = None
        return why
