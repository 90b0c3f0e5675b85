"""What the collected journals of many boxes say of them, on one page.

JOURNAL-DIR holds the journals that systemd-journal-remote has collected (hardware/fleet/README.md); any other folder
with journals will do, such as /var/log/journal. Ends with 1 if a box is silent or has a fault now.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from appliance.doctor.fleet import Fleet
from appliance.errors import UnavailableError, UsageError
from appliance.journal.handler import collected

HOUR_S: Final = 3600.0

MOST_ROWS: Final = 30
"""Of one list in the text: a page is read to its end."""

PREFIX: Final = "voice_appliance_"
"""Of each metric's name."""

FLEET_METRICS: Final = {
    "boxes_known": "Boxes that were ever heard of or expected",
    "turns": "Turns in the time that is looked at",
    "underruns": "Holes in the sound of answers",
    "first_audio_p50_ms": "From the end of a question to the first sound of its answer, half of them within",
    "first_audio_p95_ms": "The same, 95 of 100 within",
}

BOX_METRICS: Final = {
    "silent_s": "Seconds since the last entry of the journal",
    "turns": "Turns in the time that is looked at",
    "underruns": "Holes in the sound of answers",
    "starts": "Starts of the service",
    "power_cuts": "Power cuts, as the figures of the days tell",
    "disk_free_mib": "Free on the card, when the box last said it",
    "hottest_c": "The processor at its hottest in the last day that was told",
    "wifi_weakest_dbm": "The Wi-Fi at its weakest in it",
    "undervoltages": "Looks at the power supply that found it too weak in it",
    "sent_s": "Audio sent in it",
    "received_s": "Audio received in it",
    "connected_s": "Time of connection in it",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where, how far back, and for whom."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", metavar="JOURNAL-DIR")
    parser.add_argument("--hours", type=float, default=24.0, metavar="N", help="how far back, instead of %(default)g")
    parser.add_argument("--expect", type=Path, metavar="FILE", help="names of boxes, one a line, that have to be there")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="for programs")
    shape.add_argument("--metrics", action="store_true", help="OpenMetrics, for Prometheus' textfile collector")


def run(args: argparse.Namespace) -> int:
    """Print; 0, or 1 if somebody has to go and look. Raises UnavailableError and UsageError."""
    now_s = time.time()
    fleet = Fleet(_expected(args.expect))
    # A folder that is not there has no journals for libsystemd, and so no boxes.
    if not os.path.isdir(args.folder):
        raise UsageError(f"{args.folder}: is no folder")
    try:
        for entry in collected(args.folder, now_s - args.hours * HOUR_S):
            fleet.add(entry, entry["__REALTIME_TIMESTAMP"].timestamp())
    except OSError as error:
        raise UnavailableError(f"{args.folder}: {error.strerror}: are its journals for you to read?") from None
    except ImportError:
        raise UnavailableError("python3-systemd is missing: sudo apt install python3-systemd") from None
    data = fleet.as_data(now_s)
    if args.json:
        print(json.dumps(data, ensure_ascii=False))
    else:
        print("\n".join(metrics(data) if args.metrics else page(data, args.hours)))
    return 1 if data["silent"] or any(box["faults"] for box in data["boxes"]) else 0


def _expected(path: Path | None) -> frozenset[str]:
    if path is None:
        return frozenset()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--expect {path}: {error}") from None
    return frozenset(filter(None, (line.partition("#")[0].strip() for line in lines)))


def page(data: dict[str, Any], hours: float) -> Iterator[str]:
    """For a person."""
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(data["time_s"]))
    yield f"{data['boxes_known']} boxes, the {hours:g} h until {when}"
    yield ""
    yield from _listed("silent for a day", data["silent"])
    broken = [f"{box['name']}: {said}" for box in data["boxes"] for said in box["faults"].values()]
    yield from _listed("faults now", broken)
    outcomes = ", ".join(f"{name} {count}" for name, count in data["outcomes"].items())
    yield f"turns             {data['turns']}{f': {outcomes}' if outcomes else ''}"
    yield f"first sound       p50 {_ms(data['first_audio_p50_ms'])}, p95 {_ms(data['first_audio_p95_ms'])}"
    yield f"underruns         {data['underruns']}"
    weak = [box["name"] for box in data["boxes"] if box["undervoltages"]]
    yield from _listed("weak supplies", weak)
    yield from _listed("versions", [f"{version}: {count}" for version, count in data["versions"].items()])


def _listed(title: str, rows: list[str]) -> Iterator[str]:
    yield f"{title:<18}{len(rows) or 'none'}"
    yield from (f"    {row}" for row in rows[:MOST_ROWS])
    if len(rows) > MOST_ROWS:
        yield f"    ... and {len(rows) - MOST_ROWS} more: --json has all"


def _ms(value: int | None) -> str:
    return "-" if value is None else f"{value / 1000:.1f} s"


def metrics(data: dict[str, Any]) -> Iterator[str]:
    """OpenMetrics text, gauges alone, so that it is Prometheus' older format as well."""
    for name, words in FLEET_METRICS.items():
        yield from _family(f"fleet_{name}", words, [("", data[name])])
    silent = [(_labels(box=name), 1) for name in data["silent"]]
    yield from _family("box_silent", "Not heard of for a day, or never", silent)
    yield from _family(
        "fleet_outcomes",
        "Turns by how they ended",
        [(_labels(outcome=name), count) for name, count in data["outcomes"].items()],
    )
    yield from _family(
        "box_info", "Version", [(_labels(box=box["name"], version=box["version"] or ""), 1) for box in data["boxes"]]
    )
    faults = [(_labels(box=box["name"], fault=kind), 1) for box in data["boxes"] for kind in box["faults"]]
    yield from _family("box_fault", "A fault that is so now", faults)
    for name, words in BOX_METRICS.items():
        yield from _family(f"box_{name}", words, [(_labels(box=box["name"]), box[name]) for box in data["boxes"]])
    yield "# EOF"


def _family(name: str, words: str, samples: Sequence[tuple[str, int | None]]) -> Iterator[str]:
    yield f"# HELP {PREFIX}{name} {words}."
    yield f"# TYPE {PREFIX}{name} gauge"
    yield from (f"{PREFIX}{name}{labels} {value}" for labels, value in samples if value is not None)


def _labels(**values: str) -> str:
    escaped = {name: value.replace("\\", r"\\").replace('"', r"\"") for name, value in values.items()}
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped.items()) + "}"
