"""Look at everything that can be wrong with a box, one line each, with what to do.

It opens one session with the service (one connection, no audio), asks for a word into the microphone, plays a few
tones, waits for a press and walks through the light. With the daemon running all of that goes through its control
socket, and the daemon is as before afterwards. Last, if somebody says yes to it, the service is asked one recorded
question (voice-appliance rehearse shows more of that).

Ends with 0 when nothing is wrong, 1 when something could be better, 2 when something does not work.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

from appliance.audio.card_preference import Preference
from appliance.commands import recalled
from appliance.commands.checks import machine as of_machine
from appliance.commands.checks import panel, paths, rehearsal, running, service, setup, sound
from appliance.commands.checks.finding import Finding, Verdict, exit_code, skipped
from appliance.commands.checks.machine import Machine
from appliance.commands.checks.running import RunningBox
from appliance.commands.lights import MEANINGS
from appliance.config import Config
from appliance.edge import names, tools
from appliance.errors import UnavailableError, UsageError
from appliance.outside import one_line
from appliance.part_settings import link_settings, session_settings
from appliance.turn.lights import Pattern

SESSION_SLACK_S: Final = 5.0
"""Beyond the link's own deadlines, for a daemon that is busy."""

METER_STEPS: Final = 40
METER_FLOOR_DBFS: Final = -80.0
"""What an empty meter means; a quiet room is some -65 (not measured)."""

NAME_WIDTH: Final = 17
"""The longest name of a check."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How it talks."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--no-ask", action="store_true", help="ask nobody anything, and play nothing; for scripts")
    parser.add_argument("--json", action="store_true", help="one JSON object at the end, for programs")
    parser.add_argument("--bundle", type=Path, metavar="FILE", help="write a report without secrets, to be sent on")


def run(args: argparse.Namespace) -> int:
    """Look; the exit code of the worst finding. Raises UsageError if the report cannot be written."""
    if not args.debug:
        # What the parts would log is in the findings, in the same words.
        logging.getLogger("appliance").setLevel(logging.CRITICAL)
    person = Person(asks=not args.no_ask and sys.stdin.isatty())
    with asyncio.Runner(loop_factory=names.Loop) as runner:
        findings = runner.run(_examined(args, person))
    if args.json:
        rows = [_row(finding) for finding in findings]
        print(json.dumps({"exit_code": exit_code(findings), "findings": rows}, indent=1, ensure_ascii=False))
    return exit_code(findings)


async def _examined(args: argparse.Namespace, person: Person) -> list[Finding]:
    machine = Machine()
    doctor = Doctor(args.config, machine, person)
    findings = []
    async for finding in doctor.findings():
        findings.append(finding)
        if not args.json:
            print("\n".join(lines_of(finding)), flush=True)
    if args.bundle is not None:
        from appliance.commands.checks import bundle

        key = setup.visible_key(doctor.settings.credentials) if doctor.settings is not None else ""
        text = await bundle.report(doctor.settings, doctor.status, findings, machine, key)
        try:
            args.bundle.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"--bundle {args.bundle}: {error.strerror}; name a place that can be written") from None
        print(f"the report is in {args.bundle}, {len(text.encode()) // 1024 + 1} KB", file=sys.stderr)
    return findings


def lines_of(finding: Finding) -> list[str]:
    """What is shown of one finding: verdict, name and line; below it what to do, if anything."""
    # A device is called whatever its maker, or whoever plugged it in, likes.
    head = f"{finding.verdict.value:<8}{finding.name:<{NAME_WIDTH}}  {one_line(finding.line, None)}"
    return [head, *([f"{'':<8}{'':<{NAME_WIDTH}}  -> {finding.fix}"] if finding.fix else [])]


def _row(finding: Finding) -> dict[str, str]:
    return {"name": finding.name, "verdict": finding.verdict.value, "line": finding.line, "fix": finding.fix}


class Person:
    """Whoever sits at the terminal. Questions go to standard error: standard output is the report's."""

    def __init__(self, *, asks: bool, stream: TextIO | None = None) -> None:
        """``asks``: somebody is there; if not, every answer is None."""
        self.asks = asks
        self._stream = stream or sys.stderr

    def tell(self, text: str) -> None:
        """Say what to do now."""
        if self.asks:
            print(f"  {text}", file=self._stream, flush=True)

    async def yes(self, question: str) -> bool | None:
        """The answer to a question of yes or no; Enter is yes. None: nobody is asked, or the terminal has gone."""
        if not self.asks:
            return None
        while True:
            self._stream.write(f"  {question} [Y/n] ")
            self._stream.flush()
            answer = await _line()
            if answer == "":
                self.asks = False
                return None
            word = answer.strip().lower()
            if word in ("", "y", "yes", "n", "no"):
                return word in ("", "y", "yes")

    def meter(self, dbfs: float) -> None:
        """Draw a level over the last one."""
        if self.asks:
            filled = round(METER_STEPS * max(0.0, min(1.0, 1 - dbfs / METER_FLOOR_DBFS)))
            self._stream.write(f"\r\x1b[K  {'#' * filled}{'-' * (METER_STEPS - filled)} {dbfs:4.0f} dBFS")
            self._stream.flush()

    def meter_over(self) -> None:
        """Leave the last level standing."""
        if self.asks:
            self._stream.write("\n")


