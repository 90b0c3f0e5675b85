"""Talking without a button (``talk.mode = "open"``): when what the microphone hears opens a turn, and when it must not.

::

    microphone ──► ring ──► not our own voice? ──► gate ──► may a turn begin? ──► GateOpened ──► turn machine

What the speaker plays, and its echo, never reaches the gate (``own_sound.py``). While a turn is open the machine
decides alone; the gate neither opens nor closes anything then. Full duplex a voice ends an answer that sounds, and
opens the next turn. Everything runs on the event loop.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from appliance.audio import faint_speech
from appliance.audio.format import s_from_frames
from appliance.audio.frames import FRAME
from appliance.audio.gate import EARLIEST_S, Gate
from appliance.audio.ring import Ring
from appliance.box.bus import Bus, PressComes, TurnClosed
from appliance.box.parts import Parts
from appliance.box.turns import Turns
from appliance.journal.catalog import Kind, entry
from appliance.journal.rate_limit import Repeats
from appliance.link.link import LinkState
from appliance.turn import events
from appliance.turn import states as v
from appliance.turn.restraint import Restraint, RestraintSettings

log = logging.getLogger(__name__)

BATCH_FRAMES: Final = 5
"""Judged together, 100 ms: one by one costs three times as much (measured); the words wait in the ring meanwhile."""

GATHER_S: Final = 0.2
"""What the voice gate is given at once: a piece a block would take three times the processor time (``make bench``)."""

GATE_LATE_S: Final = EARLIEST_S + GATHER_S + BATCH_FRAMES * s_from_frames(FRAME)
"""So much later than a press is a voice noticed at most; its beginning, and the pre-roll, must still be there."""

SUSPECTED_S: Final = 0.3
"""So far back it counts for a pause that something is heard over the answer: a little more than it takes to be
certain of it (``echo.OF_JUDGED``), and the microphone's pieces."""

PAUSED_AGAIN_S: Final = 2.0
"""After a pause that was for nobody the next one comes no sooner; each further one in the same answer waits twice as
long."""

_HEARS: Final = (v.State.READY, v.State.ENDING, v.State.EXPECTING)
"""States without a turn."""

_ANSWERED: Final = {
    v.Outcome.ANSWERED: True,
    v.Outcome.INTERRUPTED: True,
    v.Outcome.TALKED_OVER: True,
    v.Outcome.NO_SPEECH: False,
    v.Outcome.NO_ANSWER: False,
    v.Outcome.EMPTY_ANSWER: False,
}
"""What an outcome says about whether a person spoke; the others are troubles of our own."""


