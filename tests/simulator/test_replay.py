"""A record played as a service: a whole box has the same turn with it as with the service that was recorded. In paper
time."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import connect

from appliance import cli
from appliance.errors import UsageError
from appliance.realtime import codec, events
from appliance.simulator import script
from appliance.simulator.replay import Replay
from appliance.simulator.scenario import (
    Call,
    Close,
    Connection,
    Fail,
    HangUp,
    Moment,
    Reply,
    Step,
    Turn,
    conversation,
    faults,
)
from appliance.simulator.script import AwaitMessage, AwaitSpeech, End, SayStep
from appliance.simulator.service import Service
from appliance.simulator.settings import SimulatorSettings
from appliance.turn.states import State
from tests.simulator.client import silence, speech
from tests.support import acoustics
from tests.support.paper_room import KEY, PaperRoom, paper_room
from tests.support.simulated_time import on_paper

APPEND = "input_audio_buffer.append"


def quiet(seconds: float) -> acoustics.Sound:
    return acoustics.silence(np.random.default_rng(1), seconds)


async def ask(room: PaperRoom, mode: str, name: str) -> None:
    """One question, to the end of its turn."""
    before = len(room.turns)
    if mode == "hold":
        room.daemon.remote.edge(True, "test")
    await room.hears(quiet(0.3))
    await room.hears(acoustics.spoken(name, -26))
    if mode == "hold":
        await room.hears(quiet(0.1))
        room.daemon.remote.edge(False, "test")
    assert await room.hears(quiet(40), lambda: len(room.turns) > before), f"{mode}: the turn has no end"
    assert await room.hears(quiet(15), lambda: room.state() is State.READY)


Outcome = tuple[list[str], list[str]]


def what_happened(turns: list[dict[str, Any]], record: Path) -> Outcome:
    """The turns' outcomes, and everything on the wire but for audio that was sent, in order."""
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    return [turn["outcome"] for turn in turns], [
        f"{line['way']} {line['type']}" for line in lines if line["type"] != APPEND
    ]


async def conversed(
    service: Service | Replay, monkeypatch: pytest.MonkeyPatch, mode: str, record: Path, questions: int
) -> tuple[Outcome, list[dict[str, Any]]]:
    async with service:
        chosen: dict[str, Any] = {"log__record": str(record), "talk__mode": mode}
        async with paper_room(service, monkeypatch, **chosen) as room:
            for name in ("ask-time", "ask-who")[:questions]:
                await ask(room, mode, name)
        room.daemon.wire_record.close()
        return what_happened(room.turns, record), room.turns


TOOL = Reply(calls=(Call(name="get_time"),))
BEHAVIOURS = {
    "plain": (conversation(Turn()), 2),
    "a tool": (conversation(Turn(replies=(TOOL, Reply(voice="time")))), 1),
    "words, two tools, words": (
        conversation(Turn(replies=(Reply(voice="who", calls=TOOL.calls * 2), Reply(voice="time")))),
        1,
    ),
    "busy, then well": (faults(Connection(http=503)), 1),
    "closed in the middle of the answer": (
        faults(Connection(steps=(Step(on=Moment.DELTA, nth=2, do=Close(code=1013)),))),
        1,
    ),
    "cut in mid-sentence": (faults(Connection(steps=(Step(on=Moment.SPEECH, do=HangUp()),))), 1),
    "a fault of the server": (faults(Connection(steps=(Step(on=Moment.TURN, do=Fail()),))), 1),
    "an answer that fails": (conversation(Turn(replies=(Reply(tone_ms=1, status="failed"),))), 1),
    "no answer": (conversation(Turn(replies=())), 1),
    "a nudge is needed": (conversation(Turn(replies=(Reply(needs_nudge=True),))), 1),
    "deaf to the end": (conversation(Turn(hears="start")), 1),
    "odd pieces": (conversation(Turn(replies=(Reply(split_bytes=(1, 4095, 7, 9601)),))), 1),
}

IN_OPEN_TOO = ("plain", "a tool", "closed in the middle of the answer")
"""Where the microphone goes on while the service thinks."""


