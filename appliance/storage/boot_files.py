"""What was wrong with the files on the boot partition: left by who takes them over, as root before the daemon starts,
for the daemon, which has the light.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from appliance.storage import atomic_file

FOLDER: Final = "/run/voice-appliance-provision"
"""``RuntimeDirectory=`` of voice-appliance-provision.service: gone with the machine's next start."""

FILE: Final = "refused"


def tell(folder: str, refused: Sequence[tuple[str, str]]) -> None:
    """Leave word of what was ``refused``: each file, and a line about it without a secret. Or take former word back.
    Where ``folder`` is not there (tried by hand) there is nobody to tell. Raises OSError."""
    path = os.path.join(folder, FILE)
    if not os.path.isdir(folder):
        return
    if refused:
        atomic_file.write(path, "".join(f"{file}\t{line}\n" for file, line in refused).encode(), 0o644)
    elif os.path.exists(path):
        atomic_file.remove(path)


def refused(folder: str = FOLDER) -> tuple[str, ...]:
    """What was refused and is still there, a line each; nothing where nobody has looked."""
    try:
        with open(os.path.join(folder, FILE), encoding="utf-8", errors="replace") as file:
            told = [line.partition("\t") for line in file.read().splitlines()]
    except OSError:
        return ()
    return tuple(line for path, _, line in told if not _is_gone(path))


def _is_gone(path: str) -> bool:
    """Somebody has removed it. What cannot be looked at is not gone."""
    try:
        os.stat(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False
