"""The light language: what the box shows, as pure functions of time.

One LED of one colour says everything; colour only repeats it. Each pattern has two columns: ``brightness`` for an LED
that can be dimmed, ``is_lit`` for one that can only be switched. In each column no two patterns differ only in
brightness or only in rate (a wait is one pattern, whatever it waits for), and nothing flashes faster than 2.5 Hz. The
one exception is the table's own: ready glows faintly where listening is fully lit, with a sixteenth of the light, as a
television stands by. An LED that cannot be dimmed has a slow lighthouse instead.

===================  ===================================  =========================================  ==============
pattern              dimmed                               switched, where it differs                 colour
===================  ===================================  =========================================  ==============
starting             one slow fade in, again if it lasts  three flashes, each longer                 white
ready                faint steady glow                    1 s lit in 4                               green
ready, no glow       off                                                                             (off)
invite               slow double blip                                                                green
listening            steady full                                                                     green
listening, ending    full, winks twice                                                               green
wait, retrying       even slow blink, 1 Hz                                                           blue, amber
speaking             slow breath                          lit, a short gap every 1.8 s               blue
resting              slow triple blip                                                                amber
mute                 one short blip every 4 s                                                        red
fault N              N flashes of 250 ms, pause of 1.5 s                                             red
identify             one long flash, two short                                                       white
stopping             one quick fade out                   one flash                                  white
===================  ===================================  =========================================  ==============
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from appliance.turn.value import Value

FRAME_S: Final = 0.04
"""Between two frames of a fade: 25 a second, as in films. A breath costs 25 wake-ups a second, a steady light none."""

GLOW: Final = 0.06
"""Duty cycle that says ready: seen across a lit room, no lamp in a dark one. Not measured on a wired box yet."""

_LOWEST_BREATH: Final = 0.25
"""Of the seen brightness: a breath never goes out, off means no power."""

_BLIP_S: Final = 0.12
"""Shorter blips are missed by who blinks; at 0.25 s it would be a fault's flash."""

Colour = tuple[float, float, float]
"""Red, green, blue, each 0 to 1, before the brightness."""

WHITE: Final[Colour] = (1.0, 1.0, 1.0)
GREEN: Final[Colour] = (0.0, 1.0, 0.0)
BLUE: Final[Colour] = (0.0, 0.0, 1.0)
RED: Final[Colour] = (1.0, 0.0, 0.0)
AMBER: Final[Colour] = (1.0, 0.4, 0.0)
"""Less green than a screen's amber: a green LED is the brighter of the two. Not measured on a wired box yet."""

LAMPS: Final[dict[Colour, tuple[bool, bool, bool]]] = {
    GREEN: (True, False, False),
    BLUE: (False, True, False),
    AMBER: (False, True, True),
    RED: (False, False, True),
    WHITE: (True, True, True),
}
"""Where there are three LEDs, ready (green), busy (blue) and fault (red): which of them show a pattern of that colour.
They take the column of LEDs that can only be switched; being three places they repeat it as colour does elsewhere."""


class Wave(Protocol):
    """The light of one pattern over time."""

    def level(self, elapsed_s: float) -> float:
        """Duty cycle, 0 to 1, at ``elapsed_s`` (not negative) since the pattern began."""
        ...

    def next_change_s(self, elapsed_s: float) -> float | None:
        """Seconds (more than 0) from ``elapsed_s`` to the next visible change; None: there is none."""
        ...


class Steady(Value):
    """Always the same."""

    duty: float

    def level(self, elapsed_s: float) -> float:
        return self.duty

    def next_change_s(self, elapsed_s: float) -> float | None:
        return None


class Flashes(Value):
    """Fully lit and dark by turns, again and again. ``runs_s``: seconds lit, dark, lit, dark …, an even number."""

    runs_s: tuple[float, ...]

    def level(self, elapsed_s: float) -> float:
        return float(self._run(elapsed_s)[0] % 2 == 0)

    def next_change_s(self, elapsed_s: float) -> float | None:
        return self._run(elapsed_s)[1]

    def _run(self, elapsed_s: float) -> tuple[int, float]:
        """Index of the run at ``elapsed_s``, and seconds until it ends."""
        left_s = elapsed_s % sum(self.runs_s)
        for index, run_s in enumerate(self.runs_s):
            if left_s < run_s:
                return index, run_s - left_s
            left_s -= run_s
        # Only rounding leads here, at the very end of the cycle: the next one begins.
        return 0, self.runs_s[0]


class OneFlash(Value):
    """Lit for ``lit_s``, then dark for good."""

    lit_s: float

    def level(self, elapsed_s: float) -> float:
        return float(elapsed_s < self.lit_s)

    def next_change_s(self, elapsed_s: float) -> float | None:
        return self.lit_s - elapsed_s if elapsed_s < self.lit_s else None


