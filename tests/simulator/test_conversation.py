"""Turns, replies, interruptions, tools: the service as service.md describes it, heard through a real WebSocket."""

from __future__ import annotations

import pytest

from appliance.realtime import events as e
from appliance.simulator import voices
from appliance.simulator.scenario import Call, Moment, Reply, Scenario, Speak, Step, Turn, conversation
from appliance.simulator.scenario import Connection as Plan
from appliance.simulator.service import Service
from appliance.simulator.settings import SimulatorSettings
from tests.simulator.client import PREMIUM, Client, call, dial, silence, speech

QUICK = SimulatorSettings(reply_delay_ms=1, speed=100)
QUESTION = (speech(600), silence(600))
LONG = Reply(tone_ms=30_000, speed=1)
"""In progress for as long as a test lasts."""


def types(client: Client, *of: type[e.ServerEvent]) -> list[str]:
    return [type(event).__name__ for event in client.events if not of or isinstance(event, of)]


async def test_a_turn_in_the_order_of_the_page() -> None:
    async with Service(QUICK) as service, call(service) as client:
        await client.say(*QUESTION)
        done = await client.until_event(e.ResponseDone)
        assert done.status == "completed"
        in_order = dict.fromkeys(types(client))
        assert list(in_order) == [
            *("SessionCreated", "SessionUpdated", "SpeechStarted", "SpeechStopped"),
            *("ConversationItemCreated", "InputTranscriptionCompleted"),
            *("ResponseCreated", "OutputTranscriptDelta", "OutputAudioDelta", "ResponseDone"),
        ]
        question = voices.questions()[0]
        assert client.of(e.InputTranscriptionCompleted)[0].transcript == question.text
        assert client.of(e.ConversationItemCreated) == [e.ConversationItemCreated("user", (question.text,))]
        answer = voices.recordings()[question.answer]
        assert client.heard(done.response_id) == voices.pcm(answer.name)
        assert "".join(delta.delta for delta in client.of(e.OutputTranscriptDelta)) == answer.text
        assert service.violations == []
        [turn] = service.turns
        assert turn.ended_by == "silence"
        # 300 ms before the speech were not sent, so the turn is all there is up to the decision.
        assert turn.audio == (QUESTION[0] + QUESTION[1])[: voices.bytes_from_ms(600 + 500)]
        assert service.connections[0].audio == b"".join(QUESTION)
        [reply] = service.replies
        assert (bytes(reply.sent_audio), reply.status) == (reply.pcm, "completed")


async def test_settings_are_echoed_and_a_wrong_voice_is_refused() -> None:
    tool = e.ToolDeclaration("get_time", "The time", {"type": "object"})
    async with Service() as service, dial(service) as client:
        await client.send(e.SessionUpdate(e.SessionSettings("", "robot")))
        assert "session.voice" in (await client.until_event(e.ErrorEvent)).message
        assert not client.of(e.SessionUpdated)
        await client.send(e.SessionUpdate(e.SessionSettings("Be kind.", "", (tool,), "required")))
        session = (await client.until_event(e.SessionUpdated)).session
        assert (session["voice"], session["tool_choice"]) == ("mal-female", "required")
        assert session["tools"] == [{"type": "function", "name": "get_time"}]
        assert service.connections[0].settings == e.SessionSettings("Be kind.", "", (tool,), "required")


async def test_settings_are_fixed_once_audio_has_been_sent() -> None:
    async with Service() as service, call(service) as client:
        await client.say(silence(40))
        await client.send(e.SessionUpdate(e.SessionSettings("Be rude.", "mal-male")))
        assert (await client.until_event(e.ErrorEvent)).code == "session_locked"
        assert service.violations == ["session.update after audio"]


async def test_audio_before_the_settings_is_a_violation() -> None:
    async with Service() as service, dial(service) as client:
        await client.say(silence(40))
        await service.wait_for(lambda: service.violations)
        assert service.violations == ["audio before session.updated"]


async def test_answers_go_by_the_number_of_the_turn() -> None:
    async with Service(QUICK) as service:
        for _ in range(2):
            async with call(service) as client:
                await client.say(*QUESTION)
                await client.until_event(e.ResponseDone)
                await client.say(*QUESTION)
                await client.until_event(e.ResponseDone, 2)
        asked = [voices.questions()[number % 3] for number in range(4)]
        assert [turn.heard for turn in service.turns] == [question.name for question in asked]
        assert [reply.pcm for reply in service.replies] == [voices.pcm(question.answer) for question in asked]


