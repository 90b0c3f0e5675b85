"""The service's page is silent on much. A whole box against each reading of it, in paper time.

What the service sends is JSON by hand, what the box sends back drives it, and what leaves the speaker is compared, part
for part: every answer is heard whole, and nothing twice.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from appliance.audio import speaker as speaker_module
from appliance.audio.format import frames_from_s
from appliance.box.tools import get_time
from appliance.link.failures import Failure, What, classify
from appliance.link.link import LinkEvent, SessionClosed, SessionFailed, SessionLost
from appliance.realtime import codec
from appliance.realtime import events as ev
from appliance.turn.states import Outcome
from tests.support import simulated_time
from tests.support.bench import BLOCK_S, Bench, Line, on_bench
from tests.support.paper_room import PaperSpeaker

PART_S = 0.6
"""Of each part of an answer: longer than a prebuffer, shorter than most answers, so that nothing hides behind it."""

LOUD = 1000
"""Sample value of the first part; each further part is louder by as much."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How one service reads the page."""

    ids: str = "own"
    """``own``, ``same`` (in each turn), ``none``."""
    created: str = "first"
    """``first``, ``late`` (after the first delta), ``never``."""
    done: str = "full"
    """``full``, ``bare`` (no response in it), ``no status``."""
    names: str = ""
    """``beta``: those of before."""
    tool: str = ""
    """How a tool is called and answered; "": none is."""
    parts: int = 1
    """Responses that the answer comes in."""
    gap_s: float = 0.5
    """Between them."""
    closes: str = ""
    """``1000``, ``1006``: what happens when all of the reply has arrived."""
    commit: str = ""
    """What a commit earns: an ``error``, a second answer (``twin``)."""
    speech: str = "named"
    """``stopped never``: speech_stopped is not said; ``repeated``: twice."""
    transcripts: bool = True


