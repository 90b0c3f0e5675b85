"""The files that the configuration names, as the service would find them."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from appliance.commands import config as config_command
from appliance.config import loader
from appliance.doctor import paths
from appliance.doctor.finding import Finding, Grade
from appliance.doctor.machine import MachineFacts, Unit

INSTALLED = Unit({"LoadState": "loaded", "User": "voice-appliance", "ActiveState": "inactive", "MainPID": "0"})
RUNNING = Unit({"LoadState": "loaded", "User": "voice-appliance", "ActiveState": "active", "MainPID": "77"})

OF_EVERY_KIND = {
    "credentials.key_file": "/home/pi/key",
    "link.ca_file": "/root/ca.pem",
    "panel.clips_dir": "/media/pi/STICK",
    "transcripts.file": "/var/log/said.jsonl",
    "control.socket": "/tmp/control.sock",
    "tools": {"lamp": {"command": ["/home/pi/lamp"], "description": "A lamp"}},
}


def load(**settings: object) -> loader.Config:
    return loader.load(None, settings)


def test_config_check_names_each_path_that_the_service_does_not_see(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        'credentials.key_file = "/home/pi/key"\nlink.ca_file = "/root/ca.pem"\npanel.clips_dir = "/media/pi/STICK"\n'
        'transcripts.file = "/var/log/said.jsonl"\ncontrol.socket = "/tmp/control.sock"\n'
        'tools.lamp = { command = ["/home/pi/lamp"], description = "A lamp" }\n'
    )
    assert config_command.run(argparse.Namespace(config=file, dump=False)) == 0
    shown = capsys.readouterr()
    lines = shown.err.splitlines()
    assert shown.out.endswith("good\n") and len(lines) == len(OF_EVERY_KIND)
    for start, line in zip(
        (
            "credentials.key_file: /home/pi/key: the service does not see /home",
            "link.ca_file: /root/ca.pem: the service does not see /root",
            "panel.clips_dir: /media/pi/STICK: /media is there only",
            "tools.lamp.command: /home/pi/lamp: the service does not see /home",
            "transcripts.file: /var/log/said.jsonl: the service may not write there",
            "control.socket: /tmp/control.sock: what the service writes there is its own",
        ),
        lines,
        strict=True,
    ):
        assert line.startswith(start)


def test_the_defaults_name_nothing_that_is_hidden() -> None:
    assert not [one for one in paths.named(loader.load(None, {})) if one.objection]


@pytest.mark.parametrize("key", list(OF_EVERY_KIND))
async def test_the_doctor_warns_by_the_unit_where_the_service_does_not_run(key: str, tmp_path: Path) -> None:
    found = await paths.seen(load(**{key: OF_EVERY_KIND[key]}), MachineFacts(tmp_path), INSTALLED)
    assert found is not None and found.verdict is Grade.WARNING and found.fix and key in found.line


async def test_a_machine_without_the_service_has_nothing_to_say(tmp_path: Path) -> None:
    assert await paths.seen(load(**{"credentials.key_file": "/home/pi/key"}), MachineFacts(tmp_path), Unit({})) is None


@pytest.mark.parametrize(
    ("script", "verdict", "said"),
    [
        ("echo yes", Grade.OK, "sees what the configuration names"),
        ("echo no", Grade.FAULT, "the service, which runs as voice-appliance, cannot use /srv/key"),
        ("echo 'Operation not permitted' >&2; exit 1", Grade.OK, "sees what the configuration names"),
    ],
    ids=["may", "may not", "nobody but root can ask"],
)
async def test_where_it_runs_it_is_asked_in_its_own_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, verdict: Grade, said: str
) -> None:
    asked = tmp_path / "asked"
    program = tmp_path / "nsenter"
    program.write_text(f'#!/bin/sh\necho "$@" > {asked}\n{script}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = await paths.seen(load(**{"credentials.key_file": "/srv/key"}), MachineFacts(tmp_path), RUNNING)
    assert found is not None and found.verdict is verdict and said in found.line
    words = asked.read_text()
    assert words.startswith("--target=77 --mount -- setpriv --reuid=voice-appliance --regid=voice-appliance")
    assert words.endswith("sh -r /srv/key\n")


async def test_a_service_whose_owner_has_opened_the_home_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nsenter"
    program.write_text("#!/bin/sh\necho yes\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = await paths.seen(load(**{"credentials.key_file": "/home/pi/key"}), MachineFacts(tmp_path), RUNNING)
    assert found is not None and found.verdict is Grade.OK


def test_a_program_that_cannot_be_started_is_a_fault(tmp_path: Path) -> None:
    program = tmp_path / "lamp"

    def found() -> Finding | None:
        return paths.startable(load(tools={"lamp": {"command": [str(program)], "description": "A lamp"}}))

    missing = found()
    assert missing is not None and missing.verdict is Grade.FAULT and missing.fix == "it is not there"
    program.write_bytes(b"#!/bin/sh\r\n")
    program.chmod(0o755)
    windows = found()
    assert windows is not None and "tools.lamp.command" in windows.line and "as in Windows" in windows.fix
    program.write_bytes(b"#!/bin/sh\n")
    good = found()
    assert good is not None and good.verdict is Grade.OK
    assert paths.startable(load()) is None
