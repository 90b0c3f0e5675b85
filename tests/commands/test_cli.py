"""The command line: exit codes of sysexits, one line per problem, no traceback, log lines for terminal and journal."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from appliance import __version__, cli
from appliance.commands.devices import rows
from appliance.errors import ConfigurationError, UnavailableError
from appliance.journal import formatters, rate_limit
from appliance.soundhost import messages
from appliance.soundhost.devices import Card, Device, choose

ROOT = Path(__file__).parents[2]


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The real command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "appliance", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def command_that(monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Makes ``devices`` a command that runs ``body``: the command line must cope with whatever a command does."""
    module = ModuleType("appliance.commands.devices", "A command.")
    exec(f"def add_arguments(parser): pass\ndef run(args):\n    {body}", vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "wrong.toml"
    path.write_text('[talk]\nmode = "taap"\n\n[speaker]\nvolum = 3\n')
    return path


@pytest.mark.parametrize("name", ["run", "config"])
def test_wrong_configuration_ends_with_78_and_every_problem_on_a_line(wrong: Path, name: str) -> None:
    ended = command(name, "--config", str(wrong))
    assert ended.returncode == 78
    assert ended.stdout == ""
    assert ended.stderr.splitlines() == [
        f'voice-appliance: {wrong}:2: talk.mode: must be "auto", "hold", "tap" or "open", not "taap"; '
        'did you mean "tap"?',
        f"voice-appliance: {wrong}:5: speaker.volum: no such setting; did you mean speaker.volume?",
    ]


def test_options_stand_before_or_behind_the_command(wrong: Path) -> None:
    assert cli.main(["--config", str(wrong), "config", "--check"]) == 78
    assert cli.main(["config", "--check", "--config", str(wrong)]) == 78
    assert cli.main(["--config", str(wrong), "config", "--config", os.devnull]) == 0


def test_config_says_that_a_file_is_good(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["config", "--check", "--config", os.devnull]) == 0
    assert capsys.readouterr() == (f"{os.devnull}: good\n", "")


def test_config_warns_of_what_is_good_and_hardly_meant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[service]\ntool_choice = "required"\n')
    assert cli.main(["config", "--check", "--config", str(file)]) == 0
    good, but = capsys.readouterr().out.splitlines()
    assert good == f"{file}: good" and but.startswith("but: service.tool_choice: ")


def test_config_dumps_toml(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["config", "--dump", "--config", os.devnull]) == 0
    assert tomllib.loads(capsys.readouterr().out)["speaker"]["volume"] == 80


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ([], f"a command is missing: {', '.join(cli.COMMANDS)}"),
        (["bogus"], "invalid choice: 'bogus'"),
        (["--bogus"], "unrecognized arguments: --bogus"),
        (["config", "--bogus"], "unrecognized arguments: --bogus"),
        (["config", "--check", "--dump"], "not allowed with"),
        (["config", "--config"], "expected one argument"),
    ],
)
def test_wrong_command_line_ends_with_64(capsys: pytest.CaptureFixture[str], arguments: list[str], hint: str) -> None:
    assert cli.main(arguments) == 64
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("voice-appliance: ") and hint in err and "--help" in err
    assert err.count("\n") == 1


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--help"])
    out = capsys.readouterr().out
    assert all(f"\n  {name} " in out for name in cli.COMMANDS)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_is_there_and_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main([name, "--help"])
    assert f"usage: voice-appliance {name}" in capsys.readouterr().out


def test_version_is_that_of_the_project() -> None:
    assert command("--version").stdout == f"voice-appliance {__version__}\n"


def test_known_failure_is_its_text_and_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command_that(
        monkeypatch, "from appliance.errors import UnavailableError; raise UnavailableError('no daemon; start it')"
    )
    assert cli.main(["devices"]) == UnavailableError.exit_code
    assert capsys.readouterr().err == "voice-appliance: no daemon; start it\n"


def test_failures_of_a_task_group_are_told_one_by_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command_that(
        monkeypatch,
        "from appliance.errors import ConfigurationError as E;"
        "raise ExceptionGroup('tasks', [E(['a: wrong', 'b: wrong']), ExceptionGroup('inner', [E(['b: wrong'])])])",
    )
    assert cli.main(["devices"]) == ConfigurationError.exit_code
    assert capsys.readouterr().err == "voice-appliance: a: wrong\nvoice-appliance: b: wrong\n"


def test_fault_of_ours_is_one_line_that_names_the_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command_that(monkeypatch, "from appliance.config.toml_lines import places; places(None)")
    assert cli.main(["devices"]) == 70
    err = capsys.readouterr().err
    assert err.startswith("voice-appliance: internal fault: TypeError: ")
    assert " at config/toml_lines.py:" in err and err.count("\n") == 1


