"""A sound host as microphone and speaker see it, and they as it sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NoReturn, Protocol

from appliance.soundhost import messages
from appliance.soundhost.devices import Card, Direction

from .card_preference import Preference


class Owner(Protocol):
    """Who uses a sound host: the microphone or the speaker. Called in the loop's thread; an exception ends ``run``."""

    def opened(self, opened: messages.Opened) -> None:
        """A device runs from now on; everything about the one before is void."""

    def lost(self, reason: str) -> None:
        """There is no device now, and why, in words for a journal. Called once for each change of reason."""

    def changes(self) -> None:
        """The device is closed, since a better one is there: nothing is wrong, and ``opened`` or ``lost`` follows."""

    def received(self, message: messages.FromDevice) -> None:
        """What the running device says."""

    def fetched(self) -> None:
        """That was all for now: what was received can be dealt with together."""


class AnyHost(Protocol):
    """What microphone and speaker need of a sound host; ``SoundHost`` says what each does."""

    def keep_pace(self, piece_ms: int) -> None: ...

    @property
    def pace(self) -> int: ...

    @property
    def due_s(self) -> float | None: ...

    @property
    def process_id(self) -> int | None: ...

    @property
    def instead_of(self) -> Card | None: ...

    def send(self, message: messages.Samples | messages.Flush) -> None: ...

    def catch_up(self) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    async def run(self) -> NoReturn: ...


MakesHost = Callable[[Direction, messages.Open, Owner, Mapping[str, str] | None, Preference | None], AnyHost]
"""``SoundHost``, or what stands in its place where no card is."""
