"""What a box has done and spent."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from appliance.box.metrics import Metrics
from appliance.config.settings import TranscriptSettings
from appliance.journal.catalog import ATTRIBUTE
from appliance.storage.transcripts import Transcripts
from appliance.turn.allowance import Allowance
from appliance.turn.states import Outcome

SECOND = b"\x00\x10\x00\xf0" * 12_000
"""Of a sound: a level that stays where it is would be a card's offset."""


@pytest.fixture
def ledger(tmp_path: Path) -> Metrics:
    transcripts = Transcripts(TranscriptSettings(False, str(tmp_path / "said.jsonl"), 1 << 20, 1))
    return Metrics(Allowance(100.0), transcripts)


def a_turn(ledger: Metrics, number: int, now_s: float, outcome: Outcome = Outcome.ANSWERED) -> None:
    ledger.open_turn(number, now_s)
    ledger.sent(SECOND * 3, now_s + 1)
    ledger.figures.ended_s = now_s + 3
    ledger.person_said("മഴ?", number)
    ledger.box_said("r1", "നാളെ മഴ")
    ledger.received("r1", SECOND * 2, now_s + 4)
    ledger.figures.audible_s = now_s + 4.1
    ledger.figures.heard.played("r1", 2.0)
    ledger.close_turn(outcome)


def test_a_turn_is_one_line_with_its_figures(ledger: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        a_turn(ledger, 1, 100.0)
    (record,) = caplog.records
    assert "turn 1 answered" in record.getMessage() and "2.0 of 2.0 s of answer heard" in record.getMessage()
    assert "മഴ" not in caplog.text, "words are not figures"
    assert ledger.last is not None and ledger.last["end_to_first_delta_s"] == 1.0


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [(Outcome.FAILED, "the reply was failed: slow down"), (Outcome.ANSWERED, ""), (Outcome.INTERRUPTED, "")],
)
def test_why_a_turn_ended_badly_stands_in_its_line_and_field(
    ledger: Metrics, caplog: pytest.LogCaptureFixture, outcome: Outcome, reason: str
) -> None:
    ledger.open_turn(1, 100.0)
    ledger.went_wrong("an error that came before")
    ledger.went_wrong("the reply was failed: slow down")
    with caplog.at_level(logging.INFO):
        data = ledger.close_turn(outcome)
    (record,) = caplog.records
    assert data["reason"] == reason and ("slow down" in record.getMessage()) is bool(reason)
    assert getattr(record, ATTRIBUTE).fields["REASON"] == (reason or None)
    with caplog.at_level(logging.INFO):
        a_turn(ledger, 2, 200.0, Outcome.EMPTY_ANSWER)
    assert ledger.last is not None and ledger.last["reason"] == "", "each turn has its own"


def test_nobody_said_anything_in_a_turn_in_which_nobody_was_heard(
    ledger: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.open_turn(1, 100.0)
    ledger.sent(bytes(48_000), 101.0)
    ledger.figures.said_s = 1.4
    with caplog.at_level(logging.INFO):
        ledger.close_turn(Outcome.NO_SPEECH)
    line, verdict = (record.getMessage() for record in caplog.records)
    assert line == "turn 1 nobody spoke, nothing heard in 1.4 s" and verdict.startswith("microphone muted or dead")


def test_totals_count_an_open_connection(ledger: Metrics) -> None:
    ledger.connected(0.0)
    a_turn(ledger, 1, 10.0)
    ledger.disconnected(60.0)
    ledger.disconnected(70.0)
    ledger.connected(90_000.0)
    a_turn(ledger, 2, 90_010.0, Outcome.NO_ANSWER)
    totals = ledger.totals(90_120.0)
    assert (totals.turns, totals.answered, totals.sent_s, totals.received_s) == (2, 1, 6.0, 4.0)
    assert totals.connected_s == 180.0


def test_the_hours_allowance_counts_both_ways(ledger: Metrics) -> None:
    for number in range(20):
        a_turn(ledger, number, 10.0 * number)
    assert ledger.rest_s(200.0) > 3000
    assert ledger.rest_s(4000.0) == 0


def test_each_turn_is_transcribed_alone(ledger: Metrics, tmp_path: Path) -> None:
    a_turn(ledger, 1, 0.0)
    a_turn(ledger, 2, 10.0)
    lines = (tmp_path / "said.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2 and lines[0].count("മഴ?") == lines[1].count("മഴ?") == 1


def test_words_that_come_late_are_kept_with_the_number_of_their_turn(ledger: Metrics, tmp_path: Path) -> None:
    a_turn(ledger, 1, 0.0)
    ledger.person_said("വൈകി", 1)
    ledger.open_turn(2, 10.0)
    ledger.person_said("വളരെ വൈകി", 1)
    ledger.person_said("രണ്ട്", 2)
    ledger.close_turn(Outcome.ANSWERED)
    lines = [json.loads(line) for line in (tmp_path / "said.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(line["turn"], line["person"]) for line in lines] == [
        (1, "മഴ?"),
        (1, "വൈകി"),
        (1, "വളരെ വൈകി"),
        (2, "രണ്ട്"),
    ]
