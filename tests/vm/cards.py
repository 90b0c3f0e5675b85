"""Starts the sound of a box again and again with the shipped configuration: in the virtual machine, on snd-dummy.

``cards.py [starts=20] [boxes=5] [named=3] [cards=1|2] [troubles=0]``: how often the two sound hosts start, how often a
whole box does, and how often, after each five starts of either kind, with the device named, to compare; with one card
at boot, then with two. Then the troubles of a start: a card that another program has, and files whose rights come late.
Then a USB speaker that is not there yet, or pulled out, beside a card that is always there. The director is root; what
opens the cards is nobody, with the group ``audio``. Exit status 0 if all held.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import grp
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

CARDS = ("Dummy", "Dummy2")
PARTS = {"microphone", "speaker"}
CARD = "Dummy: PCM (hw:0,0)"
"""What "auto" means in all of it."""

NODES = Path("/dev/snd")
FOLDER = Path("/run/cards")

SLACK_S = 0.5
"""What a box may take longer to find its card than to open a named one."""

GIVE_UP_S = 25.0
BACK_S = 3.0
"""From when a card can be opened until it is."""

HELD_S = 20.0
RIGHTS_S = 2.0
BATCH = 5
CALIBRATION = 200_000
"""Turns of a loop: a tenth of a second here."""

LOOK_S = 0.05

AWAY_S = 5.0
USB_S = 10.0
"""From the USB speaker's plug to its use: the kernel's own work on it, seconds here; the box's patience with a loose
plug, 4 s; and a start."""


class Trouble(Exception):
    """A check did not hold; the text says what."""


# ------------------------------------------------------------ as nobody: one start after the other


async def start(device: str, give_up_s: float) -> dict[str, Any]:
    """Until microphone and speaker are open: names, and when each was in monotonic seconds; what is missing is not."""
    from appliance.audio.microphone import Microphone, MicrophoneGone, MicrophoneOpened
    from appliance.audio.player import Player
    from appliance.audio.ring import Ring
    from appliance.audio.speaker import Speaker, SpeakerLost, SpeakerOpened
    from appliance.config import loader

    settings = loader.load(None, {"microphone.device": device, "speaker.device": device} if device else {})
    found: dict[str, Any] = {"began_s": time.monotonic(), "lost": []}
    both = asyncio.Event()

    def happened(event: object) -> None:
        if isinstance(event, MicrophoneOpened | SpeakerOpened):
            part = "microphone" if isinstance(event, MicrophoneOpened) else "speaker"
            found[part], found[f"{part}_s"] = event.name, time.monotonic()
        elif isinstance(event, MicrophoneGone | SpeakerLost):
            found["lost"].append(event.reason)
        if found.keys() >= PARTS:
            both.set()

    parts = (
        Microphone(settings.microphone, Ring(48_000), happened),
        Speaker(settings.speaker, Player(), happened),
    )
    tasks = [asyncio.create_task(part.run()) for part in parts]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(give_up_s):
            await both.wait()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return found


async def starts(count: int, device: str, give_up_s: float) -> None:
    for _ in range(count):
        print(json.dumps(await start(device, give_up_s)), flush=True)


# ------------------------------------------------------------ as root: cards and rights


def as_nobody(*arguments: str, errors: Any = None, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        (sys.executable, *arguments),
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        user="nobody",
        group="nogroup",
        extra_groups=[grp.getgrnam("audio").gr_gid],
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **environment},
    )


def ran(count: int, device: str) -> list[dict[str, Any]]:
    """So many starts with that device ("": as shipped)."""
    with as_nobody(__file__, "start", str(count), device, str(GIVE_UP_S)) as process:
        assert process.stdout is not None
        found = []
        for line in process.stdout:
            found.append(json.loads(line))
            if not found[-1].keys() >= PARTS:
                print(f"  {line.strip()}\n{_who_has_what()}", flush=True)
    if process.returncode:
        print(
            f"  the process of these starts ended with {process.returncode}, after {len(found)} of {count}", flush=True
        )
    return found


def _who_has_what() -> str:
    """What holds the cards, and what each program waits for: of a start that is not whole."""
    opened = [f"{path}: {path.read_text()}" for path in sorted(Path("/proc/asound").glob("card*/pcm*/sub*/status"))]
    waits = subprocess.run(("ps", "-eo", "pid,ppid,stat,wchan:30,args"), capture_output=True, text=True, check=True)
    ours = [line for line in waits.stdout.splitlines() if "python" in line or "modprobe" in line]
    locks = Path("/proc/locks").read_text()
    return "\n".join((*opened, *ours, locks))


def cards(count: int) -> None:
    """So many cards of the machine, each with one microphone and one speaker that one program at a time can have."""
    subprocess.run(("modprobe", "-r", "snd-dummy"), check=True)
    numbers = range(count)
    options = [
        f"{name}={','.join(map(str, values))}"
        for name, values in (
            ("enable", [1 for _ in numbers]),
            ("index", list(numbers)),
            ("pcm_substreams", [1 for _ in numbers]),
        )
    ]
    subprocess.run(("modprobe", "snd-dummy", f"id={','.join(CARDS[:count])}", *options), check=True)
    subprocess.run(("udevadm", "settle"), check=True)


def took_s(found: dict[str, Any]) -> float:
    if missing := PARTS - found.keys():
        raise Trouble(f"no {' and no '.join(sorted(missing))} in time: {found['lost']}")
    return float(max(found["microphone_s"], found["speaker_s"]) - found["began_s"])


def _whole(found: list[dict[str, Any]]) -> int:
    return sum(each.keys() >= PARTS for each in found)


def all_are_whole(found: list[dict[str, Any]], named: list[dict[str, Any]], count: int) -> str:
    """Microphone and speaker in each start, on the first card, and as soon as if it were named."""
    whole = [each for each in found if each.keys() >= PARTS]
    devices = {(each["microphone"], each["speaker"]) for each in whole}
    times_s, named_s = sorted(map(took_s, whole)), sorted(map(took_s, named))
    said = f"{len(whole)} of {count} whole, {len(devices)} choice of devices {sorted(devices)}"
    if times_s and named_s:
        said += (
            f"; s: median {statistics.median(times_s):.2f}, longest {times_s[-1]:.2f};"
            f" named: median {statistics.median(named_s):.2f}, longest {named_s[-1]:.2f} of {len(named_s)}"
        )
    if lost := sorted({reason for each in found for reason in each["lost"]}):
        said += f"; meanwhile {lost}"
    first = (CARD,) * 2
    # The longest tells of this machine alone: whoever else uses the host holds up one start or the other for seconds.
    late = times_s and named_s and statistics.median(times_s) > statistics.median(named_s) + SLACK_S
    if len(whole) < count or devices != {first} or late:
        raise Trouble(said)
    return said


@contextlib.contextmanager
def held(program: str) -> Iterator[subprocess.Popen[bytes]]:
    """Another program has the card."""
    direction = "c" if program == "arecord" else "p"
    status = Path(f"/proc/asound/card0/pcm0{direction}/sub0/status")
    source = "/dev/null" if program == "arecord" else "/dev/zero"
    command = (program, "-q", "-D", "hw:0,0", "-t", "raw", "-f", "S16_LE", "-r", "48000", "-c", "2", source)
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as holder:
        try:
            while "owner_pid" not in status.read_text():
                if holder.poll() is not None:
                    raise Trouble(f"{program} ended with {holder.returncode}")
                time.sleep(0.02)
            yield holder
        finally:
            holder.kill()


def a_card_that_was_held(program: str) -> str:
    """At the start another program has one half of the best card; 20 s later it gives it back."""
    cards(2)
    part, other = ("microphone", "speaker") if program == "arecord" else ("speaker", "microphone")
    with held(program), as_nobody(__file__, "start", "1", "", str(HELD_S + GIVE_UP_S)) as process:
        time.sleep(HELD_S)
        free_s = time.monotonic()
        subprocess.run(("pkill", "-x", program), check=True)
        assert process.stdout is not None
        (found,) = [json.loads(line) for line in process.stdout]
    took_s(found)
    if found[part] != CARD or found[f"{other}_s"] > free_s:
        raise Trouble(f"{found}, free at {free_s}")
    return within(f"{part} open after it was free", found[f"{part}_s"] - free_s, BACK_S)


def rights_that_are_late() -> str:
    """As udev gives them to a new card's files: a moment after the box has started."""
    cards(1)
    nodes = [node for node in NODES.iterdir() if node.is_char_device()]
    for node in nodes:
        node.chmod(0o600)
    with as_nobody(__file__, "start", "1", "", str(HELD_S + GIVE_UP_S)) as process:
        time.sleep(RIGHTS_S)
        free_s = time.monotonic()
        for node in nodes:
            node.chmod(0o660)
        assert process.stdout is not None
        (found,) = [json.loads(line) for line in process.stdout]
    took_s(found)
    if min(found["microphone_s"], found["speaker_s"]) < free_s:
        raise Trouble(f"open without rights: {found}")
    return within("both open after the rights came", max(found["microphone_s"], found["speaker_s"]) - free_s, BACK_S)


