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

    def __init__(self, grace_s: float | None = None) -> None:
        """``grace_s``: instead of GRACE_S."""
        self._now_s = time.monotonic()
        super().__init__(_Jumping(self, GRACE_S if grace_s is None else grace_s))

    def time(self) -> float:
        return self._now_s

    def jump(self, seconds: float) -> None:
        """Let so much time have passed."""
        self._now_s += seconds


class _Jumping(selectors.DefaultSelector):
    """Waits hardly at all, and tells the loop that the wait is over."""

    def __init__(self, loop: PaperLoop, grace_s: float) -> None:
        super().__init__()
        self._loop = loop
        self._grace_s = grace_s

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(
            timeout if timeout is None else min(timeout, self._grace_s)
        )
        if not ready and timeout is not None:
            self._loop.jump(timeout)
        return ready


def on_paper(main: Coroutine[Any, Any, None], grace_s: float | None = None) -> None:
    """Run ``main`` in paper time. ``grace_s``: instead of GRACE_S."""
    with asyncio.Runner(loop_factory=lambda: PaperLoop(grace_s)) as runner:
        runner.run(main)
