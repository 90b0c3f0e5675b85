"""What is remembered of the responses that the service has announced in one session. ``session.py`` has the rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

CANCEL_DEADLINE_S: Final = 1.0
"""How long a cancelled response keeps new ones from counting (ruling 1). Longer, and a service that never confirms a
cancel would cost an answer; shorter, and a slow network lets the old turn's answer into the new one."""

MAX_RESPONSES: Final = 64
"""Responses whose fate is remembered; the oldest is forgotten first. A turn makes one to three."""

MAX_CALLS: Final = 32
"""Tool calls that one response may make. Not measured; a model asks for one, seldom for three."""


MAX_ARGUMENTS_CHARS: Final = 64 * 1024
"""Longest arguments of one call. Not measured; a schema's worth of values is some hundred characters."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the model wants run. ``arguments`` is the service's JSON text, not read."""

    call_id: str
    name: str
    arguments: str


@dataclass(slots=True)
class Response:
    """One response that the service has announced."""

    response_id: str
    dropped: str = ""
    """Why nothing of it counts, in words for the log; "" while it is the current turn's reply."""
    done: bool = False
    """Its ``response.done`` has arrived."""
    cancelled_s: float | None = None
    """When we asked for its cancel (monotonic); None: we have not."""
    sounded: bool = False
    """Audio of it has been passed on."""
    odd_byte: bytes = b""
    """The first half of a sample whose second half comes with the next delta; else empty."""
    calls: list[ToolCall] = field(default_factory=list)
    """The tools it wants so far, at most ``MAX_CALLS``; empty once it is done."""

    def cancel(self, why: str, now_s: float) -> str:
        """It no longer counts, and we ask the service to stop it. Returns its id."""
        self.dropped = why
        self.cancelled_s = now_s
        return self.response_id

    def settling(self, now_s: float) -> bool:
        """Our cancel is under way: the service may still begin responses that it owes to the past (ruling 1)."""
        return not self.done and self.cancelled_s is not None and now_s < self.cancelled_s + CANCEL_DEADLINE_S


class Responses:
    """The newest ``MAX_RESPONSES`` responses of a session, in the order of their announcement."""

    def __init__(self) -> None:
        self._by_id: dict[str, Response] = {}

    def announce(self, response_id: str) -> Response:
        """A new one. Where there is no room the oldest that no longer counts goes: a reply that is still coming is kept
        however many others are announced beside it."""
        if len(self._by_id) >= MAX_RESPONSES:
            over = (known.response_id for known in self._by_id.values() if known.done or known.dropped)
            del self._by_id[next(over, next(iter(self._by_id)))]
        response = self._by_id[response_id] = Response(response_id)
        return response

    def find(self, response_id: str) -> Response | None:
        """None: never announced, or long forgotten."""
        return self._by_id.get(response_id)

    def in_progress(self) -> Response | None:
        """The newest without its ``response.done``, which is the one in progress: the service makes one at a time."""
        return next((known for known in reversed(self._by_id.values()) if not known.done), None)

    def settling(self, now_s: float) -> bool:
        """Some cancel of ours is under way (ruling 1)."""
        return any(known.settling(now_s) for known in self._by_id.values())

    def drop_all(self, why: str) -> None:
        """Nothing of what is still coming counts."""
        for known in self._by_id.values():
            if not known.done and not known.dropped:
                known.dropped = why
