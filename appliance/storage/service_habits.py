"""How the service takes settings (``realtime/opening.py``), kept over a restart: the first press after a power cut need
not wait for what the first session at an address has found out.

One line of JSON in a file of the state folder. It counts only for the address and the dialect that are configured when
it is read. Called on the event loop: a few bytes, without waiting for the disk, as in ``storage/volume.py``.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Mapping
from typing import Final

from appliance.journal.catalog import Kind, entry
from appliance.realtime.events import Dialect
from appliance.realtime.opening import Habits
from appliance.storage import atomic_file

log = logging.getLogger(__name__)

LONGEST_BYTES: Final = 4096
"""Of a file of ours: an address and three words."""


class HabitsFile:
    """``$STATE_DIRECTORY``/service, which systemd makes (``StateDirectory=``); without the variable nothing is kept.
    ``url`` and ``dialect``: those that are configured. ``habits``: what was kept for them, or nothing known."""

    def __init__(self, url: str, dialect: Dialect, environ: Mapping[str, str] = os.environ) -> None:
        folder = environ.get("STATE_DIRECTORY", "").partition(":")[0]
        self._path = os.path.join(folder, "service") if folder else ""
        self._of = {"url": url, "configured": dialect.value}
        self.habits = Habits(dialect)
        with contextlib.suppress(OSError, ValueError, KeyError), open(self._path, "rb") as file:
            kept = json.loads(file.read(LONGEST_BYTES))
            if isinstance(kept, dict) and all(kept.get(name) == value for name, value in self._of.items()):
                confirms, locked = kept["confirms"] is True, kept["locked"] is True
                self.habits = Habits(Dialect(kept["dialect"]), taken=not locked, confirms=confirms, locked=locked)
        self._kept = self._as_data()

    def keep(self) -> None:
        """Write ``habits`` if they have changed. If that is not possible one line says so."""
        data = self._as_data()
        if not self._path or data == self._kept or not (self.habits.taken or self.habits.locked):
            return
        self._kept = data
        new = f"{self._path}.new"
        try:
            with open(new, "w", encoding="ascii") as file:
                file.write(json.dumps(data) + "\n")
            os.replace(new, self._path)
        except OSError as error:
            line = "the service's way with settings is not kept for the next start: %s: %s"
            log.warning(line, self._path, atomic_file.reason(error), extra=entry(Kind.NOT_KEPT))

    def _as_data(self) -> dict[str, object]:
        habits = self.habits
        return {**self._of, "dialect": habits.dialect.value, "confirms": habits.confirms, "locked": habits.locked}