async def test_a_scenario_chooses_words_and_voice() -> None:
    turns = conversation(
        Turn(heard="ask-time"),
        Turn(heard="നമസ്കാരം", replies=(Reply(voice="volume", text="ശരി"),)),
        Turn(replies=(Reply(tone_ms=100, tone_hz=1000),)),
        Turn(replies=(Reply(pcm=b"\x01\x02\x03"),)),
    )
    async with Service(QUICK, turns) as service, call(service) as client:
        for number in range(1, 5):
            await client.say(*QUESTION)
            await client.until_event(e.ResponseDone, number)
        heard = [client.heard(done.response_id) for done in client.of(e.ResponseDone)]
        assert heard == [voices.pcm("time"), voices.pcm("volume"), voices.tone(1000, 100), b"\x01\x02\x03"]
        assert client.of(e.InputTranscriptionCompleted)[1].transcript == "നമസ്കാരം"
        assert service.replies[1].text == "ശരി"


async def test_the_parrot_returns_the_turn_and_claims_no_words() -> None:
    async with Service(SimulatorSettings(parrot=True, reply_delay_ms=1, speed=0)) as service, call(service) as client:
        await client.say(*QUESTION)
        done = await client.until_event(e.ResponseDone)
        assert client.heard(done.response_id) == service.turns[0].audio
        assert not client.of(e.InputTranscriptionCompleted)


async def test_replies_come_faster_than_they_sound_but_not_at_once() -> None:
    reply = Reply(tone_ms=2000, speed=10, delta_ms=100)
    async with Service(QUICK, conversation(Turn(replies=(reply,)))) as service, call(service) as client:
        await client.say(*QUESTION)
        await client.until_event(e.ResponseDone)
        times_s = [at_s for at_s, event in service.connections[0].sent if isinstance(event, e.OutputAudioDelta)]
        assert len(times_s) == 20
        # 1.9 s of sound before the last delta at ten times its pace. No upper bound: the machine may be busy.
        assert times_s[-1] - times_s[0] >= 0.18


async def test_deltas_split_oddly_and_all_at_once() -> None:
    reply = Reply(voice="time", speed=0, split_bytes=(1, 4801, 3))
    async with Service(QUICK, conversation(Turn(replies=(reply,)))) as service, call(service) as client:
        await client.say(*QUESTION)
        done = await client.until_event(e.ResponseDone)
        assert [len(delta.audio) for delta in client.of(e.OutputAudioDelta)][:4] == [1, 4801, 3, 1]
        assert client.heard(done.response_id) == voices.pcm("time")


# ---------------------------------------------------------------- how a turn ends


async def test_a_commit_ends_the_turn_and_turn_detection_does_not_end_it_again() -> None:
    async with Service(QUICK) as service, call(service) as client:
        await client.say(speech(600))
        await client.send(e.InputAudioBufferCommit())
        await client.say(silence(1000))
        await client.until_event(e.ResponseDone)
        assert [turn.ended_by for turn in service.turns] == ["commit"]
        assert service.turns[0].audio == speech(600)
        assert len(client.of(e.SpeechStopped)) == len(client.of(e.ResponseCreated)) == 1


async def test_a_commit_that_comes_after_turn_detection_finds_nothing() -> None:
    async with Service(QUICK) as service, call(service) as client:
        await client.say(*QUESTION)
        await client.send(e.InputAudioBufferCommit())
        assert (await client.until_event(e.ErrorEvent)).code == "input_audio_buffer_commit_empty"
        await client.until_event(e.ResponseDone)
        assert len(client.of(e.ResponseCreated)) == 1


@pytest.mark.parametrize(
    ("race", "ended_by", "replies", "errors"), [("late", "silence", 1, 1), ("twice", "commit", 2, 0)]
)
async def test_the_race_of_commit_and_turn_detection(race: str, ended_by: str, replies: int, errors: int) -> None:
    turn = Turn(commit="late" if race == "late" else "twice")
    async with Service(QUICK, conversation(turn)) as service, call(service) as client:
        await client.say(speech(600))
        await client.send(e.InputAudioBufferCommit())
        await client.until_event(e.ResponseDone, replies)
        assert [turn.ended_by for turn in service.turns] == [ended_by]
        assert len(client.of(e.ResponseCreated)) == replies
        assert [error.code for error in client.of(e.ErrorEvent)] == ["input_audio_buffer_commit_empty"] * errors
        assert len(client.of(e.SpeechStopped)) == 1


