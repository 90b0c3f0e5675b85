"""The one connection to the voice service: opened when wanted, kept healthy, closed when idle, opened again when it
fails.

The link owns a ``Session`` (the protocol's rules) per connection. Whoever builds it gives it a credential source, a
pull source of audio, and a callback. It runs as one task, ``run()``; everything else is called from the same event
loop.

::

    CLOSED ──want()──> CONNECTING ──settings taken───> OPEN ──idle, recycled──> CLOSED
                        │    ^                          │
                        │    └──delay, press── RETRYING <┤  transient failure
                        └────────press──────── LATCHED <┘   a failure that only a person can mend

When to try again, and whether to give up until somebody asks, is decided in ``link/retry.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final
from urllib.parse import urlsplit

from appliance.errors import CredentialError, TokenError, TrustError
from appliance.link.connection import Demand, LiveConnection, SessionOver, Supply
from appliance.link.failures import Class, Failure, Verdict, What
from appliance.link.handshake import ConnectionSettings, Dialer, connect_failure, how_it_closed
from appliance.link.retry import Decision, Policy
from appliance.realtime import events
from appliance.realtime.opening import CONFIRM_S, Habits
from appliance.realtime.record import Attempt, Connected, Record, unrecorded
from appliance.realtime.session import Outcome, Ready, Session
from appliance.turn.value import Value

wire_log = logging.getLogger("appliance.wire")

START_SPREAD_S: Final = 10.0
"""A box that is to be connected always waits up to this long at its start, unless pressed (decision 14)."""

KEY_LOOK_S: Final = 5.0
"""How often the key's source is looked at after a key was refused: one file's status. A new key has its attempt within
twice this."""

LONGEST_CREDENTIAL_S: Final = 60.0
"""The most that credentials.token_timeout_s may be."""

CLOCK_STEP_S: Final = 60.0
"""A wall clock that jumps this far has been set; certificates may be valid now."""


class LinkState(Enum):
    """What the connection is doing."""

    CLOSED = "closed, on demand"
    CONNECTING = "connecting"
    OPEN = "open"
    RETRYING = "retrying"
    LATCHED = "refused"


class SessionOpened(Value):
    """A session is ready: settings are in force, audio may go."""


class SessionLost(Value):
    """The session, or an attempt, failed; the link tries again by itself in ``delay_s``."""

    verdict: Verdict
    delay_s: float
    was_open: bool


class SessionFailed(Value):
    """The link has given up until somebody asks again."""

    verdict: Verdict
    was_open: bool


class SessionClosed(Value):
    """We closed the session ourselves, with nothing wrong."""

    reason: str


class Entered(Value):
    """The link's state has changed; what it means for a turn comes as one of the others."""

    state: LinkState


LinkEvent = SessionOpened | SessionLost | SessionFailed | SessionClosed | Entered | Outcome


async def _unknown() -> bool:
    """Whether the clock has been set, of a link that nobody tells."""
    return False


@dataclass(slots=True)
class _Asked:
    """Why the next attempt is made, and how soon it may be. Times are monotonic seconds."""

    pressed: bool = False
    """Somebody has asked for a session, or an attempt, since the last one."""
    pressed_s: float = float("-inf")
    """When that was."""
    unasked: bool = False
    """An attempt is due that no turn asked for: a probe, a key that has changed, ``retry``."""
    undecided: bool = False
    """The service has refused us, and whether it still does is being asked. An attempt that meets a network in trouble
    is no answer: without another one nobody would ever ask again."""
    refused_until_s: float = float("-inf")
    """While latched: from when on a press may have its attempt."""
    not_before_s: float = float("-inf")
    """No attempt sooner, unless the backoff has run out (decision 13). It outlives the turn that met the failure."""


