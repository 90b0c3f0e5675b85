"""What is remembered of the responses of one session, and under which names. ``session.py`` has the rules.

Which response is which is ours to say: a service may give no ids at all, or the same ones in each turn. So a response
has two names. ``wire_id`` is the service's, None until it says one. ``response_id`` is ours, never sent, and no two
responses that are remembered have the same; where the service's own name is free it is that, so that logs agree.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from .calls import Calls

CANCEL_DEADLINE_S: Final = 1.0
"""How long a cancelled response keeps new ones from counting (decision 1). Longer, and a service that never confirms a
cancel would cost an answer; shorter, and a slow network lets the old turn's answer into the new one."""

MAX_RESPONSES: Final = 64
"""Responses whose fate is remembered; the oldest is forgotten first. A turn makes one to three."""


@dataclass(slots=True)
class Response:
    """One response of the service."""

    response_id: str
    wire_id: str | None
    turn: int
    """Number, within the session, of the turn in which it began."""
    announced: bool
    """``response.created`` has said so; else its first piece has."""
    nudged: bool
    """A nudge of ours was in flight when it began."""
    dropped: str = ""
    """Why nothing of it counts, in words for the log; "" while it is the current turn's reply."""
    done: bool = False
    """Its ``response.done`` has arrived, or another response took its place."""
    cancelled_s: float | None = None
    """When we asked for its cancel (monotonic); None: we have not."""
    sounded: bool = False
    """Audio of it has been passed on."""
    called: bool = False
    """A call of it has been passed on."""
    odd_byte: bytes = b""
    """The first half of a sample whose second half comes with the next delta; else empty."""
    calls: Calls = field(default_factory=Calls)

    @property
    def counts(self) -> bool:
        """It is the current turn's reply, and in progress."""
        return not self.done and not self.dropped

    def settling(self, now_s: float) -> bool:
        """Our cancel is under way: the service may still begin responses that it owes to the past (decision 1)."""
        return not self.done and self.cancelled_s is not None and now_s < self.cancelled_s + CANCEL_DEADLINE_S


class Responses:
    """The newest ``MAX_RESPONSES`` responses of a session, in the order in which they began."""

    def __init__(self) -> None:
        self._by_id: dict[str, Response] = {}
        self._begun = 0

    def begin(self, wire_id: str | None, turn: int, *, announced: bool, nudged: bool) -> Response:
        """A new one. Where there is no room the oldest that no longer counts goes: a reply that is still coming is kept
        however many others begin beside it."""
        if len(self._by_id) >= MAX_RESPONSES:
            over = (known.response_id for known in self._by_id.values() if not known.counts)
            del self._by_id[next(over, next(iter(self._by_id)))]
        self._begun += 1
        response_id = wire_id or f"response {self._begun}"
        while response_id in self._by_id:
            response_id = f"{wire_id or 'response'} {self._begun}"
            self._begun += 1
        response = self._by_id[response_id] = Response(response_id, wire_id, turn, announced, nudged)
        return response

    def find(self, response_id: str) -> Response | None:
        """By our name. None: never begun, or long forgotten."""
        return self._by_id.get(response_id)

    def named(self, wire_id: str | None) -> Response | None:
        """The newest that the service can mean by this name. None: the newest in progress. A name that it never used,
        or used for what is over, is that of the reply in progress, if that has none yet."""
        newest_first = reversed(self._by_id.values())
        if wire_id is None:
            return next((known for known in newest_first if not known.done), None)
        named = next((known for known in newest_first if known.wire_id == wire_id), None)
        current = self.current()
        if (named is None or named.done) and current is not None and current.wire_id is None:
            current.wire_id = wire_id
            return current
        return named

    def nameless(self) -> Response | None:
        """The newest in progress that the service has given no name, whether or not it counts."""
        newest_first = reversed(self._by_id.values())
        return next((known for known in newest_first if not known.done and known.wire_id is None), None)

    def current(self) -> Response | None:
        """The newest that counts."""
        return next((known for known in reversed(self._by_id.values()) if known.counts), None)

    def settling(self, now_s: float) -> bool:
        """Some cancel of ours is under way (decision 1)."""
        return any(known.settling(now_s) for known in self._by_id.values())

    def drop_all(self, why: str) -> bool:
        """Nothing of what is still coming counts. Returns whether anything was."""
        dropped = [known for known in self._by_id.values() if known.counts]
        for known in dropped:
            known.dropped = why
        return bool(dropped)
