"""What a failed handshake was, from the exceptions that the library and the system raise."""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import replace

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.http11 import Response

from appliance.link import handshake
from appliance.link.failures import Failure, What
from appliance.link.handshake import ConnectionSettings
from tests.link.test_link import settings

FAR = replace(settings("wss://api.example.org/v1/realtime"))
HERE = settings("ws://127.0.0.1:1/v1/realtime")


async def failure_of(error: Exception, chosen: ConnectionSettings, *, clock_is_set: bool = True) -> Failure | None:
    async def is_synchronised() -> bool:
        return clock_is_set

    return await handshake.connect_failure(error, chosen, is_synchronised)


def certificate_error(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, "of the test"
    return error


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (TimeoutError(), What.TIMEOUT),
        (ConnectionRefusedError(111, "Connection refused"), What.UNREACHABLE),
        (ConnectionResetError(104, "Connection reset by peer"), What.UNREACHABLE),
        (socket.gaierror(-3, "Temporary failure in name resolution"), What.NAME),
        (UnicodeError("label empty or too long"), What.NAME),
        (certificate_error(9), What.CERTIFICATE_DATES),
        (certificate_error(10), What.CERTIFICATE_DATES),
        (certificate_error(18), What.CERTIFICATE_ISSUER),
        (certificate_error(62), What.CERTIFICATE_ISSUER),
        (certificate_error(92), What.CERTIFICATE_FORM),
        (ssl.SSLError(1, "wrong version number"), What.TLS),
    ],
)
async def test_causes_are_told_apart(error: Exception, what: What, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "_has_network", lambda: True)
    monkeypatch.setattr(time, "time", lambda: handshake.EARLIEST_S + 1)
    failure = await failure_of(error, FAR)
    assert failure is not None and failure.what is what


@pytest.mark.parametrize("code", [9, 10])
async def test_a_clock_that_nobody_has_set_may_be_why_a_certificate_is_not_valid(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: handshake.EARLIEST_S + 1)
    failure = await failure_of(certificate_error(code), FAR, clock_is_set=False)
    assert failure is not None and failure.what is What.CERTIFICATE_TIME


async def test_a_fault_of_ours_is_not_taken_for_the_networks() -> None:
    assert await failure_of(TypeError("a slip"), FAR) is None


async def test_without_a_route_the_network_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "_has_network", lambda: False)
    error = socket.gaierror(-3, "Temporary failure in name resolution")
    failure = await failure_of(error, FAR)
    assert failure is not None and failure.what is What.NO_NETWORK
    here = await failure_of(ConnectionRefusedError(111, "Connection refused"), HERE)
    assert here is not None and here.what is What.UNREACHABLE, "this machine is reached without a network"


async def test_a_clock_of_1970_is_said_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 3600.0)
    failure = await failure_of(certificate_error(9), FAR)
    assert failure is not None and failure.what is What.CLOCK


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("20", 20.0),
        ("0", 0.0),
        ("999999", handshake.RETRY_AFTER_LIMIT_S),
        ("Wed, 21 Oct", None),
        ("-5", None),
        ("٣", None),
    ],
)
def test_retry_after(text: str, seconds: float | None) -> None:
    assert handshake._retry_after_s([text]) == seconds
    assert handshake._retry_after_s([]) is None


async def test_of_two_wishes_the_longer_counts() -> None:
    """A service's own and that of the network in front of it."""
    wishes = Headers([("Retry-After", "5"), ("Retry-After", "30"), ("Retry-After", "Wed, 21 Oct")])
    refusal = InvalidStatus(Response(429, "Too Many Requests", wishes))
    failure = await failure_of(refusal, HERE)
    assert failure is not None and (failure.code, failure.retry_after_s) == (429, 30.0)
