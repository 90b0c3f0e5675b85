"""Look at everything that can be wrong with a box, one line each, with what to do.

It opens one session with the service (one connection, no audio), asks for a word into the microphone, plays a few
tones, waits for a press and walks through the light. With the daemon running all of that goes through its control
socket, and the daemon is as before afterwards. Last, if somebody says yes to it, the service is asked one recorded
question (voice-appliance rehearse shows more of that).

Ends with 0 when nothing is wrong, 1 when something could be better, 2 when something does not work.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
from pathlib import Path

from appliance.doctor import setup
from appliance.doctor.doctor import Doctor
from appliance.doctor.finding import Finding, _row, exit_code, lines_of
from appliance.doctor.machine import MachineFacts
from appliance.doctor.person import Person
from appliance.errors import UsageError
from appliance.link import event_loop


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How it talks."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--no-ask", action="store_true", help="ask nobody anything, and play nothing; for scripts")
    parser.add_argument("--json", action="store_true", help="one JSON object at the end, for programs")
    parser.add_argument("--bundle", type=Path, metavar="FILE", help="write a report without secrets, to be sent on")


def run(args: argparse.Namespace) -> int:
    """Look; the exit code of the worst finding. Raises UsageError if the report cannot be written."""
    if not args.debug:
        # What the parts would log is in the findings, in the same words.
        logging.getLogger("appliance").setLevel(logging.CRITICAL)
    person = Person(asks=not args.no_ask and sys.stdin.isatty())
    with asyncio.Runner(loop_factory=event_loop.Loop) as runner:
        findings = runner.run(_examined(args, person))
    if args.json:
        rows = [_row(finding) for finding in findings]
        print(json.dumps({"exit_code": exit_code(findings), "findings": rows}, indent=1, ensure_ascii=False))
    return exit_code(findings)


async def _examined(args: argparse.Namespace, person: Person) -> list[Finding]:
    machine = MachineFacts()
    doctor = Doctor(args.config, machine, person)
    findings = []
    async for finding in doctor.findings():
        findings.append(finding)
        if not args.json:
            print("\n".join(lines_of(finding)), flush=True)
    if args.bundle is not None:
        from appliance.doctor import bundle

        key = setup.visible_key(doctor.settings.credentials) if doctor.settings is not None else ""
        text = await bundle.report(doctor.settings, doctor.status, findings, machine, key)
        try:
            args.bundle.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"--bundle {args.bundle}: {error.strerror}; name a place that can be written") from None
        print(f"the report is in {args.bundle}, {len(text.encode()) // 1024 + 1} KB", file=sys.stderr)
    return findings
