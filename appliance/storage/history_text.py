"""What a box has kept, for commands: its history as lines for a person, and which cards have worked in it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from appliance.errors import UnavailableError
from appliance.soundhost.devices import KINDS
from appliance.storage import last_good_config
from appliance.storage.cards import CardFile
from appliance.storage.history import decoded
from appliance.storage.history_writer import FILE

STATE_FOLDER: Final = "/var/lib/voice-appliance"
"""Where systemd keeps the state of the service (``StateDirectory=``)."""


def from_file(folder: str = STATE_FOLDER) -> dict[str, Any]:
    """What the last daemon wrote. Raises UnavailableError."""
    path = os.path.join(folder, FILE)
    try:
        with open(path, "rb") as file:
            return decoded(file.read()).as_data()
    except PermissionError:
        raise UnavailableError(f"no permission for {path}: ask with sudo") from None
    except OSError as error:
        raise UnavailableError(f"no daemon runs, and there is no history: {path}: {error.strerror}") from None
    except ValueError as error:
        raise UnavailableError(f"no daemon runs, and the history cannot be read: {path}: {error}") from None


def cards() -> CardFile:
    """Which cards have worked; of a box whose state folder this user may not read nothing is known."""
    return CardFile(KINDS, {"STATE_DIRECTORY": last_good_config.state_folder() or STATE_FOLDER})


def lines(data: Mapping[str, Any]) -> Iterator[str]:
    """``data``: as ``History.as_data`` gives it. Oldest first."""
    for day, counts in data["days"].items():
        yield f"{day}  {', '.join(f'{cause} {number}' for cause, number in sorted(counts.items()))}"
    if data["days"] and data["changes"]:
        yield ""
    for boot, uptime_s, state, link, light in data["changes"]:
        yield f"{_when(data['boots'].get(boot), boot, uptime_s):25}{state:11}{link:12}{light}"


def as_json(data: Mapping[str, Any]) -> str:
    """One line."""
    return json.dumps(data)


def _when(began_s: float | None, boot: str, uptime_s: float) -> str:
    if began_s is None:
        return f"boot {boot} +{uptime_s:.1f} s"
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(began_s + uptime_s))
