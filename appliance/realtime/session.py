"""The rules of one connection: what may be sent now, whose reply it is, and which pieces of it still count.

Pure: no clock, no network. Events go in, outcomes come out; what the appliance wants to send is asked for here, so that
an event can be neither too early nor too often. "Ruling" is the project's numbered decision that the README's "How it
behaves" repeats. Where to find each:

======  =============================================================================  =======================
Ruling  What it says                                                                   Where
======  =============================================================================  =======================
1       a response belongs to the turn only after evidence; else it is cancelled       ``_Place``, ``_announced``
1       what begins between our cancel and its confirmation (at most 1 s) is the past  ``responses.py``
2       when the person goes on speaking, nothing of the reply so far counts           ``_speech_began``
3       one ``response.cancel`` a reply, none after its ``response.done``              ``cancel``
3       two errors are harmless                                                        ``HARMLESS_CODES``
3       ... but one of them, of this turn's commit, may say that nobody was heard      ``commits.py``
4       a second response in one turn is a duplicate: cancelled, dropped               ``_Place.TAKEN``
7       tools are called for only by a reply that was completed                        ``_done``
12      audio leaves only when settings are in force                                   ``opening.py``
======  =============================================================================  =======================

Whatever the service does out of order is one ``Note``, and is otherwise ignored. Nothing here grows without bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal, TypeAlias, assert_never

from appliance.errors import ProtocolError
from appliance.outside import one_line

from . import events as ev
from .commits import Commits
from .opening import CONFIRM_S, Habits, Opening, Remark, Step
from .opening import Ready as Ready
from .opening import Refused as Refused
from .responses import MAX_ARGUMENTS_CHARS, MAX_CALLS, Response, Responses
from .responses import ToolCall as ToolCall

COMMIT_EMPTY: Final = "input_audio_buffer_commit_empty"
HARMLESS_CODES: Final = frozenset({"response_cancel_not_active", COMMIT_EMPTY})
"""Errors that only say that we were a moment late (ruling 3)."""

MAX_NOTES: Final = 100
"""Different notes of one level in one session, each made once: a service wrong in more ways fills no journal."""

# ---------------------------------------------------------------- outcomes


@dataclass(frozen=True, slots=True)
class SpeechBegan:
    """The service hears the person speak. What has arrived of a reply may no longer sound."""


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """The service hears a pause."""


@dataclass(frozen=True, slots=True)
class NothingHeard:
    """This turn's commit was empty to a service that has shown no sign of having heard anybody in it."""


@dataclass(frozen=True, slots=True)
class ReplyBegan:
    """A reply to the current turn begins."""

    response_id: str


@dataclass(frozen=True, slots=True)
class ReplyAudio:
    """The next piece of that reply: whole int16 little-endian samples, mono, 24 kHz; at least one."""

    response_id: str
    pcm: bytes


@dataclass(frozen=True, slots=True)
class ReplyText:
    """The next piece of that reply's text."""

    response_id: str
    text: str


@dataclass(frozen=True, slots=True)
class ReplyEnded:
    """All of that reply is here. ``status`` is never ""; ``calls`` is empty unless it is ``completed``."""

    response_id: str
    status: str
    calls: tuple[ToolCall, ...]


@dataclass(frozen=True, slots=True)
class CallerText:
    """What the service understood the person to say."""

    text: str


@dataclass(frozen=True, slots=True)
class ServiceSaid:
    """An ``error`` event, each text cut to one printable line. ``harmless``: nothing that a person need know."""

    type: str
    code: str
    message: str
    harmless: bool


@dataclass(frozen=True, slots=True)
class Send:
    """Send this: the cancel of a response that does not belong here, or the settings in the other dialect."""

    event: ev.ClientEvent


@dataclass(frozen=True, slots=True)
class Note:
    """For the log, at this level. One line, without anything that was said."""

    level: Literal["debug", "warning"]
    text: str


Outcome: TypeAlias = (
    Ready
    | Refused
    | SpeechBegan
    | SpeechEnded
    | NothingHeard
    | ReplyBegan
    | ReplyAudio
    | ReplyText
    | ReplyEnded
    | CallerText
    | ServiceSaid
    | Send
    | Note
)

# ---------------------------------------------------------------- the rules


