"""What processes cost, as the kernel counts it: processor time, wake-ups, memory."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class Cost(NamedTuple):
    """Of one process since it began, or between two looks."""

    cpu_s: float
    wakeups: int
    """Times that one of its threads slept and was woken: what keeps a small processor from resting."""

    def since(self, before: Cost) -> Cost:
        """What was added."""
        return Cost(self.cpu_s - before.cpu_s, self.wakeups - before.wakeups)

    def plus(self, other: Cost) -> Cost:
        """Both together."""
        return Cost(self.cpu_s + other.cpu_s, self.wakeups + other.wakeups)


NOTHING = Cost(0.0, 0)


def cost(process_id: int) -> Cost:
    """So far. Of a process that has ended: ProcessLookupError or OSError."""
    # The clock of another process, to the nanosecond (clock_getcpuclockid(3)); /proc counts in steps of 10 ms.
    cpu_s = time.clock_gettime((~process_id << 3) | 2)
    wakeups = 0
    for thread in Path(f"/proc/{process_id}/task").iterdir():
        with contextlib.suppress(OSError):
            wakeups += int(_field(thread / "status", "voluntary_ctxt_switches"))
    return Cost(cpu_s, wakeups)


def total(costs: Iterable[Cost]) -> Cost:
    """All together."""
    summed = NOTHING
    for one in costs:
        summed = summed.plus(one)
    return summed


def family(process_id: int) -> dict[int, str]:
    """The process and all below it, each with what it is: "daemon", "capture", "playback", or its command."""
    members = {process_id: _what(process_id)}
    for thread in Path(f"/proc/{process_id}/task").iterdir():
        for child in (thread / "children").read_text().split():
            members.update(family(int(child)))
    return members


def proportional_mb(process_id: int) -> float:
    """Its memory, pages that it shares with others divided by the number of sharers (PSS)."""
    return int(_field(Path(f"/proc/{process_id}/smaps_rollup"), "Pss").removesuffix("kB")) / 1024


def alone_mb(process_ids: Iterable[int]) -> float:
    """What the processes would take together if nobody else shared pages with them.

    PSS flatters where other Python programs run, and a box runs none. Private pages, and of each stretch of a file the
    most that one of them has of it.
    """
    private_kb = 0
    shared_kb: dict[tuple[str, str], int] = {}
    for process_id in process_ids:
        key = ("", "")
        resident_kb = 0
        for line in Path(f"/proc/{process_id}/smaps").read_text().splitlines():
            words = line.split()
            if "-" in words[0] and not words[0].endswith(":"):
                key = (words[5] if len(words) > 5 else f"{process_id} {words[0]}", words[2])
            elif words[0] == "Rss:":
                resident_kb = int(words[1])
            elif words[0] in ("Private_Clean:", "Private_Dirty:"):
                # A page that nobody but this process has now may still be the one that two of the box share.
                resident_kb -= int(words[1])
                private_kb += int(words[1])
                if words[0] == "Private_Dirty:":
                    shared_kb[key] = max(shared_kb.get(key, 0), resident_kb)
    return (private_kb + sum(shared_kb.values())) / 1024


def _what(process_id: int) -> str:
    words = Path(f"/proc/{process_id}/cmdline").read_text().split("\0")
    if "appliance.soundhost.host" in words:
        return words[words.index("appliance.soundhost.host") + 1]
    return "daemon" if "run" in words else words[0].rpartition("/")[2]


def _field(path: Path, name: str) -> str:
    """The value of a line ``name:  value`` of one of the kernel's files. Raises OSError and ValueError."""
    for line in path.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return line.partition(":")[2].strip()
    raise ValueError(f"{path} has no {name}")
