"""Sound devices that go and come back while a whole box runs: what is shown, said, and how soon it works again.

Each case runs UNPLUG_ROUNDS times (default 1); ``make test-unplug`` sets 6, which makes 30 in all.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.box.box import Box
from appliance.commands import devices
from appliance.panel.light import Pattern
from appliance.simulator.scenario import Reply, Scenario, Turn, conversation
from appliance.simulator.service import Service
from appliance.simulator.virtual_card import VirtualCard
from appliance.turn.states import State
from tests.support.rig import ask_holding, box, has_listened, in_state, in_time, question, starting_box, words

ROUNDS = int(os.environ.get("UNPLUG_ROUNDS", "1"))

LIGHT_S = 2.0
BACK_S = 5.0
REPLACED_S = 3.0

GOES: dict[str, Callable[[VirtualCard], None]] = {
    "microphone": VirtualCard.unplug_microphone,
    "speaker": VirtualCard.unplug_speaker,
    "sound server": VirtualCard.kill_server,
}
COMES: dict[str, Callable[[VirtualCard], None]] = {
    "microphone": VirtualCard.plug_microphone,
    "speaker": VirtualCard.plug_speaker,
    "sound server": VirtualCard.restart_server,
}
FAULTS = {Pattern.FAULT_MICROPHONE.name.lower(), Pattern.FAULT_SPEAKER.name.lower()}


def always(reply: Reply) -> Scenario:
    """Every question is answered so."""
    return conversation(*[Turn(replies=(reply,))] * 20)


def said(caplog: pytest.LogCaptureFixture, beginning: str) -> int:
    """Lines that a journal would show."""
    return sum(r.levelno >= logging.INFO and r.getMessage().startswith(beginning) for r in caplog.records)


async def shows_fault(daemon: Box) -> None:
    await daemon.until(lambda: daemon.panel.current_light in FAULTS, LIGHT_S)


async def answers(daemon: Box, card: VirtualCard) -> None:
    """The next question is answered, and heard."""
    ended = daemon.turns.ended
    await has_listened(daemon)
    # Long enough for something to be left of it when the press has ended a clip, whose echo is not sent.
    await ask_holding(daemon, card, words(200, 1240))
    await in_state(daemon, State.SPEAKING)
    daemon.remote.quiet()
    await daemon.until(lambda: daemon.turns.ended > ended and daemon.machine.state is State.READY, 20)


@pytest.mark.timeout(60 + 30 * ROUNDS)
@pytest.mark.parametrize(
    ("what", "state"),
    [
        ("microphone", State.READY),
        ("microphone", State.LISTENING),
        ("microphone", State.SPEAKING),
        ("speaker", State.SPEAKING),
        ("sound server", State.READY),
    ],
    ids=lambda value: value if isinstance(value, str) else value.value,
)
async def test_gone_and_back(
    card: VirtualCard, tmp_path: Path, caplog: pytest.LogCaptureFixture, what: str, state: State
) -> None:
    caplog.set_level(logging.INFO)
    nouns = ("microphone", "speaker") if what == "sound server" else (what,)
    async with (
        Service(scenario=always(Reply(tone_ms=6_000))) as service,
        box(service, card, tmp_path, talk__mode="hold") as daemon,
    ):
        for _ in range(ROUNDS):
            before = [said(caplog, f"no {noun}: ") for noun in nouns], [said(caplog, f"{noun}: ") for noun in nouns]
            if state is State.LISTENING:
                daemon.remote.edge(True, "test")
                await in_state(daemon, State.LISTENING)
            elif state is State.SPEAKING:
                await ask_holding(daemon, card, words())
                await in_state(daemon, State.SPEAKING)
                await in_time(lambda: daemon.speaker.audible_until_s > 0)
            await asyncio.to_thread(GOES[what], card)
            if (what, state) == ("microphone", State.SPEAKING):
                # The answer goes on, and its light before the fault's (decision 23).
                await daemon.until(lambda: daemon.remote.status()["microphone"] is None, LIGHT_S)
                assert daemon.machine.state is State.SPEAKING
                assert daemon.panel.current_light == Pattern.SPEAKING.name.lower()
                daemon.remote.quiet()
            await shows_fault(daemon)
            if what == "sound server":
                await daemon.until(lambda: daemon.microphone.device is daemon.speaker.device is None, LIGHT_S)
            daemon.remote.edge(False, "test")
            # Here and not in a worker thread: the server is killed with the thread that started it.
            COMES[what](card)
            back_s = time.monotonic()
            await daemon.until(lambda: daemon.ready and daemon.microphone.device is not None, BACK_S)
            assert time.monotonic() - back_s < BACK_S
            await answers(daemon, card)
            after = [said(caplog, f"no {noun}: ") for noun in nouns], [said(caplog, f"{noun}: ") for noun in nouns]
            assert after == tuple([count + 1 for count in counts] for counts in before), "one line down, one up"


@pytest.mark.parametrize("what", ["microphone", "speaker"])
async def test_a_device_that_is_missing_at_the_start(card: VirtualCard, tmp_path: Path, what: str) -> None:
    """The other one does its part meanwhile."""
    await asyncio.to_thread(GOES[what], card)
    async with Service() as service, starting_box(service, card, tmp_path, talk__mode="hold") as daemon:
        await daemon.until(lambda: daemon.panel.current_light in FAULTS, 10)
        if what == "speaker":
            await daemon.until(lambda: daemon.machine.microphone_ready, 10)
            daemon.remote.edge(True, "test")
            await in_state(daemon, State.LISTENING)
            assert daemon.panel.current_light == Pattern.LISTENING.name.lower()
            daemon.remote.edge(False, "test")
        else:
            await daemon.until(lambda: daemon.speaker.device is not None, 10)
        await asyncio.to_thread(COMES[what], card)
        await daemon.until(lambda: daemon.ready, BACK_S)


async def test_the_devices_command_beside_a_running_box(
    card: VirtualCard, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The README's step after the installation."""
    async with Service() as service, box(service, card, tmp_path) as daemon:
        settings = tmp_path / "config.toml"
        settings.write_text(f'control.socket = "{daemon.config.control.socket_path}"\n')
        assert await asyncio.to_thread(devices.run, argparse.Namespace(config=str(settings))) == 0
    rows = capsys.readouterr().out.splitlines()
    marked = [row for row in rows if row.startswith("*")]
    assert marked == [f'* "{name}": open in the running daemon' for name in (card.microphone, card.speaker)]


