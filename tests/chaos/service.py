"""A service at random: how it reads the page, what it answers, and how its connections end."""

from __future__ import annotations

from random import Random

from appliance.errors import ConfigurationError
from appliance.simulator import catalog
from appliance.simulator.readings import PAGE, Reading, named
from appliance.simulator.scenario import (
    Action,
    Call,
    Close,
    Connection,
    Fail,
    Freeze,
    HangUp,
    Moment,
    Reply,
    Reset,
    Scenario,
    Silence,
    Speak,
    Step,
    Turn,
)
from appliance.simulator.settings import SimulatorSettings
from appliance.simulator.turn_detection import DetectionSettings

SLOW_TOOL = "slow"
"""Offered by the box of this run beside its own tools: takes seconds."""

CALLS = ("get_time", "appliance_status", "end_conversation", SLOW_TOOL, "no_such_tool")
CODES = (None, 1000, 1001, 1011, 1012, 1013, 4001, 4003, 4008, 4999)


def settings(random: Random) -> SimulatorSettings:
    return SimulatorSettings(
        mode=random.choice(["simple", "premium"]),
        reply_delay_ms=random.choice([50.0, 300.0, 2500.0]),
        speed=random.choice([0.0, 1.2, 8.0]),
        detection=DetectionSettings(threshold_dbfs=-30.0, silence_ms=random.choice([300.0, 500.0, 900.0])),
    )


def scenario(random: Random) -> Scenario:
    """Some connections with troubles, and then one that may have strange turns but lasts."""
    reading = _reading(random)
    connections = [_connection(random) for _ in range(random.choice([0, 0, 1, 2, 3]))]
    return Scenario(connections=(*connections, Connection(turns=_turns(random))), reading=reading)


def _reading(random: Random) -> Reading:
    names = random.sample(catalog.names(), random.choice([0, 0, 0, 1, 2]))
    try:
        return named(name.replace("-N", "-2") for name in names)
    except ConfigurationError:
        return PAGE


def _connection(random: Random) -> Connection:
    http = random.choice([0] * 8 + [401, 429, 503])
    steps = tuple(_step(random) for _ in range(random.randrange(3)))
    slow_ms = random.choice([0.0, 0.0, 300.0, 4000.0])
    return Connection(http=http, accept_after_ms=slow_ms, steps=steps, turns=_turns(random))


def _step(random: Random) -> Step:
    actions: list[Action] = [
        Close(code=random.choice(CODES), error=random.choice(["known", "unknown", "none"])),
        Reset(),
        HangUp(),
        Freeze(),
        Silence(),
        Fail(),
        Fail(type="invalid_request_error", code="of_a_newer_service"),
        Speak(reply=Reply(tone_ms=500)),
    ]
    return Step(
        on=random.choice(list(Moment)),
        do=random.choice(actions),
        nth=random.choice([1, 1, 2, 5]),
        after_ms=random.choice([0.0, 0.0, 200.0, 1500.0]),
        audio_ms=random.choice([100.0, 1500.0]),
    )


def _turns(random: Random) -> tuple[Turn, ...]:
    return tuple(_turn(random) for _ in range(8))


def _turn(random: Random) -> Turn:
    return Turn(
        replies=tuple(_reply(random) for _ in range(random.choice([0] + [1] * 8 + [2, 3]))),
        hears="all" if random.random() < 0.8 else random.choice(["start", "nothing"]),
        commit=random.choice(["ends", "ends", "late", "twice", "ignored"]),
        pause_after_ms=random.choice([None, None, None, 700.0]),
    )


def _reply(random: Random) -> Reply:
    calls = tuple(Call(name=random.choice(CALLS)) for _ in range(random.choice([0, 0, 0, 1, 2])))
    return Reply(
        tone_ms=0.0 if calls and random.random() < 0.7 else random.choice([150.0, 900.0, 3000.0, 6000.0]),
        calls=calls,
        delay_ms=random.choice([None, None, 0.0, 1000.0]),
        split_bytes=random.choice([(), (), (4801, 333, 2)]),
        status=random.choice(["completed"] * 18 + ["failed", "incomplete"]),
        stops_after_ms=random.choice([None] * 8 + [300.0]),
        cancel_lag_ms=random.choice([0.0, 0.0, 400.0]),
        late_deltas=random.choice([0, 0, 3]),
        needs_nudge=random.random() < 0.1,
        goes_on=random.random() < 0.15,
    )
