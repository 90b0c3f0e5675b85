"""Check the configuration, or show what is in force."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Any

from appliance import config
from appliance.config_values import Setting, objection, redacted, shown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``--check`` (the default) or ``--dump``."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="say everything that is wrong and end with 78, else with 0")
    what.add_argument("--dump", action="store_true", help="print every setting in force as TOML, without keys")


def run(args: argparse.Namespace) -> int:
    """Print, and say which paths the service would not find; 0.

    Raises ConfigurationError, which the command line turns into one line per problem and 78.
    """
    settings = config.load(args.config)
    if args.dump:
        print("\n".join(dump(settings)))
    else:
        print(f"{', '.join(config.sources(args.config)) or 'the defaults'}: good")
        # Here: what the doctor needs is slow to load, and --dump has no use for it.
        from appliance.commands.checks import paths

        for one in paths.named(settings):
            if one.objection:
                print(f"{one.key}: {one.path}: {one.objection}", file=sys.stderr)
        for caution in config.cautions(settings):
            print(f"but: {caution}")
    return 0


def dump(settings: config.Config) -> Iterator[str]:
    """The lines of a TOML file that gives ``settings``; behind what differs from the default stands the default."""
    table: tuple[str, ...] = ()
    for key, setting, value in _in_force(settings):
        if key[:-1] != table:
            yield from ([""] if table else [])
            table = key[:-1]
            yield f"[{'.'.join(table)}]"
        # What must be given has no default that is worth showing.
        is_default = shown(value) == shown(setting.default) or objection(setting, setting.default)
        default = "" if is_default else f"  # default: {shown(setting.default)}"
        yield redacted(f"{key[-1]} = {shown(value, whole=True)}{default}")


def _in_force(settings: config.Config) -> Iterator[tuple[tuple[str, ...], Setting, Any]]:
    """Every setting, with its key, its row and its value; a person's own tables last."""
    templates = {}
    for key, setting in config.schema().items():
        if config.ANY_NAME in key:
            templates[key] = setting
            continue
        value: Any = settings
        for name in key:
            value = getattr(value, name)
        yield key, setting, value
    for own, tool in settings.tools.own.items():
        for key, setting in templates.items():
            yield (*key[:-2], own, key[-1]), setting, getattr(tool, key[-1])
