"""A sound library that hangs or spins inside one of its functions: the host is replaced, and the other lives on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.audio.microphone import Microphone, MicrophoneEvent, MicrophoneGone, MicrophoneOpened
from appliance.audio.player import Player
from appliance.audio.ring import Ring
from appliance.audio.speaker import Speaker, SpeakerEvent, SpeakerLost, SpeakerOpened
from appliance.simulator.virtual_card import VirtualCard
from tests.support.sound_host import alive, microphone_settings, speaker_settings, until

REPLACED_S = 3.0


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs gcc")
    library = tmp_path_factory.mktemp("shim") / "hang.so"
    source = Path(__file__).with_name("hang.c")
    subprocess.run((compiler, "-shared", "-fPIC", "-O1", "-o", library, source), check=True)
    return library


@pytest.fixture
def hang(shim: Path, virtual_card: VirtualCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that tells hosts where to hang. They are started with the library preloaded."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nLD_PRELOAD={shim} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


class Sound:
    """A microphone and a speaker that run, and what they have said."""

    def __init__(self, period_ms: int = 10) -> None:
        self.events: list[MicrophoneEvent | SpeakerEvent] = []
        self.ring = Ring(240_000)
        self.microphone = Microphone(microphone_settings(), self.ring, self.events.append)
        self.speaker = Speaker(speaker_settings(period_ms=period_ms), Player(), self.events.append)
        self.tasks: list[asyncio.Task[Any]] = [
            asyncio.create_task(part.run()) for part in (self.microphone, self.speaker)
        ]

    def count(self, kind: type[MicrophoneEvent | SpeakerEvent]) -> int:
        return sum(isinstance(event, kind) for event in self.events)

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@contextlib.asynccontextmanager
async def running(period_ms: int = 10) -> Any:
    sound = Sound(period_ms)
    try:
        yield sound
    finally:
        await sound.end()


@pytest.mark.parametrize("how", ["hangs", "spins"])
@pytest.mark.parametrize(("function", "side"), [("read", "microphone"), ("write", "speaker")])
async def test_while_it_runs(hang: Path, function: str, side: str, how: str) -> None:
    async with running() as sound:
        await until(lambda: sound.microphone.device and sound.speaker.device)
        await until(lambda: sound.ring.end > 0)
        part, other = getattr(sound, side), sound.speaker if side == "microphone" else sound.microphone
        hung, unharmed = part.process_id, other.process_id
        (hang / "hang").write_text(f"{function} {how}")
        hung_s = time.monotonic()
        await until(lambda: part.device is None)
        (hang / "hang").unlink()
        await until(lambda: part.device is not None)
        assert time.monotonic() - hung_s < REPLACED_S
        assert not alive(hung)
        assert part.process_id != hung
        assert other.process_id == unharmed
        assert (hang / "hung").exists()
    # Each side once for itself: no other event was seen.
    lost: Callable[[type[Any]], int] = sound.count
    assert (lost(MicrophoneGone), lost(SpeakerLost)) == ((1, 0) if side == "microphone" else (0, 1))


@pytest.mark.parametrize(
    ("function", "side", "period_ms"),
    # A speaker with such long periods is closed, to be opened with shorter ones.
    [
        ("open-microphone", "microphone", 10),
        ("open-speaker", "speaker", 10),
        ("read", "microphone", 10),
        ("close", "speaker", 40),
    ],
)
async def test_while_it_is_opened(hang: Path, function: str, side: str, period_ms: int) -> None:
    (hang / "hang").write_text(f"{function} hangs")
    async with running(period_ms) as sound:
        part = getattr(sound, side)
        await until((hang / "hung").exists)
        hung_s, hung = time.monotonic(), part.process_id
        (hang / "hang").unlink()
        await until(lambda: part.process_id not in (None, hung))
        assert time.monotonic() - hung_s < REPLACED_S
        assert not alive(hung)
        await until(lambda: sound.microphone.device and sound.speaker.device)
        opened = sound.count(MicrophoneOpened if side == "microphone" else SpeakerOpened)
        assert opened == (2 if function == "read" else 1)


def test_the_shim_is_in_the_host(hang: Path) -> None:
    """The tests above would hold without it, too, if hosts hung by themselves."""
    program = "import os, time\nprint(open('/proc/self/maps').read())"
    maps = subprocess.run((sys.executable, "-c", program), capture_output=True, text=True, check=True, env=os.environ)
    assert "hang.so" in maps.stdout
