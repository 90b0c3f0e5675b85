"""Rooms as a microphone hears them, made up: the same each time. float64 at int16 scale, mono, 24 kHz."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from appliance.simulator import voices

HZ = 24_000

Sound = npt.NDArray[np.float64]


def frames(seconds: float) -> int:
    return round(seconds * HZ)


def at_dbfs(sound: Sound, dbfs: float) -> Sound:
    """At that root mean square level."""
    gain = 32768 * 10 ** (dbfs / 20) / float(np.sqrt(np.mean(sound**2)))
    return sound * gain


def spoken(name: str, dbfs: float) -> Sound:
    """One of the recorded sentences."""
    return at_dbfs(np.frombuffer(voices.pcm(name), dtype="<i2").astype(np.float64), dbfs)


def to_int16(sound: Sound) -> npt.NDArray[np.int16]:
    return np.clip(np.rint(sound), -32768, 32767).astype(np.int16)


def _times(seconds: float) -> Sound:
    return np.arange(frames(seconds)) / HZ


def _noise(random: np.random.Generator, seconds: float, db_per_octave: float) -> Sound:
    """Noise whose spectrum falls by so much."""
    count = frames(seconds)
    hz = np.maximum(np.fft.rfftfreq(count, 1 / HZ), 60.0)
    spectrum = np.fft.rfft(random.normal(size=count)) * (hz / 1000) ** (-db_per_octave / 6.02)
    return np.fft.irfft(spectrum, count)


Make = Callable[[np.random.Generator, float], Sound]
"""A sound of so many seconds, as chance has it."""

KEPT = 4
"""Sounds of each kind that are kept."""

KEPT_S = 100.0
"""The longest of them; a minute is 12 MB."""


def _kept(make: Make) -> Make:
    """Makes the sound of a generator in one and the same state once: most tests hear one room at many levels."""
    made: OrderedDict[tuple[str, float], tuple[Sound, Any]] = OrderedDict()

    @functools.wraps(make)
    def kept(random: np.random.Generator, seconds: float) -> Sound:
        key = (repr(random.bit_generator.state), seconds)
        if key in made:
            made.move_to_end(key)
            sound, random.bit_generator.state = made[key]
            return sound
        sound = make(random, seconds)
        if seconds > KEPT_S:
            return sound
        sound.flags.writeable = False
        made[key] = (sound, random.bit_generator.state)
        if len(made) > KEPT:
            made.popitem(last=False)
        return sound

    return kept


def silence(random: np.random.Generator, seconds: float, dbfs: float = -78.0) -> Sound:
    """What a microphone makes of a quiet room."""
    return at_dbfs(random.normal(size=frames(seconds)), dbfs)


@_kept
def _fan(random: np.random.Generator, seconds: float) -> Sound:
    at_s = _times(seconds)
    sound = at_dbfs(_noise(random, seconds, 3.6), 0.0) / 32768
    turned = 2 * np.pi * np.cumsum(87 * (1 + 0.002 * np.sin(0.6 * at_s))) / HZ
    for harmonic in range(1, 6):
        sound += 0.35 / harmonic * np.sin(harmonic * turned)
    sway_db = 1.0 * np.sin(1.45 * at_s) + 0.7 * np.sin(10.7 * at_s)
    return np.asarray(sound * 10 ** (sway_db / 20))


def fan(random: np.random.Generator, seconds: float, dbfs: float = -45.0) -> Sound:
    """A ceiling fan: rushing, a hum of its blades, a slow sway."""
    return at_dbfs(_fan(random, seconds), dbfs)


def switched_fan(random: np.random.Generator, seconds: float, dbfs: float = -40.0) -> Sound:
    """The same fan, switched on and off all the time: each 40 s."""
    at_s = _times(seconds) % 40
    running = np.clip((at_s - 5) / 0.7, 0, 1) * np.clip((30 - at_s) / 2, 0, 1)
    return fan(random, seconds, dbfs) * running + silence(random, seconds)


@_kept
def _rain(random: np.random.Generator, seconds: float) -> Sound:
    sound = _noise(random, seconds, 0.6)
    sound /= np.std(sound)
    for begin in random.integers(0, sound.size - 400, frames(seconds) // 1600):
        sound[begin : begin + 400] += random.uniform(2, 8) * np.exp(-np.arange(400) / 60) * random.normal(size=400)
    return sound


def rain(random: np.random.Generator, seconds: float, dbfs: float = -42.0) -> Sound:
    """On a tin roof: hiss, and single drops."""
    return at_dbfs(_rain(random, seconds), dbfs)


def crockery(random: np.random.Generator, seconds: float, peak_dbfs: float = -8.0) -> Sound:
    """A tea shop's: cups, taps, doors, some every two seconds."""
    sound = np.zeros(frames(seconds))
    at_s = _times(0.25)
    begin_s = 1.0
    while begin_s < seconds - 1:
        kind = random.integers(3)
        if kind == 0:
            bang = np.exp(-at_s / 0.03) * random.normal(size=at_s.size)
        elif kind == 1:
            hz = random.uniform(1500, 5000)
            bang = np.exp(-at_s / 0.05) * (np.sin(2 * np.pi * hz * at_s) + np.sin(3.02 * np.pi * hz * at_s))
        else:
            bang = np.exp(-at_s / 0.06) * np.sin(2 * np.pi * random.uniform(70, 200) * at_s)
        begin = frames(begin_s)
        sound[begin : begin + at_s.size] += bang * random.uniform(0.3, 1)
        begin_s += random.exponential(2.0) + 0.05
    gain = 32768 * 10 ** (peak_dbfs / 20) / float(np.abs(sound).max())
    return sound * gain + silence(random, seconds)


