"""The port is nobody else's, refuses, and can be listened at by its owner."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.support.held_port import held_port


def test_it_refuses_and_nobody_else_is_given_it() -> None:
    with held_port() as port:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))


async def test_its_owner_listens_there_again_and_again() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    with held_port() as port:
        for _ in range(2):
            async with await asyncio.start_server(hang_up, "127.0.0.1", port):
                socket.create_connection(("127.0.0.1", port)).close()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port))
