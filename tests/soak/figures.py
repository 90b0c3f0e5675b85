"""What a soak run has seen, and what it says of it: every turn asked has an end, and every end a reason."""

from __future__ import annotations

import contextlib
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from appliance.turn.states import Outcome

from .troubles import Trouble

MOST_GROWTH_MB = 1.0
"""Of resident memory, all processes of the box together, from warm to the end (issue 5)."""

WARM_AFTER = 0.2
"""Share of the samples that belong to warming up: every module imported, every kind of trouble met once."""

WINDOW = 0.25
"""Share of the remaining samples that stand for the beginning, and for the end."""

LEAST_SAMPLES = 8
"""With fewer there is nothing to compare."""

BRIEF_MS = 60.0
"""Missing of what was said: less than a syllable, and what two sound servers' clocks may do to a comparison."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One press that was to open a turn, and what became of it. ``missing_ms`` None: was not compared."""

    kind: str
    outcome: str
    troubles: tuple[Trouble, ...]
    missing_ms: float | None = None
    underruns: int = 0
    press_to_light_s: float | None = None
    end_to_audible_s: float | None = None

    @property
    def verdict(self) -> str:
        """ "answered", "excused" or "unexplained"."""
        if self.outcome == Outcome.ANSWERED.value:
            return "answered"
        return "excused" if any(trouble.excuses_end(self.outcome) for trouble in self.troubles) else "unexplained"

    @property
    def lost_words(self) -> bool:
        """It was answered, and the service heard less than was said, with nothing to excuse that."""
        if self.outcome != Outcome.ANSWERED.value or self.missing_ms is None:
            return False
        return self.missing_ms > BRIEF_MS and not any(trouble.deafens for trouble in self.troubles)


@dataclass(frozen=True, slots=True)
class Sample:
    """The box between two turns, connected and ready."""

    resident_mb: float
    descriptors: int
    threads: int
    tasks: int
    processes: int
    kinds: Mapping[str, int] = field(default_factory=dict)
    """How many descriptors of which process lead to what."""


@dataclass(slots=True)
class Run:
    """Everything. ``faults``: what went wrong besides turns, one line each."""

    asked: list[Asked] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def failures(self) -> Iterator[str]:
        """Why the run does not hold, one line each."""
        yield from self.faults
        for number, each in enumerate(self.asked, start=1):
            active = ", ".join(trouble.name for trouble in each.troubles) or "nothing"
            if each.verdict == "unexplained":
                yield f"question {number} ({each.kind}): {each.outcome}, while {active} was the matter"
            if each.lost_words:
                yield f"question {number} ({each.kind}): {each.missing_ms:.0f} ms of it missing, while {active} was"
        begun, ended = self._windows()
        if not begun:
            return
        growth_mb = _middle(ended, "resident_mb") - _middle(begun, "resident_mb")
        if growth_mb >= MOST_GROWTH_MB:
            yield f"resident memory grew by {growth_mb:.2f} MB"
        for name in ("descriptors", "threads", "tasks", "processes"):
            before, after = _middle(begun, name), _middle(ended, name)
            if before != after:
                which = _changed(begun, ended) if name == "descriptors" else ""
                yield f"{name}: {before:g} became {after:g}" + (f" ({which})" if which else "")

    def lines(self) -> Iterator[str]:
        """The report."""
        verdicts = Counter(each.verdict for each in self.asked)
        yield f"questions: {len(self.asked)} asked, " + ", ".join(
            f"{verdicts[verdict]} {verdict}" for verdict in ("answered", "excused", "unexplained")
        )
        reasons = Counter(
            (each.outcome, trouble.name)
            for each in self.asked
            if each.verdict == "excused"
            for trouble in each.troubles
            if trouble.excuses_end(each.outcome)
        )
        yield from (f"  excused: {outcome}: {name}: {count}" for (outcome, name), count in sorted(reasons.items()))
        met = Counter(trouble.name for each in self.asked for trouble in each.troubles)
        yield "troubles met: " + (", ".join(f"{name} {count}" for name, count in sorted(met.items())) or "none")
        compared = [each for each in self.asked if each.missing_ms is not None]
        lost = sum(each.lost_words for each in compared)
        deaf_ms = sum(each.missing_ms or 0.0 for each in compared if not each.lost_words)
        yield f"words: {len(compared)} questions compared, {lost} lost some; {deaf_ms:.0f} ms missing with a reason"
        underruns = sum(each.underruns for each in self.asked)
        quiet = sum(each.underruns for each in self.asked if not each.troubles)
        yield f"underruns in answers: {underruns}, of them with nothing the matter: {quiet}"
        yield from self._latencies()
        yield from self._resources()

    def _latencies(self) -> Iterator[str]:
        for what, name in (
            ("press to light", "press_to_light_s"),
            ("end of the question to sound", "end_to_audible_s"),
        ):
            for which, quiet in (("nothing the matter", True), ("in trouble", False)):
                taken = [getattr(each, name) for each in self.asked if bool(each.troubles) is not quiet]
                known = [1000 * seconds for seconds in taken if seconds is not None]
                if known:
                    yield f"{what}, {which}: median {statistics.median(known):.0f} ms, worst {max(known):.0f} ms"

    def _resources(self) -> Iterator[str]:
        begun, ended = self._windows()
        if not begun:
            yield f"memory and descriptors: {len(self.samples)} samples are too few to compare"
            return
        for name in ("resident_mb", "descriptors", "threads", "tasks", "processes"):
            yield f"{name}: {_middle(begun, name):.4g} when warm, {_middle(ended, name):.4g} at the end"

    def _windows(self) -> tuple[Sequence[Sample], Sequence[Sample]]:
        """The samples that stand for the beginning and for the end; empty if there are too few."""
        warm = self.samples[round(WARM_AFTER * len(self.samples)) :]
        if len(warm) < LEAST_SAMPLES:
            return (), ()
        window = max(LEAST_SAMPLES // 2, round(WINDOW * len(warm)))
        return warm[:window], warm[-window:]


def take_sample(family: dict[int, str], tasks: int) -> Sample:
    """Of these processes now. Raises OSError if one of them ends meanwhile."""
    resident_kb = threads = 0
    kinds: Counter[str] = Counter()
    for process_id, what in family.items():
        status = Path(f"/proc/{process_id}/status").read_text()
        fields = dict(line.split(":", 1) for line in status.splitlines())
        resident_kb += int(fields["VmRSS"].removesuffix("kB"))
        threads += int(fields["Threads"])
        for descriptor in Path(f"/proc/{process_id}/fd").iterdir():
            # One that is closed meanwhile is none.
            with contextlib.suppress(FileNotFoundError):
                kinds[f"{what} {descriptor.readlink().name.partition(':')[0]}"] += 1
    return Sample(resident_kb / 1024, kinds.total(), threads, tasks, len(family), kinds)


def _changed(begun: Sequence[Sample], ended: Sequence[Sample]) -> str:
    """Which kinds of descriptors there are more or fewer of."""
    names = sorted({name for sample in (*begun, *ended) for name in sample.kinds})
    counts = [
        (name, *(statistics.median(each.kinds.get(name, 0) for each in window) for window in (begun, ended)))
        for name in names
    ]
    return ", ".join(f"{name} {before:g} to {after:g}" for name, before, after in counts if before != after)


def _middle(samples: Sequence[Sample], name: str) -> float:
    """The median, so that one look at the wrong moment decides nothing."""
    return float(statistics.median(getattr(sample, name) for sample in samples))
