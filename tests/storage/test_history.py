"""What a box remembers, and that it stays small."""

from __future__ import annotations

import pytest

from appliance.storage import history
from appliance.storage.history import History, HistoryMoment, decoded

BEGAN_S = 1_795_268_000.0


def at(uptime_s: float, *, day: str = "", boot: str = "3f2a9c01") -> HistoryMoment:
    return HistoryMoment(boot, uptime_s, BEGAN_S + uptime_s if day else None, day)


def test_a_history_survives_being_written_and_read() -> None:
    before = History()
    before.changed(at(81.23, day="2026-11-21"), "listening", "connecting", "listening")
    before.count(at(82.0, day="2026-11-21"), "turn")
    after = decoded(before.encoded())
    assert after.as_data() == before.as_data()
    assert after.as_data()["changes"] == [["3f2a9c01", 81.2, "listening", "connecting", "listening"]]
    assert after.as_data()["days"] == {"2026-11-21": {"turn": 1}}


def test_the_last_two_hundred_changes_are_kept() -> None:
    kept = History()
    for number in range(250):
        kept.changed(at(number), "ready", "closed", "ready")
    changes = kept.as_data()["changes"]
    assert [change[1] for change in changes] == [float(number) for number in range(50, 250)]


def test_a_change_before_the_clock_was_set_gets_its_date_afterwards() -> None:
    kept = History()
    kept.changed(at(5.0), "ready", "closed", "ready")
    assert kept.as_data()["boots"] == {"3f2a9c01": None}
    kept.passed(at(60.0, day="2026-11-21"))
    assert kept.as_data()["boots"] == {"3f2a9c01": BEGAN_S}


def test_what_was_counted_before_the_clock_was_set_belongs_to_that_day() -> None:
    kept = History()
    kept.count(at(5.0), "no_network")
    assert kept.as_data()["days"] == {history.UNDATED: {"no_network": 1}}
    kept.count(at(60.0, day="2026-11-21"), "no_network")
    assert kept.as_data()["days"] == {"2026-11-21": {"no_network": 2}}


def test_a_boot_that_never_knew_the_time_stays_undated() -> None:
    first = History()
    first.count(at(5.0), "turn")
    second = decoded(first.encoded())
    second.count(at(9.0, day="2026-11-22", boot="77777777"), "turn")
    assert second.as_data()["days"] == {history.UNDATED: {"turn": 1}, "2026-11-22": {"turn": 1}}


def test_a_month_of_everything_fits_and_older_days_go_first() -> None:
    kept = History()
    for day in range(60):
        for cause in range(50):
            kept.count(at(day, day=f"2026-{10 + day // 30}-{day % 30 + 1:02}"), f"too_many_connections_{cause:02}")
    for number in range(history.MOST_CHANGES):
        kept.changed(at(number), "listening", "connecting", "fault_microphone")
    content = kept.encoded()
    assert len(content) <= history.MOST_BYTES
    days = list(decoded(content).as_data()["days"])
    assert days[-1] == "2026-11-30"
    assert days == sorted(days)
    assert len(decoded(content).as_data()["changes"]) == history.MOST_CHANGES


def test_a_year_takes_no_more_memory_than_a_month() -> None:
    kept = History()
    kept.count(at(0.0), "turn")
    for month in range(12):
        for day in range(28):
            kept.count(at(1.0, day=f"2027-{month + 1:02}-{day + 1:02}"), "turn")
    assert len(kept._days) == history.MOST_DAYS
    assert next(iter(kept.as_data()["days"])) == "2027-11-26"


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"null", b'{"version": 2}', b'{"version": 1}', b'{"version":1,"changes":[1],"boots":{},"days":{}}'],
)
def test_a_file_that_is_no_history_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"no history|version 2|Expecting value"):
        decoded(content)


@pytest.mark.parametrize(
    ("began", "uptime", "count"),
    [
        *((number, "2.5", "3") for number in ("1e999", "NaN", "1e300", "9" * 400)),
        *(("1.5", number, "3") for number in ("1e999", "NaN", "1e300", "9" * 400)),
        *(("1.5", "2.5", number) for number in ("1e999", "NaN")),
    ],
)
def test_a_number_that_a_failing_card_has_made_is_refused(began: str, uptime: str, count: str) -> None:
    """The daemon reads the file at each start: it must not end by it."""
    changes, days = f'[["aa",{uptime},"ready","open","ready"]]', f'{{"2026-11-21":{{"turn":{count}}}}}'
    with pytest.raises(ValueError, match=r"no history|NaN"):
        decoded(f'{{"version":1,"boots":{{"aa":{began}}},"changes":{changes},"days":{days}}}'.encode())


def test_a_file_of_brackets_is_refused() -> None:
    with pytest.raises(ValueError, match="no history"):
        decoded(b"[" * 60_000)
