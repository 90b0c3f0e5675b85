"""A room with a box, a person and troubles in it, in paper time. Each 20 ms of a person's speech are samples of a size
of their own, and what the microphone hears of the speaker is of one size, so that both are known where they arrive."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from appliance.audio import speaker as speaker_module
from appliance.audio.microphone import MicrophoneGone, MicrophoneHole, MicrophoneOpened
from appliance.box.box import Box
from appliance.box.tools import Tool
from appliance.config import loader
from appliance.simulator.service import Service
from appliance.turn.states import State
from tests.support import acoustics
from tests.support.paper_room import KEY, PaperSpeaker

from .service import SLOW_TOOL

STEP_S = 0.02
IDLE_STEP_S = 0.1
ECHO_DELAY_S = 0.03
"""From the paper speaker's queue to the microphone: what it says of its block and of its delay."""

QUIET = 20
OWN_VOICE = 30_000
LOUDEST, STEPS, APART = 4_000, 4_000, 5
"""Sizes of speech are LOUDEST + APART * step. So many steps there are, 80 s of speech, which no episode reaches."""


class Room:
    """One box. ``turns``: what was told of those that ended; ``troubles``: what no box may do; ``trace``: what was
    done to it; ``due``: by turn, the steps of speech that the box was listening to."""

    def __init__(self, service: Service, random: Random, monkeypatch: pytest.MonkeyPatch) -> None:
        self._loop = asyncio.get_running_loop()
        self._random = random
        monkeypatch.setattr(speaker_module, "time", SimpleNamespace(monotonic=self._loop.time))
        mode = random.choice(["auto", "auto", "hold", "tap", "open"])

        async def credential() -> str:
            return KEY

        self.daemon = Box(loader.load(None, self._settings(service, mode)), credential=credential)
        slow = Tool(SLOW_TOOL, "takes long", {"type": "object", "properties": {}}, self._slow_tool)
        self.daemon.tools._tools[SLOW_TOOL] = slow
        self.began_s = self._loop.time()
        self.turns: list[dict[str, Any]] = []
        self.troubles: list[str] = []
        self.trace: list[str] = []
        self.due: dict[int, list[tuple[int, float]]] = {}
        self.speaking = False
        self.steps = 0
        self.has_speaker = self.plugged = False
        self._woken = asyncio.Event()
        self._echoes = random.random() < 0.7
        self._echo = np.zeros(acoustics.frames(ECHO_DELAY_S + STEP_S))
        """What the microphone will hear of the speaker, from now on: what was played last begins after the delay."""
        self.daemon.watch(self._watch)
        self.plug_in()
        self.plug_speaker()
        self.note(f"on, in mode {mode}")

    def _settings(self, service: Service, mode: str) -> Mapping[str, Any]:
        return {
            "service.url": service.url,
            "service.greeting": self._random.random() < 0.3,
            "talk.mode": mode,
            "talk.settle_ms": self._random.choice([0, 200]),
            "talk.append_ms": self._random.choice([20, 40, 100]),
            "link.connect": self._random.choice(["on-demand", "always"]),
            "link.idle_close_s": self._random.choice([5.0, 60.0]),
            "panel.language": self._random.choice(["en", "both"]),
            "panel.waiting_tick": self._random.random() < 0.5,
            "panel.button.gpio": 0,
            "panel.leds.kind": "none",
            "panel.leds.gpio": [],
        }

    async def _slow_tool(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        await asyncio.sleep(self._random.choice([0.2, 3.0, 12.0]))
        return {}

    def _watch(self, event: dict[str, Any]) -> None:
        if event["event"] == "turn":
            self.turns.append(event)
            self.note(f"turn {event['turn']} {event['outcome']} {event['reason']}")

    @property
    def now_s(self) -> float:
        """Since the box was switched on."""
        return self._loop.time() - self.began_s

    def note(self, what: str) -> None:
        self.trace.append(f"{self.now_s:7.2f} {self.daemon.machine.state.value:9} {what}")

    def trouble(self, what: str) -> None:
        self.note(f"TROUBLE: {what}")
        self.troubles.append(what)

    # ------------------------------------------------------------ devices

    @property
    def hears(self) -> bool:
        return self.plugged and not self.daemon.microphone.is_closed

    def plug_in(self) -> None:
        self.plugged = True
        if self.hears:
            self.daemon._on_microphone(MicrophoneOpened("chaos", 48_000, 1, ""))

    def pull_out(self) -> None:
        if self.hears:
            self.daemon._on_microphone(MicrophoneGone("pulled out"))
        self.plugged = False

    def hole(self) -> None:
        if self.hears:
            self.daemon._on_microphone(MicrophoneHole(self._random.choice([0.3, 4.0])))

    def mute(self, wanted: bool) -> None:
        before = self.daemon.microphone.is_closed
        self.daemon.remote.mute(wanted)
        if before and not wanted:
            self.plug_in() if self.plugged else self.daemon._on_microphone(MicrophoneGone("not there"))

    def plug_speaker(self) -> None:
        if not self.has_speaker:
            self.speaker = PaperSpeaker(self.daemon)
            self.has_speaker = True

    def pull_speaker(self) -> None:
        if self.has_speaker:
            self.has_speaker = False
            self.daemon.speaker.lost("pulled out")

    # ------------------------------------------------------------ sound and time

    def wakes(self) -> None:
        """What is done now is done between two steps: no sound begins before its cause."""
        self._woken.set()

    async def runs(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """The room goes on; returns whether ``until`` came true."""
        end_s = self._loop.time() + seconds
        while self._loop.time() < end_s and not until():
            await self._step()
        return until()

    async def _step(self) -> None:
        daemon, began_s = self.daemon, self._loop.time()
        idle = daemon.machine.state is State.READY and not self.speaking and not self.speaker.busy
        listened, turn = self._listens(began_s), daemon.machine.number
        speaking = self.speaking and self.steps < STEPS - 1
        self._woken.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(IDLE_STEP_S if idle else STEP_S):
                await self._woken.wait()
        count = acoustics.frames(self._loop.time() - began_s)
        size = LOUDEST + APART * self.steps if speaking else QUIET
        echo = self._passes(count)
        sizes = np.where(echo != 0, OWN_VOICE, size)
        if self.hears:
            signs = np.resize(np.array([1, -1]), count)
            daemon.ring.write((sizes * signs).astype(np.int16), began_s)
            daemon.microphone.on_audio()
            whole = listened and self._listens(began_s) and turn == daemon.machine.number and not echo.any()
            # The listening earcon takes the place of what is said in the same moment.
            masked = any(began_s < to_s and from_s < self._loop.time() for from_s, to_s in daemon.utterance._masks)
            if speaking and whole and not masked:
                self.due.setdefault(turn, []).append((self.steps, began_s))
            if whole and len(daemon.utterance._stretches) == 1:
                # A clip that a real hold has ended takes the first words with it.
                starts_s = daemon.utterance._stretches[0].start_s
                self.due[turn] = [(step, at_s) for step, at_s in self.due.get(turn, ()) if at_s >= starts_s]
        self.steps += speaking
        self._look()

    def _listens(self, from_s: float) -> bool:
        """What is heard from then on belongs to the question of the turn that is open."""
        stretches = self.daemon.utterance._stretches
        listening = self.daemon.machine.state is State.LISTENING and self.hears
        return listening and bool(stretches) and stretches[-1].end_s is None and stretches[-1].start_s <= from_s

    def _passes(self, count: int) -> npt.NDArray[np.float64]:
        """So much time has gone by. What was heard of the speaker in it; what it plays now is heard later."""
        ahead = self._echo.size
        echo = np.concatenate((self._echo, np.zeros(max(count - ahead, 0))))
        left = (
            echo[count:]
            if count <= ahead - acoustics.frames(ECHO_DELAY_S)
            else np.zeros(acoustics.frames(ECHO_DELAY_S))
        )
        played = np.zeros(ahead - left.size)
        if self.has_speaker:
            played = self.speaker.plays(ahead - left.size, self._loop.time())
        self._echo = np.concatenate((left, played * self._echoes))
        return echo[:count]

    def _look(self) -> None:
        """At the light, as whoever stands there."""
        daemon, light = self.daemon, self.daemon.panel.current_light
        state, muted = daemon.machine.state, daemon.microphone.is_closed
        wrong = (
            (light == "mute") is not muted
            or (light.startswith("listening") and state not in (State.LISTENING, State.EXPECTING, State.ENDING))
            or (state is State.LISTENING and not muted and not light.startswith("listening"))
            or (light == "speaking" and state is not State.SPEAKING)
            or (not self.plugged and not muted and light in ("ready", "ready_dark", "invite", "listening"))
        )
        if wrong:
            self.trouble(f"the light says {light} in {state.value}")
