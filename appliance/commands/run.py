"""The daemon: what systemd starts. Ends with 78 when the configuration is wrong, so that systemd does not try again."""

from __future__ import annotations

import argparse

from appliance import config, logs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The daemon takes everything from its configuration."""


def run(args: argparse.Namespace) -> int:
    """Run until stopped. Raises ConfigurationError."""
    settings = config.load(args.config)
    if not args.debug:
        logs.set_up(settings.log.level)
    # Last, so that a wrong configuration is said at once and not after a second of imports on a Pi.
    from appliance.daemon import run as run_daemon

    return run_daemon(settings)