class HandsFree:
    """One box's gate, and what its opening leads to."""

    def __init__(self, parts: Parts, turns: Turns, bus: Bus, ring: Ring, settings: RestraintSettings) -> None:
        self._parts = parts
        self._turns = turns
        self._ring = ring
        self._gate = Gate()
        self._restraint = Restraint(settings)
        self._faint = faint_speech.FaintSpeech()
        self._next = 0
        """Index in the ring of the first sample that the gate has not heard."""
        self._opened = 0
        """Number of the turn that the gate opened last; 0 before the first."""
        self._room = self._gate.room
        """What was known of the room before the turn that is open."""
        self._answers_s: float | None = None
        """Since when an answer sounds; None: none does."""
        self._pauses = 0
        """Of the answer that sounds."""
        self._unsuspected_until_s = float("-inf")
        self._repeats = Repeats(log)
        bus.listen(PressComes, self._pressed)
        bus.listen(TurnClosed, self._closed)

    @property
    def inviting(self) -> bool:
        """Whoever speaks now is heard, and a turn begins."""
        parts = self._parts
        return (
            parts.machine.state is v.State.READY
            and parts.machine.microphone_ready
            and parts.link.state is not LinkState.LATCHED
            and not self._rest_s()
        )

    @property
    def rest_s(self) -> float:
        """Seconds until a voice may open a turn again, because a radio seems to talk; 0: it may now."""
        return self._restraint.rest_s(_now_s())

    @property
    def faint_dbfs(self) -> float | None:
        """How loud those are who speak to the box in vain, being too faint; None: nobody seems to."""
        return self._faint.dbfs

    def heard_block(self) -> None:
        """The ring has grown."""
        self._turns.heard_block()
        state = self._parts.machine.state
        if state is not v.State.SPEAKING:
            self._answers_s = None
            self._pauses, self._unsuspected_until_s = 0, float("-inf")
        elif self._answers_s is None:
            self._answers_s = _now_s()
        if state in _HEARS:
            if state is v.State.READY:
                self._restraint.invites()
            self._listen()
            return
        # The gate goes on learning what the room sounds like; whether that was the room is known when the turn is over.
        if state is v.State.SPEAKING:
            self._suspect(_now_s())
        self._listen(opens=state is v.State.SPEAKING and self._parts.own_sound.cancelled)
        if state is not v.State.SPEAKING and self._restraint.endless(_now_s()):
            self._turns.happens(events.Stop())

    def _listen(self, *, opens: bool = True) -> None:
        ring = self._ring
        if self._next >= ring.end:
            return
        first = max(self._next, ring.start)
        shut_until_s = self._parts.own_sound.heard_until_s
        if shut_until_s > ring.time_at(first):
            first = min(ring.index_at(shut_until_s), ring.end)
        if first != self._next:
            self._gate.interrupt()
            self._next = first
        frames = (ring.end - first) // FRAME
        if frames < BATCH_FRAMES:
            return
        self._next = first + frames * FRAME
        began = self._gate.hear(ring.read(first, frames * FRAME))
        if not opens:
            return
        if began is not None:
            at_s = ring.time_at(max(self._next - began, ring.start))
            if self._parts.own_sound.is_a_voice(at_s):
                self._faint.opened()
                self._speech(at_s)
        elif self._gate.faint_dbfs is not None and self._faint.noticed(self._gate.faint_dbfs, _now_s()):
            line = faint_speech.LINE.format(dbfs=self._gate.faint_dbfs)
            log.warning("%s", line, extra=entry(Kind.MICROPHONE_LEVEL))

    def _suspect(self, now_s: float) -> None:
        """Let the answer pause as soon as anything is heard over it; whether that is a voice the gate says later."""
        since_s = max(now_s - SUSPECTED_S, self._unsuspected_until_s)
        if not self._parts.own_sound.lets_through(since_s) or not self._can_be_answered():
            return
        self._turns.happens(events.InterruptionSuspected())
        # A radio that goes on would cut the answer to pieces.
        self._pauses += 1
        self._unsuspected_until_s = now_s + PAUSED_AGAIN_S * 2 ** (self._pauses - 1)

    def _speech(self, at_s: float) -> None:
        """Somebody has been speaking since ``at_s``."""
        parts, now_s = self._parts, _now_s()
        if parts.machine.state is v.State.SPEAKING:
            if not self._may_interrupt(now_s):
                return
            self._turns.happens(events.TalkedOver())
        if parts.machine.state is v.State.ENDING:
            # That turn is over and counted before this one begins; the box may rest then.
            self._turns.happens(events.Stop())
        if self._restraint.rest_s(now_s):
            return
        if parts.ledger.rest_s(now_s):
            self._say("somebody spoke, but the hour's audio is used up (limits.audio_s_per_hour)")
        elif parts.link.state is LinkState.LATCHED:
            # Only a probe, or a new key, tries again: a room that talks must not hammer the service.
            verdict = parts.link.policy.verdict
            self._say(f"somebody spoke, but {verdict.line if verdict else 'the service refuses'}", refused=True)
        else:
            self._room = self._gate.room
            self._turns.happens(events.GateOpened(at_s))
            self._opened = parts.machine.number
            self._restraint.opened(now_s)

    def _may_interrupt(self, now_s: float) -> bool:
        """A voice over the answer is a person's, who could be answered."""
        if not self._can_be_answered():
            return False
        return self._parts.own_sound.talked_over(0.0 if self._answers_s is None else now_s - self._answers_s)

    def _can_be_answered(self) -> bool:
        return not self._rest_s() and self._parts.link.state is not LinkState.LATCHED

    def _say(self, line: str, *, refused: bool = False) -> None:
        """Tell the person who spoke that it was in vain; how often is for ``turn/announcements.py`` and the log to
        say."""
        self._repeats.log(logging.WARNING, line, _now_s(), entry(Kind.SPOKEN_IN_VAIN))
        self._turns.voice.excuse(refused=refused)

    def _pressed(self, _: PressComes) -> None:
        """Somebody is about to press."""
        self._restraint.pressed()
        self._parts.own_sound.is_a_person()
        if self._parts.machine.state in _HEARS:
            self._room = self._gate.room

    def _closed(self, closed: TurnClosed) -> None:
        """A turn is over."""
        outcome, now_s = closed.outcome, _now_s()
        if outcome is v.Outcome.ANSWERED:
            self._parts.own_sound.is_a_person()
        if outcome is not v.Outcome.NO_SPEECH:
            # A person spoke, who is no part of the room.
            self._gate.remember(self._room)
        if self._parts.ledger.rest_s(now_s) and self._parts.machine.state is v.State.EXPECTING:
            # Nothing more can be answered: the light must not say "speak".
            self._turns.happens(events.Stop())
        if self._parts.machine.number != self._opened:
            return
        if outcome is v.Outcome.STOPPED and not self._restraint.endless(now_s):
            return
        why = self._restraint.closed(now_s, answered=_ANSWERED.get(outcome))
        if why:
            rest_s = self._restraint.rest_s(now_s)
            line = "resting for %.0f s: %s a press ends the rest at once"
            log.warning(line, rest_s, why, extra=entry(Kind.ROOM_TALKS))
            self._turns.end_conversation()
            self._turns.voice.excuse(refused=False)

    def _rest_s(self) -> float:
        return max(self.rest_s, self._parts.ledger.rest_s(_now_s()))


def _now_s() -> float:
    return asyncio.get_running_loop().time()