def test_debug_shows_the_traceback_as_well(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    command_that(monkeypatch, "raise KeyError('x')")
    assert cli.main(["--debug", "devices"]) == 70
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_interrupt_ends_quietly(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    command_that(monkeypatch, "raise KeyboardInterrupt")
    assert cli.main(["devices"]) == 130
    assert capsys.readouterr() == ("", "")


def test_reader_that_goes_away_is_no_fault() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "appliance", "config", "--dump"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_devices_marks_the_choice_and_names_what_portaudio_left_out() -> None:
    found = messages.Listing(
        [
            Device(0, "vc4-hdmi: MAI PCM i2s-hifi-0 (hw:0,0)", 0, 8, 44_100),
            Device(1, "USB PnP Sound Device: Audio (hw:2,0)", 1, 2, 48_000),
            Device(2, "pulse", 32, 32, 44_100),
        ],
        [
            Card(0, "vc4hdmi", "vc4-hdmi", "vc4-hdmi", ""),
            Card(2, "Device", "USB-Audio", "USB PnP Sound Device", "1-1.2"),
            Card(3, "Device_1", "USB-Audio", "Conference Speaker", "1-1.3"),
        ],
    )
    chosen = choose("auto", "capture", found.devices, found.cards).device.name
    assert list(rows("capture", found, chosen, is_open=False)) == [
        '* "USB PnP Sound Device: Audio" (usb:1-1.2): 48000 Hz, channels: 1',
        '  "pulse": 44100 Hz, channels: any number',
        '  "Conference Speaker": neither microphone nor speaker',
    ]


def test_devices_asks_a_real_sound_host(tmp_path: Path) -> None:
    named = tmp_path / "config.toml"
    named.write_text('[microphone]\ndevice = "no such card"\n')
    ended = command("devices", "--config", str(named))
    assert ended.returncode == 69
    assert ended.stdout.startswith('microphone.device = "no such card"\n')
    assert ended.stderr.startswith('voice-appliance: no microphone "no such card"; there is ')


def test_broken_pipe_elsewhere_is_a_fault(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    command_that(monkeypatch, "raise BrokenPipeError('a socket')")
    assert cli.main(["devices"]) == 70
    assert "BrokenPipeError: a socket" in capsys.readouterr().err


def test_malayalam_does_not_end_a_terminal_that_cannot_show_it(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[service]\ninstructions = "മലയാളം"\n', encoding="utf-8")
    ended = command("config", "--dump", "--config", str(path), PYTHONIOENCODING="ascii")
    assert ended.returncode == 0
    assert "\\u0d2e" in ended.stdout


def test_in_the_journal_each_line_of_a_problem_has_its_priority(wrong: Path, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    with journal.open("wb") as stream:
        status = os.fstat(stream.fileno())
        subprocess.run(
            [sys.executable, "-m", "appliance", "--debug", "run", "--config", str(wrong)],
            cwd=ROOT,
            env=os.environ | {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"},
            stderr=stream,
            check=False,
        )
    lines = journal.read_text().splitlines()
    assert [line[:3] for line in lines if "voice-appliance: " in line] == ["<3>", "<3>"]
    assert "<7>Traceback (most recent call last):" in lines
    assert all(line.startswith(("<3>", "<7>")) for line in lines)


def test_journal_variable_of_another_stream_does_not_count(tmp_path: Path) -> None:
    with (tmp_path / "one").open("w") as one, (tmp_path / "two").open("w") as two:
        status = os.fstat(one.fileno())
        environ = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        assert formatters.goes_to_journal(one, environ)
        assert not formatters.goes_to_journal(two, environ)
        assert not formatters.goes_to_journal(one, {})
    assert not formatters.goes_to_journal(io.StringIO(), environ)


def test_terminal_lines_name_the_part_and_keep_the_level() -> None:
    stream = io.StringIO()
    formatters.set_up("info", stream)
    formatters.set_up("warning", stream)  # replaces, or the next line would come twice
    logging.getLogger("appliance.link.link").info("not shown")
    logging.getLogger("appliance.link.link").warning("closed with %d", 1013)
    line = stream.getvalue()
    assert line.endswith(" warning link.link: closed with 1013\n") and line.count("\n") == 1


@pytest.mark.parametrize(("level", "expected"), [("debug", logging.INFO), ("warning", logging.WARNING)])
def test_the_websockets_library_never_logs_below_info(level: str, expected: int) -> None:
    formatters.set_up(level, io.StringIO())
    assert logging.getLogger("websockets.client").getEffectiveLevel() >= expected
    assert logging.getLogger().level == getattr(logging, level.upper())


def test_a_trouble_that_repeats_is_said_rarely(caplog: pytest.LogCaptureFixture) -> None:
    repeats = rate_limit.Repeats(logging.getLogger("appliance.test"))
    with caplog.at_level(logging.INFO):
        for second in range(3600):
            repeats.log(logging.WARNING, "closed (1006)", float(second))
            repeats.log(logging.INFO, "connected", float(second))
        for number in range(1000):
            repeats.log(logging.WARNING, f"something else {number}", 3600.0)
    said = [record.getMessage() for record in caplog.records if "closed" in record.getMessage()]
    assert said == ["closed (1006)"] + ["closed (1006) (599 times more since)"] * 5
    assert len(repeats._said) <= rate_limit.REMEMBERED_LINES
