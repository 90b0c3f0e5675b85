"""The link against services that take their settings each in its own way, over real WebSockets.

The service here is a few lines of a real server, so that its JSON is written down and not made by our own codec.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from appliance.link.failures import Class
from appliance.link.link import SessionClosed, SessionFailed, SessionLost, SessionOpened
from appliance.realtime.opening import CLOSE_AFTER_ERROR_S, CONFIRM_S, REFUSAL_S
from appliance.realtime.session import Note
from tests.link.test_link import Rig, running, settings

Answer = Callable[["Wire", dict[str, Any]], Awaitable[None]]

CREATED = {"type": "session.created"}
UPDATED = {"type": "session.updated"}
REFUSAL = {"type": "error", "error": {"type": "invalid_request_error", "message": "Missing: 'session.type'."}}
LOCKED = {"type": "error", "error": {"type": "invalid_request_error", "code": "session_locked", "message": "Locked."}}
THEIRS = {"type": "session.created", "session": {"instructions": "the owner's", "voice": "mal-female", "tools": []}}
PCM = b"\x01\x00" * 1440


class Wire:
    """One connection as the service sees it."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection
        self.settings: list[dict[str, Any]] = []
        """The ``session`` of each session.update."""
        self.heard = asyncio.Event()
        """Audio has arrived."""

    async def say(self, *events: dict[str, Any]) -> None:
        for event in events:
            await self._connection.send(json.dumps(event))

    async def close(self, code: int) -> None:
        await self._connection.close(code)


@contextlib.asynccontextmanager
async def serving(answer: Answer, greeting: dict[str, Any] | None = None) -> AsyncIterator[tuple[str, list[Wire]]]:
    """A service that answers each session.update so. ``greeting``: what it says on connecting; None: nothing."""
    wires: list[Wire] = []

    async def converse(connection: ServerConnection) -> None:
        wires.append(wire := Wire(connection))
        if greeting is not None:
            await wire.say(greeting)
        with contextlib.suppress(ConnectionClosed):
            async for message in connection:
                event = json.loads(message)
                if event["type"] == "session.update":
                    wire.settings.append(event["session"])
                    await answer(wire, event["session"])
                else:
                    wire.heard.set()

    async with serve(converse, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}/v1/realtime", wires


def nested(session: dict[str, Any]) -> bool:
    return session.get("type") == "realtime"


def notes(rig: Rig) -> list[str]:
    return [event.text for event in rig.reported if isinstance(event, Note) and event.level == "warning"]


async def confirms(wire: Wire, session: dict[str, Any]) -> None:
    await wire.say(UPDATED)


async def wants_nested(wire: Wire, session: dict[str, Any]) -> None:
    await wire.say(UPDATED if nested(session) else REFUSAL)


async def says_nothing(wire: Wire, session: dict[str, Any]) -> None:
    pass


async def refuses(wire: Wire, session: dict[str, Any]) -> None:
    await wire.say(REFUSAL)


async def test_events_without_their_session_are_enough() -> None:
    async with serving(confirms, CREATED) as (url, wires), running(Rig(settings(url))) as rig:
        rig.link.want()
        await rig.reports(SessionOpened)
        assert not nested(wires[0].settings[0]) and not notes(rig)


