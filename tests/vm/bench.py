"""What the box costs on a processor as slow as a Pi Zero 2 W's, on a real ALSA driver: in the virtual machine.

A line each: from the process's start until a press is taken and until both devices are open; processor time,
in percent of the one processor, and wake-ups a second, idle and in a conversation; and the same conversation with the
script that an owner would write (``tests/bench/quickstart.py``). The embedded service runs beside them, uncounted.
Standard library only. Exit status 0 if the box did what was to be measured.
"""

from __future__ import annotations

import json
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.bench.processes import NOTHING, Cost, cost, family
from tests.vm.guest import CONTROL, FOLDER, NAMES, Box, ask, speech, write_question

STARTS = 3
RESTED_S = 14.0
"""From ready until the speaker has been stopped, and what the first connection needs is loaded."""
IDLE_S = 15.0
QUESTIONS = 3
KEY = "swaram_test_0123456789abcdef"


def started() -> tuple[Box, float, float]:
    """A box, seconds until its socket took commands, and until both devices were open."""
    began_s = time.monotonic()
    box = Box(auto=False)
    taken_s = time.monotonic() - began_s
    while not _is_ready():
        time.sleep(0.1)
    return box, taken_s, time.monotonic() - began_s


def _is_ready() -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(CONTROL)
        client.sendall(b'{"command": "status"}\n')
        status: dict[str, Any] = json.loads(client.makefile().readline())["status"]
    return status["light"] == "ready" and bool(status["microphone"]) and bool(status["speaker"])


class Window:
    """What ``members`` cost from now on."""

    def __init__(self, members: dict[int, str]) -> None:
        self._members = members
        self._began_s = time.monotonic()
        self._before = {member: cost(member) for member in members}

    def end(self) -> dict[str, tuple[float, float]]:
        """Percent of the processor and wake-ups a second by name, and of "all"."""
        seconds = time.monotonic() - self._began_s
        spent: dict[str, Cost] = {
            name: cost(member).since(self._before[member]) for member, name in self._members.items()
        }
        whole = NOTHING
        for one in spent.values():
            whole = whole.plus(one)
        return {
            name: (100 * one.cpu_s / seconds, one.wakeups / seconds) for name, one in {**spent, "all": whole}.items()
        }


def conversation(box: Box) -> tuple[dict[str, tuple[float, float]], list[float], float]:
    """Its cost, when each question was asked, and how long it took."""
    window, began_s = Window(family(box.daemon.pid)), time.monotonic()
    asked_s = []
    for _ in range(QUESTIONS):
        asked_s.append(time.monotonic() - began_s)
        since = ask(box)
        box.state("speaking", since=since, timeout_s=40)
        box.state("ready", since=box.now(), timeout_s=60)
    return window.end(), asked_s, time.monotonic() - began_s


def conversation_with_script(url: str, asked_s: list[float], seconds: float) -> dict[str, tuple[float, float]]:
    """The same questions at the same moments."""
    command = (sys.executable, "-m", "tests.bench.quickstart", url, KEY, *NAMES)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as script:
        assert script.stdout is not None
        if not script.stdout.readline():
            raise SystemExit("the script does not start")
        time.sleep(2)
        window, began_s = Window({script.pid: "script"}), time.monotonic()
        for at_s in asked_s:
            time.sleep(max(0.0, began_s + at_s - time.monotonic()))
            with speech() as playing:
                playing.wait(20)
        time.sleep(max(0.0, began_s + seconds - time.monotonic()))
        costs = window.end()
        script.terminate()
    return costs


def main() -> int:
    FOLDER.mkdir(parents=True, exist_ok=True)
    write_question()
    box, *times = started()
    starts = [times]
    while len(starts) < STARTS:
        box.end()
        Path(CONTROL).unlink(missing_ok=True)
        box, *times = started()
        starts.append(times)
    taken, ready = zip(*starts, strict=True)
    print(f"start: press taken {statistics.median(taken):.1f} s, ready {statistics.median(ready):.1f} s", flush=True)
    time.sleep(RESTED_S)
    window = Window(family(box.daemon.pid))
    time.sleep(IDLE_S)
    _tell("idle", window.end())
    talking, asked_s, seconds = conversation(box)
    _tell("talk", talking)
    # A card has one reader; the service goes on.
    box.daemon.terminate()
    box.daemon.wait(10)
    script = conversation_with_script(box.url, asked_s, seconds)
    _tell("script", script)
    box.end()
    print(f"talk in shares of the script: {talking['all'][0] / script['all'][0]:.2f}", flush=True)
    return 0


def _tell(what: str, costs: dict[str, tuple[float, float]]) -> None:
    """At once: a machine whose time runs out has told what it knows."""
    print(
        f"{what}: " + ", ".join(f"{name} {used:.1f} % {woken:.0f}/s" for name, (used, woken) in costs.items()),
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