class Service:
    """Plays one reading on one line. ``expected``: the parts of the answers so far, by loudness."""

    def __init__(self, bench: Bench, line: Line, reading: Reading) -> None:
        self._bench = bench
        self.line = line
        self.reading = reading
        self.expected: list[int] = []
        self._responses = 0
        self._id: str | None = None
        self._announced = False
        self.outputs: list[ev.FunctionCallOutput] = []
        """Of tools, that were sent before this turn."""

    def forget(self) -> None:
        """Of the turns before, all but the outputs of tools."""
        self.outputs += [sent for sent in self.line.sent if isinstance(sent, ev.FunctionCallOutput)]
        self.line.sent.clear()

    def says(self, event: str, /, **fields: Any) -> None:
        if self.reading.names == "beta":
            event = event.replace("output_audio", "audio")
        self.line.says(codec.decode(json.dumps({"type": event, **fields})))

    async def until_sent(self, kind: type[ev.ClientEvent], count: int = 1) -> None:
        for _ in range(round(25 / BLOCK_S)):
            if self.line.sent_of(kind) >= count:
                return
            await self.passes(BLOCK_S)
        raise AssertionError(f"no {kind.__name__} came, in {self.reading}")

    async def passes(self, seconds: float) -> None:
        await self._bench.passes(seconds)

    # ------------------------------------------------------------ a response, piece by piece

    def _of_response(self) -> dict[str, Any]:
        return {} if self._id is None else {"response_id": self._id}

    def begins(self, turn: int) -> None:
        self._responses += 1
        names = {"own": f"resp_{turn}_{self._responses}", "same": f"resp_{self._responses}", "none": None}
        self._id = names[self.reading.ids]
        self._announced = False
        if self.reading.created == "first":
            self._announce()

    def _announce(self) -> None:
        self._announced = True
        response = {} if self._id is None else {"response": {"id": self._id}}
        self.says("response.created", **response)

    def speaks(self, *, silent: bool = False) -> None:
        """One part of an answer, in three deltas."""
        level = 0 if silent else LOUD * (len(self.expected) + 1)
        if not silent:
            self.expected.append(level)
        pcm = np.full(frames_from_s(PART_S / 3), level, dtype="<i2").tobytes()
        for _ in range(3):
            item = {"item_id": "item_reply"} if self.reading.ids == "own" else {}
            self.says("response.output_audio.delta", delta=b64encode(pcm).decode(), **item, **self._of_response())
            if self.reading.created == "late" and not self._announced:
                self._announce()
        if self.reading.transcripts:
            self.says("response.output_audio_transcript.delta", delta="മഴ ", **self._of_response())

    def calls(self, call_id: str, *, where: str = "arguments") -> None:
        call = {"call_id": call_id, "name": "get_time", "arguments": "{}"}
        if where == "item":
            item = {"type": "function_call", "id": f"item_{call_id}", **call, "arguments": ""}
            self.says("response.output_item.added", item=item, **self._of_response())
            del call["name"]
        self.says("response.function_call_arguments.done", **call, **self._of_response())

    def is_done(self, status: str = "completed", **more: Any) -> None:
        if self.reading.done == "bare" and not more:
            self.says("response.done")
            return
        said = {} if self.reading.done == "no status" else {"status": status}
        response = {**({} if self._id is None else {"id": self._id}), **said, **more}
        self.says("response.done", response=response)

    # ------------------------------------------------------------ a turn

    def hears(self) -> None:
        for _ in range(2 if self.reading.speech == "repeated" else 1):
            self.says("input_audio_buffer.speech_started", item_id="x")

    async def answers(self, turn: int) -> None:
        """What follows when the person has finished."""
        reading = self.reading
        self._responses = 0
        if reading.commit == "error":
            await self.until_sent(ev.InputAudioBufferCommit)
            self.says("error", error={"type": "not_implemented", "message": "no commit here"})
        for _ in range({"repeated": 2, "stopped never": 0}.get(reading.speech, 1)):
            self.says("input_audio_buffer.speech_stopped")
        if reading.transcripts:
            name = "conversation.item.input_audio_transcription.completed"
            self.says(name, transcript="സമയം", **({"item_id": "i"} if reading.ids == "own" else {}))
        await self.passes(0.3)
        self.begins(turn)
        if reading.tool:
            await TOOL_READINGS[reading.tool](self, turn)
        else:
            self.speaks()
            if reading.commit == "twin":
                self._twin(turn)
            self.is_done()
        for _ in range(reading.parts - 1):
            await self.passes(reading.gap_s)
            self.begins(turn)
            self.speaks()
            self.is_done()
        if reading.closes:
            self._close()

    def _twin(self, turn: int) -> None:
        """The commit crossed the turn detection on the line, and is answered, too."""
        mine = self._id
        self.begins(turn)
        self.expected.append(0)
        self.speaks()
        self.is_done("cancelled")
        del self.expected[-2:]
        self._id = mine

    def _close(self) -> None:
        events: dict[str, LinkEvent] = {
            "1000": SessionLost(classify(Failure(What.CLOSED, 1000)), 0.5, was_open=True),
            "1006": SessionLost(classify(Failure(What.CLOSED, 1006)), 0.5, was_open=True),
            "ours": SessionClosed("recycled"),
        }
        self._bench.daemon.link._conversation = None
        self._bench.daemon.reports.on_link(events[self.reading.closes])


async def _inside(service: Service, turn: int, *, before: int = 0, calls: int = 1) -> None:
    """The result is awaited inside the response, which then goes on."""
    for _ in range(before):
        service.speaks()
    for number in range(calls):
        service.calls(f"call_{turn}_{number}")
    await service.until_sent(ev.FunctionCallOutput, calls)
    await service.passes(0.4)
    service.speaks()
    service.is_done()


async def _inside_after_words(service: Service, turn: int) -> None:
    await _inside(service, turn, before=1)


async def _inside_three(service: Service, turn: int) -> None:
    await _inside(service, turn, calls=3)


async def _never_done(service: Service, turn: int) -> None:
    """The response that calls is never done; the answer is another one."""
    service.calls(f"call_{turn}")
    await service.until_sent(ev.FunctionCallOutput)
    await service.passes(0.4)
    service.begins(turn)
    service.speaks()
    service.is_done()


