"""The embedded service: a loopback swaram, faithful to its protocol, that also fails on demand.

::

    async with Service(ServiceSettings(key="swaram_test")) as service:
        service.scenario = conversation(Turn(heard="ask-time", replies=(Reply(voice="time", cancel_lag_ms=300),)))
        ... connect to service.url + "?model=mal-realtime-simple" ...
        await service.wait_for(lambda: service.turns)

Runs in the event loop of whoever enters it, in no thread of its own.
"""

from __future__ import annotations

import asyncio
import http
import logging
import ssl
import time
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Final
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from appliance.simulator.records import ConnectionRecord, ReplyRecord, TurnRecord
from appliance.simulator.scenario import Close, Connection, Moment, Scenario, Step
from appliance.simulator.session import ServiceSession
from appliance.simulator.settings import PATH, SIMPLE_MODEL, SimulatorSettings

log = logging.getLogger(__name__)

_library_log = logging.getLogger("appliance.simulator.library")
_library_log.setLevel(logging.CRITICAL)
"""Quiet: a client that gives up in the middle of a handshake is part of the game, and the library writes a traceback
about it. Our own faults come out of ``Service.__aexit__``."""

MAX_MESSAGE_BYTES: Final = 32 * 1024 * 1024
"""As a client's own limit: a whole utterance of 40 s in one append is 2.6 MB."""

CLOSE_TIMEOUT_S: Final = 1.0
"""How long a client may take to answer a close frame."""


