"""What was said, for whoever reads along: a person's words when they are understood, the box's when they are heard.

A reply's text arrives before its sound. It is told when the reply's first sample leaves the speaker, and once more
when the turn ends, then as far as it was heard; of a reply that was dropped unheard nothing is told. Each event has
``side``, ``turn``, ``response`` (None: the person's) and ``from_s``, when it began to be heard. The pieces of a
response add up; its last event has ``until_s``, when it ended, and in ``text`` all that was heard, in place of them.

Everything runs on the event loop; nothing is kept beyond its turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from appliance.turn.heard import Heard

MOST_CHARACTERS: Final = 8000
"""Of one event: more than five minutes of speech, and as JSON less than a reader of the control socket may be
behind."""


class Captions:
    """The captions of one box. ``publish`` is told each, as plain data."""

    def __init__(self, publish: Callable[[dict[str, Any]], None]) -> None:
        self._publish = publish
        self._turn = 0
        self._unheard: dict[str, str] = {}
        """By response: text whose sound has not begun."""
        self._from_s: dict[str, float] = {}
        """By response: when its first sample left the speaker; those that were told."""
        self._until_s: dict[str, float] = {}
        """By response: when its last sample left; those that ended by themselves."""
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def begin_turn(self, number: int) -> None:
        """What follows belongs to this turn."""
        self._turn = number

    def person_said(self, text: str) -> None:
        """What the service understood."""
        now_s = asyncio.get_running_loop().time()
        self._tell("person", None, text, now_s, now_s)

    def box_said(self, response_id: str, text: str) -> None:
        """A piece of a reply's text arrived."""
        if response_id in self._from_s:
            self._tell("box", response_id, text, self._from_s[response_id], None)
        else:
            self._unheard[response_id] = self._unheard.get(response_id, "") + text

    def audible(self, response_id: str, at_s: float) -> None:
        """The reply's first sample leaves the speaker at ``at_s``, a moment from now."""
        loop = asyncio.get_running_loop()
        self._timers[response_id] = loop.call_at(at_s, self._heard_from, response_id, at_s)

    def drained(self, response_id: str, at_s: float) -> None:
        """Its last sample leaves the speaker at ``at_s``."""
        self._until_s[response_id] = at_s

    def end_turn(self, heard: Heard) -> None:
        """No more of this turn will be heard; ``heard`` knows how far each reply was."""
        now_s = asyncio.get_running_loop().time()
        self.close()
        for response_id, from_s in self._from_s.items():
            until_s = min(self._until_s.get(response_id, now_s), now_s)
            self._tell("box", response_id, heard.text_of(response_id), from_s, until_s)
        for kept in (self._unheard, self._from_s, self._until_s):
            kept.clear()

    def close(self) -> None:
        """No timer is left behind."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _heard_from(self, response_id: str, at_s: float) -> None:
        self._from_s[response_id] = at_s
        del self._timers[response_id]
        self._tell("box", response_id, self._unheard.pop(response_id, ""), at_s, None)

    def _tell(self, side: str, response_id: str | None, text: str, from_s: float, until_s: float | None) -> None:
        event = {
            "event": "caption",
            "side": side,
            "turn": self._turn,
            "response": response_id,
            "from_s": round(from_s, 3),
            "until_s": None if until_s is None else round(until_s, 3),
            "text": text[:MOST_CHARACTERS],
        }
        self._publish(event)
