"""The daemon's side of a sound host: start it, talk to it, notice when it hangs, kill and replace it.

Everything runs in the thread of the event loop. Nothing blocks: the socket and the pipe are non-blocking, and one call
of a reader does a bounded amount of work.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from appliance.soundhost import messages
from appliance.soundhost.devices import Card, Direction, KernelFolders, able_cards, card_named, is_there

from .any_host import Owner
from .card_preference import Preference
from .card_search import LOOK_AGAIN_S, BetterCard, MissingDevice
from .child_process import Child, child_for

STALL_S = 1.0
"""A running device that says nothing for so long hangs (design.md). A microphone speaks every 20 ms, a speaker every
20, or 500 when silent."""

REST_STALL_S = 2.0
"""The same of a device that nobody attends to: it says once a second that it lives. With CHECK_S a hung one is still
replaced within 3 s."""

LOOKING_S = 10.0
"""Python's start and PortAudio's look at all devices. On a machine as slow as a Pi Zero 2 W (``make test-vm``) 0.4 and
0.2 s at rest; but at 2.5 s two hosts that started together on a busy one were killed and started for ever."""

LONGEST_LOOK_S = 80.0
"""Each host in a row that is killed before it came as far as its device gives the next one twice the time, up to this:
no machine is so busy that its hosts are killed for ever (seen with LOOKING_S, where others used nine tenths of one)."""

CALL_S = 2.5
"""One call of the sound library after that, and from opening to the first sign of life. PortAudio is patient with a
busy card for 1 s, and a sleeping PulseAudio sink took up to 1.9 s to start (measured). With CHECK_S a call that hangs
is ended within 3 s."""

BACKOFF_S = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Before starting the next host, by the number of failures in a row. The first is replaced at once: sound is back
within STALL_S and its successor's start. The last is repeated for ever. After a host that came as far as its device
it is LOOK_AGAIN_S at most: it is the device that fails, and that may be back at any moment."""

PROVEN_S = 10.0
"""A host that lived for so long begins a new count of failures."""

CHECK_S = 0.25
"""Between two looks at the clock: a hung host is found within STALL_S and this."""

REST_CHECK_S = 0.5
"""The same while nobody attends to the device."""

LATE_LOOP_S = 0.5
"""When our own loop was held up for more than this (a stopped process, a suspended machine), the silence says nothing
about the host, and it is given another chance."""

MESSAGES_AT_ONCE = 32
"""Read in one call of the socket's reader: 0.6 s of microphone, some 2 ms of work. Then other callbacks get a turn."""

PAUSED = "not wanted"
"""Why a host ends that did nothing wrong."""

UNPLUGGED = "unplugged"
"""Why a host is of no more use whose card is gone; the owner is told which card."""

CHANGED = "a better card is there"
"""Why a host ends whose successor takes another card."""


@dataclass(slots=True)
class _Life:
    """What is known of a host's being alive: ``heard_s``, monotonic, is the last sign of it, or when one was last asked
    for; the next is due ``limit_s`` later. ``looking_s``: what the next host gets to come as far as its device."""

    heard_s: float
    limit_s: float
    looking_s: float


