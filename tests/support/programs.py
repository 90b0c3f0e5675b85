"""Programs for tests, and whether anything of them is left."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from tests.support.sound_host import until_now


def python(code: str, *arguments: str) -> list[str]:
    """A command that runs ``code``."""
    return [sys.executable, "-I", "-c", code, *arguments]


def shell(code: str) -> list[str]:
    """A command that runs ``code`` in a shell: quicker to start than Python."""
    return ["/bin/sh", "-c", code]


def children() -> set[int]:
    """Processes that this one has started and not reaped, dead ones included."""
    found = set()
    for path in Path("/proc/self/task").glob("*/children"):
        found |= {int(number) for number in path.read_text().split()}
    return found


def alive(process_id: int) -> bool:
    """True while it runs. The orphan of a killed process is reaped by somebody else, sooner or later."""
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def is_killed(process_id: int) -> bool:
    """It is gone, or SIGKILL has been sent to it, which on a busy machine takes a moment."""
    try:
        lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return True
    status = dict(line.split(":\t", 1) for line in lines)
    pending = int(status["SigPnd"], 16) | int(status["ShdPnd"], 16)
    return status["State"][0] in "ZX" or bool(pending & 1 << signal.SIGKILL - 1)


@contextmanager
def nothing_left() -> Iterator[None]:
    """What runs within starts no process, opens no file and schedules no task that outlives it."""
    processes, files = children(), len(os.listdir("/proc/self/fd"))
    tasks = asyncio.all_tasks()
    yield
    assert all(is_killed(process_id) for process_id in children() - processes)
    until_now(lambda: children() == processes)
    assert len(os.listdir("/proc/self/fd")) == files
    assert asyncio.all_tasks() == tasks


@asynccontextmanager
async def events_flow() -> AsyncIterator[None]:
    """The loop goes on with other things, in steps far shorter than what runs within."""
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    task = asyncio.create_task(tick())
    began_s = asyncio.get_running_loop().time()
    try:
        yield
    finally:
        lasted_s = asyncio.get_running_loop().time() - began_s
        task.cancel()
        await asyncio.wait([task])
    # A tenth of what an idle machine would see: this one may be busy.
    assert ticks >= int(lasted_s / 0.1)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what programs do: nobody tells of it."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def gone(process_id: int) -> None:
    """Until a killed process is no more: a program's own child dies a moment after it."""
    await until(lambda: not alive(process_id))


async def number_in(path: Path) -> int:
    """What a program writes into ``path``, once there is a whole line."""
    await until(lambda: path.exists() and path.read_text().endswith("\n"))
    return int(_text(path))


def _text(path: Path) -> str:
    return path.read_text()
