"""Scenarios from files: everything the dataclasses can say, and every mistake named."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.errors import ConfigurationError
from appliance.simulator import scenario_file
from appliance.simulator.readings import named
from appliance.simulator.scenario import (
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
    SendRaw,
    Silence,
    Speak,
    Step,
    Turn,
)

EVERYTHING = """
reading = ["no-ids", "beta-names"]

[[connection]]
http = 503
headers = { Retry-After = "2" }

[[connection]]
accept_after_ms = 2000
reading = "done-bare no-ids"
refuse_setting = "voice"
step = [
    { on = "audio", audio_ms = 1500, do = "reset" },
    { on = "done", nth = 2, do = "close", code = 4003, error = "unknown", reason = "why" },
    { on = "open", after_ms = 5, do = "hang-up" },
    { on = "ready", do = "freeze" },
    { on = "ready", do = "silence" },
    { on = "cancel", do = "fail", type = "server_error" },
    { on = "delta", do = "send", message = "{}" },
    { on = "commit", do = "speak", reply = { tone_ms = 100 } },
]

[[connection]]
  [[connection.turn]]
  heard = "ask-time"
  commit = "late"
  reading = "silent-reply"
    [[connection.turn.reply]]
    call = [{ name = "get_time", arguments = '{"zone":"IST"}' }]
    [[connection.turn.reply]]
    voice = "time"
    split_bytes = [1, 4801]
    speed = 0
    needs_nudge = true
  [[connection.turn]]
  reply = []
  hears = "nothing"
"""


def test_everything_a_file_can_say() -> None:
    assert scenario_file.parse(EVERYTHING) == Scenario(
        reading=named(["no-ids", "beta-names"]),
        connections=(
            Connection(http=503, headers={"Retry-After": "2"}),
            Connection(
                accept_after_ms=2000,
                reading=named(["no-ids", "done-bare"]),
                refuse_setting="voice",
                steps=(
                    Step(on=Moment.AUDIO, audio_ms=1500, do=Reset()),
                    Step(on=Moment.DONE, nth=2, do=Close(4003, error="unknown", reason="why")),
                    Step(on=Moment.OPEN, after_ms=5, do=HangUp()),
                    Step(on=Moment.READY, do=Freeze()),
                    Step(on=Moment.READY, do=Silence()),
                    Step(on=Moment.CANCEL, do=Fail(type="server_error")),
                    Step(on=Moment.DELTA, do=SendRaw("{}")),
                    Step(on=Moment.COMMIT, do=Speak(Reply(tone_ms=100))),
                ),
            ),
            Connection(
                turns=(
                    Turn(
                        heard="ask-time",
                        commit="late",
                        reading=named(["silent-reply"]),
                        replies=(
                            Reply(calls=(Call(name="get_time", arguments='{"zone":"IST"}'),)),
                            Reply(voice="time", split_bytes=(1, 4801), speed=0, needs_nudge=True),
                        ),
                    ),
                    Turn(replies=(), hears="nothing"),
                )
            ),
        ),
    )


def test_the_example_in_the_documentation_is_valid() -> None:
    text = (scenario_file.__doc__ or "").partition("::")[2].partition("Lists are named")[0]
    scenario = scenario_file.parse(text)
    assert [len(connection.steps) for connection in scenario.connections] == [0, 2, 0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[[connection]\n", "Expected ']]'"),
        ("connection = 1", "connections: must be a list"),
        ("connection = [1]", "connections[0]: must be a table"),
        ("[[conection]]", "conection: is not known here"),
        ("[[connection]]\nhttp = '503'", "connections[0].http: must be a whole number"),
        ("[[connection]]\nhttp = true", "connections[0].http: must be a whole number"),
        ("[[connection]]\nheaders = { Retry-After = 2 }", "connections[0].headers: must be a table of strings"),
        (
            "[[connection]]\nstep = [{ on = 'audio', do = 'explode' }]",
            "connections[0].steps[0].do: must be one of close",
        ),
        ("[[connection]]\nstep = [{ do = 'reset' }]", "connections[0].steps[0].on: is missing"),
        ("[[connection]]\nstep = [{ on = 'noon', do = 'reset' }]", "connections[0].steps[0].on: must be one of open"),
        ("[[connection]]\nstep = [{ on = 'open', do = 'reset', code = 1 }]", "steps[0].code: is not known here"),
        ("[[connection]]\nstep = [{ on = 'open', do = 'send' }]", "steps[0].message: is missing"),
        ("[[connection]]\nturn = [{ hears = 'half' }]", "turns[0].hears: must be one of all, start, nothing"),
        ("[[connection]]\nturn = [{ reply = [{ voice = 'x' }] }]", "replies[0].voice: must be one of ask-monsoon"),
        ("reading = 1", "reading: must be the names of readings"),
        (
            "[[connection]]\nreading = 'no-id'",
            "no reading is called 'no-id', did you mean no-ids?",
        ),
        ("[[connection]]\nturn = [{ reply = [{ pcm = 'x' }] }]", "replies[0].pcm: is not known here"),
    ],
)
def test_every_mistake_is_named(text: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        scenario_file.parse(text)
    assert problem in str(caught.value)
    assert len(caught.value.problems) == 1


def test_all_mistakes_at_once_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text("[[connection]]\nhttp = 'x'\ncolour = 1\n", encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        scenario_file.load(path)
    assert [problem.partition(": ")[0] for problem in caught.value.problems] == [str(path)] * 2
    with pytest.raises(ConfigurationError, match="No such file"):
        scenario_file.load(tmp_path / "none.toml")
