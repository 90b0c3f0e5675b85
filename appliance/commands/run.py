"""The daemon: what systemd starts. In place of a wrong configuration the last one that worked is used; if there is
none, the daemon ends with 78, so that systemd does not try again."""

from __future__ import annotations

import argparse
import logging
import sys

from appliance.config import loader
from appliance.journal import formatters
from appliance.journal.catalog import Kind, entry
from appliance.storage import last_good_config

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The daemon takes everything from its configuration."""


def run(args: argparse.Namespace) -> int:
    """Run until stopped. Raises ConfigurationError."""
    last_good = last_good_config.LastGood(last_good_config.state_folder(), loader.load, loader.merged)
    loaded = last_good.load(args.config)
    level = "debug" if args.debug else loaded.config.log.level
    formatters.set_up(level)
    # Not before, so that a wrong configuration is said at once and not after a second of imports on a Pi.
    from appliance.audio import child_process

    child_process.start_early()
    from appliance import daemon

    def begin(running: daemon.Daemon) -> None:
        if formatters.goes_to_journal(sys.stderr):
            from appliance.journal.handler import JournalHandler

            formatters.set_up(level, handler=JournalHandler(running.around))
        for problem in loaded.problems:
            log.error("%s", problem, extra=entry(Kind.CONFIGURATION_WRONG))
        if loaded.problems:
            line = "the configuration is wrong: the last one that worked is in force until it is mended"
            log.error("%s", line, extra=entry(Kind.CONFIGURATION_WRONG))

    return daemon.run(args.config, loaded, last_good, begin)
