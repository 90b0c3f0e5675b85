"""Each named reading as it looks on the wire, seen by a client that shares no code with the service's own."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import numpy as np
import pytest

from appliance.errors import ConfigurationError
from appliance.simulator import catalog, voices
from appliance.simulator.plan import SILENT_REPLY
from appliance.simulator.readings import PAGE, contradiction, named
from appliance.simulator.records import TurnRecord
from appliance.simulator.scenario import Connection, Reply, Scenario, Turn, conversation
from appliance.simulator.service import Service
from appliance.simulator.settings import SimulatorSettings
from tests.simulator.client import PREMIUM, SIMPLE, speech
from tests.simulator.raw import FLAT, NESTED, QUESTION, TYPED, Message, Raw, raw

Check = Callable[[Service], Awaitable[None]]

CHECKS: dict[str, Check] = {}

LONG = conversation(Turn(replies=(Reply(tone_ms=30_000, speed=1),)))
"""In progress for as long as a test lasts."""

ANSWER = voices.pcm(voices.recordings()[voices.questions()[0].answer].name)
"""Of the first turn."""


def checks(*names: str) -> Callable[[Check], Check]:
    """The decorated function is the test of these readings, in order of the catalog's names."""

    def register(check: Check) -> Check:
        for name in names:
            assert name not in CHECKS
            CHECKS[name] = check
        return check

    return register


@pytest.mark.parametrize("name", catalog.names())
async def test_a_reading_on_the_wire(name: str) -> None:
    reading = named([name.replace("-N", "-1")])
    # Without a delay, so that a reply that must not come would be there at once.
    async with Service(SimulatorSettings(reply_delay_ms=0, speed=100, reading=reading)) as service:
        await CHECKS[name](service)
        assert service.violations == []


@asynccontextmanager
async def session(service: Service, model: str = PREMIUM) -> AsyncIterator[Raw]:
    """Settings are confirmed. Premium, where nothing that the page does can be in the way of what a reading does."""
    async with raw(service, model) as client:
        await client.update(FLAT)
        await client.until_type("session.updated")
        yield client


async def call_of(client: Raw, count: int = 1) -> list[str]:
    """The ids of the calls asked for by a question."""
    await client.say(QUESTION)
    await client.until_type("response.function_call_arguments.done", count)
    return [call["call_id"] for call in client.of("response.function_call_arguments.done")]


# ---------------------------------------------------------------- a tool's turn


@checks("tool-inside-response", "tool-inside-after-speech", "tool-inside-three-calls")
async def inside(service: Service) -> None:
    names = service.settings.reading.names
    async with session(service) as client:
        call_ids = await call_of(client, 3 if "tool-inside-three-calls" in names else 1)
        assert len(set(call_ids)) == len(call_ids)
        aside = client.heard()
        assert len(aside) == (24_000 if "tool-inside-after-speech" in names else 0)
        for call_id in call_ids:
            assert not client.of("response.done")
            await client.answer(call_id)
        done = await client.until_type("response.done")
        [created] = client.of("response.created")
        assert done["response"] == {"id": created["response"]["id"], "status": "completed"}
        assert client.heard(created["response"]["id"]) == aside + ANSWER
        [turn] = service.turns
        assert turn.answered and [len(outputs) for outputs in turn.outputs.values()] == [1] * len(call_ids)


@checks("tool-first-never-done")
async def never_done(service: Service) -> None:
    async with session(service) as client:
        [call_id] = await call_of(client)
        await client.answer(call_id)
        done = await client.until_type("response.done")
        first, second = client.of("response.created")
        assert done["response"]["id"] == second["response"]["id"] != first["response"]["id"]
        assert client.heard() == ANSWER


@checks("needs-create-after-tool")
async def needs_create(service: Service) -> None:
    async with session(service) as client:
        [call_id] = await call_of(client)
        await client.until_type("response.done")
        await client.answer(call_id)
        await client.until(lambda: len(client.of("conversation.item.created")) == 2)
        assert service.replies[1:] == []
        await client.send("response.create")
        await client.until_type("response.done", 2)
        assert client.heard() == ANSWER
        assert service.turns[0].seen.total() == 1


