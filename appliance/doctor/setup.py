"""The configuration and the key: what a person wrote, and who may read it."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from appliance.config import loader
from appliance.config.settings import Config, CredentialSettings
from appliance.errors import ConfigurationError, CredentialError
from appliance.link import credentials
from appliance.link.credentials import SYSTEM_KEY as SYSTEM_KEY
from appliance.storage import boot_files

from .finding import Finding, fault, ok, skipped, warning

CONFIGURATION: Final = "configuration"
BOOT: Final = "boot partition"
KEY: Final = "key"

OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def configuration(path: str | None) -> tuple[Config | None, list[Finding]]:
    """The configuration that ``path`` (None: the usual place) gives, and one finding, or one for each problem."""
    try:
        loaded = loader.load(path)
    except ConfigurationError as error:
        advice = "mend that line; voice-appliance config --check looks again"
        return None, [fault(CONFIGURATION, problem, advice) for problem in error.problems]
    return loaded, [ok(CONFIGURATION, f"{', '.join(loader.sources(path)) or 'the defaults, no file'}: good")]


def boot(folder: str = boot_files.FOLDER) -> list[Finding]:
    """A finding for each problem with the files on the boot partition."""
    advice = "mend or remove that file, then sudo systemctl restart voice-appliance"
    return [fault(BOOT, line, advice) for line in boot_files.refused(folder)]


def key(
    settings: CredentialSettings,
    environment: Mapping[str, str] = os.environ,
    system_key: str = SYSTEM_KEY,
    service_user: str = "",
) -> Finding:
    """Whether there is a key, and who can read it. ``service_user``: who the unit runs as; "" if there is no unit."""
    if settings.token_command:
        program = settings.token_command[0]
        if not os.access(program, os.X_OK):
            return fault(KEY, f"{program} cannot be run", "check credentials.token_command, and that it is executable")
        return ok(KEY, f"a token from {program} for each connection")
    place = settings.key_file or ("" if _is_given(environment) else system_key)
    try:
        credentials.read_key(place, environment)
    except CredentialError as error:
        if place and os.path.exists(place) and not os.access(place, os.R_OK):
            return skipped(KEY, f"{place} is not for this user to read, as it should be", "sudo voice-appliance doctor")
        what, _, _ = str(error).partition("; ")
        where = place or SYSTEM_KEY
        return fault(KEY, f"no key: {what}", f"sudo install -m 600 /dev/stdin {where}, paste the key, Enter, Ctrl-D")
    if not place:
        return ok(KEY, "there is one, from systemd or the environment")
    return _rights(place, is_systems=not settings.key_file, service_user=service_user)


async def credential(settings: CredentialSettings, system_key: str = SYSTEM_KEY) -> str:
    """The key that a daemon on this box would use, or a token. Raises CredentialError."""
    if settings.token_command:
        return (await credentials.fetch_token(settings.token_command, settings.token_timeout_s)).reveal()
    place = settings.key_file or ("" if _is_given(os.environ) else system_key)
    return credentials.read_key(place).reveal()


def visible_key(settings: CredentialSettings, system_key: str = SYSTEM_KEY) -> str:
    """The key, if this program can read one: to be taken out of what leaves the box. Else empty; no program is run."""
    try:
        return credentials.read_key(settings.key_file or ("" if _is_given(os.environ) else system_key)).reveal()
    except CredentialError:
        return ""


def _is_given(environment: Mapping[str, str]) -> bool:
    """By the environment: a key, or systemd's folder with one in it."""
    folder = environment.get("CREDENTIALS_DIRECTORY")
    given = folder is not None and Path(folder, credentials.CREDENTIAL_NAME).exists()
    return given or credentials.ENVIRONMENT_NAME in environment


def _rights(place: str, *, is_systems: bool, service_user: str) -> Finding:
    """Mode and owner of a key file that holds a key. Access lists are not looked at."""
    status = os.stat(place)
    mode = f"mode {stat.S_IMODE(status.st_mode):04o}"
    owner = _user(status.st_uid)
    if status.st_mode & OTHERS:
        return warning(KEY, f"{place}: others on this box can read or change it ({mode})", f"sudo chmod 600 {place}")
    if is_systems and status.st_uid not in (0, os.getuid()):
        return warning(KEY, f"{place} belongs to {owner}, who can read and change it", f"sudo chown root: {place}")
    if not is_systems and service_user and owner not in (service_user, "root"):
        return fault(KEY, f"{place} belongs to {owner}: the service cannot read it", _own(service_user, place))
    if not is_systems and service_user not in ("", "root", owner):
        return fault(KEY, f"{place} is for root alone: the service cannot read it", _own(service_user, place))
    return ok(KEY, f"{place}: there is one, {mode}, of {owner}")


def _own(user: str, place: str) -> str:
    return f"sudo chown {user} {place}, or write the key to {SYSTEM_KEY} and leave credentials.key_file empty"


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