class FadeIn(Value):
    """From dark to full in ``period_s``, then from dark again: a light that stayed full would say "speak"."""

    period_s: float

    def level(self, elapsed_s: float) -> float:
        return _duty(elapsed_s % self.period_s / self.period_s)

    def next_change_s(self, elapsed_s: float) -> float | None:
        return FRAME_S


class FadeOut(Value):
    """From full to dark in ``fade_s``, then dark for good."""

    fade_s: float

    def level(self, elapsed_s: float) -> float:
        return _duty(max(0.0, 1 - elapsed_s / self.fade_s))

    def next_change_s(self, elapsed_s: float) -> float | None:
        return min(FRAME_S, self.fade_s - elapsed_s) if elapsed_s < self.fade_s else None


class Breath(Value):
    """Slowly down and up, beginning at full."""

    period_s: float

    def level(self, elapsed_s: float) -> float:
        wave = (1 + math.cos(2 * math.pi * elapsed_s / self.period_s)) / 2
        return _duty(_LOWEST_BREATH + (1 - _LOWEST_BREATH) * wave)

    def next_change_s(self, elapsed_s: float) -> float | None:
        return FRAME_S


def _duty(seen: float) -> float:
    """Duty cycle for a brightness as the eye sees it: about the square (CIE lightness is close to a cube root; a square
    keeps the dark end from being lost in the steps of a software PWM)."""
    return seen * seen


class Look(Value):
    """How one pattern looks on each kind of LED."""

    colour: Colour
    dimmed: Wave
    switched: Wave


def _alike(colour: Colour, *runs_s: float) -> Look:
    """A pattern that needs no dimming."""
    return Look(colour, Flashes(runs_s), Flashes(runs_s))


def _flashes(count: int) -> Look:
    """A fault: 250 ms on, 250 ms off, ``count`` times, then 1.5 s pause."""
    return _alike(RED, *(0.25, 0.25) * (count - 1), 0.25, 0.25 + 1.5)


class Pattern(Enum):
    """Everything the light can say. The methods take seconds since the pattern began to be shown."""

    STARTING = Look(WHITE, FadeIn(3.0), Flashes((0.15, 0.35, 0.4, 0.35, 0.9, 0.85)))
    READY = Look(GREEN, Steady(GLOW), Flashes((1.0, 3.0)))
    READY_DARK = Look(GREEN, Steady(0.0), Steady(0.0))
    """Ready where the owner wants no glow (``panel.idle_glow``)."""
    INVITE = _alike(GREEN, _BLIP_S, 0.33, _BLIP_S, 2.43)
    LISTENING = Look(GREEN, Steady(1.0), Steady(1.0))
    LISTENING_ENDING = _alike(GREEN, 0.3, 0.15, 1.05, 0.15)
    """Listening; the longest hold is nearly over."""
    WAIT = _alike(BLUE, 0.5, 0.5)
    RETRYING = _alike(AMBER, 0.5, 0.5)
    """A wait for the connection, after it has failed."""
    SPEAKING = Look(BLUE, Breath(3.0), Flashes((1.5, 0.3)))
    RESTING = _alike(AMBER, _BLIP_S, 0.33, _BLIP_S, 0.33, _BLIP_S, 2.98)
    """The box has talked enough for now, by itself or by a limit; over by itself."""
    MUTE = _alike(RED, _BLIP_S, 4.0 - _BLIP_S)
    FAULT_KEY = _flashes(1)
    FAULT_MICROPHONE = _flashes(2)
    FAULT_ACCOUNT = _flashes(3)
    FAULT_SPEAKER = _flashes(4)
    FAULT_CLOCK = _flashes(5)
    FAULT_NETWORK = _flashes(6)
    FAULT_SETUP = _flashes(7)
    IDENTIFY = _alike(WHITE, 0.75, 0.25, 0.25, 0.25, 0.25, 0.75)
    """Somebody looks for this box among others (``ctl identify``)."""
    STOPPING = Look(WHITE, FadeOut(0.4), OneFlash(0.4))

    @property
    def colour(self) -> Colour:
        """What an RGB LED shows, times the brightness."""
        return self.value.colour

    @property
    def lamps(self) -> tuple[bool, bool, bool]:
        """Which of three LEDs show it: ready, busy, fault."""
        return LAMPS[self.value.colour]

    def brightness(self, elapsed_s: float) -> float:
        """Duty cycle, 0 to 1, of an LED that can be dimmed."""
        return self.value.dimmed.level(elapsed_s)

    def frame_interval_s(self, elapsed_s: float) -> float | None:
        """Seconds until ``brightness`` next changes visibly; None: it does not."""
        return self.value.dimmed.next_change_s(elapsed_s)

    def is_lit(self, elapsed_s: float) -> bool:
        """Whether an LED without dimming is on."""
        return bool(self.value.switched.level(elapsed_s))

    def switch_interval_s(self, elapsed_s: float) -> float | None:
        """Seconds until ``is_lit`` next changes; None: it does not."""
        return self.value.switched.next_change_s(elapsed_s)


