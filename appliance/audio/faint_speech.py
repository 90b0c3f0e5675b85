"""Whether people go on speaking to a hands-free box below what opens it: its microphone is set too low, or is too far.

Pure: time is an argument, in monotonic seconds.
"""

from __future__ import annotations

from typing import Final

PAUSE_S: Final = 2.0
"""Between what counts as two things said; one question is noticed several times."""

NEEDED: Final = 4
"""Things said in vain, ``WITHIN_S``: a person asks three times before giving up; a talk in the next room is noticed,
too, but is no reason to have the box opened for it. Not measured with people."""

WITHIN_S: Final = 120.0

LINE: Final = (
    "somebody seems to speak, too faintly for the box: {dbfs:.0f} dBFS at the loudest; raise "
    "microphone.capture_percent, or the card's slider (hardware/sound.md), or speak nearer to the microphone"
)
"""For the journal; ``dbfs`` is filled in."""

_NEVER: Final = float("-inf")


class FaintSpeech:
    """Tell it of every voice that the gate noticed, and of every one that it opened for."""

    def __init__(self) -> None:
        self._said_s: list[float] = []
        """When each thing began that was said in vain."""
        self._last_s = _NEVER
        self._loudest_dbfs = _NEVER
        self.dbfs: float | None = None
        """Level of the loudest, once it is certain that the box is spoken to in vain; None: it is not."""

    def noticed(self, dbfs: float, now_s: float) -> bool:
        """A voice too faint to open. True, once: now it is certain."""
        if now_s - self._last_s > PAUSE_S:
            self._said_s = [said_s for said_s in self._said_s if now_s - said_s < WITHIN_S] + [now_s]
        self._last_s = now_s
        self._loudest_dbfs = max(self._loudest_dbfs, dbfs)
        if len(self._said_s) < NEEDED and self.dbfs is None:
            return False
        is_news, self.dbfs = self.dbfs is None, self._loudest_dbfs
        return is_news

    def opened(self) -> None:
        """Somebody was heard: what was faint was said to somebody else."""
        self._said_s.clear()
        self._loudest_dbfs = _NEVER
        self.dbfs = None
