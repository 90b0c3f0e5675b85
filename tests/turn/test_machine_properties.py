"""Random people, services and clocks: no state without a way out, no effect that contradicts the state."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from appliance.turn import effects as turn_effects
from appliance.turn import events
from appliance.turn.states import Mode, State

from .box import TIMES, Box

LONGEST_TURN_S = (
    TIMES.follow_up_s
    + 2 * TIMES.tool_reply_s
    + 2 * (TIMES.max_hold_s + TIMES.stale_s + TIMES.answer_s + TIMES.no_progress_s)
)
"""Longer than any chain of deadlines that a turn can still go through when nothing happens any more."""


class World(RuleBasedStateMachine):
    """A box and everything around it. The service here is allowed to be strange, but not to break causality."""

    @initialize(mode=st.sampled_from(Mode), settle_s=st.sampled_from([TIMES.settle_s, 0.0]))
    def switch_on(self, mode: Mode, settle_s: float) -> None:
        self.mode = mode
        self.box = Box(mode, greeting_s=1.5, settle_s=settle_s)
        self.link_up = True
        self.replies_began = 0
        self.open_replies: set[str] = set()
        self.turn_open = False
        self.uplink_open = False
        self.utterance_ended = True
        self.sent_s: float | None = None
        self.playing = False
        self.tools_running = False
        self.tools_run: set[tuple[int, str]] = set()
        self.rounds = 0
        self.cancelled: set[str] = set()
        self.commits = 0
        self.number = 0
        self.noticed = False

    def check(self, effects: list[turn_effects.Effect]) -> None:
        """Follow the effects as a daemon would, and complain about those that make no sense."""
        for effect in effects:
            match effect:
                case turn_effects.OpenTurn(number):
                    self.turn_open, self.commits = True, 0
                    # What a turn's lost session had heard counts in its next one.
                    self.noticed = self.noticed and number == self.number
                    self.rounds = self.rounds if number == self.number else 0
                    self.number = number
                case turn_effects.CloseTurn():
                    assert self.turn_open
                    self.turn_open = self.uplink_open = self.playing = False
                    self.utterance_ended, self.sent_s = True, None
                case turn_effects.BeginUtterance() | turn_effects.ResumeUtterance():
                    assert self.turn_open and not self.playing
                    self.utterance_ended = False
                case turn_effects.EndUtterance():
                    assert self.turn_open
                    self.utterance_ended = True
                case turn_effects.OpenUplink():
                    assert self.turn_open and not self.uplink_open
                    self.uplink_open = True
                case turn_effects.CancelReply(response_id):
                    assert response_id in self.open_replies, "a cancel with nothing in progress"
                    assert response_id not in self.cancelled, "a second cancel"
                    assert self.link_up
                    self.cancelled.add(response_id)
                case turn_effects.PlayReply():
                    assert not self.box.machine.button_down, "played while the button is held"
                    assert self.utterance_ended, "the microphone is live while the reply plays"
                    assert not self.playing
                    self.playing = True
                case turn_effects.DropReply():
                    self.playing = False
                case turn_effects.HoldReply():
                    assert self.playing
                    self.playing = False
                case turn_effects.Commit():
                    assert self.link_up and self.utterance_ended
                    self.commits += 1
                    assert self.commits == 1
                case turn_effects.StartSilence():
                    assert self.utterance_ended
                case turn_effects.RunTools(calls):
                    assert not self.tools_running and self.utterance_ended and calls
                    assert not self.box.machine.button_down
                    ran = {(self.number, call.call_id) for call in calls}
                    assert len(ran) == len(calls) and ran.isdisjoint(self.tools_run), "a tool ran twice"
                    self.tools_run |= ran
                    self.rounds += 1
                    assert self.rounds <= TIMES.tool_rounds
                    self.tools_running = True
                case turn_effects.AbortTools():
                    assert self.tools_running
                    self.tools_running = False
                case turn_effects.SendToolOutputs():
                    assert self.link_up

    def happens(self, event: events.Event) -> None:
        if isinstance(event, events.SpeechBegan | events.SpeechEnded | events.ReplyBegan):
            self.noticed = True
        self.check(self.box.happens(event))

    # ---------------------------------------------------------------- the person

    @precondition(lambda self: not self.box.machine.button_down)
    @rule()
    def press(self) -> None:
        self.check(self.box.press())

    @precondition(lambda self: self.box.machine.button_down)
    @rule()
    def release(self) -> None:
        self.check(self.box.release())

    @precondition(lambda self: self.mode is Mode.OPEN)
    @rule(late_s=st.sampled_from([0.0, 0.5]))
    def voice(self, late_s: float) -> None:
        self.happens(events.GateOpened(self.box.now_s - late_s))

    @precondition(lambda self: self.mode is Mode.OPEN)
    @rule()
    def something_over_the_answer(self) -> None:
        self.happens(events.InterruptionSuspected())

    @precondition(lambda self: self.mode is Mode.OPEN)
    @rule()
    def voice_over_the_answer(self) -> None:
        self.happens(events.TalkedOver())
        self.happens(events.GateOpened(self.box.now_s))

    @rule()
    def stop(self) -> None:
        self.happens(events.Stop())

    @precondition(lambda self: self.box.state() in (State.READY, State.EXPECTING) and not self.box.machine.button_down)
    @rule(held_s=st.sampled_from([0.2, 1.0]), steps=st.integers(2, 8))
    def ordinary_question(self, held_s: float, steps: int) -> None:
        """A turn that goes well for a while; single random steps alone hardly ever get as far as an answer."""
        self.happens(events.MicrophoneReady())
        self.press()
        self.check(self.box.passes(held_s))
        if not self.link_up:
            self.link_comes_or_fails_again(True)
        story: list[Callable[[], object]] = [
            lambda: self.happens(events.SpeechBegan()),
            lambda: self.release(),
            lambda: self.happens(events.UtteranceSent()) if self.box.state() is State.SENDING else None,
            lambda: self.happens(events.SpeechEnded()),
            lambda: self.reply_begins() if self.turn_open else None,
            lambda: self.check(self.box.passes(0.3)),
            lambda: self.happens(events.ReplyAudio(f"r{self.replies_began}")),
            lambda: self.happens(events.ReplyAudible(f"r{self.replies_began}")) if self.playing else None,
        ]
        for step in story[:steps]:
            step()

    # ---------------------------------------------------------------- the daemon's parts

    @precondition(lambda self: self.box.state() is State.SENDING and self.link_up)
    @rule()
    def utterance_sent(self) -> None:
        self.happens(events.UtteranceSent())

    @precondition(lambda self: self.turn_open and self.link_up)
    @rule(behind_s=st.sampled_from([0.0, 2.0, 50.0]))
    def some_of_it_left(self, behind_s: float) -> None:
        self.happens(events.SendingProgress(behind_s))

    @precondition(lambda self: self.playing)
    @rule(event=st.sampled_from([events.ReplyAudible, events.ReplyDrained]), back=st.integers(0, 2))
    def speaker(self, event: type[events.ReplyAudible | events.ReplyDrained], back: int) -> None:
        self.happens(event(f"r{self.replies_began - back}"))

    @precondition(lambda self: self.tools_running)
    @rule()
    def tools_finish(self) -> None:
        self.tools_running = False
        self.happens(events.ToolsFinished((("c", "{}"),)))

    @rule(event=st.sampled_from([events.MicrophoneLost(), events.MicrophoneReady()]))
    def microphone(self, event: events.Event) -> None:
        self.happens(event)

    # ---------------------------------------------------------------- the link and the service

    @precondition(lambda self: self.link_up)
    @rule(event=st.sampled_from([events.LinkLost(), events.LinkFailed()]))
    def link_goes(self, event: events.Event) -> None:
        self.link_up = False
        self.open_replies.clear()
        self.happens(event)

    @precondition(lambda self: not self.link_up)
    @rule(up=st.booleans())
    def link_comes_or_fails_again(self, up: bool) -> None:
        self.link_up = up
        self.happens(events.LinkReady() if up else events.LinkFailed())

    @precondition(lambda self: self.link_up)
    @rule(event=st.sampled_from([events.SpeechBegan(), events.SpeechEnded()]))
    def speech(self, event: events.Event) -> None:
        self.happens(event)

    @precondition(lambda self: self.link_up)
    @rule()
    def nothing_heard(self) -> None:
        noticed, commits = self.noticed, self.commits
        effects = self.box.happens(events.NothingHeard())
        self.check(effects)
        if any(isinstance(effect, turn_effects.CloseTurn) for effect in effects):
            assert not noticed and commits == 1
        else:
            assert not effects

    @precondition(lambda self: self.box.state() is State.READY and self.link_up and not self.box.machine.button_down)
    @rule(then=st.sampled_from(["", "press", "loss"]))
    def silent_hold(self, then: str) -> None:
        """Single random steps seldom get as far as a commit with nothing heard."""
        self.happens(events.MicrophoneReady())
        self.press()
        self.check(self.box.passes(1.0))
        self.release()
        if self.box.state() is State.SENDING:
            self.happens(events.UtteranceSent())
        if then == "press":
            self.press()
        elif then == "loss":
            self.link_goes(events.LinkLost())

    @precondition(lambda self: self.link_up and self.turn_open)
    @rule()
    def reply_begins(self) -> None:
        """The first, or one more: the session ends the one before it, if that is not done."""
        for response_id in sorted(self.open_replies):
            self.happens(events.ReplyEnded(response_id, "completed"))
        self.open_replies.clear()
        if not self.turn_open:
            return
        self.replies_began += 1
        self.open_replies.add(f"r{self.replies_began}")
        self.happens(events.ReplyBegan(f"r{self.replies_began}"))

    @precondition(lambda self: self.link_up and self.open_replies)
    @rule(silent=st.booleans(), what=st.sampled_from(["audio", "call", "call again"]))
    def reply_goes_on(self, silent: bool, what: str) -> None:
        (response_id,) = self.open_replies
        if what == "audio":
            self.happens(events.ReplyAudio(response_id, silent))
            return
        call_id = response_id if what == "call again" else f"{response_id}.{self.box.now_s}"
        self.happens(events.ToolCalled(response_id, events.ToolCall(call_id, "t", "{}")))

    @precondition(lambda self: self.link_up and self.open_replies)
    @rule(status=st.sampled_from(["completed", "cancelled", "failed", "incomplete"]))
    def reply_is_done(self, status: str) -> None:
        (response_id,) = self.open_replies
        self.open_replies.clear()
        self.happens(events.ReplyEnded(response_id, status))

    @precondition(lambda self: self.box.state() is State.WAITING and self.link_up)
    @rule(done=st.booleans(), rounds=st.integers(1, 3))
    def tool_turn(self, done: bool, rounds: int) -> None:
        """Tools seldom run in single random steps."""
        for _ in range(rounds):
            if not self.turn_open or not self.link_up:
                return
            self.reply_begins()
            if not self.open_replies:
                return
            self.reply_goes_on(False, "call")
            if done and self.open_replies:
                self.reply_is_done("completed")
            self.check(self.box.passes(0.4))
            if self.tools_running:
                self.tools_finish()

    # ---------------------------------------------------------------- time

    @rule(seconds=st.sampled_from([0.01, 0.1, 0.25, 0.5, 1.0, 3.0, 7.0, 21.0]))
    def time_passes(self, seconds: float) -> None:
        self.check(self.box.passes(seconds))

    @invariant()
    def only_an_answer_that_sounds_is_paused(self) -> None:
        if hasattr(self, "box"):
            assert not self.box.machine.paused or self.box.state() is State.SPEAKING

    @invariant()
    def every_open_state_has_a_way_out(self) -> None:
        if hasattr(self, "box") and self.box.state() is not State.READY:
            assert self.box.machine.next_deadline_s is not None

    @invariant()
    def nobody_is_invited_to_speak_to_a_microphone_that_is_gone(self) -> None:
        if hasattr(self, "box") and self.box.state() in (State.LISTENING, State.EXPECTING):
            assert self.box.machine.microphone_ready

    def teardown(self) -> None:
        if not hasattr(self, "box"):
            return
        if self.box.machine.button_down:
            self.release()
        self.check(self.box.passes(LONGEST_TURN_S))
        assert self.box.state() is State.READY
        assert not self.turn_open and not self.tools_running
        assert self.box.machine.next_deadline_s is None


TestWorld = World.TestCase
TestWorld.settings = settings(
    max_examples=200, stateful_step_count=50, deadline=None, suppress_health_check=[HealthCheck.filter_too_much]
)
