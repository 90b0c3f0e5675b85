"""The figures of one turn: what its line in the journal says, and what ``ctl watch`` gives as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from appliance.turn.heard import Heard
from appliance.turn.vocabulary import Outcome


@dataclass(slots=True)
class TurnFigures:
    """Times are monotonic seconds, None for what did not happen."""

    number: int
    pressed_s: float
    first_append_s: float | None = None
    """The first audio of the turn was written to the connection."""
    ended_s: float | None = None
    """The person finished: the release, the second tap, or the service's word."""
    sent_s: float | None = None
    """The last sample left."""
    first_delta_s: float | None = None
    """The first audio of an answer arrived."""
    written_s: float | None = None
    """The first sample of an answer was given to the card."""
    audible_s: float | None = None
    """The first sample of an answer left the speaker."""
    said_s: float = 0.0
    """Seconds of speech sent, pre-roll and tail included."""
    sessions: int = 0
    """Sessions the turn was sent in; more than one means that it was replayed."""
    underruns: int = 0
    reason: str = ""
    """Why it ended as it did, as far as the service or the connection said; one line, none of the person's words."""
    heard: Heard = field(default_factory=Heard)

    def unanswered(self) -> None:
        """What has been answered so far was no answer, for the person went on speaking."""
        self.first_delta_s = self.written_s = self.audible_s = None

    def as_data(self, outcome: str) -> dict[str, Any]:
        """Plain values: seconds rounded to milliseconds, latencies None where one end is missing."""
        return {
            "turn": self.number,
            "outcome": outcome,
            "reason": self.reason,
            "said_s": round(self.said_s, 3),
            "answer_s": round(self.heard.received_s, 3),
            "heard_s": round(self.heard.heard_s, 3),
            "press_to_first_append_s": _between(self.pressed_s, self.first_append_s),
            "end_to_first_delta_s": _waited(self.ended_s, self.first_delta_s),
            "end_to_audible_s": _waited(self.ended_s, self.audible_s),
            "first_delta_to_written_s": _between(self.first_delta_s, self.written_s),
            "first_delta_to_audible_s": _between(self.first_delta_s, self.audible_s),
            "sessions": self.sessions,
            "underruns": self.underruns,
        }

    def line(self, outcome: str) -> str:
        """One line for the journal."""
        heard_nobody = outcome == Outcome.NO_SPEECH.value
        said = f"nothing heard in {self.said_s:.1f} s" if heard_nobody else f"{self.said_s:.1f} s said"
        why = f" ({self.reason})" if self.reason else ""
        parts = [f"turn {self.number} {outcome}{why}", said]
        if self.heard.received_s:
            parts.append(f"{self.heard.heard_s:.1f} of {self.heard.received_s:.1f} s of answer heard")
        if (waited_s := _waited(self.ended_s, self.audible_s)) is not None:
            parts.append(f"answered after {waited_s:.1f} s")
        if self.sessions > 1:
            parts.append(f"sent {self.sessions} times")
        if self.underruns:
            parts.append(f"{self.underruns} underruns")
        return ", ".join(parts)


@dataclass(slots=True)
class Totals:
    """What a box has done since it started. Seconds of audio and of connection."""

    turns: int = 0
    answered: int = 0
    sent_s: float = 0.0
    received_s: float = 0.0
    connected_s: float = 0.0

    def since(self, earlier: Totals) -> Totals:
        """The difference to an earlier copy."""
        return Totals(
            self.turns - earlier.turns,
            self.answered - earlier.answered,
            self.sent_s - earlier.sent_s,
            self.received_s - earlier.received_s,
            self.connected_s - earlier.connected_s,
        )


def _waited(end_s: float | None, answer_s: float | None) -> float | None:
    """Seconds from the end of the question; 0 for an answer that was there before it, to a pause within it."""
    waited_s = _between(end_s, answer_s)
    return None if waited_s is None else max(waited_s, 0.0)


def _between(start_s: float | None, end_s: float | None) -> float | None:
    return None if start_s is None or end_s is None else round(end_s - start_s, 3)
