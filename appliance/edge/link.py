"""The one connection to the voice service: opened when wanted, kept healthy, closed when idle, opened again when it
fails.

The link owns a ``Session`` (the protocol's rules) per connection. Whoever builds it gives it a credential source, a
pull source of audio, and a callback. It runs as one task, ``run()``; everything else is called from the same event
loop.

::

    CLOSED ──want()──> CONNECTING ──session.updated──> OPEN ──idle, recycled──> CLOSED
                        │    ^                          │
                        │    └──delay, press── RETRYING <┤  transient failure
                        └────────press──────── LATCHED <┘   a failure that only a person can mend

An attempt in LATCHED needs a ``want()``, at most one per ``LATCHED_ATTEMPT_S``.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from appliance.edge.dial import LinkSettings, close_failure, connect, connect_failure
from appliance.errors import CredentialError, ProtocolError
from appliance.realtime import codec, events, retry
from appliance.realtime.retry import Failure, Verdict, What
from appliance.realtime.session import Note, Outcome, Ready, Send, ServiceSaid, Session

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

log = logging.getLogger(__name__)
wire_log = logging.getLogger("appliance.wire")

LATCHED_ATTEMPT_S: Final = 5.0
"""At most one attempt in this time on a latched fault (ruling 13): a child hammering the button must not hammer the
service."""

PRESSED_ATTEMPT_S: Final = 1.0
"""At most one attempt in this time where a press skips the backoff (ruling 13)."""

PROVEN_S: Final = 30.0
"""A session open this long beyond its settings is proven: the backoff starts anew (ruling 13)."""

CLOSE_AFTER_ERROR_S: Final = 1.0
"""How long an ``error`` event waits for the close that explains it (ruling 11)."""

RECYCLE_IDLE_S: Final = 10.0
"""A session that has grown old is closed only after this long without a turn (ruling 9)."""

OUTBOX_EVENTS: Final = 256
"""Control events that may wait for the network. A turn makes about ten; a fuller box means that nothing leaves."""


class LinkState(Enum):
    """What the connection is doing."""

    CLOSED = "closed, on demand"
    CONNECTING = "connecting"
    OPEN = "open"
    RETRYING = "retrying"
    LATCHED = "refused"


@dataclass(frozen=True, slots=True)
class Opened:
    """A session is ready: its settings are confirmed, audio may go."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The session, or an attempt, failed; the link tries again by itself in ``delay_s``."""

    verdict: Verdict
    delay_s: float
    was_open: bool


@dataclass(frozen=True, slots=True)
class Failed:
    """The link has given up until somebody asks again."""

    verdict: Verdict
    was_open: bool


@dataclass(frozen=True, slots=True)
class Closed:
    """We closed the session ourselves, with nothing wrong."""

    reason: str


@dataclass(frozen=True, slots=True)
class Entered:
    """The link's state has changed; what it means for a turn comes as one of the others."""

    state: LinkState


LinkEvent = Opened | Lost | Failed | Closed | Entered | Outcome


class _SessionOver(Exception):
    """Ends the tasks of one session. ``failure`` is None when we close with nothing wrong."""

    def __init__(self, failure: Failure | None, reason: str = "") -> None:
        super().__init__(reason)
        self.failure = failure
        self.reason = reason


