"""A whole box in paper time against the embedded service, as one reading of its page has it: what was asked, what the
service answered, what was heard.

The link, the session's rules, the turn machine and the player are the real ones, and so is the WebSocket. Only the two
sound hosts are missing: a made-up voice is before the microphone, and what leaves the speaker is kept.
"""

from __future__ import annotations

import functools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import numpy as np
import pytest

from appliance.box.tools import get_time
from appliance.realtime import events
from appliance.simulator import voices
from appliance.simulator.plan import ASIDE_HZ
from appliance.simulator.readings import Reading
from appliance.simulator.records import ReplyRecord
from appliance.simulator.replay import Replay
from appliance.simulator.scenario import Reply, Scenario
from appliance.simulator.service import Service
from appliance.simulator.settings import SIMPLE_MODEL, SimulatorSettings
from appliance.turn.events import Stop
from appliance.turn.states import State
from tests.support import acoustics
from tests.support.paper_room import KEY, PaperRoom, paper_room

MODELS: Final = {"simple": SIMPLE_MODEL, "premium": "mal-realtime-premium"}
MODES: Final = ("hold", "tap")

STEP_S: Final = 0.05
"""As a slow card's periods: what comes seldom costs less."""

SPOKEN_S: Final = 0.8
ANSWER_S: Final = 0.7
LONGEST_TURN_S: Final = 90.0
SLOW_S: Final = 3.0
SLOW_SPEED: Final = 2.0
"""Of an answer that is interrupted while it still arrives."""

TEXT: Final = "മഴ പെയ്യും."

_random = np.random.default_rng(11)
QUIET: Final = acoustics.silence(_random, LONGEST_TURN_S, -78.0)
VOICE: Final = acoustics.white(_random, SPOKEN_S, -26.0)


@functools.cache
def noise(number: int, seconds: float) -> bytes:
    """Like no other, in all of its pieces."""
    return acoustics.to_int16(acoustics.white(np.random.default_rng(number), seconds, -20.0)).tobytes()


def answer(number: int) -> Reply:
    """Another one for each number."""
    return Reply(pcm=noise(number, ANSWER_S), text=TEXT)


def slow_answer(number: int) -> Reply:
    """One that can be interrupted while it arrives."""
    return Reply(pcm=noise(number, SLOW_S), text=TEXT, speed=SLOW_SPEED)


EDGE: Final = 2 * acoustics.frames(0.01)
"""Bytes at the beginning and at the end of what is played that may be faded."""

INNER: Final = 2 * acoustics.frames(0.05)
"""Bytes of an answer that are found nowhere else."""


def parts(pcm: bytes) -> list[bytes]:
    """What is said before a tool and after it in one response may have a gap between, with faded edges."""
    aside = voices.tone(ASIDE_HZ, 500.0)
    return [part for part in (aside, pcm[len(aside) :]) if part] if pcm.startswith(aside) else [pcm]


def is_noise(pcm: bytes) -> bool:
    """Each of its pieces differs from all others; a tone's do not."""
    return len(pcm) > INNER and pcm.count(pcm[:200]) == 1


