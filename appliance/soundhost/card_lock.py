"""One process at a time looks at the sound cards of this machine. Standard library only; any thread.

PortAudio's look opens every card for a moment, and leaves out of its list what it could not open. Two sound hosts that
look at the same time hide the cards from each other: on a slow machine in every second start. So each looks and opens
under this lock, and so does every command of ours.

It is an flock(2) of the folder of the cards' own files: the same for the unit in its sandbox and for whoever types a
command; anybody may take it, so nobody needs rights or leaves a file; it ends with the process that holds it, however
that ends; and where the kernel has no sound there is nothing to lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator

from .devices import NODES

PATIENCE_S = 15.0
"""Then a look is taken without the lock: whoever has it is no sound host, for a hung one is killed sooner (LOOKING_S of
``sound_host``; longer only on a machine that has shown to be slower), or is one that the kernel does not let die."""

LOOK_S = 0.01
"""Between two attempts."""

REMIND_S = 1.0
"""Between two signs of life while it waits."""


@contextlib.contextmanager
def card_lock(waiting: Callable[[], None], nodes: str = NODES, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Hold the lock. ``waiting`` is called while another process has it, every REMIND_S, and once when that is over."""
    try:
        folder = os.open(nodes, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield
        return
    try:
        _take(folder, waiting, patience_s)
        yield
    finally:
        os.close(folder)


def _take(folder: int, waiting: Callable[[], None], patience_s: float) -> None:
    began_s = time.monotonic()
    reminded_s = 0.0
    while (now_s := time.monotonic()) < began_s + patience_s:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError:
            # EWOULDBLOCK; a file system that cannot lock is waited for like a lock that is never free.
            if now_s >= reminded_s + REMIND_S:
                waiting()
                reminded_s = now_s
            time.sleep(LOOK_S)
    if reminded_s:
        waiting()
