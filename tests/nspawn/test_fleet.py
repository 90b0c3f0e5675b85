"""The recipe of hardware/fleet, run: a signed repository, a box that lives from it, and a collector of journals."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.nspawn import machine as bed
from tests.nspawn.machine import FLEET, INSIDE, ROOT, Machine

KEY = "swaram_right_0123456789"
RECIPE = ROOT / "hardware" / "fleet"
VERSIONS = {
    "first": "0.2.0~git20261120.1.aaaaaaa",
    "second": "0.2.0~git20261121.2.bbbbbbb",
    "broken": "0.2.0~git20261122.3.ccccccc",
}
HOST = "packages.example"

APT = "DEBIAN_FRONTEND=noninteractive apt-get --yes --no-install-recommends"

HTTPS = f"""\
import http.server, ssl
server = http.server.ThreadingHTTPServer(("127.0.0.1", 443), http.server.SimpleHTTPRequestHandler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/share/certificates/{HOST}.pem", "/share/certificates/{HOST}.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""
"""Any static host."""

pytestmark = pytest.mark.timeout(600)


class Repository:
    """In the folder that the container sees, made and filled by the recipe's own script."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self._environment = {"PATH": "/usr/bin:/bin", "GNUPGHOME": str(home), "HOURS": "0"}
        home.mkdir(mode=0o700)
        gpg = ("gpg", "--batch", "--quiet", "--passphrase", "", "--pinentry-mode", "loopback")
        subprocess.run(
            (*gpg, "--quick-generate-key", "fleet", "ed25519", "sign", "0"), check=True, env=self._environment
        )
        listed = subprocess.run(
            ("gpg", "--list-keys", "--with-colons"), check=True, capture_output=True, text=True, env=self._environment
        ).stdout
        key = next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:"))
        self("init", key)

    def __call__(self, *command: str, hours: str = "0") -> subprocess.CompletedProcess[str]:
        environment = {**self._environment, "HOURS": hours}
        command = (str(RECIPE / "repository"), str(self.folder), *command)
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=hours == "0")


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``first.deb``, ``second.deb``, and ``broken.deb``, whose program ends when it is started."""
    if reason := bed.lacking():
        pytest.skip(reason)
    if shutil.which("reprepro") is None:
        pytest.skip("not installed: reprepro (make test-system installs it)")
    folder = tmp_path_factory.mktemp("versions")
    subprocess.run((ROOT / "systemd" / "build-deb", "/usr/bin/python3", str(folder)), check=True, timeout=300)
    (made,) = folder.glob("*.deb")

    def change(name: str) -> Callable[[Path], None]:
        def stamp(tree: Path) -> None:
            init = tree / "usr/lib/voice-appliance/appliance/__init__.py"
            init.write_text(f'__version__ = "{VERSIONS[name]}"\n')
            if name == "broken":
                (tree / "usr/bin/voice-appliance").write_text("#!/bin/sh\nexit 70\n")

        return stamp

    for name, version in VERSIONS.items():
        bed.another(made, version, folder / f"{name}.deb", change(name))
    made.unlink()
    return folder


@pytest.fixture(scope="module", params=bed.SUITES)
def share(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, versions: Path) -> tuple[str, Path]:
    """A suite, and the folder that its container sees."""
    folder = tmp_path_factory.mktemp(f"fleet-{request.param}")
    for path in (*INSIDE.iterdir(), *versions.iterdir()):
        if path.is_file():
            shutil.copy(path, folder)
    shutil.copytree(RECIPE, folder / "fleet")
    for what in (("authority",), ("server", HOST), ("server", "journals.example")):
        subprocess.run((RECIPE / "certificates", folder / "certificates", *what), check=True)
    (folder / "https.py").write_text(HTTPS)
    return str(request.param), folder


@pytest.fixture(scope="module")
def box(share: tuple[str, Path]) -> Iterator[tuple[Machine, Repository]]:
    """A box that lives from the repository, and knows no other one."""
    suite, folder = share
    repository = Repository(folder / "repository", folder / "gnupg")
    with Machine(suite, folder, FLEET) as machine:
        machine.shell(
            f"echo 127.0.0.1 {HOST} journals.example >> /etc/hosts;"
            "rm -rf /etc/apt/sources.list*; mkdir /etc/apt/sources.list.d;"
            "cp /share/certificates/authority.pem /usr/local/share/ca-certificates/fleet.crt; update-ca-certificates;"
            "systemd-run --quiet --unit=https --working-directory=/share python3 /share/https.py;"
            "mkdir -p /etc/apt/keyrings; cp /share/repository/voice-appliance.asc /etc/apt/keyrings/;"
            "sed s,/voice-appliance$,/repository, /share/fleet/box/voice-appliance.sources"
            " > /etc/apt/sources.list.d/voice-appliance.sources",
            60,
        )
        yield machine, repository


def version(machine: Machine) -> str:
    return machine.shell("dpkg-query --show --showformat='${Version}' voice-appliance")


def running(machine: Machine) -> str:
    """The version of the program that runs; empty while none answers."""
    code, output = machine.attempt("voice-appliance ctl status --json")
    return str(json.loads(output)["status"]["version"]) if code == 0 else ""


def idle(machine: Machine) -> bool:
    return machine.show("ActiveState", "voice-appliance-restart.service") == "inactive"


def test_a_box_is_installed_from_the_signed_repository(box: tuple[Machine, Repository]) -> None:
    machine, repository = box
    repository("add", str(machine.share / "first.deb"))
    refused = repository("promote", hours="48")
    assert refused.returncode != 0 and "is in canary for 0 h only" in refused.stderr
    repository("promote")
    machine.shell(f"{APT} update && {APT} install voice-appliance", 90)
    assert version(machine) == VERSIONS["first"]
    # What nobody has signed with our key is not taken.
    release = machine.share / "repository/dists/stable/InRelease"
    good = release.read_text()
    release.write_text(good.replace("Label: Voice appliance", "Label: Voice Appliance"))
    assert "BADSIG" in machine.attempt(f"{APT} update", 60)[1]
    release.write_text(good)
    machine.shell(f"{APT} update", 60)


def test_an_upgrade_waits_for_the_end_of_an_answer(box: tuple[Machine, Repository]) -> None:
    machine, repository = box
    machine.shell(
        "install -D -m 644 /share/10-virtual-card.conf /etc/systemd/system/voice-appliance.service.d/10-test.conf;"
        "install -m 644 /share/card.service /etc/systemd/system/;"
        "install -m 644 /share/config.toml /etc/voice-appliance/;"
        f"echo {KEY} > /etc/voice-appliance/key; systemctl daemon-reload; systemctl start card;"
        f"systemd-run --quiet --unit=simulate /usr/bin/voice-appliance simulate --key {KEY};"
        "systemctl restart voice-appliance",
        60,
    )
    ready = (
        'voice-appliance ctl status --json | grep -q \'"state": "ready"\' &&'
        "voice-appliance ctl status | grep -q ^speaker.name"
    )
    machine.until(lambda: machine.attempt(ready)[0] == 0, 30)
    repository("add", str(machine.share / "second.deb"))
    repository("promote")
    machine.shell(f"{APT} update", 60)
    former = machine.show("MainPID")
    machine.shell(
        "voice-appliance ctl press && . /run/card.env && export PULSE_SERVER HOME XDG_RUNTIME_DIR &&"
        "paplay --device=micfeed /run/question.wav && voice-appliance ctl release"
    )
    machine.until(lambda: '"speaking"' in machine.shell("voice-appliance ctl status --json"), 20)
    machine.shell(f"{APT} upgrade", 90)
    assert version(machine) == VERSIONS["second"]
    machine.until(lambda: idle(machine) and running(machine) == VERSIONS["second"], 40)
    assert machine.show("MainPID") != former
    export = f"journalctl --sync; journalctl _PID={former} EVENT=turn --output=json"
    turns = [json.loads(line) for line in machine.shell(export).splitlines()]
    assert [turn["OUTCOME"] for turn in turns] == ["answered"], "the upgrade has cut it"
    assert "of answer heard" in turns[0]["MESSAGE"]
    heard, _, whole = turns[0]["MESSAGE"].partition(" s said, ")[2].partition(" s of answer")[0].partition(" of ")
    assert heard == whole
    days = machine.shell(f"journalctl _PID={former} EVENT=day --output=json").splitlines()
    assert json.loads(days[-1])["TURNS"] == "1" and json.loads(days[-1])["REASON"] == "stop"


def test_unattended_upgrades_takes_a_provisioned_box_and_nothing_but_ours(box: tuple[Machine, Repository]) -> None:
    machine, repository = box
    machine.shell(
        "mkdir -p /boot/firmware; printf 'box.name = \"till 7\"\\n' > /boot/firmware/voice-appliance.toml;"
        "systemctl restart voice-appliance; cp /share/fleet/box/52voice-appliance-upgrades /etc/apt/apt.conf.d/"
    )
    assert "till 7" in machine.shell("cat /etc/voice-appliance/config.toml")
    repository("add", str(machine.share / "broken.deb"))
    repository("promote")
    machine.shell(f"{APT} update", 60)
    said = machine.shell("unattended-upgrade --verbose --debug 2>&1", 120)
    assert version(machine) == VERSIONS["broken"], said
    assert "till 7" in machine.shell("cat /etc/voice-appliance/config.toml")
    machine.until(lambda: machine.show("NRestarts") not in ("0", ""), 30)


def test_a_broken_version_is_taken_back_by_a_pin(box: tuple[Machine, Repository]) -> None:
    machine, repository = box
    assert f"previous {VERSIONS['second']}" in repository("list").stdout
    pin = (RECIPE / "box/rollback.pref").read_text()
    named = next(line for line in pin.splitlines() if line.startswith("Pin: version"))
    machine.put("/etc/apt/preferences.d/rollback.pref", pin.replace(named, f"Pin: version {VERSIONS['second']}"))
    machine.shell("unattended-upgrade --verbose --debug 2>&1", 120)
    assert version(machine) == VERSIONS["second"]
    machine.until(lambda: running(machine) == VERSIONS["second"], 30)


def entry(at_s: float, box_name: str, event: str, **more: object) -> str:
    """One, in the journal's export format."""
    values = {"SYSLOG_IDENTIFIER": "voice-appliance", "BOX_NAME": box_name, "EVENT": event, "MESSAGE": event, **more}
    stamp = f"__REALTIME_TIMESTAMP={round(1e6 * at_s)}\n__MONOTONIC_TIMESTAMP={round(1e6 * (at_s % 1e5))}\n"
    return stamp + f"_BOOT_ID={'0' * 32}\n" + "".join(f"{name}={value}\n" for name, value in values.items()) + "\n"


def test_ten_boxes_tell_one_collector_and_the_report_names_the_silent_one(box: tuple[Machine, Repository]) -> None:
    """Nine of them are journals of boxes that were; the tenth is the one that runs, in a journal of its own."""
    machine, _ = box
    now_s = time.time()
    for number in range(10):
        subprocess.run((RECIPE / "certificates", machine.share / "certificates", "box", f"box{number}"), check=True)
        at_s = now_s - (30 * 3600 if number == 3 else 60)
        lines = entry(at_s, f"box{number}", "ready", VERSION="0.2.0") + entry(at_s + 1, f"box{number}", "no_key")
        (machine.share / f"box{number}.export").write_text(lines)
    subprocess.run((RECIPE / "certificates", machine.share / "others", "authority"), check=True)
    subprocess.run((RECIPE / "certificates", machine.share / "others", "box", "stranger"), check=True)
    machine.shell(
        "mkdir -p /etc/ssl/journal /var/log/journal/remote && cd /share/certificates &&"
        "cp authority.pem /etc/ssl/journal/ && cp journals.example.pem /etc/ssl/journal/server.pem &&"
        "cp journals.example.key /etc/ssl/journal/server.key &&"
        "chown -R systemd-journal-remote /etc/ssl/journal /var/log/journal/remote &&"
        "cp /share/fleet/collector/journal-remote.conf /etc/systemd/ && systemctl start systemd-journal-remote.socket",
        60,
    )
    upload = "/lib/systemd/systemd-journal-upload --url=https://journals.example"
    for number in range(1, 10):
        folder = f"/tmp/box{number}"
        machine.shell(
            f"mkdir {folder};"
            f"/lib/systemd/systemd-journal-remote --output={folder}/box.journal /share/box{number}.export &&"
            f"timeout 30 {upload} --key=/share/certificates/box{number}.key --cert=/share/certificates/box{number}.pem"
            f" --trust=/share/certificates/authority.pem --directory={folder} --follow=no --save-state={folder}/state",
            60,
        )
    # Whose certificate is of another authority writes nothing.
    code, said = machine.attempt(
        f"timeout 30 {upload} --key=/share/others/stranger.key --cert=/share/others/stranger.pem"
        " --trust=/share/certificates/authority.pem --directory=/tmp/box1 --follow=no --save-state=/tmp/stranger",
        60,
    )
    assert code != 0, said
    # The one that runs.
    machine.shell(
        "mkdir -p /etc/voice-appliance/journal /etc/systemd/system/systemd-journal-upload.service.d &&"
        "cd /share/fleet/box && cp 60-journal.conf /etc/systemd/journald@voice-appliance.conf &&"
        "cp namespace.conf /etc/systemd/system/voice-appliance.service.d/ && cp journal-upload.conf /etc/systemd/ &&"
        "cp upload-namespace.conf /etc/systemd/system/systemd-journal-upload.service.d/ && cd /share/certificates &&"
        "cp authority.pem /etc/voice-appliance/journal/ && cp box0.key /etc/voice-appliance/journal/box.key &&"
        "cp box0.pem /etc/voice-appliance/journal/box.pem && chgrp -R systemd-journal /etc/voice-appliance/journal &&"
        "chmod -R g+rX /etc/voice-appliance/journal && systemctl daemon-reload && systemctl restart voice-appliance &&"
        "systemctl start systemd-journal-upload",
        60,
    )
    report = "voice-appliance fleet-report /var/log/journal/remote --json"
    machine.until(lambda: "till 7" in machine.attempt(report)[1], 60)
    data = json.loads(machine.attempt(report)[1])
    assert data["silent"] == ["box3"]
    assert {each["name"] for each in data["boxes"]} == {"till 7", *(f"box{number}" for number in range(1, 10))}
    assert all("no_key" in each["faults"] for each in data["boxes"] if each["name"].startswith("box"))
    assert data["versions"][VERSIONS["second"]] == 1
    assert "silent for a day1\n    box3" in machine.attempt(report.replace(" --json", ""))[1].replace("day 1", "day1")
