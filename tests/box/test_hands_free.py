"""Talking without a button: whole boxes in made-up rooms, against the embedded service, in paper time."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from itertools import groupby
from typing import Any

import numpy as np
import pytest

from appliance.simulator import voices
from appliance.simulator.acoustic_path import Path
from appliance.simulator.scenario import Close, Connection, Moment, Reply, Scenario, Step, Turn, conversation
from appliance.simulator.service import Service
from appliance.simulator.settings import SimulatorSettings
from appliance.simulator.turn_detection import DetectionSettings
from appliance.turn.states import Outcome, State
from tests.support import acoustics, tones
from tests.support.paper_room import PaperRoom, paper_room
from tests.support.simulated_time import on_paper

SHORT = conversation(Turn(replies=(Reply(tone_ms=600),)))
QUIET_DBFS = -78.0


def quiet(seconds: float) -> acoustics.Sound:
    return acoustics.silence(np.random.default_rng(1), seconds, QUIET_DBFS)


def question(name: str = "ask-time", dbfs: float = -26.0) -> acoustics.Sound:
    """One question, and a moment after it."""
    return np.concatenate((acoustics.spoken(name, dbfs), quiet(0.3)))


def ears(threshold_dbfs: float = -45.0) -> SimulatorSettings:
    """The embedded service takes for speech what is louder than this; the real one knows better than that."""
    return SimulatorSettings(detection=DetectionSettings(threshold_dbfs=threshold_dbfs, hysteresis_db=3.0))


def holds_first_syllable(audio: bytes, name: str) -> float:
    """How well the first quarter of a second of a question is found in what was sent: 1 is exactly."""
    sent = np.frombuffer(audio, dtype="<i2").astype(np.float64)
    wanted = acoustics.spoken(name, -26)[: acoustics.frames(0.25)]
    size = 1 << (sent.size + wanted.size).bit_length()
    products = np.fft.irfft(np.fft.rfft(sent, size) * np.conj(np.fft.rfft(wanted, size)), size)[: sent.size]
    at = int(np.argmax(products))
    found = sent[at : at + wanted.size]
    return float(products[at] / np.sqrt(np.sum(wanted**2) * np.sum(found**2)))


@pytest.mark.parametrize(
    ("noise", "speech_dbfs", "noise_dbfs", "every_s"),
    [
        (acoustics.fan, -26.0, -41.0, 11.0),
        (acoustics.rain, -36.0, -51.0, 15.0),
        (acoustics.music, -26.0, -41.0, 15.0),
        (acoustics.silence, -16.0, -70.0, 11.0),
    ],
)
def test_every_question_is_answered_whole(
    monkeypatch: pytest.MonkeyPatch,
    noise: Callable[[np.random.Generator, float, float], acoustics.Sound],
    speech_dbfs: float,
    noise_dbfs: float,
    every_s: float,
) -> None:
    """15 dB above the room, or more. Some follow the answer before, the others wait for the invite."""

    async def story() -> None:
        room_sound = noise(np.random.default_rng(2), 120, noise_dbfs)
        sound, asked = acoustics.with_questions(room_sound, speech_dbfs, every_s)
        # Music has loud moments.
        hearing = ears(max(noise_dbfs + 11.0, -45.0))
        async with Service(hearing, SHORT) as service, paper_room(service, monkeypatch, echo_db=-12) as room:
            await room.hears(sound)
            answered = [turn for turn in room.turns if turn["outcome"] == Outcome.ANSWERED.value]
            strangers = len(room.turns) - len(asked)
            assert len(answered) >= len(asked) and strangers <= (1 if noise is acoustics.music else 0), room.turns
            assert not service.violations
            taken = service.turns[-len(asked) :]
            for (begin_s, name), turn in zip(asked, taken, strict=True):
                assert holds_first_syllable(turn.audio, name) > 0.9, f"{name} at {begin_s:.0f} s"

    on_paper(story(), 0.0)


@pytest.mark.parametrize("noise", acoustics.NOISES)
def test_a_room_without_a_person_opens_nothing(monkeypatch: pytest.MonkeyPatch, noise: str) -> None:
    async def story() -> None:
        sound = acoustics.NOISES[noise](np.random.default_rng(3), 220)
        # What opens it all the same is not taken for speech by the service, and is no fault.
        async with Service(ears(0.0), SHORT) as service, paper_room(service, monkeypatch) as room:
            await room.hears(sound)
            assert len(room.turns) <= (1 if noise == "music" else 0), room.turns
            assert {turn["outcome"] for turn in room.turns} <= {Outcome.NO_SPEECH.value}
            assert room.light == "invite"

    on_paper(story(), 0.0)


def test_the_box_does_not_answer_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own answers, spoken, come back into the microphone 12 dB fainter."""

    async def story() -> None:
        async with Service(ears()) as service, paper_room(service, monkeypatch, echo_db=-12) as room:
            for name in ("ask-time", "ask-who", "ask-monsoon"):
                await room.hears(question(name))
                assert await room.hears(quiet(30), lambda: room.state() is State.EXPECTING)
                await room.hears(quiet(9))
                assert room.state() is State.READY
            assert [turn["outcome"] for turn in room.turns] == [Outcome.ANSWERED.value] * 3
            assert len(service.turns) == 3
            assert all(turn["answer_s"] > 2.5 and turn["heard_s"] == turn["answer_s"] for turn in room.turns)

    on_paper(story(), 0.0)


