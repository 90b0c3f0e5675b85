"""No phase of a test lasts for ever: one that does ends its process with all stacks, and xdist names the test.

The ``timeout`` of pyproject.toml raises in the main thread, once. It is spent where the event loop or a test catches
it, where the loop then waits for a thread that never ends, and for the clean-up and the next attempt of a test that
has failed, for which pytest-timeout no longer counts. Such a test would hold the whole run.
"""

from __future__ import annotations

import faulthandler
import os
from collections.abc import Generator
from typing import Final

import pytest

LONGEST_PHASE_S: Final = 120.0
"""Twice the ``timeout`` of a test, which is the one that a test is meant to meet."""


class HangGuard:
    """The plugin: a phase is a test's set-up, its call or its clean-up."""

    def __init__(self, longest_s: float = LONGEST_PHASE_S) -> None:
        self._longest_s = longest_s
        self._stderr = os.dup(2)  # pytest's own is a file while it captures what a test prints

    def _guarded(self) -> Generator[None]:
        faulthandler.dump_traceback_later(self._longest_s, exit=True, file=self._stderr)
        try:
            return (yield)
        finally:
            faulthandler.cancel_dump_traceback_later()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self) -> Generator[None]:
        return (yield from self._guarded())

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self) -> Generator[None]:
        return (yield from self._guarded())

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Generator[None]:
        return (yield from self._guarded())
