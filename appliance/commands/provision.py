"""Take over key and configuration from the boot partition: systemd does it before the daemon starts.

An SD card's first partition can be written by any computer, so that is where somebody without a terminal leaves
voice-appliance.key and voice-appliance.toml. What is good is put into its place and removed from there; what is not is
left, and voice-appliance.txt beside it says why. The daemon is told, so that the box shows it, too.

voice-appliance.reset, whatever is in it, takes settings and key away; a key and settings beside it count from then on.
"""

from __future__ import annotations

import argparse
import codecs
import contextlib
import errno
import logging
import os
import re
from collections.abc import Iterator
from typing import Final

from appliance.config import loader
from appliance.config.invisible import plain_name
from appliance.errors import ApplianceError, ConfigurationError, CredentialError
from appliance.link import credentials
from appliance.storage import atomic_file, boot_files

log = logging.getLogger(__name__)

FOLDERS: Final = ("/boot/firmware", "/boot")
"""Where the boot partition is: since Raspberry Pi OS 12, and before."""

KEY: Final = "voice-appliance.key"
CONFIGURATION: Final = "voice-appliance.toml"
RESET: Final = "voice-appliance.reset"
"""What is looked for, also in capital letters, with a space or ``_`` for ``-``, and with
endings that editors add and systems hide."""

PUT_ASIDE: Final = (".bak", ".old", ".orig", ".example", ".sample", "~")
"""Names that end so are not meant to be used."""

OURS: Final = re.compile(r"voice[-_ ]?appliance(?:\.(key|toml|reset))?(?:\.(?:txt|text|rtf|key|toml|reset))*(.*)")
"""A name, made plain, that somebody meant for us: the kind, and what should not be there."""

REPORT: Final = "voice-appliance.txt"
"""What was wrong, for whoever looks at the card on a computer; gone when nothing is."""

REPORT_HEAD: Final = "Not taken over by the voice appliance:"
"""Its first line; a file of that name without it is somebody's."""

LONGEST_BYTES: Final = 65_536
"""Far above any configuration."""

UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
"""How a file begins that Windows' editor saved as "Unicode"."""


class RefusedError(ApplianceError):
    """A file of the boot partition is not taken over; the text says why and what to do."""

    exit_code = 78


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Other places, to try it."""
    parser.add_argument("--boot", metavar="FOLDER", action="append", help="instead of /boot/firmware and /boot")
    parser.add_argument(
        "--to", metavar="FOLDER", default=os.path.dirname(loader.SYSTEM_PATH), help="instead of %(default)s"
    )
    parser.add_argument(
        "--say-in", metavar="FOLDER", default=boot_files.FOLDER, help="where the daemon looks, instead of %(default)s"
    )


def run(args: argparse.Namespace) -> int:
    """0, or 78 if a file was refused; every refusal is a line of the log."""
    refused: list[tuple[str, str]] = []
    for folder in dict.fromkeys(os.path.realpath(each) for each in args.boot or FOLDERS):
        if os.path.isdir(folder):
            problems = list(_take_all(folder, args.to))
            _report(folder, [line for _, line in problems])
            refused += problems
    boot_files.tell(args.say_in, refused)
    return RefusedError.exit_code if refused else 0


def _take_all(folder: str, to: str) -> Iterator[tuple[str, str]]:
    """Take over what is in ``folder``; the problems: of which file, and the line that says it."""
    taken: dict[str, str] = {}
    # First of all the reset, so that what lies beside it counts; then the right name before one that is nearly right.
    names = sorted(os.listdir(folder), key=lambda name: (name not in (KEY, CONFIGURATION, RESET), name))
    for name in sorted(names, key=lambda name: not _is_reset(name)):
        path = os.path.join(folder, name)
        try:
            if not (kind := _kind(path)):
                continue
            if kind in taken:
                raise RefusedError(f"{path}: is not looked at, for {taken[kind]} is there; remove one of them")
            taken[kind] = name
            if kind == RESET:
                _reset(path, to)
            elif kind == KEY:
                _take(path, _key(path), os.path.join(to, "key"), 0o600)
            else:
                _take(path, _configuration(path), os.path.join(to, os.path.basename(loader.SYSTEM_PATH)), 0o644)
        except (ApplianceError, OSError) as error:
            text = f"{path}: {error.strerror}" if isinstance(error, OSError) else str(error)
            for line in text.splitlines():
                log.error("not taken over: %s", line)
                yield path, line


def _kind(path: str) -> str:
    """``KEY``, ``CONFIGURATION`` or ``RESET``, as the name of the file says; empty for one that is none of ours.

    Raises RefusedError for a name that somebody meant for us and that is neither.
    """
    name = os.path.basename(path)
    plain = plain_name(name)
    found = OURS.fullmatch(plain)
    if found is None or plain.endswith(PUT_ASIDE) or not os.path.isfile(path) or _is_report(path):
        return ""
    if found[2] or not found[1]:
        raise RefusedError(f"{path}: not used under this name; call the key {KEY} and the settings {CONFIGURATION}")
    return {"key": KEY, "toml": CONFIGURATION, "reset": RESET}[found[1]]


def _is_reset(name: str) -> bool:
    found = OURS.fullmatch(plain_name(name))
    return found is not None and found[1] == "reset"


def _reset(path: str, to: str) -> None:
    """Take the box's own settings and its key away, and then ``path``; what a package of the group's has installed
    stays. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        atomic_file.remove(os.path.join(to, os.path.basename(loader.SYSTEM_PATH)))
    # There, and empty: voice-appliance-key.path watches this file.
    os.makedirs(to, 0o755, exist_ok=True)
    atomic_file.write(os.path.join(to, "key"), b"", 0o600)
    _remove(path)
    log.warning("%s: the box's settings and key are gone, as somebody wanted", path)


