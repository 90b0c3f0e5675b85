"""The page's server: three files and one stream, for browsers on this machine.

``access.py`` says who is answered. What the daemon says comes from ``watch.py`` while somebody looks, and goes to every
browser at once; nothing is kept but the last state. Everything runs on the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import logging
import socket
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from appliance.journal.rate_limit import Repeats

from . import access, watch
from .content import File, shown

log = logging.getLogger(__name__)

MOST_CONNECTIONS: Final = 64
"""At once, whatever they want. A browser opens six; what is beyond is closed unread."""

MOST_VIEWERS: Final = 8
"""Of them, streams: a screen, and somebody who looks at it from a console."""

REQUEST_S: Final = 2.0
"""For a whole request, from the connection on. A browser here needs milliseconds."""

LARGEST_MESSAGE_BYTES: Final = 64
"""Of a browser: ``press`` or ``release``."""

SLOW_BYTES: Final = 65_536
"""Unread, beyond what the kernel holds, after which a viewer is dropped: some hundred captions."""

ALIVE_S: Final = 1.0
"""A browser that hears nothing for twice as long says that it has lost the box."""

IDLE_S: Final = 30.0
"""Without a connection for so long, a server that systemd starts on demand ends: it costs nothing while nobody
looks."""

BETWEEN_EDGES_S: Final = 0.05
"""Of one viewer's button: a finger is slower, a runaway script is not."""


