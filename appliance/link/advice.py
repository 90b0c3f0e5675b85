"""What a person in front of the box can do about a connection that failed: one of three families. Pure.

The journal's line is for whoever installed the box (``failures.py``); this is for whoever pressed the button, who knows
nothing of keys and services.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from .failures import Class, Verdict, What


class Advice(Enum):
    """The values are names of spoken clips."""

    WAIT = "wait"
    """It passes by itself."""
    CHECK = "check"
    """The network here, or its power, may be at fault."""
    CALL = "call"
    """Only whoever looks after the box can mend it."""


_BY_CLASS: Final = {
    Class.KEY: Advice.CALL,
    Class.ACCOUNT: Advice.CALL,
    Class.SETTINGS: Advice.CALL,
    Class.NETWORK: Advice.CHECK,
    # Both mostly mend themselves; see ``of``.
    Class.LIMIT: Advice.WAIT,
    Class.CLOCK: Advice.WAIT,
}

_OF_THE_NETWORK: Final = frozenset(
    {
        What.UNREACHABLE,
        What.NAME,
        What.NAME_CLOCK_UNSET,
        What.TIMEOUT,
        What.NO_PONG,
        What.SEND_STUCK,
        What.TLS,
        What.PROXY,
        What.NO_NETWORK,
    }
)
"""A service that is down looks the same from here as a router that has lost its line (UNREACHABLE, TIMEOUT). The router
is by far the more frequent, and waiting does not mend it."""

_FOR_AN_INSTALLER: Final = frozenset(
    {
        What.TOKEN,
        What.TRUST,
        What.CERTIFICATE_FORM,
        What.CERTIFICATE_DATES,
        What.TOO_LARGE,
        What.RULES,
        What.CLOSE_FRAME,
    }
)
"""Retried, since some pass by themselves; those that last need somebody who can mend them or ask the service to."""

_ABNORMAL: Final = 1006
"""The close code of a connection that broke without a word: the line, not the service."""


def of(verdict: Verdict, *, shown: bool) -> Advice:
    """What to do about ``verdict``. ``shown``: the light shows it as a fault by now, for it has lasted."""
    if verdict.class_ is not Class.TRANSIENT:
        lasting = shown and verdict.class_ in (Class.LIMIT, Class.CLOCK)
        return Advice.CALL if lasting else _BY_CLASS[verdict.class_]
    if verdict.failure.what in _FOR_AN_INSTALLER:
        return Advice.CALL if shown else Advice.WAIT
    if verdict.failure.what in _OF_THE_NETWORK or verdict.failure.code == _ABNORMAL:
        return Advice.CHECK
    return Advice.WAIT
