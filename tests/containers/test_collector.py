"""One place to look, as hardware/fleet says: ten boxes upload their journals over mutual TLS, one of them is silent."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers import machine as bed
from tests.containers.conftest import install
from tests.containers.machine import FLEET, ROOT, Machine

RECIPE = ROOT / "hardware" / "fleet"
HOST = "journals.example"
OTHERS = range(2, 10)
"""Boxes beside the first, which is set up by the recipe to the letter; the tenth is the silent one."""

SILENT_S = 30 * 3600.0

OTHER_BOX = """\
[Service]
ExecStart=/usr/bin/voice-appliance run --config /run/till-%i.toml
RuntimeDirectory=till-%i
StateDirectory=till-%i
LogNamespace=till-%i
"""
"""More boxes in one container: the program itself, without a card, each with a journal of its own."""

UPLOAD = (
    "/lib/systemd/systemd-journal-upload --key=/share/{folder}/{name}.key --cert=/share/{folder}/{name}.pem"
    " --trust=/share/certificates/authority.pem"
)

NO_CERTIFICATE = "/lib/systemd/systemd-journal-upload --key=- --cert=- --trust=/share/certificates/authority.pem"

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(params=bed.SUITES)
def collector(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    """A collector, and a box beside it that is set up but not started."""
    if reason := bed.lacking():
        pytest.skip(reason)
    bed.fill(tmp_path)
    shutil.copytree(RECIPE, tmp_path / "fleet")
    boxes = [("box", f"till-{number}") for number in (1, *OTHERS, 10)]
    for what in (("authority",), ("server", HOST), *boxes):
        subprocess.run((RECIPE / "certificates", tmp_path / "certificates", *what), check=True)
    for what in (("authority",), ("box", "till-1")):
        subprocess.run((RECIPE / "certificates", tmp_path / "strangers", *what), check=True)
    with Machine(str(request.param), tmp_path, FLEET) as machine:
        install(machine)
        machine.shell(
            f"echo 127.0.0.1 {HOST} >> /etc/hosts; mkdir -p /etc/ssl/journal /etc/stunnel; cd /share/certificates;"
            "cp authority.pem /etc/ssl/journal/;"
            f"cp {HOST}.pem /etc/ssl/journal/server.pem; cp {HOST}.key /etc/ssl/journal/server.key;"
            "cd /share/fleet; cp collector/stunnel.conf /etc/stunnel/journals.conf;"
            "units=/etc/systemd/system;"
            "install -D -m 644 collector/socket.conf $units/systemd-journal-remote.socket.d/socket.conf;"
            "install -D -m 644 collector/http.conf $units/systemd-journal-remote.service.d/http.conf;"
            "systemctl daemon-reload; systemctl enable --now systemd-journal-remote.socket stunnel@journals"
        )
        yield machine


def to_the_letter(machine: Machine) -> None:
    """The first box: the four files where each says that it goes, and the certificates."""
    machine.shell(
        "cd /share/fleet/box; units=/etc/systemd/system;"
        "install -D -m 644 namespace.conf $units/voice-appliance.service.d/namespace.conf;"
        "install -D -m 644 upload-namespace.conf $units/systemd-journal-upload.service.d/namespace.conf;"
        "install -m 644 60-journal.conf /etc/systemd/journald@voice-appliance.conf;"
        "install -m 644 journal-upload.conf /etc/systemd/journal-upload.conf;"
        "mkdir -p /etc/voice-appliance/journal; cd /share/certificates;"
        "cp till-1.key /etc/voice-appliance/journal/box.key; cp till-1.pem /etc/voice-appliance/journal/box.pem;"
        "cp authority.pem /etc/voice-appliance/journal/;"
        "printf '[box]\\nname = \"till-1\"\\n' > /etc/voice-appliance/config.toml;"
        "systemctl daemon-reload; systemctl start voice-appliance; systemctl start systemd-journal-upload"
    )


def upload(machine: Machine, number: int, folder: str) -> None:
    """Another box's journal, from the folder that holds it, until the container ends."""
    command = UPLOAD.format(folder="certificates", name=f"till-{number}")
    machine.shell(
        f"systemd-run --quiet --unit=upload-{number} --property=Restart=always --property=StartLimitIntervalSec=0"
        f" {command} --save-state=/run/upload-{number} --directory={folder}"
    )


