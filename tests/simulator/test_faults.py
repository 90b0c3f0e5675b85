"""Everything that goes wrong on demand, as a client sees it."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from appliance.realtime import events as e
from appliance.simulator.scenario import (
    Action,
    Close,
    Fail,
    Freeze,
    HangUp,
    Moment,
    Reply,
    Reset,
    Scenario,
    SendRaw,
    Silence,
    Speak,
    Step,
    Turn,
    faults,
)
from appliance.simulator.scenario import Connection as Plan
from appliance.simulator.service import Service
from appliance.simulator.settings import PATH, SimulatorSettings
from tests.simulator.client import KEY, SIMPLE, Client, call, dial, silence, speech
from tests.support.certificates import of_server
from tests.support.held_port import held_port


def at(moment: Moment, *actions: Action) -> Scenario:
    """One connection in which that happens at that moment, then good ones."""
    return faults(Plan(steps=tuple(Step(on=moment, do=action) for action in actions)))


async def refused(service: Service, model: str = SIMPLE, key: str = KEY) -> InvalidStatus:
    with pytest.raises(InvalidStatus) as caught:
        async with dial(service, model, key):
            pass
    return caught.value


async def expect_a_good_turn(service: Service) -> None:
    async with call(service) as client:
        await client.say(speech(400), silence(600))
        assert (await client.until_event(e.ResponseDone)).status == "completed"


# ---------------------------------------------------------------- the handshake


async def test_http_refusals_in_a_row_then_accepted() -> None:
    plans = faults(
        Plan(http=503, headers={"Retry-After": "2"}),
        Plan(http=429),
        Plan(http=302, headers={"Location": f"{PATH}?model={SIMPLE}"}),
    )
    async with Service(SimulatorSettings(speed=0), plans) as service:
        response = (await refused(service)).response
        assert (response.status_code, response.headers["Retry-After"]) == (503, "2")
        assert (await refused(service)).response.status_code == 429
        # The library follows a redirect by itself: the fourth attempt is its own.
        await expect_a_good_turn(service)
        assert [record.status for record in service.connections] == [503, 429, 302, 101]


async def test_the_last_plan_repeats_until_the_scenario_is_set_anew() -> None:
    async with Service(scenario=Scenario(connections=(Plan(http=402),))) as service:
        for _ in range(3):
            assert (await refused(service)).response.status_code == 402
        service.scenario = Scenario()
        async with call(service):
            assert len(service.accepted) == 1


async def test_an_accept_that_takes_its_time() -> None:
    async with Service(scenario=faults(Plan(accept_after_ms=150))) as service:
        begun_s = time.monotonic()
        async with call(service):
            assert time.monotonic() - begun_s >= 0.15


async def test_the_service_ends_while_a_handshake_waits() -> None:
    async with Service(scenario=faults(Plan(accept_after_ms=3_600_000))) as service:
        attempt = asyncio.create_task(refused(service))
        await service.wait_for(lambda: service.connections)
    assert (await attempt).response.status_code == 503


@pytest.mark.parametrize("key", ["", "swaram_wrong"])
async def test_a_wrong_or_missing_key_is_said_twice(key: str) -> None:
    async with Service(SimulatorSettings(key=KEY)) as service, dial(service, key=key) as client:
        await client.until_closed()
        assert client.close_code == 4001
        assert client.events == [
            e.ErrorEvent("invalid_request_error", "invalid_api_key", "Invalid or missing API key.")
        ]


async def test_a_wrong_key_at_the_handshake() -> None:
    async with Service(SimulatorSettings(key=KEY, key_check="http")) as service:
        assert (await refused(service, key="swaram_wrong")).response.status_code == 401
        async with dial(service, key=KEY) as client:
            await client.until_event(e.SessionCreated)


async def test_a_key_in_the_url_counts_for_nothing() -> None:
    async with Service(SimulatorSettings(key=KEY)) as service:
        async with dial(service, model=f"m&api_key={KEY}", key="") as client:
            await client.until_closed()
            assert client.close_code == 4001
        assert service.violations == ["a key in the URL"]


async def test_wrong_address() -> None:
    async with Service() as service:
        assert (await refused(service, model="")).response.status_code == 400


async def test_one_connection_too_many() -> None:
    async with Service(SimulatorSettings(max_connections=1)) as service, call(service):
        async with dial(service) as second:
            await second.until_closed()
            assert second.close_code == 4008
        await service.wait_for(lambda: len(service.open_connections) == 1)
        assert service.most_open == 2


async def test_nobody_listens_after_the_end() -> None:
    with held_port() as port:
        async with Service(SimulatorSettings(port=port)) as service:
            pass
        with pytest.raises(ConnectionRefusedError):
            async with dial(service):
                pass


# ---------------------------------------------------------------- the end of a connection


@pytest.mark.parametrize("code", [4001, 4003, 4008, 1013, 1011])
async def test_a_close_with_its_known_error(code: int) -> None:
    async with Service(scenario=at(Moment.READY, Close(code))) as service, call(service) as client:
        await client.until_closed()
        assert client.close_code == code
        assert client.of(e.ErrorEvent)
        assert service.connections[0].own_close_code == code


async def test_a_close_with_an_unknown_error_and_with_none() -> None:
    plans = (Close(4003, error="unknown"), Close(4003, error="none", reason="why"))
    async with Service(scenario=faults(*(Plan(steps=(Step(on=Moment.OPEN, do=one),)) for one in plans))) as service:
        async with dial(service) as client:
            await client.until_closed()
            assert [error.code for error in client.of(e.ErrorEvent)] == ["of_a_newer_service"]
        async with dial(service) as client:
            await client.until_closed()
            assert client.closed is not None and client.closed.rcvd is not None
            assert (client.closed.rcvd.code, client.closed.rcvd.reason, client.events) == (4003, "why", [])


async def test_a_close_without_a_code() -> None:
    async with Service(scenario=at(Moment.OPEN, Close(None))) as service, dial(service) as client:
        await client.until_closed()
        assert client.close_code == 1005


@pytest.mark.parametrize("action", [Reset(), HangUp()])
async def test_the_connection_is_lost_after_so_much_audio(action: Action) -> None:
    step = Step(on=Moment.AUDIO, audio_ms=1000, do=action)
    async with Service(SimulatorSettings(speed=0), faults(Plan(steps=(step,)))) as service:
        async with call(service) as client:
            await client.say(speech(1000))
            await client.until_closed()
            assert client.close_code is None
            await service.wait_for(lambda: not service.open_connections)
            assert service.connections[0].audio == speech(1000)
        await expect_a_good_turn(service)


async def test_a_reset_is_seen_as_one() -> None:
    async with Service(scenario=at(Moment.OPEN, Reset())) as service, dial(service) as client:
        await client.until_closed()
        assert client.closed is not None
        assert isinstance(client.closed.__cause__, ConnectionResetError)


async def test_a_close_some_time_after_a_moment() -> None:
    step = Step(on=Moment.SPEECH, do=Close(1013), after_ms=100)
    async with Service(scenario=faults(Plan(steps=(step,)))) as service, call(service) as client:
        await client.say(speech(400))
        await client.until_closed()
        [started_s] = [at_s for at_s, event in service.connections[0].sent if isinstance(event, e.SpeechStarted)]
        [error_s] = [at_s for at_s, event in service.connections[0].sent if isinstance(event, e.ErrorEvent)]
        assert error_s - started_s >= 0.1
        assert client.close_code == 1013


async def test_a_frozen_connection_answers_no_ping_and_does_not_hinder_the_end() -> None:
    async with Service(scenario=at(Moment.READY, Freeze())) as service, call(service) as client:
        pong = await client.connection.ping()
        await client.say(speech(40))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await pong
        assert service.connections[0].audio_ms == 0
        client.connection.transport.abort()


async def test_accepted_and_silent() -> None:
    async with Service(scenario=at(Moment.OPEN, Silence())) as service, dial(service) as client:
        await client.send(e.SessionUpdate(e.SessionSettings("", "mal-female")))
        await client.say(speech(400), silence(600))
        await service.wait_for(lambda: service.turns)
        await (await client.connection.ping())
        assert client.messages == []


async def test_settings_that_are_never_confirmed_and_settings_that_are_refused() -> None:
    unconfirmed = Plan(steps=(Step(on=Moment.SETTINGS, do=Silence()),))
    async with Service(scenario=faults(unconfirmed, Plan(refuse_setting="instructions"))) as service:
        async with dial(service) as client:
            await client.send(e.SessionUpdate(e.SessionSettings("", "mal-female")))
            await service.wait_for(lambda: service.connections[0].settings)
            assert [type(event) for _, event in service.connections[0].sent] == [e.SessionCreated]
        async with dial(service) as client:
            await client.send(e.SessionUpdate(e.SessionSettings("", "mal-female")))
            assert "session.instructions" in (await client.until_event(e.ErrorEvent)).message
            assert not client.of(e.SessionUpdated)


async def test_the_connection_breaks_in_the_middle_of_a_reply() -> None:
    step = Step(on=Moment.DELTA, nth=3, do=Reset())
    # As slow as it sounds: the next delta is not due before the connection is reset, however busy this machine is.
    turn = Turn(replies=(Reply(tone_ms=2000, delta_ms=100, delay_ms=0, speed=1),))
    async with Service(scenario=faults(Plan(steps=(step,), turns=(turn,)))) as service, call(service) as client:
        await client.say(speech(400), silence(600))
        await client.until_closed()
        assert bytes(service.replies[0].sent_audio) == service.replies[0].pcm[: 3 * 4800]


async def test_a_server_error_leaves_the_connection_open() -> None:
    async with Service(SimulatorSettings(speed=0), at(Moment.TURN, Fail())) as service, call(service) as client:
        await client.say(speech(400), silence(600))
        await client.until_event(e.ResponseDone)
        assert client.of(e.ErrorEvent)[0].type == "server_error"


@pytest.mark.parametrize(("action", "code"), [(Reset(), None), (HangUp(), None), (Freeze(), None), (Close(4003), 4003)])
async def test_the_same_over_tls(certificate: Path, action: Action, code: int | None) -> None:
    client_tls = ssl.create_default_context(cafile=str(certificate))
    async with Service(scenario=at(Moment.SETTINGS, action), tls=of_server(certificate)) as service:
        assert service.url.startswith("wss://127.0.0.1:")
        async with dial(service, tls=client_tls) as client:
            await client.until_event(e.SessionCreated)
            await client.send(e.SessionUpdate(e.SessionSettings("", "")))
            await service.wait_for(lambda: service.connections[0].settings)
            if isinstance(action, Freeze):
                client.connection.transport.abort()
            await client.until_closed()
            assert client.close_code == code


# ---------------------------------------------------------------- bad input, both ways


async def test_raw_messages_in_the_middle_of_a_reply() -> None:
    messages = ('not JSON, of "$RESPONSE"', b"\x00binary", '{"type":"x.y"}')
    steps = at(Moment.REPLY, *(SendRaw(message) for message in messages))
    async with Service(SimulatorSettings(speed=0), steps) as service, call(service) as client:
        await client.say(speech(400), silence(600))
        done = await client.until_event(e.ResponseDone)
        assert client.of(e.UnknownEvent) == [e.UnknownEvent("x.y")]
        assert f'not JSON, of "{done.response_id}"' in client.messages
        assert b"\x00binary" in client.messages
        assert service.connections[0].sent_raw == [f'not JSON, of "{done.response_id}"', *messages[1:]]


async def test_a_huge_message() -> None:
    huge = '{"type":"huge","x":"' + 20_000_000 * "x" + '"}'
    async with Service(scenario=at(Moment.OPEN, SendRaw(huge))) as service:
        with socket.create_connection(("127.0.0.1", service.port)) as stranger:
            stranger.send(b"no HTTP\r\n\r\n")  # The service survives this too.
        async with dial(service) as client:
            await client.until_closed()
            # The plain client's own limit; that all of it leaves is what counts here.
            assert client.closed is not None and client.closed.sent is not None
            assert client.closed.sent.code == 1009


@pytest.mark.parametrize(
    "message", ["junk", b"\x01", '{"type":"conversation.item.truncate"}', '{"type":"input_audio_buffer.append"}']
)
async def test_messages_that_are_no_events_of_the_subset(message: str | bytes) -> None:
    async with Service(SimulatorSettings(speed=0)) as service, call(service) as client:
        await client.connection.send(message)
        assert (await client.until_event(e.ErrorEvent)).code == "invalid_event"
        assert len(service.violations) == 1
        await client.say(speech(400), silence(600))
        await client.until_event(e.ResponseDone)


async def test_a_fault_of_the_service_itself_does_not_go_unseen() -> None:
    broken = at(Moment.OPEN, Speak(Reply(voice="no-such-recording")))
    with pytest.raises(ExceptionGroup, match="embedded service failed"):
        async with Service(scenario=broken) as service, dial(service) as client:
            await client.until_closed()


async def test_waiting_in_vain_says_what_happened() -> None:
    async with Service() as service, call(service) as client:
        await client.say(silence(80))
        await service.wait_for(lambda: service.connections[0].audio_ms == 80)
        with pytest.raises(TimeoutError, match="connection 0: HTTP 101, 80 ms of audio, 0 turns, 0 replies, open"):
            await service.wait_for(lambda: service.turns, timeout_s=0.01)


async def test_a_service_without_records_keeps_nothing() -> None:
    async with Service(SimulatorSettings(speed=0, keep_records=False)) as service:
        async with call(service) as client:
            await client.say(speech(400), silence(600))
            await client.until_event(e.ResponseDone)
            [record] = service.connections
            assert not (record.received or record.sent or record.turns or record.replies)
            assert record.audio_ms == 1000
        await service.wait_for(lambda: not service.connections)


async def test_closing_by_the_client_is_recorded() -> None:
    async with Service() as service:
        client: Client
        async with call(service) as client:
            await client.connection.close(1000)
        await service.wait_for(lambda: not service.open_connections)
        assert (service.connections[0].close_code, service.connections[0].own_close_code) == (1000, None)
