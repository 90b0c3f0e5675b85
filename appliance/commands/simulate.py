"""A stand-in for the voice service, for tests, installers and demonstrations. It listens on this machine only."""

from __future__ import annotations

import argparse
import asyncio
import signal
import textwrap
from pathlib import Path

from appliance.errors import ConfigurationError, UnavailableError, UsageError
from appliance.simulator import catalog, readings

DEFAULT_PORT = 8765
"""Unprivileged, and the one that the examples of the websockets library use."""

LAST_PORT = 65_535
"""TCP's last."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """All optional: without any it is a good service in the mode that the client's model asks for."""
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, metavar="N", help="default %(default)s; 0: a free one"
    )
    parser.add_argument("--mode", choices=["simple", "premium"], help="instead of what the model's name says")
    parser.add_argument("--parrot", action="store_true", help="answer with the caller's own words")
    parser.add_argument("--scenario", type=Path, metavar="FILE", help="what goes wrong, and when (TOML)")
    parser.add_argument(
        "--reading",
        action="append",
        default=[],
        metavar="NAME",
        help="play a service that reads the page in this way; may be given several times",
    )
    parser.add_argument("--list-readings", action="store_true", help="say what each reading does, and end")
    parser.add_argument(
        "--fields", choices=["lean", "openai"], default="lean", help="what events carry: the page's fields, or OpenAI's"
    )
    parser.add_argument("--replay", type=Path, metavar="FILE", help="as the service behaved that this record is of")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    names = textwrap.fill(", ".join(catalog.names()), 78, break_on_hyphens=False)
    parser.epilog = f"readings:\n{textwrap.indent(names, '  ')}"
    parser.add_argument("--key", metavar="KEY", help="the only key that is accepted; otherwise any is")


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM; 0. Raises ConfigurationError for a bad scenario, UsageError for what is no port or
    no reading, UnavailableError for a port that cannot be had."""
    if args.list_readings:
        print(catalog.described())
        return 0
    if not 0 <= args.port <= LAST_PORT:
        raise UsageError(f"--port must be from 0 to {LAST_PORT}, not {args.port}")
    if args.replay and (args.scenario or args.mode or args.parrot or args.key):
        raise UsageError("--replay is the whole behaviour; only --port goes with it")
    # Here, so that `simulate --help` does not load numpy and websockets.
    from appliance.simulator import scenario_file, script
    from appliance.simulator.replay import Replay
    from appliance.simulator.service import Service
    from appliance.simulator.settings import SimulatorSettings
    from appliance.simulator.shape import FieldSet

    settings = SimulatorSettings(
        port=args.port,
        mode=args.mode,
        key=args.key,
        parrot=args.parrot,
        keep_records=False,
        reply_delay_ms=300,
        reading=_reading(args.reading),
        fields=FieldSet(args.fields),
    )
    scenario = scenario_file.load(args.scenario) if args.scenario else None

    played = script.load(args.replay) if args.replay else None

    async def serve() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        try:
            async with Replay(played, args.port) if played else Service(settings, scenario) as service:
                print(f"listening on {service.url}; Ctrl-C ends it", flush=True)
                await stop.wait()
        except OSError as error:
            raise UnavailableError(f"cannot listen on port {args.port}: {error.strerror}") from None

    asyncio.run(serve())
    return 0


def _reading(names: list[str]) -> readings.Reading:
    try:
        return readings.named(names)
    except ConfigurationError as error:
        raise UsageError("; ".join(error.problems)) from None
