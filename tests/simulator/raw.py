"""A client of the embedded service that knows JSON and WebSockets, and nothing of this project's reading of either."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from appliance.simulator.service import Service
from tests.simulator.client import SIMPLE, silence, speech

Message = dict[str, Any]

QUESTION = speech(600) + silence(600)
PIECE_BYTES = 2880
"""60 ms."""

TOOLS = [{"type": "function", "name": "get_time", "description": "The time", "parameters": {"type": "object"}}]
FLAT = {"instructions": "Be kind.", "voice": "mal-female", "tools": TOOLS, "tool_choice": "auto"}
PCM = {"type": "audio/pcm", "rate": 24000}
TYPED = {"type": "realtime", "instructions": "Be kind.", "tools": TOOLS, "tool_choice": "auto"}
NESTED = {**TYPED, "audio": {"input": {"format": PCM}, "output": {"format": PCM, "voice": "mal-male"}}}


class Raw:
    """``messages``: everything that came, as JSON. ``close_code``: of the connection's end, None while it is open."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._changed = asyncio.Event()
        self.messages: list[Message] = []
        self.close_code: int | None = None

    async def read(self) -> None:
        try:
            while True:
                self.messages.append(json.loads(await self._connection.recv()))
                self._changed.set()
        except ConnectionClosed:
            self.close_code = self._connection.close_code
            self._changed.set()

    async def send(self, wire_name: str, **fields: object) -> None:
        await self._connection.send(json.dumps({"type": wire_name, **fields}))

    async def update(self, session: Message) -> None:
        await self.send("session.update", session=session)

    async def say(self, audio: bytes, piece_bytes: int = PIECE_BYTES) -> None:
        """Append it in one burst."""
        for start in range(0, len(audio), piece_bytes):
            piece = base64.b64encode(audio[start : start + piece_bytes]).decode()
            await self.send("input_audio_buffer.append", audio=piece)

    async def answer(self, call_id: str, output: str = '{"time":"5:30"}') -> None:
        """Give a tool's result."""
        item = {"type": "function_call_output", "call_id": call_id, "output": output}
        await self.send("conversation.item.create", item=item)

    def of(self, *wire_names: str) -> list[Message]:
        return [message for message in self.messages if message["type"] in wire_names]

    def types(self) -> list[str]:
        """The kinds that came, each once where several follow each other."""
        kinds = [message["type"] for message in self.messages]
        return [kind for at, kind in enumerate(kinds) if at == 0 or kinds[at - 1] != kind]

    def heard(self, response_id: str | None = None) -> bytes:
        """The audio that came, of any name; of one response, or of all."""
        deltas = self.of("response.output_audio.delta", "response.audio.delta")
        mine = [delta for delta in deltas if response_id in (None, delta.get("response_id"))]
        return b"".join(base64.b64decode(delta["delta"]) for delta in mine)

    async def until(self, condition: Callable[[], object], timeout_s: float = 10.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def until_type(self, wire_name: str, count: int = 1) -> Message:
        """The ``count``-th message of that type."""
        await self.until(lambda: len(self.of(wire_name)) >= count)
        return self.of(wire_name)[count - 1]

    async def until_closed(self) -> int:
        await self.until(lambda: self.close_code is not None)
        assert self.close_code is not None
        return self.close_code


@asynccontextmanager
async def raw(service: Service, model: str = SIMPLE) -> AsyncIterator[Raw]:
    """A bare connection, nothing sent yet."""
    headers = {"Authorization": "Bearer swaram_test"}
    async with connect(
        f"{service.url}?model={model}", additional_headers=headers, proxy=None, close_timeout=1
    ) as connection:
        client = Raw(connection)
        reader = asyncio.create_task(client.read())
        try:
            yield client
        finally:
            await connection.close()
            await reader
