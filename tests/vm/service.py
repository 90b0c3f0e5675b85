"""Installs the Debian package where there are pins, a sound card and a keyboard, and talks with its service.

In the virtual machine, as root, with ``voice-appliance.deb`` beside this file. The unit, its user, the udev rules and
the settings are those of the package; gpio-sim is the header, snd-aloop the card, uinput the button on USB, and the
embedded service what answers. The checks are the life of one box, in their order. Standard library and evdev. Exit
status 0 if all held.
"""

from __future__ import annotations

import contextlib
import json
import math
import random
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
from typing import Any

from evdev import UInput, ecodes

UNIT = "voice-appliance.service"
GROUP = Path("/sys/fs/cgroup/system.slice") / UNIT
SETTINGS = Path("/etc/voice-appliance/config.toml")
PROFILES = Path("/usr/share/doc/voice-appliance/examples/profiles")
VOICES = Path("/usr/lib/voice-appliance/appliance/simulator/voices")
CONTROL = "/run/voice-appliance/control.sock"
KEY = "swaram_test_0123456789abcdef"
CAP_BYTES = 256 << 20
"""MemoryMax= of the unit."""

RECORDING = Path("/run/answer.wav")

MOUTH, EAR = "plughw:Device,1,0", "hw:Device,1,0"
"""What goes into the second device of the loop comes out of the first, the box's, and the other way round."""

BUTTON, LED = 17, 27
"""Of hardware/profiles/button-box.toml."""

READY = (0.15, 0.35)
"""Share of the time that the light of a box that is ready is lit: 1 s in 4."""

READY_S = 8.0
"""Twice that."""

STOPPED_S = 2.0
LIT_S = 1.0
"""From the finger to the light, on a machine as slow as this; 20 ms are for a Pi (hardware/testing.md)."""

ALIKE = 0.8
"""Correlation of the loudness over time with the recording that it should be: 0.84 to 0.97 in six answers; with another
recording 0.76 at most (two answers, measured)."""

PIECE = 50
"""Frames of 20 ms: a hole, of which emulation alone makes some, must not shift all that comes after it."""

SANDBOX = {"CapInh": "0" * 16, "CapPrm": "0" * 16, "CapEff": "0" * 16, "CapBnd": "0" * 16, "CapAmb": "0" * 16}
SANDBOX |= {"Seccomp": "2", "NoNewPrivs": "1"}
"""Lines of /proc/PID/status."""

Samples = list[tuple[float, bool]]
"""Monotonic seconds, and whether the LED was lit then."""


class Trouble(Exception):
    """A check did not hold; the text says what."""