@pytest.mark.parametrize("side", ["microphone", "speaker"])
async def test_a_host_that_stops_is_replaced_and_the_answer_goes_on(
    card: VirtualCard, tmp_path: Path, side: str
) -> None:
    reply_ms = 4_000
    async with (
        Service(scenario=always(Reply(tone_ms=reply_ms))) as service,
        box(service, card, tmp_path, talk__mode="hold") as daemon,
    ):
        await ask_holding(daemon, card, words())
        await in_state(daemon, State.SPEAKING)
        hung = getattr(daemon, side).process_id
        other = daemon.speaker.process_id if side == "microphone" else daemon.microphone.process_id
        os.kill(hung, signal.SIGSTOP)
        await daemon.until(lambda: getattr(daemon, side).device is None, REPLACED_S)
        await daemon.until(lambda: getattr(daemon, side).device is not None, REPLACED_S)
        assert getattr(daemon, side).process_id not in (hung, None)
        assert (daemon.microphone if side == "speaker" else daemon.speaker).process_id == other
        await daemon.until(lambda: daemon.turns.ended == 1, 20)
        assert daemon.turns.last is not None
        assert daemon.turns.last["outcome"] == "answered"
        assert daemon.turns.last["heard_s"] == pytest.approx(reply_ms / 1000, abs=0.1)
        assert len(service.connections) == 1, "the session lives on"


async def test_a_speaker_that_stays_away_ends_the_answer(card: VirtualCard, tmp_path: Path) -> None:
    async with (
        Service(scenario=always(Reply(tone_ms=4_000))) as service,
        box(service, card, tmp_path, talk__mode="hold", talk__no_progress_s=3.0) as daemon,
    ):
        await ask_holding(daemon, card, question())
        await in_state(daemon, State.SPEAKING)
        await asyncio.to_thread(card.unplug_speaker)
        await daemon.until(lambda: daemon.turns.ended == 1, 10)
        assert daemon.machine.state is State.READY
        await asyncio.to_thread(card.plug_speaker)
        await daemon.until(lambda: daemon.ready, BACK_S)


async def test_a_whole_turn_of_zeros_is_a_dead_microphone(
    card: VirtualCard, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Decision 21. The virtual card's room is so silent as only a muted microphone is."""
    async with Service() as service, box(service, card, tmp_path, talk__mode="hold") as daemon:
        assert daemon.panel.current_light == Pattern.READY.name.lower()
        daemon.remote.edge(True, "test")
        await in_time(lambda: daemon.ledger.level.dead)
        assert daemon.panel.current_light == Pattern.LISTENING.name.lower()
        assert not said(caplog, "microphone muted or dead")
        daemon.remote.edge(False, "test")
        await in_state(daemon, State.SENDING, State.WAITING)
        daemon.remote.quiet()
        await daemon.until(lambda: daemon.panel.current_light == Pattern.FAULT_MICROPHONE.name.lower(), 5)
        assert said(caplog, "microphone muted or dead") == 1
        await in_time(lambda: daemon.panel.current_light == Pattern.READY.name.lower(), 5)


async def test_a_volume_that_was_set_is_there_after_a_restart(
    card: VirtualCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    async with Service() as service:
        for wanted, kept in ((60, 60), (5, 20)):
            async with starting_box(service, card, tmp_path) as daemon:
                daemon.remote.set_volume(wanted)
            async with starting_box(service, card, tmp_path) as daemon:
                assert daemon.remote.status()["volume"] == kept
