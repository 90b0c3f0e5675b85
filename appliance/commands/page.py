"""The kiosk's screen: serves a page that shows what the box is doing, to browsers on this machine (hardware/kiosk.md).

systemd starts it when a browser comes, and hands it its socket. By hand, with --port, it prints the address to open.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal

from appliance.config import loader
from appliance.errors import ConfigurationError, UsageError
from appliance.system import sd_notify


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """By hand, or whether it may be started at all."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--port", type=int, metavar="N", help="listen on 127.0.0.1:N; 0: any that is free")
    parser.add_argument("--check", action="store_true", help="only say whether the configuration wants the page")


def run(args: argparse.Namespace) -> int:
    """Serve until stopped, or until nobody looks; 0. Raises ConfigurationError, UnavailableError and UsageError."""
    settings = loader.load(args.config)
    if not settings.page.enabled and args.port is None:
        raise ConfigurationError(["the page is off; [page] enabled = true in the configuration switches it on"])
    if args.check:
        return 0
    # Late, so that --check is over at once.
    from appliance.page import content, start
    from appliance.page.server import PageServer

    listeners = start.handed_over()
    by_hand = not listeners
    if by_hand:
        if args.port is None or not 0 <= args.port <= 65_535:
            raise UsageError("systemd starts the page; by hand it needs --port N, from 0 to 65535")
        listeners = start.own(args.port)
    folder = os.environ.get("STATE_DIRECTORY")
    token = start.token(folder)
    files, hello = content.files(settings.page.logo), content.hello(settings)
    if by_hand:
        print(start.address(listeners[0].getsockname()[1], token), flush=True)

    async def serve() -> None:
        server = PageServer(
            listeners,
            files,
            hello,
            token,
            settings.control.socket_path,
            captions=settings.control.captions,
            until_idle=not by_hand,
        )
        task = asyncio.ensure_future(server.run())
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        await asyncio.wait((task, asyncio.ensure_future(server.listening.wait())), return_when=asyncio.FIRST_COMPLETED)
        sd_notify.manager().ready("the page is served")
        try:
            await task
        except asyncio.CancelledError:
            sd_notify.manager().stopping()

    asyncio.run(serve())
    return 0