class Link:
    """See the module's text. ``state``, ``policy`` and ``habits`` may be read by anyone.

    ``credential`` gives the key, or raises CredentialError; ``credential_stamp`` a value that changes when the key's
    source does. ``next_audio`` gives int16 mono PCM at 24 kHz that is due now, or None; it is asked again after
    ``kick()``. ``audio_sent`` is called when all it gave has been written. ``jitter`` is uniform in [0, 1).
    ``habits``: what is known of the service's way with settings, and kept there; None: nothing yet.
    ``is_synchronised``: something has set the wall clock; False also if nobody can tell. ``record`` is told of every
    attempt, every message and every end.
    """

    def __init__(
        self,
        settings: ConnectionSettings,
        session_settings: events.SessionSettings,
        credential: Callable[[], Awaitable[str]],
        next_audio: Callable[[], bytes | None],
        audio_sent: Callable[[], None],
        on_event: Callable[[LinkEvent], None],
        policy: Policy,
        credential_stamp: Callable[[], object] = lambda: None,
        jitter: Callable[[], float] = random.random,
        habits: Habits | None = None,
        is_synchronised: Callable[[], Awaitable[bool]] = _unknown,
        record: Record = unrecorded,
    ) -> None:
        self._settings = settings
        self._dialer = Dialer(settings)
        self._session_settings = session_settings
        self.habits = habits or Habits(settings.dialect)
        self._credential = credential
        self._on_event = on_event
        self._jitter = jitter
        self._is_synchronised = is_synchronised
        self._record = record
        self.state = LinkState.CLOSED
        self.policy = policy
        self._credential_stamp = credential_stamp
        self._stamp: object = None
        """Of the credential of the last attempt."""
        self._conversation: LiveConnection | None = None
        self._demand = Demand(wanted=settings.always)
        self._supply = Supply(next_audio, audio_sent, self._outcome)
        self._asked = _Asked()
        self._wake = asyncio.Event()
        self.due_s: float | None = None
        """When the link takes its next step by itself, in monotonic seconds. None: it waits for somebody to want a
        session, or has one, which the keepalive ends when it is dead."""

    # ------------------------------------------------------------ what the daemon asks

    @property
    def session(self) -> Session | None:
        """The rules of the open session; None unless audio may go."""
        conversation = self._conversation
        return conversation.session if conversation is not None and conversation.session.ready else None

    @property
    def refuses(self) -> bool:
        """``want()`` now would be answered with Failed at once, without an attempt (decision 13)."""
        return self.state is LinkState.LATCHED and self._now_s() < self._asked.refused_until_s

    @property
    def fault(self) -> int | None:
        """Number of the fault to show now; None: none, or none yet. What nobody tries any more is none: on demand only
        the next question will tell, and nobody asks a box that calls for help."""
        return None if self.state is LinkState.CLOSED else self.policy.fault(self._now_s())

    def want(self) -> None:
        """A turn needs a session now. In RETRYING this skips the backoff, in LATCHED it is one attempt."""
        self._demand.wanted = self._demand.busy = self._asked.pressed = True
        self._asked.pressed_s = self._now_s()
        self._wake.set()

    async def prepare(self) -> None:
        """Load what a connection needs beside the loop, so that the first question does not wait for it: 70 ms here,
        most of a second on a Pi Zero. What fails here is said by the attempt that meets it."""
        with contextlib.suppress(TrustError):
            await asyncio.to_thread(self._dialer.prepare)

    def retry(self) -> None:
        """One attempt now, also if no turn wants a session. Nothing to do while there is one, or an attempt."""
        if self.state not in (LinkState.CONNECTING, LinkState.OPEN):
            self._asked.unasked = self._asked.pressed = True
            self._asked.pressed_s = self._now_s()
            self._wake.set()

    def release(self, proven: bool = False) -> None:
        """No turn needs the session any more. ``proven``: the turn completed, so past failures are forgiven."""
        self._demand.wanted = self._settings.always
        self._demand.busy = False
        self._demand.idle_since_s = self._now_s()
        if proven:
            self.policy.proven()
        self._wake.set()

    def send(self, *outgoing: events.ClientEvent) -> None:
        """Queue control events, in order, ahead of further audio. Dropped silently when there is no session."""
        if self._conversation is not None and self.session is not None:
            self._conversation.send(*outgoing)

    def kick(self) -> None:
        """Audio may be due: ask ``next_audio`` again."""
        if self._conversation is not None:
            self._conversation.kick()

    def close(self, reason: str) -> None:
        """Close the session with 1000; the next ``want()`` opens a new one."""
        if self._conversation is not None:
            self._conversation.close(reason)

    # ------------------------------------------------------------ the task

    async def run(self) -> None:
        """Keep the link until cancelled; on cancellation the session is closed with 1000 within ``close_timeout_s``."""
        if self._settings.always:
            # After a power cut a whole street of boxes comes back at once (decision 14).
            await self._until(lambda: self._asked.pressed, self._now_s() + START_SPREAD_S * self._jitter())
        while True:
            if not self._due():
                self._enter(LinkState.CLOSED)
                await self._until(self._due)
            if self._now_s() < self._asked.not_before_s:
                self._enter(LinkState.RETRYING)
                await self._until(lambda: not self._due(), self._asked.not_before_s)
                continue
            self._asked.unasked = False
            await self._attempt()

    def _due(self) -> bool:
        """Somebody wants a session, or an attempt."""
        return self._demand.wanted or self._asked.unasked or self._asked.undecided

    async def _attempt(self) -> None:
        """One session, from its handshake to its end, and the rest that its end asks for."""
        self._enter(LinkState.CONNECTING)
        attempt_s = self._settings.connect_timeout_s + self._settings.configure_timeout_s
        self.due_s = self._now_s() + attempt_s + LONGEST_CREDENTIAL_S
        self._asked.pressed = False
        self._stamp = self._credential_stamp()
        self.policy.attempted(self._now_s())
        over = await self._one_session()
        was_open = self.session is not None
        self._conversation = None
        if over.failure is None:
            self.policy.closed(self._now_s())
            self._enter(LinkState.CLOSED)
            self._on_event(SessionClosed(over.reason))
            return
        decision = self.policy.failed(over.failure, self._now_s(), waiting=self._demand.busy, jitter=self._jitter())
        if decision.latched:
            self._asked.undecided = False
            await self._latch(decision, was_open)
        else:
            await self._back_off(decision, was_open)

    async def _back_off(self, decision: Decision, was_open: bool) -> None:
        assert decision.automatic_s is not None
        self._enter(LinkState.RETRYING)
        self._on_event(SessionLost(decision.verdict, decision.automatic_s - self._now_s(), was_open))
        if was_open and not self._demand.wanted:
            self.policy.unneeded()
        self._asked.pressed = False
        self._asked.not_before_s = decision.asked_s
        step_s = self._clock_step_s()

        def go_on() -> bool:
            return self._asked.pressed or not self._due() or abs(self._clock_step_s() - step_s) > CLOCK_STEP_S

        look_s = 1.0 if decision.verdict.class_ is Class.CLOCK else None
        if not await self._until(go_on, decision.automatic_s, look_s):
            self._asked.not_before_s = float("-inf")

    async def _latch(self, decision: Decision, was_open: bool) -> None:
        """Wait for a press, for a changed key, or for the time of a probe; the last two make their own attempt."""
        self._demand.wanted = self._demand.busy = self._asked.pressed = False
        self._asked.refused_until_s = decision.asked_s
        self._enter(LinkState.LATCHED)
        self._on_event(SessionFailed(decision.verdict, was_open))
        watches_key = decision.verdict.class_ is Class.KEY

        def go_on() -> bool:
            return self._asked.pressed or (watches_key and self._credential_stamp() != self._stamp)

        while await self._until(go_on, decision.automatic_s, look_s=KEY_LOOK_S if watches_key else None):
            if not self._asked.pressed or self._asked.pressed_s >= decision.asked_s:
                break
            self._demand.wanted = self._demand.busy = self._asked.pressed = False
            self._on_event(SessionFailed(decision.verdict, was_open=False))
        self._asked.undecided = True
        self._asked.not_before_s = float("-inf")

    async def _until(
        self, condition: Callable[[], bool], deadline_s: float | None = None, look_s: float | None = None
    ) -> bool:
        """Wait for ``condition``, looked at whenever somebody calls, and every ``look_s`` if given; False when
        ``deadline_s`` came first."""
        while not condition():
            now_s = self._now_s()
            if deadline_s is not None and now_s >= deadline_s:
                return False
            ends = [end_s for end_s in (deadline_s, None if look_s is None else now_s + look_s) if end_s is not None]
            self._wake.clear()
            self.due_s = min(ends, default=None)
            try:
                async with asyncio.timeout_at(self.due_s):
                    await self._wake.wait()
            except TimeoutError:
                continue
        return True

    def _enter(self, state: LinkState) -> None:
        if state is not self.state:
            wire_log.debug("= %s", state.value)
            self.state = state
            self._on_event(Entered(state))

    @staticmethod
    def _clock_step_s() -> float:
        """Changes when, and only when, the wall clock is set."""
        return time.time() - time.monotonic()

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()

    @property
    def _host(self) -> str:
        return urlsplit(self._settings.url).hostname or ""

    # ------------------------------------------------------------ one session

    async def _one_session(self) -> SessionOver:
        """From credential to close. Never raises but for cancellation and faults of our own."""
        try:
            key = await self._credential()
        except TokenError as error:
            return SessionOver(Failure(What.TOKEN, text=str(error)))
        except CredentialError as error:
            return SessionOver(Failure(What.NO_KEY, text=str(error)))
        try:
            connection = await self._dialer.connect(key)
        except Exception as error:
            if (failure := await connect_failure(error, self._settings, self._is_synchronised)) is None:
                raise
            self._record(Attempt(self._host, failure.what.name, failure.code if failure.what is What.HTTP else 0))
            return SessionOver(failure)
        finally:
            del key
        self._record(Connected(self._host, connection.response.status_code if connection.response is not None else 0))
        confirm_s = min(CONFIRM_S, self._settings.configure_timeout_s / 2)
        session = Session(self._session_settings, self.habits, confirm_s)
        self._conversation = LiveConnection(
            connection, session, self._settings, self._demand, self._supply, self._record
        )
        try:
            # A task of its own: on Python 3.11 a TaskGroup whose child failed leaves a cancellation counted in its
            # task, and every later asyncio.timeout there would end in CancelledError.
            over = await asyncio.get_running_loop().create_task(self._conversation.run())
        finally:
            await self._conversation.hang_up()
            self._record(how_it_closed(connection))
        if (task := asyncio.current_task()) is not None and task.cancelling():
            # The box stops in the moment in which the session ends by itself: the task group has kept only the latter.
            raise asyncio.CancelledError
        return over

    def _outcome(self, outcome: Outcome) -> None:
        if not isinstance(outcome, Ready):
            self._on_event(outcome)
            return
        self._demand.wanted = self._demand.wanted or self._settings.always
        self.policy.opened(self._now_s())
        self._asked.undecided = False
        self.due_s = None
        self._enter(LinkState.OPEN)
        self._on_event(SessionOpened())
