"""The spoken clips that say what to do: which there are, how they sound, and how they are made.

list           name, language, length and text of each, and the owner's recordings that replace them (the default)
play [NAME]    all of them, or one, on the box's speaker; stop a daemon that runs first (systemctl stop voice-appliance)
render         makes them anew from clips/texts.toml, with espeak-ng and sox
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import subprocess
import tempfile
from typing import Final

from appliance.config import loader
from appliance.errors import UnavailableError, UsageError

VOICES: Final = {"ml": "ml+f2", "en": "en-gb+f2"}
"""espeak-ng's, in the female variant f2, as the answers of the embedded service."""

WORDS_PER_MINUTE: Final = 145
"""Instead of 175: clear on a small speaker."""

SOX_EFFECTS: Final = (
    "rate -v 24000 highpass 60 reverse silence 1 0.005 0.5% fade t 0.005 "
    "reverse silence 1 0.005 0.5% fade t 0.005 norm -6"
)
"""Trim both ends at -46 dB, 5 ms fades so that nothing clicks, peak at -6 dB."""

OPEN_TIMEOUT_S: Final = 10.0
"""The sound host looks for the speaker every 2 s; a slow USB card takes two of those."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do, and with which."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("action", nargs="?", choices=["list", "play", "render"], default="list", help="see above")
    parser.add_argument("name", metavar="NAME", nargs="?", help="play: only this one")
    parser.add_argument("--into", metavar="FOLDER", help="render: where to, instead of the package's own folder")


def run(args: argparse.Namespace) -> int:
    """Do it; 0. Raises ConfigurationError, UnavailableError and UsageError."""
    from appliance.audio import clips

    if args.action == "render":
        render(args.into or clips.FOLDER)
        return 0
    settings = loader.load(args.config)
    store = clips.Clips(settings.panel.language, settings.panel.clips_dir)
    names = list(clips.texts())
    if args.name and args.name not in names:
        raise UsageError(f"no such clip: {args.name}; there are: {', '.join(names)}")
    store.check()
    if args.action == "play":
        asyncio.run(play(settings, store, [args.name] if args.name else names))
        return 0
    for name in names:
        spoken = store.spoken(name)
        print(f"{name:<6} {spoken.length_s:.1f} s{f', {spoken.path}' if spoken.path else ''}")
        for language, text in clips.texts()[name].items():
            print(f"       {language}  {text}")
    return 0


async def play(settings: loader.Config, store: object, names: list[str]) -> None:
    """Let the speaker of ``settings`` say them, one after the other. ``store``: an ``audio.clips.Clips``."""
    from appliance.audio.clips import Clips
    from appliance.audio.player import Player
    from appliance.audio.speaker import Speaker, SpeakerEvent, SpeakerLost

    assert isinstance(store, Clips)
    why = "it does not answer"

    def on_event(event: SpeakerEvent) -> None:
        nonlocal why
        if isinstance(event, SpeakerLost):
            why = event.reason
        changed.set()

    changed = asyncio.Event()
    player = Player(volume=settings.speaker.volume)
    speaker = Speaker(settings.speaker, player, on_event)
    running = asyncio.create_task(speaker.run())
    try:
        async with asyncio.timeout(OPEN_TIMEOUT_S):
            while speaker.device is None:
                changed.clear()
                await changed.wait()
        for name in names:
            print(name, flush=True)
            spoken = store.spoken(name)
            player.earcon(spoken.samples)
            await asyncio.sleep(spoken.length_s + speaker.latency_s + 0.5)
    except TimeoutError:
        raise UnavailableError(f"no speaker: {why}") from None
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


def render(folder: str) -> None:
    """Make every file of the texts in ``folder``. Raises UnavailableError without the programs, or if one fails."""
    from appliance.audio.clips import texts

    missing = [program for program in ("espeak-ng", "sox") if shutil.which(program) is None]
    if missing:
        raise UnavailableError(f"{' and '.join(missing)} not found: apt-get install espeak-ng sox")
    with tempfile.TemporaryDirectory() as scratch:
        raw = os.path.join(scratch, "raw.wav")
        for name, spoken in texts().items():
            for language, text in spoken.items():
                path = os.path.join(folder, f"{name}.{language}.au")
                voice = ("-v", VOICES[language], "-s", str(WORDS_PER_MINUTE), "-p", "55", "-g", "1")
                _execute("espeak-ng", *voice, "-w", raw, "--", text)
                # -R: a fixed seed of dither, the same bytes each time.
                form = ("-r", "24000", "-c", "1", "-e", "mu-law", "--comment", "")
                _execute("sox", "-R", raw, *form, path, *SOX_EFFECTS.split())


def _execute(*command: str) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        said = ended.stderr.strip().rpartition("\n")[2]
        raise UnavailableError(f"{command[0]} failed: {said or f'status {ended.returncode}'}")