@checks("arguments-null", "arguments-missing", "arguments-not-text", "call-without-name")
async def odd_call(service: Service) -> None:
    async with session(service) as client:
        await call_of(client)
        [call] = client.of("response.function_call_arguments.done")
        shown = {name: call.get(name, "none") for name in ("name", "arguments")}
        assert shown == {
            "arguments-null": {"name": "get_time", "arguments": None},
            "arguments-missing": {"name": "get_time", "arguments": "none"},
            "arguments-not-text": {"name": "get_time", "arguments": {}},
            "call-without-name": {"name": "none", "arguments": "{}"},
        }.get(service.settings.reading.names[0])
        await client.answer(call["call_id"], '{"error":"unreadable"}')
        await client.until_type("response.done", 2)
        assert service.turns[0].outputs == {call["call_id"]: ['{"error":"unreadable"}']}


@checks("name-in-item-added", "call-only-in-item-added")
async def added(service: Service) -> None:
    async with session(service) as client:
        await client.say(QUESTION)
        await client.until_type("response.done")
        [message] = client.of("response.output_item.added")
        item, calls = message["item"], client.of("response.function_call_arguments.done")
        assert (item["type"], item["name"]) == ("function_call", "get_time")
        if service.settings.reading.names == ("name-in-item-added",):
            assert item["arguments"] == "" and calls[0]["call_id"] == item["call_id"] and "name" not in calls[0]
            assert client.types().index("response.output_item.added") + 1 == client.types().index(calls[0]["type"])
        else:
            assert item["arguments"] == "{}" and not calls
        await client.answer(item["call_id"])
        await client.until_type("response.done", 2)
        assert client.heard() == ANSWER


@checks("name-in-done", "call-only-in-done")
async def in_done(service: Service) -> None:
    async with session(service) as client:
        await client.say(QUESTION)
        done = await client.until_type("response.done")
        [item] = done["response"]["output"]
        assert (item["type"], item["name"], item["arguments"]) == ("function_call", "get_time", "{}")
        calls = client.of("response.function_call_arguments.done")
        has_event = service.settings.reading.names == ("name-in-done",)
        assert ["name" in call for call in calls] == [False] * has_event
        await client.answer(item["call_id"])
        await client.until_type("response.done", 2)
        assert client.heard() == ANSWER


@checks("call-ends-incomplete")
async def call_incomplete(service: Service) -> None:
    async with session(service) as client:
        [call_id] = await call_of(client)
        assert (await client.until_type("response.done"))["response"]["status"] == "incomplete"
        await client.answer(call_id)
        assert (await client.until_type("response.done", 2))["response"]["status"] == "completed"


# ---------------------------------------------------------------- whose reply is whose


@checks("no-ids")
async def no_ids(service: Service) -> None:
    async with session(service) as client:
        await client.say(QUESTION)
        await client.until_type("response.done")
        names = {name for message in client.messages for name in message}
        assert names == {"type", "session", "item", "transcript", "delta"}
        assert "id" not in client.of("conversation.item.created")[0]["item"]
        assert client.of("response.created") == [{"type": "response.created"}]
        assert client.of("response.done") == [{"type": "response.done"}]
        assert client.heard() == ANSWER


@checks("no-created", "created-after-first-delta")
async def created(service: Service) -> None:
    async with session(service) as client:
        await client.say(QUESTION)
        await client.until_type("response.done")
        found = [kind for kind in client.types() if kind in ("response.created", "response.output_audio.delta")]
        if service.settings.reading.names == ("no-created",):
            assert set(found) == {"response.output_audio.delta"}
        else:
            assert found[:3] == ["response.output_audio.delta", "response.created", "response.output_audio.delta"]
            assert len(client.of("response.created")) == 1
        assert client.heard() == ANSWER


@checks("done-bare", "done-without-status")
async def done(service: Service) -> None:
    async with session(service) as client:
        await client.say(QUESTION)
        message = await client.until_type("response.done")
        bare = service.settings.reading.names == ("done-bare",)
        whole = {"type": "response.done", "response": client.of("response.created")[0]["response"]}
        assert message == ({"type": "response.done"} if bare else whole)


@checks("id-reused")
async def id_reused(service: Service) -> None:
    async with session(service) as client:
        for number in (1, 2):
            await client.say(QUESTION)
            await client.until_type("response.done", number)
        first, second = client.of("response.created")
        assert first == second
        assert [turn.answered for turn in service.turns] == [True, True]


@checks("two-responses")
async def two_responses(service: Service) -> None:
    async with session(service) as client:
        await client.say(QUESTION)
        await client.until_type("response.done", 2)
        first, second = (message["response"]["id"] for message in client.of("response.created"))
        assert voices.ms_from_bytes(len(client.heard(first))) == 400
        assert client.heard(second) == ANSWER
        assert len(client.of("input_audio_buffer.speech_started")) == 1


