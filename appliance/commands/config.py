"""Check the configuration, or show what is in force."""

from __future__ import annotations

import argparse
import sys

from appliance.config import loader
from appliance.config.dump import dump


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``--check`` (the default) or ``--dump``."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="say everything that is wrong and end with 78, else with 0")
    what.add_argument("--dump", action="store_true", help="print every setting in force as TOML, without keys")


def run(args: argparse.Namespace) -> int:
    """Print, and say which paths the service would not find; 0.

    Raises ConfigurationError, which the command line turns into one line per problem and 78.
    """
    settings = loader.load(args.config)
    if args.dump:
        print("\n".join(dump(settings)))
    else:
        print(f"{', '.join(loader.sources(args.config)) or 'the defaults'}: good")
        # Here: what the doctor needs is slow to load, and --dump has no use for it.
        from appliance.doctor import paths

        for one in paths.named(settings):
            if one.objection:
                print(f"{one.key}: {one.path}: {one.objection}", file=sys.stderr)
        for caution in loader.cautions(settings):
            print(f"but: {caution}")
    return 0
