"""Which of the service's errors say only that we were a moment late (decision 3). Pure; ``session.py`` has the rules.

An error names no event of ours, and servers have many words for the same thing. So a code is looked for in either part
of it, and what answers our cancel is told by the order.
"""

from __future__ import annotations

from typing import Final

from . import events as ev
from .responses import CANCEL_DEADLINE_S

COMMIT_EMPTY: Final = "input_audio_buffer_commit_empty"
HARMLESS_CODES: Final = frozenset({"response_cancel_not_active", COMMIT_EMPTY})

NOT_NUDGED_CODES: Final = frozenset({COMMIT_EMPTY, "conversation_already_has_active_response"})
"""Errors that say that a nudge brought about no response."""

ABOUT_SOMETHING_ELSE: Final = ("input_audio_buffer", "session", "rate_limit", "insufficient_quota")
"""How codes begin that no cancel of ours earns."""


def codes_of(event: ev.ErrorEvent) -> frozenset[str]:
    """What the service may mean by it, in code or in type."""
    return frozenset({event.code, event.type})


class Complaints:
    """Of one session."""

    def __init__(self) -> None:
        self._cancels_s: list[float] = []
        """When our cancels went out that an error may yet answer."""

    def cancelled(self, now_s: float) -> None:
        """A cancel of ours goes out."""
        self._forget_old(now_s)
        self._cancels_s.append(now_s)

    def is_harmless(self, event: ev.ErrorEvent, now_s: float) -> bool:
        """It is nothing that a person need know. One error answers one cancel, ``server_error`` included."""
        self._forget_old(now_s)
        codes = codes_of(event)
        if self._cancels_s and not any(code.startswith(ABOUT_SOMETHING_ELSE) for code in codes):
            del self._cancels_s[0]
            return True
        return not codes.isdisjoint(HARMLESS_CODES)

    def _forget_old(self, now_s: float) -> None:
        self._cancels_s = [sent_s for sent_s in self._cancels_s if now_s < sent_s + CANCEL_DEADLINE_S]
