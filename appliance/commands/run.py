"""The daemon: what systemd starts. In place of a wrong configuration the last one that worked is used; if there is
none, the daemon ends with 78, so that systemd does not try again."""

from __future__ import annotations

import argparse
import logging
import sys

from appliance import last_good, logs
from appliance.config import Config
from appliance.kinds import Kind, entry

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The daemon takes everything from its configuration."""


def run(args: argparse.Namespace) -> int:
    """Run until stopped. Raises ConfigurationError."""
    folder = last_good.state_folder()
    loaded = last_good.load(args.config, folder)
    level = "debug" if args.debug else loaded.config.log.level
    logs.set_up(level)
    # Not before, so that a wrong configuration is said at once and not after a second of imports on a Pi.
    from appliance.audio import host_child

    host_child.start_early()
    from appliance import service
    from appliance.memory import Memory

    memory: Memory | None = None

    def begin(running: service.Service) -> None:
        nonlocal memory
        running.memory = memory = Memory(args.config, loaded, folder)
        if logs.goes_to_journal(sys.stderr):
            from appliance.edge.journal import JournalHandler

            logs.set_up(level, handler=JournalHandler(running.around))
        for problem in loaded.problems:
            log.error("%s", problem, extra=entry(Kind.CONFIGURATION_WRONG))
        if loaded.problems:
            line = "the configuration is wrong: the last one that worked is in force until it is mended"
            log.error("%s", line, extra=entry(Kind.CONFIGURATION_WRONG))

    def read() -> Config:
        assert memory is not None, "the service begins before it is asked to read"
        return memory.read()

    return service.run(loaded.config, read, begin)