class ReadingBox:
    """``room`` is the box, ``heard`` what left its speaker, as int16 at 24 kHz."""

    def __init__(self, room: PaperRoom, mode: str, service: Service | None = None) -> None:
        """``service``: what is asked of what it did; None: nothing is."""
        self.room = room
        self.service = service or Service()
        self._mode = mode
        self._ended = self._replies = self._taken = self._ran = 0
        self._heard: list[np.ndarray[Any, Any]] = []
        plays = room.speaker.plays

        def keep(frames: int, at_s: float) -> np.ndarray[Any, Any]:
            sound = plays(frames, at_s)
            self._heard.append(sound)
            return sound

        room.speaker.plays = keep  # type: ignore[method-assign]
        room.step_s = STEP_S
        room.daemon.player.set_volume(100)
        # What asks the system for the clock takes real time.
        room.daemon.tools._tools["get_time"] = get_time(_yes, time.localtime)

    @property
    def heard(self) -> bytes:
        return np.concatenate(self._heard).astype("<i2").tobytes() if self._heard else b""

    async def ask(self, until: State = State.READY) -> None:
        """One question, and what follows, until the box is ready for another. ``until`` ENDING: somebody asks as soon
        as the answer was heard."""
        await self._say()
        await self._end_of_turn(until)

    async def ask_twice(self, strict: bool = True) -> None:
        """A question whose answer is interrupted by another one. ``strict``: it has to be; else what
        came of it does not count."""
        await self._say()
        speaks = self.room.speaker
        await self.room.hears(QUIET, lambda: speaks.busy or self.room.state() is State.READY)
        await self.room.hears(QUIET[: acoustics.frames(0.3)])
        interrupted = self.room.state() is State.SPEAKING
        if not strict:
            self._replies = len(self.service.replies)
        await self._say()
        await self._end_of_turn()
        assert interrupted or not strict, "the answer was over before it was interrupted"

    async def _say(self) -> None:
        daemon = self.room.daemon
        self._ended = daemon.turns.ended
        daemon.remote.edge(True, "test")
        if self._mode == "tap":
            await self.room.hears(QUIET[: acoustics.frames(0.1)])
            daemon.remote.edge(False, "test")
        await self.room.hears(QUIET[: acoustics.frames(0.3)])
        await self.room.hears(VOICE)
        if self._mode == "hold":
            await self.room.hears(QUIET[: acoustics.frames(0.1)])
            daemon.remote.edge(False, "test")

    async def _end_of_turn(self, until: State = State.READY) -> None:
        turns = self.room.daemon.turns

        def over() -> bool:
            state = self.room.state()
            return (turns.ended > self._ended and state is State.READY) or (state is State.ENDING and state is until)

        assert await self.room.hears(QUIET, over), f"no way out of {self.room.state()}"
        if self.room.state() is State.ENDING:
            # As a press at this moment does, and before it is known what else the service will say.
            self.room.daemon.turns.happens(Stop())

    @property
    def outcomes(self) -> list[str]:
        return [turn["outcome"] for turn in self.room.turns]

    # ------------------------------------------------------------ what holds of every reading

    def forget(self) -> None:
        """What was heard and said so far."""
        self._heard.clear()
        self.room.turns.clear()
        self._replies, self._taken, self._ran = len(self.service.replies), len(self.service.turns), len(self._outputs())

    def _outputs(self) -> list[str]:
        """Call ids of tools whose output was sent."""
        return [
            output.call_id for one in self.service.accepted for output in one.received_of(events.FunctionCallOutput)
        ]

    def expected(self) -> list[ReplyRecord]:
        """Replies that a person must have heard: those with a sound that nobody took back."""
        return [
            reply
            for reply in self.service.replies[self._replies :]
            if reply.cancelled_by is None and any(reply.pcm) and len(reply.sent_audio) == len(reply.pcm)
        ]

    def complaints(self) -> list[str]:
        """What is wrong with what was heard, with what ran, and with what was sent."""
        heard, at, wrong = self.heard, 0, []
        for reply in self.expected():
            for part in parts(bytes(reply.sent_audio)):
                whole = part[EDGE:-EDGE]
                found = heard.find(whole, at)
                times = heard.count(whole), heard.count(part[len(part) // 2 :][:INNER])
                if found < 0 or (is_noise(part) and times != (1, 1)):
                    wrong.append(f"{reply.response_id} was heard {times[0]} times whole, {times[1]} times in part")
                at = max(at, found)
        for turn in self.service.turns[self._taken :]:
            wrong += [f"{call}: {len(outs)} outputs" for call, outs in turn.outputs.items() if len(outs) != 1]
        ran = self._outputs()[self._ran :]
        if len(set(ran)) != len(ran):
            wrong.append("a tool's output was sent twice")
        return wrong + self.service.violations


async def _yes() -> bool:
    return True


@asynccontextmanager
async def reading_box(
    monkeypatch: pytest.MonkeyPatch, reading: Reading, model: str, mode: str, scenario: Scenario, **settings: Any
) -> AsyncIterator[ReadingBox]:
    """A box at its defaults, but that it makes no sounds of its own."""
    service = Service(SimulatorSettings(key=KEY, reading=reading), scenario)
    chosen = {"talk__mode": mode, "service__model": MODELS[model], **settings}
    async with service, silent_room(service, monkeypatch, **chosen) as room:
        yield ReadingBox(room, mode, service)


@asynccontextmanager
async def silent_room(
    service: Service | Replay, monkeypatch: pytest.MonkeyPatch, **settings: Any
) -> AsyncIterator[PaperRoom]:
    """A room whose box makes no sounds of its own."""
    async with paper_room(service, monkeypatch, panel__earcons=False, **settings) as room:
        room.daemon.sounds.say = lambda *_, **__: None  # type: ignore[method-assign]
        yield room
