"""The priority that the unit gives the box (``Nice=-10``), for boxes that tests run in their own process."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

UNIT_NICE = -10


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
