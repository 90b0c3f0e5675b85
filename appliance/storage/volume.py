"""The volume that somebody has set, kept over a restart: two numbers in a file of the state folder, that volume and the
configured one in whose place it stands. Once another one is configured it is that one's turn.

Called on the event loop: a few bytes, without waiting for the disk. ext4, which Raspberry Pi OS uses, writes the new
file's data before it takes the place of the old one (``auto_da_alloc``, ext4(5)), so a power cut leaves either.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Mapping

from appliance.journal.catalog import Kind, entry
from appliance.storage import atomic_file

log = logging.getLogger(__name__)


class VolumeFile:
    """``$STATE_DIRECTORY``/volume, which systemd makes (``StateDirectory=``); without the variable nothing is kept."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        folder = environ.get("STATE_DIRECTORY", "").partition(":")[0]
        self._path = os.path.join(folder, "volume") if folder else ""

    def read(self, configured: int, lowest: int, highest: int) -> int:
        """Percent, within the bounds, which may have changed since; ``configured`` if nobody has set any since that is
        what is configured."""
        with contextlib.suppress(OSError, ValueError), open(self._path, encoding="ascii") as file:
            percent, instead_of = map(int, file.read(16).split())
            if instead_of == configured:
                return max(lowest, min(highest, percent))
        return configured

    def write(self, percent: int, configured: int) -> None:
        """Keep it in place of ``configured``. If that is not possible one line says so."""
        if not self._path:
            return
        new = f"{self._path}.new"
        try:
            with open(new, "w", encoding="ascii") as file:
                file.write(f"{percent} {configured}\n")
            os.replace(new, self._path)
        except OSError as error:
            line = "the volume is not kept for the next start: %s: %s"
            log.warning(line, self._path, atomic_file.reason(error), extra=entry(Kind.NOT_KEPT))
