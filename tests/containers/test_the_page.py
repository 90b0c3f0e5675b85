"""The kiosk's page under a real systemd: its port, its sandbox, and that a box without it has neither. After the life
of the box in test_service.py, in the same container."""

from __future__ import annotations

import pytest

from tests.containers.machine import Machine

pytestmark = pytest.mark.timeout(300)

SOCKET, SERVICE = "voice-appliance-page.socket", "voice-appliance-page.service"
PORT = 8080

EXPOSURE = 13
"""Tenths, as systemd-analyze counts them: 1.3."""

MOST_KB = 20_000
"""Of memory, while somebody looks."""

LISTENING = "awk '$4 == \"0A\" { print $2 }' /proc/net/tcp /proc/net/tcp6"

GET = f"python3 -c 'import urllib.request as u; print(u.urlopen(\"http://127.0.0.1:{PORT}/\").status)'"

LOOK = f"""
import json, sys, time
sys.path.insert(0, "/usr/lib/voice-appliance")
from websockets.sync.client import connect
token = open("/var/lib/private/voice-appliance-page/token").read().strip()
with connect("ws://127.0.0.1:{PORT}/watch", origin="http://127.0.0.1:{PORT}", proxy=None,
             subprotocols=["voice-appliance", token]) as viewer:
    seen = []
    while "state" not in seen:
        seen.append(json.loads(viewer.recv(timeout=10))["event"])
    print(*seen, flush=True)
    time.sleep(float(sys.argv[1]))
"""
"""Watches the page as a browser does, until it has seen the box's state, and so many seconds more."""


KIOSK = "voice-appliance-kiosk.service"

SHOWN = "/run/voice-appliance-kiosk/shown"

BROWSER = """#!/bin/sh
while [ $# -gt 1 ]; do shift; done
cat "${1#file://}" > "$RUNTIME_DIRECTORY/shown"
sleep 60
"""
"""Keeps the page that it was to show."""


def listening(machine: Machine) -> list[str]:
    """Addresses, as the kernel writes them, at which TCP is listened."""
    return machine.shell(LISTENING).split()


def ports(machine: Machine) -> set[int]:
    return {int(address.rpartition(":")[2], 16) for address in listening(machine)}


def test_systemd_finds_nothing_to_say_about_its_units(machine: Machine) -> None:
    assert machine.shell(f"cd /usr/lib/systemd/system && systemd-analyze verify --man=no {SOCKET} {SERVICE}") == ""


def test_its_sandbox_is_tight(machine: Machine) -> None:
    machine.shell(f"systemd-analyze security --offline=true --threshold={EXPOSURE} {SERVICE}")


def test_no_port_is_open_while_the_page_is_off(machine: Machine) -> None:
    machine.shell("systemctl start voice-appliance")
    assert PORT not in ports(machine)
    code, _ = machine.attempt(f"systemctl start {SOCKET}")
    assert code != 0
    assert "[page] enabled = true" in machine.shell(f"journalctl --sync; journalctl --unit={SOCKET} --output=cat")
    assert PORT not in ports(machine)


def test_a_browser_starts_it(machine: Machine) -> None:
    machine.shell(
        "printf '\\n[page]\\nenabled = true\\n[control]\\ncaptions = true\\n' >> /etc/voice-appliance/config.toml;"
        "systemctl restart voice-appliance"
    )
    machine.shell(f"systemctl start {SOCKET}")
    assert machine.show("ActiveState", SERVICE) == "inactive"
    assert [address for address in listening(machine) if address.endswith(f":{PORT:04X}")] == [f"0100007F:{PORT:04X}"]
    assert machine.shell(GET) == "200"
    assert machine.show("ActiveState", SERVICE) == "active"


def test_it_reaches_the_daemon_and_nothing_else(machine: Machine) -> None:
    machine.until(lambda: machine.attempt("voice-appliance ctl status")[0] == 0)
    machine.put("/run/look.py", LOOK)
    machine.until(lambda: machine.attempt("python3 /run/look.py 0")[1].strip().endswith("state"))
    pid = machine.show("MainPID", SERVICE)
    assert machine.shell(f"readlink /proc/{pid}/ns/net") != machine.shell("readlink /proc/1/ns/net")
    assert machine.shell(f"stat --format=%u /proc/{pid}") not in ("0", machine.shell("id --user voice-appliance"))


def test_it_is_small(machine: Machine) -> None:
    pid = machine.show("MainPID", SERVICE)
    line = machine.shell(f"python3 /run/look.py 2 >/dev/null & sleep 1; grep ^Pss: /proc/{pid}/smaps_rollup; wait")
    kilobytes = int(line.split()[1])
    print(f"the page's process: {kilobytes} kB")
    assert kilobytes <= MOST_KB


def test_its_address_outlasts_its_process_and_is_in_no_log(machine: Machine) -> None:
    token = machine.shell("cat /var/lib/private/voice-appliance-page/token")
    assert machine.shell("stat --format=%a /var/lib/private/voice-appliance-page/token") == "600"
    machine.shell(f"systemctl kill --signal=KILL {SERVICE}")
    machine.until(lambda: machine.attempt("python3 /run/look.py 0")[0] == 0)
    assert machine.shell("cat /var/lib/private/voice-appliance-page/token") == token
    assert token not in machine.shell("journalctl --sync; journalctl --output=export")


def test_it_ends_when_nobody_looks(machine: Machine) -> None:
    machine.until(lambda: machine.show("ActiveState", SERVICE) == "inactive", 60)
    assert machine.show("Result", SERVICE) == "success"
    assert machine.shell(GET) == "200"


def test_the_kiosks_unit_starts_a_browser_again_and_shows_its_token_to_nobody(machine: Machine) -> None:
    """With a program in place of the browser: a container has no screen, and no first console either."""
    machine.put("/usr/local/bin/cog", BROWSER)
    machine.shell(
        f"chmod 755 /usr/local/bin/cog; mkdir -p /etc/systemd/system/{KIOSK}.d;"
        f"printf '[Service]\nPAMName=\nTTYPath=\nStandardInput=null\n' > /etc/systemd/system/{KIOSK}.d/no-console.conf;"
        "sh /share/systemd/kiosk/install",
        60,
    )
    machine.until(lambda: machine.attempt(f"test -s {SHOWN}")[0] == 0)
    token = machine.shell("cat /var/lib/private/voice-appliance-page/token")
    shown = machine.shell(f"cat {SHOWN}")
    assert f"http://127.0.0.1:{PORT}/#{token}" in shown
    pid = machine.show("MainPID", KIOSK)
    assert machine.shell(f"stat --format=%U /proc/{pid}") == "voice-appliance-kiosk"
    assert token not in machine.shell("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    machine.shell(f"kill -9 {pid}")
    machine.until(lambda: machine.show("MainPID", KIOSK) not in ("0", pid))
    machine.shell("sh /share/systemd/kiosk/install remove", 60)
    assert machine.show("LoadState", KIOSK) == "not-found"
    machine.shell(f"systemctl start {SOCKET}")


def test_it_goes_with_its_socket(machine: Machine) -> None:
    machine.shell(f"systemctl stop {SOCKET} {SERVICE}")
    assert PORT not in ports(machine)
