"""The link against the embedded service, over real WebSockets: sessions, closes, and what it reports of them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import warnings
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.errors import CredentialError
from appliance.link.failures import Class
from appliance.link.handshake import ConnectionSettings
from appliance.link.link import Link, LinkEvent, LinkState, SessionClosed, SessionFailed, SessionLost, SessionOpened
from appliance.link.retry import Policy, RetryTimes
from appliance.realtime import events
from appliance.simulator.scenario import Close, Connection, Fail, Freeze, HangUp, Moment, Reset, Scenario, Step, faults
from appliance.simulator.service import Service
from appliance.simulator.settings import SimulatorSettings
from tests.support.certificates import of_server
from tests.support.held_port import held_port

KEY = "swaram_test_0123456789"
SETTINGS = events.SessionSettings("Be kind.", "mal-female")


def settings(url: str) -> ConnectionSettings:
    """Quick times: nothing here waits for a real network."""
    return ConnectionSettings(
        url=f"{url}?model=mal-realtime-simple",
        dialect=events.Dialect.SWARAM,
        always=False,
        connect_timeout_s=5.0,
        configure_timeout_s=2.0,
        ping_interval_s=5.0,
        ping_timeout_s=5.0,
        send_timeout_s=2.0,
        close_timeout_s=0.5,
        idle_close_s=60.0,
        max_session_s=1500.0,
        max_message_bytes=1 << 25,
        ca_file="",
        proxy="",
    )


TIMES = RetryTimes(backoff_first_s=0.02, backoff_cap_s=0.1, credit_probe_s=900, limit_probe_s=60, renewable=False)


class Rig:
    """A link that runs, and everything it reported."""

    def __init__(self, chosen: ConnectionSettings, key: str = KEY, times: RetryTimes = TIMES) -> None:
        self.reported: list[LinkEvent] = []
        self._changed = asyncio.Event()
        self.audio: list[bytes] = []
        self.sent = 0

        async def credential() -> str:
            if not key:
                raise CredentialError("no key anywhere")
            return key

        self.link = Link(
            chosen,
            SETTINGS,
            credential,
            self._next,
            self._sent,
            self._report,
            Policy(times),
            credential_stamp=lambda: self.stamp,
            jitter=lambda: 1.0,
        )
        self.stamp = 0

    def state(self) -> LinkState:
        """A method, so that a type checker does not take it for constant."""
        return self.link.state

    def _next(self) -> bytes | None:
        return self.audio.pop(0) if self.audio else None

    def _sent(self) -> None:
        self.sent += 1
        self._changed.set()

    def _report(self, event: LinkEvent) -> None:
        self.reported.append(event)
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def reports(self, kind: type[LinkEvent], count: int = 1) -> list[LinkEvent]:
        """Wait until so many events of one kind were reported; returns them."""
        await self.until(lambda: sum(isinstance(event, kind) for event in self.reported) >= count)
        return [event for event in self.reported if isinstance(event, kind)]


@contextlib.asynccontextmanager
async def running(rig: Rig) -> AsyncIterator[Rig]:
    task = asyncio.create_task(rig.link.run())
    try:
        yield rig
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with Service(SimulatorSettings(key=KEY)) as running_service:
        yield running_service


async def test_nothing_is_opened_before_it_is_wanted(service: Service) -> None:
    async with running(Rig(settings(service.url))) as rig:
        await asyncio.sleep(0)
        assert rig.link.state is LinkState.CLOSED and not service.connections
        rig.link.want()
        await rig.reports(SessionOpened)
    (connection,) = service.connections
    assert connection.settings == SETTINGS and not connection.violations
    assert connection.headers["Authorization"] == f"Bearer {KEY}" and KEY not in connection.path
    assert connection.close_code == 1000


async def test_the_settings_come_first_and_audio_only_after_they_are_confirmed(service: Service) -> None:
    async with running(Rig(settings(service.url))) as rig:
        rig.audio = [b"\x01\x00" * 960] * 3
        rig.link.want()
        await rig.until(lambda: rig.sent == 3)
        await service.wait_for(lambda: service.connections[0].audio_bytes == 3 * 1920)
    kinds = [type(event) for _, event in service.connections[0].received]
    assert kinds[0] is events.SessionUpdate and not service.connections[0].violations


async def test_a_message_larger_than_the_library_default_passes(service: Service) -> None:
    from appliance.simulator.scenario import SendRaw

    long = '{"type":"of.a.newer.service","padding":"' + "x" * 20_000_000 + '"}'
    service.scenario = Scenario(connections=(Connection(steps=(Step(on=Moment.READY, do=SendRaw(long)),)),))
    async with running(Rig(settings(service.url))) as rig:
        rig.link.want()
        await rig.reports(SessionOpened)
        rig.link.send(events.InputAudioBufferCommit())
        await service.wait_for(lambda: bool(service.connections[0].received_of(events.InputAudioBufferCommit)))
        assert rig.link.state is LinkState.OPEN


@pytest.mark.parametrize("error", ["known", "unknown", "none"])
@pytest.mark.parametrize("code", [4001, 4003, 4008])
async def test_the_close_code_latches_whatever_the_error_said(service: Service, code: int, error: str) -> None:
    step = Step(on=Moment.OPEN, do=Close(code=code, error=error))  # type: ignore[arg-type]
    service.scenario = Scenario(connections=(Connection(steps=(step,)),))
    async with running(Rig(settings(service.url))) as rig:
        rig.link.want()
        (failed,) = await rig.reports(SessionFailed)
        assert isinstance(failed, SessionFailed)
        assert failed.verdict.class_ is {4001: Class.KEY, 4003: Class.ACCOUNT, 4008: Class.LIMIT}[code]
        assert rig.link.state is LinkState.LATCHED and len(service.connections) == 1


async def test_hammering_a_latched_link_makes_no_attempts(service: Service) -> None:
    service.scenario = Scenario(connections=(Connection(http=401),))
    async with running(Rig(settings(service.url))) as rig:
        rig.link.want()
        await rig.reports(SessionFailed)
        for count in range(2, 12):
            rig.link.want()
            await rig.reports(SessionFailed, count)
        assert len(service.connections) == 1


@pytest.mark.parametrize(
    "trouble",
    [
        Connection(http=503),
        Connection(http=429, headers={"Retry-After": "0"}),
        Connection(steps=(Step(on=Moment.OPEN, do=Close(code=1013)),)),
        Connection(steps=(Step(on=Moment.READY, do=Close(code=1000, error="none")),)),
        Connection(steps=(Step(on=Moment.READY, do=Close(code=None, error="none")),)),
        Connection(steps=(Step(on=Moment.READY, do=Close(code=1001, error="none")),)),
        Connection(steps=(Step(on=Moment.READY, do=Reset()),)),
        Connection(steps=(Step(on=Moment.READY, do=HangUp()),)),
        Connection(steps=(Step(on=Moment.READY, do=Fail()),)),
    ],
    ids=["503", "429", "1013", "1000", "1005", "1001", "reset", "hang-up", "server_error"],
)
async def test_transient_trouble_is_retried_while_wanted(service: Service, trouble: Connection) -> None:
    service.scenario = faults(trouble, trouble)
    async with running(Rig(settings(service.url))) as rig:
        rig.link.want()
        await rig.reports(SessionLost, 2)
        await service.wait_for(lambda: len(service.connections) == 3 and service.connections[2].is_open)
        await rig.until(lambda: rig.link.state is LinkState.OPEN)


async def test_when_nobody_waits_any_more_the_link_rests(service: Service) -> None:
    """On demand, an attempt that fails after the turn was given up is the last."""
    service.scenario = Scenario(connections=(Connection(http=503),))
    slow = replace(TIMES, backoff_first_s=0.1)
    async with running(Rig(settings(service.url), times=slow)) as rig:
        rig.link.want()
        await rig.reports(SessionLost)
        rig.link.release()
        await rig.until(lambda: rig.link.state is LinkState.CLOSED)
        assert len(service.connections) == 1


async def test_a_press_skips_our_backoff_but_not_the_services_wish(service: Service) -> None:
    service.scenario = faults(Connection(http=503, headers={"Retry-After": "1"}))
    slow = replace(TIMES, backoff_first_s=30.0, backoff_cap_s=30.0)
    async with running(Rig(settings(service.url), times=slow)) as rig:
        loop = asyncio.get_running_loop()
        rig.link.want()
        await rig.reports(SessionLost)
        refused_s = loop.time()
        rig.link.want()
        await rig.reports(SessionOpened)
        assert 0.9 <= loop.time() - refused_s < 10


async def test_a_service_that_says_nothing_at_all(service: Service) -> None:
    service.scenario = Scenario(connections=(Connection(steps=(Step(on=Moment.OPEN, do=Freeze()),)),))
    async with running(Rig(replace(settings(service.url), configure_timeout_s=0.2))) as rig:
        rig.link.want()
        (lost, *_) = await rig.reports(SessionLost)
        assert isinstance(lost, SessionLost) and "confirm" in lost.verdict.line and not lost.was_open


async def test_settings_that_are_refused_name_the_setting(service: Service) -> None:
    service.scenario = Scenario(connections=(Connection(refuse_setting="voice"),))
    async with running(Rig(settings(service.url))) as rig:
        rig.link.want()
        (failed,) = await rig.reports(SessionFailed)
        assert isinstance(failed, SessionFailed)
        assert failed.verdict.class_ is Class.SETTINGS and "voice" in failed.verdict.happened


async def test_a_service_that_complains_again_and_again_is_left_after_a_second(service: Service) -> None:
    """It may answer every append with an error; each further one must not put the end off (decision 11)."""
    complaints = tuple(Step(on=Moment.READY, do=Fail(), after_ms=ms) for ms in range(0, 5000, 500))
    service.scenario = faults(Connection(steps=complaints))
    async with running(Rig(settings(service.url))) as rig:
        loop = asyncio.get_running_loop()
        rig.link.want()
        await rig.reports(SessionOpened)
        opened_s = loop.time()
        await rig.reports(SessionLost)
        assert loop.time() - opened_s < 2


async def test_a_line_that_goes_silent_is_noticed(service: Service) -> None:
    service.scenario = Scenario(connections=(Connection(steps=(Step(on=Moment.READY, do=Freeze()),)), Connection()))
    async with running(Rig(replace(settings(service.url), ping_interval_s=0.1, ping_timeout_s=0.2))) as rig:
        rig.link.want()
        (lost,) = await rig.reports(SessionLost)
        assert isinstance(lost, SessionLost) and "silent" in lost.verdict.line and lost.was_open
        await rig.reports(SessionOpened, 2)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "connection through (407)"),
        (b"what?\r\n\r\n", "connection through (did not receive a valid HTTP response from proxy)"),
    ],
)
async def test_a_proxy_that_refuses_is_named(service: Service, answer: bytes, text: str) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with running(Rig(replace(settings(service.url), proxy=f"http://127.0.0.1:{port}"))) as rig:
            rig.link.want()
            (lost, *_) = await rig.reports(SessionLost)
    assert isinstance(lost, SessionLost) and text in lost.verdict.happened and "link.proxy" in lost.verdict.fix


async def test_a_line_under_tls_that_breaks_while_audio_is_due(certificate: Path) -> None:
    """asyncio's TLS forgets the socket some turns of the loop before anybody is told of the connection's end."""
    scenario = faults(Connection(steps=(Step(on=Moment.READY, do=Reset(), after_ms=5),)))
    async with (
        Service(scenario=scenario, tls=of_server(certificate)) as service,
        running(Rig(replace(settings(service.url), ca_file=str(certificate)))) as rig,
    ):
        rig.link.want()
        async with asyncio.timeout(10):
            while rig.reported.count(SessionOpened()) < 2:
                rig.link.kick()
                await asyncio.sleep(0)
        assert any(isinstance(event, SessionLost) and event.was_open for event in rig.reported)


async def test_an_idle_session_is_closed_and_a_busy_one_is_not(service: Service) -> None:
    async with running(Rig(replace(settings(service.url), idle_close_s=0.2))) as rig:
        rig.link.want()
        await rig.reports(SessionOpened)
        await asyncio.sleep(0.5)
        assert rig.link.state is LinkState.OPEN
        rig.link.release()
        (closed,) = await rig.reports(SessionClosed)
        assert closed == SessionClosed("idle")
        await service.wait_for(lambda: service.connections[0].close_code == 1000)


async def test_without_a_key_nothing_is_dialled(service: Service) -> None:
    async with running(Rig(settings(service.url), key="")) as rig:
        rig.link.want()
        (failed,) = await rig.reports(SessionFailed)
        assert isinstance(failed, SessionFailed) and failed.verdict.class_ is Class.KEY and not service.connections


async def test_nobody_listens() -> None:
    with held_port() as port:
        async with running(Rig(settings(f"ws://127.0.0.1:{port}/v1/realtime"))) as rig:
            rig.link.want()
            (lost, *_) = await rig.reports(SessionLost)
        assert isinstance(lost, SessionLost) and "could not be reached" in lost.verdict.line


async def test_a_redirect_is_not_followed_with_the_key(service: Service) -> None:
    async with Service() as elsewhere:
        headers = {"Location": elsewhere.url}
        service.scenario = Scenario(connections=(Connection(http=302, headers=headers),))
        async with running(Rig(settings(service.url))) as rig:
            rig.link.want()
            (lost, *_) = await rig.reports(SessionLost)
            assert isinstance(lost, SessionLost) and lost.verdict.class_ is Class.NETWORK and not elsewhere.connections


async def test_stopping_closes_with_1000(service: Service) -> None:
    async with running(Rig(settings(service.url))) as rig:
        rig.link.want()
        await rig.reports(SessionOpened)
    await service.wait_for(lambda: service.connections[0].close_code == 1000)


@pytest.mark.parametrize("secure", [False, True])
async def test_stopping_at_any_moment_of_a_handshake_leaves_no_socket_open(secure: bool, certificate: Path) -> None:
    tls = of_server(certificate) if secure else None
    async with Service(tls=tls) as service:
        chosen = replace(settings(service.url), ca_file=str(certificate) if secure else "")
        opened, steps = False, 0
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always", ResourceWarning)
            while not opened:
                rig = Rig(chosen)
                async with running(rig):
                    rig.link.want()
                    for _ in range(steps):
                        await asyncio.sleep(0)
                    opened = rig.state() is LinkState.OPEN
                del rig
                steps += 1
            gc.collect()
        assert not [str(warning.message) for warning in warned]
        assert steps > 2
