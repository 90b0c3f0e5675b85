"""One connection of the embedded service, from ``session.created`` to its end.

Everything here but the pacing is synchronous: a message is taken, and all that follows from it is said before the next
one is looked at, so there is no order of events that depends on the machine's load.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from appliance.errors import ProtocolError
from appliance.realtime import codec, events
from appliance.simulator import dialects, replies, scenario
from appliance.simulator.input_buffer import Ear
from appliance.simulator.plan import replies_of_turn
from appliance.simulator.readings import PAGE, Reading
from appliance.simulator.records import ConnectionRecord, EndedBy, TurnRecord
from appliance.simulator.responder import Mouth
from appliance.simulator.scenario import Action, Connection, ErrorSaid, Moment, Reply, Turn
from appliance.simulator.settings import VOICES, SimulatorSettings
from appliance.simulator.shape import FieldSet, shaped
from appliance.simulator.turn_detection import FRAME_BYTES
from appliance.simulator.voices import ms_from_bytes
from appliance.simulator.wire import Wire

CREATED_LATEST_S: Final = 0.2
"""A session whose settings are confirmed before it is created is created after this without any: a client may wait for
it. Long enough for a client that sends its settings on connecting."""

SMALL_APPEND_CLOSE_MS: Final = 100.0
"""From the error about a piece of audio that is too small to the close (usevowel/engine, handlers/audio.ts)."""

_COUNTED: Final = (events.InputAudioBufferCommit, events.ResponseCreate, events.ResponseCancel)


class ServiceSession:
    """``run()`` it. ``record`` fills as it goes; ``on_change`` is called after everything that changes it."""

    def __init__(
        self,
        connection: ServerConnection,
        plan: Connection,
        settings: SimulatorSettings,
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
        self._created = False
        self._updated = False  # settings have been taken: audio may come
        self._turns_taken = 0
        self._events_said = 0
        self._reading = PAGE
        self._is_plain = True  # messages go out as the codec writes them
        self._in_turn = False
        self._item_id = ""  # of what the caller says
        self._seen: Counter[type[events.ClientEvent]] = Counter()  # since the turn that is going on began
        self._violations: list[str] = []  # in the same time
        self._ear = Ear(settings.detection)
        self._mouth = Mouth(settings, record, self._say, self._reach, self._spawn)
        self._take_up(None)

    async def run(self) -> None:
        """Until the client or the scenario ends the connection. Faults of our own raise an ExceptionGroup."""
        async with self._group:
            self._spawn(self.wire.run())
            self._reach(Moment.OPEN)
            if self._reading.settings == "confirmed-first":
                self._spawn(self._say_session_created_later())
            else:
                self._say_session_created()
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

    def _say(self, event: events.ServerEvent, more: Mapping[str, object] = MappingProxyType({}), /) -> None:
        if self._silenced or self.wire.ended:
            return
        if self._settings.keep_records:
            self._record.sent.append((time.monotonic(), event))
        for text in self._texts(event, more):
            self.wire.put(text)
        self._on_change()

    def _texts(self, event: events.ServerEvent, more: Mapping[str, object]) -> Iterator[str]:
        text = codec.encode_server(event)
        if self._is_plain:
            yield text
            return
        self._events_said += 1
        whole = {**more, "event_id": f"event_{self._record.number}_{self._events_said}"}
        for message in shaped(json.loads(text), whole, self._reading, self._settings.fields):
            yield json.dumps(message, separators=(",", ":"))

    def _take_up(self, reading: Reading | None) -> None:
        """From now on the page is read so; None: as the connection does."""
        self._reading = reading or self._plan.reading or self._settings.reading
        self._mouth.read_so(self._reading)
        self._is_plain = self._settings.fields is FieldSet.LEAN and replace(self._reading, names=()) == PAGE

    def _complain(self, fault: ErrorSaid, violation: str = "") -> None:
        """An ``error``; with ``violation``, what the client did that a good one does not."""
        error = {
            "type": fault.type,
            "code": fault.code or None,
            "message": fault.message,
            "param": None,
            "event_id": None,
        }
        self._say(events.ErrorEvent(fault.type, fault.code, fault.message), {"error": error})
        if violation:
            self._violate(violation)

    def _violate(self, violation: str) -> None:
        self._record.violations.append(violation)
        self._violations.append(violation)

    def _say_session_created(self) -> None:
        if not self._created:
            self._created = True
            session = {"model": self._model, "voice": VOICES[0]}
            self._say(events.SessionCreated(session), self._whole_session(events.SessionSettings()))

    async def _say_session_created_later(self) -> None:
        await asyncio.sleep(CREATED_LATEST_S)
        self._say_session_created()

    def _whole_session(self, settings: events.SessionSettings) -> dict[str, object]:
        return {"session": dialects.effective(self._model, settings, self._mouth.output_hz)}

    # ------------------------------------------------------------ the scenario

    def _reach(self, moment: Moment) -> None:
        self._reached[moment] += 1
        due = [step for step in self._steps if step.on is moment and self._is_due(step)]
        if moment is Moment.ANSWER and self._reading.line != "kept":
            self._do(scenario.Close(1000) if self._reading.line == "closed" else scenario.HangUp())
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
                self._complain(ErrorSaid(type_, name, message))
            case scenario.SendRaw(message):
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
            self._complain(ErrorSaid("invalid_request_error", "invalid_event", str(error)), str(error))
            return
        if self._settings.keep_records:
            self._record.received.append((time.monotonic(), event))
        match event:
            case events.InputAudioBufferAppend(audio) if 0 < len(audio) < self._reading.append_min_bytes:
                self._complain(scenario.SMALL_APPEND_FAULT)
                close = scenario.Close(1003, error="none", reason="Invalid audio chunk size")
                self._spawn(self._do_later(close, SMALL_APPEND_CLOSE_MS / 1000))
            case events.InputAudioBufferAppend(audio):
                self._take_audio(audio)
            case events.SessionUpdate(settings):
                self._take_settings(settings, dialects.session_of(message))
            case events.ResponseCancel(response_id):
                if fault := self._mouth.cancel(response_id):
                    self._complain(fault)
                self._reach(Moment.CANCEL)
            case events.FunctionCallOutput(call_id, output):
                if not self._mouth.take_output(call_id, output):
                    self._complain(scenario.CALL_FAULT, "output of a tool that was not called")
            case events.InputAudioBufferCommit():
                self._take_commit()
                self._reach(Moment.COMMIT)
            case events.InputAudioBufferClear() if self._is_simple:
                self._ear.clear()
            case events.ResponseCreate() if self._is_simple or self._reading.needs_create:
                self._take_create()
        if isinstance(event, _COUNTED):
            self._seen[type(event)] += 1

    def _take_settings(self, settings: events.SessionSettings, session: Mapping[str, object]) -> None:
        if self._record.audio_bytes:
            self._complain(scenario.LOCKED_FAULT, "session.update after audio")
            return
        if self._updated:
            self._violate("session.update twice")
        settings = replace(settings, voice=dialects.voice(session, settings, self._reading))
        self._record.settings, self._record.session = settings, session
        self._reach(Moment.SETTINGS)
        if refusal := self._refusal(settings, session):
            self._complain(refusal)
            return
        self._mouth.answer_at(dialects.output_hz(session, self._reading))
        self._updated = True
        self._confirm(settings)
        self._reach(Moment.READY)

    def _refusal(self, settings: events.SessionSettings, session: Mapping[str, object]) -> ErrorSaid | None:
        refused = self._plan.refuse_setting
        if settings.voice and settings.voice not in VOICES:
            refused = "voice"
        if refused:
            return ErrorSaid("invalid_request_error", "invalid_value", f"Invalid value for session.{refused}.")
        return dialects.refusal(session, self._reading)

    def _confirm(self, settings: events.SessionSettings) -> None:
        if self._reading.settings == "locked":
            self._complain(scenario.SETTINGS_REFUSED_FAULT)
            return
        effective = {
            "model": self._model,
            "instructions": settings.instructions,
            "voice": settings.voice or VOICES[0],
            "tools": [{"type": "function", "name": tool.name} for tool in settings.tools],
            "tool_choice": settings.tool_choice,
        }
        if self._reading.settings != "silent":
            self._say(events.SessionUpdated(effective), self._whole_session(settings))
        self._say_session_created()

    # ------------------------------------------------------------ the caller's turn

    @property
    def _turn_plan(self) -> Turn:
        turns = self._plan.turns
        return turns[min(self._turns_taken, len(turns) - 1)]

    def _take_audio(self, audio: bytes) -> None:
        if not self._updated and not self._record.audio_bytes:
            self._violate("audio before session.updated")
        for start in range(0, len(audio), FRAME_BYTES):
            piece = audio[start : start + FRAME_BYTES]
            self._record.audio_bytes += len(piece)
            plan = self._turn_plan
            change = self._ear.take(piece, plan.hears)
            if change == "began":
                self._begin_turn()
                self._say(
                    events.SpeechStarted(), {"audio_start_ms": round(self._ear.began_ms), "item_id": self._item_id}
                )
                self._mouth.interrupt()
                self._reach(Moment.SPEECH)
            elif change == "stopped":
                self._end_turn("silence")
            elif plan.pause_after_ms is not None and self._ear.speech_ms >= plan.pause_after_ms:
                self._end_turn("pause")
            self._reach(Moment.AUDIO)

    def _take_commit(self) -> None:
        if self._reading.commit == "refused":
            self._complain(scenario.COMMIT_REFUSED_FAULT)
        elif self._reading.commit == "drops-in-speech" and self._ear.hearing:
            self._do(scenario.HangUp())
        elif self._reading.commit != "ignored" and self._is_simple:
            self._carry_out_commit()

    def _carry_out_commit(self) -> None:
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

    def _begin_turn(self) -> None:
        self._in_turn = True
        self._take_up(self._turn_plan.reading)
        self._item_id = self._mouth.new_id("item")
        self._seen, self._violations = Counter(), []

    def _end_turn(self, ended_by: EndedBy) -> None:
        """What has been heard is a turn; what follows from that."""
        if not self._in_turn:
            self._begin_turn()
        self._in_turn = False
        plan, was_hearing = self._turn_plan, self._ear.hearing
        end_ms = round(self._ear.end_ms)
        number = self._next_turn_number()
        heard = plan.heard or ("" if self._settings.parrot else replies.question_for(number))
        turn = TurnRecord(
            number,
            ended_by,
            self._ear.cut(),
            heard,
            time.monotonic(),
            seen=self._seen,
            violations=self._violations,
        )
        tools = [tool.name for tool in self._record.settings.tools] if self._record.settings else []
        answers = replies_of_turn(plan.replies, self._reading, tools, self._turns_taken)
        self._turns_taken += 1
        if self._settings.keep_records:
            self._record.turns.append(turn)
        self._mouth.take_turn(turn, answers)
        if was_hearing:
            self._say(events.SpeechStopped(), {"audio_end_ms": end_ms, "item_id": self._item_id})
        if heard:
            self._say_what_was_heard(replies.words_of(heard), ms_from_bytes(len(turn.audio)) / 1000)
        self._reach(Moment.TURN)
        self._mouth.answer()

    def _say_what_was_heard(self, text: str, duration_s: float) -> None:
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content, "status": "completed", "object": "realtime.item"}
        self._say(events.ConversationItemCreated("user", (text,)), {"item": {**item, "id": self._item_id}})
        usage = {"type": "duration", "seconds": duration_s}
        self._say(events.InputTranscriptionCompleted(self._item_id, text), {"usage": usage})
