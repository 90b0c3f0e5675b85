"""Which words of a person leave a whole box, once each and of which turn, and none of the box's own. The box
is connected to nothing; time is on paper, and each sample that its microphone hears says when."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import pytest

from appliance.audio import speaker as speaker_module
from appliance.audio.format import frames_from_s
from appliance.realtime import events as ev
from appliance.turn.states import Outcome, Sound, State
from tests.support.bench import BLOCK_S, Bench, Line, on_bench
from tests.support.paper_room import PaperSpeaker


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
    samples: npt.NDArray[np.int_] = np.abs(np.concatenate(appends)).astype(np.int_)
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
        bench.daemon.remote.edge(True, "bench")
        if way != "the microphone is live":
            await bench.passes(0.3)
            line.says(ev.SpeechStopped())
        await bench.passes(1)
        assert bench.daemon.machine.number == 2 and not line.sent_of(ev.InputAudioBufferClear)
        bench.daemon.remote.edge(False, "bench")
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
        bench.daemon.remote.edge(True, "bench")
        await bench.passes(1)
        line = bench.loses()
        await bench.passes(1)
        bench.daemon.remote.edge(False, "bench")
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
        bench.daemon.remote.quiet()
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


class Sounding(Numbered):
    """It has a speaker, too."""

    def __init__(self, **settings: object) -> None:
        super().__init__(**settings)
        self.speaker = PaperSpeaker(self.daemon)
        self.heard = 0
        """Samples of it that were no silence."""

    async def passes(self, seconds: float) -> None:
        for _ in range(round(seconds / BLOCK_S)):
            await super().passes(BLOCK_S)
            sound = self.speaker.plays(frames_from_s(BLOCK_S), asyncio.get_running_loop().time())
            self.heard += int(np.count_nonzero(sound))


@pytest.mark.parametrize("what", ["a clip", "a tone"])
def test_a_press_ends_what_the_box_says_and_is_heard_from_the_end_of_its_echo(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """5 ms of fade behind the block that is being written, the card's delay, and the echo: no more is kept back."""

    async def story(bench: Bench) -> None:
        monkeypatch.setattr(speaker_module, "time", SimpleNamespace(monotonic=asyncio.get_running_loop().time))
        assert isinstance(bench, Sounding)
        line = bench.connect()
        await bench.passes(0.2)
        bench.daemon.turns.voice.sound(Sound.SORRY, Outcome.NO_ANSWER if what == "a clip" else None)
        await bench.passes(0.04)
        assert bench.speaker.busy and bench.daemon.sounds.saying is (what == "a clip")
        pressed = bench.sample
        bench.daemon.remote.edge(True, "bench")
        silent_s = bench.daemon.speaker.audible_until_s - asyncio.get_running_loop().time()
        assert silent_s <= 0.05
        await bench.passes(2)
        bench.daemon.remote.edge(False, "bench")
        await bench.passes(0.5)
        first_s = (steps_sent(line)[0] - pressed) * BLOCK_S
        assert first_s == pytest.approx(silent_s + bench.daemon.config.talk.echo_tail_ms / 1000, abs=BLOCK_S)
        assert_each_once(line, pressed + 100)

    on_bench(story, Sounding, panel__language="both")


def test_a_question_that_only_a_long_press_opens_begins_without_a_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    """The listening earcon would come while the person speaks, and be sent as the person's words."""

    async def story(bench: Bench) -> None:
        monkeypatch.setattr(speaker_module, "time", SimpleNamespace(monotonic=asyncio.get_running_loop().time))
        assert isinstance(bench, Sounding)
        line = bench.connect()
        await bench.hold(0.1)
        assert not bench.speaker.busy, "it has sounded"
        line.says(ev.SpeechStarted(), ev.SpeechStopped())
        await bench.passes(1)
        before = bench.heard
        bench.daemon.remote.edge(True, "bench")
        await bench.passes(1)
        assert bench.state() is State.LISTENING and bench.daemon.machine.number == 2
        assert bench.heard == before > 0

    on_bench(story, Sounding, talk__mode="tap")


