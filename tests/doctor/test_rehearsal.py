"""``voice-appliance rehearse``: a whole box without hardware asks the embedded service, in real time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from appliance.box.box import Box
from appliance.commands.rehearse import Shown
from appliance.config import loader
from appliance.doctor import rehearsal
from appliance.doctor.cardless import Cardless
from appliance.doctor.finding import Grade
from appliance.link.link import LinkState
from appliance.simulator import script, voices
from appliance.simulator.replay import Replay
from appliance.simulator.scenario import Call, Close, Connection, Moment, Reply, Scenario, Step, Turn, conversation
from appliance.simulator.service import Service
from appliance.simulator.settings import SimulatorSettings
from appliance.turn.states import State

KEY = "swaram_test_0123456789abcdef"
TOOL = conversation(Turn(heard="ask-time", replies=(Reply(calls=(Call(name="get_time"),)), Reply(tone_ms=700))))
SHORT = conversation(Turn(heard="ask-time", replies=(Reply(tone_ms=700),)))


async def credential() -> str:
    return KEY


def configuration(folder: Path, url: str, **more: Any) -> str:
    path = folder / "config.toml"
    rows = {"service.url": url, "talk.nudge_s": 1.0, **more}
    path.write_text("".join(f"{name} = {value!r}\n" for name, value in rows.items()))
    return str(path)


def seen_in(rehearsed: rehearsal.Rehearsed) -> dict[str, str]:
    return {one.name: one.line for one in rehearsed.seen}


@pytest.mark.parametrize("mode", ["auto", "open"])
async def test_a_service_that_does_as_the_reference_says(tmp_path: Path, mode: str) -> None:
    """In every mode of talking with the tool's way in it, and with the person's own configuration."""
    async with Service(SimulatorSettings(key=KEY), TOOL) as service:
        path = configuration(tmp_path, service.url, **{"talk.mode": mode, "service.instructions": "Be kind."})
        rehearsed = await rehearsal.rehearse(path, credential)
        (connection,) = service.connections
        assert connection.settings is not None and connection.settings.instructions == "Be kind."
        assert connection.close_code == 1000 and not service.violations
        (turn,) = service.turns
    assert len(turn.audio) > 0.8 * len(voices.pcm(rehearsal.QUESTION)), "the question was asked whole"
    finding = rehearsal.judged(rehearsed)
    assert finding.verdict is Grade.OK and "this box will work with it" in finding.line, finding
    assert "0.7 of 0.7 s of answer heard" in finding.line
    seen = seen_in(rehearsed)
    assert seen["tool"] == "response.done before the result; a new response follows by itself"
    assert seen["ids"].startswith("every response") and seen["end"] == "response.done, completed"


@pytest.mark.parametrize(
    ("scenario", "line", "fix"),
    [
        (Scenario(connections=(Connection(steps=(Step(on=Moment.OPEN, do=Close(code=4003)),)),)), "4003", "top it up"),
        (conversation(Turn(replies=())), "will not work", "--record FILE"),
        (conversation(Turn(replies=(Reply(pcm=bytes(48_000)),))), "without a sound", "--record FILE"),
        (Scenario(connections=(Connection(http=404),)), "404", "service.url"),
    ],
    ids=["no credits", "no answer", "an answer of silence", "a wrong address"],
)
async def test_a_service_that_it_does_not_work_with(tmp_path: Path, scenario: Scenario, line: str, fix: str) -> None:
    async with Service(SimulatorSettings(key=KEY), scenario) as service:
        path = configuration(tmp_path, service.url, **{"talk.answer_s": 2.0})
        rehearsed = await rehearsal.rehearse(path, credential)
    finding = rehearsal.judged(rehearsed)
    assert finding.verdict is Grade.FAULT and line in finding.line and fix in finding.fix, finding


@contextlib.asynccontextmanager
async def daemon_of_this_box(path: str) -> AsyncIterator[Box]:
    """It has a session open, and its control socket where the configuration says."""
    box = Box(loader.load(path), credential=credential, sound_host=Cardless())
    running = asyncio.create_task(box.run())
    try:
        await box.until(lambda: box.ready, 5)
        box.remote.retry()
        await box.until(lambda: box.link.state is LinkState.OPEN, 5)
        yield box
    finally:
        box.stop()
        await running


def one_connection(folder: Path, url: str) -> str:
    more = {"control.socket": str(folder / "control.sock"), "panel.button.gpio": 0, "panel.leds.kind": "none"}
    return configuration(folder, url, **more)


async def test_the_boxs_own_daemon_gives_way_where_the_plan_has_one_connection(tmp_path: Path) -> None:
    async with Service(SimulatorSettings(key=KEY, max_connections=1), TOOL) as service:
        path = one_connection(tmp_path, service.url)
        async with daemon_of_this_box(path) as box:
            finding = rehearsal.judged(await rehearsal.rehearse(path, credential))
            assert finding.verdict is Grade.OK, finding
            assert box.machine.state is State.READY
            assert [connection.close_code for connection in service.connections] == [1000, 1000]


async def test_a_daemon_that_does_not_give_way_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody is talking with it."""
    monkeypatch.setattr(rehearsal, "HUNG_UP_S", 0.2)
    async with Service(SimulatorSettings(key=KEY, max_connections=1), TOOL) as service:
        path = one_connection(tmp_path, service.url)
        async with daemon_of_this_box(path) as box:
            box.remote.edge(True, "somebody")
            finding = rehearsal.judged(await rehearsal.rehearse(path, credential))
    assert finding.verdict is Grade.FAULT and "4008" in finding.line
    assert "systemctl stop voice-appliance" in finding.fix


