"""An event loop that can end while a name is still being resolved.

Behind a router that has lost its line the system's resolver blocks: 5 s, twice, for each server (resolv.conf(5)).
asyncio asks it in one of its worker threads, and waits for all of those when the loop ends; systemd would kill the box
first. Here each name has a thread of its own, which is left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import Any, Final

RESOLVER: Final = "resolver"
"""What each of its threads is called."""

MOST_ASKED: Final = 8
"""Names under way at once. The link's attempts follow one another, so more of them mean a resolver that has hung for
good; its threads must not become as many as the unit allows (TasksMax=)."""


class Loop(asyncio.SelectorEventLoop):
    """asyncio's own but for names."""

    def __init__(self) -> None:
        super().__init__()
        self._asking: list[threading.Thread] = []

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
