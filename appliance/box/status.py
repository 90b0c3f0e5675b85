"""What a box shows of itself: its light, and the same in words for whoever watches. Everything runs on the event loop.

Which pattern wins is ``panel/light.py``'s; what stands here is where each condition comes from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final

from appliance import __version__
from appliance.audio.microphone import MicrophoneClosed, MicrophoneEvent, MicrophoneGone, MicrophoneOpened
from appliance.audio.speaker import SpeakerEvent, SpeakerLost, SpeakerOpened
from appliance.box.bus import Bus, Changed, MicrophoneDead
from appliance.box.hands_free import HandsFree
from appliance.box.parts import Parts
from appliance.box.turns import Turns
from appliance.link.link import LinkState
from appliance.panel.buttons import Buttons
from appliance.panel.light import Conditions, Fault, Pattern, arbiter
from appliance.panel.panel import Panel
from appliance.soundhost.messages import Opened
from appliance.turn import states as v

TWO_FLASHES_S: Final = 2.5
"""One cycle of the microphone's fault: two flashes and their pause (``panel/light.py``)."""

FAULT_LOOK_S: Final = 5.0
"""How late a trouble that lasts may be shown as a fault; the shortest such time is two minutes."""


class Status:
    """One box's light and state. ``publish`` is told, as plain data, every change of them."""

    def __init__(
        self,
        parts: Parts,
        turns: Turns,
        buttons: Buttons,
        panel: Panel,
        bus: Bus,
        publish: Callable[[dict[str, Any]], None],
        *,
        idle_glow: bool,
        hands_free: HandsFree | None,
        setup_problems: tuple[str, ...] = (),
    ) -> None:
        self._parts = parts
        self._turns = turns
        self._buttons = buttons
        self._panel = panel
        self._bus = bus
        self._publish = publish
        self._idle_glow = idle_glow
        self._hands_free = hands_free
        """None where a press is needed."""
        self._began_s = asyncio.get_running_loop().time()
        self._timer: asyncio.TimerHandle | None = None
        self._dead_timer: asyncio.TimerHandle | None = None
        self._shown: dict[str, Any] = {}
        self._stopping = False
        self._identifying = False
        self.microphone_fault = ""
        """Why there is none: it is missing, gone or stalled. Empty while it works, or is closed on purpose."""
        self.speaker_fault = ""
        """The same of the speaker."""
        self._setup_problems = setup_problems
        """What is wrong with the configuration that somebody wants, when the box runs with an older one, and with the
        files on the boot partition."""
        self.speaker_seen = False
        """It has been there since the start."""
        self._no_button = False
        bus.listen(MicrophoneDead, self._flash_microphone)

    def glow(self, idle_glow: bool) -> None:
        """Whether the light glows when nothing is wanted (``panel.idle_glow``)."""
        self._idle_glow = idle_glow

    def stops(self) -> None:
        """The box is about to end. Shown at once."""
        self._stopping = True
        self._bus.tell(Changed())

    def identifies(self, wanted: bool) -> None:
        """Whether somebody looks for this box among others. Shown at once."""
        self._identifying = wanted
        self._bus.tell(Changed())

    def misses_button(self, missing: bool) -> None:
        """Nobody can press, and no voice is enough: the only button is on USB, and is not there. Shown at once."""
        self._no_button = missing
        self._bus.tell(Changed())

    def on_microphone(self, event: MicrophoneEvent) -> None:
        """What the microphone reports; to be shown with what follows from it."""
        match event:
            case MicrophoneOpened() | MicrophoneClosed():
                self.microphone_fault = ""
            case MicrophoneGone(reason):
                self.microphone_fault = reason

    def on_speaker(self, event: SpeakerEvent) -> None:
        """What the speaker reports; to be shown with what follows from it."""
        match event:
            case SpeakerOpened():
                self.speaker_fault, self.speaker_seen = "", True
            case SpeakerLost(reason):
                self.speaker_fault = reason

    def conditions(self) -> Conditions:
        """Everything that is so, for the light."""
        parts = self._parts
        state, link_state = parts.machine.state, parts.link.state
        now_s = asyncio.get_running_loop().time()
        faults = set()
        if self.microphone_fault or self._dead_timer is not None:
            faults.add(Fault.MICROPHONE)
        if self.speaker_fault:
            faults.add(Fault.SPEAKER)
        if self._no_button:
            faults.add(Fault.SETUP)
        if self._setup_problems:
            faults.add(Fault.SETUP)
        if (number := parts.link.fault) is not None:
            faults.add(Fault(number))
        return Conditions(
            stopping=self._stopping,
            identifying=self._identifying,
            muted=bool(self._buttons.muted_by),
            listening=state in (v.State.LISTENING, v.State.EXPECTING)
            or self._expects_soon(state)
            or parts.machine.paused,
            hold_ending=self._turns.warning,
            # Without a speaker an answer waits, for some seconds, but does not sound.
            speaking=state is v.State.SPEAKING and not parts.machine.paused and not self.speaker_fault,
            faults=frozenset(faults),
            # While a question waits for the connection to come back, the wait is that for the connection.
            waiting=state in (v.State.SENDING, v.State.WAITING) and link_state is not LinkState.RETRYING,
            connecting=link_state is LinkState.CONNECTING,
            retrying=link_state is LinkState.RETRYING,
            ready=parts.machine.microphone_ready,
            inviting=self._hands_free is not None and self._hands_free.inviting,
            resting=self._rest_s(now_s) > 0,
            idle_glow=self._idle_glow,
        )

    def _expects_soon(self, state: v.State) -> bool:
        """Hands-free, the answer was heard: whoever speaks on now is heard."""
        expects = state is v.State.ENDING and self._hands_free is not None
        return expects and self._parts.machine.microphone_ready

    def set_up(self, problems: tuple[str, ...]) -> None:
        """So much is wrong with the configuration that somebody wants; empty: it is in force. Shown at once."""
        self._setup_problems = problems
        self.show()

    def show(self) -> None:
        """Something has happened: look, and show what is so now."""
        pattern = arbiter(self.conditions())
        self._panel.show(pattern)
        link = self._parts.link
        if (link.policy.verdict is not None or pattern is Pattern.RESTING) and self._timer is None:
            # Some troubles become faults only when they last, and a rest is over by itself.
            self._timer = asyncio.get_running_loop().call_later(FAULT_LOOK_S, self._look_again)
        shown = {
            "state": self._parts.machine.state.value,
            "link": link.state.name.lower(),
            "light": pattern.name.lower(),
        }
        if shown != self._shown:
            self._shown = shown
            self._publish({"event": "state", **shown})

    def status(self) -> dict[str, Any]:
        """What ``ctl status`` shows: plain values, no secrets, nothing that was said."""
        parts, now_s = self._parts, asyncio.get_running_loop().time()
        parts.microphone.look()
        verdict = parts.link.policy.verdict
        troubles = ([] if verdict is None else [verdict.line]) + list(self._setup_problems)
        return {
            **self._shown,
            "version": __version__,
            "turn": parts.machine.number,
            "last_turn": self._turns.last,
            "totals": asdict(parts.ledger.totals(now_s)),
            "rest_s": round(self._rest_s(now_s)),
            "fault": "; ".join(troubles) or None,
            "microphone": _device(parts.microphone.device),
            "microphone_fault": self.microphone_fault or None,
            "level_dbfs": round(parts.microphone.level_dbfs, 1),
            "speech_dbfs": round(parts.microphone.speech_dbfs, 1),
            "faint_speech_dbfs": None if self._hands_free is None else self._hands_free.faint_dbfs,
            "speaker": _device(parts.speaker.device),
            "speaker_fault": self.speaker_fault or None,
            "panel_fault": "; ".join(self._panel.faults.values()) or None,
            "muted_by": ", ".join(self._buttons.muted_by) or None,
            "volume": round(parts.player.volume),
            "tasks": len(asyncio.all_tasks()),
        }

    def spoken(self) -> dict[str, Any]:
        """What anybody in front of the box may hear of it."""
        devices = {"microphone": self._parts.microphone.device, "speaker": self._parts.speaker.device}
        return {
            "volume_percent": round(self._parts.player.volume),
            **{what: "missing" if opened is None else opened.name for what, opened in devices.items()},
            "running_for_minutes": int(asyncio.get_running_loop().time() - self._began_s) // 60,
        }

    def words(self) -> str:
        """The same in one line, for ``systemctl status``: "ready; last turn 1.8 s; link closed, on demand"."""
        parts, last = self._parts, self._turns.last
        state = parts.machine.state
        if self._stopping:
            words = ["stopping"]
        elif state in (v.State.READY, v.State.ENDING) and self._buttons.muted_by:
            words = ["the microphone is off"]
        elif state is v.State.READY and not parts.machine.microphone_ready:
            words = ["no microphone" if self.microphone_fault else "starting"]
        else:
            words = [state.value]
        if self.speaker_fault:
            words.append("no speaker")
        if self._setup_problems:
            words.append(f"the set-up is wrong: {self._setup_problems[0]}")
        if rest_s := self._rest_s(asyncio.get_running_loop().time()):
            words.append(f"resting for {max(1, round(rest_s / 60))} min")
        if last is not None:
            answered_s = last["end_to_audible_s"]
            words.append(f"last turn {last['outcome'] if answered_s is None else f'{answered_s:.1f} s'}")
        words.append(f"link {parts.link.state.value}")
        if parts.link.policy.verdict is not None:
            words.append(parts.link.policy.verdict.line)
        return "; ".join(words)

    def _flash_microphone(self, _: MicrophoneDead) -> None:
        """Two flashes, once: a turn has shown that the microphone is muted or dead (decision 21)."""
        if self._dead_timer is not None:
            self._dead_timer.cancel()
        # Not the other timer: that one is seconds late.
        self._dead_timer = asyncio.get_running_loop().call_later(TWO_FLASHES_S, self._end_flashes)

    def _end_flashes(self) -> None:
        self._dead_timer = None
        self.show()

    def close(self) -> None:
        """The box stops: no timer is left behind."""
        for timer in (self._timer, self._dead_timer):
            if timer is not None:
                timer.cancel()

    def _rest_s(self, now_s: float) -> float:
        """Seconds until the box talks again, whichever limit was reached; 0: it does now."""
        radio_s = 0.0 if self._hands_free is None else self._hands_free.rest_s
        return max(self._parts.ledger.rest_s(now_s), radio_s)

    def _look_again(self) -> None:
        self._timer = None
        self.show()


def _device(opened: Opened | None) -> dict[str, Any] | None:
    if opened is None:
        return None
    return {"name": opened.name, "usb_port": opened.usb_port, "hz": opened.hz, "channels": opened.channels}
