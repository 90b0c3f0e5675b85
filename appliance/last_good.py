"""The last configuration that worked, kept for the day on which somebody saves a wrong one.

A box in a shop goes on with it and shows fault 7; without one, ConfigurationError ends the daemon as always. A
configuration holds no secret, so neither does the copy.
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import Final, NamedTuple

from appliance import config, durable
from appliance.config import Config
from appliance.errors import ConfigurationError

FILE: Final = "last-good.toml"
"""In the state folder."""

_one_writer: Final = threading.Lock()
"""Two reloads may come within the seconds that a worn card takes for the first."""


class Loaded(NamedTuple):
    """A configuration to run with."""

    config: Config
    content: bytes
    """Of the files it was read from, together (``config.merged``); empty when there is none and the defaults hold."""
    problems: tuple[str, ...]
    """What is wrong with the configuration that somebody wants, one line each; empty when this is that one."""


def state_folder() -> str | None:
    """Where systemd lets the daemon keep things (``StateDirectory=``); None when it was not started by systemd."""
    return os.environ.get("STATE_DIRECTORY")


def read(path: str | None) -> Loaded:
    """The configuration of ``config.sources(path)`` and no other. Raises ConfigurationError."""
    try:
        content = config.merged(path)
    except OSError:
        # Then config.load says why.
        content = b""
    return Loaded(config.load(path), content, ())


def load(path: str | None, folder: str | None) -> Loaded:
    """The configuration of ``config.sources(path)``; if that is wrong, the last good one of ``folder``.

    Raises ConfigurationError, with the problems of the first, when there is no last good one, or it is no longer good.
    """
    try:
        return read(path)
    except ConfigurationError as error:
        kept = os.path.join(folder, FILE) if folder is not None else ""
        if not os.path.exists(kept):
            raise
        with contextlib.suppress(ConfigurationError):
            return Loaded(config.load(kept), _content(kept), error.problems)
        raise


def keep(loaded: Loaded, folder: str | None) -> None:
    """``loaded`` works: from now on it is the last good one of ``folder`` (None: nothing is kept). Called from any
    thread. Raises OSError."""
    if folder is None or loaded.problems:
        return
    path = os.path.join(folder, FILE)
    with _one_writer:
        # Written when it differs: a card wears by what is written.
        if not os.path.exists(path) or _content(path) != loaded.content:
            durable.write(path, loaded.content)


def _content(path: str) -> bytes:
    """Empty when it cannot be read: then ``config.load`` says why."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
