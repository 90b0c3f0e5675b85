"""Names of keys, as the kernel's ``input-event-codes.h`` has them: ``KEY_…`` and ``BTN_…``.

The list is the package evdev's, which is there only where a button box is used. It is imported when it is needed: some
35 ms on the machine it was measured on, ten times that on a small Pi.
"""

from __future__ import annotations

import contextlib
import re
from difflib import get_close_matches
from typing import Final

from appliance.errors import UnavailableError

INSTALL: Final = "sudo apt-get install python3-evdev"

_NAME: Final = re.compile(r"(KEY|BTN)_[A-Z0-9_]+")

_NO_KEYS: Final = ("KEY_RESERVED", "KEY_MAX", "KEY_CNT")
"""Constants that only look like names of keys."""


def codes() -> dict[str, int]:
    """Every name and its code; some codes have several names. Raises UnavailableError where evdev is not installed."""
    try:
        from evdev import ecodes
    except ImportError as error:
        raise UnavailableError(f"the package evdev is not installed: {INSTALL}") from error
    known: dict[str, int] = ecodes.ecodes
    return {name: code for name, code in known.items() if _NAME.fullmatch(name) and name not in _NO_KEYS}


def names() -> dict[int, str]:
    """Every code and one of its names, that of a key before that of a button. Raises UnavailableError as ``codes``."""
    return {code: name for name, code in sorted(codes().items())[::-1] if not name.startswith("KEY_MIN_")}


def objection(name: str, *, look_up: bool) -> str:
    """What is wrong with ``name``, or an empty string. ``look_up``: in the list, too, where there is one."""
    known: dict[str, int] = {}
    if look_up:
        # That evdev is not there is said when the box is used, with the fix; the name itself may well be right.
        with contextlib.suppress(UnavailableError):
            known = codes()
    if _NAME.fullmatch(name) and (not known or name in known):
        return ""
    meant = re.sub(r"\W+", "_", name.strip().upper())
    guesses = (meant, f"KEY_{meant}", f"BTN_{meant}")
    close = [guess for guess in guesses if guess in known] or get_close_matches(meant, known, 1, 0.7)
    if not known and not close:
        close = [guess for guess in guesses if _NAME.fullmatch(guess)]
    hint = f"; did you mean {close[0]}?" if close else "; voice-appliance keys shows what a key is called"
    return f'"{name}" is not the name of a key{hint}'
