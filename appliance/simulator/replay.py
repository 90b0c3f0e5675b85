"""Plays a record of the wire as a service: the same events, in the same order and pace, with the same fields and ids.

::

    async with Replay(script.load(path)) as service:
        ... connect to service.url ...

Words are fillings of the same length, audio is cut from the recorded answers. What the client did gates what follows:
the service goes on when the client has sent the same message, and when it has heard the caller begin or stop. Each
attempt to connect is the next session of the record, and after the last the first again.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import itertools
import json
import logging
from base64 import b64decode, b64encode
from collections import Counter, deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Final

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from appliance.realtime.record import filled
from appliance.simulator import voices
from appliance.simulator.input_buffer import Ear
from appliance.simulator.script import APPEND, AwaitMessage, AwaitSpeech, End, SayStep, Script, Step
from appliance.simulator.service import CLOSE_TIMEOUT_S, MAX_MESSAGE_BYTES
from appliance.simulator.settings import PATH
from appliance.simulator.turn_detection import FRAME_BYTES, DetectionSettings

log = logging.getLogger(__name__)

_library_log = logging.getLogger("appliance.simulator.library")

COMMIT: Final = "input_audio_buffer.commit"
CUTS: Final = (COMMIT, "input_audio_buffer.clear")
"""What a client sends that ends what the service has heard so far."""

NO_STATUS: Final = 1005
"""Stands for a close frame without a code."""


class Replay:
    """See the module's text. ``port`` 0: any free one. ``received``: what clients have sent, by type, appends too."""

    def __init__(self, scripts: Sequence[Script], port: int = 0, detection: DetectionSettings | None = None) -> None:
        self._scripts = itertools.cycle(scripts)
        self._port = port
        self._detection = detection or DetectionSettings()
        self._server: Server | None = None
        self._accepted: dict[ServerConnection, Script] = {}
        self.received: Counter[str] = Counter()

    async def __aenter__(self) -> Replay:
        self._server = await serve(
            self._converse,
            "127.0.0.1",
            self._port,
            process_request=self._handshake,
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
        """Closes all connections with 1001."""
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """Without the model."""
        return f"ws://127.0.0.1:{self._port}{PATH}"

    def _handshake(self, connection: ServerConnection, _: Request) -> Response | None:
        script = next(self._scripts)
        if script.refused:
            known = {one.value for one in http.HTTPStatus}
            return connection.respond(script.refused if script.refused in known else 500, "as recorded\n")
        self._accepted[connection] = script
        return None

    async def _converse(self, connection: ServerConnection) -> None:
        """One connection. Called by the library."""
        performance = _Performance(connection, self._accepted.pop(connection), self._detection, self.received)
        with contextlib.suppress(ConnectionClosed):
            await performance.run()


class _Performance:
    """One session, played to one client."""

    def __init__(
        self, connection: ServerConnection, script: Script, detection: DetectionSettings, received: Counter[str]
    ) -> None:
        self._connection = connection
        self._script = script
        self._ear = Ear(detection)
        self._changes: deque[str] = deque()
        """In order, that the caller has begun to speak, or stopped, and nobody has waited for it yet."""
        self._messages = Counter[str]()
        """The same of what the client sent, by type."""
        self._received = received
        self._happened = asyncio.Event()
        self._sound = itertools.cycle(b"".join(voices.pcm(answer.name) for answer in voices.answers()))

    async def run(self) -> None:
        """To its end, or the client's. Raises ConnectionClosed."""
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(self._listen())
            playing = group.create_task(self._play())
            await asyncio.wait({listening})
            playing.cancel()

    async def _listen(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for message in self._connection:
                self._take(message)
                self._happened.set()

    def _take(self, message: str | bytes) -> None:
        try:
            event = json.loads(message)
            type_ = str(event["type"])
        except (ValueError, TypeError, KeyError, RecursionError):
            # A good service would complain; a record does not say how.
            return
        self._received[type_] += 1
        if type_ == APPEND:
            self._hear(b64decode(str(event.get("audio"))))
            return
        self._messages[type_] += 1
        if type_ == COMMIT and self._ear.hearing:
            # Whether its own ear or the client says so, the caller has stopped.
            self._changes.append("stopped")
        if type_ in CUTS:
            self._ear.clear()

    def _hear(self, audio: bytes) -> None:
        for start in range(0, len(audio), FRAME_BYTES):
            if change := self._ear.take(audio[start : start + FRAME_BYTES], "all"):
                self._changes.append(change)
                if change == "stopped":
                    self._ear.clear()

    async def _play(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            loop = asyncio.get_running_loop()
            due_s = loop.time()
            for step in self._script.steps:
                # Against the step before, not the clock after it: what a busy machine delays is made up for.
                due_s = await self._take_step(step, due_s)
            await self._connection.wait_closed()

    async def _take_step(self, step: Step, due_s: float) -> float:
        """Do it; returns the time from which the next one's gap counts."""
        match step:
            case SayStep(gap_s=gap_s):
                await _sleep_until(due_s + gap_s)
                await self._connection.send(self._message(step))
                return due_s + gap_s
            case End(gap_s=gap_s):
                await _sleep_until(due_s + gap_s)
                await self._end(step)
            case AwaitSpeech(change):
                await self._until(lambda: self._has_changed(change), None)
            case AwaitMessage(type_, patience_s) if type_ == COMMIT:
                await self._until(lambda: self._has_sent(COMMIT) or "stopped" in self._changes, patience_s)
            case AwaitMessage(type_, patience_s):
                if not await self._until(lambda: self._has_sent(type_), patience_s):
                    log.info("the client sends no %s, as it did; going on", type_)
        return asyncio.get_running_loop().time()

    def _has_changed(self, change: str) -> bool:
        """The caller has begun to speak, or stopped; what came before that is past."""
        while self._changes:
            if self._changes.popleft() == change:
                if change == "began":
                    # Of the turn before, if one has come late.
                    self._messages[COMMIT] = 0
                return True
        return False

    def _has_sent(self, type_: str) -> bool:
        sent = self._messages[type_] > 0
        self._messages[type_] -= sent
        return sent

    async def _until(self, happened: Callable[[], bool], patience_s: float | None) -> bool:
        """Wait for it; False when it has not come within ``patience_s``, in which nobody spoke."""
        loop = asyncio.get_running_loop()
        late_s = None if patience_s is None else loop.time() + patience_s
        while not happened():
            if patience_s is not None and self._ear.hearing:
                late_s = loop.time() + patience_s
            self._happened.clear()
            try:
                async with asyncio.timeout_at(late_s):
                    await self._happened.wait()
            except TimeoutError:
                return False
        return True

    def _message(self, step: SayStep) -> str | bytes:
        if step.unreadable:
            shape = filled(step.unreadable, self._audio)
            return bytes(len(shape)) if step.unreadable.startswith("binary") else str(shape)
        event: dict[str, Any] = {"type": filled(step.type, self._audio), **filled(step.fields, self._audio)}
        return json.dumps(event)

    def _audio(self, count: int) -> str:
        return b64encode(bytes(itertools.islice(self._sound, count))).decode("ascii")

    async def _end(self, end: End) -> None:
        connection = self._connection
        if end.code is None:
            connection.transport.abort()
        elif end.code == NO_STATUS:
            # The library's close() always sends a code.
            async with connection.send_context():
                connection.protocol.send_close()
        else:
            await connection.close(end.code, "x" * end.reason_chars)


async def _sleep_until(due_s: float) -> None:
    await asyncio.sleep(max(0.0, due_s - asyncio.get_running_loop().time()))
