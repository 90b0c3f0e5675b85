"""Three conversations on this machine: no account, and where there is no sound card, a virtual one.

With the virtual card, recorded Malayalam questions are played into the microphone and the button is pressed for you: a
plain question, an answer interrupted by a press, and a question that needs a tool. What the speaker played is written
to a WAV file and checked. With a real card, you ask: Enter or the space bar is the button.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
import termios
import time
import tty
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final, TextIO

import numpy as np
import numpy.typing as npt

from appliance.audio.format import WIRE_HZ
from appliance.box.box import Box
from appliance.config import loader
from appliance.errors import ApplianceError, UnavailableError
from appliance.panel.light import Pattern, arbiter
from appliance.realtime.events import FunctionCallOutput
from appliance.simulator import voices
from appliance.simulator.records import ReplyRecord
from appliance.simulator.scenario import Call, Reply, Scenario, Turn, conversation
from appliance.simulator.service import Service
from appliance.simulator.sound_match import find
from appliance.simulator.virtual_card import VirtualCard

RECORDING = "demo-recording.wav"
"""Where the virtual speaker's sound goes, in the current folder."""

BUTTON_GPIO: Final = 17
LED_GPIO: Final = (27, 22, 23)

START_TIMEOUT_S: Final = 20.0
TURN_TIMEOUT_S: Final = 40.0
"""One turn, question and answer; more means that the demo hangs."""

INTERRUPT_AFTER_S: Final = 1.0
"""Into the second answer, which is longer than two seconds."""

MICROPHONE_DELAY_S: Final = 0.25
"""What was played into the virtual microphone is heard this much later at most; a person, too, lets go a little
late."""

RECORDER_DELAY_S: Final = 0.3
"""Until the last sample has come out of the virtual speaker and into the recording."""

TAP_S: Final = 0.1
"""A terminal knows no release, so a key is a short press: the service's turn detection ends the turn."""

LEAST_CORRELATION: Final = 0.9
LONGEST_GAP_MS: Final = 5.0


class DemoFailedError(ApplianceError):
    """The demo did not hear what it should have."""

    exit_code = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The demo's own options."""
    parser.add_argument("--virtual", action="store_true", help="a virtual sound card, even where there is a real one")
    parser.add_argument("--output", metavar="FILE", default=RECORDING, help="what the virtual speaker played, as WAV")


def run(args: argparse.Namespace) -> int:
    """Run it. Raises DemoFailedError with the reason, UnavailableError where something is not installed."""
    with tempfile.TemporaryDirectory(prefix="voice-appliance-demo-") as folder:
        settings = _settings(Path(folder))
        if args.virtual or not _has_card():
            return _virtual(settings, Path(args.output))
        return asyncio.run(_with_a_person(settings))


def _settings(folder: Path) -> dict[str, Any]:
    """What the demo sets differently from the defaults."""
    return {
        "control.socket": str(folder / "control.sock"),
        "control.captions": True,
        "panel.button.gpio": BUTTON_GPIO,
        "panel.leds.kind": "rgb",
        "panel.leds.gpio": list(LED_GPIO),
    }


def _has_card() -> bool:
    """A card that both hears and speaks; a board with HDMI alone has none."""
    folder = Path("/proc/asound")
    return any(folder.glob("card*/pcm*c")) and any(folder.glob("card*/pcm*p"))


@contextlib.contextmanager
def _environment(additions: dict[str, str]) -> Iterator[None]:
    """Environment variables for the time of the demo; the sound hosts inherit them."""
    before = dict(os.environ)
    os.environ.update(additions)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _virtual(settings: dict[str, Any], output: Path) -> int:
    try:
        # Now, not after three conversations; what is in it stays until there is something better.
        output.open("ab").close()
    except OSError as error:
        raise UnavailableError(f"the recording cannot be written: {output}: {error.strerror}; see --output") from None
    pins = {"GPIOZERO_PIN_FACTORY": "mock", "GPIOZERO_MOCK_PIN_CLASS": "mockpwmpin"}
    with VirtualCard() as card, _environment(card.environment | pins):
        devices = {"microphone.device": card.microphone, "speaker.device": card.speaker}
        return asyncio.run(_three_turns(settings | devices, card, output))


