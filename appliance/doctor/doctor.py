"""The guided check: what is looked at, in which order."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from appliance.audio.card_preference import Preference
from appliance.box import tools
from appliance.box.part_settings import link_settings, session_settings
from appliance.config.loader import Config
from appliance.doctor import machine as of_machine
from appliance.doctor import own_sound, panel, paths, rehearsal, running, setup, sound, voice_service
from appliance.doctor.finding import Finding, Grade, skipped
from appliance.doctor.machine import MachineFacts
from appliance.doctor.person import Person
from appliance.doctor.running import RunningBox
from appliance.errors import UnavailableError
from appliance.panel.light import MEANINGS, Pattern
from appliance.storage import history_text

SESSION_SLACK_S: Final = 5.0
"""Beyond the link's own deadlines, for a daemon that is busy."""


@dataclass(slots=True)
class Doctor:
    """One examination. ``settings`` and ``status`` are None until they are known, and stay so if they cannot be had."""

    path: str | None
    machine: MachineFacts
    person: Person
    system_key: str = setup.SYSTEM_KEY
    settings: Config | None = None
    status: dict[str, Any] | None = None

    async def findings(self) -> AsyncIterator[Finding]:
        """Everything, in the order in which one would look: what comes later needs what came before."""
        unit = await of_machine.unit(self.machine)
        self.settings, found = setup.configuration(self.path)
        for finding in (*found, *setup.boot()):
            yield finding
        reached = False
        if self.settings is not None:
            async for finding in self._box(self.settings, unit):
                reached = reached or (finding.name == voice_service.SESSION and finding.verdict is Grade.OK)
                yield finding
        else:
            yield await of_machine.clock(self.machine)
        yield of_machine.groups(self.machine, unit, _needed_groups(self.settings))
        yield of_machine.service(self.machine, unit, runs=self.status is not None)
        yield await of_machine.wifi(self.machine)
        yield of_machine.usb(self.machine)
        yield await of_machine.voltage(self.machine)
        yield of_machine.journal(self.machine)
        yield of_machine.memory(self.machine)
        yield of_machine.zone(self.machine)
        if self.settings is not None and reached:
            yield await self._rehearsal(self.settings)

    async def _box(self, settings: Config, unit: of_machine.Unit) -> AsyncIterator[Finding]:
        """What needs a configuration."""
        key = setup.key(settings.credentials, os.environ, self.system_key, unit.user)
        box, running_now = await running.find(settings.control.socket_path, unit.is_active)
        if box is None or key.verdict is not Grade.FAULT:
            yield key
        for found in (await paths.seen(settings, self.machine, unit), paths.startable(settings)):
            if found is not None:
                yield found
        yield await of_machine.clock(self.machine)
        way = await voice_service.way(link_settings(settings))
        for finding in way:
            yield finding
        yield running_now
        blocked = next((finding for finding in way if finding.verdict is Grade.FAULT), None)
        if box is not None:
            try:
                async for finding in self._running(box, settings, key, blocked):
                    yield finding
            except UnavailableError as error:
                yield Finding(running.DAEMON, Grade.FAULT, f"it has gone: {error}", "voice-appliance doctor, again")
            return
        if running.is_somebodys(running_now):
            for name in (voice_service.SESSION, sound.MICROPHONE, sound.SPEAKER, panel.PINS):
                yield skipped(name, "the daemon has it, and cannot be asked")
            return
        yield await self._session(settings, key, blocked)
        for part in (
            self._microphone(settings),
            self._speaker(settings),
            self._own_sound(settings),
            self._panel(settings),
        ):
            async for finding in part:
                yield finding

    # ------------------------------------------------------------ with the daemon running

    async def _running(
        self, box: RunningBox, settings: Config, key: Finding, blocked: Finding | None
    ) -> AsyncIterator[Finding]:
        """Through its control socket; what was opened for this is closed at the end."""
        self.status = status = await box.status()
        opened = False
        try:
            if blocked is None:
                timeout_s = settings.link.connect_timeout_s + settings.link.configure_timeout_s + SESSION_SLACK_S
                finding, opened = await running.session(box, timeout_s)
                yield finding
            else:
                yield skipped(voice_service.SESSION, f"not tried: {blocked.name} comes first")
            if key.verdict is Grade.FAULT:
                # A daemon may have been given its key in a way that nobody else sees.
                seen = status["link"] == "open" or opened
                yield skipped(setup.KEY, "the daemon has one; this program does not see it") if seen else key
            microphone = running.microphone(status)
            yield microphone
            if microphone.verdict is Grade.OK:
                self.person.tell("Speak a sentence, from where people will stand.")
                readings = await box.listen(self._listen_s, self.person.meter)
                self.person.meter_over()
                yield sound.level(readings.heard(asked=self.person.asks))
                if status["faint_speech_dbfs"] is not None:
                    yield sound.spoken_in_vain(status["faint_speech_dbfs"])
            speaker = running.speaker(status)
            yield speaker
            if speaker.verdict is Grade.OK and self.person.asks:
                await box.ask("tone")
                yield sound.tone(await self.person.yes("Did you hear the tones?"), status["speaker"]["name"])
            if settings.talk.full_duplex != "off":
                fix = "sudo systemctl stop voice-appliance; voice-appliance doctor"
                yield skipped(own_sound.OWN_SOUND, "not tried: the daemon has microphone and speaker", fix)
            pins = running.pins(status)
            yield pins
            if settings.panel.key.device:
                yield running.button_box(status)
            if pins.verdict is Grade.OK and self.person.asks:
                async for finding in self._running_panel(box, settings, microphone):
                    yield finding
        finally:
            if opened:
                await box.hang_up(settings.link.close_timeout_s + 1)
        self.status = await box.status()

    async def _running_panel(self, box: RunningBox, settings: Config, microphone: Finding) -> AsyncIterator[Finding]:
        """The button by what the daemon does on a press, the light by what it should show now."""
        place = panel.where(settings.panel)
        if place and microphone.verdict is Grade.OK:
            self.person.tell(f"Press the button of the box, within {panel.PRESS_S:.0f} s.")
            pressed = await box.until("state", ("listening", "sending", "waiting"), panel.PRESS_S)
            yield panel.button(place, seen=pressed is not None)
            await box.ask("stop")
        if settings.panel.leds.kind != "none":
            await asyncio.sleep(running.LOOK_S)
            shown = Pattern[(await box.status())["light"].upper()]
            question = f"Does the light show {shown.name.lower()} ({MEANINGS[shown]})?"
            yield panel.light(await self.person.yes(question))

    # ------------------------------------------------------------ without one

    async def _session(self, settings: Config, key: Finding, blocked: Finding | None) -> Finding:
        if key.verdict is Grade.FAULT or key.fix.startswith("sudo voice-appliance"):
            return skipped(voice_service.SESSION, "not tried: without a key that can be read it would be refused")
        if blocked is not None:
            return skipped(voice_service.SESSION, f"not tried: {blocked.name} comes first")
        own = [
            tools.of_owner(name, tool.description, tool.parameters, tool.command, tool.timeout_s)
            for name, tool in settings.tools.own.items()
        ]
        wanted = session_settings(settings, tools.Tools(own))

        async def credential() -> str:
            return await setup.credential(settings.credentials, self.system_key)

        return await voice_service.session(link_settings(settings), wanted, credential)

    async def _rehearsal(self, settings: Config) -> Finding:
        """One question and its answer, if somebody wants to spend the credits."""
        answer = await self.person.yes(
            "Ask the service one recorded question, as a person would? It costs some seconds of credits."
        )
        if not answer:
            return skipped(rehearsal.REHEARSAL, "nobody has asked for it: it costs credits", "voice-appliance rehearse")

        async def credential() -> str:
            return await setup.credential(settings.credentials, self.system_key)

        return rehearsal.judged(await rehearsal.rehearse(self.path, credential))

    async def _microphone(self, settings: Config) -> AsyncIterator[Finding]:
        waits = Preference("capture", settings.microphone.fallback_s, history_text.cards().rank("capture"))
        async with sound.open_microphone(settings.microphone, waits) as (microphone, reason):
            if microphone.device is None:
                yield sound.missing(sound.MICROPHONE, reason)
                return
            yield Finding(sound.MICROPHONE, Grade.OK, f"{microphone.device.name}, {microphone.device.hz} Hz")
            self.person.tell("Speak a sentence, from where people will stand.")
            readings = await sound.listen(microphone, self._listen_s, self.person.meter)
            self.person.meter_over()
        yield sound.level(readings.heard(asked=self.person.asks))

    async def _speaker(self, settings: Config) -> AsyncIterator[Finding]:
        waits = Preference("playback", settings.speaker.fallback_s, history_text.cards().rank("playback"))
        async with sound.open_speaker(settings.speaker, waits) as (player, name, reason):
            if reason:
                yield sound.missing(sound.SPEAKER, reason)
                return
            yield Finding(sound.SPEAKER, Grade.OK, name)
            if self.person.asks:
                await sound.play(player)
                yield sound.tone(await self.person.yes("Did you hear the tones?"), name)

    async def _own_sound(self, settings: Config) -> AsyncIterator[Finding]:
        """Where a voice may end an answer; it says a clip, which nobody is asked about."""
        if settings.talk.full_duplex == "off":
            return
        if self.person.asks:
            self.person.tell("Be silent for some seconds: the box speaks, and listens to itself.")
            yield await own_sound.own_sound(settings)
        else:
            yield skipped(own_sound.OWN_SOUND, "not tried: nothing is to be played")

    async def _panel(self, settings: Config) -> AsyncIterator[Finding]:
        driver = panel.driver(settings.panel)
        yield driver
        wired = panel.without_pins(settings.panel) if driver.verdict is Grade.FAULT else settings.panel
        place = panel.where(wired)
        if not place and wired.leds.kind == "none":
            return
        async with panel.taken(wired) as (box, keys, pressed):
            if wired.key.device:
                yield panel.button_box(keys.trouble)
            if box.faults:
                yield panel.broken("; ".join(box.faults.values()))
                return
            if not self.person.asks:
                return
            if place:
                self.person.tell(f"Press the button of the box, within {panel.PRESS_S:.0f} s.")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(panel.PRESS_S):
                        await pressed.wait()
                yield panel.button(place, seen=pressed.is_set())
            if wired.leds.kind != "none":
                for pattern in panel.WALK:
                    self.person.tell(f"{pattern.name.lower():<14} {MEANINGS[pattern]}")
                    box.show(pattern)
                    await asyncio.sleep(panel.STEP_S)
                yield panel.light(await self.person.yes("Did the light show each of them?"))

    @property
    def _listen_s(self) -> float:
        return sound.SPEAK_S if self.person.asks else sound.LISTEN_S


def _needed_groups(settings: Config | None) -> tuple[str, ...]:
    """What the daemon's user must be in for what the configuration names."""
    if settings is None:
        return ("audio",)
    wired = settings.panel.button.gpio or settings.panel.mute.gpio or settings.panel.leds.kind != "none"
    groups = ("audio", "gpio") if wired else ("audio",)
    return (*groups, "input") if settings.panel.key.device else groups
