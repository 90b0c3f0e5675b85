"""Paper time for two who talk over a socket of this process: what one of them sends has arrived at once, so nothing is
really waited for."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from tests.support import simulated_time
from tests.support.simulated_time import PaperLoop


class PairLoop(PaperLoop):
    """A connection to a server that this loop has made is a socket pair. The kernel delivers over loopback when it has
    the time; from one end of a pair to the other it does within the call that sends."""

    def __init__(self) -> None:
        super().__init__()
        self._served: dict[int, Callable[[], asyncio.BaseProtocol]] = {}

    async def create_server(self, protocol_factory: Any, *args: Any, **more: Any) -> asyncio.Server:
        server = await super().create_server(protocol_factory, *args, **more)
        self._served[server.sockets[0].getsockname()[1]] = protocol_factory
        return server

    async def create_connection(self, protocol_factory: Any, host: Any = None, port: Any = None, **more: Any) -> Any:
        near, far = socket.socketpair()
        await self.connect_accepted_socket(self._served[port], far)
        more.pop("happy_eyeballs_delay", None)
        near.setblocking(False)
        return await super().create_connection(protocol_factory, sock=near, **more)


def on_paper(main: Coroutine[Any, Any, None]) -> None:
    """Run ``main`` in paper time."""
    grace_s, simulated_time.GRACE_S = simulated_time.GRACE_S, 0.0
    try:
        with asyncio.Runner(loop_factory=PairLoop) as runner:
            runner.run(main)
    finally:
        simulated_time.GRACE_S = grace_s
