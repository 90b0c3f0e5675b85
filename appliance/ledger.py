"""What a box has done and spent: the figures of turns, the totals of days, the hour's allowance, what was said.

Times are monotonic seconds of the event loop. One short file write a turn, and only where transcripts are kept.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any, Final

from appliance.audio.format import frames_from_bytes, s_from_frames
from appliance.audio.speech_level import SpeechLevel
from appliance.edge.transcripts import Transcripts
from appliance.figures import Totals, TurnFigures
from appliance.kinds import Kind, entry
from appliance.turn.allowance import Allowance
from appliance.turn.vocabulary import Outcome

log = logging.getLogger(__name__)

DAY_S: Final = 86_400.0


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


class Ledger:
    """Told of everything that counts; called from the event loop."""

    def __init__(self, allowance: Allowance, transcripts: Transcripts) -> None:
        self._allowance = allowance
        self._transcripts = transcripts
        self._totals = Totals()
        self._yesterday = Totals()
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
        self._allowance.limit_s = audio_s_per_hour
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

    def day_is_over(self, now_s: float) -> None:
        """One line for the journal."""
        totals = self.totals(now_s)
        log.info("the last day: %s", totals.since(self._yesterday).line(), extra=entry(Kind.DAY))
        self._yesterday = totals


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(1000 * seconds)
