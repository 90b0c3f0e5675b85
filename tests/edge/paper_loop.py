"""An event loop whose clock jumps: when nothing is ready, the next timer is due at once. Hours pass in a moment."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Coroutine
from typing import Any

GRACE_S = 0.003
"""Really waited before the clock jumps: what is on its way over loopback arrives in far less."""


class PaperLoop(asyncio.SelectorEventLoop):
    """Real sockets, paper time. ``time()`` starts at the monotonic clock and moves by jumps alone: how long the machine
    takes for a step, or what else runs on it, changes nothing."""

    def __init__(self) -> None:
        self._now_s = time.monotonic()
        super().__init__(_Jumping(self))

    def time(self) -> float:
        return self._now_s

    def jump(self, seconds: float) -> None:
        """Let so much time have passed."""
        self._now_s += seconds


class _Jumping(selectors.DefaultSelector):
    """Waits hardly at all, and tells the loop that the wait is over."""

    def __init__(self, loop: PaperLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(
            timeout if timeout is None else min(timeout, GRACE_S)
        )
        if not ready and timeout is not None:
            self._loop.jump(timeout)
        return ready


def on_paper(main: Coroutine[Any, Any, None]) -> None:
    """Run ``main`` in paper time."""
    with asyncio.Runner(loop_factory=PaperLoop) as runner:
        runner.run(main)
