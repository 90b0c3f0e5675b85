"""The control socket: how people with ssh, tests and a local page watch and drive the box. A Unix socket, no network.

One JSON object on each line, both ways, ASCII (other letters as ``\\uXXXX``). A client may send any number of requests;
each is answered by one line, in order::

    {"command": "status"}                     {"ok": true, "status": {"state": "ready", "light": "ready", …}}
    {"command": "press"}                      {"ok": true}      the button goes down, as far as the box can tell
    {"command": "release"}                    {"ok": true}      and up; on the same connection or another
    {"command": "tap"}                        {"ok": true}      both at once
    {"command": "stop"}                       {"ok": true}      the reply and the turn end; the daemon does not
    {"command": "history"}                    {"ok": true, "history": {…}}   what happened, and how often
    {"command": "retry"}                      {"ok": true}      try to connect now
    {"command": "mute"}                       {"ok": true}      the microphone is closed
    {"command": "unmute"}                     {"ok": true}      and opened, unless the switch on the box keeps it closed
    {"command": "volume", "percent": 60}      {"ok": true}      kept within the owner's bounds, and over a restart
    {"command": "record", "on": true}         {"ok": true}      the shape of every message is kept in a file; or no more
    {"command": "tone"}                       {"ok": true}      a few short tones, to hear whether the speaker works
    {"command": "identify"}                   {"ok": true}      light and tones say "this one" for 30 s
    {"command": "hang-up"}                    {"ok": true}      the session ends, unless somebody is talking
    {"command": "watch"}                      {"ok": true, "status": {…}}, then events for as long as the client reads
    {"command": "watch", "captions": true}    the same with both transcripts, where ``control.captions`` allows it
    {"command": "watch", "levels": true}      the same with the microphone's level, ten times a second while it listens
    anything else                             {"ok": false, "error": "one line for a person"}

Every event has ``event``, its kind, and ``time_s``, monotonic seconds::

    {"event": "state", "time_s": 81.204, "state": "listening", "link": "connecting", "light": "listening"}
    {"event": "turn", "time_s": 90.115, "turn": 3, "outcome": "answered", …}
    {"event": "caption", "time_s": 86.318, "side": "box", "turn": 3, "response": "…", "from_s": 86.318,
     "until_s": null, "text": "…"}            box/captions.py says what adds up to what, and when it is told
    {"event": "level", "time_s": 82.104, "dbfs": -31.5}

A client that does not watch and asks nothing for ``IDLE_S`` is dropped; where there are ``MOST_CLIENTS``, the one that
has asked nothing for longest makes room for the next, so that nobody can lock others out by doing nothing.

A press holds until its release or ``talk.max_hold_s``, whoever disconnects. Who may use the socket is a matter of its
file: mode 0660, the daemon's group. A press opens a microphone, so the log names the user id behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import socket
import stat
import struct
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from appliance.errors import ApplianceError, UnavailableError
from appliance.journal.catalog import Kind, entry

log = logging.getLogger(__name__)

SOURCE: Final = "control socket"
"""What the handler is told as the source of an edge: one button, however many connections press it."""

CAPTION: Final = "caption"
"""The kind of event that holds what was said: only for watchers that asked, and only if the owner allows it."""

LEVEL: Final = "level"
"""The kind of event that holds how loud the microphone is: only for watchers that asked."""

LONGEST_REQUEST_BYTES: Final = 4096
"""Fifty times the longest request there is."""

MOST_CLIENTS: Final = 32
"""At once. A page, a few terminals, a test: far more than there are, few enough for the box's memory."""

MOST_WATCHERS: Final = 24
"""Of them. Those who watch say nothing for days and keep their places, so some are left to those who ask."""

IDLE_S: Final = 60.0
"""How long a client that does not watch may ask nothing: longer than a page waits between two looks, or a person
types."""

SLOW_BYTES: Final = 65_536
"""Unread events, beyond what the kernel holds, after which a watcher is dropped: some hundred events."""

SOCKET_MODE: Final = 0o660
FOLDER_MODE: Final = 0o750


class Handler(Protocol):
    """What the socket drives. Called on the loop; nothing may block."""

    def status(self) -> Mapping[str, Any]:
        """Everything worth knowing now, as JSON values."""

    def edge(self, down: bool, source: str) -> None:
        """The button ``source`` went down or up, now."""

    def history(self) -> Mapping[str, Any]:
        """What the box remembers, as JSON values."""

    def quiet(self) -> None:
        """End the reply and the turn."""

    def retry(self) -> None:
        """Try to connect now."""

    def mute(self, wanted: bool) -> None:
        """Close the microphone, or open it. Raises ApplianceError if it cannot be."""

    def set_volume(self, percent: int) -> None:
        """0 to 100; what is out of the owner's bounds becomes the nearest that is not."""

    def record(self, wanted: bool) -> None:
        """Keep the shape of every message of the wire, or no more. Raises ApplianceError if it cannot be kept."""

    def tone(self) -> None:
        """Let the speaker be heard. Raises ApplianceError if there is none."""

    def identify(self) -> None:
        """Let the box be found among others."""

    def hang_up(self) -> None:
        """End the session that nobody needs now."""