async def _classic(service: Service, turn: int, *, where: str = "arguments", **done: Any) -> None:
    """The response that calls is done, and the answer is another one."""
    service.calls(f"call_{turn}", where=where)
    service.is_done(**done)
    await service.until_sent(ev.FunctionCallOutput)
    await service.passes(0.4)
    service.begins(turn)
    service.speaks()
    service.is_done()


async def _name_in_item(service: Service, turn: int) -> None:
    await _classic(service, turn, where="item")


async def _incomplete(service: Service, turn: int) -> None:
    await _classic(service, turn, status="incomplete")


async def _only_in_done(service: Service, turn: int) -> None:
    call = {"type": "function_call", "call_id": f"call_{turn}", "name": "get_time", "arguments": "{}"}
    service.is_done(output=[call])
    await service.until_sent(ev.FunctionCallOutput)
    await service.passes(0.4)
    service.begins(turn)
    service.speaks()
    service.is_done()


async def _late_done(service: Service, turn: int) -> None:
    """The response that calls is done only after its result has come."""
    service.calls(f"call_{turn}")
    await service.until_sent(ev.FunctionCallOutput)
    service.is_done()
    await service.passes(0.4)
    service.begins(turn)
    service.speaks()
    service.is_done()


async def _needs_nudge(service: Service, turn: int) -> None:
    service.calls(f"call_{turn}")
    service.is_done()
    await service.until_sent(ev.ResponseCreate)
    service.begins(turn)
    service.speaks()
    service.is_done()


async def _unreadable(service: Service, turn: int, **fields: Any) -> None:
    call = {"call_id": f"call_{turn}", "name": "get_time", **fields}
    service.says("response.function_call_arguments.done", **call)
    await service.until_sent(ev.FunctionCallOutput)
    output = [sent for sent in service.line.sent if isinstance(sent, ev.FunctionCallOutput)][-1]
    assert output.call_id == f"call_{turn}" and "error" in json.loads(output.output)
    service.speaks()
    service.is_done()


async def _null_arguments(service: Service, turn: int) -> None:
    await _unreadable(service, turn, arguments=None)


async def _no_arguments(service: Service, turn: int) -> None:
    await _unreadable(service, turn)


async def _object_arguments(service: Service, turn: int) -> None:
    await _unreadable(service, turn, arguments={"a": 1})


async def _garbled_arguments(service: Service, turn: int) -> None:
    await _unreadable(service, turn, arguments="{oops")


async def _no_name(service: Service, turn: int) -> None:
    await _unreadable(service, turn, arguments="{}", name=None)


TOOL_READINGS: dict[str, Callable[[Service, int], Coroutine[Any, Any, None]]] = {
    "inside": _inside,
    "inside, after words": _inside_after_words,
    "inside, three at once": _inside_three,
    "never done": _never_done,
    "classic": _classic,
    "late done": _late_done,
    "needs a nudge": _needs_nudge,
    "name in the item": _name_in_item,
    "incomplete": _incomplete,
    "only in response.done": _only_in_done,
    "null arguments": _null_arguments,
    "no arguments": _no_arguments,
    "arguments that are no text": _object_arguments,
    "garbled arguments": _garbled_arguments,
    "no name": _no_name,
}


# ---------------------------------------------------------------- the box


class Ear:
    """Before the speaker of a bench: ``parts`` is what was heard, by loudness, each with its seconds."""

    def __init__(self, bench: Bench) -> None:
        self._speaker = PaperSpeaker(bench.daemon)
        self._bench = bench
        self._passes = bench.passes
        bench.daemon.player.set_volume(100)
        bench.passes = self.passes  # type: ignore[method-assign]
        self._heard: list[np.ndarray[Any, Any]] = []

    async def passes(self, seconds: float) -> None:
        for _ in range(round(seconds / BLOCK_S)):
            await self._passes(BLOCK_S)
            now_s = asyncio.get_running_loop().time()
            self._heard.append(self._speaker.plays(frames_from_s(BLOCK_S), now_s))

    def forget(self) -> None:
        """What was heard so far."""
        self._heard.clear()

    @property
    def parts(self) -> list[tuple[int, float]]:
        sound = np.concatenate(self._heard)
        # Fades and earcons are no whole multiples.
        levels = sound[(sound % LOUD == 0) & (sound != 0)].astype(int)
        edges = np.flatnonzero(np.diff(levels)) + 1
        runs = np.split(levels, edges) if levels.size else []
        return [(int(run[0]), run.size / 24_000) for run in runs if run.size > frames_from_s(0.05)]


