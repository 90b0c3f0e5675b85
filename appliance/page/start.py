"""How the page's process comes by its socket and its token."""

from __future__ import annotations

import base64
import contextlib
import os
import socket
from collections.abc import Mapping
from typing import Final

from appliance.errors import UnavailableError
from appliance.storage import atomic_file

FIRST_DESCRIPTOR: Final = 3
"""SD_LISTEN_FDS_START of sd_listen_fds(3)."""

TOKEN_BYTES: Final = 24
"""192 bits, 32 characters that may stand in an address and in a header as they are."""

TOKEN_NAME: Final = "token"


def handed_over(environ: Mapping[str, str] = os.environ) -> list[socket.socket]:
    """The sockets that systemd listens on for this process; none if it did not start it. See sd_listen_fds(3).

    Raises UnavailableError if one of them can be reached from elsewhere.
    """
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(environ.get("LISTEN_FDS", "0"))
    listeners = [socket.socket(fileno=FIRST_DESCRIPTOR + number) for number in range(count)]
    for listener in listeners:
        listener.setblocking(False)
        os.set_inheritable(listener.fileno(), False)
        if listener.family == socket.AF_UNIX or listener.getsockname()[0] not in ("127.0.0.1", "::1"):
            advice = "its ListenStream must begin with 127.0.0.1:"
            raise UnavailableError(f"the page is for this machine alone; voice-appliance-page.socket: {advice}")
    return listeners


def own(port: int) -> list[socket.socket]:
    """A socket of this process's own, for who starts it by hand. Raises UnavailableError."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise UnavailableError(f"127.0.0.1:{port}: {error.strerror}; choose another --port") from error
    listener.setblocking(False)
    return [listener]


def token(folder: str | None) -> str:
    """What a browser must know. Kept in ``folder``, so that the page's address outlasts its process; None: not kept.

    Raises UnavailableError if it can be neither read nor written.
    """
    made = base64.urlsafe_b64encode(os.urandom(TOKEN_BYTES)).decode("ascii")
    if folder is None:
        return made
    path = os.path.join(folder, TOKEN_NAME)
    with contextlib.suppress(OSError, ValueError):
        with open(path, encoding="ascii") as file:
            kept = file.read(256).strip()
        if len(kept) == len(made):
            return kept
    try:
        atomic_file.write(path, made.encode("ascii") + b"\n")
    except OSError as error:
        raise UnavailableError(f"{path}: {error.strerror}; the page's token cannot be kept") from error
    return made


def address(port: int, token: str) -> str:
    """Where a browser finds the page. The token is in the fragment, which no browser sends and no server logs."""
    return f"http://127.0.0.1:{port}/#{token}"
