"""When a card is looked for that is not open: a missing one, and a better one. It costs files of the kernel alone."""

from __future__ import annotations

from typing import Final

from appliance.soundhost.card_owners import is_free
from appliance.soundhost.devices import Card, Direction, KernelFolders, able_cards

from .card_preference import Preference

LOOK_AGAIN_S: Final = 2.0
"""A missing device is looked for this often (design.md, section 2); and a better card than the open one."""

SOON_S: Final = 0.5
"""The same after the start, and after the kernel's list of cards has changed: it was perhaps this one."""

SETTLING_S: Final = 4.0
"""So long after a start or such a change: udev sets the rights of a new card's files a moment after it appears, and
others, such as a desktop's sound server, look at it (neither measured)."""


class MissingDevice:
    """When the sound host is asked again for a device that it did not find or that did not open. Times are monotonic
    seconds."""

    def __init__(self, machine: KernelFolders) -> None:
        self._machine = machine
        self._look_at_s = 0.0
        self._cards: list[Card] = []
        """Those of the machine when the device was last asked for."""
        self._settled_s = 0.0
        self.is_looked_for = False
        """The host has been refused, and will be asked again."""

    def give_up(self) -> None:
        """The host ends, and nobody is asked again."""
        self.is_looked_for = False

    def may_be_new(self, now_s: float) -> None:
        """A missing device may be one that has just been plugged in, and is looked for often."""
        self._settled_s = now_s + SETTLING_S

    def has_settled(self, now_s: float) -> bool:
        """It is no longer likely that a missing device has just been plugged in."""
        return now_s >= self._settled_s

    def asked(self) -> None:
        """The host is looking."""
        self._cards = self._machine.cards()
        self.is_looked_for = False

    def was_refused(self, now_s: float) -> None:
        """The host has found nothing, or nothing that opens."""
        self.look_at(now_s + (LOOK_AGAIN_S if self.has_settled(now_s) else SOON_S))

    def look_at(self, look_at_s: float) -> None:
        """The next look is due then."""
        self._look_at_s = look_at_s
        self.is_looked_for = True

    def is_due(self, now_s: float) -> bool:
        """It is time, or other cards are there."""
        if now_s >= self._look_at_s:
            return True
        if self._machine.cards() == self._cards:
            return False
        self.may_be_new(now_s)
        return True


class BetterCard:
    """Whether a better card than the open one has come, and nobody will notice that it is taken."""

    def __init__(self, direction: Direction, preference: Preference, machine: KernelFolders) -> None:
        self._direction = direction
        self._preference = preference
        self._machine = machine
        self._look_at_s = 0.0
        self._known = b""
        """The kernel's list of cards in which there was no better one; empty: not looked at yet."""

    def forget(self) -> None:
        """Another device is open: what was not better than the one before may be better than this."""
        self._known = b""

    def is_to_be_taken(self, now_s: float) -> bool:
        """Looks at most every LOOK_AGAIN_S; ``now_s`` in monotonic seconds."""
        if now_s < self._look_at_s:
            return False
        self._look_at_s = now_s + LOOK_AGAIN_S
        # Of a list that has not changed, which it does not for months, only these few bytes are read.
        if (listing := self._machine.listing()) == self._known:
            return False
        better = self._preference.better(able_cards(self._direction, self._machine))
        free = [card for card in better if is_free(card, self._direction, self._machine)]
        self._known = b"" if better else listing
        if free:
            self._look_at_s = now_s + SOON_S
        return self._preference.has_settled(free, now_s) and self._preference.between_turns()