@_kept
def _music(random: np.random.Generator, seconds: float) -> Sound:
    beat_s = 0.5
    sound = np.zeros(frames(seconds + 4))

    def note(begin_s: float, hz: float, length_s: float, fall_s: float, loud: float, harmonics: int) -> None:
        at_s = _times(length_s)
        turned = 2 * np.pi * np.cumsum(hz * (1 + 0.004 * np.sin(34.6 * at_s))) / HZ
        turning = np.exp(1j * turned)
        harmonic, tone = turning, turning.imag.copy()
        for number in range(2, harmonics + 1):
            harmonic = harmonic * turning
            tone += harmonic.imag / number**1.4
        begin = frames(begin_s)
        sound[begin : begin + at_s.size] += loud * np.minimum(at_s / 0.01, 1) * np.exp(-at_s / fall_s) * tone

    for beat in range(int(seconds / beat_s)):
        begin_s = beat * beat_s
        root_hz = 110 * 2 ** ((0, 5, 7, 3, 8, 5, 10, 7)[beat // 4 % 8] / 12)
        if beat % 4 == 0:
            for interval in (12, 16, 19):
                note(begin_s, root_hz * 2 ** (interval / 12), 4 * beat_s, 1.5, 0.25, 6)
        note(begin_s, root_hz, beat_s, 0.25, 0.5, 4)
        for half in range(2):
            if random.random() < 0.75:
                hz = root_hz * 2 ** ((24 + random.choice([0, 2, 4, 7, 9, 12])) / 12)
                note(begin_s + half * beat_s / 2, hz, float(random.choice([0.25, 0.5])), 0.4, 0.4, 7)
        at_s = _times(0.15)
        drum = np.sin(2 * np.pi * 80 * at_s) if beat % 2 == 0 else random.normal(size=at_s.size)
        sound[frames(begin_s) : frames(begin_s) + at_s.size] += np.exp(-at_s / 0.05) * drum
    return sound[: frames(seconds)]


def music(random: np.random.Generator, seconds: float, dbfs: float = -32.0) -> Sound:
    """A band from a loudspeaker: chords, a bass, a tune with vibrato, drums."""
    return at_dbfs(_music(random, seconds), dbfs)


NOISES: dict[str, Callable[[np.random.Generator, float], Sound]] = {
    "silence": silence,
    "fan": fan,
    "switched fan": switched_fan,
    "rain": rain,
    "crockery": crockery,
    "music": music,
}
"""Rooms in which nobody speaks, each as loud as it usually is."""


def with_questions(
    noise: Sound, dbfs: float, every_s: float, first_s: float = 10.0
) -> tuple[Sound, list[tuple[float, str]]]:
    """Recorded questions spoken into ``noise`` at that level; and when each begins, in seconds, with its name."""
    names = [question.name for question in voices.questions()]
    sound = noise.copy()
    asked: list[tuple[float, str]] = []
    while frames(first_s + every_s) < sound.size:
        name = names[len(asked) % len(names)]
        question = spoken(name, dbfs)
        sound[frames(first_s) : frames(first_s) + question.size] += question
        asked.append((first_s, name))
        # Never at the same place in a frame.
        first_s += every_s + 0.0137
    return sound, asked


def white(random: np.random.Generator, seconds: float, dbfs: float = -45.0) -> Sound:
    """An air conditioner's rush."""
    return at_dbfs(random.normal(size=frames(seconds)), dbfs)


@_kept
def _babble(random: np.random.Generator, seconds: float) -> Sound:
    talk = [spoken(recording.name, -26.0) for recording in voices.recordings().values()]
    sound = np.zeros(frames(seconds))
    for _ in range(8):
        order = random.permutation(len(talk))
        # Other people than those who ask: as much as 20 % higher or lower.
        faster = random.uniform(0.8, 1.25)
        said = np.concatenate([talk[index] for index in order])
        said = np.interp(np.arange(0, said.size - 1, faster), np.arange(said.size), said)
        sound += np.resize(np.roll(said, int(random.integers(said.size))), sound.size)
    return sound


def babble(random: np.random.Generator, seconds: float, dbfs: float = -45.0) -> Sound:
    """Eight people who talk at once, none of them to the box."""
    return at_dbfs(_babble(random, seconds), dbfs)


@_kept
def _traffic(random: np.random.Generator, seconds: float) -> Sound:
    at_s = _times(seconds)
    sound = _noise(random, seconds, 6.0)
    sound /= np.std(sound)
    passing = np.ones(at_s.size)
    for begin_s in np.cumsum(random.exponential(6.0, int(seconds / 3) + 1)):
        passing += random.uniform(0.5, 2.0) * np.exp(-(((at_s - begin_s) / random.uniform(0.8, 2.0)) ** 2))
    return sound * passing


def traffic(random: np.random.Generator, seconds: float, dbfs: float = -45.0) -> Sound:
    """A street: a rumble, and cars that pass."""
    return at_dbfs(_traffic(random, seconds), dbfs)


BACKGROUNDS: dict[str, Callable[[np.random.Generator, float], Sound]] = {
    "white": white,
    "babble": babble,
    "traffic": traffic,
}
"""What people speak above, in the table of hits."""


Card = Callable[[Sound, float | None], tuple[Sound, float]]
"""What a sound card makes of a sound: it is given its gain in dB at the beginning (None: from its switch-on), and
returns the gain at the end, too."""


def plain_card(sound: Sound, gain_db: float | None) -> tuple[Sound, float]:
    """One that leaves it as it is."""
    return sound, 0.0


AGC_DBFS = -20.0
AGC_MOST_DB = 30.0
AGC_STEP_S = 0.010


def agc_card(sound: Sound, gain_db: float | None) -> tuple[Sound, float]:
    """One with a gain control of its own: up to 30 dB, down within some 20 ms, up by 10 dB a second."""
    step = frames(AGC_STEP_S)
    gain = AGC_MOST_DB if gain_db is None else gain_db
    steps = -(-sound.size // step)
    gains = np.empty(steps + 1)
    gains[0] = gain
    for number in range(steps):
        part = sound[number * step : (number + 1) * step]
        level = 10 * np.log10(np.mean(part**2) / 32768**2 + 1e-12)
        wanted = min(AGC_DBFS - level, AGC_MOST_DB)
        gain += 0.5 * (wanted - gain) if wanted < gain else min(10 * AGC_STEP_S, wanted - gain)
        gains[number + 1] = gain
    gain_db_at = np.interp(np.arange(sound.size), np.arange(steps + 1) * step, gains)
    return sound * 10 ** (gain_db_at / 20), gain


CARDS: dict[str, Card] = {"": plain_card, ", gain control": agc_card}
"""What is put behind the name of a noise, and the card."""
