"""What a box remembers of itself over a power cut: its last changes of state, and how often what happened on each day.

A Pi's journal is in memory, and staff pull the plug first. Pure: times come in as a ``HistoryMoment``, bytes go out; no
word that was said can be in it. At most 64 KiB.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from dataclasses import dataclass
from typing import Any, Final

VERSION: Final = 1
"""Of the file's format; another one is not read."""

MOST_CHANGES: Final = 200
"""Kept of the changes of state: some thirty turns."""

MOST_DAYS: Final = 31
"""Kept of the days."""

MOST_BYTES: Final = 65_536
"""Of the file. Full, with every cause on each of the days, it has some 60 KB; beyond it the oldest is dropped."""

BEYOND_S: Final = 1e11
"""Some 3000 years: no box runs so long, and every system's calendar goes so far."""

UNDATED: Final = "undated"
"""In place of a day, for what happened in boots in which the clock was never set."""


@dataclass(frozen=True, slots=True)
class HistoryMoment:
    """A time. A Pi has no clock of its own: what can be relied on is the boot, and the seconds since."""

    boot: str
    """Which start of the machine: the first letters of the kernel's boot id."""
    uptime_s: float
    """Monotonic seconds."""
    wall_s: float | None
    """Seconds since 1970; None while nothing has set the clock."""
    day: str
    """``2026-11-21``, as the box's time zone has it; empty while nothing has set the clock."""


class History:
    """See the module's text."""

    def __init__(self) -> None:
        self._changes: deque[tuple[str, float, str, str, str]] = deque(maxlen=MOST_CHANGES)
        self._boots: dict[str, float | None] = {}
        """Boot: when it began, in seconds since 1970; None: not known. So a change gets its date also when the clock
        is set after it."""
        self._days: dict[str, Counter[str]] = {}
        self._waiting: Counter[str] = Counter()
        """What this boot has counted without knowing the day."""

    def changed(self, now: HistoryMoment, state: str, link: str, light: str) -> None:
        """The box shows something else."""
        self.passed(now)
        self._changes.append((now.boot, round(now.uptime_s, 1), state, link, light))

    def count(self, now: HistoryMoment, cause: str) -> None:
        """``cause`` (a short name, one of some seventy) has happened."""
        self.passed(now)
        (self._of(now.day) if now.day else self._waiting)[cause] += 1

    def passed(self, now: HistoryMoment) -> None:
        """It is ``now``: what was not dated may be."""
        if now.wall_s is None:
            self._boots.setdefault(now.boot, None)
            return
        self._boots[now.boot] = round(now.wall_s - now.uptime_s, 1)
        if self._waiting:
            self._of(now.day).update(self._waiting)
            self._waiting.clear()

    def _of(self, day: str) -> Counter[str]:
        """What ``day`` has counted. A new one takes the place of the oldest, where there are enough of them."""
        dated = [known for known in self._days if known != UNDATED]
        if day not in self._days and len(dated) >= MOST_DAYS:
            del self._days[min(dated)]
        return self._days.setdefault(day, Counter())

    def as_data(self) -> dict[str, Any]:
        """Everything, as JSON values; what ``ctl history`` shows."""
        days = {day: dict(counts) for day, counts in self._days.items()}
        if self._waiting:
            days[UNDATED] = dict(Counter(days.get(UNDATED, {})) + self._waiting)
        kept = sorted(day for day in days if day != UNDATED)[-MOST_DAYS:]
        days = {day: days[day] for day in (UNDATED, *kept) if day in days}
        shown = {change[0] for change in self._changes}
        boots = {boot: began for boot, began in self._boots.items() if boot in shown}
        return {"version": VERSION, "boots": boots, "changes": [list(change) for change in self._changes], "days": days}

    def encoded(self) -> bytes:
        """The file's content."""
        data = self.as_data()
        while len(content := json.dumps(data, separators=(",", ":")).encode("ascii")) > MOST_BYTES:
            if len(data["days"]) > 1:
                del data["days"][next(iter(data["days"]))]
            elif data["changes"]:
                del data["changes"][: len(data["changes"]) // 2 + 1]
            else:
                data["days"] = {}
        return content


def decoded(content: bytes) -> History:
    """The history of a file, whatever a failing card has made of it. Raises ValueError if it is none, or of another
    version."""
    history = History()
    try:
        data = json.loads(content)
        if data["version"] != VERSION:
            raise ValueError(f"version {data['version']!r}")
        for boot, uptime_s, state, link, light in data["changes"]:
            history._changes.append((str(boot), _seconds(uptime_s), str(state), str(link), str(light)))
        history._boots.update(
            {str(boot): None if began is None else _seconds(began) for boot, began in data["boots"].items()}
        )
        for day, counts in data["days"].items():
            history._days[str(day)] = Counter({str(cause): int(number) for cause, number in counts.items()})
    except (AttributeError, KeyError, OverflowError, RecursionError, TypeError) as error:
        raise ValueError("is no history") from error
    return history


def _seconds(value: Any) -> float:
    """``value``, if a calendar has such a time. Raises OverflowError, TypeError and ValueError."""
    seconds = float(value)
    if not abs(seconds) < BEYOND_S:
        raise OverflowError(f"{seconds} s")
    return seconds
