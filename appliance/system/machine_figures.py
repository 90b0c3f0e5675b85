"""How the machine below the box is: files of the kernel, for the entries of the day. Where one is missing, None."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

MEBIBYTE: Final = 1 << 20


def celsius(root: Path = Path("/")) -> float | None:
    """Of the processor."""
    try:
        return int((root / "sys/class/thermal/thermal_zone0/temp").read_text()) / 1000
    except (OSError, ValueError):
        return None


def wifi_dbm(root: Path = Path("/")) -> int | None:
    """The signal of the first radio that is in use."""
    try:
        text = (root / "proc/net/wireless").read_text()
    except OSError:
        return None
    found = re.search(r"^\s*\S+:\s+\S+\s+\S+\s+(-\d+)", text, re.MULTILINE)
    return int(found[1]) if found else None


def free_mib(folder: str | None) -> int | None:
    """What is left of the card that ``folder`` is on; None for no folder."""
    if folder is None:
        return None
    try:
        space = os.statvfs(folder)
    except OSError:
        return None
    return space.f_bavail * space.f_frsize // MEBIBYTE
