"""A network that is slow, far away and lossy, on loopback: a proxy between a box and the embedded service.

Each direction of each connection has a line of its own. What enters is cut into segments; each occupies the line for
its length at ``rate_bps``, and arrives ``delay_s`` later. A lost segment is what TCP makes of it: everything behind it
waits for the retransmission. The proxy reads no faster than the line takes, and holds little, so that a box feels the
line as it would feel a real one.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections import deque
from dataclasses import dataclass
from types import TracebackType

from tests.support import held_port

SEGMENT_BYTES = 1448
"""What Ethernet and Wi-Fi carry of TCP in one packet, with timestamps."""

RETRANSMISSION_S = (0.2, 0.4)
"""Linux waits for an acknowledgement at least 200 ms (TCP_RTO_MIN); with jitter on top of a long way, up to twice."""

HELD_BYTES = 16_384
"""What the kernel may hold of a connection at this end, before the line: a home router's buffer (not measured)."""


@dataclass(frozen=True, slots=True)
class Line:
    """``rate_bps`` None: as fast as loopback is. ``loss``: the share of segments that are lost once."""

    rate_bps: float | None = None
    delay_s: float = 0.0
    loss: float = 0.0


class SlowNetwork:
    """``line`` holds for both directions and may be changed at any time; ``passed_bytes`` counts both."""

    def __init__(self, port: int, line: Line, seed: int = 1) -> None:
        """``port``: where the service listens on 127.0.0.1."""
        self.line = line
        self.moves = asyncio.Event()
        """Cleared: nothing passes any more, and no connection ends, as if the air were gone."""
        self.moves.set()
        self.passed_bytes = 0
        self._target = port
        self._random = random.Random(seed)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._holder = held_port.bound()
        self.port: int = self._holder.getsockname()[1]
        """Where a box connects to."""

    async def __aenter__(self) -> SlowNetwork:
        await self.listen()
        return self

    async def listen(self) -> None:
        """Take connections, at the same port as before; those of before ``refuse`` have gone on."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # Before listen(): a connection inherits it, and it bounds the window that the box is offered.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, HELD_BYTES)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        self._server = await asyncio.start_server(self._connected, sock=listener, limit=SEGMENT_BYTES)

    def refuse(self) -> None:
        """New connections are refused until ``listen``."""
        assert self._server is not None
        self._server.close()

    def cut(self) -> None:
        """Every connection is reset."""
        for task in self._tasks:
            task.cancel()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self._holder.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def url(self, direct: str) -> str:
        """The service's own address, led through here."""
        return direct.replace(f":{self._target}", f":{self.port}")

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with contextlib.ExitStack() as ends:
            ends.callback(writer.transport.abort)
            try:
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target, limit=SEGMENT_BYTES)
                ends.callback(far_writer.transport.abort)
                async with asyncio.TaskGroup() as group:
                    for source, sink in ((reader, far_writer), (far_reader, writer)):
                        group.create_task(self._carry(source, sink))
            except* OSError:
                # Refused, or reset by either side: the other one is cut off as well.
                pass

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """One direction, until its end."""
        loop = asyncio.get_running_loop()
        under_way: deque[tuple[float, bytes]] = deque()
        entered = asyncio.Event()

        async def deliver() -> None:
            while True:
                while under_way:
                    at_s, segment = under_way[0]
                    await asyncio.sleep(at_s - loop.time())
                    await self.moves.wait()
                    under_way.popleft()
                    if not segment:
                        sink.write_eof()
                        return
                    sink.write(segment)
                    await sink.drain()
                entered.clear()
                await entered.wait()

        async with asyncio.TaskGroup() as group:
            group.create_task(deliver())
            free_s = arrives_s = 0.0
            while True:
                segment = await source.read(SEGMENT_BYTES)
                line = self.line
                if line.rate_bps is not None:
                    free_s = max(free_s, loop.time()) + 8 * len(segment) / line.rate_bps
                    await asyncio.sleep(free_s - loop.time())
                lost_s = self._random.uniform(*RETRANSMISSION_S) if self._random.random() < line.loss else 0.0
                arrives_s = max(arrives_s, loop.time() + line.delay_s + lost_s)
                under_way.append((arrives_s, segment))
                entered.set()
                self.passed_bytes += len(segment)
                if not segment:
                    return
