"""A card's own volume controls, and a card that another program has: in the virtual machine, on snd-dummy.

Exit status 0 if all held.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

from appliance.soundhost import messages
from appliance.soundhost.devices import Direction

STATUS = Path("/proc/asound/Dummy/pcm0c/sub0/status")


def ask_host(direction: Direction, percent: int) -> messages.Opened | messages.Failed:
    """What a sound host that is told to open the card says."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = (sys.executable, "-m", "appliance.soundhost.host", direction, str(theirs.fileno()))
    with ours, theirs, subprocess.Popen(command, pass_fds=(theirs.fileno(),), stderr=subprocess.DEVNULL) as host:
        ours.settimeout(30)
        ours.send(messages.pack(messages.Open("Dummy", 48_000, 0, 10, percent)))
        try:
            while isinstance(
                said := messages.unpack_from_host(ours.recv(messages.LARGEST_BYTES)), messages.Trying | messages.Waiting
            ):
                pass
        finally:
            host.kill()
    assert isinstance(said, messages.Opened | messages.Failed), said
    return said


def amixer(*arguments: str) -> str:
    return subprocess.run(("amixer", "-c", "Dummy", *arguments), capture_output=True, text=True, check=True).stdout


def volumes_are_set_and_unmuted() -> None:
    amixer("sset", "Master", "10%")
    amixer("sset", "Mic", "10%", "nocap")
    before = amixer()
    opened = ask_host("playback", -1)
    assert isinstance(opened, messages.Opened), opened
    assert amixer() == before, "left alone"
    opened = ask_host("playback", 70)
    assert isinstance(opened, messages.Opened) and opened.level_note == "", opened
    opened = ask_host("capture", 60)
    assert isinstance(opened, messages.Opened) and opened.level_note == "", opened
    shown = amixer("sget", "Master"), amixer("sget", "Mic")
    assert shown[0].count("[70%]") == 2, shown
    assert shown[1].count("[60%]") == shown[1].count("Capture [on]") == 2, shown


def who_has_the_card_is_named() -> None:
    command = ("arecord", "-q", "-D", "hw:Dummy,0,0", "-f", "S16_LE", "-r", "48000", "-c", "1", "/dev/null")
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as holder:
        try:
            while "owner_pid" not in STATUS.read_text():
                assert holder.poll() is None, "arecord does not record"
                time.sleep(0.02)
            said = ask_host("capture", -1)
        finally:
            holder.kill()
    expected = (
        f'"Dummy" is in use as a microphone by arecord (process {holder.pid}); stop that, or choose another device'
    )
    assert said == messages.Failed(expected), said


def main() -> int:
    failed = 0
    for check in (volumes_are_set_and_unmuted, who_has_the_card_is_named):
        try:
            check()
            print(f"{check.__name__}: held", flush=True)
        except AssertionError as error:
            failed = 1
            print(f"{check.__name__}: {error}", flush=True)
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
