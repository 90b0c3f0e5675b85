"""One session on one connection: the reader, the writer and the housekeeper, until one of them knows that it is over.

The link (``link.py``) opens the connection, gives it to a ``LiveConnection``, and judges how that ended.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from appliance.errors import ProtocolError
from appliance.journal.foreign_text import one_line
from appliance.link.failures import Failure, What
from appliance.link.handshake import ConnectionSettings, close_failure, unacknowledged_bytes
from appliance.realtime import codec, events
from appliance.realtime.opening import CLOSE_AFTER_ERROR_S
from appliance.realtime.record import Message, Record, unrecorded
from appliance.realtime.session import Outcome, Ready, Refused, Send, ServiceSaid, Session

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

wire_log = logging.getLogger("appliance.wire")

RECYCLE_IDLE_S: Final = 10.0
"""A session that has grown old is closed only after this long without a turn (decision 9)."""

OUTBOX_EVENTS: Final = 256
"""Control events that may wait for the network. A turn makes about ten; a fuller box means that nothing leaves."""


ENOUGH_UNDER_WAY_BYTES: Final = 32 * 1024
"""Audio waits in the microphone's memory, not in the kernel's, while so much is under way. More would keep pings behind
it for longer than ping_timeout_s on a slow line (at 100 kbit/s this is 2.6 s), and let an utterance count as sent that
has hardly begun to leave. Less would not fill a line with a long way: it is half a second of speech in base64."""

ROOM_LOOK_S: Final = 0.02
"""Between two looks whether there is room again, which nobody announces. An idle or a quick line is never looked at."""


@dataclass(slots=True)
class Demand:
    """What is asked of the link, kept by it and read here. ``busy``: a turn is open. ``wanted``: a session is to be
    kept."""

    wanted: bool
    busy: bool = False
    idle_since_s: float = 0.0


class SessionOver(Exception):
    """Ends the tasks of one session. ``failure`` is None when we close with nothing wrong."""

    def __init__(self, failure: Failure | None, reason: str = "") -> None:
        super().__init__(reason)
        self.failure = failure
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Supply:
    """Where audio comes from and outcomes go to; see ``Link``."""

    next_audio: Callable[[], bytes | None]
    audio_sent: Callable[[], None]
    on_outcome: Callable[[Outcome], None]


class LiveConnection:
    """See the module's text. ``session`` holds the protocol's rules, ``ready_s`` when settings were in force."""

    def __init__(
        self,
        connection: ClientConnection,
        session: Session,
        settings: ConnectionSettings,
        demand: Demand,
        supply: Supply,
        record: Record = unrecorded,
    ) -> None:
        self._connection = connection
        self.session = session
        self.ready_s: float | None = None
        self._settings = settings
        self._demand = demand
        self._supply = supply
        self._record = record
        self._outbox: deque[events.ClientEvent] = deque()
        self._writable = asyncio.Event()
        self._close_reason: str | None = None
        self._overdue: tuple[Failure, float] | None = None
        self._under_way_bytes = 0
        """When it was looked at last."""
        self._moved_s = 0.0
        """When that changed last."""
        self._nudges = 0
        """Sent so far."""
        self._received_s = 0.0
        """When the service was heard last."""
        self._sending_since_s: float | None = None
        """When the message was begun that is on its way into the socket; None: none is."""
        self._send_timer: asyncio.TimerHandle | None = None
        """Looks whether one is stuck; None while none was sent for ``send_timeout_s``."""
        self._stuck = False
        """One was, and the connection is aborted for it."""

    def send(self, *outgoing: events.ClientEvent) -> None:
        """Queue control events, in order, ahead of further audio."""
        if len(self._outbox) + len(outgoing) > OUTBOX_EVENTS:
            self.close("nothing leaves any more")
            return
        self._outbox.extend(outgoing)
        self._writable.set()

    def kick(self) -> None:
        """Audio may be due: ask for it again."""
        self._writable.set()

    def close(self, reason: str) -> None:
        """End the session with 1000."""
        self._close_reason = reason
        self._writable.set()

    async def run(self) -> SessionOver:
        """Until it is over; says how. Meant for a task of its own."""
        ends: list[SessionOver] = []
        try:
            async with asyncio.TaskGroup() as group:
                for part in (self._read(), self._write(), self._look_after(), self._keep_alive()):
                    group.create_task(part)
        except* SessionOver as overs:
            ends = [end for end in overs.exceptions if isinstance(end, SessionOver)]
        finally:
            if self._send_timer is not None:
                self._send_timer.cancel()
        return ends[0]

    async def hang_up(self) -> None:
        """Close politely within the deadline, else abort: the old socket is gone before a new one opens (decision
        9)."""
        closing = asyncio.get_running_loop().create_task(self._connection.close())
        # Not asyncio.timeout: this also runs while we are being cancelled, when a timeout is no TimeoutError.
        _, late = await asyncio.wait({closing}, timeout=self._settings.close_timeout_s)
        if late:
            self._connection.transport.abort()
            wire_log.debug("! aborted, no close within %s s", self._settings.close_timeout_s)
        await closing

    async def _read(self) -> None:
        """Drain the connection. A slow reader would starve the keepalive of its pongs, so nothing here waits."""
        from websockets.exceptions import ConnectionClosed

        try:
            while True:
                message = await self._connection.recv()
                self._received_s = _now_s()
                self._record(Message("<", message))
                try:
                    event = codec.decode(message)
                except ProtocolError as fault:
                    self._follow(self.session.unreadable(fault))
                    continue
                _log_event("<", event)
                if self.session.on_trust:
                    # The service lives.
                    self._overdue = None
                self._follow(self.session.receive(event, _now_s()))
                if not self.session.ready:
                    # What time brings about next may have moved.
                    self._writable.set()
        except ConnectionClosed as closed:
            failure = Failure(What.SEND_STUCK) if self._stuck else close_failure(closed, self._connection)
            if failure.what is What.CLOSED and self.session.broke(failure.code):
                failure = Failure(What.DIALECT, failure.code, failure.text)
            raise SessionOver(failure) from None

    def _follow(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            match outcome:
                case Ready():
                    self.ready_s = self._demand.idle_since_s = _now_s()
                    # What was said before, the settings are in force all the same.
                    self._overdue = None
                    self._supply.on_outcome(outcome)
                    self._writable.set()
                case Refused(message):
                    raise SessionOver(Failure(What.SETTINGS_REFUSED, text=message))
                case Send(answer):
                    self.send(answer)
                case ServiceSaid():
                    self._supply.on_outcome(outcome)
                    if outcome.type == "server_error" and not outcome.harmless:
                        # The close code decides; only when none comes does the event speak for itself (decision 11).
                        self._end_in(CLOSE_AFTER_ERROR_S, Failure(What.SERVER_ERROR, text=outcome.message))
                case _:
                    self._supply.on_outcome(outcome)

    def _end_in(self, wait_s: float, failure: Failure) -> None:
        """Unless something better comes before that."""
        if self._overdue is not None:
            # A service that complains of every append must not put off the end with each.
            return
        self._overdue = (failure, _now_s() + wait_s)
        asyncio.get_running_loop().call_later(wait_s, self._writable.set)

    async def _write(self) -> None:
        """The only sender: settings, then control events ahead of audio."""
        from websockets.exceptions import ConnectionClosed

        session = self.session
        try:
            await self._send(session.opening())
            while True:
                self._writable.clear()
                if self._close_reason is not None:
                    raise SessionOver(None, self._close_reason)
                if self._overdue is not None and _now_s() >= self._overdue[1]:
                    if session.on_trust:
                        session.unanswered()
                    raise SessionOver(self._overdue[0])
                self._follow(session.advance(_now_s()))
                while self._outbox:
                    event = self._outbox.popleft()
                    await self._send(event)
                    if not isinstance(event, events.InputAudioBufferCommit | events.ResponseCreate):
                        continue
                    await self._watch_nudge()
                    if session.on_trust:
                        self._end_in(self._settings.configure_timeout_s, Failure(What.NOT_CONFIGURED))
                crowded = session.ready and self._crowded()
                if session.ready and not crowded and (audio := self._supply.next_audio()) is not None:
                    await self._send(session.append(audio))
                    self._writable.set()
                    self._supply.audio_sent()
                await self._wake_by(_now_s() + ROOM_LOOK_S if crowded else session.due_s)
        except ConnectionClosed:
            # The reader knows why, and says it.
            await asyncio.Event().wait()

    async def _wake_by(self, due_s: float | None) -> None:
        """Until there may be something to write, but not beyond ``due_s``. Not asyncio.timeout, which costs more than
        the message that is waited for."""
        if self._writable.is_set():
            return
        timer = None if due_s is None else asyncio.get_running_loop().call_at(due_s, self._writable.set)
        try:
            await self._writable.wait()
        finally:
            if timer is not None:
                timer.cancel()

    def _unready(self) -> Failure:
        """Why the session is not ready by now."""
        if self._overdue is not None:
            return self._overdue[0]
        refusal = self.session.refusal
        return Failure(What.NOT_CONFIGURED) if refusal is None else Failure(What.SETTINGS_REFUSED, text=refusal)

    def _crowded(self) -> bool:
        """Enough is under way. Raises SessionOver when nothing of it has arrived for ``send_timeout_s``."""
        under_way_bytes = unacknowledged_bytes(self._connection)
        if under_way_bytes != self._under_way_bytes:
            self._under_way_bytes, self._moved_s = under_way_bytes, _now_s()
        if under_way_bytes < ENOUGH_UNDER_WAY_BYTES:
            return False
        if _now_s() - self._moved_s >= self._settings.send_timeout_s:
            self._connection.transport.abort()
            raise SessionOver(Failure(What.SEND_STUCK))
        return True

    async def _send(self, event: events.ClientEvent) -> None:
        _log_event(">", event)
        message = codec.encode(event)
        self._record(Message(">", message))
        self._sending_since_s = _now_s()
        if self._send_timer is None:
            self._look_at_sending()
        await self._connection.send(message)
        self._sending_since_s = None

    def _look_at_sending(self) -> None:
        """Abort the connection if a message has not left for ``send_timeout_s``. One timer for all messages within that
        time, where an asyncio.timeout for each would cost as much as sending it."""
        self._send_timer = None
        if self._sending_since_s is None:
            return
        left_s = self._sending_since_s + self._settings.send_timeout_s - _now_s()
        if left_s <= 0:
            # Only an abort frees a connection whose write buffer is full; close() would wait behind it.
            self._stuck = True
            self._connection.transport.abort()
        else:
            self._send_timer = asyncio.get_running_loop().call_later(left_s, self._look_at_sending)

    async def _watch_nudge(self) -> None:
        """Have the session told when the nudge just sent has reached the service: a pong comes behind everything."""
        self._nudges += 1
        number = self._nudges

        def arrived(pong: asyncio.Future[float]) -> None:
            if not pong.cancelled() and pong.exception() is None:
                self.session.nudges_arrived(number)

        asyncio.ensure_future(await self._connection.ping()).add_done_callback(arrived)

    async def _keep_alive(self) -> None:
        """Ask for a pong now and then. Whatever else arrives is as good: the pong stands in the queue behind it."""
        from websockets.exceptions import ConnectionClosed

        settings = self._settings
        try:
            while True:
                await asyncio.sleep(settings.ping_interval_s)
                pong = asyncio.ensure_future(await self._connection.ping())
                asked_s = _now_s()
                while not pong.done():
                    left_s = max(asked_s, self._received_s) + settings.ping_timeout_s - _now_s()
                    if left_s <= 0:
                        self._connection.transport.abort()
                        raise SessionOver(Failure(What.NO_PONG))
                    await asyncio.wait({pong}, timeout=left_s)
                await pong
        except ConnectionClosed:
            # The reader knows why, and says it.
            await asyncio.Event().wait()

    async def _look_after(self) -> None:
        """What only time brings about: settings that are never confirmed, an idle or an old session."""
        settings = self._settings
        await asyncio.sleep(settings.configure_timeout_s)
        if self.ready_s is None:
            # An error event that came meanwhile says more than that nothing was confirmed.
            raise SessionOver(self._unready())
        while True:
            now_s = _now_s()
            if self._demand.busy:
                # Nothing falls due before a turn has ended and one of these has passed.
                await asyncio.sleep(min(settings.idle_close_s, RECYCLE_IDLE_S))
                continue
            idle_due_s = self._demand.idle_since_s + settings.idle_close_s
            recycle_due_s = max(self.ready_s + settings.max_session_s, self._demand.idle_since_s + RECYCLE_IDLE_S)
            if now_s >= idle_due_s and not self._demand.wanted:
                raise SessionOver(None, "idle")
            if now_s >= recycle_due_s:
                raise SessionOver(None, "grown old")
            due_s = recycle_due_s if self._demand.wanted else min(idle_due_s, recycle_due_s)
            await asyncio.sleep(due_s - now_s)


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _log_event(gutter: str, event: events.ClientEvent | events.ServerEvent) -> None:
    """The wire log: one line an event, audio as a count. No key ever passes here."""
    if not wire_log.isEnabledFor(logging.DEBUG):
        return
    match event:
        case events.InputAudioBufferAppend(audio):
            wire_log.debug("%s append %d bytes", gutter, len(audio))
        case events.OutputAudioDelta(response_id=response_id, audio=audio):
            wire_log.debug("%s delta of %s, %d bytes", gutter, one_line(response_id or "no name"), len(audio))
        case _:
            wire_log.debug("%s %s %s", gutter, type(event).__name__, " ".join(_harmless_fields(event)))


def _harmless_fields(event: events.ClientEvent | events.ServerEvent) -> Iterator[str]:
    """What may be logged of an event: ids, codes and names, never what was said, asked of a tool or configured."""
    for name in ("response_id", "call_id", "name", "status", "type", "code"):
        value = getattr(event, name, None)
        if isinstance(value, str) and value:
            yield f"{name}={one_line(value)}"
