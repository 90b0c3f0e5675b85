"""What else stands between a box and its service: one row each, named as what it is, with its fix. Real sockets, on
loopback."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from appliance.doctor import voice_service as service_check
from appliance.doctor.finding import Grade
from appliance.link import failures, handshake
from appliance.link.failures import Class, What
from appliance.link.handshake import ConnectionSettings
from appliance.link.link import SessionFailed, SessionLost, SessionOpened
from appliance.simulator.service import Service
from appliance.simulator.settings import SimulatorSettings
from tests.link.test_link import KEY, Rig, running, settings
from tests.support.certificates import of_server, signed

NAME = "voice.test"


def resolving(monkeypatch: pytest.MonkeyPatch, answer: Callable[[int], Any]) -> None:
    """The running loop's resolver: it gives for ``NAME`` what ``answer`` gives for a port, and else its own."""
    loop = asyncio.get_running_loop()
    own = loop.getaddrinfo

    async def getaddrinfo(host: Any, port: Any, **how: Any) -> Any:
        return answer(port) if host == NAME else await own(host, port, **how)

    monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)


# ---------------------------------------------------------------- two addresses, of which the first leads nowhere

BLACK_HOLE = "127.0.0.2"


@contextlib.contextmanager
def black_hole(port: int) -> Iterator[None]:
    """Nothing that connects to ``BLACK_HOLE`` at ``port`` is ever answered: Linux drops what a full backlog cannot
    take."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((BLACK_HOLE, port))
        listener.listen(0)
        for _ in range(3):
            caller = stack.enter_context(socket.socket())
            caller.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                caller.connect((BLACK_HOLE, port))
        yield


def both(port: int) -> list[Any]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in (BLACK_HOLE, "127.0.0.1")]


async def test_the_second_address_is_tried_beside_one_that_leads_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, both)
    async with Service(SimulatorSettings(key=KEY)) as service:
        with black_hole(service.port):
            chosen = settings(service.url.replace("127.0.0.1", NAME))
            began_s = time.monotonic()
            async with running(Rig(chosen)) as rig:
                rig.link.want()
                await rig.reports(SessionOpened)
                took_s = time.monotonic() - began_s
    assert handshake.HEAD_START_S <= took_s < handshake.HEAD_START_S + 0.5, (
        "within half a second of the first one's head start"
    )


async def test_the_doctor_goes_the_same_way_and_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, both)
    async with Service(SimulatorSettings(key=KEY)) as service:
        with black_hole(service.port):
            found = await service_check.way(settings(service.url.replace("127.0.0.1", NAME)))
    by_name = {finding.name: finding for finding in found}
    reached = by_name[service_check.REACHABILITY]
    assert reached.verdict is Grade.OK and BLACK_HOLE in reached.line and reached.fix
    # Neither the head start nor the address that leads nowhere counts as the line's own time.
    assert float(by_name[service_check.ROUND_TRIP].line.split()[0]) < 1000 * handshake.HEAD_START_S


# ---------------------------------------------------------------- what answers in a way that it should not


def frame(opcode: int, payload: bytes, first: int = 0x80) -> bytes:
    """As a server sends it, unmasked."""
    length = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + struct.pack("!H", len(payload))
    return bytes([first | opcode]) + length + payload


def closing(code: int, reason: bytes = b"") -> bytes:
    return frame(8, struct.pack("!H", code) + reason)


Answering = AbstractAsyncContextManager[str]


@contextlib.asynccontextmanager
async def says(raw: bytes) -> AsyncIterator[str]:
    """A WebSocket server that sends ``raw`` as soon as it is open; its address."""

    async def handle(connection: ServerConnection) -> None:
        connection.transport.write(raw)
        await connection.wait_closed()

    async with serve(handle, "127.0.0.1", 0, compression=None) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/realtime"


@contextlib.asynccontextmanager
async def answers(raw: bytes, scheme: str = "ws", tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A TCP server that answers whatever it reads first with ``raw``; its address."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await reader.read(1)
            writer.write(raw)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls) as server:
        yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/realtime"


PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n<html>\r\n0\r\n\r\n"
SERVICES_FAULT = "for its support"


@dataclass(frozen=True, slots=True)
class Row:
    """``happened`` and ``fix``: parts of what is said. ``limit``: link.max_message_bytes."""

    answering: Callable[[], Answering]
    what: What
    class_: Class
    happened: str
    fix: str
    limit: int = 1 << 25


ROWS = {
    "a web page": Row(lambda: answers(PAGE), What.HTTP, Class.SETTINGS, "(200)", "service.url"),
    "a web page in chunks": Row(lambda: answers(CHUNKED), What.HTTP, Class.SETTINGS, "(200)", "service.url"),
    "plain HTTP on the TLS port": Row(
        lambda: answers(PAGE, "wss"), What.NOT_TLS, Class.NETWORK, "does not speak TLS", "port in service.url"
    ),
    **{
        f"a close with {code}": Row(
            lambda code=code: says(closing(code)),  # type: ignore[misc]
            What.CLOSE_FRAME,
            Class.TRANSIENT,
            "closed the connection in a way that is not allowed (its code",
            SERVICES_FAULT,
        )
        for code in (1005, 1006, 5000)
    },
    "a close with half a letter": Row(
        lambda: says(closing(1013, "തിരക്ക്".encode()[:-1])),
        What.CLOSE_FRAME,
        Class.TRANSIENT,
        "its reason is not UTF-8",
        SERVICES_FAULT,
    ),
    "a close that is too short": Row(
        lambda: says(frame(8, b"\x03")),
        What.RULES,
        Class.TRANSIENT,
        "broke the WebSocket's rules (1002)",
        SERVICES_FAULT,
    ),
    "a frame of no kind": Row(lambda: says(frame(3, b"")), What.RULES, Class.TRANSIENT, "rules (1002)", SERVICES_FAULT),
    "a text that is not UTF-8": Row(
        lambda: says(frame(1, b"\xff\xfe")), What.RULES, Class.TRANSIENT, "rules (1007)", SERVICES_FAULT
    ),
    "a message that is too large": Row(
        lambda: says(frame(1, b"x" * 2000)),
        What.TOO_LARGE,
        Class.TRANSIENT,
        "link.max_message_bytes",
        "raise that setting",
        limit=1000,
    ),
}


@pytest.mark.parametrize("name", ROWS)
async def test_what_answers_is_named(name: str) -> None:
    row = ROWS[name]
    async with row.answering() as url:
        failed = await first_failure(replace(settings(url), max_message_bytes=row.limit))
    assert (failed.failure.what, failed.class_) == (row.what, row.class_), failed.line
    assert row.happened in failed.happened and row.fix in failed.fix


async def first_failure(chosen: ConnectionSettings, *, clock_is_set: bool = True) -> failures.Verdict:
    """What the link says when it is asked for a session."""

    async def is_synchronised() -> bool:
        return clock_is_set

    rig = Rig(chosen)
    rig.link._is_synchronised = is_synchronised
    async with running(rig):
        rig.link.want()
        await rig.until(lambda: any(isinstance(event, SessionLost | SessionFailed) for event in rig.reported))
    return next(event.verdict for event in rig.reported if isinstance(event, SessionLost | SessionFailed))


# ---------------------------------------------------------------- certificates, names, and no network


@pytest.mark.parametrize(
    ("clock_is_set", "what", "fix"),
    [
        (True, What.CERTIFICATE_DATES, "must renew it"),
        (False, What.CERTIFICATE_TIME, "time synchronisation"),
    ],
)
async def test_a_certificate_that_has_expired(tmp_path: Path, clock_is_set: bool, what: What, fix: str) -> None:
    authority, certificate = signed(tmp_path, days=-1)
    async with Service(SimulatorSettings(key=KEY), tls=of_server(certificate)) as service:
        chosen = replace(settings(service.url), ca_file=str(authority))
        verdict = await first_failure(chosen, clock_is_set=clock_is_set)
    assert verdict.failure.what is what and fix in verdict.fix


async def test_an_authority_that_is_not_made_by_the_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.13 refuses it; older ones do with the flag that is its default."""
    authority, certificate = signed(tmp_path, key_usage=False)
    create = ssl.create_default_context

    def strict(*args: Any, **how: Any) -> ssl.SSLContext:
        context = create(*args, **how)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)
    async with Service(SimulatorSettings(key=KEY), tls=of_server(certificate)) as service:
        verdict = await first_failure(replace(settings(service.url), ca_file=str(authority)))
    assert verdict.failure.what is What.CERTIFICATE_FORM, verdict.line
    assert "key usage" in verdict.happened and "keyUsage" in verdict.fix and verdict.class_ is Class.TRANSIENT


