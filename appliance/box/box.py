"""The composition root: builds every part, joins them, and runs them in one TaskGroup.

Rules are elsewhere: of turns in ``turn/``, of the protocol in ``realtime/``; ``turns.py`` carries them out. What stands
here is who talks to whom, and how the box stops.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from appliance.audio.card_preference import Preference
from appliance.audio.clips import Clips
from appliance.audio.earcons import Earcon, earcon, tick
from appliance.audio.format import frames_from_ms, frames_from_s, s_from_frames
from appliance.audio.frames import FRAME
from appliance.audio.gate import EARLIEST_S
from appliance.audio.microphone import Microphone, MicrophoneClosed, MicrophoneEvent, MicrophoneGone, MicrophoneOpened
from appliance.audio.player import Player
from appliance.audio.ring import Ring
from appliance.audio.sound_host import MakesHost, SoundHost
from appliance.audio.speaker import Speaker, SpeakerEvent, SpeakerLost, SpeakerOpened
from appliance.audio.uplink import Uplink
from appliance.audio.utterance import Utterance
from appliance.box import tools
from appliance.box.captions import Captions
from appliance.box.cues import Cues
from appliance.box.hands_free import BATCH_FRAMES, HandsFree
from appliance.box.identification import Identification
from appliance.box.meter import Meter
from appliance.box.metrics import Metrics
from appliance.box.part_settings import link_settings, restraint_settings, retry_times, session_settings, turn_settings
from appliance.box.parts import Parts, SoundTimes
from appliance.box.reports import Reports
from appliance.box.status import Status
from appliance.box.turns import Turns
from appliance.config.settings import Config
from appliance.control.server import LEVEL, ControlServer
from appliance.control.server import SOURCE as CONTROL_SOCKET
from appliance.errors import CredentialError, UnavailableError
from appliance.journal.catalog import Kind, entry
from appliance.link import credentials
from appliance.link.link import Entered, Link, LinkEvent
from appliance.link.retry import Policy
from appliance.panel.buttons import Buttons, ButtonTimes
from appliance.panel.light import Conditions
from appliance.panel.panel import Panel
from appliance.panel.usb_button import Keys
from appliance.panel.volume_keys import VolumeKeys
from appliance.realtime.events import Dialect
from appliance.realtime.record import Entry, Record, unrecorded
from appliance.soundhost import messages
from appliance.soundhost.devices import KINDS, Direction
from appliance.storage.cards import CardFile
from appliance.storage.history import History
from appliance.storage.service_habits import HabitsFile
from appliance.storage.transcripts import Transcripts
from appliance.storage.volume import VolumeFile
from appliance.storage.wire_record import WireRecord
from appliance.system import wall_clock
from appliance.turn import events
from appliance.turn import states as v
from appliance.turn.allowance import Allowance
from appliance.turn.machine import Machine

log = logging.getLogger(__name__)

RING_SLACK_MS: Final = 100
"""Kept beyond the pre-roll while idle: a press is looked at a little after it happened, and its pre-roll must still be
there."""

GATHER_S: Final = 0.2
"""What the voice gate is given at once: a piece a block would take three times the processor time (``make bench``)."""

GATE_LATE_S: Final = EARLIEST_S + GATHER_S + BATCH_FRAMES * s_from_frames(FRAME)
"""So much later than a press is a voice noticed at most; its beginning, and the pre-roll, must still be there."""

STOP_FADE_S: Final = 0.1
"""What a reply gets to fade when the box stops (decision 18)."""


class Box:
    """One box. Build it inside a running event loop, then ``await run()``.

    Public attributes are for the commands that watch a box, and for tests.
    """

    def __init__(
        self,
        config: Config,
        *,
        credential: Callable[[], Awaitable[str]] | None = None,
        sound_host: MakesHost = SoundHost,
        record: Record = unrecorded,
        setup_problems: tuple[str, ...] = (),
        recall: Callable[[], Mapping[str, Any]] = lambda: History().as_data(),
    ) -> None:
        """``credential`` replaces the configured key (the demo's own service takes any). ``sound_host`` stands in for
        the processes that touch a card; ``record`` is told what ``log.record`` would be. ``setup_problems``: what is
        wrong with the configuration that somebody wants, if this is an older one. ``recall`` gives what the box
        remembers, for ``ctl history``."""
        self.config = config
        talk, speaker = config.talk, config.speaker
        idle_s = (talk.pre_roll_ms + RING_SLACK_MS) / 1000 + (GATE_LATE_S if talk.mode == "open" else 0.0)
        self.ring = Ring(frames_from_s(talk.keep_s) + frames_from_ms(RING_SLACK_MS), frames_from_s(idle_s))
        self.machine = Machine(turn_settings(config))
        self.uplink = Uplink(talk.append_ms)
        self.utterance = Utterance(self.ring)
        self._volume_file = VolumeFile()
        volume = self._volume_file.read(speaker.volume, speaker.volume_min, speaker.volume_max)
        self.player = Player(speaker.prebuffer_ms, speaker.reply_buffer_s, volume)
        self._card_file = CardFile(KINDS)
        waits = self._preference("capture", config.microphone.fallback_s)
        self.microphone = Microphone(
            config.microphone,
            self.ring,
            self._on_microphone,
            preference=waits,
            host=sound_host,
            idle_pace_ms=round(1000 * GATHER_S) if talk.mode == "open" else messages.HOLD,
            # What leaves together may come together: half of what the microphone costs the daemon.
            talk_pace_ms=talk.append_ms,
            idle_kept_s=idle_s,
        )
        waits = self._preference("playback", speaker.fallback_s)
        self.speaker = Speaker(speaker, self.player, self._on_speaker, preference=waits, host=sound_host)
        self.tools = tools.Tools(self._offered_tools())
        self._habits_file = HabitsFile(config.service.url, Dialect(config.service.dialect))
        self.wire_record = WireRecord(config.log.record)
        self._also_record = record
        self.link = Link(
            link_settings(config),
            session_settings(config, self.tools),
            credential or self._configured_key,
            self._next_audio,
            self._audio_sent,
            self._on_link,
            Policy(retry_times(config)),
            credential_stamp=self._credential_stamp,
            habits=self._habits_file.habits,
            is_synchronised=wall_clock.is_synchronised,
            record=self._note,
        )
        self.ledger = Metrics(Allowance(config.limits.audio_s_per_hour), Transcripts(config.transcripts))
        # A press that bounces is judged up to two debounce times late.
        pending_s = idle_s + (talk.tap_max_ms + 2 * talk.debounce_ms) / 1000
        times = SoundTimes(talk.pre_roll_ms / 1000, talk.echo_tail_ms / 1000, idle_s, pending_s)
        self._tones = _tones(config)
        self.clips = Clips(config.panel.language, config.panel.clips_dir)
        ticking = tick() if config.panel.waiting_tick else None
        self.sounds = Cues(self.player, self.speaker, self.clips, self._tones, ticking)
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
            self.sounds,
            Captions(self._publish),
        )
        self.turns = Turns(parts, times, self._publish)
        self.turns.on_change = self._show
        self.hands_free = self._hands_free(parts) if talk.mode == "open" else None
        """None where a press is needed."""
        self._meter = Meter(parts, self._publish, lambda: self.control.is_wanted(LEVEL))
        self.microphone.on_audio = self._heard_block
        self.reports = Reports(parts, self.turns, self._publish)
        self.buttons = Buttons(
            ButtonTimes(talk.debounce_ms / 1000, talk.press_min_ms / 1000, talk.max_hold_s), self, CONTROL_SOCKET
        )
        self.panel = Panel(config.panel, self.buttons.edge)
        self.volume_keys = VolumeKeys(config.panel.volume.device, self._on_volume_steps)
        self.keys = Keys(config.panel.key, self.buttons.edge, self._on_keys)
        self.face = Status(
            parts,
            self.turns,
            self.buttons,
            self.panel,
            self._publish,
            idle_glow=config.panel.idle_glow,
            hands_free=self.hands_free,
            setup_problems=setup_problems,
        )
        self.turns.on_dead_microphone = self.face.flash_microphone
        self.identification = Identification(self._show_identified, self._short_tone)
        self.control = ControlServer(config.control.socket_path, self, captions=config.control.captions)
        self._stop = asyncio.Event()
        self._changed = asyncio.Event()
        self._began_s = asyncio.get_running_loop().time()
        self.listeners: list[Callable[[dict[str, Any]], None]] = []
        """Told what clients may watch, besides the control socket's clients."""
        self._recall = recall

    # ------------------------------------------------------------ running

    async def run(self) -> None:
        """Until ``stop()``, or until a part fails: nothing dies alone, so its failure ends the whole."""
        try:
            async with asyncio.TaskGroup() as group:
                parts = (self.control, self.keys, self.volume_keys, self.speaker, self.microphone, self.link)
                light = group.create_task(self.panel.run(), name="panel")
                tasks = [group.create_task(part.run(), name=type(part).__name__) for part in parts]
                tasks.append(group.create_task(self._prepare(), name="prepare"))
                if self.config.panel.clips_dir:
                    # In a thread: a Pi needs a tenth of a second for each.
                    tasks.append(group.create_task(asyncio.to_thread(self.clips.check), name="clips"))
                self._show()
                await self._stop.wait()
                await self._wind_down()
                for task in tasks:
                    task.cancel()
                # The light fades last, when everything it could have spoken of is over.
                await asyncio.wait(tasks)
                light.cancel()
        finally:
            await self._card_file.written()
            self.turns.close()
            self.wire_record.close()
            self.buttons.close()
            self.identification.close()
            self.face.close()
            self.panel.close()

    def stop(self) -> None:
        """Ask ``run`` to end: the reply fades, the session closes, the light goes out."""
        self._stop.set()

    @property
    def ready(self) -> bool:
        """Both ends of the sound are there: a press would be heard, and its answer."""
        return self.machine.microphone_ready and not self.face.speaker_fault and self.face.speaker_seen

    def apply(self, config: Config) -> None:
        """Go by the settings of ``service.LIVE`` from now on."""
        if config.speaker.volume != self.config.speaker.volume:
            self.player.volume = config.speaker.volume
        self._tones.clear()
        self._tones.update(_tones(config))
        self.face.idle_glow = config.panel.idle_glow
        self.ledger.go_by(config.limits.audio_s_per_hour, Transcripts(config.transcripts))
        self.config = config
        self._show()

    async def until(self, condition: Callable[[], bool], timeout_s: float | None) -> None:
        """Wait for a condition on the box, looked at whenever anything happens in it. Raises TimeoutError, or waits for
        ever if ``timeout_s`` is None."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def _prepare(self) -> None:
        """Not before a press would be heard: the start itself has no time to spare."""
        await self.until(lambda: self.ready, None)
        await self.link.prepare()

    async def _wind_down(self) -> None:
        self.face.stopping = True
        self._show()
        speaking = self.machine.state is v.State.SPEAKING or self.sounds.saying
        self.quiet()
        if speaking:
            await asyncio.sleep(STOP_FADE_S)

    async def _configured_key(self) -> str:
        settings = self.config.credentials
        if settings.token_command:
            return (await credentials.fetch_token(settings.token_command, settings.token_timeout_s)).reveal()
        return credentials.read_key(settings.key_file).reveal()

    def look_for_key(self) -> None:
        """Without a key every attempt fails before it begins; so it is said now, and not to the first who presses."""
        try:
            if not self.config.credentials.token_command:
                credentials.read_key(self.config.credentials.key_file)
        except CredentialError:
            self.link.retry()

    def _credential_stamp(self) -> object:
        return credentials.stamp(self.config.credentials.key_file)

    def _hands_free(self, parts: Parts) -> HandsFree:
        return HandsFree(
            parts, self.turns, self.ring, restraint_settings(self.config), self.config.talk.echo_tail_ms / 1000
        )

    def _preference(self, direction: Direction, fallback_s: float) -> Preference:
        """Which card "auto" takes in that direction, by what has worked in this box."""

        def remember(rank: int) -> None:
            self._card_file.remember(direction, rank)

        return Preference(direction, fallback_s, self._card_file.rank(direction), remember, self._between_turns)

    def _between_turns(self) -> bool:
        """Nobody talks with the box, and nothing sounds: a device may be exchanged."""
        sounding = self.sounds.saying or self.speaker.audible_until_s > asyncio.get_running_loop().time()
        return self.machine.state is v.State.READY and not sounding

    def _offered_tools(self) -> list[tools.Tool]:
        """What the configuration lets the model ask for."""
        settings, speaker = self.config.tools, self.config.speaker
        built_in = (
            tools.get_time(wall_clock.is_synchronised, wall_clock.local_time),
            tools.set_volume(speaker.volume_min, speaker.volume_max, self.set_volume),
            tools.end_conversation(lambda: self.turns.end_conversation()),
            tools.appliance_status(self._spoken_status),
        )
        own = (
            tools.of_owner(name, tool.description, tool.parameters, tool.command, tool.timeout_s)
            for name, tool in settings.own.items()
        )
        return [*(tool for tool in built_in if tool.name in settings.builtin), *own]

    def set_volume(self, percent: int) -> None:
        """``ctl volume`` and the tool: from now on, and after a restart; kept within volume_min and volume_max."""
        speaker = self.config.speaker
        percent = max(speaker.volume_min, min(speaker.volume_max, percent))
        if percent != round(self.player.volume):
            log.info("the volume is %d %% now", percent, extra=entry(Kind.VOLUME_SET))
        self.player.volume = percent
        self._volume_file.write(percent, speaker.volume)

    def _on_volume_steps(self, steps: int) -> None:
        """Somebody has turned the knob, or pressed a key of the volume."""
        self.set_volume(round(self.player.volume) + steps * self.config.panel.volume.step)
        self._short_tone()

    def _spoken_status(self) -> dict[str, Any]:
        """What anybody in front of the box may hear of it."""
        devices = {"microphone": self.microphone.device, "speaker": self.speaker.device}
        return {
            "volume_percent": round(self.player.volume),
            **{what: "missing" if opened is None else opened.name for what, opened in devices.items()},
            "running_for_minutes": int(asyncio.get_running_loop().time() - self._began_s) // 60,
        }

    # ------------------------------------------------------------ the buttons

    def edge(self, down: bool, source: str) -> None:
        """An edge of the button ``source`` now; the control socket and the demo's keyboard come in here."""
        self.buttons.edge(down, asyncio.get_running_loop().time(), source)

    def mute(self, wanted: bool, by: str = CONTROL_SOCKET) -> None:
        """``ctl mute`` and ``ctl unmute``. Raises UnavailableError if the switch keeps the microphone off."""
        self.buttons.mute(wanted, by)

    def on_press(self, at_s: float) -> None:
        """Somebody pressed."""
        self.panel.acknowledge()
        self.turns.press(at_s)

    def on_lifted(self, at_s: float) -> None:
        """The contact opened."""
        self.turns.happens(events.Lifted(at_s))

    def on_release(self, at_s: float) -> None:
        """It was a release."""
        self.turns.happens(events.Release(at_s))

    def on_mute(self, muted: bool) -> None:
        """The microphone is closed, not only ignored."""
        if muted is not self.microphone.is_closed:
            (self.microphone.close if muted else self.microphone.open)()
        self._show()

    # ------------------------------------------------------------ what the parts report

    def _heard_block(self) -> None:
        (self.hands_free or self.turns).heard_block()
        self._meter.heard_block()

    def _next_audio(self) -> bytes | None:
        return self.turns.next_audio()

    def _audio_sent(self) -> None:
        self.turns.audio_sent()

    def _note(self, what: Entry) -> None:
        self.wire_record.note(what)
        self._also_record(what)

    def _on_link(self, event: LinkEvent) -> None:
        self.reports.on_link(event)
        if isinstance(event, Entered):
            # At a session's beginning, and at its end, for a confirmation may come late.
            self._habits_file.keep()
        self._show()

    def _on_microphone(self, event: MicrophoneEvent) -> None:
        match event:
            case MicrophoneOpened() | MicrophoneClosed():
                self.face.microphone_fault = ""
            case MicrophoneGone(reason):
                self.face.microphone_fault = reason
        self.reports.on_microphone(event)

    def _on_speaker(self, event: SpeakerEvent) -> None:
        match event:
            case SpeakerOpened():
                self.face.speaker_fault, self.face.speaker_seen = "", True
            case SpeakerLost(reason):
                self.face.speaker_fault = reason
                # What was being said is not heard to its end: whoever asks again must hear it.
                self.sounds.hush()
        self.reports.on_speaker(event)
        self._show()

    def _on_keys(self) -> None:
        # A box that has another button, or needs none, can still be talked to.
        needed = self.hands_free is None and not self.config.panel.button.gpio
        self.face.no_button = self.keys.missing and needed
        self._show()

    # ------------------------------------------------------------ what the box shows

    def conditions(self) -> Conditions:
        """Everything that is so, for the light."""
        return self.face.conditions()

    def _show(self) -> None:
        self._changed.set()
        self.face.show()

    def _publish(self, event: dict[str, Any]) -> None:
        self.control.publish(event)
        for listener in self.listeners:
            listener(event)

    # ------------------------------------------------------------ the control socket

    def status(self) -> dict[str, Any]:
        """What ``ctl status`` shows: plain values, no secrets, nothing that was said."""
        return {
            **self.face.status(),
            "key_fault": self.keys.trouble or None,
            "recorded_to": self.wire_record.path or None,
        }

    def history(self) -> Mapping[str, Any]:
        """What ``ctl history`` shows: nothing that was said."""
        return self._recall()

    def quiet(self) -> None:
        """``ctl stop``: the reply, a clip and the turn end, the daemon does not."""
        self.sounds.hush()
        self.turns.happens(events.Stop())

    def retry(self) -> None:
        """``ctl retry``: one attempt to connect now, whatever the backoff says."""
        self.link.retry()

    def record(self, wanted: bool) -> None:
        """``ctl record``: the wire is recorded from now on, or no more. Raises UnavailableError if it cannot be."""
        self.wire_record.switch(wanted)
        log.info("the wire is %s", f"recorded to {self.wire_record.path}" if wanted else "no longer recorded")

    def tone(self) -> None:
        """``doctor`` asks a person whether the speaker is heard. Raises UnavailableError if there is none."""
        if self.speaker.device is None:
            raise UnavailableError(f"no speaker: {self.face.speaker_fault or 'it is being opened'}")
        for sound in Earcon:
            self.player.earcon(earcon(sound))

    def identify(self) -> None:
        """``ctl identify``: light and speaker say "this one" for half a minute."""
        self.identification.begin()

    def _show_identified(self) -> None:
        self.face.identifying = self.identification.active
        self._show()

    def _short_tone(self) -> None:
        # Not into a question or an answer, nor for a speaker that is to come: it would be heard late, and all at once.
        if self.speaker.device is not None and self._between_turns():
            self.player.earcon(earcon(Earcon.SENT))

    def hang_up(self) -> None:
        """``doctor`` gives back the session that it had opened; one that a turn needs stays."""
        if self.machine.state is v.State.READY:
            self.link.close("asked by the control socket")


def _tones(config: Config) -> dict[v.Sound, npt.NDArray[np.int16]]:
    """The earcons; none if they are switched off."""
    return {sound: earcon(Earcon(sound.value)) for sound in v.Sound} if config.panel.earcons else {}
