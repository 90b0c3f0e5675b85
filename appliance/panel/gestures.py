"""Edges of a button become presses and releases. Pure: time is an argument.

A press counts once it has lasted for the shortest press, 2 ms, which a spike on the wire does not, and carries the time
when it began, so that nothing said is late. A release counts once the button has stayed up for the debounce time, and
carries the time of the first edge up: a worn contact that lets go in ten small steps has let go at the first. A contact
that never settles is a press that lasts; the turn machine's longest hold ends it.

::

    contact   ▁▁▁█▁██████████████████▁█▁▁▁▁▁▁▁▁▁▁
                 │                   │     │
              Press, with this time  │     reported when it has been up for the debounce time:
                                     └──── Release, with this time
"""

from __future__ import annotations

from appliance.turn.value import Value


class Pressed(Value):
    """The button went down at ``at_s`` (monotonic seconds). ``source`` names the button."""

    at_s: float
    source: str


class Released(Value):
    """The button went up at ``at_s``, at least a debounce time ago. ``source`` names the button."""

    at_s: float
    source: str


Gesture = Pressed | Released


class Gestures:
    """The gestures of one button. Constant memory, constant time for each edge, whatever the contact does."""

    def __init__(self, debounce_s: float, source: str, press_min_s: float = 0.0) -> None:
        """``press_min_s``: a contact that is closed for less is none; 0: every press counts, at once."""
        self._debounce_s = debounce_s
        self._source = source
        self._press_min_s = press_min_s
        self._closed_s: float | None = None
        """When the contact closed that may be a press; None: it is one, or is open."""
        self._pressed_s: float | None = None
        """When the press began that has been reported; None: its release has been reported too."""
        self._down_s = 0.0
        """The last edge down."""
        self._up_s: float | None = None
        """The last edge up; None: the contact is down, or a release has been reported since."""
        self._first_up_s: float | None = None
        """The first edge up of a contact that has not settled since; None: it was down and still."""

    @property
    def deadline_s(self) -> float | None:
        """When ``tick`` must be called; None: not before the next edge."""
        if self._closed_s is not None:
            return self._closed_s + self._press_min_s
        return None if self._up_s is None else self._up_s + self._debounce_s

    def edge(self, down: bool, at_s: float) -> list[Gesture]:
        """The contact changed at ``at_s``, no earlier than the edge before. One that changes nothing is ignored."""
        gestures = self.tick(at_s)
        if down:
            gestures += self._down(at_s)
        elif self._closed_s is not None:
            self._closed_s = None
        elif self._pressed_s is not None and self._up_s is None:
            if self._first_up_s is None or at_s - self._down_s >= self._debounce_s:
                self._first_up_s = at_s
            self._up_s = at_s
        return gestures

    def tick(self, now_s: float) -> list[Gesture]:
        """Report a press or a release that is certain at ``now_s``."""
        deadline_s, first_up_s = self.deadline_s, self._first_up_s
        if deadline_s is None or now_s < deadline_s:
            return []
        if self._closed_s is not None:
            at_s, self._closed_s = self._closed_s, None
            self._pressed_s = self._down_s = at_s
            return [Pressed(at_s, self._source)]
        if first_up_s is None:
            return []
        self._pressed_s = self._up_s = self._first_up_s = None
        return [Released(first_up_s, self._source)]

    def _down(self, at_s: float) -> list[Gesture]:
        if self._pressed_s is None:
            if self._closed_s is None:
                self._closed_s = at_s
            return self.tick(at_s)
        if self._up_s is not None:
            self._up_s, self._down_s = None, at_s
            if at_s - self._pressed_s < self._debounce_s:
                # The contact was still bouncing from the press: that was no beginning of a release.
                self._first_up_s = None
        return []
