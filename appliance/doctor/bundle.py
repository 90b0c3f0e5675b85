"""The report: one text file, small enough to be sent by phone, with nothing in it that must stay on the box.

What it leaves out: the key (also where somebody put one into the configuration or into a journal line), passwords in
addresses, arguments of programs, instructions to the model, and what people said (also where the owner lets the journal
keep it). The record of the wire, where one is kept, is in it: it holds none of that.
"""

from __future__ import annotations

import json
import platform
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from appliance import __version__
from appliance.config.dump import dump
from appliance.config.loader import Config
from appliance.config.validation import redacted

from .finding import Finding
from .machine import UNIT, MachineFacts

LIBRARIES: Final = ("websockets", "gpiozero", "numpy", "pyaudio", "systemd-python")

JOURNAL_LINES: Final = 150
"""Some 20 KB: a day of a box that works, or the beginning of a fault."""

HISTORY: Final = "/var/lib/voice-appliance/history.json"
"""What a box remembers over a power cut, in its state folder; it holds no word that was said."""

HISTORY_CHARS: Final = 16_384
"""Of its end: the newest."""

RECORD: Final = "/var/lib/voice-appliance/wire.jsonl"
"""The record of the wire, where log.record names no other place: shapes of messages, and no word that was said."""

RECORD_CHARS: Final = 131_072
"""Of its end: some ten turns. `simulate --replay` takes the report as it is."""

TRANSCRIPT: Final = re.compile(r'turn \d+: the person said "')
"""Lines that ``transcripts.journal`` writes."""

PRIVATE: Final = ("instructions", "command", "token_command", "description", "parameters")
"""Settings whose values are the owner's business; that they differ from the default is said."""


async def report(
    config: Config | None,
    status: dict[str, Any] | None,
    findings: Sequence[Finding],
    machine: MachineFacts,
    key: str = "",
) -> str:
    """The whole text. ``config``: None if it is wrong; ``status``: None without a daemon; ``key``: must not be in it;
    empty if it is not known."""
    from appliance.doctor.finding import lines_of

    journal = await machine.ask(
        "journalctl", "--unit", UNIT, "--lines", str(JOURNAL_LINES), "--no-pager", "-o", "short-iso"
    )
    parts = {
        "doctor": [line for finding in findings for line in lines_of(finding)],
        "versions": list(_versions(machine)),
        "configuration, where it differs from the defaults": list(_configuration(config)),
        "status": [] if status is None else [f"{key} = {json.dumps(value)}" for key, value in status.items()],
        "sound cards": machine.text("/proc/asound/cards").splitlines(),
        "history": machine.text(HISTORY)[-HISTORY_CHARS:].splitlines(),
        "the wire's record": _lines_at_end(machine.text((config.log.record if config else "") or RECORD), RECORD_CHARS),
        "journal": [line for line in (journal or "").splitlines() if not TRANSCRIPT.search(line)],
    }
    text = clean(f"\n== {title}\n" + "\n".join(lines or ["nothing"]) + "\n" for title, lines in parts.items())
    return text.replace(key, "…") if key else text


def _lines_at_end(text: str, chars: int) -> list[str]:
    """The last whole lines that fit."""
    if len(text) <= chars:
        return text.splitlines()
    return text[-chars:].partition("\n")[2].splitlines()


def clean(texts: Iterable[str]) -> str:
    """Everything in one, without keys and passwords."""
    text = time.strftime("voice-appliance doctor, %Y-%m-%d %H:%M:%S %z\n") + "".join(texts)
    return "\n".join(redacted(line) for line in text.split("\n"))


def _versions(machine: MachineFacts) -> Iterator[str]:
    yield f"voice-appliance {__version__}"
    for library in LIBRARIES:
        try:
            yield f"{library} {version(library)}"
        except PackageNotFoundError:
            yield f"{library} is not installed"
    yield f"Python {sys.version.split()[0]}, Linux {platform.release()} {platform.machine()}"
    system = re.search(r'^PRETTY_NAME="?([^"\n]*)', machine.text("/etc/os-release"), re.MULTILINE)
    yield system[1] if system else "an unknown system"
    yield machine.text("/proc/device-tree/model") or "not a Raspberry Pi"


def _configuration(config: Config | None) -> Iterator[str]:
    """Its lines that say something else than the defaults, and a person's own tables."""
    if config is None:
        yield "it is wrong; see above"
        return
    table = ""
    for line in dump(config):
        if line.startswith("["):
            table = line
        own = table.startswith("[tools.")
        if "  # default: " not in line and not (own and "=" in line):
            continue
        name = line.partition(" = ")[0]
        yield f"{table} {name} = (not shown)" if name in PRIVATE else f"{table} {line}"
