"""With ``--fields openai`` every event is one that OpenAI's own published types accept: complete, and nothing odd."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator

import pytest

from appliance.simulator.readings import PAGE, Reading, named
from appliance.simulator.scenario import Call, Moment, Reply, Scenario, Speak, Step, Turn
from appliance.simulator.scenario import Connection as Plan
from appliance.simulator.service import Service
from appliance.simulator.settings import SimulatorSettings
from appliance.simulator.shape import FieldSet
from tests.simulator.client import speech
from tests.simulator.raw import FLAT, NESTED, QUESTION, Message, Raw, raw

if platform.machine() == "armv7l":
    pytest.skip("no wheels of pydantic for 32-bit ARM (pyproject.toml)", allow_module_level=True)

import pydantic
from openai.types.realtime import RealtimeServerEvent

JUDGE = pydantic.TypeAdapter(RealtimeServerEvent)

EVENTS = {
    *("session.created", "session.updated", "error"),
    *("input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped"),
    *("conversation.item.created", "conversation.item.input_audio_transcription.completed"),
    *("response.created", "response.output_audio.delta", "response.output_audio_transcript.delta"),
    *("response.function_call_arguments.done", "response.done"),
}
"""All that the page names."""


def unknown_fields(value: object, path: str) -> Iterator[str]:
    """Fields that the types do not have: pydantic keeps those of OpenAI's models and complains of none."""
    if isinstance(value, pydantic.BaseModel):
        yield from (f"{path}.{name}" for name in value.model_extra or {})
        for name in type(value).model_fields:
            yield from unknown_fields(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, list):
        for at, one in enumerate(value):
            yield from unknown_fields(one, f"{path}[{at}]")


def problems(message: Message) -> list[str]:
    """What OpenAI's types say against ``message``."""
    try:
        event = JUDGE.validate_json(json.dumps(message), strict=True)
    except pydantic.ValidationError as error:
        # The union tells apart by type, so only the event that it is complains.
        return [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
    return list(unknown_fields(event, message["type"]))


async def answer_calls(service: Service, client: Raw, turn: int, count: int) -> None:
    await service.wait_for(lambda: len(service.turns) > turn and len(service.turns[turn].calls) == count)
    for call_id in list(service.turns[turn].calls):
        await client.answer(call_id)


async def everything(reading: Reading) -> list[Message]:
    """One message of every kind, and several of some: two turns, with calls, errors and a cancelled reply."""
    ask = Reply(calls=(Call(name="get_time"), Call(name="get_time", arguments='{"zone":"IST"}')), tone_ms=200)
    long = Reply(tone_ms=30_000, speed=1)
    turns = (Turn(replies=(ask, Reply())), Turn(replies=(long,)))
    failed = Step(on=Moment.CANCEL, nth=2, do=Speak(Reply(pcm=b"", status="failed")))
    plan = Scenario(connections=(Plan(turns=turns, steps=(failed,)),))
    settings = SimulatorSettings(reply_delay_ms=1, speed=100, fields=FieldSet.OPENAI, reading=reading)
    async with Service(settings, plan) as service, raw(service) as client:
        await client.send("response.cancel")
        await client.update(NESTED if reading.wants_types else FLAT)
        await client.say(QUESTION)
        await answer_calls(service, client, turn=0, count=2)
        await service.wait_for(lambda: service.turns[0].answered)
        await client.say(speech(600))
        await client.send("input_audio_buffer.commit")
        await answer_calls(service, client, turn=1, count=reading.calls)
        await service.wait_for(lambda: service.replies[-1].turn == 1 and service.replies[-1].sent_audio)
        await client.send("response.cancel")
        await service.wait_for(lambda: service.replies[-1].status == "failed")
        await client.send("input_audio_buffer.commit")
        await client.until(lambda: len(client.of("error")) == 2)
        return client.messages


READINGS = [
    *("", "tool-inside-after-speech", "tool-first-never-done", "call-only-in-item-added", "call-ends-incomplete"),
    *("call-only-in-done", "id-reused", "two-responses", "no-created", "no-transcript", "speech-repeated-other-ids"),
    *("type-required", "settings-locked", "updated-before-created", "cancel-completed", "silent-reply"),
]
"""Those that are no less OpenAI's than this project's."""


@pytest.mark.parametrize("names", READINGS)
async def test_every_event_is_one_of_openai(names: str) -> None:
    reading = named([names])
    messages = await everything(reading)
    assert list(dict.fromkeys(problem for message in messages for problem in problems(message))) == []
    if reading == PAGE:
        assert {message["type"] for message in messages} == EVENTS
        ids = [message["event_id"] for message in messages]
        assert len(set(ids)) == len(ids)


def test_the_judge_finds_what_is_missing_and_what_is_odd() -> None:
    good = {"type": "input_audio_buffer.speech_stopped", "event_id": "e", "item_id": "i", "audio_end_ms": 1}
    assert problems(good) == []
    assert problems({**good, "colour": "red"}) == ["input_audio_buffer.speech_stopped.colour"]
    del good["event_id"]
    assert problems(good) != []
