"""What a box has done since it last said so: the figures of a DAY entry. Pure; no word that was said can be in it.

A box says them once a day and when it stops. What a power cut leaves unsaid is in a file, and the next start says it.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

MOST_LATENCIES: Final = 500
"""Kept of a day's, the last ones: a busy box has some 300 turns."""

MOST_CAUSES: Final = 64
"""Different names that are read back from a file: there are some twenty."""


@dataclass(slots=True)
class Day:
    """Seconds are of the box's own clock; the wall clock may be wrong when they pass."""

    covers_s: float = 0.0
    """How long the box was on."""
    outcomes: Counter[str] = field(default_factory=Counter)
    """How the turns ended, and how many of them."""
    faults_s: dict[str, float] = field(default_factory=dict)
    """For how long the light showed each fault."""
    answered_ms: list[int] = field(default_factory=list)
    """From the end of each question to the first sound of its answer."""
    underruns: int = 0
    sent_s: float = 0.0
    received_s: float = 0.0
    """Of audio, to and from the service."""
    connected_s: float = 0.0
    undervoltages: int = 0
    """Looks at the supply, ten minutes apart, that found it too weak."""
    hottest_c: float | None = None
    """Of the processor; None: never measured."""
    weakest_dbm: int | None = None
    """Of the Wi-Fi's signal; None: there is none in use."""

    def turn(self, outcome: str, answered_s: float | None, underruns: int) -> None:
        """A turn has ended."""
        self.outcomes[outcome.replace(" ", "_")] += 1
        self.underruns += underruns
        if answered_s is not None:
            self.answered_ms = [*self.answered_ms, round(1000 * answered_s)][-MOST_LATENCIES:]

    def fault(self, name: str, seconds: float) -> None:
        """The light has shown that fault for so long."""
        self.faults_s[name] = self.faults_s.get(name, 0.0) + seconds

    def measured(self, celsius: float | None, dbm: int | None, *, undervoltage: bool) -> None:
        """A look at the machine. None: it cannot be measured."""
        self.undervoltages += undervoltage
        if celsius is not None:
            self.hottest_c = celsius if self.hottest_c is None else max(celsius, self.hottest_c)
        if dbm is not None:
            self.weakest_dbm = dbm if self.weakest_dbm is None else min(dbm, self.weakest_dbm)

    def line(self) -> str:
        """For a person."""
        turns = self.outcomes.total()
        parts = [
            f"{turns} turns, {self.outcomes['answered']} answered",
            f"{self.sent_s:.0f} s of audio sent, {self.received_s:.0f} s received",
            f"connected for {self.connected_s / 60:.0f} of {self.covers_s / 60:.0f} min",
        ]
        parts += [f"{name} for {seconds / 60:.0f} min" for name, seconds in sorted(self.faults_s.items())]
        return ", ".join(parts)

    def fields(self) -> dict[str, object]:
        """For the journal. Counts by name are ``name:number`` with blanks between."""
        minutes = {name: max(1, round(seconds / 60)) for name, seconds in self.faults_s.items()}
        return {
            "COVERS_S": round(self.covers_s),
            "TURNS": self.outcomes.total(),
            "OUTCOMES": _pairs(self.outcomes),
            "FAULT_MINUTES": _pairs(minutes),
            "FIRST_AUDIO_P50_MS": percentile(self.answered_ms, 0.5),
            "FIRST_AUDIO_P95_MS": percentile(self.answered_ms, 0.95),
            "UNDERRUNS": self.underruns,
            "SENT_S": round(self.sent_s),
            "RECEIVED_S": round(self.received_s),
            "CONNECTED_S": round(self.connected_s),
            "UNDERVOLTAGES": self.undervoltages,
            "HOTTEST_C": None if self.hottest_c is None else round(self.hottest_c),
            "WIFI_WEAKEST_DBM": self.weakest_dbm,
        }

    def encoded(self) -> bytes:
        """The file's content."""
        data = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps(data, separators=(",", ":")).encode("ascii")


def decoded(content: bytes) -> Day:
    """The figures of a file, whatever a failing card has made of it. Raises ValueError if they are none."""
    try:
        data: dict[str, Any] = json.loads(content)
        day = Day()
        for name in ("covers_s", "sent_s", "received_s", "connected_s"):
            setattr(day, name, _amount(data[name]))
        for name in ("underruns", "undervoltages"):
            setattr(day, name, int(_amount(data[name])))
        day.outcomes.update({str(name): int(_amount(number)) for name, number in _few(data["outcomes"])})
        day.faults_s.update({str(name): _amount(number) for name, number in _few(data["faults_s"])})
        day.answered_ms = [int(_amount(each)) for each in data["answered_ms"][-MOST_LATENCIES:]]
        if data["hottest_c"] is not None:
            day.hottest_c = _amount(data["hottest_c"])
        if data["weakest_dbm"] is not None:
            day.weakest_dbm = -int(_amount(-data["weakest_dbm"]))
    except (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError) as error:
        raise ValueError("holds no figures of a day") from error
    return day


def percentile(values: Sequence[int], part: float) -> int | None:
    """The value that ``part`` of ``values`` do not exceed (nearest rank); None: there are none."""
    return sorted(values)[max(0, math.ceil(part * len(values)) - 1)] if values else None


def _pairs(counts: dict[str, int]) -> str | None:
    return " ".join(f"{name}:{number}" for name, number in sorted(counts.items())) or None


def _few(counts: dict[str, Any]) -> list[tuple[str, Any]]:
    return list(counts.items())[:MOST_CAUSES]


def _amount(value: Any) -> float:
    """``value``, if a box can have so much of something. Raises OverflowError, TypeError and ValueError."""
    amount = float(value)
    if not 0 <= amount < 1e9:
        raise OverflowError(f"{amount}")
    return amount
