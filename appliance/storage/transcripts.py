"""What was said, for an owner who wants it kept: off unless configured, because it is people's speech.

To the journal, and/or to a file of JSON lines that only the daemon's user can read, rotated by size.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Callable

from appliance.config.settings import TranscriptSettings
from appliance.journal.catalog import Kind, entry
from appliance.journal.foreign_text import one_line

log = logging.getLogger(__name__)


class Transcripts:
    """Called from the event loop, once a turn: one short write."""

    def __init__(self, settings: TranscriptSettings, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._failed = False

    def turn(self, number: int, person: str, box: str, heard: str) -> None:
        """Keep one turn. ``box``: all that the service answered; ``heard``: as much of it as the person heard."""
        if not (person or box):
            return
        if self._settings.journal:
            said, answered = one_line(person, None), one_line(heard, None)
            log.info('turn %d: the person said "%s", the box answered "%s"', number, said, answered)
        if self._settings.file:
            when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._clock()))
            line = json.dumps(
                {"time": when, "turn": number, "person": person, "box": box, "heard": heard}, ensure_ascii=False
            )
            # A lone surrogate, which JSON can carry and UTF-8 can not, is kept as an escape.
            self._append(line.encode("utf-8", "backslashreplace") + b"\n")

    def _append(self, line: bytes) -> None:
        path = self._settings.file
        try:
            self._rotate(path, len(line))
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                os.fchmod(descriptor, 0o600)
                _append_whole(descriptor, line)
            finally:
                os.close(descriptor)
            self._failed = False
        except OSError as error:
            # Once, not once a turn: a full card must not fill the journal too.
            if not self._failed:
                said = "transcripts are not kept: %s: %s; check transcripts.file"
                log.error(said, path, error.strerror, extra=entry(Kind.TRANSCRIPTS_FAILED))
            self._failed = True

    def _rotate(self, path: str, coming_bytes: int) -> None:
        """Newest first: path, path.1, path.2 … The oldest is overwritten."""
        try:
            if os.stat(path).st_size + coming_bytes <= self._settings.max_bytes:
                return
        except FileNotFoundError:
            return
        if self._settings.keep == 0:
            os.unlink(path)
            return
        for number in range(self._settings.keep - 1, 0, -1):
            if os.path.exists(f"{path}.{number}"):
                os.replace(f"{path}.{number}", f"{path}.{number + 1}")
        os.replace(path, f"{path}.1")


def _append_whole(descriptor: int, line: bytes) -> None:
    """All of ``line`` or nothing: a card that fills up takes a part of it, and says so only at the next write, and the
    next turn's line would be glued to that part. Raises OSError."""
    before = os.fstat(descriptor).st_size
    try:
        while line:
            line = line[os.write(descriptor, line) :]
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, before)
        raise
