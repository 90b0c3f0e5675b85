"""A test that records sound measures the box and the machine under it. When the machine itself stood still meanwhile,
a failure says nothing of the box, and the test is run again; a fault of the box fails where the machine did not.

The witness is a process with a sound host's priority that does nothing but be woken every 10 ms, and writes down when
it was woken late. The summary names every test that was run again, so that a machine too slow is not overlooked.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Final

import pytest
from _pytest.runner import runtestprotocol
from _pytest.terminal import TerminalReporter

from tests.support.priority import as_the_unit

LATE_S: Final = 0.010
"""A period of the speaker. A host that is woken so much later than it asked for lives on its card's buffer, and the
programs that play the person and the listener have none to speak of."""

ATTEMPTS: Final = 3
"""A machine that stands still each time is no machine to test sound on."""

CARDS: Final = {"bench", "card", "timed", "virtual_card"}
"""Fixtures of the tests that are meant."""

PROGRAM: Final = f"""
import os, time
parent = os.getppid()
while os.getppid() == parent:
    before_s = time.monotonic()
    time.sleep(0.010)
    now_s = time.monotonic()
    if now_s - before_s - 0.010 > {LATE_S}:
        print(now_s, now_s - before_s - 0.010, flush=True)
"""


class Witness:
    """From its making to ``end``."""

    def __init__(self) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  (as long as the process)
        with as_the_unit():
            self._process = subprocess.Popen((sys.executable, "-S", "-E", "-c", PROGRAM), stdout=self._said)

    @property
    def process_id(self) -> int:
        """Of the process."""
        return self._process.pid

    def late_s(self, since_s: float) -> float:
        """The longest that it was late, of what ended after that monotonic time; 0 if it never was by LATE_S."""
        lines = os.pread(self._said.fileno(), 1 << 20, 0).decode().splitlines()
        seen = (line.split() for line in lines)
        return max((float(late_s) for at_s, late_s in seen if float(at_s) >= since_s), default=0.0)

    def end(self) -> None:
        """Nothing is left of it."""
        self._process.kill()
        self._process.wait()
        self._said.close()


class Repeating:
    """The plugin: runs the tests of sound, again where the witness says so."""

    def __init__(self) -> None:
        self._witness: Witness | None = None
        """None until there is a test of sound."""

    @pytest.hookimpl
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        if CARDS.isdisjoint(getattr(item, "fixturenames", ())):
            return None
        self._witness = self._witness or Witness()
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in self._reports(item, nextitem, self._witness):
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def _reports(self, item: pytest.Item, nextitem: pytest.Item | None, witness: Witness) -> list[pytest.TestReport]:
        late: list[float] = []
        while True:
            began_s = time.monotonic()
            reports = runtestprotocol(item, log=False, nextitem=nextitem)
            if not any(report.failed for report in reports):
                break
            late_s = witness.late_s(began_s)
            if not late_s or len(late) + 1 == ATTEMPTS:
                break
            late.append(late_s)
        if late:
            stood_still = ", ".join(f"{1000 * late_s:.0f}" for late_s in late)
            reports[-1].user_properties.append(("repeated", f"the machine stood still for {stood_still} ms"))
        return reports

    @pytest.hookimpl
    def pytest_sessionfinish(self) -> None:
        if self._witness is not None:
            self._witness.end()

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        for test, why in repeated(terminalreporter):
            terminalreporter.write_line(f"REPEATED {test} - {why}")


def repeated(reporter: TerminalReporter) -> Iterator[tuple[str, object]]:
    """Which tests were run again, and why."""
    for reports in list(reporter.stats.values()):
        for report in reports:
            for name, why in getattr(report, "user_properties", ()):
                if name == "repeated":
                    yield report.nodeid, why
