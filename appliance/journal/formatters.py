"""How log lines look: for a person on a terminal, for the journal under systemd. Always on standard error."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from typing import TextIO

from appliance.journal.foreign_text import one_line

_PRIORITY = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
"""Levels of syslog(3); the journal reads them from ``<n>`` at the start of a line."""


OURS = "voice-appliance"
"""Name of the one handler that ``set_up`` has installed."""


class TerminalFormatter(logging.Formatter):
    """``12:34:56.789 warning link.link: text``."""

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
    # At debug this library prints the Authorization header (decision 15); our own wire log says the rest.
    logging.getLogger("websockets").setLevel(max(root.level, logging.INFO))


def _shortened(record: logging.LogRecord) -> logging.LogRecord:
    """A copy of ``record`` with names as a person reads them: without the package, levels in small letters. Its text is
    one line, whatever is in it: nothing from outside can look like a line of ours."""
    short = logging.makeLogRecord(record.__dict__)
    short.msg, short.args = one_line(record.getMessage(), None), None
    short.name = record.name.removeprefix("appliance.")
    short.levelname = record.levelname.lower()
    return short
