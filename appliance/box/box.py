"""The composition root: builds every part, joins them, and runs them in one TaskGroup.

Rules are elsewhere: of turns in ``turn/``, of the protocol in ``realtime/``; ``turns.py`` carries them out. What stands
here is who talks to whom, and how the box stops.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final

from appliance.audio.any_host import MakesHost
from appliance.audio.card_preference import Preference
from appliance.audio.clips import Clips
from appliance.audio.earcons import tick
from appliance.audio.format import frames_from_ms, frames_from_s
from appliance.audio.microphone import Microphone, MicrophoneEvent
from appliance.audio.player import Player
from appliance.audio.ring import Ring
from appliance.audio.sound_host import SoundHost
from appliance.audio.speaker import Speaker, SpeakerEvent, SpeakerLost
from appliance.audio.uplink import Uplink
from appliance.audio.utterance import Utterance
from appliance.box import tools
from appliance.box.bus import Bus, Changed
from appliance.box.captions import Captions
from appliance.box.cues import Cues, tones
from appliance.box.hands_free import GATHER_S, HandsFree
from appliance.box.identification import Identification
from appliance.box.meter import Meter
from appliance.box.metrics import Metrics
from appliance.box.own_sound import OwnSound, echo_canceller
from appliance.box.part_settings import (
    RING_SLACK_MS,
    link_settings,
    restraint_settings,
    retry_times,
    session_settings,
    sound_times,
    turn_settings,
)
from appliance.box.parts import Parts, SoundTimes
from appliance.box.remote import Remote
from appliance.box.reports import Reports
from appliance.box.status import Status
from appliance.box.turns import Turns
from appliance.box.volume import Volume
from appliance.config.settings import Config
from appliance.control.server import LEVEL, ControlServer
from appliance.control.server import SOURCE as CONTROL_SOCKET
from appliance.link import credentials
from appliance.link.link import Entered, Link, LinkEvent
from appliance.link.retry import Policy
from appliance.panel.buttons import Buttons, ButtonTimes
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

STOP_FADE_S: Final = 0.1
"""What a reply gets to fade when the box stops (decision 18)."""


class Box:
    """One box. Build it inside a running event loop, then ``await run()``.

    ``credential`` replaces the configured key (the demo's own service takes any). ``sound_host`` stands in for the
    processes that touch a card; ``record`` is told what ``log.record`` would be. ``setup_problems``: what is wrong with
    the configuration that somebody wants, if this is an older one. ``recall`` gives what the box remembers, for ``ctl
    history``. Public attributes are for the commands that watch a box, and for tests.
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
        self.config = config
        self._bus = Bus()
        self._also_record = record
        self._watchers: list[Callable[[dict[str, Any]], None]] = []
        self._stop = asyncio.Event()
        self._changed = asyncio.Event()
        self.machine = Machine(turn_settings(config))
        self.ledger = Metrics(Allowance(config.limits.audio_s_per_hour), Transcripts(config.transcripts))
        times = sound_times(config)
        self._make_sound(times, sound_host)
        self._make_link(credential)
        parts = self._parts(times)
        self.turns = Turns(parts, times, self._bus, self._publish)
        self.hands_free: HandsFree | None = None
        """None where a press is needed."""
        if config.talk.mode == "open":
            restraint = restraint_settings(config)
            self.hands_free = HandsFree(parts, self.turns, self._bus, self.ring, restraint)
        self.reports = Reports(parts, self.turns, self._publish)
        self._meter = Meter(parts, self._publish, lambda: self.control.is_wanted(LEVEL))
        self._make_panel(parts, setup_problems)
        self._make_remote(parts, recall)
        self._bus.listen(Changed, lambda _: self._show())

    def _make_sound(self, times: SoundTimes, host: MakesHost) -> None:
        """From the card to what leaves, and back."""
        talk, panel = self.config.talk, self.config.panel
        microphone, speaker = self.config.microphone, self.config.speaker
        self.ring = Ring(frames_from_s(talk.keep_s) + frames_from_ms(RING_SLACK_MS), frames_from_s(times.idle_s))
        self.uplink = Uplink(talk.append_ms)
        self.utterance = Utterance(self.ring)
        file = VolumeFile()
        volume = file.read(speaker.volume, speaker.volume_min, speaker.volume_max)
        self.player = Player(speaker.prebuffer_ms, speaker.reply_buffer_s, volume)
        self.volume = Volume(self.player, file, speaker)
        self._card_file = CardFile(KINDS)
        self.echo = echo_canceller(talk.full_duplex)
        """None where the box does not take its own sound out of what it hears."""
        self.microphone = Microphone(
            microphone,
            self.ring,
            self._on_microphone,
            preference=self._preference("capture", microphone.fallback_s),
            host=host,
            idle_pace_ms=round(1000 * GATHER_S) if talk.mode == "open" else messages.HOLD,
            # What leaves together may come together: half of what the microphone costs the daemon.
            talk_pace_ms=talk.append_ms,
            idle_kept_s=times.idle_s,
            on_audio=self._heard_block,
            echo=self.echo,
        )
        waits = self._preference("playback", speaker.fallback_s)
        self.speaker = Speaker(speaker, self.player, self._on_speaker, preference=waits, host=host, echo=self.echo)
        self.clips = Clips(panel.language, panel.clips_dir)
        ticking = tick() if panel.waiting_tick else None
        self.sounds = Cues(self.player, self.speaker, self.clips, tones(panel.earcons), ticking)

    def _make_link(self, credential: Callable[[], Awaitable[str]] | None) -> None:
        """The connection, and what the service may ask for."""
        config = self.config
        self.tools = tools.Tools(
            tools.offered(
                config.tools,
                (config.speaker.volume_min, config.speaker.volume_max),
                self.volume.set,
                lambda: self.turns.end_conversation(),
                lambda: self.face.spoken(),
            )
        )
        self._key = credentials.Source(config.credentials)
        self._habits_file = HabitsFile(config.service.url, Dialect(config.service.dialect))
        self.wire_record = WireRecord(config.log.record)
        self.link = Link(
            link_settings(config),
            session_settings(config, self.tools),
            credential or self._key.fetch,
            lambda: self.turns.next_audio(),
            lambda: self.turns.audio_sent(),
            self._on_link,
            Policy(retry_times(config)),
            credential_stamp=self._key.stamp,
            habits=self._habits_file.habits,
            is_synchronised=wall_clock.is_synchronised,
            record=self._note,
        )

    def _parts(self, times: SoundTimes) -> Parts:
        return Parts(
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
            OwnSound(self.speaker, times.echo_tail_s, by_card=self.config.talk.full_duplex == "card", echo=self.echo),
        )

    def _make_panel(self, parts: Parts, setup_problems: tuple[str, ...]) -> None:
        """What a person touches and sees."""
        talk, panel = self.config.talk, self.config.panel
        times = ButtonTimes(talk.debounce_ms / 1000, talk.press_min_ms / 1000, talk.max_hold_s)
        self.buttons = Buttons(times, self, CONTROL_SOCKET)
        self.panel = Panel(panel, self.buttons.edge)
        self.volume_keys = VolumeKeys(panel.volume.device, self._on_volume_steps)
        self.keys = Keys(panel.key, self.buttons.edge, self._on_keys)
        self.face = Status(
            parts,
            self.turns,
            self.buttons,
            self.panel,
            self._bus,
            self._publish,
            idle_glow=panel.idle_glow,
            hands_free=self.hands_free,
            setup_problems=setup_problems,
        )
        self.identification = Identification(lambda: self.face.identifies(self.identification.active), self._short_tone)

    def _make_remote(self, parts: Parts, recall: Callable[[], Mapping[str, Any]]) -> None:
        """Who asks from outside."""
        self.remote = Remote(
            parts,
            self.turns,
            self.buttons,
            self.keys,
            self.face,
            self.volume,
            self.identification,
            self.wire_record,
            recall,
        )
        self.control = ControlServer(
            self.config.control.socket_path, self.remote, captions=self.config.control.captions
        )

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
        self.volume.go_by(config.speaker)
        self.sounds.sound_with(config.panel.earcons)
        self.face.glow(config.panel.idle_glow)
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
        self.face.stops()
        speaking = self.machine.state is v.State.SPEAKING or self.sounds.saying
        self.remote.quiet()
        if speaking:
            await asyncio.sleep(STOP_FADE_S)

    def look_for_key(self) -> None:
        """Without a key every attempt fails before it begins; so it is said now, and not to the first who presses."""
        if self._key.is_missing():
            self.link.retry()

    def _preference(self, direction: Direction, fallback_s: float) -> Preference:
        """Which card "auto" takes in that direction, by what has worked in this box."""
        file = self._card_file
        return Preference(
            direction, fallback_s, file.rank(direction), partial(file.remember, direction), self._between_turns
        )

    def _between_turns(self) -> bool:
        """Nobody talks with the box, and nothing sounds: a device may be exchanged."""
        sounding = self.sounds.saying or self.speaker.audible_until_s > asyncio.get_running_loop().time()
        return self.machine.state is v.State.READY and not sounding

    def _on_volume_steps(self, steps: int) -> None:
        """Somebody has turned the knob, or pressed a key of the volume."""
        self.volume.set(round(self.player.volume) + steps * self.config.panel.volume.step)
        self._short_tone()

    def _short_tone(self) -> None:
        # Not into a question or an answer, nor for a speaker that is to come: it would be heard late, and all at once.
        if self._between_turns():
            self.sounds.confirm()

    # ------------------------------------------------------------ the buttons

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
        self.face.on_microphone(event)
        self.reports.on_microphone(event)

    def _on_speaker(self, event: SpeakerEvent) -> None:
        self.face.on_speaker(event)
        if isinstance(event, SpeakerLost):
            # What was being said is not heard to its end: whoever asks again must hear it.
            self.sounds.hush()
        self.reports.on_speaker(event)
        self._show()

    def _on_keys(self) -> None:
        # A box that has another button, or needs none, can still be talked to.
        needed = self.hands_free is None and not self.config.panel.button.gpio
        self.face.misses_button(self.keys.missing and needed)

    # ------------------------------------------------------------ what the box shows

    def _show(self) -> None:
        self._changed.set()
        self.face.show()

    def _publish(self, event: dict[str, Any]) -> None:
        self.control.publish(event)
        for watcher in self._watchers:
            watcher(event)

    def watch(self, watcher: Callable[[dict[str, Any]], None]) -> None:
        """``watcher`` is told, as the control socket's clients are, what clients may watch."""
        self._watchers.append(watcher)
