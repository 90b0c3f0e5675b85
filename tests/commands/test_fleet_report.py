"""The page about many boxes: over journals that systemd itself has written, as a collector does."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from appliance import cli
from appliance.doctor.fleet import UNTIL, Fleet, number
from appliance.journal.catalog import Kind
from appliance.storage.day import Day

REMOTE = Path("/lib/systemd/systemd-journal-remote")
HOUR_S = 3600.0


def fields(box: str, event: str, **more: object) -> dict[str, str]:
    """An entry of a box, as its journal has it."""
    common = {"SYSLOG_IDENTIFIER": "voice-appliance", "BOX_NAME": box, "EVENT": event, "MESSAGE": event, "_PID": "7"}
    return common | {"_BOOT_ID": "0" * 32} | {name: str(value) for name, value in more.items()}


def fleet(*entries: tuple[float, dict[str, str]], expected: frozenset[str] = frozenset()) -> Fleet:
    made = Fleet(expected)
    for at_s, entry in entries:
        made.add(entry, at_s)
    return made


def faults(*entries: dict[str, str]) -> set[str]:
    (box,) = fleet(*((float(number), entry) for number, entry in enumerate(entries))).as_data(10.0)["boxes"]
    return set(box["faults"])


def test_who_was_not_heard_of_for_a_day_is_silent_and_so_is_who_never_was() -> None:
    made = fleet((0.0, fields("a", "day")), (HOUR_S, fields("b", "day")), expected=frozenset({"b", "c"}))
    assert made.silent(24 * HOUR_S) == ["a", "c"]
    assert made.as_data(24 * HOUR_S)["boxes_known"] == 3


@pytest.mark.parametrize("kind", list(UNTIL), ids=lambda kind: kind.name.lower())
def test_a_fault_is_so_until_what_ends_it_or_a_new_start(kind: Kind) -> None:
    begins, ends = kind.name.lower(), UNTIL[kind].name.lower()
    assert faults(fields("a", begins)) == {begins}
    assert faults(fields("a", begins), fields("a", "turn", OUTCOME="answered")) == {begins}
    assert faults(fields("a", begins), fields("a", ends)) == set()
    assert faults(fields("a", begins), fields("a", "ready", _PID=8)) == set()
    assert faults(fields("a", "stopped"), fields("a", begins, _PID=8), fields("a", "ready", _PID=8)) == {begins}


def test_what_a_box_has_done_is_counted() -> None:
    day = Day(sent_s=12.0, hottest_c=61.0)
    made = fleet(
        (0.0, fields("a", "ready", VERSION="0.2.0~git1")),
        (1.0, fields("a", "turn", OUTCOME="answered", FIRST_AUDIO_MS=1200, UNDERRUNS=1)),
        (2.0, fields("a", "turn", OUTCOME="answered", FIRST_AUDIO_MS=1800, UNDERRUNS=0)),
        (3.0, fields("a", "turn", OUTCOME="nobody spoke")),
        (
            4.0,
            fields(
                "a", "day", REASON="cut", **{name: value for name, value in day.fields().items() if value is not None}
            ),
        ),
    )
    data = made.as_data(5.0)
    (box,) = data["boxes"]
    assert (box["version"], box["turns"], box["outcomes"]) == ("0.2.0~git1", 3, {"answered": 2, "nobody spoke": 1})
    assert (box["underruns"], box["power_cuts"], box["sent_s"], box["hottest_c"]) == (1, 1, 12, 61)
    assert (data["first_audio_p50_ms"], data["first_audio_p95_ms"]) == (1200, 1800)


def test_what_a_box_says_is_from_outside() -> None:
    made = fleet(
        (0.0, fields("a\x1b[2J\nb", "no_key", MESSAGE="x\ny\x1b" * 500)),
        (0.0, fields("", "no_key")),
        (1.0, fields("c", "turn", UNDERRUNS="-1e999", FIRST_AUDIO_MS="9" * 400)),
    )
    data = made.as_data(5.0)
    names = [box["name"] for box in data["boxes"]]
    assert names == ["a [2J b", "c"]
    assert "\n" not in data["boxes"][0]["faults"]["no_key"] and len(data["boxes"][0]["faults"]["no_key"]) <= 300
    assert data["underruns"] == 0 and data["first_audio_p50_ms"] is None
    assert [number(text) for text in ("12", "-3", "٣", "x", None, "1" * 20)] == [12, -3, None, None, None, None]


def journal(path: Path, entries: list[tuple[float, dict[str, str]]]) -> None:
    """What a collector has written, by systemd's own program."""
    lines = []
    for at_s, entry in entries:
        stamp = f"__REALTIME_TIMESTAMP={round(1e6 * at_s)}\n__MONOTONIC_TIMESTAMP={round(1e6 * (at_s % 1e5))}\n"
        lines.append(stamp + "".join(f"{name}={value}\n" for name, value in entry.items()) + "\n")
    command = (REMOTE, f"--output={path}", "-")
    subprocess.run(command, input="".join(lines).encode(), check=True, capture_output=True)


