"""The sound devices as the kernel has them, and which of them the daemon has, or would take.

A * stands before the one that a running daemon has open; where none runs, before the one that the configuration means.
Any name shown here, a part of it, or a port such as usb:1-1.2 can be written as microphone.device or speaker.device.
Ends with 69 when one of the two is not there, or not to be had.
"""

from __future__ import annotations

import argparse
import logging
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

from appliance.audio.card_preference import Preference
from appliance.config import loader
from appliance.control import client
from appliance.errors import DeviceNotFoundError, UnavailableError
from appliance.soundhost import messages
from appliance.soundhost.card_owners import holder_of, in_use
from appliance.soundhost.devices import (
    MOST_HARDWARE_CHANNELS,
    NOUN,
    UNLISTED,
    Direction,
    Limits,
    card_of,
    choose,
    described,
)
from appliance.storage import history_text

log = logging.getLogger(__name__)

LISTING_TIMEOUT_S: Final = 15.0
"""PortAudio asks every card and every plugin in turn: tenths of a second, but seconds with a sound server that is just
starting. Not measured on a Pi."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None: the selectors come from the configuration."""


def run(args: argparse.Namespace) -> int:
    """Print the lists; 0. Raises ConfigurationError, UnavailableError, and after the lists DeviceNotFoundError."""
    settings = loader.load(args.config)
    status = _status(settings.control.socket_path)
    found, worked = listing(), history_text.cards()
    missing = []
    selectors: dict[Direction, str] = {"capture": settings.microphone.device, "playback": settings.speaker.device}
    for direction, selector in selectors.items():
        noun = NOUN[direction]
        if status is None:
            limits = Preference(direction, best_rank=worked.rank(direction)).limits(0.0)
            chosen, fault, note = _meant(selector, direction, found, limits)
        else:
            chosen, fault, note = _open(noun, status)
        if fault:
            missing.append(fault)
        print(f'{noun}.device = "{selector}"')
        for row in rows(direction, found, chosen, is_open=status is not None):
            print(row)
        if note:
            print(f"  {note}")
    if missing:
        raise DeviceNotFoundError("\n".join(missing))
    return 0


def _status(path: str) -> dict[str, Any] | None:
    """What the running daemon shows of itself; None: none runs, or it cannot be asked, which is said then."""
    try:
        status: dict[str, Any] = client.ask(path, "status")["status"]
    except UnavailableError as error:
        if not isinstance(error.__cause__, FileNotFoundError | ConnectionRefusedError):
            print(f"what the daemon has open is not known: {error}", file=sys.stderr)
        return None
    return status


def _open(noun: str, status: Mapping[str, Any]) -> tuple[str, str, str]:
    """Name of what the daemon has open, why it has nothing, and a remark; what there is not is empty."""
    if (opened := status[noun]) is not None:
        return str(opened["name"]), "", ""
    if noun == NOUN["capture"] and (muted_by := status["muted_by"]):
        return "", "", f"the microphone is switched off: {muted_by}"
    fault = status[f"{noun}_fault"]
    return "", f"no {noun}: {fault}" if fault else f"no {noun} yet: the daemon is opening it", ""


def _meant(selector: str, direction: Direction, found: messages.Listing, limits: Limits) -> tuple[str, str, str]:
    """Name of the device that ``selector`` means, why it cannot be had, and a remark; what there is not is empty."""
    try:
        choice = choose(selector, direction, found.devices, found.cards, limits)
    except DeviceNotFoundError as error:
        return "", str(error), ""
    name = choice.device.name
    return name, in_use(name, direction, found.cards) if choice.device.number == UNLISTED else "", choice.note


def listing() -> messages.Listing:
    """What a sound host sees: the same process, started in the same way, as the daemon's. Raises UnavailableError."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        descriptor = theirs.fileno()
        host = subprocess.Popen(
            [sys.executable, "-m", "appliance.soundhost.host", "capture", str(descriptor)],
            pass_fds=[descriptor],
            # ALSA's remarks on its own configuration files, some sixty lines.
            stderr=None if log.isEnabledFor(logging.DEBUG) else subprocess.DEVNULL,
        )
        theirs.close()
        ours.settimeout(LISTING_TIMEOUT_S)
        try:
            ours.send(messages.LIST)
            message: messages.FromHost | None = messages.Waiting()
            while isinstance(message, messages.Waiting):
                answer = ours.recv(messages.LARGEST_BYTES)
                message = messages.unpack_from_host(answer) if answer else None
        except OSError as error:
            log.debug("no answer from the sound host: %s", error)
            message = None
        finally:
            host.kill()
            host.wait()
    if isinstance(message, messages.Failed):
        raise UnavailableError(f"no devices: {message.reason}")
    if not isinstance(message, messages.Listing):
        raise UnavailableError("the sound host did not say what devices there are (--debug shows what ALSA says)")
    return message


def rows(direction: Direction, found: messages.Listing, chosen: str, *, is_open: bool) -> Iterator[str]:
    """One line for each device of ``direction``, then the cards that have none at all.

    ``chosen``: name of the one to mark; ``is_open``: because the daemon has it open.
    """
    for device in found.devices:
        if count := device.channels(direction):
            channels = "any number" if count > MOST_HARDWARE_CHANNELS else count
            if is_open and device.name == chosen:
                state = "open in the running daemon"
            elif device.number == UNLISTED:
                holder = holder_of(device.name, direction, found.cards)
                state = f"in use by {holder}" if holder else "not to be opened (is this user in the group audio?)"
            else:
                state = f"{device.default_hz} Hz, channels: {channels}"
            yield f"{'*' if device.name == chosen else ' '} {described(device, found.cards)}: {state}"
    shown = {card_of(device, found.cards) for device in found.devices}
    for card in found.cards:
        if card not in shown:
            yield f'  "{card.name}": neither microphone nor speaker'
