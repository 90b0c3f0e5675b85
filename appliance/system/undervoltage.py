"""Whether the power supply holds: a Pi that gets too little drops its USB devices, and nobody looks for that reason.

The firmware's alarm is a file of the ``rpi_volt`` sensor: ``in0_lcrit_alarm``, 1 while the voltage is below 4.63 V or
was within the driver's last look, 2 s apart (drivers/hwmon/raspberrypi-hwmon.c of Linux).
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Final

from appliance.journal.catalog import Kind, entry

log = logging.getLogger(__name__)

LOOK_S: Final = 5.0
"""One file of a few bytes, and no disk behind it. Dips that lie between two looks of the driver and of ours are missed;
a supply that is too weak has many."""

OVER_S: Final = 300.0
"""So long without an alarm, and the next is a new episode: a weak supply dips with every loud syllable."""

SENSOR: Final = "rpi_volt"

LINE: Final = "the power supply is too weak, USB devices may drop out: use the Pi's own supply and a short, thick cable"


async def watch(root: Path = Path("/sys/class/hwmon"), look_s: float = LOOK_S) -> None:
    """One line for each episode, until cancelled. Returns at once on a machine without the sensor."""
    alarm = _alarm(root)
    if alarm is None:
        return
    loop = asyncio.get_running_loop()
    quiet_since_s: float | None = float("-inf")  # None: the alarm was raised at the last look
    while True:
        if _is_raised(alarm):
            if quiet_since_s is not None and loop.time() - quiet_since_s >= OVER_S:
                log.warning("%s", LINE, extra=entry(Kind.UNDERVOLTAGE))
            quiet_since_s = None
        elif quiet_since_s is None:
            quiet_since_s = loop.time()
        await asyncio.sleep(look_s)


def is_raised(root: Path = Path("/sys/class/hwmon")) -> bool:
    """The supply is too weak now; False also where nobody measures it."""
    alarm = _alarm(root)
    return alarm is not None and _is_raised(alarm)


def _alarm(root: Path) -> Path | None:
    """The sensor's file; None where there is no such sensor. Its number changes from start to start."""
    for name in sorted(root.glob("hwmon*/name")):
        if _text(name) == SENSOR:
            return name.with_name("in0_lcrit_alarm")
    return None


def _is_raised(alarm: Path) -> bool:
    return _text(alarm) == "1"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