def shell(command: str, timeout_s: float = 60) -> str:
    """What it prints. Raises Trouble."""
    done = subprocess.run(
        command, shell=True, text=True, timeout=timeout_s, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode != 0:
        raise Trouble(f"{command} ended with {done.returncode}: {done.stdout}")
    return done.stdout.strip()


def show(*names: str) -> list[str]:
    """Properties of the unit."""
    return [shell(f"systemctl show --property={name} --value {UNIT}") for name in names]


def entries(*matches: str) -> list[dict[str, str]]:
    """The journal's entries of the service with these fields."""
    shell("journalctl --sync")
    lines = shell(f"journalctl --unit={UNIT} --output=json {' '.join(matches)}").splitlines()
    return [json.loads(line) for line in lines]


def until(what: str, condition: Callable[[], object], timeout_s: float = 60) -> float:
    """Seconds that it took. Raises Trouble."""
    began_s = time.monotonic()
    while not condition():
        if time.monotonic() > began_s + timeout_s:
            raise Trouble(f"not in {timeout_s:g} s: {what}")
        # A look takes tenths of a second of the one processor.
        time.sleep(0.5)
    return time.monotonic() - began_s


class Daemon:
    """What the daemon says on its control socket from now on."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(CONTROL)
        self._socket.sendall(b'{"command": "watch"}\n')
        self.events: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with self._socket.makefile() as lines:
            for line in lines:
                message = json.loads(line)
                event = {"event": "state", "time_s": time.monotonic(), **message.get("status", message)}
                with self._changed:
                    self.events.append(event)
                    self._changed.notify_all()

    def close(self) -> None:
        # The reader's file keeps the connection open otherwise.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def until(self, timeout_s: float = 60, **fields: str) -> float:
        """When the first event had these: monotonic seconds. Raises Trouble."""
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            while (found := self.find(**fields)) is None:
                if (left_s := deadline_s - time.monotonic()) <= 0:
                    raise Trouble(f"not in {timeout_s:g} s: {fields}; there was {self.events}")
                self._changed.wait(left_s)
        return found

    def find(self, **fields: str) -> float | None:
        """The same, if there was one."""
        fitting = (event for event in self.events if fields.items() <= event.items())
        return next((float(event["time_s"]) for event in fitting), None)


@contextlib.contextmanager
def watched() -> Iterator[Daemon]:
    """The daemon that runs now; waits for one that just starts."""
    until("the control socket", lambda: Path(CONTROL).exists())
    daemon = Daemon()
    try:
        yield daemon
    finally:
        daemon.close()


# ------------------------------------------------------------ pins


def line(number: int, file: str) -> Path:
    (folder,) = Path("/sys/devices/platform").glob(f"gpio-sim.0/gpiochip*/sim_gpio{number}")
    return folder / file


def finger(down: bool) -> None:
    """The button joins its pin to ground."""
    line(BUTTON, "pull").write_text("pull-down" if down else "pull-up")


def look(goes_on: Callable[[], bool]) -> Samples:
    """The LED, some 150 times a second, at no fixed rate: a dimmed one is switched at a fixed one."""
    samples = []
    with line(LED, "value").open("rb", buffering=0) as value:
        while goes_on():
            value.seek(0)
            samples.append((time.monotonic(), value.read(1) == b"1"))
            time.sleep(random.uniform(0.002, 0.008))
    return samples


def look_for(seconds: float) -> Samples:
    end_s = time.monotonic() + seconds
    return look(lambda: time.monotonic() < end_s)


def lit(samples: Samples) -> float:
    """Share of the samples."""
    if not samples:
        raise Trouble("nobody looked at the light")
    return sum(on for _, on in samples) / len(samples)


def between(samples: Samples, begin_s: float, end_s: float) -> Samples:
    return [sample for sample in samples if begin_s <= sample[0] < end_s]


# ------------------------------------------------------------ sound


def loudness(path: Path) -> list[float]:
    """Mean of the magnitudes of each 20 ms, from every sixth sample of the first channel."""
    with wave.open(str(path)) as file:
        channels, hz = file.getnchannels(), file.getframerate()
        samples = array("h", file.readframes(file.getnframes()))[:: 6 * channels]
    step = hz // 50 // 6
    return [sum(map(abs, samples[at : at + step])) / step for at in range(0, len(samples) - step, step)]


def correlation(one: list[float], other: list[float]) -> float:
    means = sum(one) / len(one), sum(other) / len(other)
    products = sum((a - means[0]) * (b - means[1]) for a, b in zip(one, other, strict=True))
    squares = sum((a - means[0]) ** 2 for a in one), sum((b - means[1]) ** 2 for b in other)
    return float(products / ((squares[0] * squares[1]) ** 0.5 or 1))


def alike(heard: list[float], said: list[float]) -> float:
    """Mean, over the seconds of ``said``, of the best correlation with a part of ``heard``."""
    pieces = [said[at : at + PIECE] for at in range(0, len(said) - PIECE + 1, PIECE)]
    return sum(best(heard, piece) for piece in pieces) / len(pieces)


def best(heard: list[float], said: list[float]) -> float:
    return max((correlation(heard[at : at + len(said)], said) for at in range(len(heard) - len(said) + 1)), default=0.0)


# ------------------------------------------------------------ the checks


def installed_by_apt_it_runs() -> str:
    """With the pins there before the package, as on every Pi. Without a key, so it only says so."""
    began_s = time.monotonic()
    apt_get = "DEBIAN_FRONTEND=noninteractive apt-get --yes --no-install-recommends"
    shell(f"{apt_get} install /share/voice-appliance.deb", 600)
    took_s = time.monotonic() - began_s
    until("active", lambda: show("ActiveState") == ["active"])
    return f"{took_s:.0f} s"


def its_user_may_open_the_chip_at_once() -> str:
    """No restart of the machine is asked of anybody."""
    owned = until("the group", lambda: shell("stat --format='%G %a' /dev/gpiochip0") == "gpio 660", 10)
    if refused := entries("EVENT=no_pins"):
        raise Trouble(refused[-1]["MESSAGE"])
    return f"{owned:.1f} s"


def the_profile_and_a_key_make_it_ready() -> str:
    configure("button-box.toml")
    # Root writes it, and the box is started again by itself.
    began_s = time.monotonic()
    Path("/etc/voice-appliance/key").write_text(f"{KEY}\n")
    until("the connection", lambda: entries("EVENT=connected"))
    took_s = time.monotonic() - began_s
    until("ready", lambda: show("StatusText")[0].startswith("ready"))
    return f"{took_s:.1f} s; {show('StatusText')[0]}"


def configure(profile: str) -> None:
    """The profile as it is, with what this machine is: where the service is; and a buffer of 40 ms, for of this card's
    20 ms emulation alone takes some. The card is found: of its two devices the first, whose other end is the room."""
    added = 'service.url = "ws://localhost:8765/v1/realtime"\nspeaker.period_ms = 20\n'
    SETTINGS.write_text(added + (PROFILES / profile).read_text())


def nothing_was_added_to_the_unit() -> str:
    fragment, *added = shell(f"systemctl show --property=FragmentPath,DropInPaths --value {UNIT}").split()
    if added:
        raise Trouble(f"drop-ins: {added}")
    # Settings are marked with a c.
    if changed := [said for said in shell("dpkg --verify voice-appliance; true").splitlines() if " c " not in said]:
        raise Trouble(f"changed: {changed}")
    exposure = shell(f"systemd-analyze security --no-pager {UNIT} | tail -1")
    return f"{fragment}; {exposure.partition(':')[2].strip()}"


def ready_is_a_light_now_and_then() -> str:
    """Nothing dims it: a pin has no PWM."""
    return within("lit", lit(look_for(READY_S)), *READY)


def within(what: str, figure: float, low: float, high: float) -> str:
    if not low <= figure <= high:
        raise Trouble(f"{what} {figure:.2f}, allowed {low:g} to {high:g}")
    return f"{what} {figure:.2f}"


def a_question_from_the_pin_is_answered() -> str:
    """Held, spoken, let go: light, journal, sound."""
    return second_conversation(finger)


def second_conversation(press: Callable[[bool], None]) -> str:
    """The first answer after a start has holes here: emulation translates what the processor has not met before."""
    conversation(press, least_alike=0)
    return conversation(press, ALIKE)


def conversation(press: Callable[[bool], None], least_alike: float) -> str:
    turns = len(entries("EVENT=turn"))
    with watched() as daemon:
        daemon.until(state="ready", light="ready")
        with subprocess.Popen(
            ("arecord", "-q", "-D", EAR, "-f", "S16_LE", "-c", "2", "-r", "48000", str(RECORDING))
        ) as room:
            try:
                said = question(press, daemon)
            finally:
                room.terminate()
    (entry, *more) = entries("EVENT=turn")[turns:]
    if more or entry["OUTCOME"] != "answered" or int(entry["FIRST_AUDIO_MS"]) <= 0:
        raise Trouble(f"the journal: {entry['MESSAGE']}")
    said += f", first sound after {entry['FIRST_AUDIO_MS']} ms, {entry['UNDERRUNS']} underruns"
    heard = loudness(RECORDING)
    answers = {path.stem: alike(heard, loudness(path)) for path in VOICES.glob("[!a]*.wav")}
    answer = max(answers, key=lambda name: answers[name])
    said += f", {entry['HEARD_MS']} ms of {answer}.wav heard"
    with wave.open(str(VOICES / f"{answer}.wav")) as file:
        length_ms = 1000 * file.getnframes() / file.getframerate()
    if least_alike and abs(length_ms - int(entry["HEARD_MS"])) > 50:
        raise Trouble(f"{said}, which has {length_ms:.0f} ms")
    return f"{said}, {within('alike', answers[answer], least_alike, 1)}"


def question(press: Callable[[bool], None], daemon: Daemon) -> str:
    """The light from the press to the end of the answer."""
    pressed_s = time.monotonic()
    press(True)
    samples = look_for(LIT_S + 1)
    daemon.until(state="listening")
    dark_s = [at_s for at_s, on in samples if not on]
    lit_s = [at_s for at_s, _ in samples if at_s > max(dark_s, default=pressed_s)]
    said = within("lit after", min(lit_s, default=math.inf) - pressed_s, 0, LIT_S)
    shell(f"aplay -q -D {MOUTH} {VOICES / 'ask-time.wav'}")
    said += f", {within('while listening', lit(look_for(0.5)), 1, 1)}"
    press(False)
    samples = look(lambda: daemon.find(event="turn") is None and time.monotonic() < pressed_s + 90)
    daemon.until(timeout_s=1, event="turn")
    began_s, ended_s = daemon.until(state="speaking"), samples[-1][0]
    # Full, with gaps of 0.3 s. Eighths of a second in which the box had the one processor say nothing.
    starts_s = [began_s + at / 8 for at in range(int(8 * (ended_s - began_s)))]
    parts = [between(samples, at_s, at_s + 0.125) for at_s in starts_s]
    shares = [lit(part) for part in parts if len(part) >= 4]
    if not shares or not max(shares) > 0.9 or not min(shares) < 0.1 or not 0.6 < sum(shares) / len(shares) < 0.95:
        raise Trouble(f"the light of an answer: {shares}")
    return f"{said}, lit for {sum(shares) / len(shares):.2f} of {ended_s - began_s:.1f} s of answer"


def processes() -> dict[str, Path]:
    """Those of the unit, by what they do."""
    found = {}
    for process in (GROUP / "cgroup.procs").read_text().split():
        folder = Path("/proc") / process
        arguments = (folder / "cmdline").read_text().split("\0")
        found[next((word for word in ("capture", "playback") if word in arguments), "daemon")] = folder
    return found


def its_processes_have_no_privileges() -> str:
    user = shell("id -u voice-appliance")
    running = processes()
    if set(running) != {"daemon", "capture", "playback"}:
        raise Trouble(f"processes: {running}")
    for name, folder in running.items():
        said = dict(re.findall(r"^(\w+):\s+(\S+)", (folder / "status").read_text(), re.MULTILINE))
        for field, value in {**SANDBOX, "Uid": user}.items():
            if said[field] != value:
                raise Trouble(f"{name}: {field} {said[field]}, not {value}")
    restarts, owner = show("NRestarts", "User")
    if (restarts, owner) != ("0", "voice-appliance"):
        raise Trouble(f"NRestarts {restarts}, User {owner}")
    return f"user {owner} ({user}), CapBnd 0, Seccomp 2, NoNewPrivs 1, NRestarts {restarts}"


def opened(folder: Path) -> list[str]:
    """What the process of that folder of /proc has open."""
    return [str(link.readlink()) for link in (folder / "fd").iterdir()]


def they_have_the_real_devices_open() -> str:
    wanted = {"daemon": "/dev/gpiochip0", "capture": "/dev/snd/pcmC0D0c", "playback": "/dev/snd/pcmC0D0p"}
    for name, folder in processes().items():
        if wanted[name] not in (paths := opened(folder)):
            raise Trouble(f"{name} has {paths}")
    return ", ".join(f"{name} {device}" for name, device in wanted.items())


def no_other_device_is_for_them() -> str:
    """Not even for root: a process of root's, put beside the box, has nothing but the device policy above it."""
    allowed = ("/dev/gpiochip0", "/dev/snd/controlC0", "/dev/input/event0", "/dev/urandom")
    refused = ("/dev/vda", "/dev/kmsg", "/dev/mem", "/dev/uinput")
    said = beside(
        "import errno, os\n"
        f"for path in {allowed + refused}:\n"
        "    try: os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK)); print('open')\n"
        "    except OSError as error: print(errno.errorcode[error.errno])\n"
    ).stdout.split()
    if said != ["open"] * len(allowed) + ["EPERM"] * len(refused):
        raise Trouble(f"{allowed + refused}: {said}")
    return f"{', '.join(refused)}: EPERM"


def beside(program: str) -> subprocess.CompletedProcess[str]:
    """A Python program of root's in the control group of the unit."""
    join = f"open({str(GROUP / 'cgroup.procs')!r}, 'w').write('0')\n"
    return subprocess.run((sys.executable, "-c", join + program), text=True, capture_output=True, timeout=120)


def its_memory_is_bounded_and_the_box_outlives_it() -> str:
    """A process beside the box, as a tool of the owner's would be, takes all there is."""
    main, peak = show("MainPID", "MemoryPeak")
    before = int(peak) / 2**20
    ended = beside("taken = []\nwhile True: taken.append(b'x' * 2**22); print(len(taken), flush=True)")
    taken = 4 * int(ended.stdout.split()[-1])
    if ended.returncode != -9:
        raise Trouble(f"it took {taken} MiB and ended with {ended.returncode}: {ended.stderr}")
    if (after := show("MainPID", "NRestarts", "ActiveState")) != [main, "0", "active"]:
        raise Trouble(f"the box: {after}")
    limit, current = show("MemoryMax", "MemoryCurrent")
    if int(limit) != CAP_BYTES or before > 128 or taken + before > 2 * CAP_BYTES / 2**20:
        raise Trouble(f"limit {limit}, peak before {before:.0f} MiB, taken {taken} MiB")
    return f"{before:.0f} MiB at most before, {int(current) / 2**20:.0f} MiB after, killed when it had {taken} MiB"


def a_question_from_a_usb_key_is_answered() -> str:
    """Settings changed and reloaded, then the box is plugged in; found by its numbers, and grabbed."""
    configure("usb-button.toml")
    shell(f"systemctl reload {UNIT}")
    keys = {ecodes.EV_KEY: [ecodes.KEY_F13, ecodes.KEY_F14]}
    plugged_s = time.monotonic()
    with UInput(keys, name="Button Box", vendor=0x1209, product=0xB0C5, bustype=ecodes.BUS_USB) as box:
        until("the button box", lambda: entries("EVENT=button_box_found"))
        found_s = time.monotonic() - plugged_s

        def press(down: bool) -> None:
            box.write(ecodes.EV_KEY, ecodes.KEY_F13, int(down))
            box.syn()

        said = second_conversation(press)
        (node,) = (path for path in opened(processes()["daemon"]) if path.startswith("/dev/input/"))
    return f"{node} after {found_s:.1f} s, {said}"


def it_stops_at_once_and_dark() -> str:
    """In the middle of a question, when the light is on."""
    with watched() as daemon:
        daemon.until(state="ready", light="ready")
        finger(True)
        daemon.until(state="listening")
        if lit(look_for(0.5)[-20:]) != 1:
            raise Trouble("the light is not on")
    shell(f"systemctl stop {UNIT}")
    finger(False)
    result, state, *times_us = show(
        "Result", "ActiveState", "ActiveExitTimestampMonotonic", "InactiveEnterTimestampMonotonic"
    )
    if (result, state) != ("success", "inactive"):
        raise Trouble(f"{state}: {result}")
    if share := lit(look_for(0.5)):
        raise Trouble(f"lit {share:.2f} of the time")
    # By systemd's own clock: systemctl alone takes a second or more here to be loaded.
    began_s, ended_s = (int(time_us) / 1e6 for time_us in times_us)
    return within("stopped after", ended_s - began_s, 0, STOPPED_S)


def it_starts_again() -> str:
    began_s = time.monotonic()
    shell(f"systemctl start {UNIT}")
    active_s = time.monotonic() - began_s
    with watched() as daemon:
        ready_s = daemon.until(state="ready", light="ready") - began_s
    return (
        f"active after {active_s:.1f} s, ready after {ready_s:.1f} s, {within('lit', lit(look_for(READY_S)), *READY)}"
    )


CHECKS = (
    installed_by_apt_it_runs,
    its_user_may_open_the_chip_at_once,
    the_profile_and_a_key_make_it_ready,
    nothing_was_added_to_the_unit,
    ready_is_a_light_now_and_then,
    a_question_from_the_pin_is_answered,
    its_processes_have_no_privileges,
    they_have_the_real_devices_open,
    no_other_device_is_for_them,
    its_memory_is_bounded_and_the_box_outlives_it,
    it_stops_at_once_and_dark,
    it_starts_again,
    a_question_from_a_usb_key_is_answered,
)


def main() -> int:
    failed = 0
    for check in CHECKS:
        name = check.__name__.replace("_", " ")
        try:
            print(f"{name}: held {check()}", flush=True)
        except Exception as trouble:
            # A check that ends in a way nobody thought of has not held; the next may.
            failed += 1
            print(f"{name}: {trouble if isinstance(trouble, Trouble) else repr(trouble)}", flush=True)
        if check is installed_by_apt_it_runs:
            shell(f"systemd-run --quiet --unit=simulate /usr/bin/voice-appliance simulate --key {KEY}")
    if failed:
        print(shell(f"journalctl --unit={UNIT} --output=short-monotonic --no-hostname"))
    print(f"{len(CHECKS) - failed} of {len(CHECKS)} checks of the service held", flush=True)
    return min(failed, 1)


if __name__ == "__main__":
    raise SystemExit(main())
