"""How log lines look: for a person on a terminal, for the journal under systemd. Always on standard error."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Hashable, Mapping
from typing import Any, TextIO

from appliance.outside import one_line

_PRIORITY = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
"""Levels of syslog(3); the journal reads them from ``<n>`` at the start of a line."""


REPEAT_S = 600.0
"""A trouble that lasts is said again this often: a night of it is some 70 lines."""

OURS = "voice-appliance"
"""Name of the one handler that ``set_up`` has installed."""

REMEMBERED_LINES = 64
"""Different lines whose repeats are counted; troubles have a dozen."""


class TerminalFormatter(logging.Formatter):
    """``12:34:56.789 warning edge.link: text``."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03d %(levelname)s %(name)s: %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """The line of ``record``, followed by those of its traceback if it has one."""
        return super().format(_shortened(record))


class JournalFormatter(logging.Formatter):
    """``<4>text``: time, host and unit are the journal's own; every line carries the priority."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of ``record``, followed by those of its traceback if it has one."""
        return prioritised(super().format(_shortened(record)), record.levelno)


class Repeats:
    """Says a thing when it begins and then rarely: a fault that logs every second fills an SD card.

    A line that was written less than REPEAT_S ago, or one that was ``alike``, goes to debug; when it is due again it
    says how often it came meanwhile.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._said: dict[Hashable, tuple[float, int]] = {}
        """Line, or what it is alike in: (when it was last written, how often it came since)."""

    def log(
        self,
        level: int,
        line: str,
        now_s: float,
        extra: Mapping[str, Any] | None = None,
        *,
        alike: Hashable | None = None,
    ) -> None:
        """Write ``line``, or count it. ``now_s``: monotonic seconds; ``extra``: as logging takes it.

        ``alike``: lines with an equal one are repeats of each other, whatever else they say; None: equal lines are.
        """
        what = line if alike is None else alike
        written_s, count = self._said.get(what, (float("-inf"), 0))
        if now_s - written_s < REPEAT_S:
            self._said[what] = (written_s, count + 1)
            self._logger.debug("%s", line, extra=extra)
            return
        if len(self._said) >= REMEMBERED_LINES:
            del self._said[min(self._said, key=lambda known: self._said[known][0])]
        self._said[what] = (now_s, 0)
        self._logger.log(level, "%s", f"{line} ({count} times more since)" if count else line, extra=extra)


def prioritised(text: str, level: int) -> str:
    """``text`` with the journal's priority of the logging ``level`` in front of each of its lines."""
    return "\n".join(f"<{_PRIORITY.get(level, 6)}>{line}" for line in text.splitlines())


def goes_to_journal(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """True if ``stream`` is the socket that systemd says (``$JOURNAL_STREAM``, device:inode) leads to the journal.

    The variable alone proves nothing: programs started from a service's shell inherit it, with another standard error.
    """
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def set_up(level: str = "info", stream: TextIO | None = None, handler: logging.Handler | None = None) -> None:
    """Send everything of ``level`` ("debug", "info", "warning") and above to ``stream``, standard error if None, or to
    ``handler``.

    Called again it replaces what it did before: the command line sets up at once, ``run`` when it knows ``log.level``.
    """
    if handler is None:
        target = stream or sys.stderr
        handler = logging.StreamHandler(target)
        handler.setFormatter(JournalFormatter() if goes_to_journal(target) else TerminalFormatter())
    handler.set_name(OURS)
    root = logging.getLogger()
    for former in root.handlers[:]:
        if former.name == OURS:
            root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(level.upper())
    # At debug this library prints the Authorization header (ruling 15); our own wire log says the rest.
    logging.getLogger("websockets").setLevel(max(root.level, logging.INFO))


def _shortened(record: logging.LogRecord) -> logging.LogRecord:
    """A copy of ``record`` with names as a person reads them: without the package, levels in small letters. Its text is
    one line, whatever is in it: nothing from outside can look like a line of ours."""
    short = logging.makeLogRecord(record.__dict__)
    short.msg, short.args = one_line(record.getMessage(), None), None
    short.name = record.name.removeprefix("appliance.")
    short.levelname = record.levelname.lower()
    return short
