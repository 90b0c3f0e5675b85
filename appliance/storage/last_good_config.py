"""The last configuration that worked, kept for the day on which somebody saves a wrong one.

A box in a shop goes on with it and shows fault 7; without one, ConfigurationError ends the daemon as always. A
configuration holds no secret, so neither does the copy.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from typing import Final, NamedTuple

from appliance.config.settings import Config
from appliance.errors import ConfigurationError
from appliance.storage import atomic_file

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


class LastGood:
    """Which configuration to run with. ``load`` reads and checks one, ``merged`` gives its files as one text:
    those of ``config/loader.py``. ``folder``: where the last good one is kept; None: nowhere."""

    def __init__(
        self, folder: str | None, load: Callable[[str | None], Config], merged: Callable[[str | None], bytes]
    ) -> None:
        self.folder = folder
        self._load = load
        self._merged = merged

    def read(self, path: str | None) -> Loaded:
        """The configuration of ``path`` and no other. Raises ConfigurationError."""
        try:
            content = self._merged(path)
        except OSError:
            # Then ``load`` says why.
            content = b""
        return Loaded(self._load(path), content, ())

    def load(self, path: str | None) -> Loaded:
        """The configuration of ``path``; if that is wrong, the last good one.

        Raises ConfigurationError, with the problems of the first, when there is no last good one, or it is no longer
        good.
        """
        try:
            return self.read(path)
        except ConfigurationError as error:
            kept = os.path.join(self.folder, FILE) if self.folder is not None else ""
            if not os.path.exists(kept):
                raise
            with contextlib.suppress(ConfigurationError):
                return Loaded(self._load(kept), _content(kept), error.problems)
            raise

    def keep(self, loaded: Loaded) -> None:
        """``loaded`` works: from now on it is the last good one. Called from any thread. Raises OSError."""
        if self.folder is None or loaded.problems:
            return
        path = os.path.join(self.folder, FILE)
        with _one_writer:
            # Written when it differs: a card wears by what is written.
            if not os.path.exists(path) or _content(path) != loaded.content:
                atomic_file.write(path, loaded.content)


def _content(path: str) -> bytes:
    """Empty when it cannot be read: then ``load`` says why."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