async def test_a_service_of_the_other_dialect_is_found_in_one_session_and_remembered() -> None:
    async with serving(wants_nested, CREATED) as (url, wires), running(Rig(settings(url))) as rig:
        rig.audio = [PCM]
        rig.link.want()
        await rig.reports(SessionOpened)
        await rig.until(lambda: rig.sent == 1)
        assert list(map(nested, wires[0].settings)) == [False, True]
        assert wires[0].settings[1]["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}
        (note,) = notes(rig)
        assert 'service.dialect = "openai"' in note and rig.link.fault is None
        rig.link.close("the test goes on")
        await rig.reports(SessionClosed)
        rig.link.want()
        await rig.reports(SessionOpened, 2)
        assert list(map(nested, wires[1].settings)) == [True] and len(notes(rig)) == 1


async def test_an_error_before_the_confirmation_ends_nothing() -> None:
    """It was about something else; a second after it the session is still open, and no fault is shown."""

    async def answer(wire: Wire, session: dict[str, Any]) -> None:
        await wire.say(REFUSAL, UPDATED)

    async with serving(answer, CREATED) as (url, wires), running(Rig(settings(url))) as rig:
        rig.link.want()
        await rig.reports(SessionOpened)
        await asyncio.sleep(CLOSE_AFTER_ERROR_S + 0.2)
        assert rig.reported.count(SessionOpened()) == 1 and rig.link.session is not None and rig.link.fault is None
        assert len(wires[0].settings) == 1


async def test_a_server_error_before_the_confirmation_ends_nothing_either() -> None:
    async def answer(wire: Wire, session: dict[str, Any]) -> None:
        await wire.say({"type": "error", "error": {"type": "server_error", "message": "Retry."}}, UPDATED)

    async with serving(answer, CREATED) as (url, _), running(Rig(settings(url))) as rig:
        rig.link.want()
        await rig.reports(SessionOpened)
        await asyncio.sleep(CLOSE_AFTER_ERROR_S + 0.2)
        assert rig.link.session is not None


async def test_a_service_that_never_confirms_is_talked_to_after_a_while_and_then_at_once() -> None:
    async with serving(says_nothing, CREATED) as (url, wires), running(Rig(settings(url))) as rig:
        loop = asyncio.get_running_loop()
        rig.audio = [PCM]
        began_s = loop.time()
        rig.link.want()
        await rig.until(lambda: rig.sent == 1)
        # Half of configure_timeout_s, which is 2 s here.
        assert 0.9 < loop.time() - began_s < CONFIRM_S
        rig.link.close("the test goes on")
        await rig.reports(SessionClosed)
        rig.audio = [PCM]
        began_s = loop.time()
        rig.link.want()
        await rig.until(lambda: rig.sent == 2)
        assert loop.time() - began_s < 0.5
        await wires[1].heard.wait()
        assert [len(wire.settings) for wire in wires] == [1, 1]


@pytest.mark.parametrize("lives", [False, True], ids=["dead", "silent until it answers"])
async def test_a_service_that_died_behind_session_created_is_left_and_one_that_answers_is_not(lives: bool) -> None:
    """A question must not wait for the end of its patience (talk.answer_s) in a session that nobody serves."""
    async with serving(says_nothing, CREATED) as (url, wires), running(Rig(settings(url))) as rig:
        rig.link.want()
        await rig.reports(SessionOpened)
        session = rig.link.session
        assert session is not None
        rig.link.send(session.commit())
        if lives:
            await wires[0].say({"type": "input_audio_buffer.speech_stopped"})
            await asyncio.sleep(2.2)
            assert rig.link.session is session and len(wires) == 1
        else:
            (lost,) = await rig.reports(SessionLost)
            assert isinstance(lost, SessionLost) and lost.was_open and lost.verdict.class_ is Class.TRANSIENT
            await rig.reports(SessionOpened, 2)


@pytest.mark.parametrize("answered", [REFUSAL, LOCKED], ids=["refused", "locked"])
async def test_locked_settings_are_gone_on_with(answered: dict[str, Any]) -> None:
    async def answer(wire: Wire, session: dict[str, Any]) -> None:
        await wire.say(answered)

    async with serving(answer, THEIRS) as (url, wires), running(Rig(settings(url))) as rig:
        rig.audio = [PCM]
        rig.link.want()
        await rig.until(lambda: rig.sent == 1)
        (note,) = notes(rig)
        assert note.endswith("not set: instructions")
        assert len(wires[0].settings) == (1 if answered is LOCKED else 2) and rig.link.fault is None
        rig.link.close("the test goes on")
        await rig.reports(SessionClosed)
        began_s = asyncio.get_running_loop().time()
        rig.link.want()
        await rig.reports(SessionOpened, 2)
        assert asyncio.get_running_loop().time() - began_s < REFUSAL_S


async def test_both_dialects_refused_and_nothing_to_go_on_with() -> None:
    async with serving(refuses, CREATED) as (url, wires), running(Rig(settings(url))) as rig:
        rig.link.want()
        (failed,) = await rig.reports(SessionFailed)
        assert isinstance(failed, SessionFailed) and failed.verdict.class_ is Class.SETTINGS
        assert "session.type" in failed.verdict.happened and rig.link.fault == 7
        assert [list(map(nested, wire.settings)) for wire in wires] == [[False, True]]


@pytest.mark.parametrize("code", [1003, 1007])
async def test_a_service_that_closes_on_the_wrong_dialect(code: int) -> None:
    async def answer(wire: Wire, session: dict[str, Any]) -> None:
        await (wire.say(UPDATED) if nested(session) else wire.close(code))

    async with serving(answer, CREATED) as (url, wires), running(Rig(settings(url))) as rig:
        rig.link.want()
        await rig.reports(SessionOpened)
        (lost,) = await rig.reports(SessionLost)
        assert isinstance(lost, SessionLost) and "service.dialect" in lost.verdict.line
        assert [list(map(nested, wire.settings)) for wire in wires] == [[False], [True]]


async def test_a_service_that_closes_on_both() -> None:
    async def answer(wire: Wire, session: dict[str, Any]) -> None:
        await wire.close(1003)

    async with serving(answer, CREATED) as (url, wires), running(Rig(settings(url))) as rig:
        rig.link.want()
        (failed,) = await rig.reports(SessionFailed)
        assert isinstance(failed, SessionFailed) and failed.verdict.class_ is Class.SETTINGS
        assert [list(map(nested, wire.settings)) for wire in wires] == [[False], [True]]


async def test_settings_that_are_refused_too_late_are_named_all_the_same() -> None:
    """Where little time is left, what the service said is worth more than that nothing was confirmed."""
    async with serving(refuses, CREATED) as (url, _):
        quick = replace(settings(url), configure_timeout_s=REFUSAL_S / 2)
        async with running(Rig(quick)) as rig:
            rig.link.want()
            (failed,) = await rig.reports(SessionFailed)
            assert isinstance(failed, SessionFailed) and "session.type" in failed.verdict.happened