async def test_premium_ignores_commit_clear_and_create_and_waits_for_silence() -> None:
    async with Service(QUICK) as service, call(service, PREMIUM) as client:
        await client.say(speech(600))
        await client.send(e.InputAudioBufferCommit(), e.ResponseCreate(), e.InputAudioBufferClear())
        await service.wait_for(lambda: len(service.connections[0].received) >= 18)
        assert types(client)[2:] in (["SpeechStarted"], [])
        await client.say(silence(600))
        await client.until_event(e.ResponseDone)
        assert [turn.ended_by for turn in service.turns] == ["silence"]
        assert not client.of(e.ErrorEvent)


async def test_the_mode_can_be_forced() -> None:
    async with Service(SimulatorSettings(mode="premium")) as service, call(service) as client:
        await client.send(e.InputAudioBufferCommit(), e.ResponseCancel(None))
        assert (await client.until_event(e.ErrorEvent)).code == "response_cancel_not_active"


async def test_clear_forgets_what_was_said() -> None:
    async with Service(QUICK) as service, call(service) as client:
        await client.say(speech(600))
        await client.send(e.InputAudioBufferClear(), e.InputAudioBufferCommit())
        assert (await client.until_event(e.ErrorEvent)).code == "input_audio_buffer_commit_empty"
        await client.say(silence(1000), *QUESTION)
        await client.until_event(e.ResponseDone)
        assert len(service.turns) == 1
        assert len(client.of(e.SpeechStarted)) == 2


@pytest.mark.parametrize(("hears", "said"), [("nothing", 0), ("start", 1)])
async def test_a_deaf_service_needs_commit_or_create(hears: str, said: int) -> None:
    turn = Turn(hears="nothing" if hears == "nothing" else "start", commit="ignored")
    async with Service(QUICK, conversation(turn)) as service, call(service) as client:
        await client.say(*QUESTION)
        await client.send(e.InputAudioBufferCommit(), e.ResponseCreate())
        await client.until_event(e.ResponseDone)
        assert [turn.ended_by for turn in service.turns] == ["create"]
        assert len(client.of(e.SpeechStarted)) == len(client.of(e.SpeechStopped)) == said


async def test_too_faint_for_turn_detection_but_not_for_a_commit() -> None:
    async with Service(QUICK) as service, call(service) as client:
        await client.say(speech(600, dbfs=-55), silence(600))
        await client.send(e.InputAudioBufferCommit())
        await client.until_event(e.ResponseDone)
        assert not client.of(e.SpeechStarted)
        assert service.turns[0].audio == speech(600, dbfs=-55) + silence(600)


async def test_a_pause_starts_a_reply_that_is_complete_before_the_caller_goes_on() -> None:
    turns = conversation(Turn(pause_after_ms=500, replies=(Reply(voice="time", delay_ms=0, speed=0),)), Turn())
    async with Service(QUICK, turns) as service, call(service) as client:
        await client.say(speech(1500), silence(600))
        await client.until_event(e.ResponseDone, 2)
        assert [turn.ended_by for turn in service.turns] == ["pause", "silence"]
        assert [reply.cancelled_by for reply in service.replies] == [None, None]
        order = types(client, e.SpeechStarted, e.SpeechStopped, e.ResponseCreated, e.ResponseDone)
        assert order == ["SpeechStarted", "SpeechStopped", "ResponseCreated", "ResponseDone"] * 2
        # Nothing is lost between the two turns, and nothing counted twice but the second one's prefix.
        assert service.turns[0].audio + service.turns[1].audio == (speech(1500) + silence(500))


# ---------------------------------------------------------------- interruptions


async def test_speech_during_a_reply_cancels_it() -> None:
    async with Service(QUICK, conversation(Turn(replies=(LONG,)), Turn())) as service, call(service) as client:
        await client.say(*QUESTION)
        await client.until_event(e.OutputAudioDelta)
        await client.say(*QUESTION)
        await client.until_event(e.ResponseDone, 2)
        assert [done.status for done in client.of(e.ResponseDone)] == ["cancelled", "completed"]
        assert [reply.cancelled_by for reply in service.replies] == ["speech", None]
        order = types(client, e.SpeechStarted, e.ResponseDone)
        assert order == ["SpeechStarted", "SpeechStarted", "ResponseDone", "ResponseDone"]


