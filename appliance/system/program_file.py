"""Why a program of the owner's cannot be started, or is ended at once, read from its file: the kernel says little."""

from __future__ import annotations

import codecs
import os
import signal
from typing import Final

from appliance.journal.foreign_text import one_line
from appliance.system.sandbox import hint

FIRST_LINE_BYTES: Final = 256
"""What Linux reads of a script to find who runs it (BINPRM_BUF_SIZE)."""

ELF: Final = b"\x7fELF"

JIT: Final = (
    "a program that makes machine code as it runs (Node, Deno, .NET, LuaJIT) is ended so by the service's "
    'MemoryDenyWriteExecute: for Node put "--jitless" behind its name in the command, or see systemd/README.md'
)
"""Node.js 20 under Linux' own form of that protection (prctl(2), PR_SET_MDWE): signal 5; with --jitless it runs."""

CANNOT_RUN: Final = (126, 127)
"""With what env(1) and shells end when they cannot run what they were told to."""


def why(path: str, status: int | None = None) -> str:
    """What is wrong with the program ``path``, and what to do; empty if nothing can be seen.

    ``status``: how it ended, negative for a signal, None if it was not started. Nothing is run.
    """
    if status == -signal.SIGTRAP:
        return JIT
    if status is not None and status not in CANNOT_RUN:
        return ""
    if not os.path.exists(path):
        return hint(path)
    if os.path.isdir(path):
        return "it is a folder"
    if not os.access(path, os.X_OK):
        return f"it is not executable: sudo chmod 755 {one_line(path)}"
    try:
        with open(path, "rb") as file:
            first = file.read(FIRST_LINE_BYTES)
    except OSError:
        # A program that may be run and not read.
        return ""
    return _wrong_beginning(first)


def _wrong_beginning(first: bytes) -> str:
    line, ended, _ = first.partition(b"\n")
    if first.startswith(codecs.BOM_UTF8 + b"#!"):
        return "before its #! there is a byte order mark, which nobody sees: save it as UTF-8 without one"
    if not first.startswith((b"#!", ELF)):
        return 'it does not begin with a line such as "#!/usr/bin/python3"' if first else "it is empty"
    if first.startswith(ELF):
        return ""
    if ended and line.endswith(b"\r"):
        return "its lines end as in Windows: sed -i 's/\\r$//' makes them as they are here"
    words = line[2:].decode(errors="replace").split()
    if not words or not words[0].startswith("/"):
        return "its first line, #!, names no program with its full path"
    if not os.path.exists(words[0]):
        return f"its first line names {one_line(words[0])}, which is not there"
    return f"its first line names {one_line(words[1])}, which is not there" if _env_lacks(words) else ""


def _env_lacks(words: list[str]) -> bool:
    """``#!/usr/bin/env NAME`` whose NAME is in no folder of PATH."""
    if os.path.basename(words[0]) != "env" or len(words) < 2 or words[1].startswith("-"):
        return False
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return not any(os.access(os.path.join(folder, words[1]), os.X_OK) for folder in folders)