# ---------------------------------------------------------------- how it ends


@checks("close-1000-after-reply", "drop-after-reply")
async def line(service: Service) -> None:
    async with session(service) as client:
        await client.say(QUESTION)
        closed = service.settings.reading.names == ("close-1000-after-reply",)
        assert await client.until_closed() == (1000 if closed else 1006)
        assert client.messages[-1]["type"] == "response.done"
        assert client.heard() == ANSWER
        assert service.turns[0].answered


@checks("failed-with-reason", "incomplete-with-reason")
async def reason(service: Service) -> None:
    async with session(service) as client:
        await client.say(QUESTION)
        response = (await client.until_type("response.done"))["response"]
        if response["status"] == "failed":
            assert response["status_details"]["error"]["code"] == "model_overloaded"
        else:
            assert response["status"] == "incomplete"
            assert response["status_details"] == {"type": "incomplete", "reason": "content_filter"}
        assert client.heard() == b""
        assert not service.turns[0].answered


@checks("silent-reply", "empty-reply")
async def soundless(service: Service) -> None:
    async with session(service) as client:
        await client.say(QUESTION)
        assert (await client.until_type("response.done"))["response"]["status"] == "completed"
        zeros = service.settings.reading.names == ("silent-reply",)
        assert client.heard() == (SILENT_REPLY if zeros else b"")
        assert service.turns[0].answered == zeros


@checks("never-answers-after-N")
async def never_answers(service: Service) -> None:
    for _ in range(2):
        async with session(service) as client:
            await client.say(QUESTION)
            await client.until_type("response.done")
            await client.say(QUESTION)
            await client.until_type("conversation.item.created", 2)
            await client.send("response.create")
            await client.say(QUESTION)
            await client.until_type("conversation.item.created", 3)
            assert len(client.of("response.created")) == 1


# ---------------------------------------------------------------- settings


async def converses(client: Raw) -> None:
    await client.say(QUESTION)
    await client.until_type("response.done")
    assert client.heard() == ANSWER


@checks("settings-locked")
async def locked(service: Service) -> None:
    async with raw(service) as client:
        assert (await client.until_type("session.created"))["session"]["voice"] == "mal-female"
        await client.update(FLAT)
        assert (await client.until_type("error"))["error"]["code"] == "settings_locked"
        await converses(client)
        assert not client.of("session.updated")


@checks("no-updated")
async def no_updated(service: Service) -> None:
    async with raw(service) as client:
        await client.update(FLAT)
        await converses(client)
        assert not client.of("session.updated", "error")


@checks("updated-before-created")
async def updated_first(service: Service) -> None:
    async with raw(service) as client:
        await client.update(FLAT)
        await client.until_type("session.created")
        assert client.types() == ["session.updated", "session.created"]
    async with raw(service) as client:
        await client.until_type("session.created")


@checks("type-required", "nested-only")
async def typed(service: Service) -> None:
    async with raw(service) as client:
        await client.update(FLAT)
        error = (await client.until_type("error"))["error"]
        assert (error["type"], error["code"]) == ("invalid_request_error", "missing_required_parameter")
        await client.update(NESTED)
        updated = await client.until_type("session.updated")
        assert updated["session"]["audio"]["output"]["voice"] == "mal-male"
        await converses(client)
    async with raw(service) as client:
        await client.update({**TYPED, "voice": "mal-male"})
        if service.settings.reading.names == ("nested-only",):
            assert (await client.until_type("error"))["error"]["code"] == "unknown_parameter"
            await client.update(TYPED)
        await client.until_type("session.updated")
        await client.say(QUESTION)
        await client.until_type("response.done")
        # Of the second turn. Played as 24 kHz it is over in two thirds of its time.
        answer = voices.pcm(voices.recordings()[voices.questions()[1].answer].name)
        heard = np.frombuffer(client.heard(), dtype="<i2").astype(float)
        assert len(heard) == pytest.approx(len(answer) / 2 / 1.5, abs=1)
        peaks = [np.argmax(np.abs(np.fft.rfft(sound))) / len(sound) for sound in (heard, np.frombuffer(answer, "<i2"))]
        assert peaks[0] / peaks[1] == pytest.approx(1.5, rel=0.01)


