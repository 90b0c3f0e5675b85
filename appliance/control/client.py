"""Ask a running daemon over its control socket.

Blocking; for the command line.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Generator, Mapping
from typing import Any, Final

from appliance.errors import UnavailableError

ANSWER_TIMEOUT_S: Final = 5.0
"""A daemon answers within a turn of its loop; one that does not in this time is hung."""


def ask(path: str, command: str) -> dict[str, Any]:
    """The running daemon's answer to one command. Raises UnavailableError: none, no permission, or it refuses."""
    with contextlib.closing(_lines(path, {"command": command}, endless=False)) as lines:
        answer: dict[str, Any] = json.loads(next(lines))
    if answer.get("ok") is not True:
        raise UnavailableError(answer.get("error", "the daemon does not say why"))
    return answer


def _lines(path: str, request: Mapping[str, Any], *, endless: bool) -> Generator[str, None, None]:
    """The answer's line, and if ``endless`` all that follow. Raises UnavailableError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_TIMEOUT_S)
        try:
            connection.connect(path)
            connection.sendall(json.dumps(request).encode("ascii") + b"\n")
            with connection.makefile("r", encoding="ascii", newline="\n") as answers:
                # A daemon that is killed leaves half a line.
                first = answers.readline()
                if first.endswith("\n"):
                    yield first.rstrip("\n")
                    if not endless:
                        return
                # Nothing may happen for days.
                connection.settimeout(None)
                for line in answers:
                    if line.endswith("\n"):
                        yield line.rstrip("\n")
        except OSError as error:
            raise UnavailableError(_explanation(path, error)) from error
    raise UnavailableError("the daemon has ended the connection")


def _explanation(path: str, error: OSError) -> str:
    """One line for a person: what is wrong, and what to do."""
    match error:
        case FileNotFoundError() | ConnectionRefusedError():
            return f"no daemon listens on {path}: is it running? (systemctl status voice-appliance)"
        case PermissionError():
            group = _group(path)
            return (
                f"no permission for {path}: it is for group {group} (sudo usermod -aG {group} $USER, then log in again)"
            )
        case TimeoutError():
            return f"the daemon on {path} does not answer; it may be hung (journalctl -u voice-appliance)"
    return f"{path}: {error.strerror or error}"


def _group(path: str) -> str:
    """Name of the group that may use the socket; of the folder around it, if that hides it."""
    import grp

    for place in (path, os.path.dirname(path)):
        with contextlib.suppress(OSError):
            number = os.stat(place).st_gid
            with contextlib.suppress(KeyError):
                return grp.getgrgid(number).gr_name
            return str(number)
    return "voice-appliance"
