"""A page over a real control socket, without a box behind it; and requests as raw as they come."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from appliance.config import loader
from appliance.control.server import ControlServer
from appliance.page import content, start
from appliance.page.server import PageServer

TIMEOUT_S = 10.0
TOKEN = "a-token-of-thirty-two-characters"


@dataclass
class Box:
    """What the control socket drives: a box that is ready, and notes what it is asked for."""

    state: dict[str, Any] = field(default_factory=lambda: {"state": "ready", "link": "closed", "light": "ready"})
    edges: list[bool] = field(default_factory=list)

    def status(self) -> Mapping[str, Any]:
        return {**self.state, "turn": 0, "fault": None, "microphone": {"name": "a name that is nobody's business"}}

    def edge(self, down: bool, source: str) -> None:
        self.edges.append(down)

    def history(self) -> Mapping[str, Any]:
        return {}

    def quiet(self) -> None: ...

    def retry(self) -> None: ...

    def mute(self, wanted: bool) -> None: ...

    def set_volume(self, percent: int) -> None: ...

    def record(self, wanted: bool) -> None: ...

    def tone(self) -> None: ...

    def hang_up(self) -> None: ...

    def identify(self) -> None: ...


@contextlib.asynccontextmanager
async def daemon(path: Path, box: Box, *, captions: bool = True) -> AsyncIterator[ControlServer]:
    """The control socket of ``box``."""
    server = ControlServer(str(path), box, captions=captions)
    async with running(server):
        yield server


@contextlib.asynccontextmanager
async def running(server: ControlServer | PageServer) -> AsyncIterator[None]:
    task = asyncio.create_task(server.run())
    listening = asyncio.create_task(server.listening.wait())
    await asyncio.wait((task, listening), timeout=TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
    try:
        yield
    finally:
        for each in (task, listening):
            each.cancel()
        await asyncio.wait((task, listening), timeout=TIMEOUT_S)
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


@dataclass
class Page:
    """A page that is served, and where."""

    server: PageServer
    port: int

    @property
    def address(self) -> str:
        return start.address(self.port, TOKEN)


def settings(**page: Any) -> loader.Config:
    """The configuration, with settings of ``[page]``."""
    overrides = {f"page.{name}": value for name, value in page.items()}
    return loader.load(None, {"page.enabled": True, "control.captions": True, **overrides})


@contextlib.asynccontextmanager
async def page(control_path: Path | str, *, port: int = 0, **page_settings: Any) -> AsyncIterator[Page]:
    """The page of the daemon at ``control_path``."""
    wanted = settings(**page_settings)
    listeners = start.own(port)
    bound = int(listeners[0].getsockname()[1])
    files, hello = content.files(wanted.page.logo), content.hello(wanted)
    server = PageServer(listeners, files, hello, TOKEN, str(control_path), captions=True)
    async with running(server):
        yield Page(server, bound)


async def until(condition: Any, timeout_s: float = TIMEOUT_S) -> None:
    """Until something is so that nothing announces."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  (nobody would set an event)
            await asyncio.sleep(0.005)
