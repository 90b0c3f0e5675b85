"""Where the key, or a token in its place, comes from. It is read for each connection: a change counts at once."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from appliance.config.settings import CredentialSettings
from appliance.errors import CredentialError, ProgramError, TokenError
from appliance.journal.foreign_text import known_words
from appliance.link.key_text import NOTHING, NoKeyError, decoded, key_in
from appliance.system import program, sandbox

CREDENTIAL_NAME: Final = "api-key"
"""Name of the systemd credential (``LoadCredential=api-key:…``)."""

SYSTEM_KEY: Final = "/etc/voice-appliance/key"
"""What the unit's ``LoadCredential=`` names: systemd, as root, reads it when it starts the service."""

ENVIRONMENT_NAME: Final = "SWARAM_API_KEY"

_LONGEST_BYTES: Final = 4096
"""Far above any key; a larger file is not a key file."""

TOKEN_OUTPUT_BYTES: Final = 8192
"""The most that a token program may print (decision 15)."""


class Secret:
    """A key that shows itself to nobody by accident: not in logs, not in a repr, not in a formatted string."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The key itself, for the one place that sends it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__


def read_key(key_file: str, environment: Mapping[str, str] = os.environ) -> Secret:
    """The key, from the first of these that is there: ``key_file``, the systemd credential, the environment variable.

    ``key_file`` "" means none is configured. A place that exists but holds nothing useful is an error, not skipped: a
    person who wrote a key there must hear that it is not used. Raises CredentialError, naming the place.
    """
    if key_file:
        return _from_file(Path(key_file), f"key file {key_file}")
    directory = environment.get("CREDENTIALS_DIRECTORY")
    if directory and (path := Path(directory, CREDENTIAL_NAME)).exists():
        return _from_file(path, f"systemd credential {CREDENTIAL_NAME}, which is a copy of {SYSTEM_KEY}")
    if ENVIRONMENT_NAME in environment:
        return checked(environment[ENVIRONMENT_NAME], f"environment variable {ENVIRONMENT_NAME}")
    raise CredentialError(
        f"no key: write it into {SYSTEM_KEY} for the service, or name a file in credentials.key_file, or set "
        f"{ENVIRONMENT_NAME}"
    )


async def fetch_token(command: Sequence[str], timeout_s: float) -> Secret:
    """The token that ``command`` (a program with its full path, and its arguments) prints, for one connection.

    ``system/program.py`` says how it runs: no shell, a clean environment, dead when this returns, also when it is
    cancelled. Raises TokenError, which names the program, and neither its arguments nor what it printed.
    """
    place = f"credentials.token_command {command[0]}"
    try:
        output = await program.run(command, b"", timeout_s, TOKEN_OUTPUT_BYTES)
    except ProgramError as error:
        # Whoever handles a token may print a piece of it where it complains.
        told = ProgramError(error.summary, known_words(error.complaint), error.advice)
        raise TokenError(f"{place} {told}") from None
    try:
        return Secret(key_in(decoded(output)))
    except NoKeyError as error:
        what = "no token" if str(error) == NOTHING else f"something else than one token: {error}"
        raise TokenError(f"{place} printed {what}") from None


class Source:
    """Where the configuration says that the key is."""

    def __init__(self, settings: CredentialSettings) -> None:
        self._settings = settings

    async def fetch(self) -> str:
        """The key, or a token in its place, now. Raises CredentialError."""
        if self._settings.token_command:
            return (await fetch_token(self._settings.token_command, self._settings.token_timeout_s)).reveal()
        return read_key(self._settings.key_file).reveal()

    def is_missing(self) -> bool:
        """There is no key, or none that can be one; a token program is believed until it is asked."""
        try:
            if not self._settings.token_command:
                read_key(self._settings.key_file)
        except CredentialError:
            return True
        return False

    def stamp(self) -> object:
        """As ``stamp``, of the configured file."""
        return stamp(self._settings.key_file)


def stamp(key_file: str) -> tuple[int, int, int] | None:
    """Changes when the configured key file does; None when there is none. systemd's copy of a credential never
    changes."""
    try:
        status = os.stat(key_file)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _from_file(path: Path, place: str) -> Secret:
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST_BYTES + 1)
    except OSError as error:
        fix = sandbox.hint(str(path)) or "write the key there, readable by the service"
        raise CredentialError(f"{place}: {error.strerror or error}; {fix}") from None
    if len(content) > _LONGEST_BYTES:
        raise CredentialError(
            f"{place}: larger than {_LONGEST_BYTES} bytes, so it is not a key; write only the key there"
        )
    try:
        return checked(decoded(content), place)
    except NoKeyError as error:
        raise _refusal(place, error) from None


def checked(text: str, place: str) -> Secret:
    """``text``, found at ``place``, as a key. Raises CredentialError, which names the place and not the text."""
    try:
        return Secret(key_in(text))
    except NoKeyError as error:
        raise _refusal(place, error) from None


def _refusal(place: str, error: NoKeyError) -> CredentialError:
    write = "write the service's key there" if str(error) == NOTHING else "write only the key there"
    return CredentialError(f"{place}: holds {error}; {write}")
