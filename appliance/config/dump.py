"""The configuration in force, as TOML with the reason of each setting."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from appliance.config import loader
from appliance.config.validation import Setting, objection, redacted, shown


def dump(settings: loader.Config) -> Iterator[str]:
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


def _in_force(settings: loader.Config) -> Iterator[tuple[tuple[str, ...], Setting, Any]]:
    """Every setting, with its key, its row and its value; a person's own tables last."""
    templates = {}
    for key, setting in loader.schema().items():
        if loader.ANY_NAME in key:
            templates[key] = setting
            continue
        value: Any = settings
        for name in key:
            value = getattr(value, name)
        yield key, setting, value
    for own, tool in settings.tools.own.items():
        for key, setting in templates.items():
            yield (*key[:-2], own, key[-1]), setting, getattr(tool, key[-1])