@pytest.mark.parametrize(
    ("clock_is_set", "what", "fix"),
    [(False, What.NAME_CLOCK_UNSET, "DNSSEC"), (True, What.NAME, "no internet")],
)
async def test_a_name_that_cannot_be_resolved(
    monkeypatch: pytest.MonkeyPatch, clock_is_set: bool, what: What, fix: str
) -> None:
    """Whose resolver checks signatures, and whose does not: from here they look alike, but for the clock."""

    def refuse(_: int) -> Any:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    resolving(monkeypatch, refuse)
    monkeypatch.setattr(handshake, "_has_network", lambda: True)
    verdict = await first_failure(settings(f"wss://{NAME}/v1/realtime"), clock_is_set=clock_is_set)
    assert verdict.failure.what is what and fix in verdict.fix


ROUTES = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"
DEFAULT = "eth0 00000000 0101A8C0 0003 0 0 0 00000000 0 0 0\n"
NETWORK = "eth0 0001A8C0 00000000 0001 0 0 0 00FFFFFF 0 0 0\n"
DEFAULT_6 = f"{'0' * 32} 00 {'0' * 32} 00 fe80 00000400 00000001 00000000 00000003 eth0\n"
NOWHERE_6 = f"{'0' * 32} 00 {'0' * 32} 00 {'0' * 32} ffffffff 00000001 00000000 00200200 lo\n"


@pytest.mark.parametrize(
    ("route", "route6", "has"),
    [
        (ROUTES, None, False),
        (ROUTES + NETWORK, None, False),
        (ROUTES + DEFAULT, None, True),
        (ROUTES, NOWHERE_6, False),
        (ROUTES, DEFAULT_6, True),
        (None, NOWHERE_6, False),
        (None, None, True),
    ],
    ids=["no IPv6, no cable", "no IPv6, no way out", "no IPv6", "no cable", "IPv6 alone", "no IPv4", "no tables"],
)
def test_whether_there_is_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, route: str | None, route6: str | None, has: bool
) -> None:
    for name, text in (("route", route), ("ipv6_route", route6)):
        if text is not None:
            (tmp_path / name).write_text(text)
    monkeypatch.setattr(handshake, "NETWORK_TABLES", str(tmp_path))
    assert handshake._has_network() is has
