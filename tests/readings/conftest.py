"""Says at the end how many conversations were had."""

from __future__ import annotations

import pytest

COUNT = "conversations"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for status in ("passed", "failed") for report in terminalreporter.getreports(status)]
    counts = [int(value) for report in reports for name, value in report.user_properties if name == COUNT]
    if counts:
        terminalreporter.write_line(f"{sum(counts)} conversations with services that read the page in other ways")
