"""Who is shown the page, and what a browser may do with it. Pure functions of a request's parts.

The server listens on loopback, which is no wall: any program here, and any web site that a browser here has open, can
send it requests. So the Host must be one of ours (a site that has its own name resolved to 127.0.0.1 sends that name),
and the stream of what happens needs our own Origin and the token.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final

PROTOCOL: Final = "voice-appliance"
"""The WebSocket subprotocol that is spoken. The token is offered beside it: browsers let a page send no other header,
and an address ends up in logs."""

STREAM_PATH: Final = "/watch"

HEADERS: Final = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Of every answer."""


def hosts(port: int) -> frozenset[str]:
    """What a Host header may say: this machine's own names of itself."""
    names = ("127.0.0.1", "localhost", "[::1]")
    return frozenset(f"{name}:{port}" for name in names) | (frozenset(names) if port == 80 else frozenset())


def policy(host: str) -> str:
    """The Content-Security-Policy: our own files and our own stream, nothing inline, nothing from elsewhere.

    ``host``: one of ``hosts``. It is named because engines that embedded browsers still use (WebKit before 2022) do
    not count ws: as 'self'.
    """
    own = "script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'"
    none = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    return f"default-src 'none'; {own}; connect-src 'self' ws://{host}; {none}"


def refusal(method: str, host: Sequence[str], own_hosts: frozenset[str]) -> HTTPStatus | None:
    """Why a request is not answered; None: it is. ``host``: all Host headers there are."""
    if len(host) != 1 or host[0].lower() not in own_hosts:
        return HTTPStatus.MISDIRECTED_REQUEST
    return None if method == "GET" else HTTPStatus.METHOD_NOT_ALLOWED


def stream_refusal(headers: Mapping[str, Sequence[str]], host: str, token: str) -> HTTPStatus | None:
    """The same of a request for the stream, whose ``Origin`` and ``Sec-WebSocket-Protocol`` headers these are."""
    if list(headers["Origin"]) != [f"http://{host.lower()}"]:
        return HTTPStatus.FORBIDDEN
    offered = [name.strip() for header in headers["Sec-WebSocket-Protocol"] for name in header.split(",")]
    if PROTOCOL not in offered or not any(hmac.compare_digest(name.encode(), token.encode()) for name in offered):
        return HTTPStatus.FORBIDDEN
    return None
