"""The way to the service: name, connection, TLS, and one session."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from appliance.errors import TrustError
from appliance.link.failures import Class, Verdict, classify
from appliance.link.handshake import HEAD_START_S, ConnectionSettings, connect_failure, trust
from appliance.link.link import Link, LinkEvent, SessionFailed, SessionLost, SessionOpened
from appliance.link.retry import Policy, RetryTimes
from appliance.realtime.events import SessionSettings
from appliance.system import wall_clock

from .finding import Finding, fault, ok, skipped, warning

if TYPE_CHECKING:
    import ssl

NAME: Final = "name"
REACHABILITY: Final = "reachability"
TLS: Final = "TLS"
ROUND_TRIP: Final = "round trip"
SESSION: Final = "session"

PORTS: Final = {"wss": 443, "ws": 80, "https": 443, "http": 80}

CONNECTIONS: Final = 3
"""TCP connections that are timed, of which the fastest counts: a busy Wi-Fi only ever makes one slower."""

SLOW_S: Final = 0.4
"""A round trip that is said to be slow: an answer begins after several of them. ITU-T G.114 calls 0.4 s one way the
limit for conversation; a round trip of that length already adds a second to each answer."""

CHECK_TIMES: Final = RetryTimes(
    backoff_first_s=0.5, backoff_cap_s=30, credit_probe_s=0, limit_probe_s=0, renewable=False
)
"""Without meaning here: the first failure is the answer."""

WAITS: Final = (
    "; trying again by itself",
    "trying again by itself",
    ", the box notices by itself",
    "; waiting for time synchronisation",
)
"""What a daemon adds to a fix, and what is not so of a program that ends."""

LATER: Final = "try again in some minutes; if it stays so, ask the service's support"
SET_CLOCK: Final = "sudo timedatectl set-ntp true, and let the network pass NTP (UDP port 123)"


async def way(settings: ConnectionSettings) -> list[Finding]:
    """Name, connection, TLS and round trip, up to the first that fails. Nothing of it counts as a connection for the
    service's plan, and no key is sent."""
    target = urlsplit(settings.proxy or settings.url)
    host, port = target.hostname or "", target.port or PORTS.get(target.scheme, 443)
    through = f"the proxy {host}" if settings.proxy else host
    findings: list[Finding] = []
    try:
        async with asyncio.timeout(settings.connect_timeout_s):
            began_s = time.monotonic()
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
            took_s = time.monotonic() - began_s
        findings.append(ok(NAME, f"{through} is {found[0][4][0]} ({_ms(took_s)})"))
        address, round_trip_s = await _reach(host, port, settings.connect_timeout_s)
        findings.append(_reached(f"{through} accepts connections on port {port}", address, str(found[0][4][0])))
    except (OSError, UnicodeError) as error:
        # TimeoutError is an OSError; UnicodeError is what a malformed name gives.
        return [*findings, await _failed(REACHABILITY if findings else NAME, error, settings)]
    if round_trip_s > SLOW_S:
        line, fix = f"{_ms(round_trip_s)}: answers will come late", "a better line; nearer to the router, or a cable"
        findings.append(warning(ROUND_TRIP, line, fix))
    else:
        findings.append(ok(ROUND_TRIP, _ms(round_trip_s)))
    findings.append(await _tls(host, port, settings))
    return findings


async def _reach(host: str, port: int, timeout_s: float) -> tuple[str, float]:
    """The address that the link would be connected by, and the seconds that the fastest of some TCP connections to it
    took: one round trip. Raises OSError."""
    address, _ = await _connected(host, port, timeout_s)
    times_s = [(await _connected(address, port, timeout_s))[1] for _ in range(CONNECTIONS)]
    return address, min(times_s)


async def _connected(host: str, port: int, timeout_s: float) -> tuple[str, float]:
    """The address of one TCP connection, ended at once, and the seconds that it took. Raises OSError."""
    began_s = time.monotonic()
    async with asyncio.timeout(timeout_s):
        _, writer = await asyncio.open_connection(host, port, happy_eyeballs_delay=HEAD_START_S)
    took_s = time.monotonic() - began_s
    address: str = writer.get_extra_info("peername")[0]
    writer.transport.abort()
    return address, took_s


def _reached(line: str, address: str, first: str) -> Finding:
    """``first``: the address that the system prefers; ``address``: the one that took the connection."""
    if address == first:
        return ok(REACHABILITY, line)
    advice = "mend IPv6 on the router, or switch it off there" if ":" in first else "ask whoever runs the network"
    return ok(REACHABILITY, f"{line}, at {address}; {first} does not answer within {_ms(HEAD_START_S)}", advice)


async def _tls(host: str, port: int, settings: ConnectionSettings) -> Finding:
    if settings.proxy:
        return skipped(TLS, "behind a proxy it shows when the session opens")
    if not settings.url.startswith("wss:"):
        return skipped(TLS, "not used to this machine itself")
    began_s = time.monotonic()
    try:
        context = await asyncio.to_thread(trust, settings)
        async with asyncio.timeout(settings.connect_timeout_s):
            _, writer = await asyncio.open_connection(host, port, ssl=context, happy_eyeballs_delay=HEAD_START_S)
    except (OSError, TrustError) as error:
        return await _failed(TLS, error, settings)
    took_s = time.monotonic() - began_s
    line = f"{_version(writer.get_extra_info('ssl_object'))}, the certificate is valid ({_ms(took_s)})"
    writer.transport.abort()
    return ok(TLS, line)


def _version(connection: ssl.SSLObject) -> str:
    return connection.version() or "secure"


async def _failed(name: str, error: Exception, settings: ConnectionSettings) -> Finding:
    failure = await connect_failure(error, settings, wall_clock.is_synchronised)
    assert failure is not None, "every OSError and UnicodeError is a failure of the line"
    return refused(name, classify(failure))


def refused(name: str, verdict: Verdict) -> Finding:
    """A fault in the words of the link's own verdict."""
    return fault(name, verdict.happened, SET_CLOCK if verdict.class_ is Class.CLOCK else fix_of(verdict.fix))


def fix_of(text: str) -> str:
    """What a person can do, from what the daemon says of a trouble."""
    for wait in WAITS:
        text = text.replace(wait, "")
    return text or LATER


async def session(
    settings: ConnectionSettings, wanted: SessionSettings, credential: Callable[[], Awaitable[str]]
) -> Finding:
    """One session: opened, configured as the box would, and closed; no second attempt, and no audio."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[LinkEvent] = loop.create_future()

    def heard(event: LinkEvent) -> None:
        if isinstance(event, SessionOpened | SessionLost | SessionFailed) and not answer.done():
            answer.set_result(event)

    link = Link(
        settings,
        wanted,
        credential,
        lambda: None,
        lambda: None,
        heard,
        Policy(CHECK_TIMES),
        is_synchronised=wall_clock.is_synchronised,
    )
    began_s = loop.time()
    task = loop.create_task(link.run())
    link.retry()
    try:
        both: set[asyncio.Future[Any]] = {answer, task}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        took_s = loop.time() - began_s
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    match answer.result():
        case SessionLost(verdict) | SessionFailed(verdict):
            return refused(SESSION, verdict)
    return ok(SESSION, f"opened and configured in {_ms(took_s)}, and closed again; it cost one connection, no audio")


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"
