"""Who is answered, and with what: the page's server, asked as raw as anybody on this machine can ask."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import resource
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from appliance.control.server import ControlServer
from appliance.page import access, server

from .support import TIMEOUT_S, TOKEN, Box, Page, daemon, page, until


@pytest.fixture
def control_path(tmp_path: Path) -> Path:
    return tmp_path / "control.sock"


@pytest.fixture
async def box() -> Box:
    return Box()


@pytest.fixture
async def control(control_path: Path, box: Box) -> AsyncIterator[ControlServer]:
    async with daemon(control_path, box) as served:
        yield served


@pytest.fixture
async def served(control: ControlServer, control_path: Path) -> AsyncIterator[Page]:
    async with page(control_path) as served:
        yield served


async def ask(page: Page, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status (0: closed without a word), headers and body of the answer to what is sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", page.port)
    try:
        writer.write(request)
        async with asyncio.timeout(TIMEOUT_S):
            with contextlib.suppress(ConnectionError):
                answer = await reader.read()
                head, _, body = answer.partition(b"\r\n\r\n")
                if not head:
                    return 0, {}, b""
                lines = head.decode("ascii").split("\r\n")
                headers = dict(line.split(": ", 1) for line in lines[1:])
                return int(lines[0].split()[1]), headers, body
        return 0, {}, b""
    finally:
        writer.close()


def request(page: Page, path: str = "/", *, method: str = "GET", host: str = "", **headers: str) -> bytes:
    host = host or f"127.0.0.1:{page.port}"
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def stream(page: Page, **changed: Any) -> connect:
    """The stream as a browser opens it, but for what is ``changed``."""
    wanted: dict[str, Any] = {
        "origin": Origin(f"http://127.0.0.1:{page.port}"),
        "subprotocols": [Subprotocol(access.PROTOCOL), Subprotocol(TOKEN)],
        "proxy": None,
        "max_size": None,
        "compression": None,
        **changed,
    }
    return connect(f"ws://127.0.0.1:{page.port}/watch", **wanted)


async def following(viewer: ClientConnection) -> dict[str, Any]:
    """The next event that is no beat."""
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            event: dict[str, Any] = json.loads(await viewer.recv())
            if event["event"] != "alive":
                return event


async def watching(viewer: ClientConnection) -> None:
    """Until it sees the daemon's state."""
    assert (await following(viewer))["event"] == "hello"
    while (await following(viewer))["event"] != "state":
        pass


async def closed(viewer: ClientConnection) -> None:
    """Until the server has ended it, whatever it still sends."""
    async with asyncio.timeout(TIMEOUT_S):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await viewer.recv()


# ------------------------------------------------------------ files


@pytest.mark.parametrize("path", ["/", "/page.css", "/page.js"])
async def test_a_file_is_sent_with_everything_that_a_browser_must_be_told(served: Page, path: str) -> None:
    status, headers, body = await ask(served, request(served, path))
    assert status == 200 and body
    assert int(headers["Content-Length"]) == len(body)
    assert {name: headers[name] for name in access.HEADERS} == access.HEADERS
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert "Server" not in headers


async def test_nothing_of_the_page_is_inline_or_from_elsewhere(served: Page) -> None:
    _, _, body = await ask(served, request(served))
    text = body.decode()
    assert "<style" not in text and "style=" not in text and "onclick" not in text and "://" not in text
    assert text.count("<script") == text.count('<script src="/') == 1


@pytest.mark.parametrize("path", ["/..", "//", "/%2e%2e/texts.toml", "/texts.toml", "/logo", "/page.js?x=1", "*"])
async def test_nothing_else_is_there(served: Page, path: str) -> None:
    assert (await ask(served, request(served, path)))[0] == 404


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get", "PRI"])
async def test_other_methods_are_refused(served: Page, method: str) -> None:
    assert (await ask(served, request(served, method=method)))[0] == 405


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "[::1]", "LOCALHOST"])
async def test_this_machine_has_several_names(served: Page, name: str) -> None:
    assert (await ask(served, request(served, host=f"{name}:{served.port}")))[0] == 200


async def test_a_foreign_host_is_refused(served: Page) -> None:
    """What a web site sends that has had its own name resolved to 127.0.0.1."""
    for host in ("evil.example", f"evil.example:{served.port}", "127.0.0.1", f"127.0.0.1:{served.port + 1}", "0.0.0.0"):
        for path in ("/", "/page.js", "/watch"):
            status, headers, body = await ask(served, request(served, path, host=host))
            assert (status, body) == (421, b"Misdirected Request\n")
            assert headers["X-Frame-Options"] == "DENY"
    twice = request(served).replace(b"\r\n\r\n", b"\r\nHost: evil.example\r\n\r\n")
    assert (await ask(served, twice))[0] == 421
    assert (await ask(served, b"GET / HTTP/1.1\r\n\r\n"))[0] == 421


