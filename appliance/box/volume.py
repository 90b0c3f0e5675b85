"""How loud the box is: set by people, kept over a restart. On the event loop."""

from __future__ import annotations

import logging

from appliance.audio.player import Player
from appliance.config.settings import SpeakerSettings
from appliance.journal.catalog import Kind, entry
from appliance.storage.volume import VolumeFile

log = logging.getLogger(__name__)


class Volume:
    """One box's. ``settings``: the bounds, and the volume in whose place somebody sets another."""

    def __init__(self, player: Player, file: VolumeFile, settings: SpeakerSettings) -> None:
        self._player = player
        self._file = file
        self._settings = settings

    def set(self, percent: int) -> None:
        """``ctl volume``, the tool, knob and keys: ``percent``, or the nearest within the bounds, from now on and after
        a restart."""
        percent = max(self._settings.volume_min, min(self._settings.volume_max, percent))
        if percent != round(self._player.volume):
            log.info("the volume is %d %% now", percent, extra=entry(Kind.VOLUME_SET))
        self._player.set_volume(percent)
        self._file.write(percent, self._settings.volume)

    def go_by(self, settings: SpeakerSettings) -> None:
        """Other settings are in force; another configured volume takes the place of what somebody has set."""
        if settings.volume != self._settings.volume:
            self._player.set_volume(settings.volume)
        self._settings = settings