@checks("flat-only")
async def flat(service: Service) -> None:
    refused: tuple[Message, ...] = (TYPED, {"audio": {}})
    for number, settings in enumerate(refused, 1):
        async with raw(service) as client:
            await client.update(settings)
            assert (await client.until_type("error"))["error"]["code"] == "unknown_parameter"
            await client.update(FLAT)
            await client.until_type("session.updated")
            assert len(service.connections) == number


# ---------------------------------------------------------------- what a client sends


@checks("commit-in-speech-drops")
async def commit_drops(service: Service) -> None:
    async with session(service, SIMPLE) as client:
        await client.say(QUESTION)
        await client.until_type("input_audio_buffer.speech_stopped")
        await client.send("input_audio_buffer.commit")
        await client.until_type("response.done")
        await client.say(speech(600))
        await client.until_type("input_audio_buffer.speech_started", 2)
        await client.send("input_audio_buffer.commit")
        assert await client.until_closed() == 1006


@checks("commit-not-implemented", "commit-nothing")
async def commit_refused(service: Service) -> None:
    async with session(service, SIMPLE) as client:
        await client.say(speech(600))
        await client.send("input_audio_buffer.commit")
        if service.settings.reading.names == ("commit-not-implemented",):
            assert (await client.until_type("error"))["error"]["code"] == "not_implemented"
        await client.say(QUESTION)
        await client.until_type("response.done")
        assert len(client.of("error")) == (service.settings.reading.names == ("commit-not-implemented",))
        assert [(turn.ended_by, turn.seen.total()) for turn in service.turns] == [("silence", 1)]


@checks("append-small-1003")
async def small_append(service: Service) -> None:
    async with session(service) as client:
        await client.send("input_audio_buffer.append", audio="")
        await converses(client)
        await client.say(speech(40), piece_bytes=1920)
        assert (await client.until_type("error"))["error"]["type"] == "invalid_audio_chunk"
        assert await client.until_closed() == 1003


@checks("cancel-errors", "cancel-server-error")
async def cancel_refused(service: Service) -> None:
    async with session(service) as client:
        await client.say(QUESTION)
        created = await client.until_type("response.created")
        await client.send("response.cancel", response_id=created["response"]["id"])
        kind = "server_error" if service.settings.reading.names == ("cancel-server-error",) else "invalid_request_error"
        assert (await client.until_type("error"))["error"]["type"] == kind
        assert (await client.until_type("response.done"))["response"]["status"] == "completed"
        assert client.heard() == ANSWER


@checks("cancel-completed", "cancel-done-twice", "cancel-cancelled-event", "cancel-nothing")
async def cancel_odd(service: Service) -> None:
    service.scenario = LONG
    async with session(service) as client:
        await client.say(QUESTION)
        await client.until_type("response.output_audio.delta")
        await client.send("response.cancel")
        await service.wait_for(lambda: service.replies[0].status)
        # Another turn, so that nothing can still be under way.
        await client.say(QUESTION)
        await client.until_type("response.created", 2)
        ends = [message["response"]["status"] for message in client.of("response.done")]
        told = {"cancel-completed": ["completed"], "cancel-done-twice": ["cancelled", "cancelled"]}
        assert ends == told.get(service.settings.reading.names[0], [])
        events = service.settings.reading.names == ("cancel-cancelled-event",)
        assert len(client.of("response.cancelled")) == events
        assert not service.turns[0].answered


# ---------------------------------------------------------------- words


@checks("beta-names")
async def beta(service: Service) -> None:
    async with session(service) as client:
        await converses(client)
        assert {message["type"] for message in client.messages if "delta" in message} == {
            "response.audio.delta",
            "response.audio_transcript.delta",
        }


@checks("code-in-type", "error-plain-text")
async def errors(service: Service) -> None:
    async with session(service) as client:
        await client.send("response.cancel")
        message = await client.until_type("error")
        text = "There is no reply to cancel."
        in_type = {"type": "error", "error": {"type": "response_cancel_not_active", "message": text}}
        plain = {"type": "error", "error": text, "code": "response_cancel_not_active"}
        assert message == (in_type if service.settings.reading.names == ("code-in-type",) else plain)


@checks("no-transcript")
async def no_transcript(service: Service) -> None:
    async with session(service) as client:
        await converses(client)
        assert not [kind for kind in client.types() if kind.startswith("conversation.item")]


@checks("speech-repeated-other-ids")
async def speech_twice(service: Service) -> None:
    async with session(service) as client:
        await converses(client)
        told = client.of("input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped")
        assert [message["type"].rpartition("_")[2] for message in told] == ["started", "stopped"] * 2
        ids = [message["item_id"] for message in told]
        assert ids[0] == ids[1] != ids[2] == ids[3]


