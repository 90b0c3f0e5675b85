"""What one event comes to, while its rules are carried out one after the other. Pure."""

from __future__ import annotations

from typing import Final, Literal

from .outcomes import Note, Outcome

MAX_NOTES: Final = 100
"""Different notes of one level in one session, each made once: a service wrong in more ways fills no journal."""


class Gathered:
    """The outcomes of one session, an event at a time."""

    def __init__(self) -> None:
        self._outcomes: list[Outcome] = []
        self._noted: dict[Literal["debug", "warning"], set[str]] = {"debug": set(), "warning": set()}

    def begin(self) -> list[Outcome]:
        """Another event: the list that its outcomes will be added to, in order."""
        self._outcomes = []
        return self._outcomes

    def add(self, outcome: Outcome) -> None:
        """The next one."""
        self._outcomes.append(outcome)

    def note(self, level: Literal["debug", "warning"], text: str) -> None:
        """Note it, once a session: a service that is wrong fifty times a second is one line."""
        noted = self._noted[level]
        if text in noted or len(noted) > MAX_NOTES:
            return
        noted.add(text)
        if len(noted) > MAX_NOTES:
            text = f"{MAX_NOTES} different oddities in this session; further ones are not logged"
        self.add(Note(level, text))
