"""The replies of one connection: when they begin, at which pace they go out, how they are interrupted, and the tools
they ask for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Literal, Protocol

from appliance.realtime import events
from appliance.simulator import replies, scenario, voices
from appliance.simulator.readings import PAGE, Reading
from appliance.simulator.records import ConnectionRecord, ReplyRecord, TurnRecord
from appliance.simulator.replies import ActiveReply
from appliance.simulator.scenario import ErrorSaid, Moment, Reply
from appliance.simulator.settings import SimulatorSettings


class SayEvent(Protocol):
    """Sends ``event``. ``more``: fields of its message that the page does not name; see ``shape.py``."""

    def __call__(self, event: events.ServerEvent, more: Mapping[str, object] = ..., /) -> None: ...


class Mouth:
    """Says everything through ``say`` and reports through ``reach``; ``spawn`` runs what takes time.

    How the page is read may change from turn to turn. A client plays all answers at 24 kHz, whatever ``output_hz`` is.
    """

    def __init__(
        self,
        settings: SimulatorSettings,
        record: ConnectionRecord,
        say: SayEvent,
        reach: Callable[[Moment], None],
        spawn: Callable[[Coroutine[None, None, None]], asyncio.Task[None]],
    ) -> None:
        self._settings = settings
        self._record = record
        self._say = say
        self._reach = reach
        self._spawn = spawn
        self._ids = 0
        self._responses = 0  # of this turn
        self._turn = TurnRecord(0, "create", b"", "", 0.0)  # the one that is answered
        self._due: list[Reply] = []  # to come, one after each round of tool outputs
        self._answers = True
        self._needs_nudge: Reply | None = None
        self._pending: set[asyncio.Task[None]] = set()
        self._active: list[ActiveReply] = []
        self._asking: dict[str, ActiveReply] = {}  # by call id
        self._reading: Reading = PAGE
        self._output_hz = voices.SAMPLE_HZ

    def read_so(self, reading: Reading) -> None:
        """From now on the page is read so."""
        self._reading = reading

    @property
    def output_hz(self) -> int:
        """The rate of the answers that begin now."""
        return self._output_hz

    def answer_at(self, hz: int) -> None:
        """The rate of the answers that begin from now on."""
        self._output_hz = hz

    def new_id(self, kind: str) -> str:
        """An id that no other thing of the service has."""
        self._ids += 1
        return f"{kind}_{self._record.number}_{self._ids}"

    def _new_response_id(self) -> str:
        self._responses += 1
        return f"resp_{self._responses}" if self._reading.id_reused else self.new_id("resp")

    # ------------------------------------------------------------ beginning

    def take_turn(self, turn: TurnRecord, plan: tuple[Reply, ...]) -> None:
        """From now on it is this turn that is answered, with these replies."""
        self._turn = turn
        self._responses = 0
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
        delay_ms = self._delay_ms(reply)
        if delay_ms <= 0:
            self.begin(reply)
            return
        task = self._spawn(self._begin_later(reply, delay_ms / 1000))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    def _delay_ms(self, reply: Reply) -> float:
        return self._settings.reply_delay_ms if reply.delay_ms is None else reply.delay_ms

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
        record = ReplyRecord(
            self._new_response_id(), b"", "", time.monotonic(), turn=self._turn.number, pcm_hz=self._output_hz
        )
        active = ActiveReply(plan, self._turn, self._reading, record, self.new_id("item"), iter(()), ())
        self._active.append(active)
        self._record.replies.append(record)
        self._compose(active, plan)
        if active.reading.created != "late":
            self._say_created(active)
        self._utter_at_its_pace(active)

    def _compose(self, active: ActiveReply, plan: Reply) -> None:
        """What ``plan`` sounds like is to be said in the response ``active``, after all that it has said."""
        pcm, text = replies.sound_of(plan, active.turn, self._settings.parrot)
        if self._output_hz != voices.SAMPLE_HZ:
            pcm = voices.resampled(pcm, self._output_hz)
        active.plan, active.plan_sounds = plan, bool(pcm)
        active.pieces = replies.pieces_of(pcm, text, plan, self._settings.delta_ms)
        active.call_ids = tuple(self.new_id("call") for _ in plan.calls)
        active.record.pcm += pcm
        active.record.text += text

    def _utter_at_its_pace(self, active: ActiveReply) -> None:
        speed = self._settings.speed if active.plan.speed is None else active.plan.speed
        if speed > 0:
            active.task = self._spawn(self._pace(active, speed))
        else:
            for _ in self._utter(active):
                pass

    async def _pace(self, active: ActiveReply, speed: float) -> None:
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        before_ms = voices.ms_from_bytes(len(active.record.sent_audio))
        for sent_ms in self._utter(active):
            # Against the beginning, not the last delta: what a busy machine delays is made up for.
            await asyncio.sleep(max(0.0, begun_s + (sent_ms - before_ms) / 1000 / speed - loop.time()))

    def _utter(self, active: ActiveReply) -> Iterator[float]:
        """Say the reply to its end; before each delta yields how many ms of it have been sent."""
        while True:
            yield voices.ms_from_bytes(len(active.record.sent_audio))
            if not self._utter_piece(active):
                break
        if active.plan.stops_after_ms is not None:
            return
        self._say_created(active)
        # All are open before the first is told: an answer that comes at once must not be taken for the last.
        active.open_calls.update(active.call_ids)
        for index, (call, call_id) in enumerate(zip(active.plan.calls, active.call_ids, strict=True)):
            self._say_call(active, call, call_id, index)
        if not active.open_calls or active.reading.tool == "between":
            self._finish(active, active.plan.status)

    def _say_created(self, active: ActiveReply) -> None:
        if active.created_due:
            active.created_due = False
            self._say(events.ResponseCreated(active.record.response_id), self._response(active, "in_progress"))
            self._reach(Moment.REPLY)

    def _say_call(self, active: ActiveReply, call: scenario.Call, call_id: str, index: int) -> None:
        self._asking[call_id] = active
        active.turn.calls[call_id] = call.name
        item_id = self.new_id("item")
        item = {"type": "function_call", "call_id": call_id, "name": call.name, "arguments": call.arguments}
        active.output.append({"id": item_id, "object": "realtime.item", "status": "completed", **item})
        said = events.FunctionCallArgumentsDone(
            response_id=active.record.response_id, name=call.name, call_id=call_id, arguments=call.arguments
        )
        self._say(said, {"item_id": item_id, "output_index": index})

    def _utter_piece(self, active: ActiveReply) -> bool:
        """Say the next delta; False if there is none."""
        piece = next(active.pieces, None)
        if piece is None:
            return False
        response_id = active.record.response_id
        if piece.text:
            self._say(events.OutputTranscriptDelta(response_id, piece.text), {"item_id": active.item_id})
        if piece.audio:
            self._say(events.OutputAudioDelta(response_id, active.item_id, piece.audio))
            active.record.sent_audio += piece.audio
            self._say_created(active)
            self._reach(Moment.DELTA)
        return True

    def _response(self, active: ActiveReply, status: str) -> dict[str, object]:
        """The response as OpenAI's events carry it."""
        details = {"type": status} if status in ("cancelled", "failed", "incomplete") else None
        response = {
            "object": "realtime.response",
            "id": active.record.response_id,
            "conversation_id": f"conv_{self._record.number}",
            "status": status,
            "status_details": details,
            "output": list(active.output),
            "output_modalities": ["audio"],
            "max_output_tokens": "inf",
            "usage": None,
            "metadata": None,
        }
        return {"response": response}

    def _finish(self, active: ActiveReply, status: str) -> None:
        self._end(active, status)
        self._say_done(active, status)
        if status == "completed" and active.record.cancelled_by is None and not active.plan.calls:
            if active.plan.goes_on:
                self.answer()
            elif active.plan_sounds:
                active.turn.answered = True
                self._reach(Moment.ANSWER)

    def _say_done(self, active: ActiveReply, status: str) -> None:
        self._say(events.ResponseDone(active.record.response_id, status), self._response(active, status))
        self._reach(Moment.DONE)

    def _end(self, active: ActiveReply, status: str) -> None:
        """It is over; nothing is said of it."""
        active.record.status = status
        active.record.done_s = time.monotonic()
        self._active.remove(active)
        if not self._settings.keep_records:
            self._record.replies.remove(active.record)

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

    def cancel(self, response_id: str | None) -> ErrorSaid | None:
        """The client's response.cancel; the newest reply for None. What is wrong with that, if anything."""
        refusal = scenario.CANCEL_REFUSALS.get(self._reading.cancel)
        if refusal is not None:
            return refusal
        candidates = [one for one in self._active if response_id in (None, one.record.response_id)]
        if not candidates:
            return None if self._reading.cancel == "silent" else scenario.CANCEL_FAULT
        active = candidates[-1]
        if active.record.cancelled_by == "client":
            self._violate("response.cancel twice for one reply")
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
        how = active.reading.cancel if active.record.cancelled_by == "client" else "page"
        if how in ("event", "silent"):
            self._end(active, "cancelled")
            if how == "event":
                self._say(events.UnknownEvent("response.cancelled"), {"response_id": active.record.response_id})
        else:
            self._finish(active, "completed" if how == "completed" else "cancelled")
            if how == "twice":
                self._say_done(active, "cancelled")
        for _ in range(active.plan.late_deltas):
            self._utter_piece(active)

    # ------------------------------------------------------------ tools

    def _forget_tools(self) -> None:
        for active in self._asking.values():
            active.open_calls.clear()

    def _violate(self, violation: str) -> None:
        self._record.violations.append(violation)
        self._turn.violations.append(violation)

    def take_output(self, call_id: str, output: str) -> bool:
        """A tool's output; False if no such tool was called. What follows does so with the last of its response."""
        active = self._asking.get(call_id)
        if active is None:
            return False
        outputs = active.turn.outputs.setdefault(call_id, [])
        outputs.append(output)
        if len(outputs) > 1:
            self._violate("output of a tool twice")
        item = {"type": "function_call_output", "call_id": call_id, "output": output}
        whole = {"id": self.new_id("item"), "object": "realtime.item", "status": "completed", **item}
        self._say(events.ConversationItemCreated("tool", (output,)), {"item": whole})
        self._reach(Moment.TOOL)
        if call_id in active.open_calls:
            active.open_calls.remove(call_id)
            if not active.open_calls:
                self._due = self._due or [Reply()]
                self._answer_outputs(active)
        return True

    def _answer_outputs(self, active: ActiveReply) -> None:
        if active.record.status is not None or active.reading.tool == "between":
            self.answer()
        elif active.reading.tool == "never-done":
            self._end(active, active.plan.status)
            self.answer()
        else:
            active.task = self._spawn(self._go_on(active, self._due.pop(0)))

    async def _go_on(self, active: ActiveReply, plan: Reply) -> None:
        """The response that asked for tools goes on with ``plan``."""
        await asyncio.sleep(self._delay_ms(plan) / 1000)
        self._compose(active, plan)
        self._utter_at_its_pace(active)
