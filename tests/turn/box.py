"""A turn machine with a clock of its own, for tests that read like a story."""

from __future__ import annotations

from dataclasses import replace

from appliance.turn import effects as turn_effects
from appliance.turn import events
from appliance.turn import states as v
from appliance.turn.machine import Machine
from appliance.turn.states import Mode, State

TIMES = v.TurnSettings(
    mode=Mode.AUTO,
    debounce_s=0.03,
    min_hold_s=0.15,
    tap_max_s=0.4,
    second_tap_s=0.6,
    release_tail_s=0.2,
    max_hold_s=30.0,
    max_hold_warning_s=5.0,
    no_speech_s=6.0,
    stale_s=15.0,
    keep_s=40.0,
    answer_s=20.0,
    nudge_s=2.0,
    settle_s=0.2,
    tool_reply_s=3.0,
    tool_rounds=8,
    tool_s=5.0,
    no_progress_s=10.0,
    follow_up_s=8.0,
)


def settings(mode: Mode) -> v.TurnSettings:
    """The shipped times in one mode."""
    return replace(TIMES, mode=mode)


class Box:
    """Feeds a machine and remembers what it asked for. ``effects`` is everything since the last ``forget()``."""

    def __init__(
        self,
        mode: Mode,
        *,
        link: bool = True,
        microphone: bool = True,
        greeting_s: float | None = None,
        settle_s: float = TIMES.settle_s,
    ) -> None:
        self.machine = Machine(replace(settings(mode), greeting_s=greeting_s, settle_s=settle_s))
        self.now_s = 100.0
        self.effects: list[turn_effects.Effect] = []
        if microphone:
            self.happens(events.MicrophoneReady())
        if link:
            self.happens(events.LinkReady())

    def state(self) -> State:
        """A method, so that a type checker does not take it for constant."""
        return self.machine.state

    def happens(self, *happened: events.Event) -> list[turn_effects.Effect]:
        """Events now; returns what they led to."""
        effects: list[turn_effects.Effect] = []
        for event in happened:
            effects += self.machine.handle(event, self.now_s)
        self.effects += effects
        return effects

    def press(self) -> list[turn_effects.Effect]:
        return self.happens(events.Press(self.now_s))

    def release(self) -> list[turn_effects.Effect]:
        """Let go now; the machine hears of it a debounce time later."""
        at_s = self.now_s
        lifted = self.happens(events.Lifted(at_s))
        return lifted + self.passes(TIMES.debounce_s) + self.happens(events.Release(at_s))

    def passes(self, seconds: float) -> list[turn_effects.Effect]:
        """Time goes by; deadlines expire at their moment."""
        end_s = self.now_s + seconds
        effects: list[turn_effects.Effect] = []
        while (due_s := self.machine.next_deadline_s) is not None and due_s <= end_s:
            self.now_s = max(self.now_s, due_s)
            effects += self.machine.advance(self.now_s)
        self.now_s = end_s
        self.effects += effects
        return effects

    def forget(self) -> None:
        self.effects.clear()

    def did(self, kind: type[turn_effects.Effect]) -> list[turn_effects.Effect]:
        """The effects of one kind since the last ``forget()``."""
        return [effect for effect in self.effects if isinstance(effect, kind)]

    @property
    def outcomes(self) -> list[v.Outcome]:
        return [effect.outcome for effect in self.effects if isinstance(effect, turn_effects.CloseTurn)]

    @property
    def sounds(self) -> list[v.Sound]:
        return [effect.sound for effect in self.effects if isinstance(effect, turn_effects.PlayEarcon)]

    # longer stretches of the story

    def hold(self, seconds: float = 2.0) -> None:
        """Press, speak, let go: up to SENDING."""
        self.press()
        self.passes(seconds)
        self.release()

    def ask(self, seconds: float = 2.0) -> None:
        """A held question that the service heard begin, sent whole: up to WAITING."""
        self.press()
        self.passes(0.4)
        self.happens(events.SpeechBegan())
        self.passes(seconds)
        self.release()
        self.passes(TIMES.release_tail_s)
        self.happens(events.UtteranceSent())

    def answer_begins(self, response_id: str = "r1") -> None:
        self.happens(events.SpeechEnded(), events.ReplyBegan(response_id))
        self.passes(0.5)
        self.happens(events.ReplyAudio(response_id))

    def answer_ends(self, response_id: str = "r1", *calls: events.ToolCall) -> None:
        for call in calls:
            self.happens(events.ToolCalled(response_id, call))
        self.happens(events.ReplyEnded(response_id, "completed"))

    def heard_to_its_end(self, response_id: str = "r1") -> None:
        self.happens(events.ReplyAudible(response_id), events.ReplyDrained(response_id))
