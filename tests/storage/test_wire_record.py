"""The wire's record: what a whole conversation leaves in it, and how its files behave."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import UnavailableError
from appliance.link.link import SessionFailed, SessionLost, SessionOpened
from appliance.realtime.record import Connected, Message
from appliance.simulator import voices
from appliance.simulator.scenario import Call, Close, Connection, Moment, Reply, Scenario, Step, Turn
from appliance.simulator.service import Service
from appliance.simulator.settings import SimulatorSettings
from appliance.storage import wire_record
from appliance.storage.wire_record import WireRecord, older
from appliance.turn.states import State
from tests.box.test_hands_free import question, quiet
from tests.link.test_link import Rig, running, settings
from tests.support.paper_room import KEY, paper_room
from tests.support.simulated_time import on_paper


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]


INSTRUCTIONS = "Answer as a gardener of Thrissur would."
ARGUMENTS = json.dumps({"zone": "Lakshadweep"})
ASKED = Turn(
    heard="ask-time",
    replies=(Reply(voice="monsoon", calls=(Call(name="get_time", arguments=ARGUMENTS),)), Reply(voice="time")),
)


def test_no_word_no_sample_and_no_key_is_in_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A whole box: a question, an answer with a tool in its middle."""
    path = tmp_path / "wire.jsonl"

    async def story() -> None:
        service = Service(SimulatorSettings(key=KEY), Scenario(connections=(Connection(turns=(ASKED,)),)))
        chosen: dict[str, Any] = {"log__record": str(path), "service__instructions": INSTRUCTIONS}
        async with service, paper_room(service, monkeypatch, **chosen) as room:
            await room.hears(question())
            assert await room.hears(quiet(30), lambda: len(room.turns) == 1)
            assert await room.hears(quiet(10), lambda: room.state() is State.READY)
            audio = service.connections[0].audio
        room.daemon.wire_record.close()
        _holds_nothing(path, audio)

    on_paper(story())
    kept = lines_of(path)
    assert (kept[0]["type"], kept[0]["host"], kept[0]["status"]) == ("connected", "127.0.0.1", 101)
    assert (kept[-1]["type"], kept[-1]["by"], kept[-1]["code"]) == ("closed", "box", 1000)
    names = [line["type"] for line in kept]
    assert names[1:4] in (
        ["session.created", "session.update", "session.updated"],
        ["session.update", "session.created", "session.updated"],
    )
    (call,) = [line for line in kept if line["type"] == "response.function_call_arguments.done"]
    assert call["fields"]["name"] == "get_time" and call["fields"]["arguments"] == f"json({len(ARGUMENTS)} chars)"
    assert all(line["t"] >= 0 for line in kept)
    assert [line["t"] for line in kept] == sorted(line["t"] for line in kept)


def _holds_nothing(path: Path, audio: bytes) -> None:
    text = path.read_text(encoding="ascii")
    assert KEY not in text and "swaram_" not in text and "Bearer" not in text
    for name in ("ask-time", "time", "monsoon"):
        for word in voices.recordings()[name].text.split():
            assert word not in text and json.dumps(word)[1:-1] not in text
    for word in ("gardener", "Thrissur", "Lakshadweep", "zone"):
        assert word.lower() not in text.lower(), word
    # A sample's base64 stands at one of three places in a group of four letters.
    for pcm in (audio, voices.pcm("time"), voices.pcm("monsoon")):
        loud = pcm[24_000:24_030]
        for shift in range(3):
            assert base64.b64encode(loud[shift : shift + 24]).decode() not in text


def message(number: int) -> Message:
    return Message("<", json.dumps({"type": "response.created", "response": {"id": f"resp_{number}"}}))


APPEND = Message(">", '{"type":"input_audio_buffer.append","audio":"' + "A" * 2560 + '"}')


async def test_a_run_of_appends_is_one_line(tmp_path: Path) -> None:
    record = WireRecord(str(tmp_path / "wire.jsonl"))
    record.note(Connected("here", 101))
    for entry in (APPEND, APPEND, APPEND, message(1), APPEND):
        record.note(entry)
    record.close()
    kept = lines_of(tmp_path / "wire.jsonl")
    assert [(line["type"], line.get("times", 1)) for line in kept[1:]] == [
        ("input_audio_buffer.append", 3),
        ("response.created", 1),
        ("input_audio_buffer.append", 1),
    ]
    assert kept[1]["fields"] == {"audio": "audio(1920 bytes)"} and kept[1]["until"] >= kept[1]["t"]