def test_a_greeting_is_not_taken_for_the_answer(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("service.greeting = true\n")
    own = loader.load(str(path))
    assert own.service.greeting and not rehearsal._settings(own, str(path), tmp_path, "").service.greeting


async def test_a_record_of_it_is_the_same_service_again(tmp_path: Path) -> None:
    record = tmp_path / "wire.jsonl"
    async with Service(SimulatorSettings(key=KEY), TOOL) as service:
        rehearsed = await rehearsal.rehearse(configuration(tmp_path, service.url), credential, record=str(record))
    async with Replay(script.load(record)) as replay:
        again = await rehearsal.rehearse(configuration(tmp_path, replay.url), credential)
    assert rehearsal.judged(again).verdict is Grade.OK
    first, second = seen_in(rehearsed), seen_in(again)
    for paced in ("settings", "pace"):
        assert first.pop(paced) and second.pop(paced)
    assert first == second


async def test_the_command_says_it_and_ends_accordingly(tmp_path: Path) -> None:
    """As somebody types it; and neither a word nor the key is shown."""
    async with Service(SimulatorSettings(key=KEY), SHORT) as service:
        arguments = ("-m", "appliance", "--config", configuration(tmp_path, service.url), "rehearse")
        environment = {**os.environ, "SWARAM_API_KEY": KEY}
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, stdout=pipe, stderr=pipe, env=environment
        )
        output, complaints = (text.decode() for text in await process.communicate())
    assert process.returncode == 0 and not complaints, complaints
    lines = output.splitlines()
    assert "this box will work with it" in lines[-1]
    assert any("connected, host 127.0.0.1" in line for line in lines)
    assert any("response.output_audio.delta" in line and "0.70 s of audio" in line for line in lines)
    assert KEY not in output and not any(word in output for word in voices.recordings()["ask-time"].text.split())


def test_a_run_of_one_kind_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    shown = Shown()
    for number in range(4):
        fields = {"response_id": "r1", "delta": "audio(24000 bytes)"}
        shown.line({"t": number / 10, "way": "<", "type": "response.output_audio.delta", "fields": fields})
        fields = {"response_id": "r1", "delta": "text(5 chars)"}
        shown.line({"t": number / 10, "way": "<", "type": "response.output_audio_transcript.delta", "fields": fields})
    shown.line(
        {"t": 0.5, "way": "<", "type": "response.done", "fields": {"response": {"id": "r1", "status": "completed"}}}
    )
    shown.end()
    assert capsys.readouterr().out.splitlines() == [
        "    0.000 < response.output_audio.delta, response_id r1, 2.00 s of audio, 4 times, until 0.300",
        "    0.000 < response.output_audio_transcript.delta, response_id r1, 4 times, until 0.300",
        "    0.500 < response.done, id r1, status completed",
    ]
