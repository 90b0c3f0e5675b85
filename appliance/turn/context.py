"""What the turn machine knows, and the few steps that its rules are made of.

``Context`` is the machine's memory: the state, the turn, the timers and the effects asked for so far. Its methods
are the steps that several rules share: open a turn, close it, drop a reply. The rules themselves stand in ``rules.py``,
``reply_rules.py`` and ``part_rules.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from . import effects as turn_effects
from . import events
from . import states as v
from .states import Deadline, Mode, Outcome, Sound, State

MOST_REPLAYS: Final = 3
"""A question that has cost as many connections is given up: the service breaks on it, and each try costs credits."""

BROKE_ON_COMMIT_S: Final = 1.0
"""A connection that ends so soon after our commit, with no word in between, broke on it. A service that answers a
commit with a close does it at once; an answer in its place takes longer to make."""

MOST_UNANSWERED: Final = 2
"""Questions in a row that one session answers with nothing; then it is replaced. One may be the question's fault."""


@dataclass(slots=True)
class TurnReply:
    """The newest reply of a turn. ``done``: all of it has arrived."""

    response_id: str
    has_audio: bool = False
    done: bool = False
    status: str = ""
    """How it ended; "" while it is not done."""
    called: bool = False
    """It has called tools."""

    @property
    def failed(self) -> bool:
        """It ended without an end. A reply that calls tools may: some servers call that incomplete."""
        return self.status == "failed" or (self.status in ("incomplete", "cancelled") and not self.called)


@dataclass(slots=True)
class TurnFacts:
    """What is known of one turn; a new one starts from these defaults."""

    pressed_s: float
    """The press that opened or resumed it."""
    service_ends: bool
    """A tap opened it: the service's turn detection (or a second tap) ends it, a release does not."""
    uplink: bool = False
    """Audio may leave."""
    ended_s: float | None = None
    """When the person finished. None while they speak, or while the service decides."""
    sent_s: float | None = None
    """When the last sample left; decision 2 counts from here. None: not yet."""
    in_speech: bool = False
    """The service heard speech begin and has not heard it end."""
    service_spoke: bool = False
    """The service has said anything about this turn in this session."""
    spoken_of_before: bool = False
    """The same of sessions of this turn that were lost."""
    end_noticed: bool = False
    """The service heard the end of the turn (a pause in its middle does not count)."""
    committed: bool = False
    """The service was told of the turn's end in this session; at most once."""
    committed_all: bool = False
    """... and nobody has gone on speaking since: that end was the end."""
    commit_unanswered: bool = False
    """Nothing has come of the service since the commit of this session."""
    committed_s: float = 0.0
    """When that commit was sent; means nothing unless ``committed``."""
    silence_alone: bool = False
    """A session, of this turn or of one before, broke on our commit: the end is told by silence alone."""
    replays: int = 0
    """Sessions of this turn that were lost before anything complete had come."""
    reply: TurnReply | None = None
    playing: set[str] = field(default_factory=set)
    """Replies with audio in the player that has not been drained."""
    audible: set[str] = field(default_factory=set)
    """Replies of which some audio is no silence."""
    heard: bool = False
    """A sample of an answer left the speaker, or could have: the question is not asked again."""
    answered: bool = False
    """Something was heard since the person last spoke, or a tool ran: that may be the whole answer."""
    calls: dict[tuple[str, str], events.ToolCall] = field(default_factory=dict)
    """Tools that are wanted and have not run, by response id and call id."""
    calls_run: set[tuple[str, str]] = field(default_factory=set)
    """Those that have."""
    gather_until_s: float = 0.0
    """When ``calls`` is taken to be all of them, if the reply does not end before."""
    tool_rounds: int = 0
    tool_ran: bool = False
    tools_running: bool = False
    awaiting_continuation: bool = False
    """Tool results went out and the service has not gone on."""
    continued: bool = False
    """... but audio of the response that called has come since."""
    nudge_when_done: bool = False
    """This service goes on after tools only if it is asked to; it is asked when that response is done."""
    nudged_for_tools: bool = False
    """It was asked, and nothing has come yet."""
    continue_until_s: float = 0.0
    """How long a service may take to go on after tools."""
    done_s: float = 0.0
    """When the newest reply ended; means nothing unless one has."""
    over_s: float = 0.0
    """When the last of the answer was heard; means nothing before ENDING."""
    broken: bool = False
    """The session was lost while the answer played: it ends with the sorry earcon."""

    def leave_session(self) -> None:
        """What the service has heard of this turn it heard in a session that is gone."""
        self.spoken_of_before = self.spoken_of_before or self.service_spoke
        self.in_speech = self.service_spoke = self.end_noticed = False
        self.awaiting_continuation = self.nudged_for_tools = False

    @property
    def complete(self) -> bool:
        """What has arrived is a whole answer with something to hear, and nothing is left to be done for it."""
        reply = self.reply
        if reply is None or not reply.done or reply.failed or not self.playing:
            return False
        return not (self.calls or self.tools_running or self.awaiting_continuation)


