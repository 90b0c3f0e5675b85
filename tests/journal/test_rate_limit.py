"""One line when a device goes, one when it is back."""

from __future__ import annotations

import logging

import pytest

from appliance.journal.catalog import Kind
from appliance.journal.rate_limit import MOST_OUTAGES, SETTLED_S, Outages

log = logging.getLogger(__name__)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


def test_several_reasons_in_a_row_are_one_line_each_time(lines: pytest.LogCaptureFixture) -> None:
    outages = Outages("microphone", log, Kind.MICROPHONE_FOUND, Kind.MICROPHONE_LOST)
    for begin_s in (0.0, 20.0):
        outages.lost('"USB" was unplugged', begin_s)
        outages.lost("no sound card with a microphone", begin_s + 1)
        outages.opened("USB, 48000 Hz", ("", ""), begin_s + 10)
    assert lines.messages == ['no microphone: "USB" was unplugged', "microphone: USB, 48000 Hz"] * 2


def test_another_reason_long_after_is_news(lines: pytest.LogCaptureFixture) -> None:
    outages = Outages("microphone", log, Kind.MICROPHONE_FOUND, Kind.MICROPHONE_LOST)
    outages.lost("there is none", 0.0)
    outages.lost("in use by arecord", SETTLED_S)
    outages.lost("in use by arecord", 3 * SETTLED_S)
    assert lines.messages == ["no microphone: there is none", "no microphone: in use by arecord"]


def test_a_loose_plug_is_counted(lines: pytest.LogCaptureFixture) -> None:
    outages = Outages("speaker", log, Kind.SPEAKER_FOUND, Kind.SPEAKER_LOST)
    for number in range(200):
        outages.lost("unplugged", number)
        outages.opened("USB", ("there is another",), number + 0.5)
    assert lines.messages.count("no speaker: unplugged") == MOST_OUTAGES + 1
    assert lines.messages.count("there is another") == 1
    lines.clear()
    outages.lost("unplugged", 10_000.0)
    assert lines.messages == ["no speaker: unplugged"], "it had been quiet for long"
