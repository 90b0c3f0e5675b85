"""The replies of one connection: when they begin, at which pace they go out, how they are interrupted, and the tools
they ask for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Literal

from appliance.realtime import events
from appliance.simulator import replies, scenario, voices
from appliance.simulator.records import ConnectionRecord, ReplyRecord, TurnRecord
from appliance.simulator.replies import ActiveReply
from appliance.simulator.scenario import Fault, Moment, Reply
from appliance.simulator.settings import ServiceSettings


class Mouth:
    """Says everything through ``say`` and reports through ``reach``; ``spawn`` runs what takes time."""

    def __init__(
        self,
        settings: ServiceSettings,
        record: ConnectionRecord,
        say: Callable[[events.ServerEvent], None],
        reach: Callable[[Moment], None],
        spawn: Callable[[Coroutine[None, None, None]], asyncio.Task[None]],
    ) -> None:
        self._settings = settings
        self._record = record
        self._say = say
        self._reach = reach
        self._spawn = spawn
        self._ids = 0
        self._turn = TurnRecord(0, "create", b"", "", 0.0)  # the one that is answered
        self._due: list[Reply] = []  # to come, one after each round of tool outputs
        self._answers = True
        self._needs_nudge: Reply | None = None
        self._pending: set[asyncio.Task[None]] = set()
        self._active: list[ActiveReply] = []
        self._asking: dict[str, ActiveReply] = {}  # by call id

    def new_id(self, kind: str) -> str:
        """An id that no other thing of the service has."""
        self._ids += 1
        return f"{kind}_{self._record.number}_{self._ids}"

    # ------------------------------------------------------------ beginning

    def take_turn(self, turn: TurnRecord, plan: tuple[Reply, ...]) -> None:
        """From now on it is this turn that is answered, with these replies."""
        self._turn = turn
        self._due = list(plan)
        self._answers = bool(plan)
        self._needs_nudge = None
        self._forget_tools()

    def answer(self) -> None:
        """Begin the next reply of the turn, if there is one to come, after its delay."""
        if self._due:
            reply = self._due.pop(0)
            if reply.needs_nudge:
                self._needs_nudge = reply
            else:
                self.expect(reply)

    def nudge(self) -> None:
        """A response.create with no reply in progress and no turn to end: the reply that waited for it, or one more."""
        if self._needs_nudge is not None:
            reply, self._needs_nudge = self._needs_nudge, None
            self.begin(reply)
        elif self._answers:
            self.expect(self._due.pop(0) if self._due else Reply())

    def expect(self, reply: Reply) -> None:
        """Begin ``reply`` after its delay; at once, and not a turn of the loop later, if that is 0."""
        delay_ms = self._settings.reply_delay_ms if reply.delay_ms is None else reply.delay_ms
        if delay_ms <= 0:
            self.begin(reply)
            return
        task = self._spawn(self._begin_later(reply, delay_ms / 1000))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def _begin_later(self, reply: Reply, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        self.begin(reply)

    @property
    def is_busy(self) -> bool:
        """A reply is in progress or about to begin."""
        return bool(self._pending or self._active)

    # ------------------------------------------------------------ speaking

    def begin(self, plan: Reply) -> None:
        """Begin ``plan`` now, next to whatever is in progress. With speed 0 it is over when this returns."""
        pcm, text = replies.sound_of(plan, self._turn, self._settings.parrot)
        record = ReplyRecord(self.new_id("resp"), pcm, text, time.monotonic())
        pieces = replies.pieces_of(pcm, text, plan, self._settings.delta_ms)
        call_ids = tuple(self.new_id("call") for _ in plan.calls)
        active = ActiveReply(plan, record, self.new_id("item"), pieces, call_ids)
        self._active.append(active)
        self._record.replies.append(record)
        self._say(events.ResponseCreated(record.response_id))
        self._reach(Moment.REPLY)
        speed = self._settings.speed if plan.speed is None else plan.speed
        if speed > 0:
            active.task = self._spawn(self._pace(active, speed))
        else:
            for _ in self._utter(active):
                pass

    async def _pace(self, active: ActiveReply, speed: float) -> None:
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        for sent_ms in self._utter(active):
            # Against the beginning, not the last delta: what a busy machine delays is made up for.
            await asyncio.sleep(max(0.0, begun_s + sent_ms / 1000 / speed - loop.time()))

    def _utter(self, active: ActiveReply) -> Iterator[float]:
        """Say the reply to its end; before each delta yields how many ms of it have been sent."""
        while True:
            yield voices.ms_from_bytes(len(active.record.sent_audio))
            if not self._utter_piece(active):
                break
        if active.plan.stops_after_ms is not None:
            return
        for call, call_id in zip(active.plan.calls, active.call_ids, strict=True):
            self._asking[call_id] = active
            active.open_calls.add(call_id)
            response_id = active.record.response_id
            self._say(events.FunctionCallArgumentsDone(response_id, call.name, call_id, call.arguments))
        self._finish(active, active.plan.status)

    def _utter_piece(self, active: ActiveReply) -> bool:
        """Say the next delta; False if there is none."""
        piece = next(active.pieces, None)
        if piece is None:
            return False
        response_id = active.record.response_id
        if piece.text:
            self._say(events.OutputTranscriptDelta(response_id, piece.text))
        if piece.audio:
            self._say(events.OutputAudioDelta(response_id, active.item_id, piece.audio))
            active.record.sent_audio += piece.audio
            self._reach(Moment.DELTA)
        return True

    def _finish(self, active: ActiveReply, status: str) -> None:
        active.record.status = status
        active.record.done_s = time.monotonic()
        self._active.remove(active)
        if not self._settings.keep_records:
            self._record.replies.remove(active.record)
        self._say(events.ResponseDone(active.record.response_id, status))
        self._reach(Moment.DONE)

    # ------------------------------------------------------------ interruptions

    def interrupt(self) -> None:
        """The caller speaks: nothing more of the last turn."""
        for task in self._pending:
            task.cancel()
        self._due.clear()
        self._needs_nudge = None
        self._forget_tools()
        for active in [one for one in self._active if one.record.cancelled_by is None]:
            self._cancel(active, "speech")

    def cancel(self, response_id: str | None) -> Fault | None:
        """The client's response.cancel; the newest reply for None. What is wrong with that, if anything."""
        candidates = [one for one in self._active if response_id in (None, one.record.response_id)]
        if not candidates:
            return scenario.CANCEL_FAULT
        active = candidates[-1]
        if active.record.cancelled_by == "client":
            self._record.violations.append("response.cancel twice for one reply")
        elif active.record.cancelled_by is None:
            self._cancel(active, "client")
        return None

    def _cancel(self, active: ActiveReply, by: Literal["client", "speech"]) -> None:
        active.record.cancelled_by = by
        if active.plan.cancel_lag_ms > 0:
            self._spawn(self._end_later(active, active.plan.cancel_lag_ms / 1000))
        else:
            self._end_cancelled(active)

    async def _end_later(self, active: ActiveReply, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        if active.record.status is None:
            self._end_cancelled(active)

    def _end_cancelled(self, active: ActiveReply) -> None:
        if active.task is not None:
            active.task.cancel()
        self._finish(active, "cancelled")
        for _ in range(active.plan.late_deltas):
            self._utter_piece(active)

    # ------------------------------------------------------------ tools

    def _forget_tools(self) -> None:
        for active in self._asking.values():
            active.open_calls.clear()

    def take_output(self, call_id: str, output: str) -> bool:
        """A tool's output; False if no such tool was called. The next reply begins with the last of its response."""
        active = self._asking.get(call_id)
        if active is None:
            return False
        if active.record.status is None:
            self._record.violations.append("output of a tool before its response.done")
        self._say(events.ConversationItemCreated("tool", (output,)))
        self._reach(Moment.TOOL)
        if call_id in active.open_calls:
            active.open_calls.remove(call_id)
            if not active.open_calls:
                self._due = self._due or [Reply()]
                self.answer()
        return True
