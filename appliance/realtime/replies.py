"""The responses of one session: which begin a reply, what belongs to them, and how they end. ``session.py`` says the
rules, by the numbers of their decisions. Pure."""

from __future__ import annotations

from appliance.journal.foreign_text import one_line

from . import events as ev
from .calls import MAX_CALLS, ToolCall
from .commits import Commits
from .complaints import Complaints
from .gathered import Gathered
from .outcomes import UNFINISHED, ReplyBegan, ReplyEnded, ReplySamples, ReplyText, Send, ToolCalled
from .place import Place
from .responses import CANCEL_DEADLINE_S, Response, Responses
from .speeches import Speeches


class Replies:
    """Of one session, whose other parts it is given. ``wire_id``: the service's name of a response, None without one;
    ``now_s``: monotonic."""

    def __init__(
        self, gathered: Gathered, speeches: Speeches, place: Place, commits: Commits, complaints: Complaints
    ) -> None:
        self._gathered = gathered
        self._speeches = speeches
        self._place = place
        self._commits = commits
        self._complaints = complaints
        self._responses = Responses()
        self._passed_on: set[tuple[str, str, str]] = set()
        """Id, name and arguments of the calls of this turn that were passed on."""
        self._interrupted_s: float | None = None
        """When a reply was last interrupted, of which late pieces may still come."""

    # ------------------------------------------------------------ what becomes of them from outside

    def begin_turn(self) -> None:
        """What is in progress answers an earlier turn."""
        self._responses.drop_all("it answers an earlier turn")
        self._passed_on.clear()

    def end_turn(self) -> None:
        """Whatever is under way no longer counts."""
        self._responses.drop_all("its turn is over")

    def talked_over(self, now_s: float) -> None:
        """The person goes on speaking (decision 2)."""
        if self._responses.drop_all("the person went on speaking"):
            self._interrupted_s = now_s

    def caught_up(self) -> None:
        """The service has got to this turn's end: nothing of an earlier reply comes behind that."""
        self._interrupted_s = None

    def cancel(self, response_id: str, now_s: float) -> ev.ResponseCancel | None:
        """Nothing of this reply counts from now on. Returns what to send: None if the reply is over, was cancelled
        before, or never began (decision 3)."""
        response = self._responses.find(response_id)
        if response is None or response.done or response.cancelled_s is not None:
            return None
        return self._cancel(response, "we cancelled it", now_s)

    def _cancel(self, response: Response, why: str, now_s: float) -> ev.ResponseCancel:
        response.dropped, response.cancelled_s = why, now_s
        self._interrupted_s = now_s
        self._complaints.cancelled(now_s)
        return ev.ResponseCancel(response.wire_id)

    # ------------------------------------------------------------ what the service says of them

    def announced(self, wire_id: str | None, now_s: float) -> None:
        """``response.created``: a response begins, unless its first piece has come before."""
        known = self._responses.named(wire_id)
        if known is not None and not known.done:
            if not known.announced and (known.counts or known.turn == self._speeches.turn):
                known.announced = True
                return
            if known.counts and (wire_id is not None or not (known.sounded or known.called)):
                # Not cancelled as a duplicate: by this name that would be the reply itself.
                self._gathered.note("warning", "a response was announced when it was known already; ignored")
                return
            if wire_id is not None and known.settling(now_s):
                self._gathered.note("debug", f"response {wire_id!r} was announced again after our cancel; ignored")
                return
        self._begin(wire_id, now_s, announced=True)

    def _begin(self, wire_id: str | None, now_s: float, *, announced: bool) -> Response | None:
        """A response begins: the turn's reply, or one to cancel at once (decisions 1 and 4), and then None."""
        self._speeches.answered()
        place = self._place
        if place.evidence:
            self._commits.noticed()
            self._speeches.heard()
        before = self._responses.current()
        why = "it began before our cancel was confirmed" if self._responses.settling(now_s) else place.refusal()
        nudged = place.is_nudged
        response = self._responses.begin(wire_id, self._speeches.turn, announced=announced, nudged=nudged)
        if why:
            self._gathered.add(Send(self._cancel(response, why, now_s)))
            self._gathered.note("debug", f"response {response.response_id!r} cancelled: {why}")
        else:
            self._gathered.add(ReplyBegan(response.response_id))
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
            self._gathered.note("debug", f"{what} of response {known.response_id!r} dropped: {known.dropped}")
        else:
            self._gathered.note("warning", f"{what} of a response that is over, or of none; dropped")
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
        return known.turn != self._speeches.turn and (known.done or self._speeches.paused)

    def _was_interrupted(self, now_s: float) -> bool:
        """Just now: late pieces of that reply may still come."""
        return self._interrupted_s is not None and now_s < self._interrupted_s + CANCEL_DEADLINE_S

    def text(self, wire_id: str | None, delta: str, now_s: float) -> None:
        """The next piece of the words of a response."""
        if delta and (reply := self._reply(wire_id, "text", now_s)) is not None:
            self._gathered.add(ReplyText(reply.response_id, delta))

    def audio(self, wire_id: str | None, audio: bytes, now_s: float) -> None:
        """The next piece of the sound of a response, which may end within a sample."""
        reply = self._reply(wire_id, "audio", now_s)
        if reply is None:
            return
        pcm = reply.odd_byte + audio if reply.odd_byte else audio
        reply.odd_byte = b""
        if len(pcm) % 2:
            # The rest of the sample opens the next delta. Were the byte dropped, all that follows would be noise.
            pcm, reply.odd_byte = pcm[:-1], pcm[-1:]
            self._gathered.note("debug", "audio of odd length: the service cuts within a sample; joined again")
        if pcm:
            reply.sounded = True
            # Also one that goes on after a tool: the answer may be in the response that called it.
            self._place.answered()
            self._gathered.add(ReplySamples(reply.response_id, pcm))

    def call_begun(self, wire_id: str | None, call: ev.FunctionCall, now_s: float) -> None:
        """A response begins to call a tool; the arguments may be whole already."""
        if (reply := self._reply(wire_id, "tool call", now_s)) is not None:
            self._pass_on(reply, reply.calls.begun(call))

    def called(self, wire_id: str | None, call: ev.FunctionCall, now_s: float) -> None:
        """A call of a response is whole."""
        reply = self._reply(wire_id, "tool call", now_s)
        if reply is not None:
            self._called_whole(reply, call)

    def _called_whole(self, reply: Response, said: ev.FunctionCall) -> None:
        call = reply.calls.whole(said)
        if call is None and said.call_id is None:
            self._gathered.note(
                "warning", "a tool call without call_id: it cannot be answered unless the id comes later"
            )
        self._pass_on(reply, call)

    def _pass_on(self, reply: Response, call: ToolCall | None) -> None:
        if call is None:
            return
        made = (call.call_id, call.name, call.arguments)
        if made in self._passed_on:
            self._gathered.note("warning", f"tool call {call.call_id!r} was made twice; the second is dropped")
        elif len(self._passed_on) >= MAX_CALLS:
            self._gathered.note("warning", f"over {MAX_CALLS} tool calls in one turn; more are dropped")
        else:
            self._passed_on.add(made)
            reply.called = True
            self._gathered.add(ToolCalled(reply.response_id, call))

    def done(self, event: ev.ResponseDone, now_s: float) -> None:
        """A response is over, or all of one has come in this event."""
        wire_id, status = event.response_id, event.status or event.details.type or "completed"
        known = self._responses.named(wire_id) or self._responses.nameless()
        says_something = event.calls or status in ("failed", "incomplete")
        of_now = says_something and self._place.evidence and self._may_begin(known, wire_id, now_s)
        if of_now and (known is None or not known.counts):
            # All of a response in one event.
            known = self._begin(wire_id, now_s, announced=True)
        if known is None or known.done:
            self._gathered.note("debug", "response.done of a response that is over, or of none; ignored")
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
        self._gathered.add(ReplyEnded(response.response_id, status, reason))


def _reason(details: ev.StatusDetails) -> str:
    """Why a reply ended as it did, one line; "" if the service did not say."""
    words = details.message or details.reason
    code = details.code or (details.reason if details.message else "")
    return one_line(f"{words} ({code})" if words and code else words or code)