async def test_speech_before_a_reply_has_begun_leaves_no_trace_of_it() -> None:
    late = Turn(replies=(Reply(delay_ms=60_000),))
    async with Service(QUICK, conversation(late, Turn())) as service, call(service) as client:
        await client.say(*QUESTION, *QUESTION)
        await client.until_event(e.ResponseDone)
        assert len(service.turns) == 2
        assert len(client.of(e.ResponseCreated)) == 1


async def test_cancel_stops_the_reply_and_a_second_one_is_refused() -> None:
    async with Service(QUICK, conversation(Turn(replies=(LONG,)))) as service, call(service) as client:
        await client.say(*QUESTION)
        response_id = (await client.until_event(e.OutputAudioDelta)).response_id
        await client.send(e.ResponseCancel(response_id), e.ResponseCancel(response_id))
        assert (await client.until_event(e.ErrorEvent)).code == "response_cancel_not_active"
        assert client.of(e.ResponseDone) == [e.ResponseDone(response_id, "cancelled")]
        assert isinstance(client.events[-2], e.ResponseDone)
        assert service.replies[0].cancelled_by == "client"
        assert len(service.replies[0].sent_audio) < len(service.replies[0].pcm)


async def test_late_deltas_after_a_cancelled_reply() -> None:
    reply = Reply(tone_ms=30_000, speed=1, late_deltas=3)
    async with Service(QUICK, conversation(Turn(replies=(reply,)))) as service, call(service) as client:
        await client.say(*QUESTION)
        await client.until_event(e.OutputAudioDelta)
        await client.send(e.ResponseCancel(None))
        await client.until_event(e.ResponseDone)
        before = len(client.of(e.OutputAudioDelta))
        after = client.events.index(client.of(e.ResponseDone)[0])
        await client.until(lambda: len(client.events) >= after + 4)
        assert types(client)[after + 1 :] == ["OutputAudioDelta"] * 3
        assert len(client.of(e.OutputAudioDelta)) in (before, before + 3)


async def test_a_response_between_cancel_and_its_done() -> None:
    reply = Reply(tone_ms=30_000, speed=1, cancel_lag_ms=50)
    foreign = Step(on=Moment.CANCEL, do=Speak(Reply(tone_ms=100, speed=0)))
    plan = Scenario(connections=(Plan(steps=(foreign,), turns=(Turn(replies=(reply,)),)),))
    async with Service(QUICK, plan) as service, call(service) as client:
        await client.say(*QUESTION)
        await client.until_event(e.OutputAudioDelta)
        await client.send(e.ResponseCancel(None))
        await client.until_event(e.ResponseDone, 2)
        first, second = (created.response_id for created in client.of(e.ResponseCreated))
        assert client.of(e.ResponseDone) == [e.ResponseDone(second, "completed"), e.ResponseDone(first, "cancelled")]


async def test_a_duplicate_reply() -> None:
    duplicate = Step(on=Moment.REPLY, do=Speak(Reply(voice="who", speed=0)))
    plan = Scenario(connections=(Plan(steps=(duplicate,)),))
    async with Service(QUICK, plan) as service, call(service) as client:
        await client.say(*QUESTION)
        await client.until_event(e.ResponseDone, 2)
        assert types(client, e.SpeechStarted, e.ResponseCreated) == ["SpeechStarted", *["ResponseCreated"] * 2]


async def test_a_reply_that_stops_in_the_middle_until_it_is_cancelled() -> None:
    reply = Reply(tone_ms=1000, speed=0, stops_after_ms=300)
    async with Service(QUICK, conversation(Turn(replies=(reply,)))) as service, call(service) as client:
        await client.say(*QUESTION)
        await client.until_event(e.OutputAudioDelta, 3)
        assert service.replies[0].status is None
        await client.send(e.ResponseCancel(None))
        assert (await client.until_event(e.ResponseDone)).status == "cancelled"
        assert len(client.of(e.OutputAudioDelta)) == 3


async def test_no_reply_at_all_not_even_for_a_nudge() -> None:
    async with Service(QUICK, conversation(Turn(replies=()), Turn())) as service, call(service) as client:
        await client.say(*QUESTION)
        await client.until_event(e.InputTranscriptionCompleted)
        await client.send(e.ResponseCreate())
        await client.say(*QUESTION)
        await client.until_event(e.ResponseDone)
        assert [turn.number for turn in service.turns] == [0, 1]
        assert service.replies[0].pcm == voices.pcm(voices.questions()[1].answer)


# ---------------------------------------------------------------- tools


def asking(*calls: str, then: Reply | None = None) -> Scenario:
    ask = Reply(calls=tuple(Call(name=name, arguments='{"a":1}') for name in calls))
    return conversation(Turn(replies=(ask,) if then is None else (ask, then)))