async def _three_turns(settings: dict[str, Any], card: VirtualCard, output: Path) -> int:
    """The whole demo on the virtual card: ask, interrupt, call a tool; then look at what was heard."""
    turns = (
        Turn(heard="ask-monsoon"),
        Turn(heard="ask-who"),
        Turn(heard="ask-time", replies=(Reply(calls=(Call(name="get_time"),)), Reply(voice="time"))),
    )
    async with _box(settings, conversation(*turns)) as (daemon, service, display):
        button = _MockButton()
        with card.record_speaker(hz=WIRE_HZ) as recording:
            display.line("1. a question, asked with the button held")
            await _ask(card, button, "ask-monsoon")
            await daemon.until(lambda: daemon.turns.ended == 1, TURN_TIMEOUT_S)
            display.line("2. a question, whose answer is interrupted by a press ...")
            await _ask(card, button, "ask-who")
            await daemon.until(lambda: daemon.turns.figures.audible_s is not None, TURN_TIMEOUT_S)
            await asyncio.sleep(INTERRUPT_AFTER_S)
            display.line("3. ... that asks something else, for which the service needs a tool")
            await _ask(card, button, "ask-time")
            await daemon.until(lambda: daemon.turns.ended == 3, TURN_TIMEOUT_S)
            await asyncio.sleep(RECORDER_DELAY_S)
            heard = recording.stop()
        recording.save(output)
        replies = [reply for connection in service.connections for reply in connection.replies]
        tools = [event for connection in service.connections for event in connection.received_of(FunctionCallOutput)]
    problem = _problem(heard, replies, tools)
    if problem:
        raise DemoFailedError(f"demo: {problem}; listen to {output}")
    print(f"All three turns went well. What the speaker played is in {output}.")
    return 0


def _problem(heard: npt.NDArray[np.int16], replies: list[ReplyRecord], tools: list[FunctionCallOutput]) -> str:
    """The first thing that is wrong with what was heard; "" if nothing is."""
    spoken = [np.frombuffer(reply.pcm, dtype="<i2") for reply in replies if reply.pcm]
    if len(spoken) != 3 or len(tools) != 1:
        return f"the service gave {len(spoken)} spoken answers and got {len(tools)} tool results, not 3 and 1"
    for number in (0, 2):
        found = find(spoken[number], heard, WIRE_HZ)
        print(
            f"answer {number + 1} on the speaker: correlation {found.correlation:.3f}, "
            f"{found.missing_ms:.0f} ms missing, longest gap {found.longest_gap_ms:.0f} ms"
        )
        if found.correlation < LEAST_CORRELATION:
            return f"answer {number + 1} is not on the speaker (correlation {found.correlation:.2f})"
        if found.longest_gap_ms > LONGEST_GAP_MS:
            return f"answer {number + 1} has a gap of {found.longest_gap_ms:.0f} ms"
    whole = find(spoken[1], heard, WIRE_HZ)
    print(f"answer 2 on the speaker: interrupted, {whole.missing_ms:.0f} ms of it were not played")
    return "" if whole.missing_ms else "answer 2 was not interrupted"


async def _ask(card: VirtualCard, button: _MockButton, name: str) -> None:
    """Press, let the recorded question be heard, let go."""
    button.press()
    try:
        question = np.frombuffer(voices.pcm(name), dtype="<i2")
        playing = await asyncio.to_thread(card.play_into_microphone, question)
        await asyncio.to_thread(playing.wait)
        await asyncio.sleep(MICROPHONE_DELAY_S)
    finally:
        button.release()


async def _with_a_person(settings: dict[str, Any]) -> int:
    """The real card: somebody presses Enter or the space bar, and talks."""
    async with _box(settings, Scenario()) as (daemon, _, display):
        display.line("Press Enter or the space bar, ask something, and wait for the answer. Ctrl-C ends.")
        with _keys() as pressed:
            while await pressed():
                daemon.remote.edge(True, "keyboard")
                await asyncio.sleep(TAP_S)
                daemon.remote.edge(False, "keyboard")
    return 0


@contextlib.asynccontextmanager
async def _box(settings: dict[str, Any], scenario: Scenario) -> AsyncIterator[tuple[Box, Service, Display]]:
    """A running box, a service for it, and a display of both; all of it is stopped at the end."""

    async def any_key() -> str:
        return "demo"

    async with Service(scenario=scenario) as service:
        daemon = Box(loader.load(None, settings | {"service.url": service.url}), credential=any_key)
        display = Display(sys.stdout, lambda: arbiter(daemon.face.conditions()), lambda: daemon.microphone.level_dbfs)
        daemon.watch(display.event)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(daemon.run())
            drawing = group.create_task(display.run())
            try:
                await _get_ready(daemon)
                yield daemon, service, display
            finally:
                daemon.stop()
                await running
                drawing.cancel()


async def _get_ready(daemon: Box) -> None:
    """Wait until both ends of the sound are there. Raises UnavailableError with the reason if they do not come."""
    try:
        await daemon.until(lambda: daemon.ready, START_TIMEOUT_S)
    except TimeoutError:
        faults = {"microphone": daemon.face.microphone_fault, "speaker": daemon.face.speaker_fault}
        missing = [f"the demo has no {what}: {why}" for what, why in faults.items() if why]
        lines = missing or [f"the demo's sound does not start within {START_TIMEOUT_S:g} s"]
        lines.append(
            "if the service is running it has the card: sudo systemctl stop voice-appliance, or demo --virtual"
        )
        raise UnavailableError("\n".join(lines)) from None


class _MockButton:
    """The wired button's pin in gpiozero's mock: what it does to the pin is what electricity does."""

    def __init__(self) -> None:
        from gpiozero import Device

        self._pin = Device.pin_factory.pin(BUTTON_GPIO)

    def press(self) -> None:
        self._pin.drive_low()

    def release(self) -> None:
        self._pin.drive_high()


