"""The wire log: one line an event, whatever the service puts into its fields."""

from __future__ import annotations

import logging

import pytest

from appliance.link.connection import _log_event
from appliance.realtime import events

FORGED = "x\n! forged\x1b[2J"


@pytest.mark.parametrize(
    "event",
    [
        events.FunctionCallArgumentsDone(FORGED, FORGED, FORGED, "{}"),
        events.ResponseDone(FORGED, FORGED),
        events.ErrorEvent(FORGED, FORGED, FORGED),
        events.OutputAudioDelta(FORGED, FORGED, b""),
        events.UnknownEvent(FORGED),
    ],
    ids=lambda event: type(event).__name__,
)
def test_no_field_breaks_its_line(event: events.ServerEvent, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "appliance.wire")
    _log_event("<", event)
    (record,) = caplog.records
    assert record.getMessage().isprintable() and "x ! forged" in record.getMessage()
