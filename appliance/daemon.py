"""The composition root: builds every part, joins them, and runs them in one TaskGroup.

Rules are elsewhere: of turns in ``turn/``, of the protocol in ``realtime/``; ``turns.py`` carries them out. What stands
here is who talks to whom, which light is shown, and how the box stops.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any, Final
from urllib.parse import quote

from appliance.audio.earcons import Earcon, earcon
from appliance.audio.format import frames_from_ms, frames_from_s
from appliance.audio.microphone import Microphone, MicrophoneClosed, MicrophoneEvent, MicrophoneLost, MicrophoneOpened
from appliance.audio.player import Player
from appliance.audio.ring import Ring
from appliance.audio.speaker import Speaker, SpeakerEvent, SpeakerLost, SpeakerOpened
from appliance.audio.uplink import Uplink
from appliance.audio.utterance import Utterance
from appliance.audio.wire import Opened
from appliance.config import Config
from appliance.edge import credentials, tools, wall_clock
from appliance.edge.control import SOURCE as CONTROL_SOCKET
from appliance.edge.control import ControlServer
from appliance.edge.dial import LinkSettings
from appliance.edge.link import Link, LinkEvent, LinkState
from appliance.edge.panel import MUTE_SWITCH, Panel
from appliance.edge.transcripts import Transcripts
from appliance.errors import UnavailableError
from appliance.ledger import DAY_S, Ledger
from appliance.realtime import events
from appliance.realtime.policy import Policy
from appliance.realtime.policy import Times as PolicyTimes
from appliance.turn import vocabulary as v
from appliance.turn.allowance import Allowance
from appliance.turn.gestures import Gesture, Gestures, Press, Release
from appliance.turn.lights import Conditions, Fault, Pattern, arbiter
from appliance.turn.machine import Machine
from appliance.turns import Parts, Times, Turns

log = logging.getLogger(__name__)

RING_SLACK_MS: Final = 100
"""Kept beyond the pre-roll while idle: a press is looked at a little after it happened, and its pre-roll must still be
there."""

FAULT_LOOK_S: Final = 5.0
"""How late a trouble that lasts may be shown as a fault; the shortest such time is two minutes."""

STOP_FADE_S: Final = 0.1
"""What a reply gets to fade when the box stops (ruling 18)."""


class Daemon:
    """One box. Build it inside a running event loop, then ``await run()``.

    Public attributes are for the commands that watch a box, and for tests.
    """

    def __init__(self, config: Config, *, credential: Callable[[], Awaitable[str]] | None = None) -> None:
        """``credential`` replaces the configured key (the demo's own service takes any)."""
        self.config = config
        talk, speaker = config.talk, config.speaker
        self.ring = Ring(
            frames_from_s(talk.keep_s) + frames_from_ms(RING_SLACK_MS),
            idle_frames=frames_from_ms(talk.pre_roll_ms + RING_SLACK_MS),
        )
        self.machine = Machine(turn_settings(config))
        self.uplink = Uplink(talk.append_ms)
        self.utterance = Utterance(self.ring)
        self.player = Player(speaker.prebuffer_ms, speaker.reply_buffer_s, speaker.volume)
        self.microphone = Microphone(config.microphone, self.ring, self._on_microphone)
        self.speaker = Speaker(speaker, self.player, self._on_speaker)
        self.tools = tools.Tools(self._offered_tools())
        self.link = Link(
            link_settings(config),
            session_settings(config, self.tools),
            credential or self._configured_key,
            self._next_audio,
            self._audio_sent,
            self._on_link,
            Policy(retry_times(config)),
            credential_stamp=self._credential_stamp,
        )
        self.ledger = Ledger(Allowance(config.limits.audio_s_per_hour), Transcripts(config.transcripts))
        idle_s = (talk.pre_roll_ms + RING_SLACK_MS) / 1000
        # A press that bounces is judged up to two debounce times late.
        pending_s = idle_s + (talk.tap_max_ms + 2 * talk.debounce_ms) / 1000
        times = Times(talk.pre_roll_ms / 1000, talk.echo_tail_ms / 1000, idle_s, pending_s)
        sounds = {sound: earcon(Earcon(sound.value)) for sound in v.Sound} if config.panel.earcons else {}
        parts = Parts(
            self.machine,
            self.link,
            self.uplink,
            self.utterance,
            self.player,
            self.microphone,
            self.speaker,
            self.tools,
            self.ledger,
            sounds,
        )
        self.turns = Turns(parts, times, self._publish)
        self.turns.on_change = self._show
        self.microphone.on_audio = self.turns.heard_block
        self.panel = Panel(config.panel, self._on_edge)
        self.control = ControlServer(config.control.socket_path, self, captions=config.control.captions)
        self._gestures: dict[str, Gestures] = {}
        self._owner: str | None = None
        self._muted_by: set[str] = set()
        self._hold_timer: asyncio.TimerHandle | None = None
        self._gesture_timer: asyncio.TimerHandle | None = None
        self._fault_timer: asyncio.TimerHandle | None = None
        self._microphone_fault = self._speaker_fault = self._speaker_seen = False
        self._shown: dict[str, Any] = {}
        self._stop = asyncio.Event()
        self._changed = asyncio.Event()
        self._began_s = asyncio.get_running_loop().time()
        self.stopping = False
        self.listeners: list[Callable[[dict[str, Any]], None]] = []
        """Told what clients may watch, besides the control socket's clients."""

    # ------------------------------------------------------------ running

    async def run(self) -> None:
        """Until ``stop()``, or until a part fails: nothing dies alone, so its failure ends the whole."""
        try:
            async with asyncio.TaskGroup() as group:
                parts = (self.control, self.speaker, self.microphone, self.link)
                light = group.create_task(self.panel.run(), name="panel")
                tasks = [group.create_task(part.run(), name=type(part).__name__) for part in parts]
                tasks.append(group.create_task(self._count_days(), name="days"))
                await self._stop.wait()
                await self._wind_down()
                for task in tasks:
                    task.cancel()
                # The light fades last, when everything it could have spoken of is over.
                await asyncio.wait(tasks)
                light.cancel()
        finally:
            self.turns.close()
            self._disown()
            for timer in (self._gesture_timer, self._fault_timer):
                if timer is not None:
                    timer.cancel()
            self.panel.close()

    def stop(self) -> None:
        """Ask ``run`` to end: the reply fades, the session closes, the light goes out."""
        self._stop.set()

    @property
    def ready(self) -> bool:
        """Both ends of the sound are there: a press would be heard, and its answer."""
        return self.machine.microphone_ready and not self._speaker_fault and self._speaker_seen

    async def until(self, condition: Callable[[], bool], timeout_s: float) -> None:
        """Wait for a condition on the box, looked at whenever anything happens in it. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def _count_days(self) -> None:
        while True:
            await asyncio.sleep(DAY_S)
            self.ledger.day_is_over(asyncio.get_running_loop().time())

    async def _wind_down(self) -> None:
        self.stopping = True
        self._show()
        speaking = self.machine.state is v.State.SPEAKING
        self.turns.happens(v.Stop())
        if speaking:
            await asyncio.sleep(STOP_FADE_S)

    async def _configured_key(self) -> str:
        settings = self.config.credentials
        if settings.token_command:
            return (await credentials.fetch_token(settings.token_command, settings.token_timeout_s)).reveal()
        return credentials.read_key(settings.key_file).reveal()

    def _credential_stamp(self) -> object:
        return credentials.stamp(self.config.credentials.key_file)

    def _offered_tools(self) -> list[tools.Tool]:
        """What the configuration lets the model ask for."""
        settings, speaker = self.config.tools, self.config.speaker
        built_in = (
            tools.get_time(wall_clock.is_synchronised),
            tools.set_volume(speaker.volume_min, speaker.volume_max, self._set_volume),
            tools.end_conversation(lambda: self.turns.end_conversation()),
            tools.appliance_status(self._spoken_status),
        )
        own = (
            tools.of_owner(name, tool.description, tool.parameters, tool.command, tool.timeout_s)
            for name, tool in settings.own.items()
        )
        return [*(tool for tool in built_in if tool.name in settings.builtin), *own]

    def _set_volume(self, percent: int) -> None:
        self.player.volume = percent

    def _spoken_status(self) -> dict[str, Any]:
        """What anybody in front of the box may hear of it."""
        devices = {"microphone": self.microphone.device, "speaker": self.speaker.device}
        return {
            "volume_percent": round(self.player.volume),
            **{what: "missing" if opened is None else opened.name for what, opened in devices.items()},
            "running_for_minutes": int(asyncio.get_running_loop().time() - self._began_s) // 60,
        }

    # ------------------------------------------------------------ the button

    def edge(self, down: bool, source: str) -> None:
        """An edge of the button ``source`` now; the control socket and the demo's keyboard come in here."""
        self._on_edge(down, asyncio.get_running_loop().time(), source)

    def _on_edge(self, down: bool, at_s: float, source: str) -> None:
        gestures = self._gestures.get(source)
        if gestures is None:
            gestures = self._gestures[source] = Gestures(self.config.talk.debounce_ms / 1000, source)
        for gesture in gestures.edge(down, at_s):
            self._on_gesture(gesture)
        if not down and self._owner == source:
            self.turns.happens(v.Lifted(at_s))
        self._arm_gestures()

    def _on_gesture(self, gesture: Gesture) -> None:
        """With several buttons the one that pressed owns the hold (ruling 23)."""
        match gesture:
            case Press(_, source) if source == MUTE_SWITCH:
                self.mute(True, source)
            case Release(_, source) if source == MUTE_SWITCH:
                self.mute(False, source)
            case Press(at_s, source) if self._owner is None:
                self._owner = source
                hold_s = self.config.talk.max_hold_s
                self._hold_timer = asyncio.get_running_loop().call_at(at_s + hold_s, self._held_too_long)
                log.debug("pressed: %s", source)
                self.panel.acknowledge()
                self.turns.press(at_s)
            case Release(at_s, source) if self._owner == source:
                self._disown()
                self.turns.happens(v.Release(at_s))

    def mute(self, wanted: bool, by: str = CONTROL_SOCKET) -> None:
        """``ctl mute``, ``ctl unmute``, and the switch: the microphone is off while anybody wants it off.

        Raises UnavailableError if the switch keeps it off against ``ctl unmute``.
        """
        before = bool(self._muted_by)
        (self._muted_by.add if wanted else self._muted_by.discard)(by)
        if bool(self._muted_by) is not before:
            log.info("the microphone is %s: %s", "off" if wanted else "on again", by)
            (self.microphone.close if wanted else self.microphone.open)()
        self._show()
        if self._muted_by and not wanted and by == CONTROL_SOCKET:
            raise UnavailableError(f"the microphone stays off: the {', '.join(self._muted_by)} keeps it so")

    def _disown(self) -> None:
        self._owner = None
        if self._hold_timer is not None:
            self._hold_timer.cancel()
            self._hold_timer = None

    def _held_too_long(self) -> None:
        """The button is stuck, or a client of the control socket went away: others work again, and this one when it is
        released."""
        source, now_s = self._owner, asyncio.get_running_loop().time()
        self._disown()
        self.turns.happens(v.Release(now_s))
        if source == CONTROL_SOCKET:
            self._on_edge(False, now_s, source)

    def _arm_gestures(self) -> None:
        if self._gesture_timer is not None:
            self._gesture_timer.cancel()
            self._gesture_timer = None
        due = [gestures.deadline_s for gestures in self._gestures.values() if gestures.deadline_s is not None]
        if due:
            self._gesture_timer = asyncio.get_running_loop().call_at(min(due), self._gestures_due)

    def _gestures_due(self) -> None:
        now_s = asyncio.get_running_loop().time()
        for gestures in self._gestures.values():
            for gesture in gestures.tick(now_s):
                self._on_gesture(gesture)
        self._arm_gestures()

    # ------------------------------------------------------------ what the parts report

    def _next_audio(self) -> bytes | None:
        return self.turns.next_audio()

    def _audio_sent(self) -> None:
        self.turns.audio_sent()

    def _on_link(self, event: LinkEvent) -> None:
        self.turns.on_link(event)
        self._show()

    def _on_microphone(self, event: MicrophoneEvent) -> None:
        match event:
            case MicrophoneOpened() | MicrophoneClosed():
                self._microphone_fault = False
            case MicrophoneLost():
                self._microphone_fault = True
        self.turns.on_microphone(event)

    def _on_speaker(self, event: SpeakerEvent) -> None:
        match event:
            case SpeakerOpened():
                self._speaker_fault, self._speaker_seen = False, True
            case SpeakerLost():
                self._speaker_fault = True
        self.turns.on_speaker(event)
        self._show()

    # ------------------------------------------------------------ what the box shows

    def conditions(self) -> Conditions:
        """Everything that is so, for the light."""
        state, link_state = self.machine.state, self.link.state
        now_s = asyncio.get_running_loop().time()
        faults = set()
        if self._microphone_fault:
            faults.add(Fault.MICROPHONE)
        if self._speaker_fault:
            faults.add(Fault.SPEAKER)
        if (number := self.link.policy.fault(now_s)) is not None:
            faults.add(Fault(number))
        return Conditions(
            stopping=self.stopping,
            muted=bool(self._muted_by),
            listening=state is v.State.LISTENING,
            hold_ending=self.turns.warning,
            speaking=state is v.State.SPEAKING,
            faults=frozenset(faults),
            # While a question waits for the connection to come back, the wait is that for the connection.
            waiting=state in (v.State.SENDING, v.State.WAITING) and link_state is not LinkState.RETRYING,
            connecting=link_state is LinkState.CONNECTING,
            retrying=link_state is LinkState.RETRYING,
            ready=self.machine.microphone_ready,
            resting=self.ledger.rest_s(now_s) > 0,
            idle_glow=self.config.panel.idle_glow,
        )

    def _show(self) -> None:
        self._changed.set()
        pattern = arbiter(self.conditions())
        self.panel.show(pattern)
        if (self.link.policy.verdict is not None or pattern is Pattern.RESTING) and self._fault_timer is None:
            # Some troubles become faults only when they last, and a rest is over by itself.
            self._fault_timer = asyncio.get_running_loop().call_later(FAULT_LOOK_S, self._look_at_fault)
        shown = {"state": self.machine.state.value, "link": self.link.state.name.lower(), "light": pattern.name.lower()}
        if shown != self._shown:
            self._shown = shown
            self._publish({"event": "state", **shown})

    def _look_at_fault(self) -> None:
        self._fault_timer = None
        self._show()

    def _publish(self, event: dict[str, Any]) -> None:
        self.control.publish(event)
        for listener in self.listeners:
            listener(event)

    # ------------------------------------------------------------ the control socket

    def status(self) -> dict[str, Any]:
        """What ``ctl status`` shows: plain values, no secrets, nothing that was said."""
        verdict = self.link.policy.verdict
        return {
            **self._shown,
            "turn": self.machine.number,
            "last_turn": self.turns.last,
            "totals": asdict(self.ledger.totals(asyncio.get_running_loop().time())),
            "rest_s": round(self.ledger.rest_s(asyncio.get_running_loop().time())),
            "fault": verdict.line if verdict is not None else None,
            "microphone": _device(self.microphone.device),
            "speaker": _device(self.speaker.device),
            "muted_by": ", ".join(sorted(self._muted_by)) or None,
            "volume": round(self.player.volume),
        }

    def quiet(self) -> None:
        """``ctl stop``: the reply and the turn end, the daemon does not."""
        self.turns.happens(v.Stop())

    def retry(self) -> None:
        """``ctl retry``: one attempt to connect now, whatever the backoff says."""
        self.link.retry()


def _device(opened: Opened | None) -> dict[str, Any] | None:
    if opened is None:
        return None
    return {"name": opened.name, "usb_port": opened.usb_port, "hz": opened.hz, "channels": opened.channels}


def turn_settings(config: Config) -> v.TurnSettings:
    """The turn machine's times, in seconds."""
    talk = config.talk
    return v.TurnSettings(
        mode=v.Mode(talk.mode),
        debounce_s=talk.debounce_ms / 1000,
        min_hold_s=talk.min_hold_ms / 1000,
        tap_max_s=talk.tap_max_ms / 1000,
        second_tap_s=talk.second_tap_ms / 1000,
        release_tail_s=talk.release_tail_ms / 1000,
        max_hold_s=talk.max_hold_s,
        max_hold_warning_s=talk.max_hold_warning_s,
        no_speech_s=talk.no_speech_s,
        stale_s=talk.stale_s,
        answer_s=talk.answer_s,
        nudge_s=talk.nudge_s,
        settle_s=talk.settle_ms / 1000,
        tool_reply_s=talk.tool_reply_s,
        no_progress_s=talk.no_progress_s,
    )


def link_settings(config: Config) -> LinkSettings:
    """The link's settings, with the model in the address."""
    settings = config.link
    separator = "&" if "?" in config.service.url else "?"
    return LinkSettings(
        url=f"{config.service.url}{separator}model={quote(config.service.model, safe='')}",
        always=settings.connect == "always",
        connect_timeout_s=settings.connect_timeout_s,
        configure_timeout_s=settings.configure_timeout_s,
        ping_interval_s=settings.ping_interval_s,
        ping_timeout_s=settings.ping_timeout_s,
        send_timeout_s=settings.send_timeout_s,
        close_timeout_s=settings.close_timeout_s,
        idle_close_s=settings.idle_close_s,
        max_session_s=settings.max_session_s,
        max_message_bytes=settings.max_message_bytes,
        ca_file=settings.ca_file,
        proxy=settings.proxy,
    )


def retry_times(config: Config) -> PolicyTimes:
    """When the link may try again."""
    return PolicyTimes(
        backoff_first_s=config.link.backoff_first_s,
        backoff_cap_s=config.link.backoff_cap_s,
        credit_probe_s=config.link.credit_probe_s,
        limit_probe_s=config.link.limit_probe_s,
        renewable=bool(config.credentials.token_command),
    )


def session_settings(config: Config, offered: tools.Tools) -> events.SessionSettings:
    """What a session is opened with."""
    declared = tuple(events.Tool(tool.name, tool.description, tool.parameters) for tool in offered.declared)
    return events.SessionSettings(config.service.instructions, config.service.voice, declared)


def run(config: Config) -> int:
    """The ``run`` command: one box until SIGTERM or SIGINT. Returns the exit code."""

    async def main() -> None:
        daemon = Daemon(config)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, daemon.stop)
        await daemon.run()

    asyncio.run(main())
    return 0
