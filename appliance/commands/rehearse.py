"""Ask the configured service one spoken question, and say whether this box will work with it.

A recorded question takes the place of a person: no microphone, no speaker and no button are needed, and a running
daemon is left alone. It costs one connection and some seconds of credits. Shown is everything that goes over the wire,
without a word of it, then how the service follows its protocol, then the verdict.

Ends with 0 if the box will work with the service, with 2 if not.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
from pathlib import Path
from typing import Any, Final

from appliance.config import loader
from appliance.doctor import rehearsal, setup
from appliance.doctor.finding import exit_code
from appliance.errors import UsageError
from appliance.link import event_loop
from appliance.realtime.observed import audio_bytes
from appliance.simulator import voices

NAME_WIDTH: Final = 14
"""The longest name of an observation."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its own options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--record", type=Path, metavar="FILE", help="keep what the service did, for simulate --replay")


def run(args: argparse.Namespace) -> int:
    """Rehearse; 0 or 2. Raises ConfigurationError, and UsageError for a file that cannot be."""
    if not args.debug:
        # What the box would tell the journal of one turn is in what is shown.
        logging.getLogger("appliance").setLevel(logging.ERROR)
    if args.record is not None and not args.record.parent.is_dir():
        raise UsageError(f"--record {args.record}: there is no such folder")
    question = voices.recordings()[rehearsal.QUESTION]
    print(f'asking "{question.gloss}" ...', flush=True)
    shown = Shown()

    settings = loader.load(args.config)

    async def credential() -> str:
        return await setup.credential(settings.credentials)

    record = str(args.record.absolute()) if args.record is not None else ""
    with asyncio.Runner(loop_factory=event_loop.Loop) as runner:
        rehearsed = runner.run(rehearsal.rehearse(args.config, credential, shown.line, record))
    shown.end()
    if rehearsed.seen:
        print("what the service does:")
        for seen in rehearsed.seen:
            print(f"  {seen.name:<{NAME_WIDTH}} {seen.line}")
    finding = rehearsal.judged(rehearsed)
    print(finding.line)
    if finding.fix:
        print(f"-> {finding.fix}")
    return exit_code([finding])


class Shown:
    """Prints the lines of a record as they come. A run of one kind is one line, and so are the pieces of an answer, its
    audio and its words, each."""

    def __init__(self) -> None:
        self._runs: dict[tuple[str, str], list[dict[str, Any]]] = {}

    def line(self, line: dict[str, Any]) -> None:
        """The next one."""
        kind = line["way"], line["type"]
        pieces = all(type_.endswith(".delta") for _, type_ in (*self._runs, kind))
        if kind not in self._runs and not pieces:
            self.end()
        self._runs.setdefault(kind, []).append(line)

    def end(self) -> None:
        """Print what has not been printed."""
        for lines in self._runs.values():
            print(_of_run(lines), flush=True)
        self._runs = {}


def _of_run(lines: list[dict[str, Any]]) -> str:
    first, last = lines[0], lines[-1]
    parts = [first["type"] or "unreadable", *_details(first)]
    if size := sum(map(audio_bytes, lines)):
        parts.append(f"{voices.ms_from_bytes(size) / 1000:.2f} s of audio")
    if len(lines) > 1:
        parts.append(f"{len(lines)} times, until {last['t']:.3f}")
    return f"{first['t']:9.3f} {first['way']} {', '.join(parts)}"


def _details(line: dict[str, Any]) -> list[str]:
    """What identifies it: of a connection its own facts, of an event its ids, codes and states."""
    if line["way"] == "=":
        names = ("host", "what", "status", "by", "code")
        return [f"{name} {line[name]}" for name in names if line.get(name)]
    fields = line.get("fields", {})
    inner = [fields[name] for name in ("response", "error", "item") if isinstance(fields.get(name), dict)]
    known = ("response_id", "call_id", "name", "id", "status", "type", "code")
    values = [(name, table[name]) for table in (fields, *inner) for name in known if name in table]
    return [f"{name} {value}" for name, value in values if isinstance(value, str) and "(" not in value]
