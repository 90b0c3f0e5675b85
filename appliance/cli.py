"""The command line: which command, how it logs, how it ends.

A command is a module of ``appliance.commands`` with ``add_arguments(parser)`` and ``run(args) -> int`` (its exit code).
Only the module of the command that runs is imported. Every command gets ``args.config`` (a path, or None for the usual
place) and ``args.debug``. A command ends for a known reason by raising an ApplianceError: its text goes to standard
error, one line per problem, and its ``exit_code`` is the process's.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import select
import sys
from collections.abc import Sequence
from typing import NoReturn

from appliance import __version__
from appliance.errors import ApplianceError, UsageError
from appliance.journal import formatters

COMMANDS = {
    "run": "the daemon: what systemd starts",
    "demo": "three conversations on this machine, real or virtual sound card, no account needed",
    "simulate": "a stand-in for the voice service, on this machine only",
    "devices": "the sound devices as the daemon sees them, and which it would take",
    "keys": "the input devices, and what a button box on USB sends",
    "doctor": "look at everything that can be wrong, one line each, with what to do",
    "rehearse": "ask the service one recorded question, and say whether this box will work with it",
    "lights": "everything that the light can say, drawn here and on the box's LED",
    "clips": "what the box says when a press leads to nothing: list, play, render",
    "config": "check the configuration, or show what is in force",
    "provision": "take over key and configuration from the boot partition (systemd does it)",
    "page": "the kiosk's screen: serves it to browsers on this machine",
    "fleet-report": "what the collected journals of many boxes say of them",
    "ctl": "watch and drive a running daemon",
}
"""The commands, each a module of the same name (``_`` for ``-``), in the order of the help."""

EXIT_SOFTWARE = 70
"""EX_SOFTWARE of sysexits.h: a fault of ours."""

EXIT_INTERRUPTED = 128 + 2
"""What a shell reports for a program that SIGINT ended."""

EXIT_PIPE = 128 + 13
"""What a shell reports for a program that SIGPIPE ended."""

STANDARD_OUTPUT = 1
"""Its file descriptor."""


class _Parser(argparse.ArgumentParser):
    """Reports a wrong command line like every other problem, with the exit code of sysexits and not argparse's 2."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that ``arguments`` (the process's own if None) ask for; return the exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show Malayalam shows escapes: better than an end in the middle of a conversation.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    debug = False
    try:
        args = _parse(sys.argv[1:] if arguments is None else arguments)
        debug = args.debug
        formatters.set_up("debug" if debug else "info")
        code: int = args.run(args)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _reader_is_gone():
            return EXIT_PIPE
        if debug:
            logging.getLogger(__name__).debug("ended by", exc_info=error)
        leaves = _leaves(error)
        for line in dict.fromkeys(line for leaf in leaves for line in _lines(leaf)):
            _complain(line)
        codes = [leaf.exit_code if isinstance(leaf, ApplianceError) else EXIT_SOFTWARE for leaf in leaves]
        return EXIT_SOFTWARE if EXIT_SOFTWARE in codes else codes[0]


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command's own arguments, with ``run`` of its module, ``config`` and ``debug``."""
    common = _Parser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--config", metavar="FILE", help="instead of /etc/voice-appliance/config.toml")
    common.add_argument("--debug", action="store_true", help="log everything, and tracebacks of faults")
    commands = "\n".join(f"  {name:14}{purpose}" for name, purpose in COMMANDS.items())
    top = _Parser(
        prog="voice-appliance",
        description="A push-to-talk Malayalam voice box.",
        usage="%(prog)s [--version] [--config FILE] [--debug] COMMAND ...",
        epilog=f"commands:\n{commands}\n\nvoice-appliance COMMAND --help says more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common],
    )
    top.add_argument(
        "--version", action="version", version=f"voice-appliance {__version__}", help="show the version and end"
    )
    top.add_argument("command", metavar="COMMAND", nargs="?", help=argparse.SUPPRESS, choices=list(COMMANDS))
    top.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    args = top.parse_args(arguments, argparse.Namespace(config=None, debug=False))
    if not args.command:
        top.error(f"a command is missing: {', '.join(COMMANDS)}")
    module = importlib.import_module(f"appliance.commands.{args.command.replace('-', '_')}")
    parser = _Parser(prog=f"voice-appliance {args.command}", description=module.__doc__, parents=[common])
    module.add_arguments(parser)
    args = parser.parse_args(args.rest, argparse.Namespace(config=args.config, debug=args.debug))
    args.run = module.run
    return args


def _leaves(error: BaseException) -> list[BaseException]:
    """``error``, or what a TaskGroup has gathered in it."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]


def _lines(error: BaseException) -> list[str]:
    """What a person reads of ``error``. A fault of ours names the place in our code, so that a report is of use."""
    if isinstance(error, ApplianceError):
        return str(error).splitlines() or [type(error).__name__]
    place, traceback = "", error.__traceback__
    while traceback:
        code = traceback.tb_frame.f_code
        if os.path.dirname(__file__) in code.co_filename:
            place = f" at {os.path.relpath(code.co_filename, os.path.dirname(__file__))}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    text = " ".join(str(error).split())
    return [f"internal fault: {type(error).__name__}: {text}{place}"]


def _reader_is_gone() -> bool:
    """True if it is standard output that broke (`ctl watch | head`); nothing more is then written to it."""
    watch = select.poll()
    watch.register(STANDARD_OUTPUT, 0)
    if not any(event & select.POLLERR for _, event in watch.poll(0)):
        return False
    # What is still in Python's buffer is flushed at exit, and would be complained about.
    os.dup2(os.open(os.devnull, os.O_WRONLY), STANDARD_OUTPUT)
    return True


def _complain(line: str) -> None:
    text = f"voice-appliance: {line}"
    print(
        formatters.prioritised(text, logging.ERROR) if formatters.goes_to_journal(sys.stderr) else text, file=sys.stderr
    )
