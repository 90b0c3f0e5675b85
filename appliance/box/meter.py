"""How loud the microphone is, for who watches while somebody is listened to. Everything runs on the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from appliance.box.parts import Parts
from appliance.control.server import LEVEL
from appliance.turn.states import State

LEVEL_S: Final = 0.1
"""Between two levels: a meter that follows syllables, some four a second, and ten short lines a second for it."""


class Meter:
    """Of one box. ``publish`` is told each level; ``is_wanted`` says whether anybody would read it."""

    def __init__(self, parts: Parts, publish: Callable[[dict[str, Any]], None], is_wanted: Callable[[], bool]) -> None:
        self._parts = parts
        self._publish = publish
        self._is_wanted = is_wanted
        self._told_s = 0.0

    def heard_block(self) -> None:
        """The ring has grown."""
        if not self._is_wanted() or self._parts.machine.state not in (State.LISTENING, State.EXPECTING):
            return
        now_s = asyncio.get_running_loop().time()
        if now_s - self._told_s >= LEVEL_S:
            self._told_s = now_s
            self._publish({"event": LEVEL, "dbfs": round(self._parts.microphone.level_dbfs, 1)})
