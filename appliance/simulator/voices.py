"""The recordings in ``voices/`` and generated tones: what the embedded service speaks, and what a demo asks it.

All sound is int16 little-endian mono at ``SAMPLE_HZ``, as bytes.
"""

from __future__ import annotations

import functools
import math
import tomllib
import wave
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import Final, Literal

import numpy as np

SAMPLE_HZ: Final = 24_000
"""The wire's rate (service.md). Here too, because the simulator is another program's side: it must not follow the
daemon's own constant into an error."""

SAMPLE_BYTES: Final = 2
"""int16."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One line of ``voices/manifest.toml``.

    ``text`` is what is said, in Malayalam, ``gloss`` the same in English. ``answer`` is the name of the recording that
    answers a question, "" for an answer.
    """

    name: str
    kind: Literal["question", "answer"]
    text: str
    gloss: str
    answer: str = ""


def bytes_from_ms(milliseconds: float) -> int:
    """Size of that much sound, in whole samples."""
    return round(milliseconds * SAMPLE_HZ / 1000) * SAMPLE_BYTES


def ms_from_bytes(size: int) -> float:
    """How long ``size`` bytes of sound last."""
    return size / SAMPLE_BYTES * 1000 / SAMPLE_HZ


def _folder() -> Traversable:
    return files("appliance.simulator").joinpath("voices")


@functools.cache
def recordings() -> Mapping[str, Recording]:
    """All recordings by name, in the manifest's order."""
    manifest = tomllib.loads(_folder().joinpath("manifest.toml").read_text(encoding="utf-8"))
    return MappingProxyType({entry["name"]: Recording(**entry) for entry in manifest["recording"]})


def questions() -> list[Recording]:
    """The recorded questions, in the manifest's order."""
    return [recording for recording in recordings().values() if recording.kind == "question"]


def answers() -> list[Recording]:
    """The recorded answers, in the manifest's order."""
    return [recording for recording in recordings().values() if recording.kind == "answer"]


@functools.cache
def pcm(name: str) -> bytes:
    """The sound of a recording. Raises KeyError for a name that is not in the manifest."""
    recording = recordings()[name]
    with _folder().joinpath(f"{recording.name}.wav").open("rb") as file, wave.open(file) as reader:
        assert (reader.getframerate(), reader.getnchannels(), reader.getsampwidth()) == (SAMPLE_HZ, 1, SAMPLE_BYTES)
        return bytes(reader.readframes(reader.getnframes()))


def resampled(sound: bytes, hz: int) -> bytes:
    """The same sound with ``hz`` samples a second; straight lines between them, nothing finer."""
    samples = np.frombuffer(sound, dtype="<i2", count=len(sound) // SAMPLE_BYTES)
    places = np.arange(len(samples) * hz // SAMPLE_HZ) * (SAMPLE_HZ / hz)
    return bytes(np.interp(places, np.arange(len(samples)), samples).astype("<i2").tobytes()) if len(samples) else b""


def tone(hz: float, duration_ms: float, peak_dbfs: float = -12.0) -> bytes:
    """A sine that starts at phase 0. ``peak_dbfs`` is of its peak; -12 is loud but far from clipping."""
    samples = np.arange(round(duration_ms * SAMPLE_HZ / 1000))
    peak = 32767 * 10 ** (peak_dbfs / 20)
    sine = peak * np.sin(2 * math.pi * hz / SAMPLE_HZ * samples)
    return bytes(np.round(sine).astype("<i2").tobytes())
