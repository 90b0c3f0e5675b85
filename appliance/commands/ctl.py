"""Watch and drive a running daemon. What it says and hears is documented in control/server.py.

status    what the box is doing now
watch     every change of it, as it happens, until interrupted
history   what happened, and on which days how often; the last of it also after a power cut, with no daemon
=======
idle      wait until nobody talks with the box; at once if so
press     the button goes down, as if by hand; it is let go by release, or by itself after talk.max_hold_s
release   the button goes up
tap       both at once
stop      end the reply and the turn
retry     try to connect now
identify  light and tones say "this one" for 30 s
mute      switch the microphone off: nothing can be heard until unmute, or until the daemon starts again
unmute    and on again, unless the switch on the box keeps it off
record on, off  the shape of every message of the wire, no word and no audio, is kept in the file that status names as
          recorded_to; until the daemon starts again (for good: log.record)
volume N  how loud the voice is, 0 to 100; within speaker.volume_min and volume_max, and kept over a restart
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from appliance.config import loader, settings
from appliance.control.client import _lines, ask
from appliance.errors import ConfigurationError, UnavailableError, UsageError
from appliance.storage import history_text, last_good_config

COMMANDS: Final = (
    "status",
    "watch",
    "idle",
    "history",
    "press",
    "release",
    "tap",
    "stop",
    "retry",
    "identify",
    "mute",
    "unmute",
    "volume",
    "record",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do, and how to say it."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("what", choices=COMMANDS)
    parser.add_argument("value", nargs="?", metavar="VALUE", help="of volume: 0 to 100; of record: on or off")
    parser.add_argument("--captions", action="store_true", help="watch what is said, too (needs control.captions)")
    parser.add_argument("--socket", metavar="PATH", help="instead of the one that the configuration names")
    parser.add_argument("--json", action="store_true", help="the daemon's own lines, for programs")


def run(args: argparse.Namespace) -> int:
    """Ask, print what comes; 0. Raises UnavailableError if there is no daemon, or it refuses, and UsageError."""
    if args.captions and args.what != "watch":
        raise UsageError("--captions goes with watch")
    request = _request(args)
    if args.what == "history":
        data = _history(args)
        print("\n".join([history_text.as_json(data)] if args.json else history_text.lines(data)))
        return 0
    path = _socket_path(args)
    if args.what == "idle":
        _wait_for_idle(path)
        return 0
    with contextlib.closing(_lines(path, request, endless=args.what == "watch")) as lines:
        for line in lines:
            message = json.loads(line)
            if message.get("ok") is False:
                raise UnavailableError(message["error"])
            shown = [line] if args.json else _readable(message)
            for text in shown:
                # Over a pipe, too, a line is there when it happens.
                print(text, flush=True)
    return 0


def _request(args: argparse.Namespace) -> dict[str, Any]:
    """What is sent to the daemon. Raises UsageError for a value that does not go with the command."""
    request = {"command": args.what, **({"captions": True} if args.captions else {})}
    match args.what, args.value:
        case "volume", str(percent) if percent.isdecimal() and percent.isascii():
            return {**request, "percent": int(percent)}
        case "volume", _:
            raise UsageError("volume takes a number from 0 to 100")
        case "record", ("on" | "off") as wanted:
            return {**request, "on": wanted == "on"}
        case "record", _:
            raise UsageError("record takes on or off")
        case _, None:
            return request
    raise UsageError(f"{args.what} takes no value")


def _socket_path(args: argparse.Namespace) -> str:
    """Where the daemon listens. A wrong configuration does not hide it: the daemon runs on with its last good one."""
    if args.socket:
        return str(args.socket)
    try:
        return loader.load(args.config).control.socket_path
    except ConfigurationError:
        return settings.ControlSettings(socket="", captions=False).socket_path


def _history(args: argparse.Namespace) -> dict[str, Any]:
    """What the daemon remembers; what it last wrote when none answers. Raises UnavailableError."""
    with contextlib.suppress(UnavailableError):
        history: dict[str, Any] = ask(_socket_path(args), "history")["history"]
        return history
    return history_text.from_file(last_good_config.state_folder() or history_text.STATE_FOLDER)


def _wait_for_idle(path: str) -> None:
    """Until the box waits for a press. Raises UnavailableError if there is no daemon, or it ends meanwhile."""
    with contextlib.closing(_lines(path, {"command": "watch"}, endless=True)) as lines:
        for line in lines:
            message = json.loads(line)
            if message.get("ok") is False:
                raise UnavailableError(message["error"])
            if message.get("status", message).get("state") == "ready":
                return


def _readable(message: dict[str, Any]) -> Iterator[str]:
    """The lines that show one message to a person."""
    if "event" in message:
        text = message.pop("text", None)
        values = " ".join(f"{key}={_value(value)}" for key, value in message.items() if key not in ("event", "time_s"))
        yield f"{message['time_s']:12.3f}  {message['event']:8}{values}".rstrip()
        if text is not None:
            # Last and alone on its line: what follows Malayalam on a line stands wherever the terminal puts it.
            yield _value(text)
    elif "status" in message:
        rows = list(_flat(message["status"]))
        width = max(len(key) for key, _ in rows) + 2
        yield from (f"{key:{width}}{_value(value)}" for key, value in rows)
    else:
        yield "done"


def _flat(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _value(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    # What the service says may hold control characters, and those are not for the terminal to obey.
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", str(value))
