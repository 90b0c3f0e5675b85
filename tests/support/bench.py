"""A whole box whose parts do not run and that is connected to nothing. Time is on paper, the microphone fed by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np

from appliance.audio.format import frames_from_bytes, frames_from_s, s_from_frames
from appliance.audio.microphone import MicrophoneOpened
from appliance.box.box import Box
from appliance.config import loader
from appliance.link.failures import Failure, What, classify
from appliance.link.link import SessionLost, SessionOpened
from appliance.realtime import events as ev
from appliance.realtime import session as rt
from appliance.turn.states import State
from tests.support.simulated_time import on_paper

BLOCK_S = 0.02
RESOLUTION_S = 1e-6
VOICE = b"\x00\x10"
"""A sample that is no silence."""


class Bench:
    """A daemon whose parts do not run. Public attributes: ``daemon`` and ``events``, what clients may watch."""

    def __init__(self, **settings: Any) -> None:
        overrides = {
            "panel.button.gpio": 0,
            "panel.leds.kind": "none",
            "panel.leds.gpio": [],
            **{name.replace("__", "."): value for name, value in settings.items()},
        }
        self.daemon = Box(loader.load(None, overrides))
        self.daemon.reports.on_microphone(MicrophoneOpened("bench", 48_000, 1, ""))
        self.events: list[dict[str, Any]] = []
        self.sample = 5
        """All that the microphone hears: this, and as much below zero, in turn."""
        self.daemon.watch(self.events.append)

    async def passes(self, seconds: float) -> None:
        """Time goes by, and the microphone hears."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + seconds
        # A timer that is due within the clock's resolution runs at once, and paper time stands still meanwhile.
        while (now_s := loop.time()) < end_s - RESOLUTION_S:
            await asyncio.sleep(min(BLOCK_S, end_s - now_s))
            heard = np.resize(np.array([self.sample, -self.sample], dtype=np.int16), frames_from_s(loop.time() - now_s))
            self.daemon.ring.write(heard, now_s)
            self.daemon.turns.heard_block()

    async def hold(self, seconds: float) -> None:
        self.daemon.remote.edge(True, "bench")
        await self.passes(seconds)
        self.daemon.remote.edge(False, "bench")

    def state(self) -> State:
        """A method, so that a type checker does not take it for constant."""
        return self.daemon.machine.state

    def connect(self) -> Line:
        """A session that is ready, on a line that takes everything."""
        line = Line(self.daemon)
        self.daemon.link._conversation = line  # type: ignore[assignment]
        self.daemon.reports.on_link(SessionOpened())
        return line

    def loses(self) -> Line:
        """The session is over, and another one is ready."""
        self.daemon.link._conversation = None
        verdict = classify(Failure(What.CLOSED, 1006))
        self.daemon.reports.on_link(SessionLost(verdict, 0.5, was_open=True))
        return self.connect()

    async def asked(self) -> Line:
        """A question that was held for a second and is sent whole."""
        line = self.connect()
        await self.hold(1)
        await self.passes(0.5)
        assert self.state() is State.WAITING
        return line

    def answers(self, line: Line, response_id: str = "r1", seconds: float = 2.0) -> None:
        """The beginning of an answer arrives."""
        line.says(ev.SpeechStarted(), ev.SpeechStopped(), ev.ResponseCreated(response_id))
        line.says(ev.OutputAudioDelta(response_id, "i1", VOICE * frames_from_s(seconds)))


class Line:
    """What a ``Conversation`` is to the link, without a network. ``sent`` holds what the service would have got."""

    def __init__(self, daemon: Box) -> None:
        self._daemon = daemon
        self.sent: list[ev.ClientEvent] = []
        self.closed = ""
        self._nudges = 0
        self.session = rt.Session(ev.SessionSettings("", "mal-female"))
        self.session.opening()
        self.session.receive(ev.SessionUpdated({}), 0.0)

    def says(self, *events: ev.ServerEvent) -> None:
        """The service sends these."""
        for event in events:
            for outcome in self.session.receive(event, asyncio.get_running_loop().time()):
                match outcome:
                    case rt.Send(answer):
                        self.sent.append(answer)
                    case rt.Note():
                        pass
                    case _:
                        self._daemon.reports.on_link(outcome)

    def send(self, *outgoing: ev.ClientEvent) -> None:
        self.sent += outgoing
        self._nudges += sum(isinstance(event, ev.InputAudioBufferCommit | ev.ResponseCreate) for event in outgoing)
        self.session.nudges_arrived(self._nudges)

    def kick(self) -> None:
        asyncio.get_running_loop().call_soon(self._pull)

    def close(self, reason: str) -> None:
        self.closed = reason

    def _is_open(self) -> bool:
        conversation: object = self._daemon.link._conversation
        return conversation is self

    def _pull(self) -> None:
        # Compared anew each time: what is sent may end the session.
        while self._is_open() and (pcm := self._daemon.turns.next_audio()) is not None:
            self.sent.append(self.session.append(pcm))
            self._daemon.turns.audio_sent()

    @property
    def sent_s(self) -> float:
        """Seconds of sound that left."""
        sizes = [len(event.audio) for event in self.sent if isinstance(event, ev.InputAudioBufferAppend)]
        return s_from_frames(frames_from_bytes(sum(sizes)))

    def sent_of(self, kind: type[ev.ClientEvent]) -> int:
        return sum(isinstance(event, kind) for event in self.sent)


def on_bench(
    story: Callable[[Bench], Coroutine[Any, Any, None]], kind: type[Bench] = Bench, /, **settings: Any
) -> None:
    """Run ``story`` in paper time on a box with these settings."""

    async def main() -> None:
        bench = kind(**settings)
        await bench.passes(1)
        try:
            await story(bench)
        finally:
            bench.daemon.turns.close()

    on_paper(main())