async def test_what_is_no_http_is_closed(served: Page) -> None:
    for nonsense in (
        b"\x16\x03\x01\x02\x00\x01" * 40 + b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"\r\n\r\n",
        b"GET / HTTP/9\r\n\r\n",
    ):
        assert (await ask(served, nonsense))[0] in (0, 400, 421)
    body = request(served, **{"Content-Length": "5"}) + b"12345"
    assert (await ask(served, body))[0] in (0, 400)
    assert (await ask(served, request(served)))[0] == 200


async def test_lines_of_a_megabyte_are_refused(served: Page) -> None:
    long = "x" * 1_000_000
    for wanted in (request(served, f"/{long}"), request(served, Cookie=long), long.encode()):
        assert (await ask(served, wanted))[0] in (0, 414, 431)
    many = "\r\n".join(f"X-{number}: 1" for number in range(10_000))
    assert (await ask(served, f"GET / HTTP/1.1\r\n{many}\r\n\r\n".encode()))[0] in (0, 431)
    assert (await ask(served, request(served)))[0] == 200


async def test_a_request_that_does_not_come_is_not_waited_for(served: Page) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(b"GET / HTTP/1.1\r\n")
    async with asyncio.timeout(server.REQUEST_S + 3):
        assert await reader.read() == b""
    writer.close()


# ------------------------------------------------------------ the stream


async def test_a_browser_of_ours_is_told_everything(served: Page, control: ControlServer) -> None:
    async with stream(served) as viewer:
        assert viewer.subprotocol == access.PROTOCOL
        await watching(viewer)
        control.publish({"event": "level", "dbfs": -31.5})
        assert await following(viewer) == {"event": "level", "dbfs": -31.5}


async def test_only_what_is_drawn_is_passed_on(served: Page, control: ControlServer) -> None:
    async with stream(served) as viewer:
        assert (await following(viewer))["event"] == "hello"
        seen = await following(viewer)
        while seen["event"] != "state":
            seen = await following(viewer)
        assert seen == {"event": "state", "state": "ready", "link": "closed", "light": "ready"}
        control.publish({"event": "turn", "turn": 1, "outcome": "answered"})
        control.publish({"event": "state", "state": "listening", "link": "open", "light": "listening", "more": 1})
        seen = await following(viewer)
        assert seen == {"event": "state", "state": "listening", "link": "open", "light": "listening"}


@pytest.mark.parametrize(
    "changed",
    [
        {"origin": None},
        {"origin": Origin("http://evil.example")},
        {"origin": Origin("null")},
        {"origin": Origin("https://127.0.0.1")},
        {"subprotocols": None},
        {"subprotocols": [Subprotocol(access.PROTOCOL)]},
        {"subprotocols": [Subprotocol(TOKEN)]},
        {"subprotocols": [Subprotocol(access.PROTOCOL), Subprotocol(TOKEN[:-1])]},
        {"subprotocols": [Subprotocol(access.PROTOCOL), Subprotocol(TOKEN + "x")]},
    ],
    ids=str,
)
async def test_others_are_refused(served: Page, changed: dict[str, Any]) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with stream(served, **changed):
            pass
    assert refused.value.response.status_code == 403


