"""Who is pressing: from edges of any number of contacts to the presses and releases that count.

With several buttons the one that pressed owns the hold (decision 23): the others do nothing until it lets go. The mute
switch is a contact like any other, with another meaning. Everything runs on the event loop.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Protocol

from appliance.errors import UnavailableError
from appliance.journal.catalog import Kind, entry
from appliance.panel.gestures import Gesture, Gestures, Pressed, Released
from appliance.panel.panel import MUTE_SWITCH
from appliance.panel.panel import SOURCE as BUTTON

log = logging.getLogger(__name__)


class OnButtons(Protocol):
    """Who is told. Times are monotonic seconds."""

    def on_press(self, at_s: float) -> None:
        """Somebody pressed; acted on at once."""

    def on_lifted(self, at_s: float) -> None:
        """The contact opened: a release, or a bounce of one that is still pressed."""

    def on_release(self, at_s: float) -> None:
        """It was a release, at ``at_s``; known a debounce time later."""

    def on_mute(self, muted: bool) -> None:
        """The microphone is wanted off, or on again; ``muted_by`` tells by whom."""


@dataclass(frozen=True, slots=True)
class ButtonTimes:
    """All in seconds; values and reasons in ``default.toml``."""

    debounce_s: float
    press_min_s: float
    max_hold_s: float


class Buttons:
    """The contacts of one box, and who keeps its microphone off."""

    def __init__(self, times: ButtonTimes, told: OnButtons, remote: str) -> None:
        """``remote``: the source that is no contact, so that nothing says when it is let go."""
        self._remote = remote
        self._times = times
        self._told = told
        self._gestures: dict[str, Gestures] = {}
        self._owner: str | None = None
        self._muted_by: set[str] = set()
        self._hold_timer: asyncio.TimerHandle | None = None
        self._gesture_timer: asyncio.TimerHandle | None = None

    @property
    def muted_by(self) -> tuple[str, ...]:
        """Sources that want the microphone off, in order of their names; empty: it is on."""
        return tuple(sorted(self._muted_by))

    def edge(self, down: bool, at_s: float, source: str) -> None:
        """The contact of ``source`` changed."""
        gestures = self._gestures.get(source)
        if gestures is None:
            # Wires catch spikes; a key's own firmware and the control socket's clients do not send any.
            press_min_s = self._times.press_min_s if source in (BUTTON, MUTE_SWITCH) else 0.0
            gestures = self._gestures[source] = Gestures(self._times.debounce_s, source, press_min_s)
        for gesture in gestures.edge(down, at_s):
            self._on_gesture(gesture)
        if not down and self._owner == source:
            self._told.on_lifted(at_s)
        self._arm()

    def mute(self, wanted: bool, by: str) -> None:
        """``ctl mute``, ``ctl unmute``, and the switch: the microphone is off while anybody wants it off.

        Raises UnavailableError if the switch keeps it off against ``ctl unmute``.
        """
        before = bool(self._muted_by)
        (self._muted_by.add if wanted else self._muted_by.discard)(by)
        if bool(self._muted_by) is not before:
            words, kind = ("off", Kind.MICROPHONE_OFF) if wanted else ("on again", Kind.MICROPHONE_ON)
            log.info("the microphone is %s: %s", words, by, extra=entry(kind))
        self._told.on_mute(bool(self._muted_by))
        if self._muted_by and not wanted and by == self._remote:
            raise UnavailableError(f"the microphone stays off: the {', '.join(self._muted_by)} keeps it so")

    def close(self) -> None:
        """The box stops: no timer is left behind."""
        self._disown()
        if self._gesture_timer is not None:
            self._gesture_timer.cancel()

    def _on_gesture(self, gesture: Gesture) -> None:
        match gesture:
            case Pressed(_, source) if source == MUTE_SWITCH:
                self.mute(True, source)
            case Released(_, source) if source == MUTE_SWITCH:
                self.mute(False, source)
            case Pressed(at_s, source) if self._owner is None:
                self._owner = source
                hold_s = self._times.max_hold_s
                self._hold_timer = asyncio.get_running_loop().call_at(at_s + hold_s, self._held_too_long)
                log.debug("pressed: %s", source)
                self._told.on_press(at_s)
            case Pressed(at_s, source) if source == self._remote:
                # Only a hold that counts is bounded, and nobody may come to end this one.
                self.edge(False, at_s, source)
            case Released(at_s, source) if self._owner == source:
                self._disown()
                self._told.on_release(at_s)

    def _disown(self) -> None:
        self._owner = None
        if self._hold_timer is not None:
            self._hold_timer.cancel()
            self._hold_timer = None

    def _held_too_long(self) -> None:
        """The button is stuck, or a client of the control socket went away: others work again, and this one when it is
        released."""
        source, now_s = self._owner, asyncio.get_running_loop().time()
        self._disown()
        self._told.on_release(now_s)
        if source == self._remote:
            self.edge(False, now_s, source)

    def _arm(self) -> None:
        if self._gesture_timer is not None:
            self._gesture_timer.cancel()
            self._gesture_timer = None
        due = [gestures.deadline_s for gestures in self._gestures.values() if gestures.deadline_s is not None]
        if due:
            self._gesture_timer = asyncio.get_running_loop().call_at(min(due), self._due)

    def _due(self) -> None:
        now_s = asyncio.get_running_loop().time()
        for gestures in self._gestures.values():
            for gesture in gestures.tick(now_s):
                self._on_gesture(gesture)
        self._arm()
