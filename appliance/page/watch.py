"""The daemon's events, as a stream that survives the daemon. Everything runs on the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncGenerator
from typing import Any, Final

log = logging.getLogger(__name__)

LOOK_S: Final = 0.5
"""Between two attempts to reach the daemon: whoever stands before the screen is to see within 2 s that it is back."""

ANSWER_S: Final = 1.0
"""A daemon answers within a turn of its loop; one that does not is hung, and as good as not there."""

LONGEST_LINE_BYTES: Final = 131_072
"""Twice what the daemon lets a reader be behind with."""


async def messages(path: str, *, captions: bool) -> AsyncGenerator[dict[str, Any] | None, None]:
    """Everything that the daemon at the control socket ``path`` says to a watcher, for ever; None: there is none.

    None comes once, whenever the daemon is lost or was never there. ``captions``: wanted; where the daemon does not
    give them, the rest comes without.
    """
    there = True
    while True:
        async with contextlib.aclosing(_lines(path, captions)) as lines:
            async for message in lines:
                if message.get("ok") is False and captions:
                    # Settings were changed that this process or the daemon has not read yet.
                    captions = False
                    log.warning("the daemon gives no captions: set control.captions = true to show what is said")
                    break
                there = True
                yield message
        if there:
            there = False
            yield None
        await asyncio.sleep(LOOK_S)


async def _lines(path: str, captions: bool) -> AsyncGenerator[dict[str, Any], None]:
    """The messages of one connection, until it ends; none if there is nobody."""
    try:
        async with asyncio.timeout(ANSWER_S):
            reader, writer = await asyncio.open_unix_connection(path, limit=LONGEST_LINE_BYTES)
    except (OSError, TimeoutError):
        return
    try:
        writer.write(_request({"command": "watch", "levels": True, **({"captions": True} if captions else {})}))
        async with asyncio.timeout(ANSWER_S):
            line = await reader.readline()
        while line.endswith(b"\n"):
            yield json.loads(line)
            line = await reader.readline()
    except (OSError, TimeoutError, ValueError):
        # Gone, hung, or a line that is none of ours: the next connection begins with a clean one.
        return
    finally:
        writer.close()


async def command(path: str, name: str) -> None:
    """Send one command to the daemon, if it is there."""
    try:
        async with asyncio.timeout(ANSWER_S):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                writer.write(_request({"command": name}))
                await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError) as error:
        log.warning("the daemon does not take %s: %s", name, type(error).__name__)


def _request(request: dict[str, Any]) -> bytes:
    return json.dumps(request).encode("ascii") + b"\n"
