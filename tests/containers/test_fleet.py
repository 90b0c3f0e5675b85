"""The recipe of hardware/fleet, run: a signed repository, a box that lives from it, and a card that becomes one."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.containers import machine as bed
from tests.containers.machine import FLEET, INSIDE, ROOT, Machine

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
# With 1.0 the end of a file is the end of the connection, and apt wants to be told of that.
http.server.SimpleHTTPRequestHandler.protocol_version = "HTTP/1.1"
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
    for what in (("authority",), ("server", HOST)):
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
            f"echo 127.0.0.1 {HOST} >> /etc/hosts;"
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
    assert "signature" in machine.attempt(f"{APT} update", 60)[1]
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


@pytest.fixture
def card(versions: Path, tmp_path: Path) -> Iterator[tuple[Machine, Repository]]:
    """A stock system of trixie whose first partition holds the recipe's user-data, filled in."""
    shutil.copytree(RECIPE, tmp_path / "fleet")
    for path in INSIDE.iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path)
    for what in (("authority",), ("server", HOST)):
        subprocess.run((RECIPE / "certificates", tmp_path / "certificates", *what), check=True)
    (tmp_path / "https.py").write_text(HTTPS)
    repository = Repository(tmp_path / "repository", tmp_path / "gnupg")
    repository("add", str(versions / "first.deb"))
    repository("promote")
    signed = (tmp_path / "repository/voice-appliance.asc").read_text()
    begin, _, rest = (RECIPE / "user-data").read_text().partition("      -----BEGIN PGP PUBLIC KEY BLOCK-----\n")
    _, _, end = rest.partition("      -----END PGP PUBLIC KEY BLOCK-----\n")
    data = begin + "".join(f"      {line}\n" for line in signed.splitlines()) + end
    data = data.replace(f"{HOST}/voice-appliance", f"{HOST}/repository").replace("      unset\n", f"      {KEY}\n")
    (tmp_path / "user-data").write_text(data)
    with Machine("trixie", tmp_path, FLEET) as machine:
        yield machine, repository


def test_a_stock_card_becomes_a_box_by_its_user_data(card: tuple[Machine, Repository]) -> None:
    machine, _ = card
    machine.shell("cloud-init schema --config-file /share/user-data")
    machine.shell(
        f"echo 127.0.0.1 {HOST} >> /etc/hosts; rm -rf /etc/apt/sources.list*; mkdir /etc/apt/sources.list.d;"
        "cp /share/certificates/authority.pem /usr/local/share/ca-certificates/fleet.crt; update-ca-certificates;"
        "systemd-run --quiet --unit=https --working-directory=/share python3 /share/https.py;"
        "mkdir -p /var/lib/cloud/seed/nocloud; cp /share/user-data /var/lib/cloud/seed/nocloud/;"
        "echo 'instance-id: box' > /var/lib/cloud/seed/nocloud/meta-data;"
        "printf 'datasource_list: [NoCloud]\\napt: {preserve_sources_list: true}\\n'"
        " > /etc/cloud/cloud.cfg.d/99-test.cfg;"
        "rm -rf /var/lib/cloud/instance /var/lib/cloud/instances",
        60,
    )
    steps = ("init --local", "init", "modules --mode=config", "modules --mode=final")
    said = "\n".join(machine.attempt(f"cloud-init {step}", 120)[1] for step in steps)
    installed = machine.attempt("dpkg-query --show --showformat='${Version}' voice-appliance")[1]
    assert installed == VERSIONS["first"], said + machine.attempt("tail -n 60 /var/log/cloud-init.log")[1]
    machine.until(lambda: running(machine) == VERSIONS["first"], 30)
    assert machine.shell("readlink /etc/localtime").endswith("Asia/Kolkata")
    assert machine.shell("cat /run/credentials/voice-appliance.service/api-key") == KEY
    assert machine.shell("stat --format=%a /etc/voice-appliance/key") == "600"
    # Without it a box could not go back; it is empty yet.
    machine.shell("ls /var/lib/apt/lists/*_dists_previous_InRelease")