async def _line() -> str:
    """One line of standard input, a terminal; empty at its end. Not in a thread: Ctrl-C could not end that."""
    loop = asyncio.get_running_loop()
    there = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), there.set)
    try:
        await there.wait()
    finally:
        loop.remove_reader(sys.stdin.fileno())
    return sys.stdin.readline()


@dataclass(slots=True)
class Doctor:
    """One examination. ``settings`` and ``status`` are None until they are known, and stay so if they cannot be had."""

    path: str | None
    machine: Machine
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
                reached = reached or (finding.name == service.SESSION and finding.verdict is Verdict.OK)
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
        if box is None or key.verdict is not Verdict.FAULT:
            yield key
        for found in (await paths.seen(settings, self.machine, unit), paths.startable(settings)):
            if found is not None:
                yield found
        yield await of_machine.clock(self.machine)
        way = await service.way(link_settings(settings))
        for finding in way:
            yield finding
        yield running_now
        blocked = next((finding for finding in way if finding.verdict is Verdict.FAULT), None)
        if box is not None:
            try:
                async for finding in self._running(box, settings, key, blocked):
                    yield finding
            except UnavailableError as error:
                yield Finding(running.DAEMON, Verdict.FAULT, f"it has gone: {error}", "voice-appliance doctor, again")
            return
        if running.is_somebodys(running_now):
            for name in (service.SESSION, sound.MICROPHONE, sound.SPEAKER, panel.PINS):
                yield skipped(name, "the daemon has it, and cannot be asked")
            return
        yield await self._session(settings, key, blocked)
        for part in (self._microphone(settings), self._speaker(settings), self._panel(settings)):
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
                yield skipped(service.SESSION, f"not tried: {blocked.name} comes first")
            if key.verdict is Verdict.FAULT:
                # A daemon may have been given its key in a way that nobody else sees.
                seen = status["link"] == "open" or opened
                yield skipped(setup.KEY, "the daemon has one; this program does not see it") if seen else key
            microphone = running.microphone(status)
            yield microphone
            if microphone.verdict is Verdict.OK:
                self.person.tell("Speak a sentence, from where people will stand.")
                readings = await box.listen(self._listen_s, self.person.meter)
                self.person.meter_over()
                yield sound.level(readings.heard(asked=self.person.asks))
                if status["faint_speech_dbfs"] is not None:
                    yield sound.spoken_in_vain(status["faint_speech_dbfs"])
            speaker = running.speaker(status)
            yield speaker
            if speaker.verdict is Verdict.OK and self.person.asks:
                await box.ask("tone")
                yield sound.tone(await self.person.yes("Did you hear the tones?"), status["speaker"]["name"])
            pins = running.pins(status)
            yield pins
            if settings.panel.key.device:
                yield running.button_box(status)
            if pins.verdict is Verdict.OK and self.person.asks:
                async for finding in self._running_panel(box, settings, microphone):
                    yield finding
        finally:
            if opened:
                await box.ask("hang-up")
                await box.until("link", ("closed", "latched", "retrying"), settings.link.close_timeout_s + 1)
        self.status = await box.status()

    async def _running_panel(self, box: RunningBox, settings: Config, microphone: Finding) -> AsyncIterator[Finding]:
        """The button by what the daemon does on a press, the light by what it should show now."""
        place = panel.where(settings.panel)
        if place and microphone.verdict is Verdict.OK:
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
        if key.verdict is Verdict.FAULT or key.fix.startswith("sudo voice-appliance"):
            return skipped(service.SESSION, "not tried: without a key that can be read it would be refused")
        if blocked is not None:
            return skipped(service.SESSION, f"not tried: {blocked.name} comes first")
        own = [
            tools.of_owner(name, tool.description, tool.parameters, tool.command, tool.timeout_s)
            for name, tool in settings.tools.own.items()
        ]
        wanted = session_settings(settings, tools.Tools(own))

        async def credential() -> str:
            return await setup.credential(settings.credentials, self.system_key)

        return await service.session(link_settings(settings), wanted, credential)

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
        waits = Preference("capture", settings.microphone.fallback_s, recalled.cards().rank("capture"))
        async with sound.open_microphone(settings.microphone, waits) as (microphone, reason):
            if microphone.device is None:
                yield sound.missing(sound.MICROPHONE, reason)
                return
            yield Finding(sound.MICROPHONE, Verdict.OK, f"{microphone.device.name}, {microphone.device.hz} Hz")
            self.person.tell("Speak a sentence, from where people will stand.")
            readings = await sound.listen(microphone, self._listen_s, self.person.meter)
            self.person.meter_over()
        yield sound.level(readings.heard(asked=self.person.asks))

    async def _speaker(self, settings: Config) -> AsyncIterator[Finding]:
        waits = Preference("playback", settings.speaker.fallback_s, recalled.cards().rank("playback"))
        async with sound.open_speaker(settings.speaker, waits) as (player, name, reason):
            if reason:
                yield sound.missing(sound.SPEAKER, reason)
                return
            yield Finding(sound.SPEAKER, Verdict.OK, name)
            if self.person.asks:
                await sound.play(player)
                yield sound.tone(await self.person.yes("Did you hear the tones?"), name)

    async def _panel(self, settings: Config) -> AsyncIterator[Finding]:
        driver = panel.driver(settings.panel)
        yield driver
        wired = panel.without_pins(settings.panel) if driver.verdict is Verdict.FAULT else settings.panel
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
