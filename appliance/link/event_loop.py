"""An event loop that can end while a name is still being resolved, and whose connections never outlive who wanted them.

Behind a router that has lost its line the system's resolver blocks: 5 s, twice, for each server (resolv.conf(5)).
asyncio asks it in one of its worker threads, and waits for all of those when the loop ends; systemd would kill the box
first. Here each name has a thread of its own, which is left behind.

Where addresses race (RFC 8305), asyncio forgets the socket that has just won when the race is cancelled in that moment
(asyncio/staggered.py of Python 3.11). The service would count it among the box's connections until some collection of
garbage.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final

RESOLVER: Final = "resolver"
"""What each of its threads is called."""

MOST_ASKED: Final = 8
"""Names under way at once. The link's attempts follow one another, so more of them mean a resolver that has hung for
good; its threads must not become as many as the unit allows (TasksMax=)."""


_connected: ContextVar[list[socket.socket]] = ContextVar("_connected")
"""The sockets that the connection which is being made has connected; each of its racing tasks has the same list."""


class Loop(asyncio.SelectorEventLoop):
    """asyncio's own but for names, and for what is connected when nobody waits any more."""

    def __init__(self) -> None:
        super().__init__()
        self._asking: list[threading.Thread] = []

    async def create_connection(self, protocol_factory: Callable[[], Any], *arguments: Any, **how: Any) -> Any:
        """As asyncio's, and raises what that raises; cancelled at any moment, it leaves no socket open."""
        connected: list[socket.socket] = []
        owned = False

        def protocol() -> Any:
            # The race is over: from here on asyncio closes what it has.
            nonlocal owned
            owned = True
            return protocol_factory()

        before = _connected.set(connected)
        try:
            return await super().create_connection(protocol, *arguments, **how)
        finally:
            _connected.reset(before)
            if not owned:
                for each in connected:
                    each.close()

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        """As asyncio's, and raises what that raises."""
        await super().sock_connect(sock, address)
        if (connected := _connected.get(None)) is not None:
            connected.append(sock)

    async def getaddrinfo(self, host: Any, port: Any, **how: Any) -> Any:
        """As ``socket.getaddrinfo``, and raises what that raises; gaierror, too, while ``MOST_ASKED`` are under way."""
        self._asking = [thread for thread in self._asking if thread.is_alive()]
        if len(self._asking) >= MOST_ASKED:
            raise socket.gaierror(socket.EAI_AGAIN, "the system's resolver does not answer")
        answer: asyncio.Future[Any] = self.create_future()

        def tell(found: Any, error: BaseException | None) -> None:
            if answer.done():
                # Nobody waits any more.
                return
            if error is None:
                answer.set_result(found)
            else:
                answer.set_exception(error)

        def ask() -> None:
            found, error = None, None
            try:
                found = socket.getaddrinfo(host, port, **how)
            except Exception as raised:
                error = raised
            # RuntimeError: the loop has ended.
            with contextlib.suppress(RuntimeError):
                self.call_soon_threadsafe(tell, found, error)

        thread = threading.Thread(target=ask, name=RESOLVER, daemon=True)
        thread.start()
        self._asking.append(thread)
        return await answer
