"""What a check has found, in words for whoever installed the box."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from appliance.journal.foreign_text import one_line


class Grade(Enum):
    """How bad it is; the value is the word in ``--json`` and at the start of a line."""

    OK = "ok"
    SKIPPED = "skipped"
    WARNING = "warning"
    FAULT = "fault"


EXIT_CODES: Final = {Grade.OK: 0, Grade.SKIPPED: 0, Grade.WARNING: 1, Grade.FAULT: 2}
"""The exit code says the worst: 1, the box works but not as well or as safely as it could; 2, something does not work.
What could not be looked at does not count: most boxes have no Wi-Fi, or no USB card."""


@dataclass(frozen=True, slots=True)
class Finding:
    """``name``: what was looked at. ``line``: what is so. ``fix``: what to do; of an OK one it is advice. Both are one
    line, without secrets, and ``fix`` may be empty."""

    name: str
    verdict: Grade
    line: str
    fix: str = ""


def ok(name: str, line: str, advice: str = "") -> Finding:
    """It works."""
    return Finding(name, Grade.OK, line, advice)


def skipped(name: str, line: str, fix: str = "") -> Finding:
    """It could not be looked at, or there is nothing to look at."""
    return Finding(name, Grade.SKIPPED, line, fix)


def warning(name: str, line: str, fix: str) -> Finding:
    """It works, but not as well as it could."""
    return Finding(name, Grade.WARNING, line, fix)


def fault(name: str, line: str, fix: str) -> Finding:
    """It does not work."""
    return Finding(name, Grade.FAULT, line, fix)


def exit_code(findings: Iterable[Finding]) -> int:
    """That of the worst."""
    return max((EXIT_CODES[finding.verdict] for finding in findings), default=0)


NAME_WIDTH: Final = 17
"""The longest name of a check."""


def lines_of(finding: Finding) -> list[str]:
    """What is shown of one finding: verdict, name and line; below it what to do, if anything."""
    # A device is called whatever its maker, or whoever plugged it in, likes.
    head = f"{finding.verdict.value:<8}{finding.name:<{NAME_WIDTH}}  {one_line(finding.line, None)}"
    return [head, *([f"{'':<8}{'':<{NAME_WIDTH}}  -> {finding.fix}"] if finding.fix else [])]


def _row(finding: Finding) -> dict[str, str]:
    return {"name": finding.name, "verdict": finding.verdict.value, "line": finding.line, "fix": finding.fix}