class _Place(Enum):
    """Whether the turn has a place for a response. There is one place, and each ``speech_started`` and each tool output
    of the turn frees it again; a ``commit`` and a ``response.create`` only open it the first time, or the race between
    our commit and the service's turn detection would be answered twice."""

    CLOSED = "it answers no turn that is open"
    """No turn, or nothing of it has reached the service yet: a response can only be an earlier turn's (ruling 1)."""
    OPEN = "the next response is the answer"
    TAKEN = "the turn has its answer"
    """Any further response is a duplicate (ruling 4)."""


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
        self._place = _Place.CLOSED
        self._in_speech = False
        """``speech_started`` has arrived and nothing has ended that speech yet."""
        self._responses = Responses()
        self._commits = Commits()
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
        self._expect_first_response()
        self._commits.sent()
        return ev.InputAudioBufferCommit()

    def clear(self) -> ev.InputAudioBufferClear:
        """Forget what was appended. Raises ProtocolError before ``ready``."""
        self._require_ready()
        return ev.InputAudioBufferClear()

    def create(self) -> ev.ResponseCreate:
        """Ask for a reply; a response may follow. Raises ProtocolError before ``ready``."""
        self._require_ready()
        self._expect_first_response()
        return ev.ResponseCreate()

    def cancel(self, response_id: str, now_s: float) -> ev.ResponseCancel | None:
        """Nothing of this reply counts from now on. Returns what to send: None if the reply is over, was cancelled
        before, or was never announced (ruling 3)."""
        response = self._responses.find(response_id)
        if response is None or response.done or response.cancelled_s is not None:
            return None
        return ev.ResponseCancel(response.cancel("we cancelled it", now_s))

    def tool_outputs(self, outputs: Sequence[tuple[str, str]]) -> list[ev.FunctionCallOutput]:
        """The results of one response's tools, each (call id, JSON text); a response to them may follow. Raises
        ProtocolError before ``ready``."""
        self._require_ready()
        if outputs and self._turn_open:
            self._place = _Place.OPEN
        return [ev.FunctionCallOutput(call_id, output) for call_id, output in outputs]

    def _require_ready(self) -> None:
        if not self.ready:
            raise ProtocolError("no settings are in force: only session.update may be sent (ruling 12)")

    def _expect_first_response(self) -> None:
        if self._turn_open and self._place is _Place.CLOSED:
            self._place = _Place.OPEN

    # ------------------------------------------------------------ turns

    def begin_turn(self) -> None:
        """A new turn: replies of earlier ones no longer count. Whoever calls has cancelled what is in progress.

        While the service is in speech it hears what comes next as one utterance with what came before, and answers
        both: that speech is of this turn too (ruling 1, first sentence).
        """
        self._responses.drop_all("it answers an earlier turn")
        self._turn_open = True
        self._place = _Place.OPEN if self._in_speech else _Place.CLOSED
        self._commits.begin_turn(noticed=self._in_speech)

    def end_turn(self) -> None:
        """No turn: whatever reply is still under way no longer counts, and none is expected."""
        self._responses.drop_all("its turn is over")
        self._turn_open = False
        self._place = _Place.CLOSED
        self._commits.end_turn()

    # ------------------------------------------------------------ what we receive

    def receive(self, event: ev.ServerEvent, now_s: float) -> list[Outcome]:
        """What ``event`` means now, in order. Takes any event at any time and never raises; ``now_s`` is monotonic."""
        self._outcomes = []
        self._opening.on_trust = False
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
            case ev.SpeechStarted():
                self._speech_began()
            case ev.SpeechStopped():
                if not self._in_speech:
                    self._note("debug", "speech_stopped without speech_started")
                self._in_speech = False
                self._commits.noticed()
                self._outcomes.append(SpeechEnded())
            case ev.InputTranscriptionCompleted(transcript=text):
                self._commits.noticed()
                self._outcomes.append(CallerText(text))
            case ev.ResponseCreated(response_id):
                self._announced(response_id, now_s)
            case ev.OutputAudioDelta(response_id=response_id, audio=audio):
                self._audio(response_id, audio)
            case ev.OutputTranscriptDelta(response_id, delta):
                if (reply := self._reply(response_id, "text")) is not None and delta:
                    self._outcomes.append(ReplyText(reply.response_id, delta))
            case ev.FunctionCallArgumentsDone():
                self._called(event)
            case ev.ResponseDone(response_id, status):
                self._done(response_id, status)
            case ev.ErrorEvent(kind, code, message):
                said = ServiceSaid(one_line(kind), one_line(code), one_line(message), code in HARMLESS_CODES)
                self._outcomes.append(said)
                if not said.harmless:
                    self._open(self._opening.complained(event, now_s))
                if code == COMMIT_EMPTY and self._commits.empty():
                    self._outcomes.append(NothingHeard())
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

    def _speech_began(self) -> None:
        # Ruling 2: what the service has said so far answers half a question, whether or not it cancels it itself. No
        # cancel of ours: the service says speech_started because it has done so.
        self._in_speech = True
        self._commits.noticed()
        self._responses.drop_all("the person went on speaking")
        if self._turn_open:
            self._place = _Place.OPEN
        self._outcomes.append(SpeechBegan())

    def _announced(self, response_id: str, now_s: float) -> None:
        """A response begins: the turn's reply, or one to cancel at once (rulings 1 and 4)."""
        if self._responses.find(response_id) is not None:
            # Not cancelled as a duplicate: by this id that would be the reply itself, or one that is over.
            self._note("warning", f"response {response_id!r} was announced when it was known already; ignored")
            return
        # The service begins to answer, so it takes the speech to be over, also when it forgot to say so.
        self._in_speech = False
        if self._place is not _Place.CLOSED:
            self._commits.noticed()
        settling = self._responses.settling(now_s)
        response = self._responses.announce(response_id)
        if self._place is _Place.OPEN and not settling:
            self._place = _Place.TAKEN
            self._outcomes.append(ReplyBegan(response_id))
            return
        why = "it began before our cancel was confirmed" if settling else self._place.value
        self._outcomes.append(Send(ev.ResponseCancel(response.cancel(why, now_s))))
        self._note("debug", f"response {response_id!r} cancelled: {why}")

    def _reply(self, response_id: str | None, what: str) -> Response | None:
        """The response that a piece belongs to, if the piece counts; else None, with a note. An id of None means the
        response in progress."""
        known = self._responses
        response = known.in_progress() if response_id is None else known.find(response_id)
        if response is None and response_id is None:
            self._note("warning", f"{what} without a response in progress; dropped")
        elif response is None:
            self._note("warning", f"{what} of response {response_id!r}, which was not announced; dropped")
        elif response.dropped:
            self._note("debug", f"{what} of response {response.response_id!r} dropped: {response.dropped}")
        elif response.done:
            self._note("warning", f"{what} of response {response.response_id!r} after its response.done; dropped")
        else:
            return response
        return None

    def _audio(self, response_id: str, audio: bytes) -> None:
        reply = self._reply(response_id, "audio")
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
            self._outcomes.append(ReplyAudio(reply.response_id, pcm))

    def _called(self, event: ev.FunctionCallArgumentsDone) -> None:
        reply = self._reply(event.response_id, "tool call")
        if reply is None:
            return
        if any(call.call_id == event.call_id for call in reply.calls):
            self._note("warning", f"tool call {event.call_id!r} was made twice; the second is dropped")
        elif len(event.arguments) > MAX_ARGUMENTS_CHARS:
            self._note("warning", f"tool call {event.call_id!r} has arguments beyond all bounds; dropped")
        elif len(reply.calls) >= MAX_CALLS:
            self._note("warning", f"response {reply.response_id!r} has over {MAX_CALLS} tool calls; more are dropped")
        else:
            reply.calls.append(ToolCall(event.call_id, event.name, event.arguments))

    def _done(self, response_id: str, status: str) -> None:
        response = self._responses.find(response_id)
        if response is None or response.done:
            self._note("warning", f"response.done of response {response_id!r}, which is not in progress; ignored")
            # Should it be announced after its end, there is nothing to wait for and nothing to cancel (ruling 3).
            response = response or self._responses.announce(response_id)
            response.done = True
            return
        response.done = True
        # Our cancel follows the commits before it on the same line, and a commit that was under way when turn detection
        # began an answer has arrived long before all of it is made: what the service had to say of them it has said.
        confirmed = response.cancelled_s is not None and status == "cancelled"
        if confirmed or (response.sounded and status == "completed"):
            self._commits.dealt_with(own=not response.dropped)
        calls, response.calls, response.odd_byte = tuple(response.calls), [], b""
        if response.dropped:
            return
        if not status:
            # Nothing else ends a reply, so the event counts; what has arrived is heard. But "completed" is what
            # ruling 7 lets tools run on, and a service that was cut short is the one that would not say it.
            self._note("warning", "response.done without response.status: taken as incomplete, its tools are not run")
            status = "incomplete"
        if status != "completed":
            calls = ()
            if not response.sounded:
                # It failed with nothing to hear: the next response is the answer, not a second one.
                self._place = _Place.OPEN
        self._outcomes.append(ReplyEnded(response_id, status, calls))

    def _note(self, level: Literal["debug", "warning"], text: str) -> None:
        """Note it, once a session: a service that is wrong fifty times a second is one line."""
        noted = self._noted[level]
        if text in noted or len(noted) > MAX_NOTES:
            return
        noted.add(text)
        if len(noted) > MAX_NOTES:
            text = f"{MAX_NOTES} different oddities in this session; further ones are not logged"
        self._outcomes.append(Note(level, text))
