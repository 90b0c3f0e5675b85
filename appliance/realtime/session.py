"""The rules of one connection: what may be sent now, whose reply it is, and which pieces of it still count.

Pure: no clock, no network. Events go in, outcomes come out; what the appliance wants to send is asked for here, so that
an event can be neither too early nor too often.

The service's page is silent on much, so each rule holds for every way to read it. What the service says, and what it
comes to:

- **Whose an event is.** An event without an id means the response in progress. ``response.created``, or else the first
  piece of a response, begins one; ids may be missing, come late, or be those of an earlier turn (``responses.py``).
- **What ends a reply**: its ``response.done`` (``completed`` if it says nothing else), another response of the turn, a
  new turn, or the end of the connection.
- **Which response is the answer** (decisions 1 and 4): one that begins after the service heard something of the turn,
  or was nudged, or was given the output of a tool. Any other is cancelled once and dropped. A further one of the same
  turn follows the first, unless a nudge of ours may have asked for it (``place.py``). What begins within a second of
  our cancel, while that is not confirmed, is of the past.
- **Late pieces.** What is over stays over. A piece that may be a late one of a reply that was just interrupted begins
  nothing, for a second or until the service says ``speech_stopped``.
- **Going on speaking** (decision 2): with ``speech_started`` nothing of the reply so far counts.
- **Cancelling** (decision 3): one ``response.cancel`` a reply, none after its ``response.done``. An error in answer to
  it, whatever it is called, says only that we were late (``complaints.py``); so does a second ``response.done``.
- **Empty commits** (decision 3): harmless, but one of this turn may say that nobody was heard (``commits.py``).
- **Tools** (decision 7): a call is passed on when it is whole, once, wherever it stands (``calls.py``). When it runs is
  for the turn machine to say.
- **Before settings are in force** nothing but them is sent (decision 12, ``opening.py``).

Whatever the service does out of order is one ``Note``, and is otherwise ignored. Nothing here grows without bound.
Decisions by their number: ``appliance/README.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from appliance.errors import ProtocolError
from appliance.journal.foreign_text import one_line

from . import events as ev
from .calls import ToolCall as ToolCall
from .commits import Commits
from .complaints import COMMIT_EMPTY, NOT_NUDGED_CODES, Complaints, codes_of
from .gathered import Gathered
from .opening import CONFIRM_S, Habits, Opening, Remark, Step
from .opening import Ready as Ready
from .opening import Refused as Refused
from .outcomes import UNFINISHED as UNFINISHED
from .outcomes import CallerText as CallerText
from .outcomes import Note as Note
from .outcomes import NothingHeard as NothingHeard
from .outcomes import Outcome as Outcome
from .outcomes import ReplyBegan as ReplyBegan
from .outcomes import ReplyEnded as ReplyEnded
from .outcomes import ReplySamples as ReplySamples
from .outcomes import ReplyText as ReplyText
from .outcomes import Send as Send
from .outcomes import ServiceSaid as ServiceSaid
from .outcomes import SpeechBegan as SpeechBegan
from .outcomes import SpeechEnded as SpeechEnded
from .outcomes import ToolCalled as ToolCalled
from .place import Place
from .replies import Replies
from .speeches import Speeches


class Session:
    """One connection's rules. ``ready`` and ``unknown_events`` (a count) may be read by anyone."""

    def __init__(
        self, settings: ev.SessionSettings, habits: Habits | None = None, confirm_s: float = CONFIRM_S
    ) -> None:
        """``habits``: what is known of the service's way with settings, and kept there; None: nothing yet.
        ``confirm_s``: how long a confirmation of the settings is waited for."""
        self.ready = False
        """Settings are in force: audio may go."""
        self.unknown_events = 0
        """Events of a newer service so far."""
        self._opening = Opening(settings, habits or Habits(), confirm_s)
        self._turn_open = False
        self._nudges = 0
        """Commits and requests for a reply so far, which are numbered from 1."""
        self._gathered = Gathered()
        self._place = Place()
        self._commits = Commits()
        self._complaints = Complaints()
        self._speeches = Speeches()
        self._replies = Replies(self._gathered, self._speeches, self._place, self._commits, self._complaints)

    # ------------------------------------------------------------ what we send

    def opening(self) -> ev.SessionUpdate:
        """The first message, to be sent once. Raises ProtocolError the second time."""
        return self._opening.begin()

    @property
    def due_s(self) -> float | None:
        """When ``advance`` has something to do; None: nothing falls due."""
        return self._opening.due_s

    @property
    def refusal(self) -> str | None:
        """What the service last said against the settings, one line; None if it said nothing."""
        return self._opening.refusal

    def advance(self, now_s: float) -> list[Outcome]:
        """What time alone brings about, before ``ready``."""
        outcomes = self._gathered.begin()
        self._open(self._opening.advance(now_s))
        return outcomes

    @property
    def in_speech(self) -> bool:
        """The service has heard speech begin, and neither heard it end nor begun to answer."""
        return self._speeches.in_speech

    @property
    def on_trust(self) -> bool:
        """``ready`` though nothing was confirmed, for the first time, and nothing has come since."""
        return self._opening.on_trust

    def unanswered(self) -> None:
        """A question on trust was followed by nothing: the session is given up."""
        self._opening.unanswered()

    def broke(self, code: int) -> bool:
        """The connection was closed with ``code``; True: on settings that the next session lays out differently."""
        return self._opening.broke(code)

    def append(self, pcm: bytes) -> ev.InputAudioBufferAppend:
        """A piece of the person's voice, int16 mono at 24 kHz. Raises ProtocolError before ``ready``."""
        self._require_ready()
        return ev.InputAudioBufferAppend(pcm)

    def commit(self) -> ev.InputAudioBufferCommit:
        """The end of the person's turn; a response may follow. Raises ProtocolError before ``ready``."""
        self._require_ready()
        self._nudges += 1
        if self._turn_open:
            self._place.nudged(self._nudges)
        self._commits.sent()
        return ev.InputAudioBufferCommit()

    def clear(self) -> ev.InputAudioBufferClear:
        """Forget what was appended. Raises ProtocolError before ``ready``."""
        self._require_ready()
        return ev.InputAudioBufferClear()

    def create(self, *, after_tools: bool = False) -> ev.ResponseCreate:
        """Ask for a reply; a response may follow. ``after_tools``: because their outputs brought about none. Raises
        ProtocolError before ``ready``."""
        self._require_ready()
        self._nudges += 1
        if self._turn_open:
            self._place.nudged(self._nudges, after_tools=after_tools)
        return ev.ResponseCreate()

    def nudges_arrived(self, number: int) -> None:
        """The service has received the first ``number`` of all commits and requests for a reply of this session."""
        self._place.arrived(number)

    def cancel(self, response_id: str, now_s: float) -> ev.ResponseCancel | None:
        """Nothing of this reply counts from now on. Returns what to send: None if the reply is over, was cancelled
        before, or never began (decision 3)."""
        return self._replies.cancel(response_id, now_s)

    def tool_outputs(self, outputs: Sequence[tuple[str, str]]) -> list[ev.FunctionCallOutput]:
        """The results of one response's tools, each (call id, JSON text); a response to them may follow. Raises
        ProtocolError before ``ready``."""
        self._require_ready()
        if outputs and self._turn_open:
            self._place.tools_answered()
        return [ev.FunctionCallOutput(call_id, output) for call_id, output in outputs]

    def _require_ready(self) -> None:
        if not self.ready:
            raise ProtocolError("no settings are in force: only session.update may be sent (decision 12)")

    # ------------------------------------------------------------ turns

    def begin_turn(self, number: int | None = None) -> None:
        """A new turn: replies of earlier ones no longer count. Whoever calls has cancelled what is in progress.
        ``number``: greater than that of the turn before; None: the next one.

        While the service is in speech it hears what comes next as one utterance with what came before, and answers
        both: that speech is of this turn too (decision 1, first sentence).
        """
        in_speech = self._speeches.in_speech
        self._replies.begin_turn()
        self._turn_open = True
        self._speeches.begin_turn(self._speeches.turn + 1 if number is None else number)
        self._place.begin_turn(in_speech=in_speech)
        self._commits.begin_turn(noticed=in_speech)

    def end_turn(self) -> None:
        """No turn: whatever reply is still under way no longer counts, and none is expected."""
        self._replies.end_turn()
        self._turn_open = False
        self._place.end_turn()
        self._commits.end_turn()

    # ------------------------------------------------------------ what we receive

    def receive(self, event: ev.ServerEvent, now_s: float) -> list[Outcome]:
        """What ``event`` means now, in order. Takes any event at any time and never raises; ``now_s`` is monotonic."""
        outcomes = self._gathered.begin()
        self._opening.heard()
        match event:
            case ev.SessionCreated(session):
                self._open(self._opening.created(session, now_s))
            case ev.SessionUpdated():
                if self.ready:
                    self._gathered.note("debug", "session.updated again; ignored")
                self._open(self._opening.updated())
            case ev.ConversationItemCreated():
                # It repeats what the transcript says, or what we sent.
                pass
            case ev.SpeechStarted(item_id):
                self._speech_began(item_id, now_s)
            case ev.SpeechStopped():
                self._speech_ended()
            case ev.InputTranscriptionCompleted(item_id, text):
                turn = self._speeches.turn_of(item_id)
                if turn == self._speeches.turn:
                    self._commits.noticed()
                self._gathered.add(CallerText(text, turn))
            case ev.ResponseCreated(wire_id):
                self._replies.announced(wire_id, now_s)
            case ev.OutputAudioDelta(response_id=wire_id, audio=audio):
                self._replies.audio(wire_id, audio, now_s)
            case ev.OutputTranscriptDelta(wire_id, delta):
                self._replies.text(wire_id, delta, now_s)
            case ev.FunctionCallArgumentsDone(wire_id, name, call_id, arguments, item_id):
                self._replies.called(wire_id, ev.FunctionCall(call_id, name, arguments, item_id), now_s)
            case ev.OutputItemAdded(wire_id, call):
                if call is not None:
                    self._replies.call_begun(wire_id, call, now_s)
            case ev.OutputItemDone(wire_id, call):
                if call is not None:
                    self._replies.called(wire_id, call, now_s)
            case ev.ResponseDone():
                self._replies.done(event, now_s)
            case ev.ErrorEvent():
                self._error(event, now_s)
            case ev.UnknownEvent(kind):
                self.unknown_events += 1
                self._gathered.note("debug", f"unknown event {kind!r}; ignored, and not logged again in this session")
            case _:
                assert_never(event)
        return outcomes

    def unreadable(self, fault: ProtocolError) -> list[Outcome]:
        """A message that is no event: a note, once for each kind of fault."""
        outcomes = self._gathered.begin()
        self._gathered.note("warning", f"the service sent something unreadable ({fault}); ignored")
        return outcomes

    def _open(self, steps: Sequence[Step]) -> None:
        """What the opening has come to."""
        for step in steps:
            match step:
                case Remark(text):
                    self._gathered.note("warning", text)
                case ev.SessionUpdate():
                    self._gathered.add(Send(step))
                case Ready():
                    self.ready = True
                    self._gathered.add(step)
                case Refused():
                    self._gathered.add(step)

    def _speech_began(self, item_id: str | None, now_s: float) -> None:
        # Decision 2: what the service has said so far answers half a question, whether or not it cancels it itself. No
        # cancel of ours: the service says speech_started because it has done so.
        self._speeches.began(item_id)
        self._commits.noticed()
        self._replies.talked_over(now_s)
        if self._turn_open:
            self._place.heard_more()
        self._gathered.add(SpeechBegan())

    def _speech_ended(self) -> None:
        if not self._speeches.in_speech:
            self._gathered.note("debug", "speech_stopped without speech_started")
        self._speeches.ended()
        self._replies.caught_up()
        self._commits.noticed()
        self._gathered.add(SpeechEnded())

    def _error(self, event: ev.ErrorEvent, now_s: float) -> None:
        codes = codes_of(event)
        harmless = self._complaints.is_harmless(event, now_s)
        if not codes.isdisjoint(NOT_NUDGED_CODES):
            self._place.nudge_failed()
        kind, code, message = one_line(event.type), one_line(event.code), one_line(event.message)
        self._gathered.add(ServiceSaid(kind, code, message, harmless))
        if not harmless:
            self._open(self._opening.complained(event, now_s))
        if COMMIT_EMPTY in codes and self._commits.empty():
            self._gathered.add(NothingHeard())
