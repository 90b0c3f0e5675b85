"""Where the key comes from. It is read for each connection, so that a changed file counts at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from appliance.errors import CredentialError

CREDENTIAL_NAME: Final = "api-key"
"""Name of the systemd credential (``LoadCredential=api-key:…``)."""

ENVIRONMENT_NAME: Final = "SWARAM_API_KEY"

_MISSING: Final = "unset"
"""What the unit gives when no key file exists (``SetCredential=``), so that the service can start and say so."""

_LONGEST_BYTES: Final = 4096
"""Far above any key; a larger file is not a key file."""


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
        return _from_file(path, f"systemd credential {CREDENTIAL_NAME}")
    if ENVIRONMENT_NAME in environment:
        return _checked(environment[ENVIRONMENT_NAME], f"environment variable {ENVIRONMENT_NAME}")
    raise CredentialError(
        f"no key: set credentials.key_file, give systemd the credential {CREDENTIAL_NAME}, or set {ENVIRONMENT_NAME}"
    )


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
        raise CredentialError(
            f"{place}: {error.strerror or error}; write the key there, readable by the service"
        ) from None
    if len(content) > _LONGEST_BYTES:
        raise CredentialError(
            f"{place}: larger than {_LONGEST_BYTES} bytes, so it is not a key; write only the key there"
        )
    # A byte that is no ASCII fails the check below like any other stray character.
    return _checked(content.decode("ascii", "replace"), place)


def _checked(text: str, place: str) -> Secret:
    key = text.strip()
    if not key or key == _MISSING:
        raise CredentialError(f"{place}: holds no key; write the service's key there")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise CredentialError(f"{place}: holds more than one key or stray characters; write only the key there")
    return Secret(key)