@pytest.mark.parametrize(
    ("name", "mode"), [*((name, "hold") for name in BEHAVIOURS), *((name, "open") for name in IN_OPEN_TOO)]
)
def test_a_record_gives_the_same_turn_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, mode: str
) -> None:
    scenario, questions = BEHAVIOURS[name]

    async def story() -> None:
        first, again = tmp_path / "first.jsonl", tmp_path / "again.jsonl"
        service = Service(SimulatorSettings(key=KEY), scenario)
        recorded, turns = await conversed(service, monkeypatch, mode, first, questions)
        replayed, turns_again = await conversed(Replay(script.load(first)), monkeypatch, mode, again, questions)
        assert replayed == recorded
        for turn, turn_again in zip(turns, turns_again, strict=True):
            assert turn_again["answer_s"] == turn["answer_s"], "as much of an answer"
            # A tool takes real time, in which paper time goes its own way.
            if turn["end_to_first_delta_s"] is not None and "tool" not in name:
                assert turn_again["end_to_first_delta_s"] == pytest.approx(turn["end_to_first_delta_s"], abs=0.2)

    on_paper(story())


def test_the_same_with_a_record_in_the_middle_of_a_report(tmp_path: Path) -> None:
    report = tmp_path / "report.txt"
    session = [
        {"t": 0.0, "way": "=", "type": "connected", "host": "here", "status": 101},
        {"t": 0.25, "way": ">", "type": "session.update", "fields": {}},
        {"t": 0.5, "way": "<", "type": "session.updated", "fields": {"session": {}}},
        {"t": 0.5, "way": ">", "type": APPEND, "fields": {"audio": "audio(1920 bytes)"}, "times": 40, "until": 2.1},
        {"t": 2.25, "way": "<", "type": "response.created", "fields": {}},
        {"t": 2.5, "way": "=", "type": "closed", "by": "service", "code": 1000, "reason": "text(3 chars)"},
    ]
    cut_off = '{"t":9.0,"way":"<","type":"response.done","fields":{}}'
    lines = ["== status", 'state = "ready"', cut_off, *map(json.dumps, session), "[1]", "{}", '{"t":"x","way":"<"}']
    report.write_text("\n".join(lines))
    (played,) = script.load(report)
    assert played.steps == (
        AwaitMessage("session.update", None),
        SayStep(0.25, "session.updated", {"session": {}}),
        # Nothing says what this service heard: that it answers means that it heard the end.
        AwaitSpeech("stopped"),
        SayStep(0.0, "response.created", {}),
        End(0.25, 1000, 3),
    )


def test_what_holds_no_session_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = tmp_path / "empty"
    empty.write_text("nothing\n")
    for path in (empty, tmp_path / "none"):
        with pytest.raises(UsageError):
            script.load(path)
        assert cli.main(["simulate", "--replay", str(path)]) == 64
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert cli.main(["simulate", "--replay", str(empty), "--parrot"]) == 64


async def test_a_client_that_does_something_else_gets_on(tmp_path: Path) -> None:
    played = script.Script(0, (AwaitMessage("session.update", 0.05), SayStep(0.0, "session.updated", {"n": "number"})))
    async with Replay([played]) as service, connect(service.url, proxy=None) as connection:
        async with asyncio.timeout(5):
            assert json.loads(await connection.recv()) == {"type": "session.updated", "n": 0}


@pytest.mark.parametrize("committed_then", [False, True])
@pytest.mark.parametrize("commits_now", [False, True])
def test_the_end_of_a_turn_counts_however_it_is_said(committed_then: bool, commits_now: bool) -> None:
    """Whether the service's ear or the client's commit came first was a matter of milliseconds."""
    ends = AwaitMessage("input_audio_buffer.commit", 3.0) if committed_then else AwaitSpeech("stopped")
    steps = (AwaitSpeech("began"), ends, SayStep(0.0, "input_audio_buffer.speech_stopped", {}))

    async def story() -> None:
        loop = asyncio.get_running_loop()
        async with Replay([script.Script(0, steps)]) as service, connect(service.url, proxy=None) as connection:
            for pcm in (speech(600), silence(100 if commits_now else 600)):
                await connection.send(codec.encode(events.InputAudioBufferAppend(pcm)))
            if commits_now:
                await connection.send(codec.encode(events.InputAudioBufferCommit()))
            began_s = loop.time()
            assert json.loads(await connection.recv()) == {"type": "input_audio_buffer.speech_stopped"}
            assert loop.time() - began_s < 1.0

    on_paper(story())
