"""Debian's Chromium, without a window, driven over its DevTools protocol (CDP) by ``websockets``."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

TIMEOUT_S = 30.0

ARGUMENTS = (
    "--headless=new",
    "--remote-debugging-port=0",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--mute-audio",
    # As root, as in a container, its sandbox does not start.
    *(("--no-sandbox",) if os.getuid() == 0 else ()),
)


class Tab:
    """One page of the browser."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.complaints: list[str] = []
        """What the browser's console says: errors, and what the Content-Security-Policy has refused."""
        self.requested: list[str] = []
        """Every address that was asked for."""

    async def read(self) -> None:
        """Take what the browser says, until it goes."""
        async for message in self._connection:
            said = json.loads(message)
            # Who asked may have given up meanwhile.
            if (number := said.get("id")) in self._waiting and not (asker := self._waiting.pop(number)).done():
                asker.set_result(said)
            match said:
                case {"method": "Log.entryAdded", "params": {"entry": {"text": text, "level": "error"}}}:
                    self.complaints.append(text)
                case {"method": "Runtime.exceptionThrown", "params": {"exceptionDetails": details}}:
                    self.complaints.append(json.dumps(details))
                case {"method": "Network.requestWillBeSent", "params": {"request": {"url": url}}}:
                    self.requested.append(url)
                case {"method": "Network.webSocketCreated", "params": {"url": url}}:
                    self.requested.append(url)

    async def tell(self, method: str, **params: Any) -> dict[str, Any]:
        """One command; its result."""
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._connection.send(json.dumps({"id": number, "method": method, "params": params}))
        async with asyncio.timeout(TIMEOUT_S):
            said = await answer
        assert "result" in said, said
        return dict(said["result"])

    async def value(self, expression: str) -> Any:
        """What a piece of JavaScript in the page gives; a promise is awaited."""
        result = await self.tell("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def until(self, expression: str, timeout_s: float = 10.0) -> Any:
        """Wait, frame by frame, until a piece of JavaScript gives something true; returns it."""
        # While a page loads, what is looked for may not be there.
        safely = f"(() => {{ try {{ return ({expression}); }} catch {{ return null; }} }})()"
        try:
            async with asyncio.timeout(timeout_s):
                while not (value := await self.value(safely)):  # noqa: ASYNC110  (nobody would set an event)
                    await asyncio.sleep(0.005)
        except TimeoutError:
            shown = await self.value("document.body.innerText")
            raise AssertionError(f"waited in vain for {expression}; the page shows:\n{shown}") from None
        return value

    async def open(self, address: str) -> None:
        """Go there. A fragment alone would not load anew."""
        await self.tell("Page.navigate", url="about:blank")
        await self.until("location.href === 'about:blank' && document.readyState === 'complete'")
        # What the page before has said, whose server has gone.
        self.complaints.clear()
        self.requested.clear()
        await self.tell("Page.navigate", url=address)

    async def size(self, width: int, height: int, scale: float = 1.0) -> None:
        """Have a screen of so many CSS pixels."""
        await self.tell(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False
        )

    async def prefers_reduced_motion(self, wanted: bool) -> None:
        """What the person has told the system."""
        feature = {"name": "prefers-reduced-motion", "value": "reduce" if wanted else "no-preference"}
        await self.tell("Emulation.setEmulatedMedia", features=[feature])

    async def screenshot(self) -> bytes:
        """What is shown, as a PNG."""
        shot = await self.tell("Page.captureScreenshot", format="png")
        return base64.b64decode(shot["data"])


@contextlib.asynccontextmanager
async def browser() -> AsyncIterator[Tab]:
    """A fresh browser with one page."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    assert program, "no Chromium: make test-page installs it"
    profile = tempfile.mkdtemp(prefix="page-")
    process = await asyncio.create_subprocess_exec(
        program,
        *ARGUMENTS,
        f"--user-data-dir={profile}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        port = await _port(Path(profile, "DevToolsActivePort"))
        target = await _first_page(port)
        async with connect(target, max_size=None, compression=None, proxy=None) as connection:
            tab = Tab(connection)
            reading = asyncio.create_task(tab.read())
            for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
                await tab.tell(f"{domain}.enable")
            try:
                yield tab
            finally:
                reading.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await reading
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await asyncio.to_thread(_remove, profile)


def _remove(folder: str) -> None:
    """The browser's helpers end a moment after it, and write until then."""
    deadline_s = time.monotonic() + 5
    while os.path.exists(folder) and time.monotonic() < deadline_s:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.05)


async def _port(file: Path) -> int:
    """Where it listens: it writes that down itself."""
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            with contextlib.suppress(OSError, ValueError, IndexError):
                return int((await asyncio.to_thread(file.read_text)).splitlines()[0])
            await asyncio.sleep(0.02)


async def _first_page(port: int) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /json/list HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.decode().split("\r\n") if line.lower().startswith("content-length:"))
    body = await reader.readexactly(length)
    writer.close()
    return str(next(page["webSocketDebuggerUrl"] for page in json.loads(body) if page["type"] == "page"))