class Service:
    """See the module's text. ``connections`` holds one record per attempt since the service was made, refused ones
    too; without ``keep_records`` only those that are open. ``most_open``: how many were open at the same time."""

    def __init__(
        self,
        settings: SimulatorSettings | None = None,
        scenario: Scenario | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """``tls``: a server's context makes it wss."""
        self.settings = settings or SimulatorSettings()
        self._scenario = scenario or Scenario()
        self._attempts = 0  # since the scenario was set
        self._tls = tls
        self._server: Server | None = None
        self._port = self.settings.port
        self._stopping = asyncio.Event()
        self._changed = asyncio.Event()
        self._handshakes: dict[ServerConnection, tuple[ConnectionRecord, Connection, str]] = {}
        self._conversations: set[ServiceSession] = set()
        self._failures: list[Exception] = []
        self._numbered_connections = 0
        self._numbered_turns = 0
        self.connections: list[ConnectionRecord] = []
        self.most_open = 0

    async def __aenter__(self) -> Service:
        self._server = await serve(
            self._converse,
            self.settings.host,
            self._port,
            process_request=self._fenced_handshake,
            ssl=self._tls,
            compression=None,
            open_timeout=None,
            ping_interval=None,
            close_timeout=CLOSE_TIMEOUT_S,
            max_size=MAX_MESSAGE_BYTES,
            logger=_library_log,
        )
        self._port = next(iter(self._server.sockets)).getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Closes all connections with 1001. Raises an ExceptionGroup if the service itself failed anywhere."""
        assert self._server is not None
        self._stopping.set()
        for conversation in self._conversations:
            if conversation.wire.ended:
                conversation.wire.abort()
        self._server.close()
        await self._server.wait_closed()
        if self._failures and error is None:
            raise ExceptionGroup("the embedded service failed", self._failures)

    # ------------------------------------------------------------ for tests

    @property
    def url(self) -> str:
        """Without the model. It stays the same after the service has ended; its port is then free for any program."""
        return f"{'wss' if self._tls else 'ws'}://{self.settings.host}:{self._port}{PATH}"

    @property
    def port(self) -> int:
        """The TCP port."""
        return self._port

    @property
    def scenario(self) -> Scenario:
        """What happens. Setting it begins with its first connection at the next attempt; open connections go on with
        what they began with."""
        return self._scenario

    @scenario.setter
    def scenario(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._attempts = 0

    @property
    def accepted(self) -> list[ConnectionRecord]:
        """The connections whose handshake succeeded."""
        return [record for record in self.connections if record.accepted_s is not None]

    @property
    def open_connections(self) -> list[ConnectionRecord]:
        """Those that are open now."""
        return [record for record in self.connections if record.is_open]

    @property
    def turns(self) -> list[TurnRecord]:
        """Of all connections, in order."""
        return [turn for record in self.connections for turn in record.turns]

    @property
    def replies(self) -> list[ReplyRecord]:
        """Of all connections, in order."""
        return [reply for record in self.connections for reply in record.replies]

    @property
    def violations(self) -> list[str]:
        """What clients did that a good one does not."""
        return [violation for record in self.connections for violation in record.violations]

    async def wait_for(self, condition: Callable[[], object], timeout_s: float = 10.0) -> None:
        """Until ``condition()`` is true; it is asked after everything that happens here. Raises TimeoutError."""
        try:
            async with asyncio.timeout(timeout_s):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"not within {timeout_s} s; {self.summary()}") from None

    def summary(self) -> str:
        """What happened so far, in a line, for messages of failed tests."""
        return "; ".join(
            f"connection {one.number}: HTTP {one.status}, {one.audio_ms:.0f} ms of audio, {len(one.turns)} turns, "
            f"{len(one.replies)} replies, {'open' if one.is_open else f'closed {one.close_code}'}"
            for one in self.connections
        )

    # ------------------------------------------------------------ the handshake

    async def _fenced_handshake(self, connection: ServerConnection, request: Request) -> Response | None:
        """Called by the library, which would turn a fault of ours into HTTP 500 and go on."""
        try:
            return await self._handshake(connection, request)
        except Exception as error:
            self._failures.append(error)
            raise

    async def _handshake(self, connection: ServerConnection, request: Request) -> Response | None:
        """What is answered to a request to connect; None accepts."""
        plan = self._scenario.connection(self._attempts)
        self._attempts += 1
        record = ConnectionRecord(self._numbered_connections, request.headers, request.path, time.monotonic())
        self._numbered_connections += 1
        self.connections.append(record)
        self._note()
        if plan.accept_after_ms:
            await self._rest(plan.accept_after_ms / 1000)
            if self._stopping.is_set():
                return self._refuse(record, 503, Headers())
        address = urlsplit(request.path)
        query = parse_qs(address.query)
        model = query.get("model", [""])[0]
        if plan.http:
            return self._refuse(record, plan.http, Headers(plan.headers))
        if address.path != PATH or not model:
            return self._refuse(record, 404 if address.path != PATH else 400, Headers())
        if "api_key" in query:
            record.violations.append("a key in the URL")
        if not self._is_key_good(request.headers):
            if self.settings.key_check == "http":
                return self._refuse(record, 401, Headers())
            plan = replace(plan, steps=(Step(on=Moment.OPEN, do=Close(code=4001)),))
        limit = self.settings.max_connections
        if limit is not None and len(self.open_connections) >= limit:
            plan = replace(plan, steps=(Step(on=Moment.OPEN, do=Close(code=4008)),))
        self._handshakes[connection] = record, plan, model
        return None

    async def _rest(self, delay_s: float) -> None:
        """Wait, but not beyond the end of the service."""
        try:
            async with asyncio.timeout(delay_s):
                await self._stopping.wait()
        except TimeoutError:
            return

    def _refuse(self, record: ConnectionRecord, status: int, headers: Headers) -> Response:
        log.info("connection %d: refused with HTTP %d", record.number, status)
        record.status = status
        record.closed_s = time.monotonic()
        if not self.settings.keep_records:
            self.connections.remove(record)
        self._note()
        known = {one.value: one.phrase for one in http.HTTPStatus}
        body = f"{status}\n".encode()
        headers["Content-Type"] = "text/plain"
        headers["Content-Length"] = str(len(body))
        headers["Connection"] = "close"
        return Response(status, known.get(status, "Refused"), headers, body)

    def _is_key_good(self, headers: Headers) -> bool:
        """Only a Bearer header counts, and only one."""
        scheme, _, key = headers.get("Authorization", "").partition(" ")
        return scheme == "Bearer" and bool(key) and self.settings.key in (None, key)

    # ------------------------------------------------------------ the conversation

    async def _converse(self, connection: ServerConnection) -> None:
        """One accepted connection, from its handshake to its end. Called by the library."""
        record, plan, model = self._handshakes.pop(connection)
        record.status = 101
        record.accepted_s = time.monotonic()
        self.most_open = max(self.most_open, len(self.open_connections))
        mode = self.settings.mode or ("simple" if model == SIMPLE_MODEL else "premium")
        log.info("connection %d: open, model %s, %s mode", record.number, model, mode)
        settings = replace(self.settings, mode=mode)
        conversation = ServiceSession(connection, plan, settings, model, record, self._next_turn, self._note)
        self._conversations.add(conversation)
        self._note()
        try:
            await conversation.run()
        except Exception as error:
            log.exception("connection %d: the embedded service failed", record.number)
            self._failures.append(error)
        finally:
            self._conversations.remove(conversation)
            record.closed_s = time.monotonic()
            if not self.settings.keep_records:
                self.connections.remove(record)
            log.info("connection %d: over after %.0f ms of audio", record.number, record.audio_ms)
            self._note()

    def _next_turn(self) -> int:
        self._numbered_turns += 1
        return self._numbered_turns - 1

    def _note(self) -> None:
        self._changed.set()