# ---------------------------------------------------------------- together


PAIRS = [
    (one.name, other.name)
    for one, other in itertools.combinations([catalog.find(name.replace("-N", "-1")) for name in catalog.names()], 2)
    if one and other and not contradiction(one, other)
]
"""Every two readings that can occur together."""


async def hear_a_turn(service: Service, number: int) -> TurnRecord:
    """One turn with the ``number``-th pair, of a client that takes every reading as it comes."""
    reading = named(PAIRS[number])
    replies = 1 + reading.prelude + (reading.calls > 0 and reading.tool != "inside")
    async with raw(service, f"pair-{number}") as client:
        await client.update(NESTED if reading.wants_types else FLAT)
        [record] = [one for one in service.connections if one.path.endswith(f"=pair-{number}")]
        await client.until(lambda: client.types())
        await client.say(QUESTION, piece_bytes=len(QUESTION) // 4)
        answered: set[str] = set()
        read = 0
        while len(record.replies) < replies or record.replies[-1].status is None:
            new, read = client.messages[read:], len(client.messages)
            for call_id in set(re.findall(r"call_[0-9_]+[0-9]", str(new))) - answered:
                answered.add(call_id)
                await client.answer(call_id)
                if reading.needs_create:
                    await client.send("response.create")
            await asyncio.sleep(0.01)
        [turn] = record.turns
        assert turn.answered == (reading.status == "completed" and reading.sound != "none"), reading.names
        assert [len(outputs) for outputs in turn.outputs.values()] == [1] * reading.calls, reading.names
        assert len(turn.calls) == reading.calls
        return turn


async def test_all_pairs_that_can_occur_together() -> None:
    plans = tuple(Connection(reading=named(pair)) for pair in PAIRS)
    settings = SimulatorSettings(reply_delay_ms=1, speed=0, delta_ms=500)
    print(f"{len(PAIRS)} pairs")
    async with Service(settings) as service:
        for first in range(0, len(PAIRS), 20):
            # Attempts are numbered as they come: one scenario each.
            numbers = range(first, min(first + 20, len(PAIRS)))
            turns = []
            async with asyncio.TaskGroup() as group:
                for number in numbers:
                    service.scenario = Scenario(connections=(plans[number],))
                    task = group.create_task(hear_a_turn(service, number))
                    await service.wait_for(lambda number=number: len(service.connections) > number)  # type: ignore[misc]
                    turns.append(task)
        assert len(service.turns) == len(PAIRS)


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["no-id"], "no reading is called 'no-id', did you mean no-ids?"),
        (["xyz"], "no reading is called 'xyz'; simulate --list-readings shows all"),
        (["never-answers-after-N"], "no reading is called 'never-answers-after-N'"),
        (["commit-nothing", "commit-not-implemented"], "cannot occur together: both say what a commit does"),
        (["tool-inside-response call-only-in-done"], "has no response.done before the result"),
        (["call-only-in-done,tool-inside-response"], "has no response.done before the result"),
    ],
)
def test_what_cannot_be_played_is_named(names: list[str], problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        named(names)
    assert problem in str(caught.value)
    assert len(caught.value.problems) == 1


def test_readings_are_put_together() -> None:
    reading = named(["no-ids", "tool-inside-three-calls tool-inside-after-speech", "never-answers-after-2"])
    assert (reading.ids, reading.calls, reading.tool, reading.tool_speech_ms) == (False, 3, "inside", 500)
    assert reading.answers == 2
    assert reading.names == (
        *("tool-inside-after-speech", "tool-inside-three-calls", "no-ids"),
        "never-answers-after-2",
    )
    assert named([]) == PAGE


async def test_a_turn_may_have_a_reading_of_its_own() -> None:
    turns = (Turn(reading=named(["no-ids"])), Turn(), Turn(reading=named(["beta-names"])))
    settings = SimulatorSettings(reply_delay_ms=1, speed=100)
    async with Service(settings, conversation(*turns)) as service, session(service) as client:
        for number in (1, 2, 3):
            await client.say(QUESTION)
            await client.until_type("response.done", number)
        assert ["response" in message for message in client.of("response.done")] == [False, True, True]
        assert len(client.of("response.output_audio.delta")) > 0 < len(client.of("response.audio.delta"))
        assert client.heard() == b"".join(reply.pcm for reply in service.replies)