class PageServer:
    """The server. Build it inside a running event loop, then ``await run()``."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        files: Mapping[str, File],
        hello: Mapping[str, Any],
        token: str,
        control_path: str,
        *,
        captions: bool,
        until_idle: bool = False,
    ) -> None:
        """``listeners``: bound to loopback, taken over. ``until_idle``: ``run`` returns when nobody has come for
        ``IDLE_S``."""
        self._listeners = listeners
        self._files = files
        self._hello = json.dumps(hello)
        self._touch = bool(hello["touch"])
        self._token = token
        self._control_path = control_path
        self._captions = captions
        self._until_idle = until_idle
        self._hosts = frozenset[str]().union(*(access.hosts(one.getsockname()[1]) for one in listeners))
        self._viewers: set[ServerConnection] = set()
        self._last = _event("daemon", there=False)
        """What a viewer that comes now is told first: the last state, or that there is no daemon."""
        self._looked_at = asyncio.Event()
        self._alone = asyncio.Event()
        """One is set while anybody looks, the other while nobody does."""
        self._repeats = Repeats(log)
        self._open = 0
        self._idle_since_s = asyncio.get_running_loop().time()
        self.listening = asyncio.Event()
        """Set while browsers can connect."""

    async def run(self) -> None:
        """Serve until cancelled, or until nobody looks."""
        silent = logging.getLogger(f"{__name__}.websockets")
        # It writes requests, and so tokens, into its debug lines, and a traceback for each who does not speak HTTP.
        silent.disabled = True
        # A class, as the library has it; a factory does as well.
        connection: Any = functools.partial(_Connection, self)
        async with contextlib.AsyncExitStack() as stack:
            for listener in self._listeners:
                await stack.enter_async_context(
                    serve(
                        self._view,
                        sock=listener,
                        process_request=self._answer,
                        create_connection=connection,
                        subprotocols=[Subprotocol(access.PROTOCOL)],
                        compression=None,
                        server_header=None,
                        open_timeout=REQUEST_S,
                        close_timeout=1,
                        ping_interval=5,
                        ping_timeout=5,
                        max_size=LARGEST_MESSAGE_BYTES,
                        max_queue=4,
                        logger=silent,
                    )
                )
            following = asyncio.create_task(self._follow(), name="follow")
            beating = asyncio.create_task(self._beat(), name="beat")
            self.listening.set()
            try:
                # Whichever fails first; otherwise the beat, when nobody has looked for long enough.
                done, _ = await asyncio.wait((following, beating), return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                self.listening.clear()
                for task in (following, beating):
                    task.cancel()
                await asyncio.gather(following, beating, return_exceptions=True)

    # ------------------------------------------------------------ requests

    def opened(self) -> bool:
        """One more connection; False: one too many."""
        self._open += 1
        return self._open <= MOST_CONNECTIONS

    def closed(self) -> None:
        """One less."""
        self._open -= 1
        self._idle_since_s = asyncio.get_running_loop().time()

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """The answer to a request; None: it becomes a stream."""
        headers = request.headers
        host = headers.get_all("Host")
        # Before version 16 the library took nothing but GET, and did not say so.
        status = access.refusal(getattr(request, "method", "GET"), host, self._hosts)
        if status is None and request.path == access.STREAM_PATH:
            wanted = {name: headers.get_all(name) for name in ("Origin", "Sec-WebSocket-Protocol")}
            status = access.stream_refusal(wanted, host[0], self._token)
            if status is None and len(self._viewers) >= MOST_VIEWERS:
                status = HTTPStatus.SERVICE_UNAVAILABLE
            if status is None:
                return None
        if status is not None:
            # Nothing of the request: it comes from who knows where, and a token may be in it.
            line = f"a request was refused: {status.value} {status.phrase}"
            self._repeats.log(logging.WARNING, line, asyncio.get_running_loop().time())
            return _response(status, File(f"{status.phrase}\n".encode(), "text/plain"))
        file = self._files.get(request.path)
        if file is None:
            return _response(HTTPStatus.NOT_FOUND, File(b"Not Found\n", "text/plain"))
        return _response(HTTPStatus.OK, file, access.policy(host[0]))

    # ------------------------------------------------------------ streams

    async def _view(self, viewer: ServerConnection) -> None:
        """One browser, until it goes."""
        presses = _Presses(self._control_path) if self._touch else None
        try:
            await viewer.send(self._hello)
            await viewer.send(self._last)
            self._viewers.add(viewer)
            self._alone.clear()
            self._looked_at.set()
            async for message in viewer:
                if presses is None:
                    await viewer.close(1008, "this page presses nothing")
                else:
                    await presses.take(message)
        except ConnectionClosed:
            pass
        finally:
            self._viewers.discard(viewer)
            if not self._viewers:
                self._looked_at.clear()
                self._alone.set()
            if presses is not None:
                await presses.let_go()

    async def _follow(self) -> None:
        """Pass on what the daemon says, while anybody looks."""
        while True:
            await self._looked_at.wait()
            passing = asyncio.create_task(self._pass_all_on(), name="pass on")
            alone = asyncio.create_task(self._alone.wait(), name="alone")
            try:
                done, _ = await asyncio.wait((passing, alone), return_when=asyncio.FIRST_COMPLETED)
                if passing in done:
                    passing.result()
            finally:
                for task in (passing, alone):
                    task.cancel()
                await asyncio.gather(passing, alone, return_exceptions=True)
            # What was last known of the daemon may be otherwise when somebody looks again.
            self._last = _event("daemon", there=False)

    async def _pass_all_on(self) -> None:
        async with contextlib.aclosing(watch.messages(self._control_path, captions=self._captions)) as messages:
            async for message in messages:
                self._pass_on(message)

    def _pass_on(self, message: dict[str, Any] | None) -> None:
        event = {"event": "daemon", "there": False} if message is None else shown(message)
        if event is None:
            return
        text = json.dumps(event)
        if event["event"] in ("state", "daemon"):
            self._last = text
        self._tell(text)

    async def _beat(self) -> None:
        """Tell viewers every second that this process is alive; return when none has come for long."""
        loop = asyncio.get_running_loop()
        while not self._until_idle or self._open or loop.time() - self._idle_since_s < IDLE_S:
            await asyncio.sleep(ALIVE_S)
            self._tell(_event("alive"))

    def _tell(self, text: str) -> None:
        broadcast(self._viewers, text)
        for viewer in list(self._viewers):
            if viewer.transport.get_write_buffer_size() > SLOW_BYTES:
                log.info("a browser does not read; it is dropped")
                self._viewers.discard(viewer)
                viewer.transport.abort()


class _Connection(ServerConnection):
    """One of at most ``MOST_CONNECTIONS``."""

    def __init__(self, page: PageServer, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._page = page

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if not self._page.opened():
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._page.closed()
        super().connection_lost(exc)


class _Presses:
    """The button on one viewer's screen, where ``page.touch`` allows one."""

    def __init__(self, control_path: str) -> None:
        self._control_path = control_path
        self._down = False
        self._edge_s = float("-inf")

    async def take(self, message: str | bytes) -> None:
        """``press`` or ``release``; anything else, a repeat, and what no finger could do, is nothing."""
        now_s = asyncio.get_running_loop().time()
        if message == "press" and not self._down and now_s - self._edge_s >= BETWEEN_EDGES_S:
            self._down, self._edge_s = True, now_s
            await watch.command(self._control_path, "press")
        elif message == "release":
            await self.let_go()

    async def let_go(self) -> None:
        """The button goes up, if it is down: also when the browser has gone."""
        if self._down:
            self._down = False
            await watch.command(self._control_path, "release")


def _event(kind: str, **fields: object) -> str:
    return json.dumps({"event": kind, **fields})


def _response(status: HTTPStatus, file: File, policy: str = "default-src 'none'") -> Response:
    headers = Headers(access.HEADERS)
    headers["Content-Security-Policy"] = policy
    headers["Content-Type"] = file.type
    headers["Content-Length"] = str(len(file.body))
    headers["Connection"] = "close"
    return Response(status.value, status.phrase, headers, file.body)
