"""Hours in a box's life, in minutes: ``make soak``, or ``python -m tests.soak --minutes 30 --seed 7``.

A real daemon on the virtual sound card talks to the embedded service through a network that can be made to fail. Every
other question is asked with nothing the matter; into the others some trouble falls, before, during or after the press.
After each trouble the box must be ready again by itself. The sequence follows from the seed; how the machine's load
falls into it does not.

The exit status is 1 if a turn was lost without a reason, words were, or something grew.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from appliance.audio.format import WIRE_HZ
from appliance.simulator.scenario import Reply, Turn, conversation
from appliance.simulator.service import Service
from appliance.simulator.settings import SimulatorSettings
from appliance.simulator.sound_match import find
from appliance.simulator.virtual_card import VirtualCard, save_wav
from appliance.turn.states import Outcome
from tests.support.rig import PRESS_TO_SPEECH_S, words
from tests.support.slow_network import Line, SlowNetwork

from .box import KEY, Box
from .figures import Asked, Run, take_sample
from .troubles import NOT_TAKEN, TROUBLES, Trouble, World

RECOVERY_S = 12.0
"""After a trouble the box is ready again: 5 s for a device (issue 5), 4 s for a probe of ours, and one refused try."""

TURN_LIMIT_S = 75.0
"""No chain of deadlines with the shipped times is longer: keep_s to send a question, answer_s, and what is heard."""

SETTLE_S = 0.2
"""After the last command, before descriptors are counted."""

TONE_S, CLIP_S = 0.6, 4.5
"""Nobody speaks into what the box itself says, and what is said then is not sent (half duplex): after an answered
question there is at most a tone, after any other a clip of up to 4 s, and their echo."""

BARGE_IN_TO_SPEECH_S = 0.35
"""After a press that interrupts an answer: echo_tail_ms, what the card still plays, and people's 100 ms."""

ANSWER = Reply(tone_ms=700)
KINDS = ("hold", "hold", "tap", "impatient", "barge-in")


