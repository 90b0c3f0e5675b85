"""One connection of the embedded service, from ``session.created`` to its end.

Everything here but the pacing is synchronous: a message is taken, and all that follows from it is said before the next
one is looked at, so there is no order of events that depends on the machine's load.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from appliance.errors import ProtocolError
from appliance.realtime import codec, events
from appliance.simulator import replies, scenario
from appliance.simulator.ear import Ear
from appliance.simulator.mouth import Mouth
from appliance.simulator.records import ConnectionRecord, EndedBy, TurnRecord
from appliance.simulator.scenario import Action, Connection, Fault, Moment, Reply, Turn
from appliance.simulator.settings import VOICES, ServiceSettings
from appliance.simulator.turn_detection import FRAME_BYTES
from appliance.simulator.wire import Wire


class Conversation:
    """``run()`` it. ``record`` fills as it goes; ``on_change`` is called after everything that changes it."""

    def __init__(
        self,
        connection: ServerConnection,
        plan: Connection,
        settings: ServiceSettings,
        model: str,
        record: ConnectionRecord,
        next_turn_number: Callable[[], int],
        on_change: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._plan = plan
        self._settings = settings
        self._model = model
        self._is_simple = settings.mode == "simple"
        self._record = record
        self._next_turn_number = next_turn_number
        self._on_change = on_change
        self.wire = Wire(connection)
        self._silenced = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._group = asyncio.TaskGroup()
        self._reached: Counter[Moment] = Counter()
        self._steps = list(plan.steps)
        self._updated = False
        self._turns_taken = 0
        self._ear = Ear(settings.detection)
        self._mouth = Mouth(settings, record, self._say, self._reach, self._spawn)

    async def run(self) -> None:
        """Until the client or the scenario ends the connection. Faults of our own raise an ExceptionGroup."""
        async with self._group:
            self._spawn(self.wire.run())
            self._reach(Moment.OPEN)
            self._say(events.SessionCreated({"model": self._model, "voice": VOICES[0]}))
            try:
                while True:
                    self._take(await self._connection.recv())
                    self._on_change()
            except ConnectionClosed as closed:
                self._record.close_code = closed.rcvd.code if closed.rcvd else None
            for task in list(self._tasks):
                task.cancel()

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # ------------------------------------------------------------ saying

    def _say(self, event: events.ServerEvent) -> None:
        if self._silenced or self.wire.ended:
            return
        if self._settings.keep_records:
            self._record.sent.append((time.monotonic(), event))
        self.wire.put(codec.encode_server(event))
        self._on_change()

    def _complain(self, fault: Fault, violation: str = "") -> None:
        """An ``error``; with ``violation``, what the client did that a good one does not."""
        self._say(events.ErrorEvent(fault.type, fault.code, fault.message))
        if violation:
            self._record.violations.append(violation)

    # ------------------------------------------------------------ the scenario

    def _reach(self, moment: Moment) -> None:
        self._reached[moment] += 1
        due = [step for step in self._steps if step.on is moment and self._is_due(step)]
        for step in due:
            self._steps.remove(step)
            if step.after_ms:
                self._spawn(self._do_later(step.do, step.after_ms / 1000))
            else:
                self._do(step.do)

    def _is_due(self, step: scenario.Step) -> bool:
        if step.on is Moment.AUDIO:
            return self._record.audio_ms >= step.audio_ms
        return self._reached[step.on] == step.nth

    async def _do_later(self, action: Action, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        self._do(action)

    def _do(self, action: Action) -> None:
        match action:
            case scenario.Close(code=code, error=error):
                known = scenario.KNOWN_FAULTS.get(code or 0) if error == "known" else None
                if fault := scenario.UNKNOWN_FAULT if error == "unknown" else known:
                    self._complain(fault)
                self._record.own_close_code = code
                self.wire.end(action)
            case scenario.Reset() | scenario.HangUp() | scenario.Freeze():
                self.wire.end(action)
            case scenario.Silence():
                self._silenced = True
            case scenario.Fail(type=type_, code=name, message=message):
                self._complain(Fault(type_, name, message))
            case scenario.Send(message):
                if isinstance(message, str) and self._record.replies:
                    message = message.replace("$RESPONSE", self._record.replies[-1].response_id)
                self._record.sent_raw.append(message)
                self.wire.put(message)
            case scenario.Speak(reply):
                self._mouth.begin(reply)
        self._on_change()

    # ------------------------------------------------------------ what the client says

    def _take(self, message: str | bytes) -> None:
        if self.wire.ended:
            return
        try:
            event = codec.decode_client(message)
        except ProtocolError as error:
            self._complain(Fault("invalid_request_error", "invalid_event", str(error)), str(error))
            return
        if self._settings.keep_records:
            self._record.received.append((time.monotonic(), event))
        match event:
            case events.InputAudioBufferAppend(audio):
                self._take_audio(audio)
            case events.SessionUpdate(settings):
                self._take_settings(settings)
            case events.ResponseCancel(response_id):
                if fault := self._mouth.cancel(response_id):
                    self._complain(fault)
                self._reach(Moment.CANCEL)
            case events.FunctionCallOutput(call_id, output):
                if not self._mouth.take_output(call_id, output):
                    self._complain(scenario.CALL_FAULT, "output of a tool that was not called")
            case events.InputAudioBufferCommit():
                if self._is_simple:
                    self._take_commit()
                self._reach(Moment.COMMIT)
            case events.InputAudioBufferClear() if self._is_simple:
                self._ear.clear()
            case events.ResponseCreate() if self._is_simple:
                self._take_create()

    def _take_settings(self, settings: events.SessionSettings) -> None:
        if self._record.audio_bytes:
            self._complain(scenario.LOCKED_FAULT, "session.update after audio")
            return
        if self._record.settings is not None:
            self._record.violations.append("session.update twice")
        self._record.settings = settings
        self._reach(Moment.SETTINGS)
        refused = self._plan.refuse_setting
        if settings.voice and settings.voice not in VOICES:
            refused = "voice"
        if refused:
            self._complain(Fault("invalid_request_error", "invalid_value", f"Invalid value for session.{refused}."))
            return
        effective = {
            "model": self._model,
            "instructions": settings.instructions,
            "voice": settings.voice or VOICES[0],
            "tools": [{"type": "function", "name": tool.name} for tool in settings.tools],
            "tool_choice": settings.tool_choice,
        }
        self._say(events.SessionUpdated(effective))
        self._updated = True
        self._reach(Moment.READY)

    # ------------------------------------------------------------ the caller's turn

    @property
    def _turn_plan(self) -> Turn:
        turns = self._plan.turns
        return turns[min(self._turns_taken, len(turns) - 1)]

    def _take_audio(self, audio: bytes) -> None:
        if not self._updated and not self._record.audio_bytes:
            self._record.violations.append("audio before session.updated")
        for start in range(0, len(audio), FRAME_BYTES):
            piece = audio[start : start + FRAME_BYTES]
            self._record.audio_bytes += len(piece)
            plan = self._turn_plan
            change = self._ear.take(piece, plan.hears)
            if change == "began":
                self._say(events.SpeechStarted())
                self._mouth.interrupt()
                self._reach(Moment.SPEECH)
            elif change == "stopped":
                self._end_turn("silence")
            elif plan.pause_after_ms is not None and self._ear.speech_ms >= plan.pause_after_ms:
                self._end_turn("pause")
            self._reach(Moment.AUDIO)

    def _take_commit(self) -> None:
        commit = self._turn_plan.commit
        if commit == "ignored":
            return
        if not self._ear.has_something:
            self._complain(scenario.COMMIT_EMPTY_FAULT)
        elif commit == "late":
            self._end_turn("silence")
            self._complain(scenario.COMMIT_EMPTY_FAULT)
        else:
            self._end_turn("commit")
            if commit == "twice":
                self._mouth.expect(Reply())

    def _take_create(self) -> None:
        if self._mouth.is_busy:
            self._complain(scenario.ACTIVE_FAULT)
        elif self._ear.has_something:
            self._end_turn("create")
        else:
            self._mouth.nudge()

    def _end_turn(self, ended_by: EndedBy) -> None:
        """What has been heard is a turn; what follows from that."""
        plan, was_hearing = self._turn_plan, self._ear.hearing
        number = self._next_turn_number()
        heard = plan.heard or ("" if self._settings.parrot else replies.question_for(number))
        turn = TurnRecord(number, ended_by, self._ear.cut(), heard, time.monotonic())
        self._turns_taken += 1
        if self._settings.keep_records:
            self._record.turns.append(turn)
        self._mouth.take_turn(turn, plan.replies)
        if was_hearing:
            self._say(events.SpeechStopped())
        if heard:
            text = replies.words_of(heard)
            self._say(events.ConversationItemCreated("user", (text,)))
            self._say(events.InputTranscriptionCompleted(self._mouth.new_id("item"), text))
        self._reach(Moment.TURN)
        self._mouth.answer()