class SoundHost:
    """Keeps one host running, and its device open, for as long as ``run`` runs.

    ``environment``: instead of the daemon's own; only the variables of PASSED_ON are handed over either way.
    ``preference``: which card "auto" may take; None: whatever is there, until one has been open.

    To be read: ``instead_of``, in whose place the device is that was opened last (None: in nobody's, or in its own);
    ``due_s``, when ``run`` looks after its host again, in monotonic seconds (None: before it, and while it is paused);
    ``started``, hosts started so far.
    """

    def __init__(
        self,
        direction: Direction,
        request: messages.Open,
        owner: Owner,
        environment: Mapping[str, str] | None = None,
        preference: Preference | None = None,
        machine: KernelFolders = KernelFolders(),  # noqa: B008  (a tuple)
    ) -> None:
        self._direction = direction
        self._request = request
        self._owner = owner
        self._environment = environment
        self._preference = Preference(direction) if preference is None else preference
        self._machine = machine
        self._child: Child | None = None
        self._running = False
        """The device is open."""
        self._pace = messages.AT_ONCE
        self._check_timer: asyncio.TimerHandle | None = None
        """The next look at the clock; None while there is no host."""
        self._over: asyncio.Future[str] | None = None
        """Why the present host is of no more use, once that is known; None while there is no host."""
        self._life = _Life(0.0, LOOKING_S, LOOKING_S)
        self._missing = MissingDevice(machine)
        self._proven = False
        """The present host has come as far as its device."""
        self._card: Card | None = None
        """The card behind the open device; None for a plugin."""
        self._better = BetterCard(direction, self._preference, machine)
        self.instead_of: Card | None = None
        self._set_aside = ""
        """Why a better card was not taken, until that can be said with the device that is; empty: none was tried."""
        self._reason = ""
        """What ``lost`` was last told, or what the host said of its end; empty while the device runs."""
        self._wanted = asyncio.Event()
        """Cleared between ``pause`` and ``resume``."""
        self._wanted.set()
        self.due_s: float | None = None
        self.started = 0

    @property
    def process_id(self) -> int | None:
        """Of the host; None while there is none."""
        return None if self._child is None else self._child.process.pid

    def send(self, message: messages.Samples | messages.Flush) -> None:
        """Give it to the host. Lost if there is none, or if it takes nothing any more, for then it will be replaced."""
        if self._child is not None and self._running:
            self._child.send(messages.pack(message))

    @property
    def pace(self) -> int:
        """How soon the device is wanted: ``wire.Pace``. Set to AT_ONCE, what the host holds is here a moment later."""
        return self._pace

    def keep_pace(self, piece_ms: int) -> None:
        """See ``pace``."""
        if piece_ms == self._pace:
            return
        self._pace = piece_ms
        if self._child is not None and self._running:
            self._tell_pace(self._child)
            self._check_in(self._check_s)

    def pause(self) -> None:
        """End the host, and with it the device: what the kernel shows as closed nobody can listen to. It is killed in
        the next turn of the loop; nothing that it says is passed on from now on."""
        self._wanted.clear()
        self._running = False
        if self._child is not None and self._over is not None and not self._over.done():
            self._end_with(PAUSED)

    def resume(self) -> None:
        """Start a host again, as at the beginning."""
        self._wanted.set()

    async def run(self) -> NoReturn:
        """Until cancelled; then the host is killed. Raises only what the owner raised."""
        failures = 0
        while True:
            self.due_s = None
            await self._wanted.wait()
            began_s = self.due_s = time.monotonic()
            try:
                reason = await self._serve()
            except OSError as error:
                reason = f"no process for the sound host: {error.strerror}"
            finally:
                await self._end()
            if reason not in (PAUSED, CHANGED) and self._preference.change_back():
                self._set_aside, reason = reason, CHANGED
            if reason in (PAUSED, CHANGED):
                failures, self._reason = 0, ""
                continue
            if time.monotonic() - began_s >= PROVEN_S:
                failures = 0
            self._lose(reason)
            pause_s = BACKOFF_S[min(failures, len(BACKOFF_S) - 1)]
            pause_s = min(pause_s, LOOK_AGAIN_S) if self._proven else pause_s
            self.due_s = time.monotonic() + pause_s
            await asyncio.sleep(pause_s)
            failures += 1

    # ------------------------------------------------------------ one host

    async def _serve(self) -> str:
        """Start a host and watch over it; why it is of no more use."""
        loop = asyncio.get_running_loop()
        over: asyncio.Future[str] = loop.create_future()
        self._child = child = child_for(self._direction, self._environment)
        self._over = over
        if self._proven:
            self._life.looking_s = LOOKING_S
        self._proven = False
        self._missing.may_be_new(time.monotonic())
        self.started += 1
        loop.add_reader(child.link, self._fetch, child, over)
        loop.add_reader(child.chatter, child.log_chatter, loop)
        self._ask()
        self._check_in(CHECK_S)
        return await over

    def _check_in(self, seconds: float) -> None:
        """Look at the clock in so long. A timer, no wait with a timeout: an idle box does little else."""
        if self._check_timer is not None:
            self._check_timer.cancel()
        self.due_s = time.monotonic() + seconds
        self._check_timer = asyncio.get_running_loop().call_later(seconds, self._check)

    @property
    def _check_s(self) -> float:
        return REST_CHECK_S if self._running and self._pace == messages.HOLD else CHECK_S

    def _check(self) -> None:
        """What only time brings about. An exception is for ``_serve``."""
        over, due_s = self._over, self.due_s
        self._check_timer = None
        if over is None or over.done():
            return
        assert due_s is not None
        try:
            reason = self._overdue(time.monotonic(), due_s)
        except Exception as error:
            over.set_exception(error)
            return
        if reason is None:
            self._check_in(self._check_s)
        else:
            self._end_with(reason)

    def _overdue(self, now_s: float, due_s: float) -> str | None:
        """Look again for a device that is not there; why the host is of no more use, None: it is."""
        if now_s > due_s + LATE_LOOP_S:
            self._life.heard_s = now_s
        elif self._missing.is_looked_for:
            if self._missing.is_due(now_s):
                self._ask()
        elif self._running and self._card is not None and not is_there(self._card, self._machine.proc):
            # A second sooner than by its silence, and so much less of a spinning host.
            return UNPLUGGED
        elif now_s >= self._life.heard_s + self._life.limit_s:
            if not self._proven:
                self._life.looking_s = min(2 * self._life.looking_s, LONGEST_LOOK_S)
            return f"the sound host hung for {self._life.limit_s:g} s"
        elif self._running and self._request.device == "auto" and self._better.is_to_be_taken(now_s):
            self._running = False
            self._preference.change()
            self._owner.changes()
            return CHANGED
        return None

    def _end_with(self, reason: str) -> None:
        """The present host is of no more use. Nothing that it says from now on is looked at."""
        assert self._child is not None and self._over is not None
        asyncio.get_running_loop().remove_reader(self._child.link)
        self._over.set_result(reason)

    def _fetch(self, child: Child, over: asyncio.Future[str]) -> None:
        """Take in what the host says. The end of the host, or an exception of the owner's, is for ``_serve``."""
        if over.done():
            return
        try:
            reason = self._read(child)
            self._owner.fetched()
        except Exception as error:
            asyncio.get_running_loop().remove_reader(child.link)
            over.set_exception(error)
            return
        if reason is not None:
            self._end_with(reason)

    def catch_up(self) -> None:
        """Take in what the host has said by now, before the loop would."""
        if self._child is not None and self._over is not None:
            self._fetch(self._child, self._over)

    def _tell_pace(self, child: Child) -> None:
        """Tell the host, and give it the time that a device takes to start."""
        child.send(messages.pack(messages.Pace(self._pace)))
        self._life.heard_s, self._life.limit_s = time.monotonic(), CALL_S

    def _ask(self) -> None:
        assert self._child is not None
        self._missing.asked()
        self._life.heard_s = time.monotonic()
        self._life.limit_s = self._life.looking_s
        limits = self._preference.limits(self._life.heard_s)
        request = self._request._replace(worst_rank=limits.worst_rank, refused=tuple(limits.refused))
        self._child.send(messages.pack(request))

    def _read(self, child: Child) -> str | None:
        """Take in what the host says; when it has ended, why."""
        for _ in range(MESSAGES_AT_ONCE):
            try:
                datagram = child.link.recv(messages.LARGEST_BYTES)
            except BlockingIOError:
                return None
            except OSError:
                datagram = b""
            if not datagram:
                return self._reason or "the sound host ended"
            self._life.heard_s = time.monotonic()
            self._take(messages.unpack_from_host(datagram))
        return None

    def _take(self, message: messages.FromHost) -> None:
        if not self._wanted.is_set():
            return
        if isinstance(message, messages.Block | messages.Played | messages.Written | messages.Resting):
            self._life.limit_s = REST_STALL_S if self._pace == messages.HOLD else STALL_S
            if not isinstance(message, messages.Resting):
                self._owner.received(message)
        elif isinstance(message, messages.Trying):
            self._proven = True
            self._life.limit_s = CALL_S
        elif isinstance(message, messages.Waiting):
            # The other host may be slow, or hang; this one has its own time when its turn has come.
            self._life.limit_s = self._life.looking_s
        elif isinstance(message, messages.Opened):
            self._life.limit_s = CALL_S
            self._running = True
            self._reason = ""
            self._card = card_named(message.name, self._machine.cards())
            self._better.forget()
            self.instead_of = None
            if self._card is not None and self._request.device == "auto":
                self.instead_of = self._preference.opened(self._card, able_cards(self._direction, self._machine))
            self._owner.opened(message._replace(note=self._set_aside or message.note))
            self._set_aside = ""
            if self._pace != messages.AT_ONCE and self._child is not None:
                self._tell_pace(self._child)
        elif isinstance(message, messages.Failed):
            self._proven = True
            now_s = time.monotonic()
            self._missing.was_refused(now_s)
            if self._preference.is_changing:
                # Not at its first refusal, for somebody may have it for a moment: what is left alone then stays so.
                if self._missing.has_settled(now_s) and self._preference.change_back():
                    self._set_aside = message.reason
                    self._missing.look_at(now_s)
                return
            self._lose(message.reason)

    def _lose(self, reason: str) -> None:
        """Tell the owner, unless it knows, or does not want to."""
        if not self._wanted.is_set():
            return
        if self._running and self._card is not None and self._card not in self._machine.cards():
            reason = f'"{self._card.name}" was unplugged'
        if self._running:
            self._preference.lost(able_cards(self._direction, self._machine))
        known = not self._running and reason == self._reason
        self._running = False
        self._reason = reason
        if not known:
            self._owner.lost(reason)

    async def _end(self) -> None:
        self._missing.give_up()
        child = self._child
        if child is None:
            return
        self._over = None
        if self._check_timer is not None:
            self._check_timer.cancel()
            self._check_timer = None
        for descriptor in (child.link, child.chatter):
            asyncio.get_running_loop().remove_reader(descriptor)
        child.kill()
        try:
            await child.collected()
        finally:
            self._child = None
