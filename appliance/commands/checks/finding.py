"""What a check has found, in words for whoever installed the box."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final


class Verdict(Enum):
    """How bad it is; the value is the word in ``--json`` and at the start of a line."""

    OK = "ok"
    SKIPPED = "skipped"
    WARNING = "warning"
    FAULT = "fault"


EXIT_CODES: Final = {Verdict.OK: 0, Verdict.SKIPPED: 0, Verdict.WARNING: 1, Verdict.FAULT: 2}
"""The exit code says the worst: 1, the box works but not as well or as safely as it could; 2, something does not work.
What could not be looked at does not count: most boxes have no Wi-Fi, or no USB card."""


@dataclass(frozen=True, slots=True)
class Finding:
    """``name``: what was looked at. ``line``: what is so. ``fix``: what to do; of an OK one it is advice. Both are one
    line, without secrets, and ``fix`` may be empty."""

    name: str
    verdict: Verdict
    line: str
    fix: str = ""


def ok(name: str, line: str, advice: str = "") -> Finding:
    """It works."""
    return Finding(name, Verdict.OK, line, advice)


def skipped(name: str, line: str, fix: str = "") -> Finding:
    """It could not be looked at, or there is nothing to look at."""
    return Finding(name, Verdict.SKIPPED, line, fix)


def warning(name: str, line: str, fix: str) -> Finding:
    """It works, but not as well as it could."""
    return Finding(name, Verdict.WARNING, line, fix)


def fault(name: str, line: str, fix: str) -> Finding:
    """It does not work."""
    return Finding(name, Verdict.FAULT, line, fix)


def exit_code(findings: Iterable[Finding]) -> int:
    """That of the worst."""
    return max((EXIT_CODES[finding.verdict] for finding in findings), default=0)
