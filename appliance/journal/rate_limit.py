"""What the journal says of a device that comes and goes: one line when it goes, one when it is back.

A sound card that is pulled out fails for several reasons one after the other (it hangs, it cannot be opened, there is
none), and the first says all there is to say. A reason that is another one long after is news: who plugs the card in
again while another program has it wants to know.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Hashable, Mapping
from typing import Any, Final

from appliance.journal.catalog import Kind, entry

SETTLED_S: Final = 30.0
"""A reason that changes sooner belongs to the line before: a slow hub takes some seconds to show all of a card."""

MOST_OUTAGES: Final = 10
"""Within REPEAT_S that are said each; a loose plug must not fill an SD card. Beyond them equal lines are counted."""


class Outages:
    """The journal of one device. ``noun``: microphone, speaker. ``found``, ``missing``: the kinds of its lines."""

    def __init__(self, noun: str, logger: logging.Logger, found: Kind, missing: Kind) -> None:
        self._noun = noun
        self._logger = logger
        self._found = found
        self._missing = missing
        self._repeats = Repeats(logger)
        self._begun: deque[float] = deque()
        """When the latest outages began, those of the last REPEAT_S."""
        self._said_s: float | None = None
        """When the present one was last said; None while the device is there."""
        self._reason = ""
        """What was said then."""

    def lost(self, reason: str, now_s: float) -> None:
        """It is gone, or still gone for another reason."""
        if self._said_s is None:
            self._begun.append(now_s)
        elif reason == self._reason or now_s - self._said_s < SETTLED_S:
            self._logger.debug("no %s: %s", self._noun, reason)
            return
        self._said_s, self._reason = now_s, reason
        self._say(logging.ERROR, f"no {self._noun}: {reason}", self._missing, now_s)

    def opened(self, shape: str, notes: tuple[str, ...], now_s: float) -> None:
        """It is there. ``notes``: further lines, said once in a while; empty ones are left out."""
        self._said_s = None
        self._say(logging.INFO, f"{self._noun}: {shape}", self._found, now_s)
        for note in notes:
            if note:
                self._repeats.log(logging.WARNING, note, now_s, entry(self._found))

    def _say(self, level: int, line: str, kind: Kind, now_s: float) -> None:
        while self._begun and now_s - self._begun[0] > REPEAT_S:
            self._begun.popleft()
        if len(self._begun) <= MOST_OUTAGES:
            self._logger.log(level, "%s", line, extra=entry(kind))
        else:
            self._repeats.log(level, line, now_s, entry(kind))


REPEAT_S = 600.0
"""A trouble that lasts is said again this often: a night of it is some 70 lines."""


REMEMBERED_LINES = 64
"""Different lines whose repeats are counted; troubles have a dozen."""


class Repeats:
    """Says a thing when it begins and then rarely: a fault that logs every second fills an SD card.

    A line that was written less than REPEAT_S ago, or one that was ``alike``, goes to debug; when it is due again it
    says how often it came meanwhile.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._said: dict[Hashable, tuple[float, int]] = {}
        """Line, or what it is alike in: (when it was last written, how often it came since)."""

    def log(
        self,
        level: int,
        line: str,
        now_s: float,
        extra: Mapping[str, Any] | None = None,
        *,
        alike: Hashable | None = None,
    ) -> None:
        """Write ``line``, or count it. ``now_s``: monotonic seconds; ``extra``: as logging takes it.

        ``alike``: lines with an equal one are repeats of each other, whatever else they say; None: equal lines are.
        """
        what = line if alike is None else alike
        written_s, count = self._said.get(what, (float("-inf"), 0))
        if now_s - written_s < REPEAT_S:
            self._said[what] = (written_s, count + 1)
            self._logger.debug("%s", line, extra=extra)
            return
        if len(self._said) >= REMEMBERED_LINES:
            del self._said[min(self._said, key=lambda known: self._said[known][0])]
        self._said[what] = (now_s, 0)
        self._logger.log(level, "%s", f"{line} ({count} times more since)" if count else line, extra=extra)
