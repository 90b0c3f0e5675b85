"""The best kind of sound card that has ever worked in this box, kept over a restart: a line for each direction, such as
``playback usb``, in a file of the state folder.

A box that has had a USB speaker waits for it; one that never had takes the headphone socket. Written once or twice in
the life of a box, in a thread: a worn SD card takes seconds. Read at the start, a few bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Mapping, Sequence

from appliance.journal.catalog import Kind, entry
from appliance.storage import atomic_file

log = logging.getLogger(__name__)


class CardFile:
    """``$STATE_DIRECTORY``/cards, which systemd makes (``StateDirectory=``); without the variable nothing is kept.

    ``kinds``: of cards, the best first; a rank is an index into it.
    """

    def __init__(self, kinds: Sequence[str], environ: Mapping[str, str] = os.environ) -> None:
        folder = environ.get("STATE_DIRECTORY", "").partition(":")[0]
        self._path = os.path.join(folder, "cards") if folder else ""
        self._kinds = tuple(kinds)
        self._ranks = self._read()
        self._writing: asyncio.Future[None] | None = None
        """The last write; None before the first. Each waits for the one before: a file has one writer."""

    def rank(self, direction: str) -> int | None:
        """The best rank that has worked in that direction; None: none has, or nothing is known."""
        return self._ranks.get(direction)

    def remember(self, direction: str, rank: int) -> None:
        """Keep it. If that is not possible one line says so. Called on the event loop."""
        self._ranks[direction] = rank
        if self._path:
            content = "".join(f"{each} {self._kinds[of]}\n" for each, of in sorted(self._ranks.items()))
            self._writing = asyncio.ensure_future(self._write(content.encode(), self._writing))

    async def written(self) -> None:
        """Wait until all that is to be kept is."""
        if self._writing is not None:
            await self._writing

    async def _write(self, content: bytes, before: asyncio.Future[None] | None) -> None:
        if before is not None:
            await before
        try:
            await asyncio.to_thread(atomic_file.write, self._path, content)
        except OSError as error:
            line = "which cards have worked is not kept for the next start: %s: %s"
            log.warning(line, self._path, atomic_file.reason(error), extra=entry(Kind.NOT_KEPT))

    def _read(self) -> dict[str, int]:
        ranks = {}
        with contextlib.suppress(OSError, ValueError), open(self._path, encoding="ascii") as file:
            for line in file.read(256).splitlines():
                direction, kind = line.split()
                ranks[direction] = self._kinds.index(kind)
        return ranks