async def test_the_files_are_bounded_and_the_newest_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire_record, "MOST_BYTES", 1000)
    path = tmp_path / "wire.jsonl"
    record = WireRecord(str(path))
    for number in range(100):
        record.note(message(number))
    record.close()
    assert sorted(os.listdir(tmp_path)) == ["wire.jsonl", "wire.jsonl.1", "wire.jsonl.2"]
    files = [Path(older(str(path), number)) for number in range(wire_record.FILES)]
    assert all(file.stat().st_size <= 1000 for file in files)
    kept = [line["fields"]["response"]["id"] for file in reversed(files) for line in lines_of(file)]
    assert kept == [f"resp_{number}" for number in range(100 - len(kept), 100)]


async def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "wire.jsonl"
    path.touch(mode=0o644)
    umask = os.umask(0)
    try:
        record = WireRecord(str(path))
        record.note(message(1))
        record.close()
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_link_in_its_place_is_not_followed_and_the_box_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    target, path = tmp_path / "target", tmp_path / "wire.jsonl"
    target.touch()
    path.symlink_to(target)
    record = WireRecord(str(path))
    record.note(message(1))
    record.note(message(2))
    assert not target.read_text() and not record.path
    assert [line.message for line in caplog.records] == [
        f"the wire is no longer recorded: {path}: Too many levels of symbolic links"
    ]


async def test_it_is_off_until_somebody_switches_it_on(tmp_path: Path) -> None:
    record = WireRecord("", {"STATE_DIRECTORY": str(tmp_path)})
    record.note(message(1))
    assert not record.path and not os.listdir(tmp_path)
    record.switch(True)
    record.note(message(2))
    record.switch(False)
    record.note(message(3))
    (line,) = lines_of(tmp_path / wire_record.FILE)
    assert line["fields"]["response"]["id"] == "resp_2"
    with pytest.raises(UnavailableError, match=r"log\.record"):
        WireRecord("", {}).switch(True)


@pytest.mark.parametrize(
    ("plan", "closed"),
    [
        (Connection(http=503), {"type": "refused", "what": "HTTP", "status": 503}),
        (
            Connection(steps=(Step(on=Moment.READY, do=Close(code=4003, error="none", reason="credits")),)),
            {"type": "closed", "by": "service", "code": 4003, "reason": "text(7 chars)"},
        ),
        (
            Connection(steps=(Step(on=Moment.READY, do=Close(code=None, error="none")),)),
            {"type": "closed", "by": "service", "code": 1005, "reason": "text(0 chars)"},
        ),
    ],
    ids=["refused", "closed", "no code"],
)
async def test_how_a_connection_ended_is_in_it(tmp_path: Path, plan: Connection, closed: dict[str, Any]) -> None:
    record = WireRecord(str(tmp_path / "wire.jsonl"))
    async with Service(SimulatorSettings(), Scenario(connections=(plan,))) as service:
        rig = Rig(settings(service.url))
        rig.link._record = record.note
        async with running(rig):
            rig.link.want()
            await rig.until(lambda: any(isinstance(event, SessionLost | SessionFailed) for event in rig.reported))
    record.close()
    ends = [line for line in lines_of(tmp_path / "wire.jsonl") if line["type"] in ("closed", "refused")]
    assert closed.items() <= ends[0].items()


async def test_a_line_that_was_cut_is_said_to_be(tmp_path: Path) -> None:
    record = WireRecord(str(tmp_path / "wire.jsonl"))
    async with Service() as service:
        rig = Rig(settings(service.url))
        rig.link._record = record.note
        async with running(rig):
            rig.link.want()
            await rig.reports(SessionOpened)
            conversation = rig.link._conversation
            assert conversation is not None
            conversation._connection.transport.abort()
            await rig.reports(SessionLost)
            await asyncio.sleep(0)
    record.close()
    assert any((line.get("by"), line.get("code")) == ("line", 1006) for line in lines_of(tmp_path / "wire.jsonl"))
