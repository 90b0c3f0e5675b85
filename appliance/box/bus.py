"""What happens to the turns of one box, told to everyone in it who listens: who tells does not know who that is.

Connection, microphone and speaker report to the box itself, which passes their words to ``reports.py``.

Synchronous, on the event loop: whoever tells goes on when all have heard, in the order in which they began to listen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from appliance.turn.states import Outcome
from appliance.turn.value import Value

Happening = TypeVar("Happening")


class Changed(Value):
    """Something has happened that the box may show."""


class PressComes(Value):
    """Somebody has pressed, and nothing has been done about it yet."""


class TurnClosed(Value):
    """A turn has ended, and its session may be closed after this."""

    outcome: Outcome


class MicrophoneDead(Value):
    """A turn has ended of which not one sample was anything but zero."""


class Bus:
    """Of one box."""

    def __init__(self) -> None:
        self._listeners: dict[type, list[Callable[[Any], None]]] = {}

    def listen(self, to: type[Happening], listener: Callable[[Happening], None]) -> None:
        """``listener`` is told whatever is exactly of this class from now on."""
        self._listeners.setdefault(to, []).append(listener)

    def tell(self, happening: object) -> None:
        """Tell all who listen to its class; an exception of theirs is the teller's."""
        for listener in self._listeners.get(type(happening), ()):
            listener(happening)
