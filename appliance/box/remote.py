"""What may be asked of a box from outside: by the control socket, by the commands that run one, and by tests.

On the event loop; nothing here waits.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from appliance.box.identification import Identification
from appliance.box.parts import Parts
from appliance.box.status import Status
from appliance.box.turns import Turns
from appliance.box.volume import Volume
from appliance.control.server import SOURCE as CONTROL_SOCKET
from appliance.errors import UnavailableError
from appliance.panel.buttons import Buttons
from appliance.panel.usb_button import Keys
from appliance.storage.wire_record import WireRecord
from appliance.turn import events
from appliance.turn import states as v

log = logging.getLogger(__name__)


class Remote:
    """One box's. ``recall`` gives what the box remembers."""

    def __init__(
        self,
        parts: Parts,
        turns: Turns,
        buttons: Buttons,
        keys: Keys,
        face: Status,
        volume: Volume,
        identification: Identification,
        wire_record: WireRecord,
        recall: Callable[[], Mapping[str, Any]],
    ) -> None:
        self._parts = parts
        self._turns = turns
        self._buttons = buttons
        self._keys = keys
        self._face = face
        self._wire_record = wire_record
        self.history = recall
        """What ``ctl history`` shows, as JSON values: nothing that was said."""
        self.set_volume = volume.set
        """0 to 100; what is out of the owner's bounds becomes the nearest that is not."""
        self.identify = identification.begin
        """``ctl identify``: light and speaker say "this one" for half a minute."""
        self.retry = parts.link.retry
        """``ctl retry``: one attempt to connect now, whatever the backoff says."""

    def status(self) -> dict[str, Any]:
        """What ``ctl status`` shows: plain values, no secrets, nothing that was said."""
        return {
            **self._face.status(),
            "key_fault": self._keys.trouble or None,
            "recorded_to": self._wire_record.path or None,
        }

    def edge(self, down: bool, source: str) -> None:
        """An edge of the button ``source``, now."""
        self._buttons.edge(down, asyncio.get_running_loop().time(), source)

    def mute(self, wanted: bool) -> None:
        """``ctl mute`` and ``ctl unmute``. Raises UnavailableError if the switch keeps the microphone off."""
        self._buttons.mute(wanted, CONTROL_SOCKET)

    def quiet(self) -> None:
        """``ctl stop``: the reply, a clip and the turn end, the daemon does not."""
        self._parts.sounds.hush()
        self._turns.happens(events.Stop())

    def record(self, wanted: bool) -> None:
        """``ctl record``: the wire is recorded from now on, or no more. Raises UnavailableError if it cannot be."""
        self._wire_record.switch(wanted)
        log.info("the wire is %s", f"recorded to {self._wire_record.path}" if wanted else "no longer recorded")

    def tone(self) -> None:
        """``doctor`` asks a person whether the speaker is heard. Raises UnavailableError if there is none."""
        if not self._parts.sounds.test():
            raise UnavailableError(f"no speaker: {self._face.speaker_fault or 'it is being opened'}")

    def hang_up(self) -> None:
        """``doctor`` gives back the session that it had opened; one that a turn needs stays."""
        if self._parts.machine.state is v.State.READY:
            self._parts.link.close("asked by the control socket")
