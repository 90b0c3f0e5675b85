"""What the box costs, in one run: ``python -m tests.bench``, or ``make bench``. About two minutes.

Everything is a real process: the daemon with its two sound hosts, the embedded service, and beside them two programs
to measure against. A plain PyAudio program only records and plays silence, in the same seconds as the box; another, the
thirty lines that an owner would write (``quickstart``), is asked the same questions in the seconds after it. Ratios of
one run mean something on a busy or a throttled machine, percentages less. Latencies are the daemon's own turn figures.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from appliance.audio.speaker import REST_AFTER_S
from appliance.simulator import voices
from appliance.simulator.virtual_card import VirtualCard

from .box import KEY, BenchmarkError, Box, environment_with, first_line, program
from .processes import NOTHING, Cost, alone_mb, cost, family, proportional_mb, total

STARTS = 5
WARM_TAPS = 4
"""After each start."""
HOLDS = 8
IDLE_S = 10.0
TALK_S = 25.0

MIN_HOLD_S = 0.150
CAPTURE_MS, PLAYBACK_MS = 20, 10
"""The defaults of the configuration, as the figures below count on them."""

PRE_ROLL_IS_FULL_S = 0.8
"""From one press to the next: the listening earcon, its echo and the pre-roll are over."""

PREPARED_S = 1.0
"""From ready until all is loaded that the first connection needs; it counts neither as idle nor as conversation."""

RESTED_S = REST_AFTER_S + 3.0
"""From ready until an idle box is at rest: nobody has asked for its level for a while, and its speaker is stopped."""

CONNECTED_S = 0.15
"""After the connection is open, the first audio has left long since."""


class Line(NamedTuple):
    """One row of the result."""

    name: str
    value: float
    aim: float | None
    unit: str
    remark: str

    def __str__(self) -> str:
        aim = "" if self.aim is None else f"{self.aim:8.4g} {self.unit:2}  {self.value / self.aim:6.2f} "
        return f"{self.name:48}{self.value:8.2f} {self.unit:2} {aim:21}{self.remark}"


def main() -> int:
    """Measure and print. 1 if the box does not do what is to be measured; slow is no failure."""
    argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__).parse_args()
    began_s = time.monotonic()
    with VirtualCard() as card, tempfile.TemporaryDirectory(prefix="bench-") as folder:
        environment = environment_with(card.environment)
        service = program("-m", "appliance", "simulate", "--port", "0", environment=environment)
        with service as simulator:
            url = first_line(simulator).split()[2].rstrip(";")
            bench = Bench(card, Path(folder), url, environment)
            try:
                lines = [*bench.starts_and_taps(), *bench.holds(), *bench.talk()]
            except BenchmarkError as error:
                print(f"bench: {error}", file=sys.stderr)
                return 1
    print(f"{'':48}{'measured':>11} {'aim':>9}   ratio")
    for line in lines:
        print(line)
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} processors, load {load:.1f}, {time.monotonic() - began_s:.0f} s")
    return 0


class Bench:
    """The parts of the benchmark, which share the card, the service and the folder."""

    def __init__(self, card: VirtualCard, folder: Path, url: str, environment: dict[str, str]) -> None:
        self._card = card
        self._folder = folder
        self._url = url
        self._environment = environment

    def _box(self, settings: str = "") -> Box:
        return Box(self._folder, self._url, self._environment, settings)

    # ------------------------------------------------------------ start and press

    def starts_and_taps(self) -> list[Line]:
        """From start to ready, and from a tap to its first append: with no connection, and with one."""
        answers: list[float] = []
        ready: list[float] = []
        cold: list[float] = []
        warm: list[float] = []
        for _ in range(STARTS):
            with self._box('talk.mode = "tap"\n') as box:
                answers.append(box.answers_after_s)
                ready.append(box.ready_after_s)
                time.sleep(PRE_ROLL_IS_FULL_S)
                cold.append(_first_append_s(box, "tap"))
                warm.extend(_first_append_s(box, "tap") for _ in range(WARM_TAPS))
        return [
            _milliseconds("process start -> ready, microphone and speaker open", ready, 400),
            _milliseconds("process start -> control socket answers", answers, None),
            _milliseconds("tap -> first append, connected", warm, 10),
            _milliseconds("tap -> first append, not connected", cold, None),
        ]

    def holds(self) -> list[Line]:
        """From the moment in which a hold counts to its first append."""
        with self._box('talk.mode = "hold"\n') as box:
            time.sleep(PRE_ROLL_IS_FULL_S)
            _first_append_s(box, "press")
            beyond = [_first_append_s(box, "press") - MIN_HOLD_S for _ in range(HOLDS)]
        line = _milliseconds("hold: expiry of min_hold_ms -> first append", beyond, 10)
        # Until it has lasted, a release within min_hold_ms is not known, and that press must send nothing.
        return [line._replace(remark=f"{line.remark}; talk.debounce_ms, 30, is in it")]

    # ------------------------------------------------------------ talk

    def talk(self) -> list[Line]:
        """Processor time, wake-ups and memory: idle, and in a conversation."""
        periods = ("48000", str(CAPTURE_MS), str(PLAYBACK_MS))
        plain = ("-m", "tests.bench.stream", self._card.microphone, self._card.speaker, *periods)
        with (
            program(*plain, environment=self._environment) as stream,
            self._box() as box,
        ):
            first_line(stream)
            time.sleep(RESTED_S)
            members = {stream.pid: "stream", **family(box.process_id)}
            idle_memory_mb = sum(proportional_mb(member) for member in members if member != stream.pid)
            idle = _Window(members)
            time.sleep(IDLE_S)
            idle.end()
            talking = _Window(members)
            turns, asked_s = self._converse(box, TALK_S)
            talking.end()
            box_ids = [member for member in members if member != stream.pid]
            memory_mb = sum(proportional_mb(member) for member in box_ids)
            memory_alone_mb = alone_mb(box_ids)
        hands_free = self._idle_hands_free(plain)
        script = self._converse_with_script(asked_s, talking.seconds)
        outcomes = {turn["outcome"] for turn in turns}
        underruns = sum(turn["underruns"] for turn in turns)
        written = [turn["first_delta_to_written_s"] for turn in turns]
        return [
            _milliseconds("delta arrives -> first sample written", written, PLAYBACK_MS + 10),
            *talking.lines("conversation", None, f"{len(turns)} turns {', '.join(outcomes)}, {underruns} underruns"),
            talking.beside(script),
            *idle.lines("idle", 1.5, ""),
            *hands_free.lines("idle, talk.mode open", None, ""),
            Line("memory (PSS of all processes), after talking", memory_mb, 55, "MB", f"idle {idle_memory_mb:.1f}"),
            Line("  if nothing else ran on the machine", memory_alone_mb, 70, "MB", ""),
        ]

    def _idle_hands_free(self, plain: Sequence[str]) -> _Window:
        """The same, idle, where a gate listens for a voice."""
        with program(*plain, environment=self._environment) as stream, self._box('talk.mode = "open"\n') as box:
            first_line(stream)
            time.sleep(RESTED_S)
            window = _Window({stream.pid: "stream", **family(box.process_id)})
            time.sleep(IDLE_S)
            window.end()
        return window

    def _converse(self, box: Box, seconds: float) -> tuple[list[dict[str, Any]], list[float]]:
        """Tap, ask, hear the answer out, and again: the turns, and when each was asked, from the beginning on."""
        turns: list[dict[str, Any]] = []
        asked_s: list[float] = []
        began_s = time.monotonic()
        while (now_s := time.monotonic() - began_s) < seconds:
            box.ask("tap")
            asked_s.append(now_s)
            self._ask(len(turns))
            turns.append(box.turn())
        return turns, asked_s

    def _converse_with_script(self, asked_s: Sequence[float], seconds: float) -> _Window:
        """The same questions at the same moments, asked of the script of thirty lines."""
        script = ("-m", "tests.bench.quickstart", self._url, KEY, self._card.microphone, self._card.speaker)
        with program(*script, environment=self._environment) as process:
            first_line(process)
            time.sleep(PREPARED_S)
            window = _Window({process.pid: "script"})
            began_s = time.monotonic()
            for number, at_s in enumerate(asked_s):
                _sleep_until(began_s + at_s)
                self._ask(number)
            _sleep_until(began_s + seconds)
            window.end()
            process.terminate()
            said = process.communicate()[0].split()
        if said.count("response.done") < len(asked_s):
            raise BenchmarkError(f"the script had {said.count('response.done')} answers to {len(asked_s)} questions")
        return window

    def _ask(self, number: int) -> None:
        questions = voices.questions()
        pcm = voices.pcm(questions[number % len(questions)].name)
        self._card.play_into_microphone(np.frombuffer(pcm, dtype="<i2"))


class _Window:
    """The costs of ``members`` (process id to name) from now to ``end``."""

    def __init__(self, members: dict[int, str]) -> None:
        self._members = members
        self._began_s = time.monotonic()
        self._before = {member: cost(member) for member in members}
        self._spent: dict[str, Cost] = {}
        self.seconds = 0.0
        """How long it was open; 0 until it has ended."""

    def end(self) -> None:
        """Count no more."""
        self.seconds = time.monotonic() - self._began_s
        for member, name in self._members.items():
            spent = cost(member).since(self._before[member])
            self._spent[name] = self._spent.get(name, NOTHING).plus(spent)

    def lines(self, what: str, aim_percent: float | None, remark: str) -> list[Line]:
        """Above the plain stream, each process, wake-ups."""
        stream = self._spent["stream"]
        box = total(spent for name, spent in self._spent.items() if name != "stream")
        shares = ", ".join(f"{name} {self._percent(spent):.2f}" for name, spent in self._spent.items())
        wakeups = ", ".join(f"{name} {spent.wakeups / self.seconds:.0f}" for name, spent in self._spent.items())
        above = self._percent(box) - self._percent(stream)
        ratio = f"{box.cpu_s / stream.cpu_s:.2f} times the stream; {remark}".rstrip("; ")
        return [
            Line(f"{what}: processor above a plain stream", above, aim_percent, "%", ratio),
            Line(f"{what}: processor", self._percent(box), None, "%", shares),
            Line(f"{what}: wake-ups a second", box.wakeups / self.seconds, None, "", wakeups),
        ]

    def beside(self, script: _Window) -> Line:
        """This window's processor time in shares of the script's."""
        box = total(spent for name, spent in self._spent.items() if name != "stream")
        ours, theirs = self._percent(box), script._percent(script._spent["script"])
        remark = f"the script: {theirs:.2f} %, {script._spent['script'].wakeups / script.seconds:.0f} wake-ups a second"
        return Line("  in shares of a script of thirty lines", ours / theirs, 1.0, "", remark)

    def _percent(self, spent: Cost) -> float:
        return 100 * spent.cpu_s / self.seconds


def _first_append_s(box: Box, command: str) -> float:
    """One turn in which nobody speaks, ended when its first audio has left."""
    box.ask(command)
    pressed_s = time.monotonic()
    box.event(lambda event: event.get("link") == "open" and event["state"] == "listening")
    time.sleep(CONNECTED_S + (MIN_HOLD_S if command == "press" else 0))
    box.ask("stop")
    figure: float | None = box.turn()["press_to_first_append_s"]
    if command == "press":
        box.ask("release")
    if figure is None:
        raise BenchmarkError(f"nothing was sent after a {command}")
    time.sleep(max(0.0, pressed_s + PRE_ROLL_IS_FULL_S - time.monotonic()))
    return figure


def _sleep_until(at_s: float) -> None:
    time.sleep(max(0.0, at_s - time.monotonic()))


def _milliseconds(name: str, seconds: Sequence[float], aim_ms: float | None) -> Line:
    """The median, with the worst beside it."""
    remark = f"worst of {len(seconds)}: {1000 * max(seconds):.0f}"
    return Line(name, 1000 * statistics.median(seconds), aim_ms, "ms", remark)


if __name__ == "__main__":
    sys.exit(main())
