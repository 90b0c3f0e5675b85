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
from typing import Final, Literal, assert_never

from appliance.errors import ProtocolError
from appliance.journal.foreign_text import one_line

from . import events as ev
from .calls import MAX_CALLS
from .calls import ToolCall as ToolCall
from .commits import Commits
from .complaints import COMMIT_EMPTY, NOT_NUDGED_CODES, Complaints, codes_of
from .opening import CONFIRM_S, Habits, Opening, Remark, Step
from .opening import Ready as Ready
from .opening import Refused as Refused
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
from .responses import CANCEL_DEADLINE_S, Response, Responses
from .speeches import Speeches

UNFINISHED: Final = frozenset({"cancelled", "failed", "incomplete"})
"""How a reply ends that did not come to its end."""

MAX_NOTES: Final = 100
"""Different notes of one level in one session, each made once: a service wrong in more ways fills no journal."""


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
        self._turn = 0
        """Number of the current turn, or of the last one."""
        self._place = Place()
        self._nudges = 0
        """Commits and requests for a reply so far, which are numbered from 1."""
        self._in_speech = False
        """``speech_started`` has arrived and nothing has ended that speech yet."""
        self._responses = Responses()
        self._commits = Commits()
        self._called: set[tuple[str, str, str]] = set()
        """Id, name and arguments of the calls of this turn that were passed on."""
        self._complaints = Complaints()
        self._speeches = Speeches()
        self._heard_pause = False
        """``speech_stopped`` has arrived in this turn."""
        self._interrupted_s: float | None = None
        """When a reply was last interrupted, of which late pieces may still come."""
        self._noted: dict[Literal["debug", "warning"], set[str]] = {"debug": set(), "warning": set()}
        self._outcomes: list[Outcome] = []
        """Of the event that is being received."""

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
        self._outcomes = []
        self._open(self._opening.advance(now_s))
        return self._outcomes

    @property
    def in_speech(self) -> bool:
        """The service has heard speech begin, and neither heard it end nor begun to answer."""
        return self._in_speech

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
        response = self._responses.find(response_id)
        if response is None or response.done or response.cancelled_s is not None:
            return None
        return self._cancel(response, "we cancelled it", now_s)

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

    def _cancel(self, response: Response, why: str, now_s: float) -> ev.ResponseCancel:
        response.dropped, response.cancelled_s = why, now_s
        self._interrupted_s = now_s
        self._complaints.cancelled(now_s)
        return ev.ResponseCancel(response.wire_id)

    # ------------------------------------------------------------ turns

    def begin_turn(self, number: int | None = None) -> None:
        """A new turn: replies of earlier ones no longer count. Whoever calls has cancelled what is in progress.
        ``number``: greater than that of the turn before; None: the next one.

        While the service is in speech it hears what comes next as one utterance with what came before, and answers
        both: that speech is of this turn too (decision 1, first sentence).
        """
        self._responses.drop_all("it answers an earlier turn")
        self._turn_open = True
        self._turn = self._turn + 1 if number is None else number
        self._heard_pause = False
        self._speeches.begin_turn(self._turn, goes_on=self._in_speech)
        self._place.begin_turn(in_speech=self._in_speech)
        self._commits.begin_turn(noticed=self._in_speech)
        self._called.clear()

    def end_turn(self) -> None:
        """No turn: whatever reply is still under way no longer counts, and none is expected."""
        self._responses.drop_all("its turn is over")
        self._turn_open = False
        self._place.end_turn()
        self._commits.end_turn()

    # ------------------------------------------------------------ what we receive

    def receive(self, event: ev.ServerEvent, now_s: float) -> list[Outcome]:
        """What ``event`` means now, in order. Takes any event at any time and never raises; ``now_s`` is monotonic."""
        self._outcomes = []
        self._opening.heard()
        match event:
            case ev.SessionCreated(session):
                self._open(self._opening.created(session, now_s))
            case ev.SessionUpdated():
                if self.ready:
                    self._note("debug", "session.updated again; ignored")
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
                if turn == self._turn:
                    self._commits.noticed()
                self._outcomes.append(CallerText(text, turn))
            case ev.ResponseCreated(wire_id):
                self._announced(wire_id, now_s)
            case ev.OutputAudioDelta(response_id=wire_id, audio=audio):
                self._audio(wire_id, audio, now_s)
            case ev.OutputTranscriptDelta(wire_id, delta):
                if delta and (reply := self._reply(wire_id, "text", now_s)) is not None:
                    self._outcomes.append(ReplyText(reply.response_id, delta))
            case ev.FunctionCallArgumentsDone(wire_id, name, call_id, arguments, item_id):
                self._called_by(wire_id, ev.FunctionCall(call_id, name, arguments, item_id), now_s)
            case ev.OutputItemAdded(wire_id, call):
                if call is not None and (reply := self._reply(wire_id, "tool call", now_s)) is not None:
                    self._pass_on(reply, reply.calls.begun(call))
            case ev.OutputItemDone(wire_id, call):
                if call is not None:
                    self._called_by(wire_id, call, now_s)
            case ev.ResponseDone():
                self._done(event, now_s)
            case ev.ErrorEvent():
                self._error(event, now_s)
            case ev.UnknownEvent(kind):
                self.unknown_events += 1
                self._note("debug", f"unknown event {kind!r}; ignored, and not logged again in this session")
            case _:
                assert_never(event)
        return self._outcomes

    def unreadable(self, fault: ProtocolError) -> list[Outcome]:
        """A message that is no event: a note, once for each kind of fault."""
        self._outcomes = []
        self._note("warning", f"the service sent something unreadable ({fault}); ignored")
        return self._outcomes

    def _open(self, steps: Sequence[Step]) -> None:
        """What the opening has come to."""
        for step in steps:
            match step:
                case Remark(text):
                    self._note("warning", text)
                case ev.SessionUpdate():
                    self._outcomes.append(Send(step))
                case Ready():
                    self.ready = True
                    self._outcomes.append(step)
                case Refused():
                    self._outcomes.append(step)

    def _speech_began(self, item_id: str | None, now_s: float) -> None:
        # Decision 2: what the service has said so far answers half a question, whether or not it cancels it itself. No
        # cancel of ours: the service says speech_started because it has done so.
        self._in_speech = True
        self._speeches.began(item_id)
        self._commits.noticed()
        if self._responses.drop_all("the person went on speaking"):
            self._interrupted_s = now_s
        if self._turn_open:
            self._place.heard_more()
        self._outcomes.append(SpeechBegan())

    def _speech_ended(self) -> None:
        if not self._in_speech:
            self._note("debug", "speech_stopped without speech_started")
        self._in_speech = False
        # The service has got to this turn's end: nothing of an earlier reply comes behind that.
        self._heard_pause, self._interrupted_s = True, None
        self._commits.noticed()
        self._outcomes.append(SpeechEnded())

    def _error(self, event: ev.ErrorEvent, now_s: float) -> None:
        codes = codes_of(event)
        harmless = self._complaints.is_harmless(event, now_s)
        if not codes.isdisjoint(NOT_NUDGED_CODES):
            self._place.nudge_failed()
        kind, code, message = one_line(event.type), one_line(event.code), one_line(event.message)
        self._outcomes.append(ServiceSaid(kind, code, message, harmless))
        if not harmless:
            self._open(self._opening.complained(event, now_s))
        if COMMIT_EMPTY in codes and self._commits.empty():
            self._outcomes.append(NothingHeard())

    # ------------------------------------------------------------ responses

    def _announced(self, wire_id: str | None, now_s: float) -> None:
        """``response.created``: a response begins, unless its first piece has come before."""
        known = self._responses.named(wire_id)
        if known is not None and not known.done:
            if not known.announced and (known.counts or known.turn == self._turn):
                known.announced = True
                return
            if known.counts and (wire_id is not None or not (known.sounded or known.called)):
                # Not cancelled as a duplicate: by this name that would be the reply itself.
                self._note("warning", "a response was announced when it was known already; ignored")
                return
            if wire_id is not None and known.settling(now_s):
                self._note("debug", f"response {wire_id!r} was announced again after our cancel; ignored")
                return
        self._begin(wire_id, now_s, announced=True)

    def _begin(self, wire_id: str | None, now_s: float, *, announced: bool) -> Response | None:
        """A response begins: the turn's reply, or one to cancel at once (decisions 1 and 4), and then None."""
        # The service begins to answer, so it takes the speech to be over, also when it forgot to say so.
        self._in_speech = False
        place = self._place
        if place.evidence:
            self._commits.noticed()
            self._speeches.heard()
        before = self._responses.current()
        why = "it began before our cancel was confirmed" if self._responses.settling(now_s) else place.refusal()
        nudged = place.is_nudged
        response = self._responses.begin(wire_id, self._turn, announced=announced, nudged=nudged)
        if why:
            self._outcomes.append(Send(self._cancel(response, why, now_s)))
            self._note("debug", f"response {response.response_id!r} cancelled: {why}")
        else:
            self._outcomes.append(ReplyBegan(response.response_id))
        if before is not None and (not why or wire_id is None):
            # A service makes one response at a time, and not all say when one is done.
            self._end(before, "completed", "")
        if why:
            return None
        place.answered()
        return response

    def _reply(self, wire_id: str | None, what: str, now_s: float) -> Response | None:
        """The reply that a piece belongs to, which it may begin; None, with a note, if the piece does not count."""
        known = self._responses.named(wire_id)
        if known is not None and known.counts:
            return known
        if self._may_begin(known, wire_id, now_s):
            return self._begin(wire_id, now_s, announced=False)
        if known is not None and known.dropped:
            self._note("debug", f"{what} of response {known.response_id!r} dropped: {known.dropped}")
        else:
            self._note("warning", f"{what} of a response that is over, or of none; dropped")
        return None

    def _may_begin(self, known: Response | None, wire_id: str | None, now_s: float) -> bool:
        """Whether a piece begins a response. ``known``: the one of its name, which does not count; None: there is none
        of this name, or, for a piece without a name, none in progress."""
        if known is None and wire_id is not None:
            # A stray piece does not end the reply in progress; after tools it may be the answer, in another response.
            return self._responses.current() is None or not self._place.has_answer
        if not self._place.evidence or self._was_interrupted(now_s):
            return False
        if known is None or wire_id is None:
            return True
        # A name that was used before may be given again, but in another turn, and when what had it is over: the service
        # said so, or has heard the person speak since, which ends what it was saying.
        return known.turn != self._turn and (known.done or self._heard_pause)

    def _was_interrupted(self, now_s: float) -> bool:
        """Just now: late pieces of that reply may still come."""
        return self._interrupted_s is not None and now_s < self._interrupted_s + CANCEL_DEADLINE_S

    def _audio(self, wire_id: str | None, audio: bytes, now_s: float) -> None:
        reply = self._reply(wire_id, "audio", now_s)
        if reply is None:
            return
        pcm = reply.odd_byte + audio if reply.odd_byte else audio
        reply.odd_byte = b""
        if len(pcm) % 2:
            # The rest of the sample opens the next delta. Were the byte dropped, all that follows would be noise.
            pcm, reply.odd_byte = pcm[:-1], pcm[-1:]
            self._note("debug", "audio of odd length: the service cuts within a sample; joined again")
        if pcm:
            reply.sounded = True
            # Also one that goes on after a tool: the answer may be in the response that called it.
            self._place.answered()
            self._outcomes.append(ReplySamples(reply.response_id, pcm))

    def _called_by(self, wire_id: str | None, call: ev.FunctionCall, now_s: float) -> None:
        reply = self._reply(wire_id, "tool call", now_s)
        if reply is not None:
            self._called_whole(reply, call)

    def _called_whole(self, reply: Response, said: ev.FunctionCall) -> None:
        call = reply.calls.whole(said)
        if call is None and said.call_id is None:
            self._note("warning", "a tool call without call_id: it cannot be answered unless the id comes later")
        self._pass_on(reply, call)

    def _pass_on(self, reply: Response, call: ToolCall | None) -> None:
        if call is None:
            return
        made = (call.call_id, call.name, call.arguments)
        if made in self._called:
            self._note("warning", f"tool call {call.call_id!r} was made twice; the second is dropped")
        elif len(self._called) >= MAX_CALLS:
            self._note("warning", f"over {MAX_CALLS} tool calls in one turn; more are dropped")
        else:
            self._called.add(made)
            reply.called = True
            self._outcomes.append(ToolCalled(reply.response_id, call))

    def _done(self, event: ev.ResponseDone, now_s: float) -> None:
        wire_id, status = event.response_id, event.status or event.details.type or "completed"
        known = self._responses.named(wire_id) or self._responses.nameless()
        says_something = event.calls or status in ("failed", "incomplete")
        of_now = says_something and self._place.evidence and self._may_begin(known, wire_id, now_s)
        if of_now and (known is None or not known.counts):
            # All of a response in one event.
            known = self._begin(wire_id, now_s, announced=True)
        if known is None or known.done:
            self._note("debug", "response.done of a response that is over, or of none; ignored")
            return
        if known.counts:
            for said in event.calls:
                self._called_whole(known, said)
            for call in known.calls.left():
                self._pass_on(known, call)
        self._end(known, status, _reason(event.details))

    def _end(self, response: Response, status: str, reason: str) -> None:
        """Nothing more of ``response`` comes."""
        response.done, response.odd_byte = True, b""
        # Our cancel follows the commits before it on the same line, and a commit that was under way when turn detection
        # began an answer has arrived long before all of it is made: what the service had to say of them it has said.
        confirmed = response.cancelled_s is not None and status == "cancelled"
        if confirmed or (response.sounded and status == "completed"):
            self._commits.dealt_with(own=not response.dropped)
        if response.dropped:
            return
        if response.nudged:
            self._place.nudges_seen()
        if status in UNFINISHED and not response.sounded and not response.called:
            self._place.came_to_nothing()
        self._outcomes.append(ReplyEnded(response.response_id, status, reason))

    def _note(self, level: Literal["debug", "warning"], text: str) -> None:
        """Note it, once a session: a service that is wrong fifty times a second is one line."""
        noted = self._noted[level]
        if text in noted or len(noted) > MAX_NOTES:
            return
        noted.add(text)
        if len(noted) > MAX_NOTES:
            text = f"{MAX_NOTES} different oddities in this session; further ones are not logged"
        self._outcomes.append(Note(level, text))


def _reason(details: ev.StatusDetails) -> str:
    """Why a reply ended as it did, one line; "" if the service did not say."""
    words = details.message or details.reason
    code = details.code or (details.reason if details.message else "")
    return one_line(f"{words} ({code})" if words and code else words or code)
