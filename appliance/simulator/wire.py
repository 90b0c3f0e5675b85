"""The sending end of one connection: a queue with a single writer, and the ways in which a connection can end badly.

Everything that is said goes through the queue, and so do the ends, so that an ``error`` leaves before the close that it
explains.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from appliance.simulator.scenario import Close, Freeze, HangUp, Reset

End = Close | Reset | HangUp | Freeze


class Wire:
    """``put()`` and ``end()`` never wait; ``run()`` sends. ``ended``: an end has been asked for, nothing more is taken.
    ``frozen``: it is a Freeze."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection
        self._queue: deque[str | bytes | End] = deque()
        self._filled = asyncio.Event()
        self.ended = False
        self.frozen = False

    def put(self, message: str | bytes) -> None:
        """Queue a message; dropped after an end."""
        if not self.ended:
            self._queue.append(message)
            self._filled.set()

    def end(self, how: End) -> None:
        """Once everything queued has been sent, end the connection that way. Only the first end counts."""
        if not self.ended:
            self._queue.append(how)
            self._filled.set()
            self.ended = True
            self.frozen = isinstance(how, Freeze)

    async def run(self) -> None:
        """Send until an end, or until the client is gone."""
        try:
            while True:
                while self._queue:
                    match self._queue.popleft():
                        case str() | bytes() as message:
                            await self._connection.send(message)
                        case end:
                            await self._end(end)
                            return
                self._filled.clear()
                await self._filled.wait()
        except ConnectionClosed:
            pass

    def abort(self) -> None:
        """Drop the connection without a word."""
        # Aborting a closed TLS transport is an AttributeError inside Python 3.11.2.
        if not self._connection.transport.is_closing():
            self._connection.transport.abort()

    async def _end(self, end: End) -> None:
        transport = self._connection.transport
        match end:
            case Close(code=None):
                # The library's close() always sends a code.
                async with self._connection.send_context():
                    self._connection.protocol.send_close()
            case Close(code=int() as code, reason=reason):
                await self._connection.close(code, reason)
            case Freeze():
                # Without reading there is no pong either: the library answers pings as it reads them.
                transport.pause_reading()
            case HangUp() if transport.can_write_eof():
                transport.write_eof()
            case HangUp():
                # TLS has no half-closed connections; its close() would wait for the client's farewell.
                transport.abort()
            case Reset():
                # Zero seconds of lingering: the kernel sends RST instead of FIN.
                linger = struct.pack("ii", 1, 0)
                transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                transport.abort()
