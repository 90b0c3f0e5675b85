"""A whole hands-free box in paper time: a real link to the embedded service, a room of made-up sound before its
microphone, and a speaker whose sound the room hears again. Only the two sound hosts are missing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from appliance.audio import speaker as speaker_module
from appliance.audio.microphone import MicrophoneOpened
from appliance.box.box import Box
from appliance.config import loader
from appliance.simulator.acoustic_path import AcousticPath, Path
from appliance.simulator.replay import Replay
from appliance.simulator.service import Service
from appliance.soundhost import messages
from appliance.turn.states import State
from tests.support import acoustics

IDLE_STEP_S = 0.2
"""As the microphone's sound comes while nobody attends to it."""

STEP_S = 0.02

ECHO_DELAY_S = 0.045
"""From the speaker's membrane to the daemon's ring and back into it: a desk's width of air, and two cards."""

KEY = "swaram_test_0123456789abcdef"


class PaperSpeaker:
    """What a playback host is to the speaker: takes samples, plays them when time goes by."""

    def __init__(self, daemon: Box) -> None:
        self._speaker = daemon.speaker
        self._queue = bytearray()
        self._epoch = self._written = 0
        self._speaker._host.send = self._take  # type: ignore[method-assign]
        self._speaker.opened(messages.Opened("paper", "", "", acoustics.HZ, 1, 240, 0.02))
        self.played_frames = 0
        """That were no silence."""
        self._tells = daemon.echo is not None
        self._frames = 0
        """Since it was opened, silence included."""

    @property
    def busy(self) -> bool:
        return bool(self._queue)

    def _take(self, message: messages.Samples | messages.Flush) -> None:
        if message.epoch != self._epoch or isinstance(message, messages.Flush):
            self._epoch, self._written = message.epoch, 0
            self._queue.clear()
        if isinstance(message, messages.Samples):
            self._queue += message.pcm

    def plays(self, frames: int, at_s: float) -> npt.NDArray[np.float64]:
        """So much leaves it, until ``at_s``."""
        sound = np.zeros(frames)
        played = np.frombuffer(bytes(self._queue[: 2 * frames]), dtype="<i2")
        del self._queue[: 2 * frames]
        sound[: played.size] = played
        self._written += played.size
        self.played_frames += played.size
        self._speaker.received(messages.Played(self._epoch, self._written, len(self._queue) // 2, 0, at_s))
        if self._tells and played.size:
            self._speaker.received(messages.Written(at_s - frames / acoustics.HZ, self._frames, played.tobytes()))
        self._frames += frames
        return sound


class PaperRoom:
    """One box in one room. ``light``: every light it has shown, with the second of the room's time."""

    def __init__(
        self,
        service: Service | Replay,
        monkeypatch: pytest.MonkeyPatch,
        echo_db: float | None,
        path: Path | None,
        **settings: Any,
    ):
        self._loop = asyncio.get_running_loop()
        monkeypatch.setattr(speaker_module, "time", SimpleNamespace(monotonic=self._loop.time))
        overrides = {
            "service.url": service.url,
            "talk.mode": "open",
            "panel.button.gpio": 0,
            "panel.leds.kind": "none",
            "panel.leds.gpio": [],
            **{name.replace("__", "."): value for name, value in settings.items()},
        }
        self.stamp = 0

        async def credential() -> str:
            return KEY

        self.daemon = Box(loader.load(None, overrides), credential=credential)
        self.daemon.link._credential_stamp = lambda: self.stamp
        # Every pause at its longest: a probe may come after half its time.
        self.daemon.link._jitter = lambda: 1.0
        self.speaker = PaperSpeaker(self.daemon)
        self.daemon._on_microphone(MicrophoneOpened("paper", 48_000, 1, ""))
        self.lights: list[tuple[float, str]] = []
        self.turns: list[dict[str, Any]] = []
        self.earcons = 0
        self.daemon.watch(self._watch)
        self._echo_gain = 0.0 if echo_db is None else 10 ** (echo_db / 20)
        self._path = None if path is None else AcousticPath(path, acoustics.HZ)
        self._echo = np.zeros(0 if self._path else acoustics.frames(ECHO_DELAY_S))
        self.now_s = 0.0
        """Of the room's time."""
        self.step_s = STEP_S
        """What the microphone hands over at once while somebody attends to it."""
        self._heard = 0

    def _watch(self, event: dict[str, Any]) -> None:
        if event["event"] == "state":
            self.lights.append((self.now_s, event["light"]))
        elif event["event"] == "turn":
            self.turns.append(event)

    @property
    def light(self) -> str | None:
        return self.daemon.panel.current_light

    def state(self) -> State:
        """A method, so that a type checker does not take it for constant."""
        return self.daemon.machine.state

    async def hears(self, sound: acoustics.Sound, until: Callable[[], bool] = lambda: False) -> bool:
        """The room sounds like this, to its end, or until something is so; returns whether it is."""
        daemon, at = self.daemon, 0
        while at < sound.size and not until():
            idle = daemon.machine.state in (State.READY, State.ENDING) and not self.speaker.busy
            began_s = self._loop.time()
            await asyncio.sleep(IDLE_STEP_S if idle else self.step_s)
            count = acoustics.frames(self._loop.time() - began_s)
            block = np.zeros(count)
            block[: sound.size - at] = sound[at : at + count]
            at += count
            played = self.speaker.plays(count, self._loop.time())
            again = self._path.hears(played) if self._path else self._echo_gain * played
            self._echo = np.concatenate((self._echo, again))
            block += self._echo[:count]
            self._echo = self._echo[count:]
            self.now_s += count / acoustics.HZ
            daemon.microphone._hear(acoustics.to_int16(block), began_s)
        return until()


@contextlib.asynccontextmanager
async def paper_room(
    service: Service | Replay,
    monkeypatch: pytest.MonkeyPatch,
    *,
    echo_db: float | None = None,
    path: Path | None = None,
    **settings: Any,
) -> AsyncIterator[PaperRoom]:
    """A box whose link runs. ``path``: from its speaker to its microphone; ``echo_db``: the same, an echo and no
    room."""
    room = PaperRoom(service, monkeypatch, echo_db, path, **settings)
    task = asyncio.create_task(room.daemon.link.run())
    try:
        yield room
    finally:
        room.daemon.turns.close()
        room.daemon.face.close()
        room.daemon.buttons.close()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