class Fault(Enum):
    """What somebody has to be called for. The value is the number of flashes."""

    KEY = 1
    MICROPHONE = 2
    ACCOUNT = 3
    SPEAKER = 4
    CLOCK = 5
    NETWORK = 6
    SETUP = 7


@dataclass(frozen=True, slots=True)
class Conditions:
    """Everything that is so at one moment; any combination is possible."""

    stopping: bool = False
    """The daemon is ending."""
    identifying: bool = False
    """Somebody looks for this box among others."""
    muted: bool = False
    """The microphone is switched off."""
    listening: bool = False
    """What is said now is for the service: from the press to the release, whatever the connection does."""
    hold_ending: bool = False
    """Listening will be cut off soon; means nothing unless ``listening``."""
    speaking: bool = False
    """An answer sounds."""
    faults: frozenset[Fault] = frozenset()
    """What is broken, hardware that is missing and faults that are latched alike."""
    waiting: bool = False
    """A question is on its way, or its answer is awaited."""
    connecting: bool = False
    """The connection is being made."""
    retrying: bool = False
    """The connection has failed and is tried again."""
    resting: bool = False
    """The hour's audio is used up, so that a press would not be answered; or, in open mode, a radio seems to talk."""
    inviting: bool = False
    """Open mode: the box listens for somebody to speak."""
    ready: bool = False
    """A press would be answered. False until all parts of the box have reported once."""
    idle_glow: bool = True
    """The owner wants a glow while ready."""


def arbiter(conditions: Conditions) -> Pattern:
    """The one pattern to show.

    Stopping > identify, unless the microphone is open > mute > listening, speaking > microphone fault > speaker fault >
    other faults > waiting > connecting, retrying > resting > invite > ready > starting (decision 23). Where the
    decision leaves two at one rank: listening before speaking, because an open microphone is never hidden; retrying
    before connecting, so that the colour does not change with every attempt; of the other faults the one with the
    fewest flashes.
    """
    ranks = (
        (conditions.stopping, Pattern.STOPPING),
        (conditions.identifying and (conditions.muted or not conditions.listening), Pattern.IDENTIFY),
        (conditions.muted, Pattern.MUTE),
        (conditions.listening and conditions.hold_ending, Pattern.LISTENING_ENDING),
        (conditions.listening, Pattern.LISTENING),
        (conditions.speaking, Pattern.SPEAKING),
        *((fault in conditions.faults, pattern) for fault, pattern in _FAULTS),
        (conditions.waiting, Pattern.WAIT),
        (conditions.retrying, Pattern.RETRYING),
        (conditions.connecting, Pattern.WAIT),
        (conditions.resting, Pattern.RESTING),
        (conditions.inviting, Pattern.INVITE),
        (conditions.ready, Pattern.READY if conditions.idle_glow else Pattern.READY_DARK),
    )
    return next((pattern for holds, pattern in ranks if holds), Pattern.STARTING)


_FAULTS: Final = (
    (Fault.MICROPHONE, Pattern.FAULT_MICROPHONE),
    (Fault.SPEAKER, Pattern.FAULT_SPEAKER),
    (Fault.KEY, Pattern.FAULT_KEY),
    (Fault.ACCOUNT, Pattern.FAULT_ACCOUNT),
    (Fault.CLOCK, Pattern.FAULT_CLOCK),
    (Fault.NETWORK, Pattern.FAULT_NETWORK),
    (Fault.SETUP, Pattern.FAULT_SETUP),
)
"""In the order in which they win: without a microphone no other fault matters to who stands there."""


MEANINGS: Final = {
    Pattern.STARTING: "the box starts",
    Pattern.READY: "ready: press and speak",
    Pattern.READY_DARK: "ready, where panel.idle_glow is off",
    Pattern.INVITE: "speak now, no press needed",
    Pattern.LISTENING: "the microphone is open: speak",
    Pattern.LISTENING_ENDING: "still listening, but not for much longer",
    Pattern.WAIT: "wait: the answer is coming",
    Pattern.RETRYING: "wait: the connection is tried again",
    Pattern.SPEAKING: "the answer sounds; a press stops it",
    Pattern.RESTING: "the hour's audio is used up, or a radio talks; over by itself",
    Pattern.MUTE: "the microphone is switched off",
    Pattern.FAULT_KEY: "call someone: the key is wrong or missing",
    Pattern.FAULT_MICROPHONE: "call someone: no microphone",
    Pattern.FAULT_ACCOUNT: "call someone: no credits, or too many boxes on the account",
    Pattern.FAULT_SPEAKER: "call someone: no speaker",
    Pattern.FAULT_CLOCK: "call someone: the clock is wrong",
    Pattern.FAULT_NETWORK: "call someone: no connection to the service",
    Pattern.FAULT_SETUP: "call someone: the set-up is wrong",
    Pattern.IDENTIFY: "this is the box that somebody looks for",
    Pattern.STOPPING: "the box stops",
}
