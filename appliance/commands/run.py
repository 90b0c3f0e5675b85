"""The daemon: what systemd starts. Ends with 78 when the configuration is wrong, so that systemd does not try again."""

from __future__ import annotations

import argparse
import sys

from appliance import config, logs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The daemon takes everything from its configuration."""


def run(args: argparse.Namespace) -> int:
    """Run until stopped. Raises ConfigurationError."""
    settings = config.load(args.config)
    level = "debug" if args.debug else settings.log.level
    logs.set_up(level)
    # Last, so that a wrong configuration is said at once and not after a second of imports on a Pi.
    from appliance import service

    def to_journal(running: service.Service) -> None:
        if logs.goes_to_journal(sys.stderr):
            from appliance.edge.journal import JournalHandler

            logs.set_up(level, handler=JournalHandler(running.around))

    return service.run(settings, lambda: config.load(args.config), to_journal)
