"""The sound devices as the daemon sees them, and which it would take.

A * stands before the one that the configuration means now. Any name shown here, a part of it, or a port such as
usb:1-1.2 can be written as microphone.device or speaker.device. Ends with 69 when one of the two is not there.
"""

from __future__ import annotations

import argparse
import logging
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

from appliance import config
from appliance.audio import wire
from appliance.audio.devices import MOST_HARDWARE_CHANNELS, NOUN, Choice, Direction, card_of, choose, described
from appliance.errors import DeviceNotFoundError, UnavailableError

log = logging.getLogger(__name__)

LISTING_TIMEOUT_S: Final = 15.0
"""PortAudio asks every card and every plugin in turn: tenths of a second, but seconds with a sound server that is just
starting. Not measured on a Pi."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None: the selectors come from the configuration."""


def run(args: argparse.Namespace) -> int:
    """Print the lists; 0. Raises ConfigurationError, UnavailableError, and after the lists DeviceNotFoundError."""
    settings = config.load(args.config)
    found = listing()
    missing = []
    selectors: dict[Direction, str] = {"capture": settings.microphone.device, "playback": settings.speaker.device}
    for direction, selector in selectors.items():
        chosen = None
        try:
            chosen = choose(selector, direction, found.devices, found.cards)
        except DeviceNotFoundError as error:
            missing.append(str(error))
        print(f'{NOUN[direction]}.device = "{selector}"')
        for row in rows(direction, found, chosen):
            print(row)
    if missing:
        raise DeviceNotFoundError("\n".join(missing))
    return 0


def listing() -> wire.Listing:
    """What a sound host sees: the same process, started in the same way, as the daemon's. Raises UnavailableError."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        descriptor = theirs.fileno()
        host = subprocess.Popen(
            [sys.executable, "-m", "appliance.audio.host", "capture", str(descriptor)],
            pass_fds=[descriptor],
            # ALSA's remarks on its own configuration files, some sixty lines.
            stderr=None if log.isEnabledFor(logging.DEBUG) else subprocess.DEVNULL,
        )
        theirs.close()
        ours.settimeout(LISTING_TIMEOUT_S)
        try:
            ours.send(wire.LIST)
            answer = ours.recv(wire.LARGEST_BYTES)
            message = wire.unpack_from_host(answer) if answer else None
        except OSError as error:
            log.debug("no answer from the sound host: %s", error)
            message = None
        finally:
            host.kill()
            host.wait()
    if isinstance(message, wire.Failed):
        raise UnavailableError(f"no devices: {message.reason}")
    if not isinstance(message, wire.Listing):
        raise UnavailableError("the sound host did not say what devices there are (--debug shows what ALSA says)")
    return message


def rows(direction: Direction, found: wire.Listing, chosen: Choice | None) -> Iterator[str]:
    """One line for each device of ``direction``, then the cards that show none: PortAudio leaves out what is busy."""
    for device in found.devices:
        if count := device.channels(direction):
            mark = "*" if chosen and chosen.device == device else " "
            channels = "any number" if count > MOST_HARDWARE_CHANNELS else count
            yield f"{mark} {described(device, found.cards)}: {device.default_hz} Hz, channels: {channels}"
    shown = {card_of(device, found.cards) for device in found.devices}
    for card in found.cards:
        if card not in shown:
            yield f'  "{card.name}": in use by another program (a running daemon?), or without sound'
    if chosen and chosen.note:
        yield f"  {chosen.note}"
