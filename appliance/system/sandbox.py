"""What the service does not see of the file system, by its unit (``systemd/voice-appliance.service``).

A person sees all of it at a terminal, so a file that is "not there" for the service is a riddle without this. Pure but
for the environment. A test holds it and the unit together.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

HIDDEN: Final[Mapping[str, str]] = {
    "/home": "ProtectHome",
    "/root": "ProtectHome",
    "/run/user": "ProtectHome",
    "/tmp": "PrivateTmp",
    "/var/tmp": "PrivateTmp",
}
"""Folder, and the setting of the unit that hides it. The service has a ``/tmp`` of its own, empty at each start."""

ON_A_STICK: Final = ("/media", "/run/media")
"""Where desktops mount what is plugged in: only while somebody is logged in, and for that user alone (udisks)."""

WRITABLE: Final = ("/var/lib/voice-appliance", "/run/voice-appliance", "/tmp", "/var/tmp", "/dev/shm")
"""Where the service may write (``ProtectSystem=strict``)."""

PLACE: Final = "/etc/voice-appliance"
"""Where its files belong."""


def objection(path: str) -> str:
    """Why the service cannot read what is in ``path``, and what to do; empty if the sandbox lets it."""
    for folder, setting in HIDDEN.items():
        if _is_below(path, folder):
            return f"the service does not see {folder} ({setting}= of its unit): move it, for example to {PLACE}"
    for folder in ON_A_STICK:
        if _is_below(path, folder):
            return f"{folder} is there only while somebody is logged in, for that user alone: copy it to {PLACE}"
    return ""


def objection_to_writing(path: str) -> str:
    """Why the service cannot write ``path``, and what to do; empty if the sandbox lets it."""
    if any(_is_below(path, folder) for folder in WRITABLE[:2]):
        return ""
    if any(_is_below(path, folder) for folder in WRITABLE):
        return f"what the service writes there is its own and gone at the next start: choose {WRITABLE[0]}"
    return f"the service may not write there (ProtectSystem= of its unit): choose {WRITABLE[0]}"


def hint(path: str, environment: Mapping[str, str] = os.environ) -> str:
    """``objection`` where systemd has started this program (systemd.exec(5), $INVOCATION_ID), else empty."""
    return objection(path) if "INVOCATION_ID" in environment else ""


def _is_below(path: str, folder: str) -> bool:
    return os.path.normpath(path).startswith(f"{folder}/") or os.path.normpath(path) == folder