def others(machine: Machine) -> None:
    machine.put("/etc/systemd/system/till@.service", OTHER_BOX)
    settings = '[box]\nname = "till-{0}"\n[control]\nsocket = "/run/till-{0}/control.sock"\n'
    identity = machine.shell("cat /etc/machine-id")
    for number in OTHERS:
        machine.put(f"/run/till-{number}.toml", settings.format(number))
        machine.put(f"/etc/systemd/journald@till-{number}.conf", "[Journal]\nStorage=persistent\n")
        machine.shell(f"systemctl daemon-reload; systemctl start till@{number}", 30)
        upload(machine, number, f"/var/log/journal/{identity}.till-{number}")


def silent(machine: Machine) -> None:
    """The tenth box has said nothing for longer than a day; its journal is systemd's own, from a text."""
    written(machine, "till-10", time.time() - SILENT_S)
    upload(machine, 10, "/run/till-10")


def written(machine: Machine, name: str, at_s: float) -> None:
    """One entry of a box in a journal of its own, /run/NAME, by systemd's own program."""
    entry = {
        "__REALTIME_TIMESTAMP": round(1e6 * at_s),
        "__MONOTONIC_TIMESTAMP": 1_000_000,
        "_BOOT_ID": "1" * 32,
        "SYSLOG_IDENTIFIER": "voice-appliance",
        "BOX_NAME": name,
        "EVENT": "ready",
        "MESSAGE": "ready",
    }
    machine.put(f"/run/{name}.export", "".join(f"{key}={value}\n" for key, value in entry.items()) + "\n")
    remote = "/lib/systemd/systemd-journal-remote"
    said = machine.shell(f"mkdir /run/{name}; {remote} --output=/run/{name}/system.journal - < /run/{name}.export")
    assert "writing 1 entries" in said


def report(machine: Machine) -> dict[str, object]:
    """What is known of the boxes, by the page's own command; empty until the collector has anything."""
    said = machine.attempt("voice-appliance fleet-report /var/log/journal/remote --expect /run/names --json")[1]
    return dict(json.loads(said)) if said.startswith("{") else {}


def test_ten_boxes_and_the_silent_one_is_named(collector: Machine) -> None:
    machine = collector
    to_the_letter(machine)
    others(machine)
    silent(machine)
    names = [f"till-{number}" for number in range(1, 11)]
    machine.put("/run/names", "\n".join(names) + "\n")

    def known() -> list[str]:
        boxes = report(machine).get("boxes", [])
        assert isinstance(boxes, list)
        return sorted(box["name"] for box in boxes if box["version"] or box["name"] == "till-10")

    machine.until(lambda: known() == sorted(names), 90)
    assert report(machine)["silent"] == ["till-10"]
    page = machine.attempt("voice-appliance fleet-report /var/log/journal/remote --expect /run/names")
    assert page[0] == 1 and "10 boxes" in page[1] and "silent for a day  1\n    till-10\n" in page[1]


def test_only_a_box_of_ours_gets_to_the_collector(collector: Machine) -> None:
    machine = collector
    to_the_letter(machine)
    machine.put("/run/names", "till-1\n")
    machine.until(lambda: bool(report(machine).get("boxes")), 60)
    written(machine, "till-66", time.time())
    for command in (UPLOAD.format(folder="strangers", name="till-1"), NO_CERTIFICATE):
        code, said = machine.attempt(f"timeout 20 {command} --directory=/run/till-66")
        assert code not in (0, 124) and "Upload to" in said, said
    assert "till-66" not in machine.shell("journalctl --directory=/var/log/journal/remote --output=export")
