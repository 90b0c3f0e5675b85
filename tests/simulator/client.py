"""A plain client of the embedded service: sends events, gathers what comes back, judges nothing."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from appliance.realtime import codec, events
from appliance.realtime.events import InputAudioBufferAppend, ServerEvent, SessionSettings, SessionUpdate
from appliance.simulator.service import Service
from appliance.simulator.voices import SAMPLE_HZ

SIMPLE = "mal-realtime-simple"
PREMIUM = "mal-realtime-premium"
KEY = "swaram_test"

EventT = TypeVar("EventT", bound=ServerEvent)


def speech(duration_ms: float, dbfs: float = -20.0) -> bytes:
    """Noise with the given RMS level: what turn detection takes for speech. The same each time."""
    samples = np.random.default_rng(1).normal(0, 32768 * 10 ** (dbfs / 20), round(duration_ms * SAMPLE_HZ / 1000))
    return bytes(np.clip(samples, -32768, 32767).astype("<i2").tobytes())


def silence(duration_ms: float) -> bytes:
    """Zeros."""
    return bytes(round(duration_ms * SAMPLE_HZ / 1000) * 2)


class Client:
    """``events``: everything that came, in order. ``messages``: the same as it came, unreadable ones too."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.events: list[ServerEvent] = []
        self.messages: list[str | bytes] = []
        self.closed: ConnectionClosed | None = None
        self._changed = asyncio.Event()

    async def read(self) -> None:
        try:
            while True:
                message = await self.connection.recv()
                self.messages.append(message)
                if isinstance(message, str) and message.startswith('{"type"'):
                    self.events.append(codec.decode(message))
                self._changed.set()
        except ConnectionClosed as closed:
            self.closed = closed
            self._changed.set()

    @property
    def close_code(self) -> int | None:
        """Of the service's close frame; None if none has come."""
        return self.closed.rcvd.code if self.closed and self.closed.rcvd else None

    def of(self, kind: type[EventT]) -> list[EventT]:
        return [event for event in self.events if isinstance(event, kind)]

    async def until(self, condition: Callable[[], object], timeout_s: float = 10.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def until_event(self, kind: type[EventT], count: int = 1) -> EventT:
        """The ``count``-th event of that type since the connection began."""
        await self.until(lambda: len(self.of(kind)) >= count)
        return self.of(kind)[count - 1]

    async def until_closed(self) -> None:
        await self.until(lambda: self.closed)

    async def send(self, *outgoing: events.ClientEvent) -> None:
        for event in outgoing:
            await self.connection.send(codec.encode(event))

    async def say(self, *sounds: bytes) -> None:
        """Append the sounds in one burst, in pieces of 40 ms."""
        audio = b"".join(sounds)
        for start in range(0, len(audio), 1920):
            await self.send(InputAudioBufferAppend(audio[start : start + 1920]))

    def heard(self, response_id: str | None) -> bytes:
        """The audio of a reply that came so far."""
        return b"".join(delta.audio for delta in self.of(events.OutputAudioDelta) if delta.response_id == response_id)


@asynccontextmanager
async def dial(
    service: Service, model: str = SIMPLE, key: str = KEY, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Client]:
    """A bare connection, nothing sent yet."""
    url = f"{service.url}?model={model}"
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with connect(url, additional_headers=headers, proxy=None, close_timeout=1, ssl=tls) as one:
        client = Client(one)
        reader = asyncio.create_task(client.read())
        try:
            yield client
        finally:
            await one.close()
            await reader


@asynccontextmanager
async def call(service: Service, model: str = SIMPLE) -> AsyncIterator[Client]:
    """A connection whose settings are confirmed."""
    async with dial(service, model) as client:
        await client.send(SessionUpdate(SessionSettings("Be kind.", "mal-female")))
        await client.until_event(events.SessionUpdated)
        yield client
