"""Whether the turn has a place for a response that begins. Pure; ``session.py`` has the rules.

A response belongs to the turn once there is evidence that the service heard something of it (decision 1). A turn may be
answered in several responses, one after the other: "let me see", and then the answer. But a nudge of ours (``commit``,
``response.create``) may cross the service's own turn detection on the line, and then both are answered with the same
thing. So a further response is a duplicate while a nudge is in flight: until a response that began after the nudge is
done with the nudge known to have reached the service, or an error says that the nudge had no effect. A service makes
one response at a time, so by then its answer to the nudge would have begun. On a slow line the nudge waits behind the
audio of the question for seconds, and the service may have answered by itself, and be done, before it gets there.
"""

from __future__ import annotations

from typing import Final

NO_TURN: Final = "it answers no turn that is open"
DUPLICATE: Final = "the turn has its answer, and our own nudge may have asked for this one"


class Place:
    """Of one session's current turn."""

    def __init__(self) -> None:
        self.evidence = False
        """A response that begins can be of this turn."""
        self._answered = False
        self._in_flight: list[int] = []
        """Numbers of the nudges, ascending."""
        self._arrived = 0
        """Number of the last nudge that has reached the service."""

    def begin_turn(self, *, in_speech: bool) -> None:
        """A new turn. ``in_speech``: the service hears what follows as one with what it hears already."""
        self.evidence = in_speech
        self._answered = False
        self._in_flight.clear()

    def end_turn(self) -> None:
        """No turn."""
        self.begin_turn(in_speech=False)

    def heard_more(self) -> None:
        """The service has heard the person, or was given a tool's output: what begins now answers that."""
        self.evidence = True
        self._answered = False

    def tools_answered(self) -> None:
        """As ``heard_more``; what a nudge before the tools asked for has begun long ago."""
        self.heard_more()
        self._in_flight.clear()

    def nudged(self, number: int, *, after_tools: bool = False) -> None:
        """We ask for a response. ``number``: this nudge's, greater than all before. ``after_tools``: because the
        outputs of the tools brought about none."""
        self.evidence = True
        self._in_flight.append(number)
        if after_tools:
            self._answered = False

    def nudge_failed(self) -> None:
        """The service says that a nudge had no effect: it takes them in order."""
        del self._in_flight[:1]

    def arrived(self, number: int) -> None:
        """The nudges up to ``number`` have reached the service."""
        self._arrived = max(self._arrived, number)

    @property
    def has_answer(self) -> bool:
        """A response of this turn has begun since the person last spoke, or a tool last answered."""
        return self._answered

    @property
    def is_nudged(self) -> bool:
        """A nudge is in flight."""
        return bool(self._in_flight)

    def refusal(self) -> str:
        """Why a response that begins now is none of this turn's, in words for the log; "" if it is one."""
        if not self.evidence:
            return NO_TURN
        if self._answered and self._in_flight:
            del self._in_flight[:1]
            return DUPLICATE
        return ""

    def answered(self) -> None:
        """A response of this turn has begun, or goes on."""
        self._answered = True

    def came_to_nothing(self) -> None:
        """It ended with nothing to hear and nothing to do: the next is the answer."""
        self._answered = False

    def nudges_seen(self) -> None:
        """A response that began after the nudges is done: what has arrived of them has had its effect."""
        self._in_flight = [number for number in self._in_flight if number > self._arrived]