async def _yes() -> bool:
    return True


@asynccontextmanager
async def listening(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ear]:
    monkeypatch.setattr(speaker_module, "time", SimpleNamespace(monotonic=asyncio.get_running_loop().time))
    # What asks the system for the clock takes real time.
    bench.daemon.tools._tools["get_time"] = get_time(_yes, time.localtime)
    bench.daemon.sounds.say = lambda *_, **__: None  # type: ignore[method-assign]
    yield Ear(bench)


async def one_turn(bench: Bench, service: Service, turn: int, mode: str, ended: int) -> None:
    if mode == "hold":
        bench.daemon.remote.edge(True, "bench")
        await bench.passes(0.4)
        service.hears()
        await bench.passes(0.8)
        bench.daemon.remote.edge(False, "bench")
        await bench.passes(0.5)
    else:
        bench.daemon.remote.edge(True, "bench")
        await bench.passes(0.1)
        bench.daemon.remote.edge(False, "bench")
        await bench.passes(0.3)
        service.hears()
        await bench.passes(0.8)
    await service.answers(turn)
    for _ in range(600):
        if bench.daemon.turns.ended >= ended:
            break
        await bench.passes(BLOCK_S)


def box_answers(reading: Reading, mode: str, monkeypatch: pytest.MonkeyPatch, turns: int = 2) -> None:
    """Two questions in a row, each answered whole, and nothing heard twice."""
    monkeypatch.setattr(simulated_time, "GRACE_S", 0.0)

    async def story(bench: Bench) -> None:
        async with listening(bench, monkeypatch) as ear:
            line = bench.connect()
            service = Service(bench, line, reading)
            for turn in range(1, turns + 1):
                service.forget()
                await one_turn(bench, service, turn, mode, turn)
                assert bench.daemon.turns.last is not None and bench.daemon.turns.ended == turn
                assert bench.daemon.turns.last["outcome"] == Outcome.ANSWERED.value, bench.daemon.turns.last
                if reading.closes and turn < turns:
                    service.line = bench.connect()
            parts = ear.parts
            assert [level for level, _ in parts] == service.expected
            assert all(seconds == pytest.approx(PART_S, abs=0.03) for _, seconds in parts), parts
            service.forget()
            ran = [output.call_id for output in service.outputs]
            assert len(set(ran)) == len(ran), "a call was answered twice"

    on_bench(story, talk__mode=mode)


MODES = pytest.mark.parametrize("mode", ["hold", "tap"])