class Link:
    """See the module's text. ``state`` and ``verdict`` (of the last failure; None after success) may be read by
    anyone."""

    def __init__(
        self,
        settings: LinkSettings,
        session_settings: events.SessionSettings,
        credential: Callable[[], Awaitable[str]],
        next_audio: Callable[[], bytes | None],
        audio_sent: Callable[[], None],
        on_event: Callable[[LinkEvent], None],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """``credential`` gives the key, or raises CredentialError. ``next_audio`` gives int16 mono PCM at 24 kHz that
        is due now, or None; it is asked again after ``kick()``. ``audio_sent`` is called when all it gave has been
        written.
        """
        self._settings = settings
        self._session_settings = session_settings
        self._credential = credential
        self._next_audio = next_audio
        self._audio_sent = audio_sent
        self._on_event = on_event
        self._jitter = jitter
        self.state = LinkState.CLOSED
        self.verdict: Verdict | None = None
        self._session: Session | None = None
        self._outbox: deque[events.ClientEvent] = deque()
        self._wanted = settings.always
        self._busy = False
        self._pressed = False
        self._wake = asyncio.Event()
        self._writable = asyncio.Event()
        self._close_reason: str | None = None
        self._attempts = 0
        self._attempted_s = float("-inf")
        self._ready_s: float | None = None
        self._idle_since_s = 0.0
        self._overdue: tuple[Failure, float] | None = None

    # ------------------------------------------------------------ what the daemon asks

    @property
    def session(self) -> Session | None:
        """The rules of the open session; None unless audio may go."""
        return self._session if self._session is not None and self._session.ready else None

    def want(self) -> None:
        """A turn needs a session now. In RETRYING this skips the backoff, in LATCHED it is one attempt."""
        self._wanted = self._busy = self._pressed = True
        self._wake.set()

    def release(self, proven: bool = False) -> None:
        """No turn needs the session any more. ``proven``: the turn completed, so past failures are forgiven."""
        self._wanted = self._settings.always
        self._busy = False
        self._idle_since_s = self._now_s()
        if proven:
            self._attempts = 0
        self._wake.set()

    def send(self, *outgoing: events.ClientEvent) -> None:
        """Queue control events, in order, ahead of further audio. Dropped silently when there is no session."""
        if self.session is None:
            return
        if len(self._outbox) + len(outgoing) > OUTBOX_EVENTS:
            self.close("nothing leaves any more")
            return
        self._outbox.extend(outgoing)
        self._writable.set()

    def kick(self) -> None:
        """Audio may be due: ask ``next_audio`` again."""
        self._writable.set()

    def close(self, reason: str) -> None:
        """Close the session with 1000; the next ``want()`` opens a new one."""
        self._close_reason = reason
        self._writable.set()

    # ------------------------------------------------------------ the task

    async def run(self) -> None:
        """Keep the link until cancelled; on cancellation the session is closed with 1000 within ``close_timeout_s``."""
        while True:
            if not self._wanted:
                if self.state is not LinkState.LATCHED:
                    self._enter(LinkState.CLOSED)
                await self._until(lambda: self._wanted)
            self._enter(LinkState.CONNECTING)
            self._pressed = False
            self._attempted_s = self._now_s()
            over = await self._one_session()
            was_open = self._end_session()
            if over.failure is None:
                self._enter(LinkState.CLOSED)
                self._on_event(Closed(over.reason))
                continue
            verdict = self.verdict = retry.classify(over.failure)
            if verdict.class_.retries:
                await self._back_off(verdict, was_open)
            else:
                await self._latch(verdict, was_open)

    async def _until(self, condition: Callable[[], bool], deadline_s: float | None = None) -> bool:
        """Wait for ``condition``, looked at whenever somebody calls; False when ``deadline_s`` (monotonic) came
        first."""
        while not condition():
            self._wake.clear()
            try:
                async with asyncio.timeout_at(deadline_s):
                    await self._wake.wait()
            except TimeoutError:
                return condition()
        return True

    async def _back_off(self, verdict: Verdict, was_open: bool) -> None:
        settings = self._settings
        delay_s = retry.delay_s(self._attempts, settings.backoff_first_s, settings.backoff_cap_s, self._jitter())
        wish_s = verdict.failure.retry_after_s
        delay_s = max(delay_s, wish_s or 0.0)
        self._attempts += 1
        self._enter(LinkState.RETRYING)
        self._on_event(Lost(verdict, delay_s, was_open))
        now_s = self._now_s()
        # A press skips our own backoff, never the service's wish (ruling 13).
        allowed_s = now_s + wish_s if wish_s else max(now_s, self._attempted_s + PRESSED_ATTEMPT_S)
        self._pressed = False
        if await self._until(lambda: self._pressed or not self._wanted, now_s + delay_s) and self._pressed:
            await asyncio.sleep(max(0.0, allowed_s - self._now_s()))

    async def _latch(self, verdict: Verdict, was_open: bool) -> None:
        self._wanted = False
        self._pressed = False
        self._enter(LinkState.LATCHED)
        self._on_event(Failed(verdict, was_open))
        while True:
            await self._until(lambda: self._pressed)
            if self._now_s() - self._attempted_s >= LATCHED_ATTEMPT_S:
                return
            self._pressed = self._wanted = False
            self._on_event(Failed(verdict, was_open=False))

    def _enter(self, state: LinkState) -> None:
        if state is not self.state:
            wire_log.debug("= %s", state.value)
            self.state = state
            self._on_event(Entered(state))

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()

    # ------------------------------------------------------------ one session

    async def _one_session(self) -> _SessionOver:
        """From credential to close. Never raises but for cancellation and faults of our own."""
        try:
            key = await self._credential()
        except CredentialError as error:
            return _SessionOver(Failure(What.NO_KEY, text=str(error)))
        try:
            connection = await connect(self._settings, key)
        except Exception as error:
            if (failure := connect_failure(error)) is None:
                raise
            return _SessionOver(failure)
        finally:
            del key
        self._session = Session(self._session_settings)
        self._outbox.clear()
        self._close_reason = self._overdue = None
        try:
            # A task of its own: on Python 3.11 a TaskGroup whose child failed leaves a cancellation counted in its
            # task, and every later asyncio.timeout there would end in CancelledError.
            return await asyncio.get_running_loop().create_task(self._converse(connection))
        finally:
            await self._hang_up(connection)

    async def _converse(self, connection: ClientConnection) -> _SessionOver:
        """Read, write and look after the session until one of the three knows that it is over."""
        ends: list[_SessionOver] = []
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read(connection))
                group.create_task(self._write(connection))
                group.create_task(self._look_after(connection))
        except* _SessionOver as overs:
            ends = [end for end in overs.exceptions if isinstance(end, _SessionOver)]
        return ends[0]

    async def _hang_up(self, connection: ClientConnection) -> None:
        """Close politely within the deadline, else abort: the old socket is gone before a new one opens (ruling 9)."""
        closing = asyncio.get_running_loop().create_task(connection.close())
        # Not asyncio.timeout: this also runs while we are being cancelled, when a timeout is no TimeoutError.
        _, late = await asyncio.wait({closing}, timeout=self._settings.close_timeout_s)
        if late:
            connection.transport.abort()
            wire_log.debug("! aborted, no close within %s s", self._settings.close_timeout_s)
        await closing

    def _end_session(self) -> bool:
        was_open = self.session is not None
        if self._ready_s is not None and self._now_s() - self._ready_s >= PROVEN_S:
            self._attempts = 0
        self._session = None
        self._ready_s = None
        self._outbox.clear()
        return was_open

    async def _read(self, connection: ClientConnection) -> None:
        """Drain the connection. A slow reader would starve the keepalive of its pongs, so nothing here waits."""
        from websockets.exceptions import ConnectionClosed

        try:
            while True:
                message = await connection.recv()
                try:
                    event = codec.decode(message)
                except ProtocolError as error:
                    log.warning("the service sent something unreadable (%s); ignored", error)
                    continue
                _log_event("<", event)
                self._receive(event)
        except ConnectionClosed as closed:
            raise _SessionOver(close_failure(closed)) from None

    def _receive(self, event: events.ServerEvent) -> None:
        session = self._session
        assert session is not None
        for outcome in session.receive(event, self._now_s()):
            match outcome:
                case Ready():
                    self._ready_s = self._idle_since_s = self._now_s()
                    self._enter(LinkState.OPEN)
                    self.verdict = None
                    self._on_event(Opened())
                    self._writable.set()
                case Send(answer):
                    self.send(answer)
                case Note(level, text):
                    log.log(logging.WARNING if level == "warning" else logging.DEBUG, "%s", text)
                case ServiceSaid():
                    self._on_event(outcome)
                    if outcome.type == "server_error":
                        self._expect_close(Failure(What.SERVER_ERROR, text=outcome.message))
                    elif not session.ready and not outcome.harmless:
                        self._expect_close(Failure(What.SETTINGS_REFUSED, text=outcome.message))
                case _:
                    self._on_event(outcome)

    def _expect_close(self, failure: Failure) -> None:
        """The close code decides; only when none comes does the ``error`` event speak for itself (ruling 11)."""
        self._overdue = (failure, self._now_s() + CLOSE_AFTER_ERROR_S)
        asyncio.get_running_loop().call_later(CLOSE_AFTER_ERROR_S, self._writable.set)

    async def _write(self, connection: ClientConnection) -> None:
        """The only sender: settings, then control events ahead of audio."""
        from websockets.exceptions import ConnectionClosed

        session = self._session
        assert session is not None
        try:
            await self._send(connection, session.opening())
            while True:
                self._writable.clear()
                if self._close_reason is not None:
                    raise _SessionOver(None, self._close_reason)
                if self._overdue is not None and self._now_s() >= self._overdue[1]:
                    raise _SessionOver(self._overdue[0])
                while self._outbox:
                    await self._send(connection, self._outbox.popleft())
                if session.ready and (audio := self._next_audio()) is not None:
                    await self._send(connection, session.append(audio))
                    self._writable.set()
                    self._audio_sent()
                await self._writable.wait()
        except ConnectionClosed:
            # The reader knows why, and says it.
            await asyncio.Event().wait()

    async def _send(self, connection: ClientConnection, event: events.ClientEvent) -> None:
        _log_event(">", event)
        try:
            async with asyncio.timeout(self._settings.send_timeout_s):
                await connection.send(codec.encode(event))
        except TimeoutError:
            # Only an abort frees a connection whose write buffer is full; close() would wait behind it.
            connection.transport.abort()
            raise _SessionOver(Failure(What.SEND_STUCK)) from None

    async def _look_after(self, connection: ClientConnection) -> None:
        """What only time brings about: settings that are never confirmed, an idle or an old session."""
        settings = self._settings
        await asyncio.sleep(settings.configure_timeout_s)
        if self._ready_s is None:
            raise _SessionOver(Failure(What.NOT_CONFIGURED))
        while True:
            now_s = self._now_s()
            if self._busy:
                # Nothing falls due before a turn has ended and one of these has passed.
                await asyncio.sleep(min(settings.idle_close_s, RECYCLE_IDLE_S))
                continue
            idle_due_s = self._idle_since_s + settings.idle_close_s
            recycle_due_s = max(self._ready_s + settings.max_session_s, self._idle_since_s + RECYCLE_IDLE_S)
            if now_s >= idle_due_s and not self._wanted:
                raise _SessionOver(None, "idle")
            if now_s >= recycle_due_s:
                raise _SessionOver(None, "grown old")
            due_s = recycle_due_s if self._wanted else min(idle_due_s, recycle_due_s)
            await asyncio.sleep(due_s - now_s)


def _log_event(gutter: str, event: events.ClientEvent | events.ServerEvent) -> None:
    """The wire log: one line an event, audio as a count. No key ever passes here."""
    if not wire_log.isEnabledFor(logging.DEBUG):
        return
    match event:
        case events.InputAudioBufferAppend(audio):
            wire_log.debug("%s append %d bytes", gutter, len(audio))
        case events.OutputAudioDelta(response_id=response_id, audio=audio):
            wire_log.debug("%s delta of %s, %d bytes", gutter, response_id, len(audio))
        case _:
            wire_log.debug("%s %s %s", gutter, type(event).__name__, " ".join(_harmless_fields(event)))


def _harmless_fields(event: events.ClientEvent | events.ServerEvent) -> Iterator[str]:
    """What may be logged of an event: ids, codes and names, never what was said, asked of a tool or configured."""
    for name in ("response_id", "call_id", "name", "status", "type", "code"):
        value = getattr(event, name, None)
        if isinstance(value, str) and value:
            yield f"{name}={value}"