@pytest.mark.skipif(not REMOTE.exists(), reason="systemd-journal-remote is not installed")
def test_the_page_names_the_silent_box_and_the_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("systemd.journal", reason="Debian's python3-systemd is not installed")
    now_s = time.time()
    folder = tmp_path / "remote"
    folder.mkdir()
    journal(
        folder / "remote-a.journal",
        [
            (now_s - 60, fields("till 1", "ready", VERSION="0.2.0")),
            (now_s - 50, fields("till 1", "turn", OUTCOME="answered", FIRST_AUDIO_MS=1500)),
            (now_s - 40, fields("till 1", "microphone_lost", MESSAGE='no microphone: "USB" is gone')),
            (now_s - 30, {"SYSLOG_IDENTIFIER": "kernel", "BOX_NAME": "no box", "MESSAGE": "noise"}),
        ],
    )
    journal(folder / "remote-b.journal", [(now_s - 30 * HOUR_S, fields("till 2", "ready", VERSION="0.1.0"))])
    expected = tmp_path / "names"
    expected.write_text("till 1\ntill 3  # ordered\n\n")
    assert cli.main(["fleet-report", str(folder), "--expect", str(expected)]) == 1
    shown = capsys.readouterr().out
    assert "3 boxes, the 24 h until" in shown
    assert "silent for a day  2\n    till 2\n    till 3\n" in shown
    assert 'till 1: no microphone: "USB" is gone' in shown and "no box" not in shown
    assert "p50 1.5 s" in shown and "0.2.0: 1" in shown

    assert cli.main(["fleet-report", str(folder), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["silent"] == ["till 2"]

    assert cli.main(["fleet-report", str(folder), "--metrics"]) == 1
    text = capsys.readouterr().out
    assert 'voice_appliance_box_fault{box="till 1",fault="microphone_lost"} 1' in text
    assert 'voice_appliance_box_silent{box="till 2"} 1' in text
    assert text.endswith("# EOF\n")


def test_a_folder_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fleet-report", "/nowhere"]) == 64
    assert capsys.readouterr().err == "voice-appliance: /nowhere: is no folder\n"


def test_the_metrics_are_what_prometheus_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = pytest.importorskip("prometheus_client.openmetrics.parser", reason="prometheus_client is not installed")
    from appliance.commands import fleet_report

    made = fleet(
        (0.0, fields('"a\\', "no_key")), (1.0, fields("b", "turn", OUTCOME="answered")), expected=frozenset("c")
    )
    text = "\n".join(fleet_report.metrics(made.as_data(5.0))) + "\n"
    families = {family.name: family for family in parser.text_string_to_metric_families(text)}
    (fault,) = families["voice_appliance_box_fault"].samples
    assert fault.labels == {"box": '"a\\', "fault": "no_key"}
