"""A port of one's own, also while nobody listens there.

The port of a server that has ended is free: the next server of any other test may be given it, and then whoever still
dials it, to be refused, is answered by a stranger. A socket that is bound and does not listen keeps the port: a
connection to it is refused, the kernel gives it to nobody (ip(7), ip_local_port_range), and a server that sets
SO_REUSEADDR, as asyncio's do, may listen there (socket(7)).
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator


def bound() -> socket.socket:
    """A socket that keeps a TCP port of 127.0.0.1 for as long as it is open."""
    holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    return holder


@contextlib.contextmanager
def held_port() -> Iterator[int]:
    """Its number."""
    with bound() as holder:
        yield int(holder.getsockname()[1])