def test_what_silences_an_answer_ends_a_clip_that_is_being_said_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(bench: Bench) -> None:
        monkeypatch.setattr(speaker_module, "time", SimpleNamespace(monotonic=asyncio.get_running_loop().time))
        assert isinstance(bench, Sounding)
        line = await bench.asked()
        bench.daemon.remote.mute(True)
        bench.daemon.remote.edge(True, "bench")
        bench.daemon.remote.edge(False, "bench")
        bench.answers(line)
        await bench.passes(0.3)
        assert bench.daemon.sounds.saying and bench.speaker.busy
        line.says(ev.SpeechStarted())
        assert bench.daemon.sounds.saying is bench.speaker.busy is False

    on_bench(story, Sounding, panel__language="both", talk__mode="hold")


def test_an_answer_to_half_a_question_is_not_what_was_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """ "Answered after -3.3 s"."""

    async def story(bench: Bench) -> None:
        monkeypatch.setattr(speaker_module, "time", SimpleNamespace(monotonic=asyncio.get_running_loop().time))
        line = bench.connect()
        await bench.hold(0.1)
        await bench.passes(1)
        bench.answers(line)
        await bench.passes(1)
        assert bench.state() is State.SPEAKING and bench.daemon.turns.figures.audible_s is not None
        line.says(ev.SpeechStarted())
        await bench.passes(3)
        assert bench.state() is State.LISTENING
        line.says(ev.SpeechStopped())
        await bench.passes(1)
        line.says(ev.ResponseCreated("r2"), ev.OutputAudioDelta("r2", "i2", b"\x00\x10" * 48_000))
        line.says(ev.ResponseDone("r2", "completed"))
        await bench.passes(6)
        assert bench.daemon.turns.last is not None
        waited_s = bench.daemon.turns.last["end_to_audible_s"]
        assert 1.0 <= waited_s < 1.5 and bench.daemon.turns.last["end_to_first_delta_s"] == pytest.approx(1.0, abs=0.05)

    on_bench(story, Sounding, talk__mode="tap")


def test_an_answer_that_was_there_before_the_end_of_the_question_took_no_time() -> None:
    async def story(bench: Bench) -> None:
        line = bench.connect()
        bench.daemon.remote.edge(True, "bench")
        await bench.passes(1)
        bench.answers(line)
        await bench.passes(2)
        bench.daemon.remote.edge(False, "bench")
        await bench.passes(1)
        bench.daemon.remote.quiet()
        assert bench.daemon.turns.last is not None and bench.daemon.turns.last["end_to_first_delta_s"] == 0.0

    on_bench(story)


@pytest.mark.parametrize("going_on", ["press", "voice", ""])
def test_goodbye_is_taken_back_by_who_goes_on(going_on: str) -> None:
    async def story(bench: Bench) -> None:
        line = await bench.asked()
        bench.answers(line)
        await bench.passes(0.5)
        assert bench.state() is State.SPEAKING
        bench.daemon.turns.end_conversation()
        if going_on == "press":
            await bench.hold(1)
        elif going_on == "voice":
            line.says(ev.SpeechStarted())
            await bench.passes(1)
        bench.daemon.remote.quiet()
        assert (line.closed == "the conversation was ended") is not bool(going_on)

    on_bench(story, talk__mode="hold")


def test_a_model_that_only_calls_tools_uses_up_the_hour() -> None:
    async def story(bench: Bench) -> None:
        line = await bench.asked()
        line.says(ev.SpeechStarted(), ev.SpeechStopped())
        for number in range(3):
            assert bench.daemon.ledger.rest_s(asyncio.get_running_loop().time()) == 0
            line.says(
                ev.ResponseCreated(f"r{number}"),
                ev.FunctionCallArgumentsDone(f"r{number}", "appliance_status", f"c{number}", "{}", "i"),
                ev.ResponseDone(f"r{number}", "completed"),
            )
            await bench.passes(0.5)
            assert line.sent_of(ev.FunctionCallOutput) == number + 1
        assert bench.daemon.ledger.rest_s(asyncio.get_running_loop().time()) > 0

    on_bench(story, talk__mode="hold", limits__audio_s_per_hour=30.0)