@contextlib.contextmanager
def _keys() -> Iterator[Callable[[], Awaitable[bool]]]:
    """Gives a function that waits for Enter or the space bar; False at the end of the input.

    Raises UnavailableError where nobody could type.
    """
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal) if os.isatty(terminal) else None
    loop, keys = asyncio.get_running_loop(), asyncio.Queue[bytes]()
    try:
        loop.add_reader(terminal, lambda: keys.put_nowait(os.read(terminal, 1)))
    except PermissionError:
        # What can be read at any time, a file or /dev/null, has nobody behind it.
        raise UnavailableError(
            "nobody can press: standard input is no terminal; demo --virtual presses itself"
        ) from None

    async def pressed() -> bool:
        while (key := await keys.get()) not in (b"\n", b"\r", b" ", b""):
            continue
        return key != b""

    try:
        if before is not None:
            tty.setcbreak(terminal)
        yield pressed
    finally:
        loop.remove_reader(terminal)
        if before is not None:
            termios.tcsetattr(terminal, termios.TCSADRAIN, before)


FRAMES_PER_S: Final = 12
"""Enough for a breath to look like one; each frame is one short write."""


METER_STEPS: Final = 10


METER_FLOOR_DB: Final = -60.0


class Display:
    """Shows one box on ``stream``. ``light`` and ``level_db`` are asked for at each frame."""

    def __init__(self, stream: TextIO, light: Callable[[], Pattern], level_db: Callable[[], float]) -> None:
        self._stream = stream
        self._light = light
        self._level_db = level_db
        self._live = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._unicode = (stream.encoding or "ascii").lower().replace("-", "").startswith("utf")
        self._started_s = time.monotonic()
        self._shown: Pattern | None = None
        self._since_s = 0.0
        self._state = {"state": "starting", "link": "closed"}
        self._said: dict[str, str] = {}

    async def run(self) -> None:
        """Redraw until cancelled. Does nothing where nothing can be redrawn."""
        if not self._live:
            return
        try:
            while True:
                self._frame()
                await asyncio.sleep(1 / FRAMES_PER_S)
        finally:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def event(self, event: dict[str, Any]) -> None:
        """Something the daemon published."""
        match event:
            case {"event": "state", "state": state, "link": link, "light": light}:
                self._state = {"state": state, "link": link}
                self.line(f"{state:<10} light: {light.replace('_', ' '):<18} link: {link}")
            case {"event": "caption", "side": side, "until_s": float(), "text": text}:
                # The pieces of a reply are not shown: all of it is told once more, when its turn has ended.
                self._said[side] = f"{self._said.get(side, '')} {text}".strip()
            case {"event": "turn"}:
                self._turn(event)

    def line(self, text: str) -> None:
        """A line that stays, with the seconds since the start."""
        self._keep(f"{time.monotonic() - self._started_s:7.2f} s  {text}")

    def _turn(self, turn: dict[str, Any]) -> None:
        for side in ("person", "box"):
            if text := self._said.pop(side, ""):
                self.line(f"the {side} said:")
                self._keep(text.strip())
        figures = [
            f"{name} {turn[key] * 1000:.0f} ms"
            for name, key in (
                ("press to first audio sent", "press_to_first_append_s"),
                ("end of question to first sound", "end_to_audible_s"),
                ("arrival to sound", "first_delta_to_audible_s"),
            )
            if turn[key] is not None
        ]
        heard = f"{turn['heard_s']:.1f} of {turn['answer_s']:.1f} s of answer heard"
        self.line(f"turn {turn['turn']} {turn['outcome']}: {turn['said_s']:.1f} s said, {heard}")
        if figures:
            self.line(f"       {', '.join(figures)}")

    def _keep(self, text: str) -> None:
        self._stream.write(("\r\x1b[K" if self._live else "") + text + "\n")
        self._stream.flush()

    def _frame(self) -> None:
        light = self._light()
        if light is not self._shown:
            self._shown, self._since_s = light, time.monotonic()
        brightness = light.brightness(time.monotonic() - self._since_s)
        # The square root: the eye, and a terminal's colours, take a tenth of the current for a third of the light.
        red, green, blue = (round(40 + 215 * part * brightness**0.5) for part in light.colour)
        lamp = f"\x1b[38;2;{red};{green};{blue}m{'●' if self._unicode else 'O'}\x1b[0m"
        steps = round(METER_STEPS * max(0.0, 1 - self._level_db() / METER_FLOOR_DB))
        full, empty = ("█", "░") if self._unicode else ("#", "-")
        meter = full * min(steps, METER_STEPS) + empty * (METER_STEPS - min(steps, METER_STEPS))
        state = f"{self._state['state']:<10} link: {self._state['link']:<11}"
        self._stream.write(f"\r\x1b[K {lamp}  {state} mic {meter}")
        self._stream.flush()
