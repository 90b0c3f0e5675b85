"""Pulls the sound cards out of a running box and pushes them back in: in the virtual machine, on a real ALSA driver.

``guest.py [--auto] [idle=4] [listening=3] [speaking=3]``: how often in each state. A whole daemon talks to the embedded
service; its cards are two of snd-aloop, whose driver is unbound and bound again. With --auto they are not named: the
first is microphone and speaker, and the second stays, which the box must not take instead. Standard library and the
daemon's own control socket. Exit status 0 if all rounds held.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import wave
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path("/run/box")
CONTROL = str(FOLDER / "control.sock")
DRIVER = Path("/sys/bus/platform/drivers/snd_aloop")
CARDS = Path("/proc/asound/cards")
NUMBER = {"microphone": 0, "speaker": 1}
FEED = "hw:Microphone,1,0"
"""The other end of the loop whose end "hw:Microphone,0,0" the box records from."""

NAMES = ("Loopback: PCM (hw:0,0)", "Loopback: PCM (hw:1,0)")
"""The whole names: each loop has a second end, which no USB card has, and which is there first now and then."""

LIGHT_S = 2.0
ANSWERED_S = 5.0
SLIDES_S = 3.0
SAID_AGAIN_S = 30.0
"""Of an outage that lasts so long, another reason is news (``appliance.journal.rate_limit``); here a round takes that
long when somebody else uses the host."""

BUSY = 0.9
"""Of a core, for a whole second: what PortAudio does when its card is gone."""

WORDS = slice(4_800, 12_960)
"""Of the recorded question at 24 kHz: a few syllables, as in the system tests."""


class Trouble(Exception):
    """A round did not hold; the text says what."""


class Removal(NamedTuple):
    """What was measured in one round, in seconds."""

    light_s: float
    ready_s: float
    answered_s: float
    busiest: float
    """Share of a core, of the busiest process in any second from 1.5 s after the removal on."""


class Box:
    """The daemon, and all that it says."""

    def __init__(self, auto: bool) -> None:
        self.number = dict.fromkeys(NUMBER, 0) if auto else NUMBER
        """Which card is which part."""
        self.service = self._start("simulate", "--port", "0", output=subprocess.PIPE)
        assert self.service.stdout is not None
        self.url = self.service.stdout.readline().decode().split()[2].rstrip(";")
        named = "" if auto else f'microphone.device = "{NAMES[0]}"\nspeaker.device = "{NAMES[1]}"\n'
        (FOLDER / "config.toml").write_text(
            f'service.url = "{self.url}"\n{named}control.socket = "{CONTROL}"\n[talk]\nmode = "hold"\n'
        )
        self.journal = FOLDER / "journal"
        with self.journal.open("wb") as journal:
            self.daemon = self._start("run", "--config", str(FOLDER / "config.toml"), errors=journal)
        self.events: list[dict[str, Any]] = []
        self.changed = threading.Condition()
        self._connect()

    def _start(self, *arguments: str, output: Any = subprocess.DEVNULL, errors: Any = None) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "GPIOZERO_PIN_FACTORY": "mock", "GPIOZERO_MOCK_PIN_CLASS": "mockpwmpin"}
        environment["SWARAM_API_KEY"] = "swaram_test_0123456789abcdef"
        command = (sys.executable, "-m", "appliance", *arguments)
        return subprocess.Popen(command, env=environment, stdout=output, stderr=errors)

    def _connect(self) -> None:
        deadline_s = time.monotonic() + 60
        while True:
            watcher = socket.socket(socket.AF_UNIX)
            try:
                watcher.connect(CONTROL)
                break
            except OSError:
                watcher.close()
                if time.monotonic() > deadline_s or self.daemon.poll() is not None:
                    raise Trouble("the daemon does not start") from None
                time.sleep(0.05)
        watcher.sendall(b'{"command": "watch"}\n')
        threading.Thread(target=self._watch, args=(watcher,), daemon=True).start()

    def _watch(self, watcher: socket.socket) -> None:
        with watcher.makefile() as lines:
            for line in lines:
                message = json.loads(line)
                start = {"event": "state", "time_s": time.monotonic(), "state": "", "light": ""}
                event = {**start, **message.get("status", message)}
                with self.changed:
                    self.events.append(event)
                    self.changed.notify_all()

    def tell(self, command: str) -> None:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            client.connect(CONTROL)
            client.sendall(json.dumps({"command": command}).encode() + b"\n")
            answer = json.loads(client.makefile().readline())
        if not answer["ok"]:
            raise Trouble(f"ctl {command}: {answer['error']}")

    def until(self, condition: Callable[[dict[str, Any]], bool], since: int, what: str, timeout_s: float) -> float:
        """When the first event from number ``since`` on, or the state before it, fulfilled it: monotonic seconds."""
        deadline_s = time.monotonic() + timeout_s
        with self.changed:
            while True:
                for event in self.events[max(since - 1, 0) :]:
                    if condition(event):
                        return float(event["time_s"])
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    raise Trouble(f"not in {timeout_s:g} s: {what}; last: {self.events[-1]}")
                self.changed.wait(left_s)

    def now(self) -> int:
        with self.changed:
            return len(self.events)

    def state(self, *states: str, since: int, timeout_s: float = 30) -> float:
        def fits(event: dict[str, Any]) -> bool:
            return event["event"] == "state" and event["state"] in states

        return self.until(fits, since, " or ".join(states), timeout_s)

    def light(self, *lights: str, since: int, timeout_s: float = 30) -> float:
        def fits(event: dict[str, Any]) -> bool:
            return event["event"] == "state" and event["light"] in lights

        return self.until(fits, since, f"the light {' or '.join(lights)}", timeout_s)

    def said(self, pattern: str) -> int:
        return len(re.findall(pattern, self.journal.read_text(), re.MULTILINE))

    def end(self) -> None:
        for process in (self.daemon, self.service):
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()


def write_question() -> None:
    """A few syllables, 48 kHz mono, as the card runs; every sample twice is good enough for a gate of energy."""
    with wave.open("appliance/simulator/voices/ask-time.wav") as file:
        samples = array("h", file.readframes(file.getnframes()))[WORDS]
    doubled = array("h", bytes(4 * len(samples)))
    doubled[0::2] = doubled[1::2] = samples
    with wave.open(str(FOLDER / "question.wav"), "wb") as file:
        file.setparams((1, 2, 48_000, 0, "NONE", ""))
        file.writeframes(doubled.tobytes())


@contextlib.contextmanager
def speech() -> Iterator[subprocess.Popen[bytes]]:
    """Somebody speaks into the microphone."""
    command = ("aplay", "-q", "-D", FEED, str(FOLDER / "question.wav"))
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as playing:
        try:
            yield playing
        finally:
            playing.kill()


def ask(box: Box) -> int:
    """A held question. Returns the number of the first event after it was heard that somebody speaks."""
    pressed = box.now()
    box.tell("press")
    box.state("listening", since=pressed + 1)
    since = box.now() + 1
    with speech() as playing:
        playing.wait(20)
    box.tell("release")
    return since


def cpu_s() -> dict[int, float]:
    """Processor time so far of every process."""
    used = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                used[int(folder.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return used


def busiest(seconds: float) -> float:
    """Share of a core of the busiest process meanwhile, of those there at the beginning."""
    before, began_s = cpu_s(), time.monotonic()
    time.sleep(seconds)
    after, took_s = cpu_s(), time.monotonic() - began_s
    return max(after.get(process, used) - used for process, used in before.items()) / took_s


def drive(action: str, number: int) -> None:
    (DRIVER / action).write_text(f"snd_aloop.{number}")


def removal(box: Box, state: str, parts: tuple[str, ...]) -> Removal:
    """One round; raises Trouble."""
    numbers = sorted({box.number[part] for part in parts})
    lost = {part: box.said(rf"no {part}: ") for part in parts}
    found = {part: box.said(rf"{part}: Loopback") for part in parts}
    since = box.now()
    with contextlib.ExitStack() as room:
        if state == "listening":
            box.tell("press")
            box.state("listening", since=since)
            room.enter_context(speech())
        elif state == "speaking":
            box.state("speaking", since=ask(box), timeout_s=40)
        since = box.now()
        # The write waits until nobody has the card open any more: that is for the daemon to see to.
        pulling = [threading.Thread(target=drive, args=("unbind", number)) for number in numbers]
        began_s = time.monotonic()
        for thread in pulling:
            thread.start()
        shown_s = box.light(*(f"fault_{part}" for part in parts), since=since, timeout_s=20)
    time.sleep(max(0.0, began_s + 1.5 - time.monotonic()))
    busy = max(busiest(1.0), busiest(1.0))
    for thread in pulling:
        thread.join(20)
        if thread.is_alive():
            raise Trouble("somebody still has the card open")
    if state == "listening":
        box.tell("release")
    since = box.now()
    if len(set(box.number.values())) < len(box.number):
        # Long enough for a box that takes whatever there is.
        time.sleep(SLIDES_S)
        for part in parts:
            if box.said(rf"{part}: Loopback") != found[part]:
                raise Trouble(f"another card was taken as {part}")
    for number in numbers:
        drive("bind", number)
    back_s = time.monotonic()
    # While an answer plays, the light says nothing of a microphone (decision 23); the journal does.
    while any(box.said(rf"{part}: Loopback") == found[part] for part in parts):
        if time.monotonic() > back_s + 20:
            raise Trouble("not found again in 20 s")
        time.sleep(0.02)
    most = 1 + int((time.monotonic() - began_s) // SAID_AGAIN_S)
    ready_s = box.light("ready", "speaking", "wait", since=since + 1)
    answered_s = box.state("speaking", since=ask(box), timeout_s=40)
    since = box.now()
    box.until(lambda event: event.get("outcome") == "answered", since, "an answered turn", 60)
    for part in parts:
        down, up = box.said(rf"no {part}: ") - lost[part], box.said(rf"{part}: Loopback") - found[part]
        if not 1 <= down <= most or up != 1:
            raise Trouble(f"{part}: {down} lines down and {up} up")
    return Removal(shown_s - began_s, ready_s - back_s, answered_s - back_s, busy)


def check(box: Box, measured: Removal, process: int) -> None:
    """Raises Trouble if a bound was not held."""
    if box.daemon.poll() is not None or box.daemon.pid != process:
        raise Trouble("the daemon ended")
    for what, figure, bound in (
        ("the light showed the fault after", measured.light_s, LIGHT_S),
        ("the next question was answered after", measured.answered_s, ANSWERED_S),
        ("busiest process", measured.busiest, BUSY),
    ):
        if figure > bound:
            raise Trouble(f"{what} {figure:.2f}, allowed {bound:g}")


def main(arguments: list[str]) -> int:
    auto = "--auto" in arguments
    given = {name: int(count) for name, _, count in map(_split, arguments) if count}
    counts = {"idle": 4, "listening": 3, "speaking": 3, **given}
    choices = {
        "idle": (("microphone",), ("speaker",), ("microphone", "speaker")),
        "listening": (("microphone",), ("microphone", "speaker")),
        "speaking": (("speaker",), ("microphone", "speaker")),
    }
    if auto:
        choices = dict.fromkeys(choices, (("microphone", "speaker"),))
    FOLDER.mkdir(exist_ok=True)
    write_question()
    box = Box(auto)
    good = rounds = 0
    try:
        process = box.daemon.pid
        # The light says ready as soon as there is a microphone.
        box.light("ready", since=0, timeout_s=60)
        began_s = time.monotonic()
        while not all(box.said(rf"{part}: Loopback") for part in NUMBER):
            if time.monotonic() > began_s + 60:
                raise Trouble("microphone and speaker are not both there")
            time.sleep(0.02)
        for state, count in counts.items():
            for number in range(count):
                parts = choices[state][number % len(choices[state])]
                rounds += 1
                title = f"{rounds:2}. {' and '.join(parts)} pulled out while {state}"
                try:
                    box.state("ready", since=box.now(), timeout_s=60)
                    measured = removal(box, state, parts)
                    print(title, *(f"{name} {figure:.2f}" for name, figure in measured._asdict().items()), flush=True)
                    check(box, measured, process)
                    good += 1
                except Trouble as trouble:
                    print(f"{title}: {trouble}", flush=True)
    finally:
        box.end()
        print(box.journal.read_text())
    print(f"{good} of {rounds} rounds held; the daemon was process {process} throughout", flush=True)
    return 0 if good == rounds else 1


def _split(argument: str) -> tuple[str, str, str]:
    return argument.partition("=")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