@functools.cache
def least_loop_s() -> float:
    """What the fixed piece of work takes when nobody else uses the host, or hardly."""
    return min(calibrated_s() for _ in range(20))


def within(what: str, figure: float, most: float) -> str:
    """``most``: on a host that has nothing else to do; on another one in proportion. Raises Trouble."""
    slowness = max(1.0, statistics.median(calibrated_s() for _ in range(5)) / least_loop_s())
    said = f"{what} {figure:.2f} s, allowed {most:g}, the machine {slowness:.1f} times slower than at its best"
    if figure > most * slowness:
        raise Trouble(said)
    return said


# ------------------------------------------------------------ whole boxes


class Box:
    """A whole daemon with the shipped configuration but for the pins, and its journal.

    ``folder``: its state, kept from one to the next. ``settings``: what else is configured.
    """

    def __init__(self, folder: Path, settings: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        os.chown(folder, 65534, 65534)
        file = folder / "config.toml"
        pins = 'panel.button.gpio = 0\npanel.leds = { kind = "none", gpio = [] }\n'
        file.write_text(f'control.socket = "{folder}/control.sock"\n{pins}{settings}')
        self._journal = folder / f"journal{time.monotonic_ns()}"
        with self._journal.open("w") as errors:
            arguments = ("-m", "appliance", "run", "--config", str(file))
            self._daemon = as_nobody(*arguments, errors=errors, STATE_DIRECTORY=str(folder))

    def lines(self, part: str = "speaker") -> list[str]:
        """What it said of its speaker, or microphone, so far."""
        return [line for line in self._journal.read_text().splitlines() if f"{part}: " in line]

    def says(self, beginning: str, since: int, timeout_s: float, part: str = "speaker") -> float:
        """Seconds until a line, after so many others, says this. Raises Trouble."""
        began_s = time.monotonic()
        while not any(beginning in line for line in self.lines(part)[since:]):
            if time.monotonic() > began_s + timeout_s or self._daemon.poll() is not None:
                raise Trouble(f"not in {timeout_s:g} s: {beginning}; {self.lines(part)}")
            time.sleep(LOOK_S)
        return time.monotonic() - began_s

    def end(self) -> None:
        self._daemon.terminate()
        self._daemon.wait(20)


class Start(NamedTuple):
    """One start of a whole box."""

    took_s: float
    """From its process on until microphone and speaker are open."""
    loop_s: float
    """What the same fixed work took around it: whoever else uses the host makes both longer."""
    said: tuple[str, ...]
    """Of microphone and speaker, all that the journal says."""
    fault: str
    """Empty if it was whole."""


def calibrated_s() -> float:
    """What a fixed piece of work takes at this moment."""
    began_s = time.perf_counter()
    for _ in range(CALIBRATION):
        pass
    return time.perf_counter() - began_s


def started(device: str) -> Start:
    """A new box with that device ("": as shipped), until both are open or it gives up; then it is stopped."""
    settings = f'microphone.device = "{device}"\nspeaker.device = "{device}"\n' if device else ""
    fault, before_s, began_s = "", calibrated_s(), time.monotonic()
    box = Box(FOLDER / f"box{time.monotonic_ns()}", settings)
    try:
        for part in ("microphone", "speaker"):
            box.says(f"{part}: {CARD}", 0, GIVE_UP_S, part)
    except Trouble as trouble:
        fault = str(trouble)
    took_s = time.monotonic() - began_s
    loop_s = (before_s + calibrated_s()) / 2
    box.end()
    said = tuple(line.partition("reports: ")[2] for part in ("microphone", "speaker") for line in box.lines(part))
    return Start(took_s, loop_s, said, fault)


def boxes(cards_there: int, count: int, named_count: int) -> str:
    """Whole boxes, one after the other, each a new one; after BATCH of them so many with the device named."""
    cards(cards_there)
    started("Dummy")
    found: list[Start] = []
    named: list[Start] = []
    while len(found) < count:
        found += [started("") for _ in range(min(BATCH, count - len(found)))]
        named += [started("Dummy") for _ in range(named_count)]
        print(f"  {compared(found, named)}", flush=True)
    faults = [each.fault for each in found + named if each.fault]
    devices = {each.said for each in found}
    best_s = quickest_s(found + named)
    late = named and median_s(found, best_s) > median_s(named, best_s) + SLACK_S
    said = f"{compared(found, named)}; {len(devices)} choice of devices {sorted(devices)}"
    if faults or len(devices) > 1 or late:
        raise Trouble(f"{said}; {faults}")
    return said


def compared(found: list[Start], named: list[Start]) -> str:
    best_s = quickest_s(found + named)
    whole = sum(not each.fault for each in found)
    return f"{whole} of {len(found)} whole; s: {spread(found, best_s)}; named: {spread(named, best_s)} of {len(named)}"


def quickest_s(starts: list[Start]) -> float:
    return min(each.loop_s for each in starts)


def paced(starts: list[Start], best_s: float) -> list[float]:
    """What each would have taken, in seconds, had the machine always been as quick as when the loop took ``best_s``."""
    return [each.took_s * best_s / each.loop_s for each in starts]


def median_s(starts: list[Start], best_s: float) -> float:
    return statistics.median(paced(starts, best_s))


def spread(starts: list[Start], best_s: float) -> str:
    if not starts:
        return "none"
    times_s = [each.took_s for each in starts]
    by_clock = f"median {statistics.median(times_s):.2f}, longest {max(times_s):.2f}"
    return f"{by_clock} (by the loop {median_s(starts, best_s):.2f}, {max(paced(starts, best_s)):.2f})"


# ------------------------------------------------------------ a USB speaker


def plugged(wanted: bool) -> None:
    """The USB speaker is plugged in, or pulled out."""
    (product,) = (path for path in Path("/sys/bus/usb/devices").glob("*/product") if "Audio" in path.read_text())
    (product.parent / "authorized").write_text(str(int(wanted)))


def a_usb_speaker_that_comes_and_goes() -> str:
    """A new box takes the card that is there, then the better one; after that it never goes back."""
    cards(1)
    box = Box(FOLDER / "usb", 'microphone.device = "Dummy"\n')
    try:
        box.says(f"speaker: {CARD}", 0, GIVE_UP_S)
        plugged(True)
        came_s = box.says("speaker: QEMU USB Audio", 1, USB_S)
        if 'in place of "Dummy"' not in box.lines()[-1]:
            raise Trouble(f"{box.lines()}")
        said = len(box.lines())
        plugged(False)
        lost_s = box.says("no speaker: ", said, 2)
        time.sleep(AWAY_S)
        if len(box.lines()) != said + 1:
            raise Trouble(f"{box.lines()}")
        plugged(True)
        back_s = box.says("speaker: QEMU USB Audio", said + 1, USB_S)
        plugged(False)
        box.says("no speaker: ", said + 2, 2)
    finally:
        box.end()
    return f"better card taken after {came_s:.1f} s, loss said after {lost_s:.1f} s, back after {back_s:.1f} s"


def a_usb_speaker_that_is_late() -> str:
    """The same box's next start, at which the speaker is not there yet."""
    box = Box(FOLDER / "usb", 'microphone.device = "Dummy"\n')
    try:
        box.says('no speaker: the USB speaker that was here is missing; "Dummy: PCM" is not taken', 0, GIVE_UP_S)
        time.sleep(HELD_S / 4)
        if len(box.lines()) != 1:
            raise Trouble(f"{box.lines()}")
        plugged(True)
        return f"taken after {box.says('speaker: QEMU USB Audio', 1, USB_S):.1f} s"
    finally:
        box.end()


def main(arguments: list[str]) -> int:
    counts = {"starts": 20, "named": 3, "boxes": 5, "troubles": 1, "cards": 0}
    counts |= {name: int(number) for name, _, number in (argument.partition("=") for argument in arguments)}
    checks: list[tuple[str, Callable[[], str]]] = []
    least_loop_s()

    def whole(cards_there: int) -> str:
        cards(cards_there)
        # The first start reads all of it from the disk. Then in alternation: a machine that emulates another has slower
        # minutes.
        ran(1, "Dummy")
        found: list[dict[str, Any]] = []
        named: list[dict[str, Any]] = []
        while len(found) < counts["starts"]:
            found += ran(min(BATCH, counts["starts"] - len(found)), "")
            named += ran(counts["named"], "Dummy")
            print(f"  {_whole(found)} of {len(found)} whole", flush=True)
        return all_are_whole(found, named, counts["starts"])

    for cards_there in (counts["cards"],) if counts["cards"] else (1, 2):
        if counts["starts"]:
            checks.append((f"{cards_there} at boot, the sound alone", functools.partial(whole, cards_there)))
        if counts["boxes"]:
            starting = functools.partial(boxes, cards_there, counts["boxes"], counts["named"])
            checks.append((f"{cards_there} at boot, whole boxes", starting))
    if counts["troubles"]:
        checks.append(("the microphone is held at the start", lambda: a_card_that_was_held("arecord")))
        checks.append(("the speaker is held at the start", lambda: a_card_that_was_held("aplay")))
        checks.append(("the rights are late", rights_that_are_late))
        checks.append(("a USB speaker that comes and goes", a_usb_speaker_that_comes_and_goes))
        checks.append(("a USB speaker that is late", a_usb_speaker_that_is_late))
    failed = 0
    for name, check in checks:
        try:
            print(f"{name}: held: {check()}", flush=True)
        except Exception as trouble:
            # A check that ends in a way nobody thought of has not held; the next may.
            failed += 1
            print(f"{name}: {trouble if isinstance(trouble, Trouble) else repr(trouble)}", flush=True)
    print(f"{len(checks) - failed} of {len(checks)} checks of the cards held", flush=True)
    return min(failed, 1)


if __name__ == "__main__":
    if sys.argv[1:2] == ["start"]:
        asyncio.run(starts(int(sys.argv[2]), sys.argv[3], float(sys.argv[4])))
    else:
        raise SystemExit(main(sys.argv[1:]))
