"""Waiting for things, and comparing what was heard with what was said."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from appliance.config.loader import load
from appliance.config.settings import MicrophoneSettings, SpeakerSettings

Int16 = npt.NDArray[np.int16]


def microphone_settings(**changes: Any) -> MicrophoneSettings:
    """The shipped ones, of the virtual card's microphone, with ``changes``."""
    return replace(load(None).microphone, **{"device": "usbmic", **changes})


def speaker_settings(**changes: Any) -> SpeakerSettings:
    """The same of its speaker."""
    return replace(load(None).speaker, **{"device": "usbspeaker", **changes})


async def until(condition: Callable[[], object], timeout_s: float = 15.0) -> None:
    """Let the loop run until ``condition``; AssertionError if it never comes true."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "waited in vain"
        await asyncio.sleep(0.005)


def until_now(condition: Callable[[], object], timeout_s: float = 15.0) -> None:
    """The same where there is no loop."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "waited in vain"
        time.sleep(0.005)


def hold_up(seconds: float) -> None:
    """Keep the loop's thread busy: what a long garbage collection or a slow disk does to a daemon."""
    time.sleep(seconds)


@contextlib.contextmanager
def held_in_the_kernel(process_id: int | None) -> Iterator[None]:
    """A debugger that does not look keeps the process from its parent when it dies, as a driver that lost its card."""
    debugger = subprocess.Popen((sys.executable, "-c", SEIZE, str(process_id)), stdout=subprocess.PIPE)
    assert debugger.stdout is not None
    try:
        if debugger.stdout.readline() != b"seized\n":
            pytest.skip("this system lets nobody debug a process (ptrace)")
        yield
    finally:
        debugger.kill()
        debugger.wait()
        debugger.stdout.close()


SEIZE = """
import ctypes, sys, time
if ctypes.CDLL(None).ptrace(0x4206, int(sys.argv[1]), None, None) == 0:
    print("seized", flush=True)
    time.sleep(60)
"""
"""0x4206 is PTRACE_SEIZE (linux/ptrace.h): the process goes on."""


def alive(process_id: int | None) -> bool:
    """The process exists, be it only as a zombie."""
    return os.path.exists(f"/proc/{process_id}")


def environment_of(process_id: int | None) -> set[str]:
    """Names of the variables that the process was started with."""
    with open(f"/proc/{process_id}/environ") as environment:
        return {line.partition("=")[0] for line in environment.read().split("\0")}


def babble(seconds: float, hz: int = 24_000, seed: int = 1) -> Int16:
    """Noise of about the band and loudness of speech: unlike a tone it fits itself at one lag only."""
    noise = np.random.default_rng(seed).standard_normal(round(seconds * hz) + 32)
    smooth = np.convolve(noise, np.hanning(hz // 1500), mode="valid")[: round(seconds * hz)]
    return np.asarray(smooth / np.abs(smooth).max() * 12_000, dtype=np.int16)


def lag_of(part: Int16, whole: Int16) -> int:
    """Where ``part`` begins in ``whole``."""
    size = 1 << (part.size + whole.size).bit_length()
    spectrum = np.fft.rfft(whole.astype(np.float64), size) * np.conj(np.fft.rfft(part.astype(np.float64), size))
    return int(np.argmax(np.fft.irfft(spectrum, size)[: whole.size]))


def likeness(part: Int16, whole: Int16, lag: int) -> float:
    """1 where ``whole`` at ``lag`` is ``part``, whatever its loudness; 0 where they have nothing in common."""
    heard = whole[lag : lag + part.size].astype(np.float64)
    if heard.size < part.size:
        return 0.0
    said = part.astype(np.float64)
    return float(heard @ said / np.sqrt((heard @ heard) * (said @ said) + 1e-9))


def worst_likeness(part: Int16, whole: Int16, lag: int, hz: int, piece_s: float = 0.1) -> float:
    """The least likeness of any piece, all at one lag: a frame lost or repeated anywhere makes it small."""
    step = round(piece_s * hz)
    return min(likeness(part[at : at + step], whole, lag + at) for at in range(0, part.size - step + 1, step))
