"""What the voice gate hears and what it does not: ``python -m tests.bench.gate``, or ``make bench-gate``. Two minutes.

179 utterances (``utterances.py``) in three noises at five ratios of speech to noise, with and without a card's own gain
control; sounds that are no voice; and what it costs. ``--against FILE``: another ``gate.py``, over the same sounds in
the same run (``git show main:appliance/audio/gate.py >FILE``).
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

import numpy as np

from appliance.audio import gate as present
from appliance.audio.format import s_from_frames
from appliance.box.hands_free import BATCH_FRAMES
from tests.support import acoustics, tones

from .utterances import MissingError, Utterance, utterances

SPEECH_DBFS: Final = -30.0
RATIOS_DB: Final = (20, 15, 10, 5, 0)
LEAD_S: Final = 10.0
"""The room alone, until the gate knows it; more than ``ROOM_S``."""
BEFORE_S, AFTER_S = 0.5, 0.6
"""The room around an utterance. An opening later than this after its last sound has come too late."""
PRE_ROLL_S: Final = 0.3
FALSE_S: Final = 300.0
FALSE_SEEDS: Final = (7, 21)
"""Each room without a person, twice."""
HIGHER: Final = (1.3, 1.5)
REVERBERATION_S: Final = 0.4
TURN_S: Final = 6.0
"""After an opening, none counts for so long."""
COST_S: Final = 60.0


class Heard(NamedTuple):
    """One opening, in seconds of the sound: where the gate says that speech began, and when it says so."""

    began_s: float
    told_s: float


class Cell(NamedTuple):
    """One noise at one ratio."""

    hits: int
    late: int
    """Of the hits: how many begin more than ``PRE_ROLL_S`` after the person did."""
    latest_s: float
    told_s: float
    """Median, from the first sound to the opening."""


def openings(gate: Any, samples: acoustics.Sound) -> Iterator[Heard]:
    """What a gate says of a sound that comes in as ``hands_free.py`` gives it."""
    heard = acoustics.to_int16(samples)
    batch = BATCH_FRAMES * gate_frame(gate)
    for begin in range(0, heard.size - batch + 1, batch):
        began = gate.hear(heard[begin : begin + batch])
        if began is not None:
            yield Heard(s_from_frames(begin + batch - began), s_from_frames(begin + batch))


def gate_frame(gate: Any) -> int:
    """Samples of one frame."""
    frame: int = sys.modules[type(gate).__module__].FRAME
    return frame


def cell(
    make: Callable[[], Any], spoken: Sequence[Utterance], noise: acoustics.Sound, ratio_db: float, card: acoustics.Card
) -> Cell:
    """All utterances, each said into the same noise by itself, in a room that the gate knows."""
    lead = acoustics.frames(LEAD_S)
    learning = make()
    noise = acoustics.at_dbfs(noise, SPEECH_DBFS - ratio_db)
    gained, state = card(noise[:lead], None)
    list(openings(learning, gained))
    late: list[float] = []
    told: list[float] = []
    for number, utterance in enumerate(spoken):
        gate = make()
        gate.remember(learning.room)
        begin = lead + number * 7_001
        sound = noise[begin : begin + acoustics.frames(BEFORE_S + AFTER_S) + utterance.sound.size].copy()
        at = acoustics.frames(BEFORE_S)
        sound[at : at + utterance.sound.size] += acoustics.at_dbfs(utterance.sound, SPEECH_DBFS)
        sound, _ = card(sound, state)
        first = next((one for one in openings(gate, sound) if one.told_s > BEFORE_S), None)
        if first is not None:
            late.append(first.began_s - BEFORE_S)
            told.append(first.told_s - BEFORE_S)
    return Cell(
        len(late),
        sum(one > PRE_ROLL_S for one in late),
        max(late, default=0.0),
        float(np.median(told)) if told else 0.0,
    )


def false_openings(make: Callable[[], Any], room: acoustics.Sound) -> int:
    """How often it opens where nobody speaks."""
    free_s, count = 0.0, 0
    for heard in openings(make(), room):
        if heard.told_s >= free_s:
            count, free_s = count + 1, heard.told_s + TURN_S
    return count


def sounds_that_open(make: Callable[[], Any], sounds: Sequence[acoustics.Sound], room: acoustics.Sound) -> int:
    """How many of the sounds open it, each alone in a room that it knows."""
    learning = make()
    list(openings(learning, room[: acoustics.frames(LEAD_S)]))
    count = 0
    for sound in sounds:
        gate = make()
        gate.remember(learning.room)
        count += any(openings(gate, tones.heard(sound, room, -20.0)))
    return count


def cost_ms(make: Callable[[], Any], room: acoustics.Sound) -> float:
    """Processor time per second of sound, the best of three."""
    best = float("inf")
    for _ in range(3):
        gate = make()
        began_s = time.process_time()
        list(openings(gate, room))
        best = min(best, time.process_time() - began_s)
    return 1000 * best / s_from_frames(room.size)


def higher(sound: acoustics.Sound, times: float) -> acoustics.Sound:
    """As a smaller person would say it, and faster."""
    return np.interp(np.arange(0, sound.size - 1, times), np.arange(sound.size), sound)


def reverberant(sound: acoustics.Sound) -> acoustics.Sound:
    """The same in a tiled room: 0.4 s until its echo is 60 dB softer."""
    at_s = np.arange(acoustics.frames(REVERBERATION_S)) / acoustics.HZ
    echo = np.random.default_rng(2).normal(size=at_s.size) * np.exp(-6.9 * at_s / REVERBERATION_S)
    echo *= 1 / np.sqrt(np.sum(echo**2))
    size = 1 << (sound.size + echo.size).bit_length()
    echoed = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(echo, size), size)[: sound.size + echo.size]
    echoed[: sound.size] += sound
    return echoed


def print_hits(name: str, make: Callable[[], Any], spoken: Sequence[Utterance]) -> None:
    """The table by noise, ratio and card; below it the same people as children."""
    print(f"\n{name}: of {len(spoken)} utterances heard (of these, beginning late by more than {PRE_ROLL_S} s)")
    print(f"{'noise':<24}" + "".join(f"{f'{ratio} dB':>11}" for ratio in RATIOS_DB) + "   latest  told after")
    for card_name, card in acoustics.CARDS.items():
        for noise_name, made in acoustics.BACKGROUNDS.items():
            noise = np.tile(made(np.random.default_rng(11), LEAD_S + 60), 2)
            cells = [cell(make, spoken, noise, ratio, card) for ratio in RATIOS_DB]
            row = "".join(f"{f'{one.hits} ({one.late})':>11}" for one in cells)
            latest_s = max(one.latest_s for one in cells)
            print(f"{noise_name + card_name:<24}{row}{latest_s:>7.2f} s {cells[0].told_s:>6.2f} s")
    noise = np.tile(acoustics.white(np.random.default_rng(11), LEAD_S + 60), 2)
    for times in HIGHER:
        children = [one._replace(sound=higher(one.sound, times)) for one in spoken]
        hits = [cell(make, children, noise, ratio, acoustics.plain_card).hits for ratio in (20, 10)]
        print(f"white, {times} times as high: {hits[0]} at 20 dB, {hits[1]} at 10 dB")


def print_false(name: str, make: Callable[[], Any]) -> None:
    """Rooms and apparatus."""
    print(f"{name}: openings that nobody spoke for, in {len(FALSE_SEEDS)} times {FALSE_S:.0f} s")
    for card_name, card in acoustics.CARDS.items():
        row = []
        for room_name, room in {**acoustics.NOISES, **acoustics.BACKGROUNDS}.items():
            heard = (card(room(np.random.default_rng(seed), FALSE_S), None)[0] for seed in FALSE_SEEDS)
            row.append(f"{room_name} {sum(false_openings(make, sound) for sound in heard)}")
        print(f"  {(card_name or 'plain card').lstrip(', ')}: {', '.join(row)}")
    print(f"{name}: sounds of apparatus that open it")
    quiet = acoustics.silence(np.random.default_rng(5), LEAD_S + 10)
    fan = acoustics.fan(np.random.default_rng(5), LEAD_S + 10)
    for sound_name, all_of_kind in tones.SOUNDS.items():
        sounds = list(all_of_kind())
        echoed = [reverberant(sound) for sound in sounds]
        silent, beside, tiled = (
            sounds_that_open(make, sounds, quiet),
            sounds_that_open(make, sounds, fan),
            sounds_that_open(make, echoed, quiet),
        )
        places = f"in silence {silent:>3}, beside a fan {beside:>3}, in a tiled room {tiled:>3}"
        print(f"  {sound_name:<18} {places}, of {len(sounds)}")


def load(path: Path) -> ModuleType:
    """Another ``gate.py``, as a module beside the present one."""
    spec = importlib.util.spec_from_file_location(f"appliance.audio.{path.stem}_compared", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    spec.loader.exec_module(module)
    return module


def main() -> int:
    """Measure and print; 1 if what it needs is not installed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gate", description=__doc__)
    parser.add_argument("--against", type=Path, metavar="FILE", help="another gate.py, measured in the same run")
    arguments = parser.parse_args()
    gates: dict[str, Callable[[], Any]] = {}
    if arguments.against is not None:
        gates[arguments.against.name] = load(arguments.against).Gate
    gates["this gate"] = present.Gate
    try:
        spoken = utterances()
    except MissingError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    for name, make in gates.items():
        print_hits(name, make, spoken)
        print_false(name, make)
    quiet, loud = acoustics.silence(np.random.default_rng(3), COST_S), acoustics.music(np.random.default_rng(3), COST_S)
    print(f"\nprocessor time per second of sound, {BATCH_FRAMES} frames at a time")
    for name, make in gates.items():
        print(f"  {name}: {cost_ms(make, quiet):.2f} ms in silence, {cost_ms(make, loud):.2f} ms in music")
    return 0


if __name__ == "__main__":
    sys.exit(main())