class Context:
    """The memory of one box's conversation. Only the machine and its rules change it."""

    def __init__(self, settings: v.TurnSettings) -> None:
        self.settings = settings
        self.state = State.READY
        self.number = 0
        """Of the current or the last turn; 0 before the first."""
        self.button_down = False
        """A button is down, and has not been for longer than anyone speaks."""
        self.pending_press_s = 0.0
        """When the press began that LONG_PRESS judges; means nothing unless that runs."""
        self.link_up = False
        self.unused = False
        """No turn has ended in the session that is open, and the voice has not greeted in it."""
        self.tools_need_nudge = False
        """In this session the service went on after a tool only when it was asked to."""
        self.unanswered = 0
        """Questions in a row that this session has answered with nothing."""
        self.breaks_on_commit = False
        """A session broke on our commit, and silence alone brought the answer: this service needs none."""
        self.microphone_ready = False
        self.turn = TurnFacts(0.0, service_ends=False)
        self.deadlines: dict[Deadline, float] = {}
        self.effects: list[turn_effects.Effect] = []

    def do(self, *effects: turn_effects.Effect) -> None:
        """Ask for effects, in order."""
        self.effects.extend(effects)

    def set(self, deadline: Deadline, at_s: float) -> None:
        """Start or move a timer."""
        self.deadlines[deadline] = at_s

    def cancel(self, *deadlines: Deadline) -> None:
        """Stop timers; harmless for one that does not run."""
        for deadline in deadlines:
            self.deadlines.pop(deadline, None)

    def open_turn(self, pressed_s: float, now_s: float, *, by_voice: bool = False) -> State:
        """``by_voice``: nobody pressed; the person has been speaking since ``pressed_s``."""
        settings = self.settings
        tap = settings.mode in (Mode.TAP, Mode.OPEN)
        self.number += 1
        self.turn = TurnFacts(pressed_s, service_ends=tap, silence_alone=self.breaks_on_commit)
        self.deadlines.clear()
        self.do(turn_effects.OpenTurn(self.number), turn_effects.BeginUtterance(pressed_s), turn_effects.Connect())
        if settings.mode is Mode.HOLD:
            # Also where that is past: a busy loop may yet have to be told of a release before it.
            self.set(Deadline.UPLINK, pressed_s + settings.min_hold_s)
        else:
            self.open_uplink()
        if tap:
            if not by_voice:
                # Only where the hand is free again is a sound needed to say "speak" (decision 22).
                self.do(turn_effects.PlayEarcon(Sound.LISTENING))
            self.await_speech(now_s)
        self.bound_hold(pressed_s)
        return State.LISTENING

    def await_speech(self, now_s: float) -> None:
        """A tap, or a voice, opened the turn: somebody should be heard to speak. In a session that is new the voice
        greets those who do not begin; whoever does is not kept waiting for it."""
        settings = self.settings
        self.set(Deadline.NO_SPEECH, now_s + settings.no_speech_s)
        if settings.greeting_s is not None and self.link_up and self.unused:
            self.set(Deadline.GREETING, now_s + settings.greeting_s)

    def bound_hold(self, pressed_s: float) -> None:
        limit_s = pressed_s + self.settings.max_hold_s
        self.set(Deadline.MAX_HOLD, limit_s)
        self.set(Deadline.HOLD_WARNING, limit_s - self.settings.max_hold_warning_s)

    def open_uplink(self) -> None:
        self.turn.uplink = True
        self.do(turn_effects.OpenUplink())

    def close_turn(self, outcome: Outcome, sound: Sound | None = None) -> State:
        """Leave nothing of the turn behind: tools, reply, timers, utterance."""
        self.drop_reply(cancel=True)
        self.unused = False
        if self.turn.silence_alone and (self.turn.heard or outcome is Outcome.NO_ANSWER):
            self.breaks_on_commit = self.turn.heard
        self.do(turn_effects.CloseTurn(self.number, outcome))
        if sound is not None:
            self.do(turn_effects.PlayEarcon(sound, outcome))
        self.deadlines.clear()
        self.turn = TurnFacts(0.0, service_ends=False)
        self._judge_session(outcome)
        return State.READY

    def _judge_session(self, outcome: Outcome) -> None:
        """A session that answers nothing, time after time, is replaced: a new one may well answer."""
        if outcome is Outcome.ANSWERED:
            self.unanswered = 0
        elif outcome in (Outcome.NO_ANSWER, Outcome.EMPTY_ANSWER, Outcome.FAILED, Outcome.STALLED):
            self.unanswered += 1
        if self.unanswered >= MOST_UNANSWERED and self.link_up:
            self.unanswered = 0
            self.do(turn_effects.CloseSession(f"{MOST_UNANSWERED} questions in a row were answered with nothing"))

    def new_session(self) -> None:
        """What was learnt of the session before does not count."""
        self.tools_need_nudge = False
        self.unanswered = 0

    def expect_more(self, since_s: float) -> State:
        """After a turn that went well: in ``OPEN`` the same person may go on for a while (decision 6)."""
        if self.settings.mode is not Mode.OPEN or not self.microphone_ready:
            return State.READY
        self.set(Deadline.FOLLOW_UP, since_s + self.settings.follow_up_s)
        return State.EXPECTING

    def abandon(self, outcome: Outcome, sound: Sound | None = None, *, next_s: float | None = None) -> State:
        """Give up an utterance of which the service may hold a part (decision 6). ``next_s``: the press that the next
        one begins with; what has been sent since then is of that one, and is not sent again."""
        turn = self.turn
        if turn.uplink and self.link_up:
            if turn.in_speech:
                self.do(turn_effects.CloseSession("the service was in speech that nobody would end"))
            elif next_s is None or (turn.ended_s is not None and turn.ended_s <= next_s):
                self.do(turn_effects.Clear())
        return self.close_turn(outcome, sound)

    def drop_reply(self, *, cancel: bool) -> None:
        """Silence what has arrived, and end its tools. ``cancel``: we stop it; otherwise the service has done so
        itself."""
        turn = self.turn
        if turn.tools_running:
            turn.tools_running = False
            self.do(turn_effects.AbortTools())
        turn.awaiting_continuation = turn.nudge_when_done = turn.nudged_for_tools = False
        turn.calls.clear()
        self.cancel(Deadline.GATHER, Deadline.TOOL_REPLY, Deadline.GOES_ON)
        reply = turn.reply
        if cancel and reply is not None and not reply.done and self.link_up:
            self.do(turn_effects.CancelReply(reply.response_id))
        if turn.playing or (reply is not None and not reply.done):
            self.do(turn_effects.DropReply())
        turn.reply = None
        turn.playing.clear()
        self.cancel(Deadline.SETTLE, Deadline.PROGRESS, Deadline.DISMISSED)
