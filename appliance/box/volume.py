"""How loud the box is: set by people, kept over a restart. On the event loop."""

from __future__ import annotations

import logging

from appliance.audio.player import Player
from appliance.journal.catalog import Kind, entry
from appliance.storage.volume import VolumeFile

log = logging.getLogger(__name__)


class Volume:
    """One box's."""

    def __init__(self, player: Player, file: VolumeFile) -> None:
        self._player = player
        self._file = file

    def set(self, percent: int, lowest: int, highest: int, *, instead_of: int) -> None:
        """``percent`` within the bounds, from now on and after a restart, in place of ``speaker.volume``, which is
        ``instead_of``."""
        percent = max(lowest, min(highest, percent))
        if percent != round(self._player.volume):
            log.info("the volume is %d %% now", percent, extra=entry(Kind.VOLUME_SET))
        self._player.set_volume(percent)
        self._file.write(percent, instead_of)