async def test_no_log_holds_the_token(served: Page, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with stream(served) as viewer:
        await watching(viewer)
    with contextlib.suppress(InvalidStatus):
        async with stream(served, origin=None):
            pass
    ours = [record for record in caplog.records if not record.name.startswith("websockets.client")]
    assert ours and not any(TOKEN in record.getMessage() for record in ours)


async def test_a_page_presses_nothing(served: Page, box: Box) -> None:
    async with stream(served) as viewer:
        await watching(viewer)
        await viewer.send("press")
        await closed(viewer)
    assert box.edges == []


async def test_a_page_with_a_button_presses_as_others_do(control: ControlServer, control_path: Path, box: Box) -> None:
    async with page(control_path, touch=True) as served, stream(served) as viewer:
        await watching(viewer)
        for message in ("press", "press", "tap", "hang-up", "release", "release"):
            await viewer.send(message)
        await until(lambda: len(box.edges) >= 2)
        # A finger that is still down when the browser goes is let go.
        await asyncio.sleep(2 * server.BETWEEN_EDGES_S)
        await viewer.send("press")
        await until(lambda: len(box.edges) >= 3)
        viewer.transport.abort()
        await until(lambda: len(box.edges) >= 4)
    assert box.edges == [True, False, True, False]


async def test_a_long_message_ends_its_stream_alone(control: ControlServer, control_path: Path, box: Box) -> None:
    async with page(control_path, touch=True) as served, stream(served) as one, stream(served) as other:
        await watching(one)
        await watching(other)
        await one.send("press" * 200_000)
        await closed(one)
        control.publish({"event": "level", "dbfs": -1.0})
        assert (await following(other))["event"] == "level"
    assert box.edges == []


async def test_who_does_not_read_is_dropped_and_others_go_on(served: Page, control: ControlServer) -> None:
    deaf = socket.create_connection(("127.0.0.1", served.port))
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Protocol": f"{access.PROTOCOL}, {TOKEN}",
        "Origin": f"http://127.0.0.1:{served.port}",
    }
    deaf.sendall(request(served, "/watch", **headers))
    async with stream(served) as viewer:
        await watching(viewer)
        await until(lambda: len(served.server._viewers) == 2)
        text = "ക" * 2000
        sent = 0
        while len(served.server._viewers) == 2:
            assert sent < 5000, "it is still waited for"
            control.publish({"event": "caption", "side": "box", "turn": 1, "response": "r", "text": text})
            sent += 1
            await following(viewer)
    deaf.close()


async def test_ten_thousand_connections_and_the_daemon_does_not_notice(
    served: Page, control: ControlServer, control_path: Path
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    open_at_once = []
    try:
        async with stream(served) as viewer:
            await watching(viewer)
            most = 0
            for number in range(10_000):
                # As an attacker does: it neither asks nor closes, some hundreds at a time.
                with contextlib.suppress(OSError):
                    one = socket.socket()
                    open_at_once.append(one)
                    one.setblocking(False)
                    with contextlib.suppress(BlockingIOError):
                        one.connect(("127.0.0.1", served.port))
                if len(open_at_once) >= 400:
                    open_at_once.pop(0).close()
                if number % 50 == 0:
                    most = max(most, served.server._open)
                    await asyncio.sleep(0)
            assert most <= server.MOST_CONNECTIONS + 101, "the backlog of one turn of the loop, and no more"
            control.publish({"event": "level", "dbfs": -2.0})
            assert (await following(viewer)) == {"event": "level", "dbfs": -2.0}
            reader, writer = await asyncio.open_unix_connection(control_path)
            writer.write(b'{"command": "status"}\n')
            async with asyncio.timeout(1):
                assert json.loads(await reader.readline())["ok"] is True
            writer.close()
    finally:
        for one in open_at_once:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_more_viewers_than_there_are_screens_are_refused(served: Page) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(server.MOST_VIEWERS):
            await watching(await stack.enter_async_context(stream(served)))
        with pytest.raises(InvalidStatus) as refused:
            await stack.enter_async_context(stream(served))
        assert refused.value.response.status_code == 503


# ------------------------------------------------------------ the daemon comes and goes


async def test_a_daemon_that_is_not_there_is_said_and_so_is_its_return(control_path: Path) -> None:
    box = Box()
    async with page(control_path) as served, stream(served) as viewer:
        assert (await following(viewer))["event"] == "hello"
        assert await following(viewer) == {"event": "daemon", "there": False}
        async with daemon(control_path, box):
            async with asyncio.timeout(2):
                while (await following(viewer))["event"] != "state":
                    pass
        async with asyncio.timeout(2):
            assert await following(viewer) == {"event": "daemon", "there": False}
        async with daemon(control_path, box), asyncio.timeout(2):
            assert (await following(viewer))["event"] == "state"


async def test_the_rest_is_shown_where_the_owner_allows_no_captions(control_path: Path) -> None:
    async with (
        daemon(control_path, Box(), captions=False) as control,
        page(control_path) as served,
        stream(served) as viewer,
    ):
        await watching(viewer)
        control.publish({"event": "caption", "side": "person", "text": "secret"})
        control.publish({"event": "level", "dbfs": -3.0})
        assert (await following(viewer))["event"] == "level"


async def test_nobody_watches_the_daemon_while_nobody_looks(served: Page, control: ControlServer) -> None:
    assert not control.is_wanted("level")
    async with stream(served) as viewer:
        await watching(viewer)
        assert control.is_wanted("level") and control.is_wanted("caption")
    await until(lambda: not control.is_wanted("level"))
    async with stream(served) as viewer:
        await watching(viewer)
