"""What a person hears of a press that leads to nothing, and while an answer is awaited: found again in the room."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from appliance.audio.clips import Clips
from appliance.audio.earcons import tick
from appliance.audio.format import WIRE_HZ, frames_from_ms, frames_from_s
from appliance.box.box import Box
from appliance.realtime import events
from appliance.simulator.scenario import Close, Connection, Moment, Reply, Scenario, Step, Turn, conversation
from appliance.simulator.service import Service
from appliance.simulator.settings import SimulatorSettings
from appliance.simulator.sound_match import find
from appliance.simulator.virtual_card import CardRecording, VirtualCard, save_wav
from appliance.turn.announcements import Clip
from appliance.turn.states import Outcome, State
from tests.support.held_port import held_port
from tests.support.rig import Samples, ask_holding, box, in_state, in_time, question, say, turn_over, words

QUICK = {"link__backoff_first_s": 0.1, "link__backoff_cap_s": 1.0, "talk__stale_s": 1.0}
"""A question is given up soon; the times themselves are tested on paper."""

AUDIBLE = 100
"""The card adds nothing of its own; edges of sounds are fainter."""


def clip(name: Clip, language: str = "ml") -> Samples:
    return Clips(language, "").spoken(name.value).samples


def refusing(code: int) -> Service:
    step = Step(on=Moment.OPEN, do=Close(code=code, error="known"))
    return Service(scenario=Scenario(connections=(Connection(steps=(step,)),)))


async def after(recording: CardRecording, wanted: Samples, margin_ms: float = 600) -> Samples:
    """What was heard from the first sound on until ``wanted`` would be over, and a while longer."""

    def heard() -> Samples:
        loud = np.flatnonzero(np.abs(recording.samples.astype(np.int32)) > AUDIBLE)
        return recording.samples[loud[0] :] if loud.size else recording.samples[:0]

    await in_time(lambda: heard().size >= wanted.size + frames_from_ms(margin_ms), 20)
    return heard()


def check_whole(wanted: Samples, heard: Samples) -> None:
    """``wanted`` was heard whole, once, and nothing else."""
    padded = np.concatenate((np.zeros(WIRE_HZ, dtype=np.int16), heard))
    found = find(wanted, padded, WIRE_HZ)
    end = found.lag_frames - WIRE_HZ + wanted.size
    rest = int(np.abs(heard[end + frames_from_ms(20) :].astype(np.int32)).max(initial=0))
    assert found.correlation > 0.99 and found.longest_gap_ms <= 5 and rest < AUDIBLE, (found, rest)


async def tap(daemon: Box, times: int = 1, every_s: float = 0.4) -> None:
    """Short presses: too short for a hold."""
    for _ in range(times):
        daemon.remote.edge(True, "test")
        await asyncio.sleep(0.05)
        daemon.remote.edge(False, "test")
        await asyncio.sleep(every_s - 0.05)


@pytest.mark.parametrize("mode", ["auto", "hold", "tap"])
async def test_with_a_bad_key_it_says_whom_to_call_once_however_often_somebody_presses(
    card: VirtualCard, tmp_path: Path, mode: str
) -> None:
    wanted = clip(Clip.CALL)
    async with refusing(4001) as service, box(service, card, tmp_path, talk__mode=mode, panel__earcons=False) as daemon:
        with card.record_speaker(hz=WIRE_HZ) as recording:
            daemon.remote.edge(True, "test")
            assert not daemon.sounds.saying, "not before the attempt has failed"
            assert await turn_over(daemon) == Outcome.REFUSED.value
            assert daemon.sounds.saying and daemon.panel.current_light == "fault_key"
            daemon.remote.edge(False, "test")
            await asyncio.sleep(0.4)
            await tap(daemon, 3)
            assert daemon.sounds.saying and daemon.turns.ended == 4
            check_whole(wanted, await after(recording, wanted))
        assert len(service.connections) == 1


@pytest.mark.parametrize(("code", "name"), [(1013, Clip.WAIT), (4003, Clip.CALL), (4008, Clip.WAIT)])
async def test_what_is_said_of_a_question_that_the_service_did_not_take(
    card: VirtualCard, tmp_path: Path, code: int, name: Clip
) -> None:
    wanted = clip(name)
    settings = {**QUICK, "talk__mode": "hold"}
    async with refusing(code) as service, box(service, card, tmp_path, **settings) as daemon:
        with card.record_speaker(hz=WIRE_HZ) as recording:
            daemon.remote.edge(True, "test")
            await asyncio.sleep(0.3)
            daemon.remote.edge(False, "test")
            await turn_over(daemon)
            check_whole(wanted, await after(recording, wanted))


@pytest.mark.parametrize("language", ["ml", "en", "both"])
async def test_without_internet_it_says_what_to_look_at(card: VirtualCard, tmp_path: Path, language: str) -> None:
    wanted = clip(Clip.CHECK, language)
    settings = {**QUICK, "talk__mode": "hold", "panel__language": language}
    with held_port() as port:
        nobody = Service(SimulatorSettings(port=port))
        async with box(nobody, card, tmp_path, **settings) as daemon:
            with card.record_speaker(hz=WIRE_HZ) as recording:
                await ask_holding(daemon, card, words())
                assert await turn_over(daemon) == Outcome.STALE.value
                check_whole(wanted, await after(recording, wanted))


async def test_a_failure_for_good_during_the_hold_changes_light_and_clip_at_once(
    card: VirtualCard, tmp_path: Path
) -> None:
    wanted = clip(Clip.CALL)
    step = Step(on=Moment.READY, do=Close(code=4003, error="known"))
    scenario = Scenario(connections=(Connection(steps=(step,)),))
    async with Service(scenario=scenario) as service, box(service, card, tmp_path, talk__mode="hold") as daemon:
        with card.record_speaker(hz=WIRE_HZ) as recording:
            daemon.remote.edge(True, "test")
            assert await turn_over(daemon) == Outcome.REFUSED.value
            assert daemon.buttons._owner == "test", "the button is still down"
            assert daemon.panel.current_light == "fault_account" and daemon.sounds.saying
            check_whole(wanted, await after(recording, wanted))
            daemon.remote.edge(False, "test")


async def test_too_short_a_hold_is_told_how_and_haste_does_not_cut_it(card: VirtualCard, tmp_path: Path) -> None:
    wanted = clip(Clip.HOLD)
    async with Service() as service, box(service, card, tmp_path, talk__mode="hold", panel__earcons=False) as daemon:
        with card.record_speaker(hz=WIRE_HZ) as recording:
            await tap(daemon, 5)
            check_whole(wanted, await after(recording, wanted))
            assert daemon.turns.ended == 5
    assert all(not connection.audio for connection in service.connections)


async def test_a_muted_box_says_so(card: VirtualCard, tmp_path: Path) -> None:
    wanted = clip(Clip.MUTED)
    async with Service() as service, box(service, card, tmp_path, panel__earcons=False) as daemon:
        daemon.remote.mute(True)
        await daemon.until(lambda: not daemon.machine.microphone_ready, 10)
        with card.record_speaker(hz=WIRE_HZ) as recording:
            await tap(daemon, 2)
            check_whole(wanted, await after(recording, wanted))
    assert not service.connections


async def test_an_owners_own_words_are_said_instead(card: VirtualCard, tmp_path: Path) -> None:
    own = question("ask-monsoon")[:24_000]
    save_wav(tmp_path / "muted.wav", own, WIRE_HZ)
    async with Service() as service, box(service, card, tmp_path, panel__clips_dir=str(tmp_path)) as daemon:
        daemon.remote.mute(True)
        await daemon.until(lambda: not daemon.machine.microphone_ready, 10)
        with card.record_speaker(hz=WIRE_HZ) as recording:
            await tap(daemon)
            heard = await after(recording, own)
    padded = np.concatenate((np.zeros(WIRE_HZ, dtype=np.int16), heard))
    assert find(own, padded, WIRE_HZ).correlation > 0.99


async def test_ctl_stop_and_a_lost_speaker_end_a_clip_for_good(card: VirtualCard, tmp_path: Path) -> None:
    async with Service() as service, box(service, card, tmp_path) as daemon:
        daemon.remote.mute(True)
        await daemon.until(lambda: not daemon.machine.microphone_ready, 10)
        await tap(daemon)
        assert daemon.sounds.saying
        daemon.remote.quiet()
        assert not daemon.sounds.saying and daemon.player.idle
        await asyncio.sleep(3.2)
        await tap(daemon)
        assert daemon.sounds.saying
        card.unplug_speaker()
        try:
            await daemon.until(lambda: daemon.speaker.device is None, 20)
            await tap(daemon)
        finally:
            card.plug_speaker()
        await daemon.until(lambda: daemon.speaker.device is not None, 20)
        assert daemon.player.idle, "nothing has been kept for it"


@pytest.fixture
def echo(card: VirtualCard) -> Iterator[None]:
    """The microphone hears the speaker."""
    card.echo(-12)
    yield
    card.echo(None)


@pytest.mark.usefixtures("echo")
@pytest.mark.parametrize("mode", ["auto", "hold", "tap"])
async def test_a_press_that_makes_the_box_listen_ends_the_clip_and_none_of_it_is_sent(
    card: VirtualCard, tmp_path: Path, mode: str
) -> None:
    """The clip comes of a failure that is over by the next press."""
    wanted = clip(Clip.WAIT)
    settings = {**QUICK, "talk__mode": mode, "panel__earcons": False}
    async with refusing(1013) as service, box(service, card, tmp_path, **settings) as daemon:
        daemon.remote.edge(True, "test")
        if mode == "tap":
            await asyncio.sleep(0.1)
            daemon.remote.edge(False, "test")
        await asyncio.sleep(0.7)
        # A second tap, or the release of the hold.
        daemon.remote.edge(mode == "tap", "test")
        await asyncio.sleep(0.1)
        daemon.remote.edge(False, "test")
        await turn_over(daemon)
        assert daemon.sounds.saying
        service.scenario = conversation(Turn(replies=(Reply(tone_ms=100),)))
        with card.record_speaker(hz=WIRE_HZ) as recording, card.record_microphone(hz=WIRE_HZ) as room:
            await asyncio.sleep(0.5)
            daemon.remote.edge(True, "test")
            pressed_s = asyncio.get_running_loop().time()
            await daemon.until(lambda: not daemon.sounds.saying, 1)
            await asyncio.sleep(0.4)
            heard = recording.samples
            loud = np.flatnonzero(np.abs(heard.astype(np.int32)) > AUDIBLE)
            silent_s = recording.time_s(int(loud[-1])) - pressed_s
            assert silent_s < (0.45 if mode == "hold" else 0.3), "the hold must first prove to be one"
            echoed = room.samples
            await say(card, words(200, 1240))
            await asyncio.sleep(0.15)
            daemon.remote.edge(False, "test")
            assert await turn_over(daemon, 2) == Outcome.ANSWERED.value
            begun = heard[loud[0] : loud[-1]]
            assert find(begun, echoed, WIRE_HZ).correlation > 0.9, "there was no echo"
    sent = np.frombuffer(service.connections[-1].audio, dtype="<i2")
    asked = find(words(200, 1240), sent, WIRE_HZ)
    assert asked.correlation > 0.99 and asked.missing_ms == 0
    # Not even faintly: nobody else makes a sound in this room.
    assert not sent[: asked.lag_frames - frames_from_ms(20)].any()
    assert find(begun[-frames_from_ms(300) :], sent, WIRE_HZ).correlation < 0.5
    assert wanted.size > begun.size


def ticks(heard: Samples) -> list[int]:
    """Where each begins: sounds of the tick's length, pitch and softness."""
    loud = np.flatnonzero(np.abs(heard.astype(np.int32)) > 30)
    starts = [int(first) for at, first in enumerate(loud) if at == 0 or first - loud[at - 1] > frames_from_ms(50)]
    return [
        start
        for start in starts
        if find(tick(), heard[max(start - 100, 0) : start + tick().size + 100], WIRE_HZ).correlation > 0.95
    ]


