"""Lines for systemd's journal, with the fields that make them findable: the native protocol instead of a stream.

Each entry carries what the line's ``extra`` holds (``kinds.entry``), and what is so around it: the name of the box, and
what it is doing. Thread: any; one datagram to journald, some 30 µs.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from appliance.journal.catalog import ATTRIBUTE, Entry
from appliance.journal.foreign_text import one_line

_PRIORITY: Final = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
"""Levels of syslog(3)."""

IDENTIFIER: Final = "voice-appliance"
"""SYSLOG_IDENTIFIER of every entry; without it the journal would say python3."""

SERIAL_FILE: Final = "proc/device-tree/serial-number"
"""A Pi's firmware puts the board's serial there, 16 hexadecimal digits and a NUL."""


class JournalHandler(logging.Handler):
    """``around``: fields of every entry, asked for at each; values of None are left out. Raises ImportError without
    Debian's python3-systemd.
    """

    def __init__(self, around: Callable[[], Mapping[str, object]]) -> None:
        super().__init__()
        # Here: only a daemon under systemd needs the package.
        from systemd.journal import send

        self._send: Callable[..., None] = send
        self._around = around

    def emit(self, record: logging.LogRecord) -> None:
        """Send one entry. A journal that does not answer costs the line, never more."""
        try:
            fields: dict[str, object] = {**self._around()}
            message_id = None
            kind = getattr(record, ATTRIBUTE, None)
            if isinstance(kind, Entry):
                message_id = kind.kind.value
                fields |= {"EVENT": kind.kind.name.lower(), **kind.fields}
            if record.exc_info:
                fields["TRACEBACK"] = logging.Formatter().formatException(record.exc_info)
            self._send(
                one_line(record.getMessage(), None),
                MESSAGE_ID=message_id,
                CODE_FILE=record.pathname,
                CODE_LINE=record.lineno,
                CODE_FUNC=record.funcName,
                PRIORITY=_PRIORITY.get(record.levelno, 6),
                SYSLOG_IDENTIFIER=IDENTIFIER,
                LOGGER=record.name,
                **{key: str(value) for key, value in fields.items() if value is not None},
            )
        except Exception:
            self.handleError(record)


def collected(folder: str, since_s: float) -> Iterator[Mapping[str, Any]]:
    """Our entries in the journals of ``folder``, from ``since_s`` (seconds since 1970) on, in the order of their time;
    before that the last entry of each box that has none since. Raises OSError, and ImportError without Debian's
    python3-systemd.

    Fields are text; ``__REALTIME_TIMESTAMP`` is a datetime. They are from outside: who has a certificate writes them.
    """
    from systemd.journal import Reader

    with Reader(path=folder) as journal:
        heard = set()
        journal.add_match(SYSLOG_IDENTIFIER=IDENTIFIER)
        journal.seek_realtime(since_s)
        for found in journal:
            heard.add(found.get("BOX_NAME"))
            yield found
        for name in journal.query_unique("BOX_NAME") - heard:
            journal.flush_matches()
            journal.add_match(SYSLOG_IDENTIFIER=IDENTIFIER, BOX_NAME=name)
            journal.seek_tail()
            if last := journal.get_previous():
                yield last


def box_name(configured: str, root: Path = Path("/")) -> str:
    """``configured``, else the board's serial, else the host's name. ``root``: where /proc and /etc are found."""
    if configured:
        return configured
    return _serial(root) or _read(root / "proc/sys/kernel/hostname") or "unknown"


def _serial(root: Path) -> str:
    """The serial of the board; empty where there is none, or one of zeros alone (virtual machines have such)."""
    text = _read(root / SERIAL_FILE)
    if not text:
        # Older kernels of Raspberry Pi OS.
        found = re.search(r"^Serial\s*:\s*(\w+)$", _read(root / "proc/cpuinfo"), re.MULTILINE)
        text = found[1] if found else ""
    return text if text.strip("0") else ""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip("\0 \n")
    except OSError:
        return ""