async def test_two_calls_are_answered_when_both_outputs_are_in() -> None:
    scenario = asking("get_time", "set_volume", then=Reply(voice="time"))
    async with Service(QUICK, scenario) as service, call(service) as client:
        await client.say(*QUESTION)
        await client.until_event(e.ResponseDone)
        calls = client.of(e.FunctionCallArgumentsDone)
        assert [(one.name, one.arguments) for one in calls] == [("get_time", '{"a":1}'), ("set_volume", '{"a":1}')]
        await client.send(e.FunctionCallOutput(calls[1].call_id or "", '{"ok":true}'))
        await client.until_event(e.ConversationItemCreated, 2)
        assert len(client.of(e.ResponseCreated)) == 1
        await client.send(e.FunctionCallOutput(calls[0].call_id or "", '{"time":"5:30"}'))
        done = await client.until_event(e.ResponseDone, 2)
        assert client.heard(done.response_id) == voices.pcm("time")
        assert client.of(e.ConversationItemCreated)[2] == e.ConversationItemCreated("tool", ('{"time":"5:30"}',))
        assert service.violations == []


async def test_the_answer_to_a_tool_can_need_a_nudge() -> None:
    scenario = asking("get_time", then=Reply(voice="time", needs_nudge=True))
    async with Service(QUICK, scenario) as service, call(service) as client:
        await client.say(*QUESTION)
        [one] = [await client.until_event(e.FunctionCallArgumentsDone)]
        await client.until_event(e.ResponseDone)
        await client.send(e.FunctionCallOutput(one.call_id or "", "{}"))
        await client.until_event(e.ConversationItemCreated, 2)
        assert not service.replies[1:]
        await client.send(e.ResponseCreate())
        await client.until_event(e.ResponseDone, 2)
        assert service.replies[1].pcm == voices.pcm("time")


async def test_an_output_of_an_abandoned_turn_is_not_answered() -> None:
    async with Service(QUICK, asking("get_time")) as service, call(service) as client:
        await client.say(*QUESTION)
        one = await client.until_event(e.FunctionCallArgumentsDone)
        await client.until_event(e.ResponseDone)
        await client.say(speech(300))
        await client.send(e.FunctionCallOutput(one.call_id or "", "{}"))
        await client.until_event(e.ConversationItemCreated, 2)
        await client.say(speech(300), silence(600))
        await client.until_event(e.ResponseDone, 2)
        assert [reply.text for reply in service.replies] == ["", ""]
        assert len(client.of(e.FunctionCallArgumentsDone)) == 2


async def test_an_output_that_comes_twice() -> None:
    async with Service(QUICK, asking("get_time")) as service, call(service) as client:
        await client.say(*QUESTION)
        one = await client.until_event(e.FunctionCallArgumentsDone)
        await client.send(*[e.FunctionCallOutput(one.call_id or "", "{}")] * 2)
        await client.until_event(e.ResponseDone, 2)
        await service.wait_for(lambda: service.violations)
        [turn] = service.turns
        assert (turn.calls, turn.outputs) == ({one.call_id: "get_time"}, {one.call_id: ["{}", "{}"]})
        assert turn.violations == service.violations == ["output of a tool twice"]
        assert turn.answered


async def test_what_a_client_sent_is_counted_by_turn() -> None:
    async with Service(QUICK) as service, call(service) as client:
        await client.say(speech(600))
        await client.send(e.InputAudioBufferCommit(), e.ResponseCreate())
        await client.until_event(e.ResponseDone)
        await client.say(*QUESTION)
        await client.until_event(e.ResponseDone, 2)
        await client.send(e.ResponseCancel(None), e.InputAudioBufferCommit(), e.InputAudioBufferCommit())
        await client.until_event(e.ErrorEvent, 4)
        first, second = service.turns
        assert first.seen == {e.InputAudioBufferCommit: 1, e.ResponseCreate: 1}
        assert second.seen == {e.ResponseCancel: 1, e.InputAudioBufferCommit: 2}
        assert [reply.turn for reply in service.replies] == [0, 1]


async def test_an_output_of_a_tool_that_nobody_called() -> None:
    async with Service() as service, call(service) as client:
        await client.send(e.FunctionCallOutput("call_x", "{}"))
        assert (await client.until_event(e.ErrorEvent)).code == "invalid_tool_call_id"
        assert service.violations == ["output of a tool that was not called"]
