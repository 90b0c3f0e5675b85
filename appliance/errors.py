"""Every exception the appliance raises on purpose.

::

    ApplianceError                 exit 70 (EX_SOFTWARE), one line for a person
    ├── ConfigurationError         exit 78 (EX_CONFIG): all problems of a configuration at once
    ├── UsageError                 exit 64 (EX_USAGE): the command line is off
    ├── UnavailableError           exit 69 (EX_UNAVAILABLE): something the command needs is not there
    │   └── DeviceNotFoundError    no sound device fits; the text lists what exists
    ├── CredentialError            exit 77 (EX_NOPERM): no key, or it cannot be read
    │   └── TokenError             the program that gives a token failed; worth another attempt
    ├── TrustError                 link.ca_file cannot be read; worth another attempt
    ├── ProgramError               a program of the owner's failed; never ends anything
    ├── ProtocolError              a message of the service that cannot be understood; never ends a session
    └── AudioGoneError             asked for audio that the ring no longer holds

The exit codes are those of sysexits.h, so that a unit file can tell "restart" from "do not".
"""

from __future__ import annotations

from collections.abc import Sequence


class ApplianceError(Exception):
    """Base of all. ``str()`` is one line a person can act on: what happened, where, what to do."""

    exit_code = 70


class ConfigurationError(ApplianceError):
    """The configuration is wrong. ``problems`` holds one line each, in file order; never empty."""

    exit_code = 78

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class UsageError(ApplianceError):
    """The command line cannot be carried out as given."""

    exit_code = 64


class UnavailableError(ApplianceError):
    """Something that the command needs is not there (a daemon, a card, a program)."""

    exit_code = 69


class DeviceNotFoundError(UnavailableError):
    """No sound device fits the selector; the message lists those that exist."""


class CredentialError(ApplianceError):
    """There is no usable key. The message names the place looked at, never the key."""

    exit_code = 77


class TokenError(CredentialError):
    """The program that gives a token failed. Another attempt may succeed, unlike with a key that is not there."""


class TrustError(ApplianceError):
    """The certificates of the authorities to trust cannot be read. The message says of which file, and why."""


class ProgramError(ApplianceError):
    """A program of the owner's did not do its work.

    ``summary`` says how, in words for anybody. ``complaint`` is what the program said of it, and ``advice`` what we say
    to the owner, for the journal only; empty when there is nothing. None holds what it was given or what it answered.
    """

    def __init__(self, summary: str, complaint: str = "", advice: str = "") -> None:
        said = f"{summary}, saying: {complaint}" if complaint else summary
        super().__init__(f"{said}; {advice}" if advice else said)
        self.summary = summary
        self.complaint = complaint
        self.advice = advice


class ProtocolError(ApplianceError):
    """A message does not follow the protocol.

    ``field`` is the dotted name of the missing or wrong field, or None when the whole message is unreadable. The
    message never quotes audio or text of a conversation.
    """

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class AudioGoneError(ApplianceError):
    """Audio was asked for that the ring has already forgotten or overwritten."""