class Soak:
    """One run."""

    def __init__(self, world: World, seed: int, said: Path) -> None:
        self._world = world
        self._random = random.Random(seed)
        self._said_path = said
        self._said = words(200, 1240)
        self._deck: list[Trouble] = []
        self.run = Run()

    async def until(self, end_s: float) -> None:
        """Ask until then."""
        quiet = True
        while time.monotonic() < end_s and not self._world.box.has_ended:
            kind = self._random.choice(KINDS)
            trouble = None if quiet else self._next_trouble()
            await self._ask_in(kind, trouble)
            quiet = not quiet
            print(".", end="", flush=True)
        if self._world.box.has_ended:
            self.run.faults.append("the daemon ended by itself")

    def _next_trouble(self) -> Trouble:
        """All of them in a random order, again and again."""
        if not self._deck:
            self._deck = list(TROUBLES)
            self._random.shuffle(self._deck)
        return self._deck.pop()

    async def _ask_in(self, kind: str, trouble: Trouble | None) -> None:
        """One question, or two in a barge-in, and the trouble that falls into it; then the box is ready again."""
        begins_s, lasts_s = self._random.uniform(-1.0, 2.5), self._random.uniform(0.5, 3.0)
        weather = None
        if trouble is not None:
            weather = asyncio.create_task(self._strike(trouble, max(begins_s, 0.0), lasts_s))
            await asyncio.sleep(max(-begins_s, 0.0))
        first = len(self.run.asked)
        await self._ask(kind, () if trouble is None else (trouble,))
        if weather is not None:
            await weather
        if not await self._is_ready_again():
            status = await self._world.box.status()
            after = "nothing" if trouble is None else trouble.name
            shown = {name: status[name] for name in ("state", "link", "light", "fault")}
            self.run.faults.append(f"not ready {RECOVERY_S:g} s after {after} ({kind}): {shown}")
            await self._world.box.ask("retry")
            await self._is_ready_again()
        for each in self.run.asked[first:]:
            if each.verdict == "unexplained" or each.lost_words:
                turn = self._world.box.turns[-1]["turn"] if self._world.box.turns else 0
                print(
                    f"\nby turn {turn}: {each.kind}, {each.outcome}, {each.missing_ms} ms missing, {trouble}",
                    flush=True,
                )
        if trouble is None:
            await self._sample()
        answered = all(each.outcome == Outcome.ANSWERED.value for each in self.run.asked[first:])
        await asyncio.sleep(TONE_S if answered else CLIP_S)

    async def _strike(self, trouble: Trouble, after_s: float, lasts_s: float) -> None:
        await asyncio.sleep(after_s)
        await trouble.strike(self._world, lasts_s)

    async def _is_ready_again(self) -> bool:
        deadline_s = time.monotonic() + RECOVERY_S
        while not (ready := await self._world.box.is_ready()) and time.monotonic() < deadline_s:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        return ready

    # ------------------------------------------------------------ one question

    async def _ask(self, kind: str, troubles: tuple[Trouble, ...]) -> None:
        box = self._world.box
        heard_before = {id(record): record.audio_bytes for record in self._world.service.connections}
        turns_before, states_before = len(box.turns), len(box.states)
        light_s = await self._press(states_before)
        if light_s is None:
            await box.ask("release")
            self.run.asked.append(Asked(kind, NOT_TAKEN, troubles))
            return
        await asyncio.sleep(PRESS_TO_SPEECH_S)
        if kind == "tap":
            await box.ask("release")
        await self._speak()
        if kind != "tap":
            await box.ask("release")
        if kind == "impatient":
            for _ in range(self._random.randint(1, 3)):
                await asyncio.sleep(self._random.uniform(0.1, 0.4))
                # A press while the answer sounds is no impatience: it would interrupt it.
                if box.states[-1]["state"] in ("sending", "waiting"):
                    await box.ask("tap")
        if kind == "barge-in":
            await self._barge_in(turns_before, troubles)
        await self._end(kind, troubles, turns_before, light_s, heard_before)

    async def _press(self, states_before: int) -> float | None:
        """Press; how long the light took to say that it listens, None if it does not say so."""
        box = self._world.box
        pressed_s = time.monotonic()
        await box.ask("press")

        def shown() -> list[float]:
            return [each["time_s"] for each in box.states[states_before:] if each["state"] == "listening"]

        if not await box.until(shown, 1.0):
            return None
        return shown()[0] - pressed_s

    async def _speak(self) -> None:
        """All of it, or as much as a card that goes away takes."""
        playing = await asyncio.to_thread(self._world.card.play_into_microphone, self._said_path)
        deadline_s = time.monotonic() + 5
        while not playing.over and time.monotonic() < deadline_s:  # noqa: ASYNC110  (nobody announces it)
            await asyncio.sleep(0.02)
        await asyncio.to_thread(playing.stop)
        # What paplay has handed over is still on its way through the virtual card.
        await asyncio.sleep(0.15)

    async def _barge_in(self, turns_before: int, troubles: tuple[Trouble, ...]) -> None:
        """Interrupt the answer, when there is one, with the question once more."""
        box = self._world.box
        await box.until(lambda: box.states[-1]["state"] == "speaking" or len(box.turns) > turns_before, TURN_LIMIT_S)
        if len(box.turns) > turns_before:
            # It ended without an answer, or too quickly to interrupt: the only question of this round.
            return
        await asyncio.sleep(0.2)
        pressed = len(box.states)
        if await self._press(pressed) is None:
            await box.ask("release")
            return
        await asyncio.sleep(BARGE_IN_TO_SPEECH_S)
        await self._speak()
        await box.ask("release")

    async def _end(
        self,
        kind: str,
        troubles: tuple[Trouble, ...],
        turns_before: int,
        light_s: float,
        heard_before: dict[int, int],
    ) -> None:
        """Wait for the end of what was asked, and note it."""
        box = self._world.box

        def over() -> bool:
            return len(box.turns) > turns_before and box.states[-1]["state"] == "ready"

        if not await box.until(over, TURN_LIMIT_S):
            self.run.asked.append(Asked(kind, f"still {box.states[-1]['state']}", troubles, press_to_light_s=light_s))
            await box.ask("stop")
            return
        for turn in box.turns[turns_before:]:
            outcome = turn["outcome"]
            interrupted = outcome == Outcome.INTERRUPTED.value and kind in ("barge-in", "impatient")
            if interrupted:
                # The answer was there, and a person cut it short: wanted, or by a tap that came a moment too late.
                outcome = Outcome.ANSWERED.value
            missing_ms = self._missing_ms(heard_before) if turn["outcome"] == Outcome.ANSWERED.value else None
            end_s = turn["end_to_audible_s"] if turn["outcome"] == Outcome.ANSWERED.value else None
            self.run.asked.append(Asked(kind, outcome, troubles, missing_ms, turn["underruns"], light_s, end_s))
            if interrupted and kind == "impatient":
                # What such a tap opened is no question.
                break

    def _missing_ms(self, heard_before: dict[int, int]) -> float:
        """Of what was said, in what the service heard of it last."""
        record = next(each for each in reversed(self._world.service.connections) if each.audio_bytes)
        audio = record.audio[heard_before.get(id(record), 0) - _forgotten(record.audio_bytes, len(record.audio)) :]
        # Silence in front: where only the first word is missing, the others must still be found.
        front = np.zeros(self._said.size, dtype=np.int16)
        heard = np.concatenate((front, np.frombuffer(audio[: len(audio) // 2 * 2], dtype="<i2")))
        found = find(self._said, heard, WIRE_HZ)
        return found.missing_ms if found.correlation else 1000 * self._said.size / WIRE_HZ

    async def _sample(self) -> None:
        """With nothing the matter, and a session open: what differs between two samples has grown."""
        for record in self._world.service.connections:
            # What was compared is not needed any more; a run may take a day.
            record.received.clear()
            record.sent.clear()
            record.turns.clear()
            record.replies.clear()
        status = await self._world.box.status()
        # The box may not have closed its end of that connection yet.
        await asyncio.sleep(SETTLE_S)
        family = self._world.box.family()
        if status["link"] == "open" and status["state"] == "ready" and len(family) == 3:
            self.run.samples.append(take_sample(family, status["tasks"]))


def _forgotten(received: int, kept: int) -> int:
    """Bytes of a connection's audio that were cleared."""
    return received - kept


async def soak(minutes: float, seed: int, keep: Path | None) -> Run:
    """One run; the box's journal is left in ``keep``."""
    with tempfile.TemporaryDirectory(prefix="soak-") as name, VirtualCard() as card:
        folder = Path(name)
        said = folder / "said.wav"
        save_wav(said, words(200, 1240), WIRE_HZ)
        settings = SimulatorSettings(key=KEY, speed=4)
        async with (
            Service(settings, conversation(Turn(replies=(ANSWER,)))) as service,
            SlowNetwork(service.port, Line(), seed) as network,
        ):
            box = Box(folder, network.url(service.url), card.environment)
            try:
                await box.start()
                running = Soak(World(box, card, network, service), seed, said)
                await running.until(time.monotonic() + 60 * minutes)
            finally:
                status = await box.stop()
                journal = box.journal()
                if keep is not None:
                    await asyncio.to_thread(keep.write_text, journal, encoding="utf-8")
            if status:
                running.run.faults.append(f"the daemon ended with status {status}")
            if "Traceback" in journal:
                running.run.faults.append("the journal holds a traceback: " + journal.partition("Traceback")[2][:2000])
            return running.run


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="make soak ARGS=...", description="Hours in a box's life, in minutes.")
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (default: 30)")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(2), "big"), help="of the sequence")
    parser.add_argument("--journal", type=Path, help="keep what the box says in this file")
    chosen = parser.parse_args(arguments)
    print(f"seed {chosen.seed}, {chosen.minutes:g} min", flush=True)
    run = asyncio.run(soak(chosen.minutes, chosen.seed, chosen.journal))
    print()
    for line in run.lines():
        print(line)
    failures = list(run.failures())
    for line in failures:
        print(f"FAILS: {line}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
