"""The wall clock, and whether it can be believed: a Pi has none, and starts at whatever time it last knew."""

from __future__ import annotations

import os
import time
from typing import Final

from appliance.errors import ProgramError
from appliance.system import program

TIMESYNCD_MARK: Final = "/run/systemd/timesync/synchronized"
"""systemd-timesyncd makes it when it has first set the clock since the start. Raspberry Pi OS and Debian have it."""

ASK: Final = ("/usr/bin/timedatectl", "show", "--property=NTPSynchronized", "--value")
"""The kernel's own mark (adjtimex's STA_UNSYNC), which chrony and ntpd keep too. Python has no call for it, and a
program once per question costs less than ctypes and a structure that differs between 32 and 64 bits."""

ASK_TIMEOUT_S: Final = 2.0
"""systemd may have to start timedated for the answer: 0.1 s on a Pi's slow card (estimated, not measured)."""


def local_time(since_epoch_s: float | None = None) -> time.struct_time:
    """``time.localtime`` in the zone that the box has now: whoever sets up a box sets its zone while the daemon runs.

    The C library reads /etc/localtime once, and looks again only when it is asked to (tzset(3)): a stat of a file that
    is in memory, then. Any thread.
    """
    time.tzset()
    return time.localtime(since_epoch_s)


async def is_synchronised(mark: str = TIMESYNCD_MARK) -> bool:
    """True if something has set the clock from the network since the start. False also if nobody can tell."""
    if _exists(mark):
        return True
    try:
        return (await program.run(ASK, b"", ASK_TIMEOUT_S, limit_bytes=64)).strip() == b"yes"
    except ProgramError:
        return False


def _exists(mark: str) -> bool:
    return os.path.exists(mark)  # on /run, which is memory: it does not block
