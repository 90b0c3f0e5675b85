"""The priority that the unit gives the box (``Nice=-10``, ``CPUWeight=1000``), for boxes that tests run."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

UNIT_NICE = -10

ORDINARY_NICE = 0

AUTOGROUP = Path("/proc/self/autogroup")
"""Where a session's share of the processor is set against the other sessions' (sched(7))."""


@contextlib.contextmanager
def as_the_unit() -> Iterator[None]:
    """This thread, and what it starts, goes before whatever else the machine does; only root may, others go on as they
    are. Other workers' calculations are then no neighbour that a box on a Pi would not have had to bear."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, UNIT_NICE)
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, before)


def share_of_session(nice: int) -> None:
    """How this process's session, all tests and what they start, stands beside others; only root may raise it."""
    with contextlib.suppress(OSError):
        AUTOGROUP.write_text(str(nice))
