"""Whatever the service sends, the box lives: one line in the log for each thing that is wrong; the next turn works."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from appliance.audio.format import WIRE_HZ
from appliance.box.box import Box
from appliance.journal.catalog import ATTRIBUTE, Entry, Kind
from appliance.realtime import events
from appliance.simulator import voices
from appliance.simulator.scenario import Connection, Moment, Reply, Scenario, SendRaw, Step, Turn, conversation
from appliance.simulator.service import Service
from appliance.simulator.virtual_card import VirtualCard
from appliance.turn.states import Outcome
from tests.support.rig import ask_holding, box, in_time, turn_over, words

LARGE = 20_000_000
"""Characters."""

WARNING, DEBUG = logging.WARNING, logging.DEBUG

ANSWER = words()
ANSWERING = Turn(replies=(Reply(pcm=ANSWER.tobytes()),))


def delta(**changes: object) -> str:
    """A piece of a reply, of one sample, with these fields instead of its own; None: without that field."""
    fields = {"response_id": "nobody", "item_id": "item", "delta": "AAA=", **changes}
    present = {name: value for name, value in fields.items() if value is not None}
    return json.dumps({"type": "response.output_audio.delta", **present})


def event(type_: str, /, **fields: object) -> str:
    """Any other event."""
    return json.dumps({"type": type_, **fields})


BAD: tuple[tuple[str | bytes, int, str], ...] = (
    ("hello", WARNING, "not JSON"),
    ('{"type": "response.done", ', WARNING, "not JSON"),
    ("[" * 100_000, WARNING, "nested too deeply"),
    ("[1, 2]", WARNING, "no object"),
    ("{}", WARNING, "type is missing"),
    (b"\x00\xff", WARNING, "a binary message of 2 bytes"),
    (" " * LARGE + "hello", WARNING, f"not JSON: Expecting value: line 1 column {LARGE + 1}"),
    ("[" + "{}," * (LARGE // 3) + "{}]", WARNING, f"a message of {LARGE // 3 * 3 + 4} characters"),
    (event("response.hologram"), DEBUG, "unknown event 'response.hologram'"),
    (event("response.smell", smell="x" * LARGE), DEBUG, "unknown event 'response.smell'"),
    (delta(response_id=7), WARNING, "response_id is not text"),
    (delta(delta=None), WARNING, "delta is missing"),
    (delta(delta=5), WARNING, "delta is not text"),
    (delta(delta="@@@@"), WARNING, "delta is not base64"),
    (event("response.created", response=[]), WARNING, "response is not an object"),
    (event("error", error="boom"), WARNING, "the service says: boom"),
    (event("error", error={"type": "odd", "message": 7}), WARNING, "the service says: an error without a text (odd)"),
    # Well-formed, and at the wrong time.
    (event("response.done", response={"id": "ghost"}), DEBUG, "response.done of a response that is over, or of none"),
    (event("session.updated", session={}), DEBUG, "session.updated again"),
)
"""What is sent, and the level and a part of the one line that it is worth."""

MOMENTS = {
    "before anything was said": (Moment.READY, 0),
    "while the person speaks": (Moment.SPEECH, 0),
    "as the reply begins": (Moment.REPLY, 0),
    "between two turns": (Moment.DONE, 1200),
}


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    """Level and text of what was odd about the service, and of whatever anybody complained of."""

    def is_one(record: logging.LogRecord) -> bool:
        entry: Entry | None = getattr(record, ATTRIBUTE, None)
        return record.levelno >= WARNING or (entry is not None and entry.kind is Kind.SERVICE_ODD)

    return [(record.levelno, record.getMessage()) for record in caplog.records if is_one(record)]


def assert_lines(found: list[tuple[int, str]], expected: list[tuple[int, str]]) -> None:
    """One line for each, in order, and no other."""
    assert [level for level, _ in found] == [level for level, _ in expected], found
    for (_, line), (_, part) in zip(found, expected, strict=True):
        assert part in line
        assert len(line) < 500


async def answered(daemon: Box, number: int) -> None:
    """Until turn ``number`` has ended; all of its answer was heard."""
    assert await turn_over(daemon, number) == Outcome.ANSWERED.value
    assert daemon.turns.last is not None
    assert daemon.turns.last["heard_s"] == pytest.approx(ANSWER.size / WIRE_HZ, abs=0.02)


@pytest.mark.parametrize("when", MOMENTS)
async def test_each_is_one_line_and_the_next_turn_works(
    card: VirtualCard, tmp_path: Path, caplog: pytest.LogCaptureFixture, when: str
) -> None:
    caplog.set_level(DEBUG, "appliance")
    moment, after_ms = MOMENTS[when]
    steps = tuple(Step(on=moment, do=SendRaw(message), after_ms=after_ms) for message, _, _ in BAD)
    async with (
        Service(scenario=Scenario(connections=(Connection(steps=steps, turns=(ANSWERING,)),))) as service,
        box(service, card, tmp_path, talk__mode="hold") as daemon,
    ):
        caplog.clear()
        await ask_holding(daemon, card, words())
        await answered(daemon, 1)
        await in_time(lambda: len(lines(caplog)) >= len(BAD))
        assert_lines(lines(caplog), [(level, part) for _, level, part in BAD])
        caplog.clear()
        await ask_holding(daemon, card, words())
        await answered(daemon, 2)
        assert not lines(caplog)
    (connection,) = service.connections
    assert len(connection.sent_raw) == len(BAD) and len(connection.turns) == 2
    assert not connection.received_of(events.ResponseCancel) and not service.violations


async def test_a_reply_in_odd_pieces_and_out_of_order(
    card: VirtualCard, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(DEBUG, "appliance")
    created = event("response.created", response={"id": "$RESPONSE"})
    done = event("response.done", response={"id": "$RESPONSE", "status": "completed"})
    steps = (
        Step(on=Moment.READY, do=SendRaw(event("input_audio_buffer.speech_stopped"))),
        Step(on=Moment.REPLY, do=SendRaw(created)),
        Step(on=Moment.DONE, do=SendRaw(delta(response_id="$RESPONSE"))),
        Step(on=Moment.DONE, do=SendRaw(done)),
    )
    expected = [
        (DEBUG, "speech_stopped without speech_started"),
        (WARNING, "was announced when it was known already"),
        (DEBUG, "audio of odd length"),
        (WARNING, "audio of a response that is over, or of none"),
        (DEBUG, "response.done of a response that is over, or of none"),
    ]
    turn = Turn(replies=(Reply(pcm=ANSWER.tobytes(), split_bytes=(1, 4801, 333)),))
    async with (
        Service(scenario=Scenario(connections=(Connection(steps=steps, turns=(turn,)),))) as service,
        box(service, card, tmp_path, talk__mode="hold") as daemon,
    ):
        caplog.clear()
        for number in (1, 2):
            await ask_holding(daemon, card, words())
            await answered(daemon, number)
        assert_lines(lines(caplog), expected)
    assert len(service.connections) == 1 and not service.violations


async def test_the_same_again_and_again_fills_no_journal(
    card: VirtualCard, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Fifty pieces a second for as long as a session lasts would be a full SD card."""
    caplog.set_level(DEBUG, "appliance")
    bad: tuple[str | bytes, ...] = ("hello", b"\x00", delta(delta="@@@@"))
    steps = tuple(Step(on=Moment.READY, do=SendRaw(message)) for message in bad * 100)
    async with (
        Service(scenario=Scenario(connections=(Connection(steps=steps, turns=(ANSWERING,)),))) as service,
        box(service, card, tmp_path, talk__mode="hold") as daemon,
    ):
        caplog.clear()
        await ask_holding(daemon, card, words())
        await answered(daemon, 1)
        assert_lines(lines(caplog), [(WARNING, "not JSON"), (WARNING, "binary"), (WARNING, "not base64")])
    assert len(service.connections) == 1


async def test_a_reply_of_twenty_megabytes_in_one_message(
    card: VirtualCard, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Five minutes of it are kept, and a press ends it like any other."""
    caplog.set_level(DEBUG, "appliance")
    endless = Reply(pcm=voices.tone(440, 312_500), speed=0, delta_ms=400_000)
    turns = (Turn(replies=(endless,)), ANSWERING)
    async with (
        Service(scenario=conversation(*turns)) as service,
        box(service, card, tmp_path, talk__mode="hold") as daemon,
    ):
        caplog.clear()
        await ask_holding(daemon, card, words())
        await daemon.until(lambda: daemon.turns.figures.audible_s is not None, 20)
        await ask_holding(daemon, card, words())
        await answered(daemon, 2)
        assert_lines(lines(caplog), [(WARNING, "longer than speaker.reply_buffer_s")])
    assert len(service.connections) == 1 and not service.violations
