"""The record of the last sessions, in a file: lines as ``realtime/record.py`` says. Off unless somebody asks for it.

Called on the event loop. Some 100 bytes a message, handed to the system at once and written by it when it likes; a file
of 1 MiB holds an hour or so of talk, and the last three are kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TextIO

from appliance.errors import UnavailableError
from appliance.journal.catalog import Kind, entry
from appliance.realtime.record import Attempt, Connected, Entry, line_of
from appliance.storage import atomic_file

log = logging.getLogger(__name__)

FILE: Final = "wire.jsonl"
"""In the state folder, where ``log.record`` names no other place."""

MOST_BYTES: Final = 1 << 20
"""Of one file."""

FILES: Final = 3
"""The newest has the name, the older ones a number behind it."""

APPEND: Final = "input_audio_buffer.append"
"""Some 16 a second, all alike: a run of them is one line, with how many there were and until when."""


@dataclass(slots=True)
class _Run:
    """Appends that follow one another."""

    line: dict[str, Any]
    times: int = 1
    until_s: float = 0.0


class WireRecord:
    """``note`` is a ``realtime.record.Record``. ``path``: where it is written now; "" while it is off."""

    def __init__(self, configured: str, environ: Mapping[str, str] = os.environ) -> None:
        """``configured``: ``log.record``, "" for off."""
        folder = environ.get("STATE_DIRECTORY", "").partition(":")[0]
        self._usual = configured or (os.path.join(folder, FILE) if folder else "")
        self.path = configured
        self.is_switched_on = False
        """By ``ctl record``."""
        self._file: TextIO | None = None
        self._began_s = 0.0
        """When the present session began."""
        self._run: _Run | None = None

    def switch(self, on: bool) -> None:
        """``ctl record``: from now on, or no more. Raises UnavailableError if there is no place for it."""
        if on and not self._usual:
            raise UnavailableError(
                "there is no state folder to record into; name a file: log.record in the configuration"
            )
        if not on:
            self.close()
        self.path = self._usual if on else ""
        self.is_switched_on = on

    def close(self) -> None:
        """Write what is still to be written. It may go on with the next entry."""
        self._end_run()
        if self._file is not None:
            self._file.close()
            self._file = None

    def note(self, what: Entry) -> None:
        """Record it, if that is wanted. A file that cannot be written is one line in the journal, and the end of it."""
        if not self.path:
            return
        now_s = asyncio.get_running_loop().time()
        if isinstance(what, Connected | Attempt):
            self._began_s = now_s
        line = line_of(what, now_s - self._began_s)
        if isinstance(what, Connected | Attempt):
            line["at"] = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        try:
            self._add(line)
        except OSError as error:
            said = "the wire is no longer recorded: %s: %s"
            log.error(said, self.path, atomic_file.reason(error), extra=entry(Kind.NOT_KEPT))
            self.path, self._file, self._run = "", None, None

    def _add(self, line: dict[str, Any]) -> None:
        run = self._run
        if run is not None and {**line, "t": 0} == {**run.line, "t": 0}:
            run.times += 1
            run.until_s = line["t"]
            return
        self._end_run()
        if line["type"] == APPEND:
            self._run = _Run(line)
        else:
            self._write(line)

    def _end_run(self) -> None:
        run, self._run = self._run, None
        if run is not None:
            with contextlib.suppress(OSError):
                self._write(run.line | ({"times": run.times, "until": run.until_s} if run.times > 1 else {}))

    def _write(self, line: dict[str, Any]) -> None:
        text = json.dumps(line, separators=(",", ":")) + "\n"
        if self._file is not None and self._file.tell() + len(text) > MOST_BYTES:
            self._rotate()
        if self._file is None:
            self._file = _opened(self.path)
        self._file.write(text)
        self._file.flush()

    def _rotate(self) -> None:
        assert self._file is not None
        self._file.close()
        self._file = None
        for number in range(FILES - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                os.replace(older(self.path, number - 1), older(self.path, number))


def older(path: str, number: int) -> str:
    """Name of the file that is ``number`` files old; 0: the newest."""
    return f"{path}.{number}" if number else path


def _opened(path: str) -> TextIO:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        # Whoever left the file there: only its owner reads it from now on.
        os.fchmod(descriptor, 0o600)
        return os.fdopen(descriptor, "a", encoding="ascii")
    except BaseException:
        os.close(descriptor)
        raise
