"""The two sound hosts of a box that has no card: its microphone hears what it is given, its speaker plays to nobody.

At real pace, and with the times and counts that a card's hosts report, so that everything behind them cannot tell.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Final, NoReturn

import numpy as np

from appliance.audio.any_host import AnyHost, Owner
from appliance.audio.card_preference import Preference
from appliance.audio.format import SAMPLE_BYTES, WIRE_HZ
from appliance.soundhost import messages
from appliance.soundhost.devices import Card, Direction

PERIOD_S: Final = 0.02
PERIOD_FRAMES: Final = round(PERIOD_S * WIRE_HZ)
NAME: Final = "no card"

ROOM_PEAK: Final = 2
"""Of the noise of a quiet room, in steps of 16 bits: exact silence would be a microphone that is switched off."""


class _Cardless:
    """What both have in common: a clock."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self.pace = messages.AT_ONCE
        self.due_s: float | None = None
        self.process_id: int | None = None
        self.instead_of: Card | None = None

    def keep_pace(self, piece_ms: int) -> None:
        """Nothing is held back, whatever the pace."""
        self.pace = piece_ms

    def pause(self) -> None:
        """Nothing is open that could be closed."""

    def resume(self) -> None:
        """The same."""

    def catch_up(self) -> None:
        """All is said when it happens."""

    async def run(self) -> NoReturn:
        """Until cancelled."""
        self._owner.opened(messages.Opened(NAME, "", "", WIRE_HZ, 1, PERIOD_FRAMES, PERIOD_S))
        began_s, done = time.monotonic(), 0
        while True:
            await asyncio.sleep(PERIOD_S)
            due = int((time.monotonic() - began_s) / PERIOD_S)
            for period in range(done, due):
                self._period(period, began_s + period * PERIOD_S)
            done = due
            self._owner.fetched()

    def _period(self, number: int, at_s: float) -> None:
        """Period ``number`` has gone by, which began at ``at_s``."""
        raise NotImplementedError


class CaptureHost(_Cardless):
    """A microphone in a quiet room."""

    def __init__(self, owner: Owner) -> None:
        super().__init__(owner)
        self._random = np.random.default_rng()
        self._waiting = b""

    def hears(self, pcm: bytes) -> None:
        """From now on: int16 mono at WIRE_HZ."""
        self._waiting += pcm

    @property
    def is_quiet(self) -> bool:
        """All of that has been heard."""
        return not self._waiting

    def send(self, message: messages.Samples | messages.Flush) -> None:
        """Nobody sends a microphone anything."""

    def _period(self, number: int, at_s: float) -> None:
        size = PERIOD_FRAMES * SAMPLE_BYTES
        said, self._waiting = self._waiting[:size], self._waiting[size:]
        room = self._random.integers(-ROOM_PEAK, ROOM_PEAK + 1, PERIOD_FRAMES, dtype=np.int16)
        room[: len(said) // SAMPLE_BYTES] = np.frombuffer(said, dtype="<i2")
        self._owner.received(messages.Block(at_s, number * PERIOD_FRAMES, room.tobytes()))


class PlaybackHost(_Cardless):
    """A speaker that nobody hears."""

    def __init__(self, owner: Owner) -> None:
        super().__init__(owner)
        self._epoch = self._written = self._queued = 0
        self.peak = 0
        """The loudest sample so far, in steps of 16 bits."""

    def send(self, message: messages.Samples | messages.Flush) -> None:
        """Queue it, or forget what is queued."""
        if message.epoch != self._epoch:
            self._epoch, self._written, self._queued = message.epoch, 0, 0
        if isinstance(message, messages.Samples):
            self._queued += len(message.pcm) // SAMPLE_BYTES
            self.peak = max(self.peak, int(np.abs(np.frombuffer(message.pcm, dtype="<i2").astype(np.int32)).max()))

    def _period(self, number: int, at_s: float) -> None:
        played = min(self._queued, PERIOD_FRAMES)
        self._queued -= played
        self._written += played
        self._owner.received(messages.Played(self._epoch, self._written, self._queued, 0, at_s + PERIOD_S))


class Cardless:
    """Makes them, as a ``MakesHost``."""

    capture: CaptureHost
    playback: PlaybackHost

    def __call__(
        self,
        direction: Direction,
        _request: messages.Open,
        owner: Owner,
        _environment: Mapping[str, str] | None,
        _preference: Preference | None,
    ) -> AnyHost:
        if direction == "capture":
            self.capture = CaptureHost(owner)
            return self.capture
        self.playback = PlaybackHost(owner)
        return self.playback