@MODES
@pytest.mark.parametrize("done", ["full", "bare", "no status"])
@pytest.mark.parametrize("created", ["first", "late", "never"])
@pytest.mark.parametrize("ids", ["own", "same", "none"])
def test_whose_reply_it_is(ids: str, created: str, done: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    box_answers(Reading(ids=ids, created=created, done=done), mode, monkeypatch)


@MODES
@pytest.mark.parametrize("ids", ["own", "same", "none"])
@pytest.mark.parametrize("tool", TOOL_READINGS)
def test_tools(tool: str, ids: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    box_answers(Reading(tool=tool, ids=ids), mode, monkeypatch)


@pytest.mark.parametrize("created", ["late", "never"])
@pytest.mark.parametrize("tool", TOOL_READINGS)
def test_tools_of_responses_that_are_not_announced(tool: str, created: str, monkeypatch: pytest.MonkeyPatch) -> None:
    box_answers(Reading(tool=tool, created=created), "hold", monkeypatch)


@MODES
@pytest.mark.parametrize("gap_s", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("ids", ["own", "same", "none"])
@pytest.mark.parametrize("created", ["first", "never"])
def test_an_answer_in_two_parts(
    ids: str, created: str, gap_s: float, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    box_answers(Reading(ids=ids, created=created, parts=2, gap_s=gap_s), mode, monkeypatch)


@MODES
@pytest.mark.parametrize("closes", ["1000", "1006", "ours"])
@pytest.mark.parametrize("tool", ["", "classic", "inside"])
def test_a_line_that_goes_when_all_of_the_reply_is_here(
    closes: str, tool: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    box_answers(Reading(closes=closes, tool=tool), mode, monkeypatch, turns=1)


@pytest.mark.parametrize(
    "reading",
    [
        Reading(names="beta"),
        Reading(names="beta", ids="none"),
        Reading(commit="error"),
        Reading(commit="twin"),
        Reading(speech="repeated"),
        Reading(speech="stopped never"),
        Reading(transcripts=False),
    ],
    ids=str,
)
def test_other_readings(reading: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    box_answers(reading, "hold", monkeypatch)
    if not reading.commit:
        box_answers(replace(reading, parts=2), "hold", monkeypatch)
    if reading.speech != "stopped never":
        box_answers(replace(reading, commit=""), "tap", monkeypatch)


FAILED = {"type": "failed", "error": {"code": "rate_limit", "message": "slow down"}}


@pytest.mark.parametrize(
    ("status", "details", "said"),
    [
        ("failed", FAILED, "slow down (rate_limit)"),
        ("incomplete", {"reason": "max_output_tokens"}, "max_output_tokens"),
    ],
)
@pytest.mark.parametrize("spoken", [False, True])
def test_a_reply_that_fails_is_told_with_its_reason(
    status: str, details: dict[str, Any], said: str, spoken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulated_time, "GRACE_S", 0.0)

    async def story(bench: Bench) -> None:
        async with listening(bench, monkeypatch):
            service = Service(bench, await bench.asked(), Reading())
            service.hears()
            service.says("input_audio_buffer.speech_stopped")
            service.begins(1)
            if spoken:
                service.speaks()
            service.is_done(status, status_details=details)
            await bench.passes(3)
            last = bench.daemon.turns.last
            assert last is not None and last["outcome"] == Outcome.FAILED.value and said in last["reason"]

    on_bench(story, talk__mode="hold")


def test_silence_is_no_answer_and_two_of_them_are_one_session_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulated_time, "GRACE_S", 0.0)

    async def story(bench: Bench) -> None:
        async with listening(bench, monkeypatch):
            line = bench.connect()
            service = Service(bench, line, Reading())
            for turn in (1, 2):
                assert not line.closed
                await bench.hold(1)
                service.hears()
                await bench.passes(0.5)
                service.says("input_audio_buffer.speech_stopped")
                service.begins(turn)
                service.speaks(silent=True)
                service.is_done()
                await bench.passes(2)
                assert bench.daemon.turns.last is not None and bench.daemon.turns.ended == turn
                assert bench.daemon.turns.last["outcome"] == Outcome.EMPTY_ANSWER.value
            assert "answered with nothing" in line.closed

    on_bench(story, talk__mode="hold")


def test_a_question_that_is_asked_again_is_one_line_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(simulated_time, "GRACE_S", 0.0)
    caplog.set_level(logging.INFO)

    async def story(bench: Bench) -> None:
        await bench.asked()
        bench.daemon.reports.on_link(
            SessionLost(classify(Failure(What.CLOSED, 1011, "out of luck")), 0.5, was_open=True)
        )
        bench.connect()
        await bench.passes(0.5)

    on_bench(story, talk__mode="hold")
    (line,) = [record.getMessage() for record in caplog.records if "asked again" in record.getMessage()]
    assert "(1)" in line and "1011" in line and "out of luck" in line


@pytest.mark.parametrize("code", [1003, 1007])
def test_a_close_that_blames_our_messages_is_not_answered_with_the_same_ones(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulated_time, "GRACE_S", 0.0)

    async def story(bench: Bench) -> None:
        await bench.asked()
        verdict = classify(Failure(What.CLOSED, code))
        assert not verdict.class_.retries, "the link gives up, and says Failed"
        bench.daemon.reports.on_link(SessionFailed(verdict, was_open=True))
        last = bench.daemon.turns.last
        assert last is not None and last["outcome"] == Outcome.REFUSED.value and str(code) in last["reason"]
        assert "what this box sends" in verdict.line

    on_bench(story, talk__mode="hold")


def any_reading(chance: random.Random, mode: str) -> Reading:
    """What one turn of a service may be like that is another one each time."""
    tool = chance.choice(["", "", *TOOL_READINGS])
    speech = chance.choice(["named", "repeated", "stopped never"]) if mode == "hold" else "named"
    # With the same ids, and neither of the two, nothing tells a new reply from one that was cancelled and goes on.
    created = chance.choice(["first", "late", *(["never"] if speech != "stopped never" else [])])
    return Reading(
        ids=chance.choice(["own", "same", "none"]),
        created=created,
        done=chance.choice(["full", "bare", "no status"]),
        names=chance.choice(["", "beta"]),
        tool=tool,
        parts=chance.choice([1, 1, 2]),
        gap_s=chance.choice([0.0, 0.1, 1.0]),
        speech=speech,
        transcripts=chance.random() < 0.5,
    )


async def interrupted_turn(bench: Bench, service: Service, turn: int, chance: random.Random) -> None:
    """The answer begins, the person presses and lets go at once, and the service takes it as it likes."""
    bench.daemon.remote.edge(True, "bench")
    await bench.passes(0.4)
    service.hears()
    await bench.passes(0.8)
    bench.daemon.remote.edge(False, "bench")
    await bench.passes(0.5)
    service.says("input_audio_buffer.speech_stopped")
    service.begins(turn)
    service.speaks()
    await bench.passes(0.3)
    bench.daemon.remote.edge(True, "bench")
    await bench.passes(0.06)
    bench.daemon.remote.edge(False, "bench")
    await bench.passes(0.1)
    assert service.line.sent_of(ev.ResponseCancel) == 1
    match chance.choice(["cancelled", "completed", "error", "nothing"]):
        case "error":
            service.says("error", error={"type": "server_error", "message": "nothing to cancel"})
            service.is_done()
        case "nothing":
            await bench.passes(1.5)
        case status:
            service.is_done(status)
    for _ in range(chance.choice([0, 2])):
        service.says("response.output_audio.delta", delta=b64encode(bytes(480)).decode(), **service._of_response())
    await bench.passes(0.5)


@pytest.mark.parametrize("seed", range(6))
def test_a_service_that_is_another_one_in_each_turn(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """READINGS_TURNS=2000 for more of it."""
    monkeypatch.setattr(simulated_time, "GRACE_S", 0.0)
    turns, chance = int(os.environ.get("READINGS_TURNS", "25")), random.Random(seed)
    mode = chance.choice(["hold", "tap"])

    async def story(bench: Bench) -> None:
        async with listening(bench, monkeypatch) as ear:
            service = Service(bench, bench.connect(), Reading())
            for turn in range(1, turns + 1):
                service.reading = any_reading(chance, mode)
                ear.forget()
                service.forget()
                service.expected.clear()
                if mode == "hold" and chance.random() < 0.2:
                    await interrupted_turn(bench, service, turn, chance)
                    continue
                ended = bench.daemon.turns.ended + 1
                await one_turn(bench, service, turn, mode, ended)
                assert bench.daemon.turns.last is not None and bench.daemon.turns.ended == ended, service.reading
                said = f"turn {turn}, {service.reading}: {bench.daemon.turns.last}"
                assert bench.daemon.turns.last["outcome"] == Outcome.ANSWERED.value, said
                assert [level for level, _ in ear.parts] == service.expected, f"{said}: {ear.parts}"
            service.forget()
            ran = [output.call_id for output in service.outputs]
            assert len(set(ran)) == len(ran), "a call was answered twice"

    on_bench(story, talk__mode=mode)
