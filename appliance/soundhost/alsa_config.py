"""What is wrong with ALSA's configuration files, in one line. PortAudio calls all of it "Unanticipated host error"."""

from __future__ import annotations

import os
import re

ADVICE = "mend it, or move it away"


def trouble(said: str) -> str:
    """The fault in what ALSA wrote to standard error when it read its files; empty if there is none.

    It names the place in one line and the file in another::

        ALSA lib conf.c:2007:(_snd_config_load_with_include) _toplevel_:4:0:Unexpected char
        ALSA lib conf.c:4096:(config_file_open) /etc/asound.conf may be old or corrupted: consider to remove or fix it
    """
    place = re.search(r"^ALSA lib conf\.c:\d+:\(\w*load\w*\) (.*):(\d+):(\d+):(.*)$", said, re.MULTILINE)
    named = re.search(r"^ALSA lib conf\.c:\d+:\(\w+\) (/.*) may be old or corrupted", said, re.MULTILINE)
    if place is None and named is None:
        return ""
    inner = place[1] if place and place[1].startswith("/") else ""
    file = inner or (named[1] if named else "ALSA's configuration")
    where = f", line {place[2]}, column {place[3]}: {place[4].strip()}" if place else " is broken"
    absent = re.search(r"^ALSA lib conf\.c:\d+:\(\w+\) Cannot access file (.*)$", said, re.MULTILINE)
    return f"{file}{where}{f': {absent[1]}' if absent else ''}; {ADVICE}"


def fault() -> str:
    """``trouble`` of this machine's files now; empty if they are good. ALSA reads them once more for it.

    Only for a sound host whose PortAudio has failed: standard error is taken away meanwhile.
    """
    import ctypes

    try:
        alsa = ctypes.CDLL("libasound.so.2")
    except OSError:
        return ""
    descriptor = os.memfd_create("alsa")
    kept = os.dup(2)
    try:
        os.dup2(descriptor, 2)
        status = alsa.snd_config_update()
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        size = os.lseek(descriptor, 0, os.SEEK_CUR)
        said = os.pread(descriptor, size, 0).decode(errors="replace")
        os.close(descriptor)
    return trouble(said) if status < 0 else ""