def test_invite_listen_answer_follow_up_invite(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with Service(ears(), SHORT) as service, paper_room(service, monkeypatch) as room:
            await room.hears(quiet(5))
            assert room.light == "invite" and not service.connections
            await room.hears(question())
            assert await room.hears(quiet(5), lambda: room.state() is State.EXPECTING)
            assert room.light == "listening"
            await room.hears(quiet(4))
            await room.hears(question("ask-who"))
            assert await room.hears(quiet(5), lambda: len(room.turns) == 2)
            assert await room.hears(quiet(10), lambda: room.state() is State.READY)
            shown = [light for light, _ in groupby(light for _, light in room.lights if light != "ready")]
            turn = ["listening", "wait", "speaking"]
            assert shown[-8:] == [*turn, *turn, "listening", "invite"]
            assert len(service.connections) == 1, "one conversation, with its context"
            await room.hears(quiet(70))
            assert not service.open_connections, "closed when idle"
            assert room.daemon.ring.end - room.daemon.ring.start <= acoustics.frames(2.6), "no more is kept"

    on_paper(story(), 0.0)


def test_nothing_is_sent_while_nobody_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with Service(ears(), SHORT) as service, paper_room(service, monkeypatch) as room:
            await room.hears(question())
            assert await room.hears(quiet(5), lambda: room.state() is State.EXPECTING)
            sent_s = room.daemon.remote.status()["totals"]["sent_s"]
            await room.hears(quiet(30))
            assert room.daemon.remote.status()["totals"]["sent_s"] == sent_s

    on_paper(story(), 0.0)


def test_a_voice_that_the_service_does_not_take_for_speech_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with Service(ears(0.0), SHORT) as service, paper_room(service, monkeypatch) as room:
            await room.hears(question())
            assert await room.hears(quiet(10), lambda: room.state() is State.READY)
            assert room.turns[-1]["outcome"] == Outcome.NO_SPEECH.value and room.light == "invite"
            assert room.daemon.player.idle and not service.turns

    on_paper(story(), 0.0)


def test_who_is_too_faint_for_the_box_is_told_of_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Six questions at -66 dBFS: a microphone whose slider is down. Then somebody mends it."""

    async def story() -> None:
        async with Service(ears(), SHORT) as service, paper_room(service, monkeypatch) as room:
            await room.hears(quiet(9))
            for number in range(6):
                assert (room.daemon.remote.status()["faint_speech_dbfs"] is None) is (number < 4)
                await room.hears(np.concatenate((question("ask-time", -66.0), quiet(6))))
            assert not room.turns
            assert -75 < room.daemon.remote.status()["faint_speech_dbfs"] < -55
            await room.hears(question())
            assert await room.hears(quiet(5), lambda: room.state() is State.EXPECTING)
            assert room.daemon.remote.status()["faint_speech_dbfs"] is None

    on_paper(story(), 0.0)
    assert caplog.text.count("too faintly for the box") == 1
    assert "raise microphone.capture_percent" in caplog.text


def test_a_till_that_beeps_makes_no_box_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with Service(ears(0.0), SHORT) as service, paper_room(service, monkeypatch) as room:
            await room.hears(quiet(9))
            for hz in (440, 880, 1000, 1400):
                await room.hears(tones.heard(tones.tone(hz, 0.4), quiet(2), -20.0))
                await room.hears(quiet(7))
            assert not room.turns and room.light == "invite"

    on_paper(story(), 0.0)


# ------------------------------------------------------------ a radio


def radio(seconds: float) -> acoustics.Sound:
    """Somebody who talks all the time."""
    names = ["monsoon", "who", "time", "volume", "ask-monsoon"]
    talk = [part for name in names for part in (acoustics.spoken(name, -26), quiet(0.7))]
    once = np.concatenate(talk)
    return np.tile(once, 1 + acoustics.frames(seconds) // once.size)[: acoustics.frames(seconds)]


def test_a_radio_is_answered_for_a_while_and_less_and_less(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "appliance.box.hands_free")

    async def story() -> None:
        times = {"open_conversation_s": 40.0, "open_rest_s": 60.0, "open_rest_max_s": 240.0}
        settings: dict[str, Any] = {f"talk__{name}": value for name, value in times.items()}
        async with Service(ears(), SHORT) as service, paper_room(service, monkeypatch, **settings) as room:
            await room.hears(quiet(4))
            assert await room.hears(radio(150), lambda: room.light == "resting")
            assert await room.hears(radio(10), lambda: not service.open_connections), "the session is closed"
            first = room.now_s
            assert room.daemon.remote.status()["rest_s"] > 50
            assert await room.hears(radio(90), lambda: room.state() is State.LISTENING), "over by itself"
            assert 50 < room.now_s - first < 75
            assert await room.hears(radio(150), lambda: room.light == "resting")
            second = room.now_s
            assert await room.hears(radio(150), lambda: room.state() is State.LISTENING)
            assert 110 < room.now_s - second < 135, "twice as long"

    on_paper(story(), 0.0)
    assert caplog.text.count("resting for") == 2 and "talk without a pause" in caplog.text


def test_a_noise_that_opens_again_and_again_is_given_a_rest_which_a_press_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with Service(ears(0.0), SHORT) as service, paper_room(service, monkeypatch) as room:
            for _ in range(3):
                assert room.light != "resting"
                await room.hears(question())
                assert await room.hears(quiet(10), lambda: room.state() is State.READY)
            assert room.light == "resting" and not room.daemon.player.idle, "shown, and said"
            turns = len(room.turns)
            await room.hears(question())
            assert len(room.turns) == turns and room.state() is State.READY
            service.scenario = SHORT
            room.daemon.remote.edge(True, "test")
            room.daemon.remote.edge(False, "test")
            assert room.state() is State.LISTENING and room.light == "listening"
            room.daemon.remote.quiet()
            await room.hears(quiet(1))
            assert room.light == "invite"

    on_paper(story(), 0.0)


# ------------------------------------------------------------ nobody to press


def refusing(code: int) -> Connection:
    return Connection(steps=(Step(on=Moment.OPEN, do=Close(code=code)),))


LATCHED = {
    "wrong key": (refusing(4001), "fault_key", None),
    "no credits": (refusing(4003), "fault_account", 300.0),
    "too many connections": (refusing(4008), "ready", 60.0),
    "settings refused": (Connection(refuse_setting="voice"), "fault_setup", 900.0),
}
"""Trouble, its light, and when the box looks by itself whether it is over; None: not before the key changes."""


@pytest.mark.parametrize("row", LATCHED)
def test_a_latched_fault_is_said_to_who_speaks_and_tried_by_the_probe_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, row: str
) -> None:
    trouble, light, probe_s = LATCHED[row]
    caplog.set_level(logging.INFO, "appliance")

    async def story() -> None:
        scenario = Scenario(connections=(trouble,))
        settings: dict[str, Any] = {"link__credit_probe_s": 300.0}
        async with Service(ears(), scenario) as service, paper_room(service, monkeypatch, **settings) as room:
            earcons = count_earcons(room)
            await room.hears(question())
            assert await room.hears(quiet(5), lambda: len(room.turns) == 1)
            assert room.turns[0]["outcome"] == Outcome.REFUSED.value and len(earcons) == 1
            assert room.light == light
            refused_s = room.now_s
            # For four minutes somebody speaks every ten seconds.
            while room.now_s < refused_s + 50:
                await room.hears(np.concatenate((question(), quiet(8))))
            assert len(earcons) == 1 and len(service.connections) == 1 and len(room.turns) == 1
            while room.now_s < refused_s + 230:
                await room.hears(np.concatenate((question(), quiet(8))))
            assert 3 <= len(earcons) <= 5, "once a minute"
            probes = 0 if probe_s is None else int(230 // probe_s)
            assert abs(len(service.connections) - 1 - probes) <= (1 if probes else 0), "no voice is an attempt"
            service.scenario = SHORT
            if probe_s is None:
                room.stamp += 1
                assert await room.hears(quiet(15), lambda: room.light == "invite"), "a new key needs no touch"
            else:
                assert await room.hears(quiet(probe_s + 30), lambda: room.light == "invite")
            await room.hears(question())
            assert await room.hears(quiet(8), lambda: room.state() is State.EXPECTING)
            assert room.turns[-1]["outcome"] == Outcome.ANSWERED.value

    on_paper(story(), 0.0)


def count_earcons(room: PaperRoom) -> list[object]:
    """What is said of a fault from now on."""
    said: list[object] = []
    play = room.daemon.player.earcon

    def plays(samples: np.ndarray[tuple[int], np.dtype[np.int16]]) -> None:
        said.append(samples)
        play(samples)

    room.daemon.player.earcon = plays  # type: ignore[method-assign]
    return said


def test_a_room_that_talks_through_an_outage_hears_the_words_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody pressed: a radio, too, would be told what to do after each of its sentences."""

    async def story() -> None:
        scenario = Scenario(connections=(refusing(1013),))
        times = {"talk__stale_s": 3.0, "talk__max_hold_s": 5.0, "talk__max_hold_warning_s": 1.0}
        settings: dict[str, Any] = {**times, "panel__waiting_tick": False}
        async with Service(ears(), scenario) as service, paper_room(service, monkeypatch, **settings) as room:
            sounds = count_earcons(room)
            while len(room.turns) < 3:
                await room.hears(np.concatenate((question(), quiet(4))))
            assert room.now_s < 60 and {turn["outcome"] for turn in room.turns} == {Outcome.STALE.value}
            lengths_s = [np.size(sound) / acoustics.HZ for sound in sounds]  # type: ignore[arg-type]
            assert [length_s > 1 for length_s in lengths_s] == [True, False, False], "then a tone is enough"

    on_paper(story(), 0.0)


def test_a_box_without_allowance_says_so_and_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        service = Service(ears(), SHORT)
        async with service, paper_room(service, monkeypatch, limits__audio_s_per_hour=1.0) as room:
            await room.hears(question())
            assert await room.hears(quiet(8), lambda: len(room.turns) == 1)
            await room.hears(quiet(1))
            assert room.light == "resting"
            earcons = count_earcons(room)
            await room.hears(np.concatenate((question(), quiet(3), question(), quiet(3))))
            assert len(room.turns) == 1 and len(earcons) == 1

    on_paper(story(), 0.0)


# ------------------------------------------------------------ talking over an answer

LONG = Reply(pcm=voices.pcm("ask-monsoon") * 4, text="മഴ", speed=1)
"""An answer of speech, some ten seconds long."""


def of_speech(*later: Turn) -> Scenario:
    """The first answer is ``LONG``, and so is each after it unless something else is said."""
    return conversation(Turn(replies=(LONG,)), *later)


@pytest.mark.parametrize("after_s", [0.6, 2.0, 5.0])
def test_full_duplex_who_talks_over_an_answer_is_heard(monkeypatch: pytest.MonkeyPatch, after_s: float) -> None:
    """By a microphone that takes the box's own sound out: the answer ends at once, and the words are whole."""

    async def story() -> None:
        service = Service(ears(), of_speech(Turn(replies=(Reply(tone_ms=600),))))
        async with service, paper_room(service, monkeypatch, echo_db=None, talk__full_duplex="card") as room:
            await room.hears(question())
            assert await room.hears(quiet(8), lambda: room.speaker.busy)
            await room.hears(quiet(after_s))
            assert room.state() is State.SPEAKING
            began_s = room.now_s
            asked = np.concatenate((question("ask-who"), quiet(8)))
            assert await room.hears(asked[: acoustics.frames(1.5)], lambda: not room.speaker.busy)
            assert room.now_s - began_s < 0.5
            at = acoustics.frames(room.now_s - began_s)
            assert await room.hears(asked[at:], lambda: len(room.turns) == 2)
            assert [turn["outcome"] for turn in room.turns] == [Outcome.TALKED_OVER.value, Outcome.ANSWERED.value]
            assert not service.violations and service.replies[0].cancelled_by == "client"
            assert holds_first_syllable(service.turns[-1].audio, "ask-who") > 0.9

    on_paper(story(), 0.0)


def test_full_duplex_what_a_canceller_leaves_is_no_voice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute of answers, of which a speakerphone leaves 30 dB less."""

    async def story() -> None:
        service = Service(ears(), of_speech(*(Turn(replies=(LONG,)) for _ in range(5))))
        async with service, paper_room(service, monkeypatch, echo_db=-30, talk__full_duplex="card") as room:
            for number in range(6):
                await room.hears(question())
                assert await room.hears(quiet(40), lambda n=number: len(room.turns) > n)  # type: ignore[misc]
                await room.hears(quiet(1))
            assert {turn["outcome"] for turn in room.turns} == {Outcome.ANSWERED.value} and len(room.turns) == 6

    on_paper(story(), 0.0)


def test_half_duplex_nobody_talks_over_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with Service(ears(), of_speech()) as service, paper_room(service, monkeypatch, echo_db=None) as room:
            await room.hears(question())
            assert await room.hears(quiet(8), lambda: room.speaker.busy)
            await room.hears(np.concatenate((quiet(1), question("ask-who"))))
            assert await room.hears(quiet(20), lambda: len(room.turns) == 1)
            assert room.turns[0]["outcome"] == Outcome.ANSWERED.value

    on_paper(story(), 0.0)


def test_full_duplex_a_noise_ends_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        service = Service(ears(), of_speech())
        async with service, paper_room(service, monkeypatch, echo_db=None, talk__full_duplex="card") as room:
            await room.hears(question())
            assert await room.hears(quiet(8), lambda: room.speaker.busy)
            beep = acoustics.at_dbfs(tones.tone(880, 0.3), -20)
            await room.hears(np.concatenate([np.concatenate((quiet(0.5), beep)) for _ in range(6)]))
            assert await room.hears(quiet(20), lambda: len(room.turns) == 1)
            assert room.turns[0]["outcome"] == Outcome.ANSWERED.value

    on_paper(story(), 0.0)


def test_a_card_that_takes_nothing_out_ends_full_duplex(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It would answer itself for ever. What somebody asks then is answered, and the answer is heard out."""

    async def story() -> None:
        service = Service(ears(), of_speech(*(Turn(replies=(LONG,)) for _ in range(9))))
        async with service, paper_room(service, monkeypatch, echo_db=-12, talk__full_duplex="card") as room:
            await room.hears(question())
            assert await room.hears(quiet(60), lambda: room.turns[-1:] != [] and "hear itself" in caplog.text)
            assert await room.hears(quiet(60), lambda: room.turns[-1]["outcome"] == Outcome.ANSWERED.value)
            outcomes = [turn["outcome"] for turn in room.turns]
            assert outcomes == [Outcome.TALKED_OVER.value] * 2 + [Outcome.ANSWERED.value]
            await room.hears(np.concatenate((quiet(2), question("ask-who"))))
            assert await room.hears(quiet(40), lambda: len(room.turns) == 4)
            assert room.turns[-1]["outcome"] == Outcome.ANSWERED.value
            assert caplog.text.count("hear itself") == 1

    with caplog.at_level(logging.WARNING):
        on_paper(story(), 0.0)


def test_a_press_says_that_there_is_a_person(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Who talks over every answer as soon as it begins is believed who has pressed in between."""

    async def story() -> None:
        service = Service(ears(), of_speech(*(Turn(replies=(LONG,)) for _ in range(9))))
        async with service, paper_room(service, monkeypatch, echo_db=None, talk__full_duplex="card") as room:
            for number in range(5):
                await room.hears(question())
                assert await room.hears(quiet(8), lambda: room.speaker.busy)
                if number == 2:
                    room.daemon.remote.edge(True, "test")
                    await room.hears(quiet(0.2))
                    room.daemon.remote.edge(False, "test")
                    await room.hears(quiet(1.0))
                else:
                    await room.hears(quiet(0.5))
            assert [turn["outcome"] for turn in room.turns].count(Outcome.TALKED_OVER.value) >= 3
            assert "hear itself" not in caplog.text

    with caplog.at_level(logging.WARNING):
        on_paper(story(), 0.0)


# ------------------------------------------------------------ the same, where the box takes its own sound out itself

SPEAKER = Path(0.0, delay_s=0.05, rt60_s=0.4, saturation=0.5)
"""Its answers are as loud at the microphone as they leave."""


async def hears_an_answer(room: PaperRoom) -> None:
    """The canceller is not relied upon before it has heard three seconds."""
    count = len(room.turns)
    await room.hears(question())
    assert await room.hears(quiet(40), lambda: len(room.turns) > count)
    assert room.daemon.echo is not None and room.daemon.echo.settled
    await room.hears(quiet(1))


@pytest.mark.parametrize("after_s", [1.0, 6.0])
def test_software_who_talks_over_an_answer_is_heard(monkeypatch: pytest.MonkeyPatch, after_s: float) -> None:
    async def story() -> None:
        service = Service(ears(), of_speech(Turn(replies=(LONG,)), Turn(replies=(Reply(tone_ms=600),))))
        async with service, paper_room(service, monkeypatch, path=SPEAKER, talk__full_duplex="software") as room:
            await hears_an_answer(room)
            await room.hears(question())
            assert await room.hears(quiet(8), lambda: room.speaker.busy)
            await room.hears(quiet(after_s))
            assert room.state() is State.SPEAKING
            began_s = room.now_s
            asked = np.concatenate((acoustics.spoken("ask-who", -17.0), quiet(8)))
            assert await room.hears(asked[: acoustics.frames(1.5)], lambda: not room.speaker.busy)
            assert room.now_s - began_s < 1.2
            at = acoustics.frames(room.now_s - began_s)
            assert await room.hears(asked[at:], lambda: len(room.turns) == 3)
            outcomes = [turn["outcome"] for turn in room.turns]
            assert outcomes == ["answered", Outcome.TALKED_OVER.value, Outcome.ANSWERED.value]
            assert not service.violations and service.replies[1].cancelled_by == "client"

    on_paper(story(), 0.0)


@pytest.mark.parametrize(
    "path", [SPEAKER, Path(6.0, rt60_s=0.5, saturation=0.3), Path(0.0, rt60_s=0.75, delay_s=0.1)], ids=str
)
def test_software_the_box_never_answers_itself(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Half a minute of answers in each room; the benchmark has more (``tests/bench/talk_over.py``)."""

    async def story() -> None:
        service = Service(ears(), of_speech(*(Turn(replies=(LONG,)) for _ in range(2))))
        async with service, paper_room(service, monkeypatch, path=path, talk__full_duplex="software") as room:
            for number in range(3):
                await room.hears(question())
                assert await room.hears(quiet(40), lambda n=number: len(room.turns) > n)  # type: ignore[misc]
                await room.hears(quiet(2))
            assert [turn["outcome"] for turn in room.turns] == [Outcome.ANSWERED.value] * 3
            assert len(service.turns) == 3, "no turn that nobody asked"

    on_paper(story(), 0.0)


def test_software_a_noise_only_pauses_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Something falls: silence within 0.4 s, and the answer goes on a moment before, to its end. The next such noise
    counts later, and a second one soon after it not at all."""

    async def story() -> None:
        service = Service(ears(), of_speech(Turn(replies=(LONG,))))
        bang = np.random.default_rng(5).normal(size=acoustics.frames(0.35))
        fall = acoustics.at_dbfs(bang * np.exp(-np.arange(bang.size) / acoustics.frames(0.15)), -14.0)
        async with service, paper_room(service, monkeypatch, path=SPEAKER, talk__full_duplex="software") as room:
            await hears_an_answer(room)
            await room.hears(question())
            assert await room.hears(quiet(8), lambda: room.speaker.busy)
            await room.hears(quiet(3.3))
            before = room.speaker.played_frames
            began_s = room.now_s
            assert await room.hears(np.concatenate((fall, quiet(1))), lambda: room.daemon.machine.paused)
            assert room.now_s - began_s < 0.4 and room.state() is State.SPEAKING
            assert await room.hears(quiet(0.1), lambda: not room.speaker.busy)
            await room.hears(quiet(0.3))
            assert room.light == "listening"
            assert await room.hears(quiet(2), lambda: room.speaker.busy)
            assert room.light == "speaking"
            await room.hears(np.concatenate((fall, quiet(0.3))))
            assert not room.daemon.machine.paused and room.speaker.busy
            assert await room.hears(quiet(40), lambda: len(room.turns) == 2)
            assert room.turns[1]["outcome"] == Outcome.ANSWERED.value and len(service.turns) == 2
            whole = len(voices.pcm("ask-monsoon")) * 4 // 2
            again_s = acoustics.frames(0.45)
            assert whole < room.speaker.played_frames - before + acoustics.frames(3.3) < whole + again_s

    on_paper(story(), 0.0)


def test_software_before_it_has_settled_it_is_half_duplex(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with (
            Service(ears(), of_speech()) as service,
            paper_room(service, monkeypatch, path=SPEAKER, talk__full_duplex="software") as room,
        ):
            await room.hears(question())
            assert await room.hears(quiet(8), lambda: room.speaker.busy)
            await room.hears(acoustics.spoken("ask-who", -17.0)[: acoustics.frames(1.2)])
            assert await room.hears(quiet(40), lambda: len(room.turns) == 1)
            assert room.turns[0]["outcome"] == Outcome.ANSWERED.value

    on_paper(story(), 0.0)


def test_software_without_the_canceller_is_half_duplex_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        monkeypatch.setitem(sys.modules, "pywebrtc_audio", None)
        service = Service(ears(), of_speech())
        async with service, paper_room(service, monkeypatch, echo_db=-12, talk__full_duplex="software") as room:
            assert room.daemon.echo is None
            (line,) = [record.getMessage() for record in caplog.records if "full_duplex" in record.getMessage()]
            assert "pywebrtc-audio" in line and "does not listen while it speaks" in line
            await room.hears(question())
            assert await room.hears(quiet(40), lambda: len(room.turns) == 1)
            assert room.turns[0]["outcome"] == Outcome.ANSWERED.value

    with caplog.at_level(logging.WARNING):
        on_paper(story(), 0.0)


# ------------------------------------------------------------ the button


def test_a_press_stops_the_answer_and_what_is_said_then_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with Service(ears()) as service, paper_room(service, monkeypatch, echo_db=-12) as room:
            await room.hears(question())
            assert await room.hears(quiet(8), lambda: room.state() is State.SPEAKING)
            await room.hears(quiet(0.5))
            room.daemon.remote.edge(True, "test")
            await room.hears(quiet(0.2))
            room.daemon.remote.edge(False, "test")
            await room.hears(quiet(0.5))
            assert room.state() is State.EXPECTING and room.turns[-1]["outcome"] == Outcome.INTERRUPTED.value
            await room.hears(question("ask-who"))
            assert await room.hears(quiet(20), lambda: len(room.turns) == 2)
            assert room.turns[-1]["outcome"] == Outcome.ANSWERED.value

    on_paper(story(), 0.0)


def test_a_press_listens_like_a_tap(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with Service(ears(), SHORT) as service, paper_room(service, monkeypatch) as room:
            room.daemon.remote.edge(True, "test")
            await room.hears(quiet(0.15))
            room.daemon.remote.edge(False, "test")
            await room.hears(np.concatenate((quiet(0.5), question())))
            assert await room.hears(quiet(8), lambda: room.state() is State.EXPECTING)
            assert room.turns[-1]["outcome"] == Outcome.ANSWERED.value

    on_paper(story(), 0.0)


def test_goodbye_is_no_invitation_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with Service(ears(), SHORT) as service, paper_room(service, monkeypatch) as room:
            await room.hears(question())
            assert await room.hears(quiet(8), lambda: room.state() is State.SPEAKING)
            room.daemon.turns.end_conversation()
            assert await room.hears(quiet(3), lambda: len(room.turns) == 1)
            assert room.state() is State.READY
            await room.hears(quiet(1))
            assert room.light == "invite" and not service.open_connections

    on_paper(story(), 0.0)
