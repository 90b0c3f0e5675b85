"""How a device is opened: which of its formats, rates and periods, and which way round what PortAudio cannot use.

Standard library only, in the sound host; the PortAudio object is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from . import alsa_pcm, messages
from .devices import HARDWARE_NAME, MOST_HARDWARE_CHANNELS, NOUN, Device, Direction
from .sample_format import USABLE, SampleFormat, usable

RATES_HZ = (48_000, 44_100, 32_000, 24_000, 16_000, 96_000, 88_200, 192_000, 176_400, 22_050, 11_025, 8_000)
"""What is tried, the best first: all that the daemon's resampler is tested with, and no other, for some it cannot take.
48 000 first because it is twice the wire's rate, and the one that nearly every USB card is built for."""

LONGEST_BUFFER_S = 0.040
"""Of the speaker's device (decision 19). At the default period it comes to 30 ms: no underrun in 20 s beside four busy
processes on two cores (``python -m tests.bench.load``)."""

SHORTEST_PERIOD_S = 0.0025
"""PortAudio makes its buffer of (mostly three) periods; below this a shorter one is not worth its wake-ups."""

LONGEST_PERIOD_S = 0.4
"""Of a card: a sound host that says nothing for longer is soon taken for one that hangs. dmix has 21 ms, and what an
owner writes into an ``asound.conf`` seldom more than 100."""


ADVICE = 'name one with "type plug" before it in /etc/asound.conf (hardware/sound.md)'


class Plan(NamedTuple):
    """What to ask PortAudio for."""

    form: SampleFormat
    channels: int
    periods_frames: dict[int, int]
    """Rate in Hz → shortest period that the device has there, 1 if that is not known; the best rate first."""
    plug: bool
    """The device only works behind ALSA's own conversion."""
    unusable: str = ""
    """Why, in words that follow "has only"."""

    @property
    def advice(self) -> str:
        """What an owner can do if it does not even work so; empty where nothing is odd."""
        return f"; it has only {self.unusable}: {ADVICE}" if self.unusable else ""


def plan(device: Device, direction: Direction, request: messages.Open) -> Plan:
    """How ``device`` is to be opened. Raises ValueError: no such channel; OSError: it cannot be, and what to do."""
    channels = _channels(device, direction, request.channel)
    rates = (request.rate_hz,) if request.rate_hz else RATES_HZ
    native = alsa_pcm.ask(alsa_pcm.name_of(device), direction, channels, rates)
    if native is None:
        return Plan(USABLE[0], channels, dict.fromkeys(rates, 1), plug=False)
    if request.rate_hz and not native.periods_frames:
        least, most = native.rates_hz
        has = f"{least} Hz" if least == most else f"{least} to {most} Hz"
        setting = f"{NOUN[direction]}.rate_hz"
        raise OSError(f'"{device.name}" has no {request.rate_hz} Hz: it has {has}; set {setting} to that, or to 0')
    form = usable(native.formats)
    if form is not None and native.periods_frames:
        return Plan(form, channels, native.periods_frames, plug=False)
    unusable = f"{native.rates_hz[0]} Hz" if form else f"samples of the kind {', '.join(native.formats)}"
    if not HARDWARE_NAME.search(device.name):
        raise OSError(f'"{device.name}" has only {unusable}: {ADVICE}')
    return Plan(USABLE[0], channels, native.periods_frames or dict.fromkeys(rates[:1], 1), True, unusable)


def open_stream(
    portaudio: Any, number: int, plan: Plan, direction: Direction, period_ms: int, trying: Callable[[], None]
) -> tuple[Any, int, int]:
    """(stream, Hz, frames of a block) of device ``number``, in the first way it agrees to.

    ``trying`` is called before each attempt, for any may hang. Raises OSError: the refusals, each with its rate.
    """
    side = "input" if direction == "capture" else "output"
    # A speaker's samples only become wider, which PortAudio does exactly.
    samples = plan.form if direction == "capture" else USABLE[0]
    form = {side: True, f"{side}_device_index": number, "format": samples.portaudio, "channels": plan.channels}
    refusals: dict[str, int] = {}
    for hz, shortest in plan.periods_frames.items():
        try:
            for period, will_do in _periods(hz, period_ms, direction, plan.channels, shortest):
                trying()
                stream = portaudio.open(**form, rate=hz, frames_per_buffer=period)
                if will_do or buffer_s(stream, direction, hz) <= LONGEST_BUFFER_S:
                    return stream, hz, period
                stream.close()
        except (OSError, ValueError) as error:
            refusals.setdefault(reason(error), hz)
    raise OSError(", ".join(f"{text} ({hz} Hz)" for text, hz in refusals.items()))


def buffer_s(stream: Any, direction: Direction, hz: int) -> float:
    """How much the device holds, in seconds, asked before anything was written."""
    latency_s: float = stream.get_input_latency() if direction == "capture" else stream.get_write_available() / hz
    return latency_s


def reason(error: OSError | ValueError) -> str:
    """PyAudio raises OSError(number, text) and OSError(text, number)."""
    return next((part for part in error.args if isinstance(part, str)), str(error))


def _channels(device: Device, direction: Direction, channel: int) -> int:
    most = device.channels(direction)
    if direction == "playback":
        return min(most, 2)
    if channel > most:
        raise ValueError(f'channel {channel} of "{device.name}", which has {most}')
    # All of an ordinary card are mixed; a plugin has as many as one asks for, and a mono source behind it.
    return channel or (most if most <= MOST_HARDWARE_CHANNELS else 1)


def _periods(
    hz: int, period_ms: int, direction: Direction, channels: int, shortest_frames: int
) -> Iterator[tuple[int, bool]]:
    """(frames in a block, whether any buffer will do): as asked, but for a speaker not less than the card's own.

    Then ever shorter ones for a speaker whose buffer turns out too long; if none of them helps, once more the first.
    Raises OSError for a card whose own is beyond LONGEST_PERIOD_S.
    """
    asked = round(period_ms / 1000 * hz)
    if direction == "capture":
        yield min(asked, messages.MOST_SAMPLES // channels), True
        return
    first = max(asked, shortest_frames)
    if first > LONGEST_PERIOD_S * hz:
        raise OSError(f"it plays in blocks of {first / hz:.1f} s, too long to talk with")
    frames, least = first // 2, max(shortest_frames, SHORTEST_PERIOD_S * hz)
    if frames >= least:
        yield first, False
    while frames >= least:
        yield frames, False
        frames //= 2
    yield first, True
