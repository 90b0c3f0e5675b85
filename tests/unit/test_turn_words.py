"""Which words of a person leave a whole box, once each and of which turn, and none of the box's own. The box is connected
to nothing; time is on paper, and each sample that its microphone hears says when."""

from __future__ import annotations

import asyncio

import numpy as np
import numpy.typing as npt
import pytest

from appliance.audio.format import frames_from_s
from appliance.realtime import events as ev
from appliance.turn.vocabulary import Outcome, State

from .bench import BLOCK_S, Bench, Line, on_bench


class Numbered(Bench):
    """Its microphone hears 1, 2, 3 …: one for each of its steps."""

    def __init__(self, **settings: object) -> None:
        super().__init__(**settings)
        self.sample = 1

    async def passes(self, seconds: float) -> None:
        for _ in range(round(seconds / BLOCK_S)):
            await super().passes(BLOCK_S)
            self.sample += 1


def steps_sent(line: Line) -> npt.NDArray[np.int_]:
    """The steps of which a sound left, in order, each as often as its whole length left."""
    appends = [np.frombuffer(event.audio, "<i2") for event in line.sent if isinstance(event, ev.InputAudioBufferAppend)]
    samples = np.abs(np.concatenate(appends))
    samples = samples[samples > 0]
    return samples[:: frames_from_s(BLOCK_S)]


def assert_each_once(line: Line, last: int) -> None:
    steps = steps_sent(line)
    assert np.array_equal(steps, np.arange(steps[0], steps[-1] + 1)) and steps[-1] >= last


@pytest.mark.parametrize("way", ["the microphone is live", "a second tap is held"])
def test_a_new_question_held_after_a_tap_is_sent_once(way: str) -> None:
    """Its beginning has left as the end of what was said before; a service may ignore ``clear`` (Premium does)."""

    async def story(bench: Bench) -> None:
        line = bench.connect()
        await bench.hold(0.1)
        line.says(ev.SpeechStarted())
        await bench.passes(1)
        if way == "the microphone is live":
            line.says(ev.SpeechStopped())
            assert bench.state() is State.WAITING
            await bench.passes(1)
        bench.daemon.edge(True, "bench")
        if way != "the microphone is live":
            await bench.passes(0.3)
            line.says(ev.SpeechStopped())
        await bench.passes(1)
        assert bench.daemon.machine.number == 2 and not line.sent_of(ev.InputAudioBufferClear)
        bench.daemon.edge(False, "bench")
        said = bench.sample
        await bench.passes(0.5)
        assert bench.state() is State.WAITING
        assert_each_once(line, said)

    on_bench(story, Numbered)


def test_in_another_session_it_is_sent_from_its_start() -> None:
    async def story(bench: Bench) -> None:
        line = bench.connect()
        await bench.hold(0.1)
        line.says(ev.SpeechStarted())
        await bench.passes(1)
        line.says(ev.SpeechStopped())
        await bench.passes(1)
        pressed = bench.sample
        bench.daemon.edge(True, "bench")
        await bench.passes(1)
        line = bench.loses()
        await bench.passes(1)
        bench.daemon.edge(False, "bench")
        await bench.passes(0.5)
        steps = steps_sent(line)
        assert np.array_equal(steps, np.arange(steps[0], steps[-1] + 1))
        assert steps[0] == pytest.approx(pressed - 15, abs=1), "the pre-roll too"

    on_bench(story, Numbered)


def test_a_turn_that_opens_while_the_service_is_in_speech_is_heard() -> None:
    """It hears one speech, and says ``speech_started`` once: nobody is taken for silent, however long he speaks."""

    async def story(bench: Bench) -> None:
        line = await bench.asked()
        bench.answers(line, seconds=0.1)
        line.says(ev.ResponseDone("r1", "completed"))
        bench.daemon.quiet()
        line.says(ev.SpeechStarted())
        assert bench.state() is State.READY
        await bench.hold(0.1)
        await bench.passes(8)
        assert bench.state() is State.LISTENING
        line.says(ev.SpeechStopped())
        assert bench.state() is State.WAITING
        line.says(ev.ResponseCreated("r2"))
        assert not line.sent_of(ev.ResponseCancel)

    on_bench(story)
