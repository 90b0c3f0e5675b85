"""Entries as journald gets them. Its socket is a fixed path, so what is sent is caught one step before; that a real
journal takes it is for tests/containers."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.journal.catalog import Kind, entry
from appliance.journal.handler import JournalHandler, box_name
from systemd import journal as library

log = logging.getLogger("appliance.link.journal_test")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, str]]]:
    """The fields of each entry."""
    entries: list[dict[str, str]] = []

    def sendv(*lines: str) -> None:
        entries.append(dict(line.split("=", 1) for line in lines))

    monkeypatch.setattr(library, "sendv", sendv)
    handler = JournalHandler(lambda: {"BOX_NAME": "shop", "STATE": "ready", "TURN_ID": None})
    log.addHandler(handler)
    log.propagate = False
    log.setLevel(logging.DEBUG)
    yield entries
    log.removeHandler(handler)
    log.propagate = True


def test_a_line_of_a_kind_carries_its_id_and_fields(sent: list[dict[str, str]]) -> None:
    log.error("no credits (%d)", 4003, extra=entry(Kind.NO_CREDITS, CLOSE_CODE=4003, HTTP_STATUS=None))
    (fields,) = sent
    assert fields["MESSAGE"] == "no credits (4003)"
    assert fields["MESSAGE_ID"] == Kind.NO_CREDITS.value
    assert fields["EVENT"] == "no_credits"
    assert (fields["CLOSE_CODE"], fields["PRIORITY"], fields["BOX_NAME"], fields["STATE"]) == (
        "4003",
        "3",
        "shop",
        "ready",
    )
    assert "HTTP_STATUS" not in fields and "TURN_ID" not in fields
    assert fields["SYSLOG_IDENTIFIER"] == "voice-appliance"
    assert fields["CODE_FUNC"] == "test_a_line_of_a_kind_carries_its_id_and_fields"


def test_any_other_line_is_an_entry_too_with_its_traceback_in_a_field(sent: list[dict[str, str]]) -> None:
    try:
        raise ValueError("half a pin")
    except ValueError:
        log.exception("a tool failed")
    (fields,) = sent
    assert fields["MESSAGE"] == "a tool failed"
    assert fields["TRACEBACK"].endswith("ValueError: half a pin")
    assert "MESSAGE_ID" not in fields and "EVENT" not in fields


def test_a_field_of_the_line_wins_over_the_one_around_it(sent: list[dict[str, str]]) -> None:
    log.info("turn 7 answered", extra=entry(Kind.TURN, TURN_ID=7, STATE="over"))
    assert (sent[0]["TURN_ID"], sent[0]["STATE"]) == ("7", "over")


@pytest.mark.parametrize(
    ("configured", "files", "name"),
    [
        ("till 3", {"proc/device-tree/serial-number": "10000000abcdef01\0"}, "till 3"),
        ("", {"proc/device-tree/serial-number": "10000000abcdef01\0"}, "10000000abcdef01"),
        ("", {"proc/cpuinfo": "Hardware\t: BCM2835\nSerial\t\t: 00000000deadbeef\n"}, "00000000deadbeef"),
        ("", {"proc/cpuinfo": "Serial\t\t: 0000000000000000\n", "proc/sys/kernel/hostname": "shop\n"}, "shop"),
        ("", {"proc/sys/kernel/hostname": "shop\n"}, "shop"),
        ("", {}, "unknown"),
    ],
)
def test_a_box_is_called_what_its_owner_says_else_its_serial_else_its_host(
    tmp_path: Path, configured: str, files: dict[str, str], name: str
) -> None:
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert box_name(configured, tmp_path) == name
