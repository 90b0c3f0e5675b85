"""The process of a sound host, from the daemon's side: its start, our end of its socket, its stderr, its end.

Everything runs in the thread of the event loop, in practice the main one, which must live as long as the process: the
kernel kills a host together with the *thread* that started it. Starting one takes this thread 2 to 4 ms (a ``vfork``).
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Not for real: a host is started before the daemon has loaded what it needs itself.
    import asyncio

    from appliance.soundhost.devices import Direction

logger = logging.getLogger(__name__)

DYING_S = 0.5
"""What a killed host gets to be gone before the next one is started: it may have the card still."""

DYING_LOOK_S = 0.002
"""Between two looks at it."""

PASSED_ON = ("ALSA_", "HOME", "LANG", "LC_", "PATH", "PIPEWIRE_", "PULSE_", "XDG_")
"""Beginnings of the variables that a host gets to see: what finds a sound server. No key, no NOTIFY_SOCKET."""


_early: dict[Direction, Child] = {}
"""Hosts that nobody has asked for yet."""


def start_early() -> None:
    """Start a host for each direction, for the first that asks: Python's start and the sound library's take as long as
    what the daemon still has to load, and go on beside it. A failure is for whoever asks."""
    directions: tuple[Direction, ...] = ("capture", "playback")
    for direction in directions:
        with contextlib.suppress(OSError):
            _early[direction] = Child(direction, None)


def child_for(direction: Direction, environment: Mapping[str, str] | None) -> Child:
    """A host that was started early, if there is one with that environment, or a new one. Raises OSError."""
    if environment is None and (early := _early.pop(direction, None)) is not None:
        return early
    return Child(direction, environment)


class Child:
    """One process, our end of its socket, and its stderr."""

    def __init__(self, direction: Direction, environment: Mapping[str, str] | None) -> None:
        self.link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self.process = subprocess.Popen(
                (sys.executable, "-P", "-m", "appliance.soundhost.host", direction, str(theirs.fileno())),
                env=_clean(os.environ if environment is None else environment),
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        except OSError:
            self.link.close()
            raise
        finally:
            theirs.close()
        assert self.process.stderr is not None
        self.chatter = self.process.stderr
        os.set_blocking(self.chatter.fileno(), False)
        self.link.setblocking(False)

    def send(self, datagram: bytes) -> None:
        # A full socket is that of a stopped host, a closed one that of a dead one: clock and reader see to them.
        with contextlib.suppress(OSError):
            self.link.send(datagram)

    def log_chatter(self, loop: asyncio.AbstractEventLoop) -> None:
        """ALSA says dozens of lines that mean nothing; a fault of the host's own is among them."""
        try:
            text = os.read(self.chatter.fileno(), 65_536)
        except BlockingIOError:
            return
        if not text:
            loop.remove_reader(self.chatter)
        if logger.isEnabledFor(logging.DEBUG):
            for line in text.decode(errors="replace").splitlines():
                logger.debug("sound host %d: %s", self.process.pid, line)

    def kill(self) -> None:
        """Also one that hangs. It may take a moment to die: see ``collected``."""
        self.process.kill()
        self.link.close()
        self.chatter.close()

    async def collected(self) -> None:
        """Wait after ``kill`` until it is gone: 100 µs as a rule, DYING_S at most. Later it is collected by itself."""
        import asyncio

        give_up_s = time.monotonic() + DYING_S
        try:
            while self.process.poll() is None:
                if time.monotonic() >= give_up_s:
                    self._leave()
                    return
                await asyncio.sleep(DYING_LOOK_S)
        except asyncio.CancelledError:
            # The box stops, and nobody will look again.
            try:
                self.process.wait(DYING_S)
            except subprocess.TimeoutExpired:
                self._leave()
            raise

    def _leave(self) -> None:
        """One that sits in the kernel, with a driver that lost its card, dies when that lets it go. It is reaped
        whenever that is, also when this loop has ended by then."""
        threading.Thread(target=self.process.wait, name="reaper", daemon=True).start()


def _clean(environment: Mapping[str, str]) -> dict[str, str]:
    """What a host gets to see, and where to find this very package."""
    passed = {name: value for name, value in environment.items() if name.startswith(PASSED_ON)}
    # Debian's jack plugin would otherwise start a server.
    return {**passed, "PYTHONPATH": str(Path(__file__).parents[2]), "JACK_NO_START_SERVER": "1"}
