"""Talking over an answer without a speakerphone (``talk.full_duplex = "software"``), in made rooms: who is heard, how
soon it is silent, and how often it is for nobody. ``python -m tests.bench.talk_over [MINUTES]``.

The whole box in paper time (``tests/support/paper_room.py``): the answers really pause and end. Interruptions are
recorded questions at so many dB above the echo of the answer, both over the whole sentence (SER). Not measured: people.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any

import numpy as np
import pytest

from appliance.simulator import voices
from appliance.simulator.acoustic_path import Path
from appliance.simulator.scenario import Reply, Scenario, Turn, conversation
from appliance.simulator.service import Service
from appliance.simulator.settings import SimulatorSettings
from appliance.simulator.turn_detection import DetectionSettings
from appliance.turn.states import Outcome, State
from tests.support import acoustics
from tests.support.paper_room import PaperRoom, paper_room
from tests.support.simulated_time import on_paper

ROOMS = {
    "furnished": Path(0.0),
    "loud, distorting": Path(6.0, rt60_s=0.5, saturation=0.3),
    "bare": Path(0.0, rt60_s=0.75, delay_s=0.1),
    "far": Path(-12.0, delay_s=0.03),
    "hall": Path(-3.0, rt60_s=0.6, delay_s=0.03, seed=2),
}
RATIOS_DB = (6.0, 0.0, -6.0)
EACH = 12
"""Interruptions for each room and ratio."""

ECHO_DBFS = -20.0
"""Of an answer, before the room."""

LATEST_S = 2.0
"""Silence that comes later after the beginning of an interruption was not for it."""

ANSWER = np.concatenate([acoustics.spoken(name, ECHO_DBFS) for name in voices.recordings()])
LONG = Reply(pcm=acoustics.to_int16(ANSWER).tobytes(), text="മഴ", speed=1)


def _quiet(seconds: float) -> acoustics.Sound:
    return acoustics.silence(np.random.default_rng(1), seconds)


def _service(turns: int) -> Service:
    detection = DetectionSettings(threshold_dbfs=-45.0, hysteresis_db=3.0)
    scenario: Scenario = conversation(*(Turn(replies=(LONG,)) for _ in range(turns)))
    return Service(SimulatorSettings(detection=detection), scenario)


def _with(noise: acoustics.Sound, said: acoustics.Sound) -> acoustics.Sound:
    """Said into the room."""
    return said + np.resize(noise, said.size)


async def _ask(room: PaperRoom, noise: acoustics.Sound) -> None:
    """Until the answer sounds."""
    while not room.speaker.busy:
        await room.hears(_with(noise, acoustics.spoken("ask-time", -26.0)))
        await room.hears(noise[: acoustics.frames(6)], lambda: room.speaker.busy)


async def _settled(room: PaperRoom, noise: acoustics.Sound) -> None:
    """The room is known, one answer is heard, and the canceller knows the room, too."""
    await room.hears(noise[: acoustics.frames(10)])
    await _ask(room, noise)
    await room.hears(noise, lambda: len(room.turns) == 1)
    await room.hears(noise[: acoustics.frames(1)])


async def interruptions(path: Path, ratio_db: float) -> tuple[list[float], int]:
    """From its beginning to silence at the speaker, in seconds, of those that were noticed; how many ended the
    answer."""
    silent_s: list[float] = []
    with pytest.MonkeyPatch.context() as patch:
        async with _service(2 * EACH + 2) as service, paper_room(service, patch, path=path, **SOFTWARE) as room:
            await _settled(room, _quiet(60))
            for number in range(EACH):
                count = len(room.turns)
                await _ask(room, _quiet(6))
                await room.hears(_quiet(3.2 + 0.37 * number))
                names = [question.name for question in voices.questions()]
                said = acoustics.spoken(names[number % len(names)], ECHO_DBFS + path.gain_db + ratio_db)
                began_s = room.now_s
                steps = np.concatenate((said, _quiet(8)))
                if await room.hears(steps, lambda: not room.speaker.busy) and room.now_s - began_s < LATEST_S:
                    silent_s.append(room.now_s - began_s)
                at = acoustics.frames(room.now_s - began_s)
                await room.hears(steps[at:], lambda n=count: len(room.turns) > n)  # type: ignore[misc]
                room.daemon.turns.end_conversation()
                room.daemon.remote.quiet()
                await room.hears(_quiet(2))
            ended = sum(turn["outcome"] == Outcome.TALKED_OVER.value for turn in room.turns)
    return silent_s, ended


async def alone(path: Path, minutes: float, noise: acoustics.Sound) -> tuple[int, int, float]:
    """Nobody talks over: pauses, answers that ended, minutes of answers."""
    pauses = 0
    with pytest.MonkeyPatch.context() as patch:
        turns = round(60 * minutes / (ANSWER.size / acoustics.HZ)) + 1
        async with _service(turns + 1) as service, paper_room(service, patch, path=path, **SOFTWARE) as room:
            await _settled(room, noise)
            sounded_s, was_paused = 0.0, False
            while sounded_s < 60 * minutes:
                await _ask(room, noise)
                began_s = room.now_s
                while room.state() is State.SPEAKING:
                    at = acoustics.frames(room.now_s) % (noise.size - 480)
                    await room.hears(noise[at : at + 480])
                    pauses += room.daemon.machine.paused and not was_paused
                    was_paused = room.daemon.machine.paused
                sounded_s += room.now_s - began_s
                await room.hears(noise[: acoustics.frames(10)])
            ended = sum(turn["outcome"] == Outcome.TALKED_OVER.value for turn in room.turns)
    return pauses, ended, sounded_s / 60


SOFTWARE: dict[str, Any] = {"talk__full_duplex": "software", "talk__open_conversation_s": 3600.0}


def main(minutes: float) -> None:
    """Print both tables."""
    began_s = time.monotonic()
    print(f"{'room':18}{'SER dB':>7}{'silent':>9}{'ended':>9}{'p50 ms':>8}{'p90 ms':>8}")
    for name, path in ROOMS.items():
        for ratio_db in RATIOS_DB:
            found: list[tuple[list[float], int]] = []

            async def measure(path: Path = path, ratio_db: float = ratio_db) -> None:
                found.append(await interruptions(path, ratio_db))  # noqa: B023

            on_paper(measure(), 0.0)
            silent_s, ended = found[0]
            ms = sorted(1000 * each for each in silent_s)
            p50 = statistics.median(ms) if ms else float("nan")
            p90 = ms[int(0.9 * (len(ms) - 1))] if ms else float("nan")
            print(f"{name:18}{ratio_db:7.0f}{len(ms):5}/{EACH}{ended:6}/{EACH}{p50:8.0f}{p90:8.0f}", flush=True)
    noises = {"": _quiet(60), ", fan": acoustics.fan(np.random.default_rng(7), 60, -45.0)}
    print(f"\n{'nobody talks over':28}{'pauses':>8}{'ended':>8}{'minutes':>9}")
    for name, path in ROOMS.items():
        for noise_name, noise in noises.items():
            counted: list[tuple[int, int, float]] = []

            async def listen(path: Path = path, noise: acoustics.Sound = noise) -> None:
                counted.append(await alone(path, minutes, noise))  # noqa: B023

            on_paper(listen(), 0.0)
            pauses, ended, sounded = counted[0]
            print(f"{name + noise_name:28}{pauses:8}{ended:8}{sounded:9.1f}", flush=True)
    print(f"{time.monotonic() - began_s:.0f} s")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 2.0)
