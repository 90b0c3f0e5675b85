"""What of the parts' reports reaches the journal, told to a box whose parts do not run."""

from __future__ import annotations

import pytest

from appliance.box.box import Box
from appliance.config import loader
from appliance.realtime import events as ev
from appliance.realtime import session as rt

NO_PANEL = {"panel.button.gpio": 0, "panel.leds.kind": "none", "panel.leds.gpio": []}


async def test_what_is_odd_in_every_session_is_not_said_in_every_session(caplog: pytest.LogCaptureFixture) -> None:
    """An older service, or a newer one, is the same each time; and an id is another each time."""
    box = Box(loader.load(None, NO_PANEL))
    for number in range(100):
        session = rt.Session(ev.SessionSettings("", "mal-female"))
        session.begin_turn()
        call = ev.FunctionCallArgumentsDone(None, "get_time", f"call_{number}", "{}")
        for odd in (
            ev.OutputAudioDelta(None, "item", b"\0\0"),
            ev.OutputTranscriptDelta(None, "a"),
            ev.SpeechStarted(),
            ev.ResponseCreated(f"resp_{number}"),
            call,
            ev.ResponseCreated(f"resp_{number}b"),
            call,
        ):
            for outcome in session.receive(odd, 0.0):
                box.reports.on_link(outcome)
    assert [record.getMessage() for record in caplog.records] == [
        "audio of a response that is over, or of none; dropped",
        "text of a response that is over, or of none; dropped",
        "tool call 'call_0' was made twice; the second is dropped",
    ]
    box.turns.close()
    box.face.close()