@pytest.mark.usefixtures("echo")
async def test_it_ticks_while_an_answer_is_awaited_and_the_service_hears_nothing_of_it(
    card: VirtualCard, tmp_path: Path
) -> None:
    answer = Turn(replies=(Reply(tone_ms=300, tone_hz=600),))
    settings = {"talk__mode": "hold", "talk__nudge_s": 10.0, "panel__earcons": False, "panel__waiting_tick": True}
    async with (
        Service(SimulatorSettings(reply_delay_ms=5500), conversation(answer)) as service,
        box(service, card, tmp_path, **settings) as daemon,
    ):
        with card.record_speaker(hz=WIRE_HZ) as recording:
            await ask_holding(daemon, card, words())
            awaited_s = asyncio.get_running_loop().time()
            assert await turn_over(daemon) == Outcome.ANSWERED.value
            await asyncio.sleep(0.3)
            heard = recording.stop()
            found = ticks(heard)
            assert len(found) == 3
            first_s = recording.time_s(found[0]) - awaited_s
    assert 1.5 < first_s < 1.9
    assert np.diff(found) == pytest.approx(frames_from_s(2.0), abs=frames_from_ms(30))
    loud = np.flatnonzero(np.abs(heard.astype(np.int32)) > 1_500)
    assert loud[0] > found[-1] + tick().size + frames_from_ms(20), "the reply comes after the last, apart from it"
    (connection,) = service.connections
    assert len(connection.sent_of(events.SpeechStarted)) == 1 and not service.violations


@pytest.mark.usefixtures("echo")
async def test_it_does_not_tick_while_the_microphone_is_live_nor_where_it_is_switched_off(
    card: VirtualCard, tmp_path: Path
) -> None:
    answer = Turn(replies=(Reply(tone_ms=300, tone_hz=600),))
    for settings in ({"talk__mode": "tap", "panel__waiting_tick": True}, {"talk__mode": "hold"}):
        async with (
            Service(SimulatorSettings(reply_delay_ms=2500), conversation(answer)) as service,
            box(service, card, tmp_path, panel__earcons=False, talk__nudge_s=10.0, **settings) as daemon,
        ):
            with card.record_speaker(hz=WIRE_HZ) as recording:
                daemon.remote.edge(True, "test")
                if settings["talk__mode"] == "tap":
                    daemon.remote.edge(False, "test")
                await say(card, words(200, 1240))
                await asyncio.sleep(0.15)
                daemon.remote.edge(False, "test")
                await in_state(daemon, State.WAITING)
                assert await turn_over(daemon) == Outcome.ANSWERED.value
                assert ticks(recording.stop()) == []
        assert len(service.connections[0].sent_of(events.SpeechStarted)) == 1