class ControlServer:
    """The server. Build it, ``await run()`` it, ``publish`` to it from the loop's thread."""

    def __init__(self, path: str, handler: Handler, *, captions: bool) -> None:
        """``captions``: the owner allows local clients to read along."""
        self._path = path
        self._captions = captions
        self._handler = handler
        self._heard_s: dict[asyncio.StreamWriter, float] = {}
        """Every client, and when it came or last asked."""
        self._watchers: dict[asyncio.StreamWriter, frozenset[str]] = {}
        """Those who watch, and the kinds of event that they get because they asked."""
        self.listening = asyncio.Event()
        """Set while clients can connect."""
        self._actions: dict[str, Callable[[], None]] = {
            "press": lambda: handler.edge(True, SOURCE),
            "release": lambda: handler.edge(False, SOURCE),
            "tap": self._tap,
            "stop": handler.quiet,
            "retry": handler.retry,
            "mute": lambda: handler.mute(True),
            "unmute": lambda: handler.mute(False),
            "tone": handler.tone,
            "identify": handler.identify,
            "hang-up": handler.hang_up,
        }

    def publish(self, event: Mapping[str, Any]) -> None:
        """Tell everybody who watches. ``event`` holds JSON values and the kind as ``event``; ``time_s`` is added."""
        kind = event["event"]
        to_all = kind not in (CAPTION, LEVEL)
        watchers = [writer for writer, asked in self._watchers.items() if to_all or kind in asked]
        if not watchers:
            return
        line = _line({"event": event["event"], "time_s": round(time.monotonic(), 3), **event})
        for writer in watchers:
            writer.write(line)
            if writer.transport.get_write_buffer_size() > SLOW_BYTES:
                log.info("control socket: a client that watches does not read; it is dropped")
                del self._watchers[writer]
                writer.transport.abort()

    def is_wanted(self, kind: str) -> bool:
        """Somebody who watches has asked for events of that kind."""
        return any(kind in asked for asked in self._watchers.values())

    async def run(self) -> None:
        """Serve until cancelled, then remove the socket. Raises UnavailableError if another daemon listens there.

        A socket that cannot be made for another reason is one line in the log: the box works without it.
        """
        listener = self._bind()
        if listener is None:
            await asyncio.Event().wait()
            return
        made = os.stat(self._path).st_ino
        try:
            async with asyncio.TaskGroup() as clients:

                def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                    if not self.listening.is_set():
                        # Accepted in the turn of the loop in which the server ends.
                        writer.transport.abort()
                        return
                    clients.create_task(self._serve(reader, writer), name="control client")

                server = await asyncio.start_unix_server(
                    connected, sock=listener, limit=LONGEST_REQUEST_BYTES, start_serving=False
                )
                try:
                    # First: asyncio lets others run before it returns, and a client may be there by then.
                    self.listening.set()
                    await server.start_serving()
                    await asyncio.Event().wait()
                finally:
                    self.listening.clear()
                    server.close()
        finally:
            # Python 3.13 removes the file itself; and it may be another daemon's by now.
            with contextlib.suppress(OSError):
                if os.stat(self._path).st_ino == made:
                    os.unlink(self._path)

    def _bind(self) -> socket.socket | None:
        """The socket, bound and not yet listening; None, with a line in the log, if that is not possible."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            os.makedirs(os.path.dirname(self._path), FOLDER_MODE, exist_ok=True)
            _remove_stale(self._path)
            listener.bind(self._path)
            # Before it listens nobody can connect, so there is no moment with other rights.
            os.chmod(self._path, SOCKET_MODE)
        except OSError as error:
            listener.close()
            reason = error.strerror or str(error)
            line = "no control socket: %s: %s; set control.socket to a path that can be made"
            log.error(line, self._path, reason, extra=entry(Kind.NO_CONTROL_SOCKET))
            return None
        except BaseException:
            listener.close()
            raise
        return listener

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, until it goes, sends too long a line, or the server ends."""
        if len(self._heard_s) >= MOST_CLIENTS:
            self._make_room()
        self._heard_s[writer] = time.monotonic()
        try:
            while True:
                # Over both: who asks and does not read is as silent as who does not ask.
                async with asyncio.timeout(None if writer in self._watchers else IDLE_S):
                    if not (line := await reader.readline()):
                        return
                    self._heard_s[writer] = time.monotonic()
                    writer.write(self._answer(line, writer))
                    await writer.drain()
        except TimeoutError:
            self._dismiss(writer, f"nothing asked for {IDLE_S:.0f} s")
        except ValueError:
            # What readline raises for a line beyond the limit; where the next one begins is not known.
            writer.write(_refusal(f"a request has at most {LONGEST_REQUEST_BYTES} bytes"))
        except OSError:
            # The client has gone: its business.
            pass
        except asyncio.CancelledError:
            # The server ends; who has not read by now does not keep the box from stopping.
            writer.transport.abort()
            raise
        finally:
            self._heard_s.pop(writer, None)
            self._watchers.pop(writer, None)
            writer.close()

    def _make_room(self) -> None:
        """Dismiss the client that has asked nothing for longest; there is one, since not all can watch."""
        silent = min(
            (writer for writer in self._heard_s if writer not in self._watchers), key=self._heard_s.__getitem__
        )
        del self._heard_s[silent]
        self._dismiss(silent, f"more than {MOST_CLIENTS} clients at once")

    @staticmethod
    def _dismiss(writer: asyncio.StreamWriter, reason: str) -> None:
        """Say why, if that can be said at once, and end it."""
        writer.write(_refusal(reason))
        writer.transport.abort()

    def _answer(self, line: bytes, writer: asyncio.StreamWriter) -> bytes:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            return _refusal("a request is one JSON object on one line")
        if not isinstance(request, dict) or not isinstance(command := request.get("command"), str):
            return _refusal('a request is an object such as {"command": "status"}')
        try:
            if command == "volume":
                return self._set_volume(request.get("percent"))
            if command == "record":
                return self._record(request.get("on"))
            asked = {CAPTION: request.get("captions"), LEVEL: request.get("levels")}
            return self._carry_out(command, frozenset(kind for kind in asked if asked[kind] is True), writer)
        except ApplianceError as error:
            return _refusal(str(error))
        except Exception:
            # A fault of ours in one command: the client hears of it, the box goes on.
            log.exception("control socket: %s failed", command, extra=entry(Kind.FAULT_OF_OURS))
            return _refusal("internal fault; the log has it")

    def _set_volume(self, percent: object) -> bytes:
        if type(percent) is not int or not 0 <= percent <= 100:
            return _refusal('"percent" is a whole number from 0 to 100')
        self._handler.set_volume(percent)
        return _line({"ok": True})

    def _record(self, wanted: object) -> bytes:
        if not isinstance(wanted, bool):
            return _refusal('"on" is true or false')
        self._handler.record(wanted)
        return _line({"ok": True})

    def _carry_out(self, command: str, asked: frozenset[str], writer: asyncio.StreamWriter) -> bytes:
        match command:
            case "status":
                return _line({"ok": True, "status": self._handler.status()})
            case "history":
                return _line({"ok": True, "history": self._handler.history()})
            case "watch":
                if CAPTION in asked and not self._captions:
                    return _refusal("captions are off; control.captions = true in the configuration allows them")
                if writer not in self._watchers and len(self._watchers) >= MOST_WATCHERS:
                    return _refusal(f"{MOST_WATCHERS} clients watch already")
                answer = _line({"ok": True, "status": self._handler.status()})
                self._watchers[writer] = asked
                return answer
        action = self._actions.get(command)
        if action is None:
            known = ("status", "history", "watch", "volume", "record", *self._actions)
            return _refusal(f"unknown command; there are: {', '.join(known)}")
        if command in ("press", "tap", "unmute"):
            user = _user_id(writer)
            log.info("control socket: %s by user id %d", command, user, extra=entry(Kind.CONTROL_USED, BY_UID=user))
        action()
        return _line({"ok": True})

    def _tap(self) -> None:
        self._handler.edge(True, SOURCE)
        self._handler.edge(False, SOURCE)


def _remove_stale(path: str) -> None:
    """Remove the socket that a killed daemon has left.

    Raises UnavailableError if somebody listens on it, and OSError if it is not a socket, or not ours to remove.
    """
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise FileExistsError(errno.EEXIST, "is there and is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # Full queues block, too; no answer at once means that nobody listens, or nobody who will be missed.
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except BlockingIOError:
            pass
    raise UnavailableError(f"another daemon runs already: it listens on {path}")


def _user_id(writer: asyncio.StreamWriter) -> int:
    """Who is at the other end, as the kernel knows it (SO_PEERCRED: pid, uid, gid)."""
    credentials = struct.Struct("3i")
    peer = writer.get_extra_info("socket")
    user: int = credentials.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, credentials.size))[1]
    return user


def _line(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message).encode("ascii") + b"\n"


def _refusal(error: str) -> bytes:
    return _line({"ok": False, "error": error})
