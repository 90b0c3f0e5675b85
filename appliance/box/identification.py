"""``ctl identify``: which of the boxes in a row is the one that somebody is logged in to. On the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

LASTS_S: Final = 30.0
"""Long enough to walk along a shelf; asked again it begins anew."""

TONE_EVERY_S: Final = 3.0
"""Ten tones: heard from the next room, and not an alarm."""


class Identification:
    """``show``: the light may be another now. ``tone``: let the speaker be heard, if nothing speaks against it."""

    def __init__(self, show: Callable[[], None], tone: Callable[[], None]) -> None:
        self._show = show
        self._tone = tone
        self._timer: asyncio.TimerHandle | None = None
        """Of the next tone, or of the end; None while nobody looks for the box."""
        self._until_s = 0.0

    @property
    def active(self) -> bool:
        """Somebody looks for the box."""
        return self._timer is not None

    def begin(self) -> None:
        """Say "this one" from now on, for ``LASTS_S``."""
        self.close()
        self._until_s = asyncio.get_running_loop().time() + LASTS_S
        self._again()

    def close(self) -> None:
        """No timer is left behind."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _again(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() >= self._until_s:
            self._timer = None
        else:
            self._tone()
            self._timer = loop.call_later(TONE_EVERY_S, self._again)
        self._show()
