"""What a box has done and spent: the figures of turns, the totals of days, the hour's allowance, what was said.

Times are monotonic seconds of the event loop. One short file write a turn, and only where transcripts are kept.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import Any, Final

from appliance.audio.format import frames_from_bytes, s_from_frames
from appliance.audio.speech_level import SpeechLevel
from appliance.journal.catalog import Kind, entry
from appliance.storage.transcripts import Transcripts
from appliance.turn.allowance import Allowance
from appliance.turn.heard import Heard
from appliance.turn.states import Outcome

log = logging.getLogger(__name__)


BY_SERVICE: Final = frozenset(
    {
        Outcome.NO_ANSWER,
        Outcome.EMPTY_ANSWER,
        Outcome.FAILED,
        Outcome.TOOL_LOOP,
        Outcome.LOST_AGAIN,
        Outcome.STALE,
        Outcome.LINK_LOST,
        Outcome.REFUSED,
        Outcome.STALLED,
    }
)
"""Outcomes of which the service or the connection may have said why."""


TOOL_ROUND_S: Final = 10.0
"""What a round of tools counts for in the hour's allowance. No audio moves, and the model reads the conversation anew
and writes, which costs as a short answer does: a model that only calls tools must meet the bound, too."""


class Metrics:
    """Told of everything that counts; called from the event loop."""

    def __init__(self, allowance: Allowance, transcripts: Transcripts) -> None:
        self._allowance = allowance
        self._transcripts = transcripts
        self._totals = Totals()
        self._connected_at_s: float | None = None
        self._person = ""
        self._box = ""
        self._turn_open = False
        self.figures = TurnFigures(0, 0.0)
        """Of the current turn, or of the last one."""
        self.level = SpeechLevel()
        """Of what was sent of the current turn, or of the last one."""
        self.last: dict[str, Any] | None = None
        """The figures of the last turn that ended, as plain data; None before the first."""
        self.reason = ""
        """What has gone wrong in the current turn, in words for the journal; "" if nothing has."""

    def go_by(self, audio_s_per_hour: float, transcripts: Transcripts) -> None:
        """Other settings from now on; what was spent stays spent."""
        self._allowance.go_by(audio_s_per_hour)
        self._transcripts = transcripts

    def open_turn(self, number: int, now_s: float) -> None:
        """A new turn."""
        self.figures = TurnFigures(number, now_s)
        self.level = SpeechLevel()
        self._person = self._box = ""
        self._turn_open = True
        self.reason = ""

    def went_wrong(self, reason: str) -> None:
        """Something that may be why the current turn ends as it will: the service's word, or the connection's end. The
        last counts; for a turn that goes well all the same none does."""
        self.reason = reason

    def close_turn(self, outcome: Outcome) -> dict[str, Any]:
        """The turn has ended; its line is written. Returns its figures as plain data."""
        self._turn_open = False
        self._totals.turns += 1
        self._totals.answered += outcome is Outcome.ANSWERED
        self.figures.reason = self.reason if outcome in BY_SERVICE else ""
        self.last = self.figures.as_data(outcome.value)
        fields = {
            "TURN_ID": self.figures.number,
            "OUTCOME": outcome.value,
            "REASON": self.figures.reason or None,
            "FIRST_AUDIO_MS": _ms(self.last["end_to_audible_s"]),
            "UNDERRUNS": self.figures.underruns,
            "SAID_MS": _ms(self.last["said_s"]),
            "HEARD_MS": _ms(self.last["heard_s"]),
        }
        log.info("%s", self.figures.line(outcome.value), extra=entry(Kind.TURN, **fields))
        if verdict := self.level.verdict:
            kind = Kind.MICROPHONE_DEAD if self.level.dead else Kind.MICROPHONE_LEVEL
            log.warning("%s (turn %d)", verdict, self.figures.number, extra=entry(kind))
        self._transcripts.turn(self.figures.number, self._person, self._box, self.figures.heard.text)
        return self.last

    def sent(self, pcm: bytes, now_s: float, *, heard: bool = True) -> None:
        """Audio goes to the service. ``heard``: by the microphone; else it is zeros of ours."""
        seconds = s_from_frames(frames_from_bytes(len(pcm)))
        self._totals.sent_s += seconds
        if heard:
            self.level.add(pcm)
        self._allowance.spend(seconds, now_s)

    def received(self, response_id: str, pcm: bytes, now_s: float) -> None:
        """Audio of an answer arrived."""
        seconds = s_from_frames(frames_from_bytes(len(pcm)))
        if self.figures.first_delta_s is None:
            self.figures.first_delta_s = now_s
        self.figures.heard.received(response_id, seconds)
        self._totals.received_s += seconds
        self._allowance.spend(seconds, now_s)

    def tools_ran(self, now_s: float) -> None:
        """One round of tools begins."""
        self._allowance.spend(TOOL_ROUND_S, now_s)

    def person_said(self, text: str, turn: int) -> None:
        """What the service understood; it may come in several parts when somebody pauses. Of a turn that is over it is
        kept by itself, with that turn's number."""
        if turn == self.figures.number and self._turn_open:
            self._person = f"{self._person} {text}".strip()
        else:
            self._transcripts.turn(turn, text, "", "")

    def box_said(self, response_id: str, text: str) -> None:
        """A piece of an answer's text."""
        self.figures.heard.said(response_id, text)
        self._box += text

    def connected(self, now_s: float) -> None:
        """A session is open."""
        self._connected_at_s = now_s

    def disconnected(self, now_s: float) -> None:
        """No session is open; harmless when there was none."""
        if self._connected_at_s is not None:
            self._totals.connected_s += now_s - self._connected_at_s
            self._connected_at_s = None

    def rest_s(self, now_s: float) -> float:
        """Seconds until the box may talk again; 0: it may now."""
        return self._allowance.rest_s(now_s)

    def totals(self, now_s: float) -> Totals:
        """Since the start, an open connection included."""
        open_s = 0.0 if self._connected_at_s is None else now_s - self._connected_at_s
        return replace(self._totals, connected_s=self._totals.connected_s + open_s)


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(1000 * seconds)


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
