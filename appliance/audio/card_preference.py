"""Which card ``auto`` waits for, and when it may change: by what has worked in this box. No clock, no files.

A box whose USB speaker is away for a moment must not answer into the empty headphone socket instead: nobody would hear
it, and nothing would say so. So a kind of card that has worked here once is waited for, and so is the very card that
was open, though others beside it would do; for as long as ``fallback_s`` says. A box that never had one takes the best
there is. A better card that comes later is taken as soon as it can be: one that is busy takes nothing away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from appliance.soundhost.devices import KINDS, Card, Direction, Limits

SETTLED_S = 2.0
"""How long a better card must have been there: udev sets the rights of a new one's files a moment after it appears, and
a loose plug comes and goes. Not measured."""


class Preference:
    """Of one direction. ``SoundHost`` tells it what happens, in monotonic seconds.

    ``fallback_s``: how long a card that worked before is waited for; 0: for ever. ``best_rank``: of all that have ever
    worked here, index into KINDS; None: none has. ``remember`` is called when there is a better one. ``between_turns``:
    nobody would notice if the device changed now.
    """

    def __init__(
        self,
        direction: Direction,
        fallback_s: float = 0.0,
        best_rank: int | None = None,
        remember: Callable[[int], None] = lambda rank: None,
        between_turns: Callable[[], bool] = lambda: True,
    ) -> None:
        self.direction = direction
        self._fallback_s = fallback_s
        self._best_rank = len(KINDS) - 1 if best_rank is None else best_rank
        self._worked = best_rank is not None
        self._remember = remember
        self.between_turns = between_turns
        self._card: Card | None = None
        """The one open now, or last; None before the first."""
        self._beside: frozenset[str] = frozenset()
        """Places of the other able cards when it was opened, and when it was lost; not of those away meanwhile."""
        self._missing_s: float | None = None
        """Since when there is none; None while there is."""
        self._fell_back = False
        """``fallback_s`` was over before that card was there."""
        self._coming: tuple[str, float] | None = None
        """Place of a better card, and since when it could be opened."""
        self._tried = ""
        """Place of the better card for which the open one was closed; empty from then on that one is open."""
        self._failed: tuple[str, ...] = ()
        """Its place, when it could not be opened after all, until one is."""

    def limits(self, now_s: float) -> Limits:
        """What ``auto`` may take when it looks at that time."""
        if self._missing_s is None:
            self._missing_s = now_s
        self._coming = None
        if self._fell_back or 0 < self._fallback_s <= now_s - self._missing_s:
            self._fell_back = True
            return Limits(refused=self._failed)
        return Limits(self._best_rank, self._beside.union(self._failed) if self._card is not None else frozenset())

    def opened(self, card: Card, able: Sequence[Card]) -> Card | None:
        """``card`` was opened; ``able``: all that could have been. The card in whose place it is; None: the same."""
        before = self._card
        self._missing_s, self._tried, self._failed = None, "", ()
        if card.rank <= self._best_rank:
            self._fell_back = False
        if not self._worked or card.rank < self._best_rank:
            self._worked, self._best_rank = True, card.rank
            self._remember(card.rank)
        # Better cards that are there and were not taken cannot be used: they are no reason to wait, nor to change.
        self._card, self._beside = card, frozenset(each.place for each in able if each.place != card.place)
        return None if before is None or before.place == card.place else before

    def lost(self, able: Sequence[Card]) -> None:
        """The open one is gone; ``able``: all that are there now. What comes from now on may be its replacement."""
        if self._card is not None:
            self._beside |= {each.place for each in able if each.place != self._card.place}

    def better(self, able: Sequence[Card]) -> list[Card]:
        """Those of ``able`` that have come since the open one was opened, and are better. ``able``: all there are."""
        if self._card is None:
            return []
        self._beside &= {card.place for card in able}
        known = {self._card.place, *self._beside}
        return [card for card in able if card.order < self._card.order and card.place not in known]

    @property
    def is_changing(self) -> bool:
        """A better card is to be opened, in place of one that works."""
        return bool(self._tried)

    def change(self) -> None:
        """The device is being closed for the better card, which has settled."""
        self._tried = "" if self._coming is None else self._coming[0]

    def change_back(self) -> bool:
        """A device could not be opened. If it was the better card, that one is refused now: True."""
        if not self.is_changing:
            return False
        self._tried, self._failed = "", (self._tried,)
        return True

    def has_settled(self, free: Sequence[Card], now_s: float) -> bool:
        """The first of ``free`` has been the first for a while. ``free``: better ones that can be opened now."""
        if not free:
            self._coming = None
            return False
        if self._coming is None or self._coming[0] != free[0].place:
            self._coming = (free[0].place, now_s)
        return now_s >= self._coming[1] + SETTLED_S
