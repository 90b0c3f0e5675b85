"""What the journals of many boxes say of them: who is silent, what is broken now, how the turns went. Pure.

An entry is a mapping of the journal's fields, as text. Whoever may upload writes them, so all of it is from outside.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from appliance.journal.catalog import Kind
from appliance.journal.foreign_text import NAME_CHARS, one_line
from appliance.storage.day import percentile

SILENT_S: Final = 86_400.0
"""A box says something at least so often: the figures of its day (``box/day_book.py``)."""

MOST_LATENCIES: Final = 100_000
"""Kept of all boxes: 200 of them with 300 turns a day each make 60 000."""

UNTIL: Final = {
    Kind.MICROPHONE_LOST: Kind.MICROPHONE_FOUND,
    Kind.SPEAKER_LOST: Kind.SPEAKER_FOUND,
    Kind.PINS_LOST: Kind.PINS_BACK,
    Kind.BUTTON_BOX_LOST: Kind.BUTTON_BOX_FOUND,
    **dict.fromkeys((Kind.RELOAD_REFUSED, Kind.CONFIGURATION_WRONG, Kind.BOOT_FILE_REFUSED), Kind.RELOADED),
    **dict.fromkeys(
        (
            *(Kind.CONNECTION_LOST, Kind.NO_NETWORK, Kind.NO_INTERNET, Kind.UNREACHABLE, Kind.NO_KEY, Kind.KEY_REFUSED),
            *(Kind.NO_TOKEN, Kind.NO_CREDITS, Kind.TOO_MANY_CONNECTIONS, Kind.CLOCK_WRONG, Kind.NETWORK_INTERCEPTS),
            Kind.SETTINGS_REFUSED,
        ),
        Kind.CONNECTED,
    ),
}
"""What begins a fault, and what ends it. A start of the service ends all of them: it says again what is so."""

_OPENS: Final = {kind.name.lower(): kind for kind in UNTIL}

_ENDS: Final = {
    end.name.lower(): frozenset(kind for kind, ended in UNTIL.items() if ended is end) for end in UNTIL.values()
}


@dataclass(slots=True)
class FleetBox:
    """What is known of one."""

    name: str
    seen_s: float
    """When it was last heard of, in seconds since 1970."""
    version: str = ""
    """Of its last start; empty: none was seen."""
    outcomes: Counter[str] = field(default_factory=Counter)
    underruns: int = 0
    starts: int = 0
    cuts: int = 0
    """Power cuts, as the days tell them."""
    day: Mapping[str, Any] = field(default_factory=dict)
    """The fields of its last DAY entry."""
    open: dict[Kind, str] = field(default_factory=dict)
    """The faults that are so now, and what was said of them."""
    _process: tuple[object, object] = (None, None)
    """Which start of the machine, and which process, said the last entry."""

    def heard(self, event: str, message: str, fields: Mapping[str, Any]) -> None:
        """An entry of this box."""
        process = (fields.get("_BOOT_ID"), fields.get("_PID"))
        if process != self._process:
            self._process = process
            self.open.clear()
        match event:
            case "turn":
                self.outcomes[one_line(str(fields.get("OUTCOME", "unknown")), NAME_CHARS)] += 1
                self.underruns += number(fields.get("UNDERRUNS")) or 0
            case "day":
                self.day = fields
                self.cuts += fields.get("REASON") == "cut"
            case "ready":
                self.starts += 1
                self.version = one_line(str(fields.get("VERSION", "")), NAME_CHARS)
        if kind := _OPENS.get(event):
            self.open[kind] = one_line(message)
        for ended in _ENDS.get(event, ()):
            self.open.pop(ended, None)


class Fleet:
    """All boxes that were ever heard of, and those of ``expected`` that never were."""

    def __init__(self, expected: frozenset[str] = frozenset()) -> None:
        self._expected = expected
        self.boxes: dict[str, FleetBox] = {}
        self.first_audio_ms: deque[int] = deque(maxlen=MOST_LATENCIES)
        """Of all answers: from the end of the question to the first sound."""

    def add(self, fields: Mapping[str, Any], at_s: float) -> None:
        """One entry, in the order of time; ``at_s``: seconds since 1970. Those of no box are not looked at."""
        name = one_line(str(fields.get("BOX_NAME", "")), NAME_CHARS)
        if not name:
            return
        box = self.boxes.setdefault(name, FleetBox(name, at_s))
        box.seen_s = max(box.seen_s, at_s)
        box.heard(str(fields.get("EVENT", "")), str(fields.get("MESSAGE", "")), fields)
        if fields.get("EVENT") == "turn" and (ms := number(fields.get("FIRST_AUDIO_MS"))) is not None:
            self.first_audio_ms.append(ms)

    def silent(self, now_s: float) -> list[str]:
        """Names of the boxes that were not heard of for ``SILENT_S``, or never."""
        late = {box.name for box in self.boxes.values() if now_s - box.seen_s >= SILENT_S}
        return sorted(late | (self._expected - self.boxes.keys()))

    def as_data(self, now_s: float) -> dict[str, Any]:
        """JSON values: of the fleet, and of each box."""
        boxes = sorted(self.boxes.values(), key=lambda box: box.name)
        outcomes = sum((box.outcomes for box in boxes), Counter[str]())
        return {
            "time_s": round(now_s),
            "boxes_known": len(self.boxes.keys() | self._expected),
            "silent": self.silent(now_s),
            "versions": dict(Counter(box.version or "unknown" for box in boxes).most_common()),
            "turns": outcomes.total(),
            "outcomes": dict(outcomes.most_common()),
            "first_audio_p50_ms": percentile(self.first_audio_ms, 0.5),
            "first_audio_p95_ms": percentile(self.first_audio_ms, 0.95),
            "underruns": sum(box.underruns for box in boxes),
            "boxes": [_of_box(box, now_s) for box in boxes],
        }


def number(value: object) -> int | None:
    """``value`` of a field as a whole number; None if it is none, or none that a box would say."""
    text = str(value)
    return int(text) if text.removeprefix("-").isdecimal() and text.isascii() and len(text) <= 9 else None


def _of_box(box: FleetBox, now_s: float) -> dict[str, Any]:
    figures = ("DISK_FREE_MIB", "HOTTEST_C", "WIFI_WEAKEST_DBM", "UNDERVOLTAGES", "SENT_S", "RECEIVED_S", "CONNECTED_S")
    return {
        "name": box.name,
        "version": box.version or None,
        "silent_s": max(0, round(now_s - box.seen_s)),
        "turns": box.outcomes.total(),
        "outcomes": dict(box.outcomes.most_common()),
        "underruns": box.underruns,
        "starts": box.starts,
        "power_cuts": box.cuts,
        "faults": {kind.name.lower(): said for kind, said in box.open.items()},
        **{figure.lower(): number(box.day.get(figure)) for figure in figures},
    }