def _take(path: str, content: bytes, target: str, mode: int) -> None:
    """Put ``content``, which is what ``path`` means, into ``target``, and then remove ``path``.

    The power may fail between any two steps: the next start finds the same file and does the rest. Raises OSError.
    """
    os.makedirs(os.path.dirname(target), 0o755, exist_ok=True)
    if not _is(target, content):
        atomic_file.write(target, content, mode)
        log.info("%s is taken over as %s", path, target)
    _remove(path)


def _remove(path: str) -> None:
    """Remove what has been taken over. Raises OSError."""
    try:
        atomic_file.remove(path)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        # As on a card whose system is all read-only: there it has to be taken at each start.
        log.warning("%s stays, since it is on a read-only file system, and counts again at each start", path)


def _is(path: str, content: bytes) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read() == content
    except FileNotFoundError:
        return False


def _key(path: str) -> bytes:
    """The key in ``path``, alone. Raises RefusedError and OSError; neither shows the key."""
    try:
        key = credentials.checked(_text(path), path)
    except CredentialError as error:
        raise RefusedError(str(error)) from None
    return key.reveal().encode("ascii") + b"\n"


def _configuration(path: str) -> bytes:
    """The configuration in ``path``, as this system's editors like it. Raises RefusedError and OSError."""
    text = _text(path)
    if not text.strip():
        # An empty file is a good configuration, and not what somebody meant who put it there.
        raise RefusedError(f"{path}: is empty; write the settings into it, or remove it")
    try:
        loader.load(path)
    except ConfigurationError as error:
        raise RefusedError(str(error)) from None
    return text.rstrip("\n").encode("utf-8") + b"\n"


def _text(path: str) -> str:
    """What ``path`` holds, with this system's ends of lines. Raises RefusedError and OSError."""
    with open(path, "rb") as file:
        content = file.read(LONGEST_BYTES + 1)
    if len(content) > LONGEST_BYTES:
        raise RefusedError(f"{path}: larger than {LONGEST_BYTES} bytes, so it is not what its name says")
    try:
        text = content.decode("utf-16" if content.startswith(UTF_16) else "utf-8-sig")
    except UnicodeDecodeError:
        raise RefusedError(f"{path}: is not UTF-8 text; save the file as UTF-8") from None
    return text.replace("\r\n", "\n")


def _report(folder: str, problems: list[str]) -> None:
    """Leave word on the partition, or take back what was left; a partition that cannot be written has no word."""
    path = os.path.join(folder, REPORT)
    text = "".join(f"{problem}\r\n" for problem in [REPORT_HEAD, *problems]).encode("utf-8")
    try:
        is_ours = _is_report(path)
        if not problems and is_ours:
            atomic_file.remove(path)
        elif problems and (is_ours or not os.path.exists(path)) and not _is(path, text):
            atomic_file.write(path, text, None)
    except OSError as error:
        log.warning("%s: %s", path, error.strerror)


def _is_report(path: str) -> bool:
    """The file is one that ``_report`` has left. Raises OSError."""
    try:
        with open(path, "rb") as file:
            return os.path.basename(path) == REPORT and file.read(len(REPORT_HEAD)) == REPORT_HEAD.encode("ascii")
    except FileNotFoundError:
        return False
