"""The service under a real systemd, as it is installed. The tests of a container run in the order of this file: it is
the life of a box, from its first start without a key."""

from __future__ import annotations

import json
import time

import pytest

from tests.containers.conftest import KEY
from tests.containers.machine import Machine

# A container is shared and its box goes on living, so a test takes seconds, and a first tree minutes.
pytestmark = pytest.mark.timeout(600)

UNIT = "voice-appliance.service"
EXPOSURE = 15
"""Tenths, as systemd-analyze counts them: 1.5."""


def is_active(machine: Machine) -> bool:
    return machine.show("ActiveState") == "active"


def status(machine: Machine) -> dict[str, object]:
    """What ``ctl status`` says; empty while nobody answers."""
    code, output = machine.attempt("voice-appliance ctl status --json")
    return dict(json.loads(output)["status"]) if code == 0 else {}


def entries(machine: Machine, *matches: str) -> list[dict[str, str]]:
    """The journal's entries of this service with these fields."""
    lines = machine.shell(f"journalctl --sync; journalctl --unit={UNIT} --output=json {' '.join(matches)}").splitlines()
    return [json.loads(line) for line in lines]


def serve(machine: Machine, arguments: str = "") -> None:
    """Start the embedded service of the box's configuration anew."""
    machine.attempt("systemctl stop simulate; systemctl reset-failed simulate")
    machine.shell(f"systemd-run --quiet --unit=simulate /usr/bin/voice-appliance simulate --key {KEY} {arguments}")
    machine.until(
        lambda: "listening" in machine.shell("journalctl --sync; journalctl --unit=simulate --output=cat -n 3")
    )


def ask(machine: Machine) -> None:
    """Hold the button while somebody speaks."""
    machine.shell(
        "voice-appliance ctl press && . /run/card.env && export PULSE_SERVER HOME XDG_RUNTIME_DIR &&"
        "paplay --device=micfeed /run/question.wav && voice-appliance ctl release"
    )


def test_systemd_finds_nothing_to_say_about_the_units(machine: Machine) -> None:
    units = (
        "voice-appliance.service voice-appliance-key.path voice-appliance-key.service voice-appliance-restart.service"
    )
    # It ends with 0 for settings that it does not know, so the output counts.
    assert machine.shell(f"cd /usr/lib/systemd/system && systemd-analyze verify --man=no {units}") == ""


def test_the_sandbox_is_tight(machine: Machine) -> None:
    machine.shell(f"systemd-analyze security --offline=true --threshold={EXPOSURE} {UNIT}")


def test_it_is_active_when_it_says_so_and_not_before(machine: Machine) -> None:
    machine.shell(f"systemctl start --no-block {UNIT}")
    machine.until(lambda: machine.show("MainPID") not in ("", "0"))
    pid = machine.show("MainPID")
    machine.shell(f"kill -STOP {pid}")
    assert machine.show("ActiveState") == "activating"
    time.sleep(1)
    assert machine.show("ActiveState") == "activating"
    machine.shell(f"kill -CONT {pid}")
    machine.until(lambda: is_active(machine))
    assert status(machine), "it said that it was ready before its control socket was there"


def test_without_a_key_it_runs_and_says_so(machine: Machine) -> None:
    machine.until(lambda: len(entries(machine, "EVENT=no_key")) == 1)
    machine.until(lambda: status(machine).get("light") == "fault_key")
    assert machine.show("NRestarts") == "0"
    machine.until(lambda: "there is no key" in machine.show("StatusText"))


def test_a_new_key_is_tried_within_ten_seconds(machine: Machine) -> None:
    serve(machine)
    before = machine.show("MainPID")
    # As a person does it: first the empty file with its mode, then the key.
    machine.shell(
        f"install -m 600 /dev/null /etc/voice-appliance/key; sleep 0.3; echo {KEY} > /etc/voice-appliance/key"
    )
    took_s = machine.until(lambda: bool(entries(machine, "EVENT=connected")))
    assert took_s < 10
    assert machine.show("MainPID") != before
    machine.until(lambda: machine.show("ActiveState", "voice-appliance-key.service") == "inactive")
    assert len(entries(machine, "EVENT=ready")) == 2, "it was restarted more than once"


def test_the_key_is_only_in_the_credential(machine: Machine) -> None:
    pid = machine.show("MainPID")
    assert "uid=0" not in machine.shell("id voice-appliance")
    as_service = "setpriv --reuid=voice-appliance --regid=voice-appliance --init-groups"
    assert machine.attempt(f"{as_service} cat /etc/voice-appliance/key")[0] != 0
    assert machine.attempt(f"setpriv --reuid=nobody --clear-groups cat /run/credentials/{UNIT}/api-key")[0] != 0
    assert machine.shell(f"nsenter --target {pid} --mount {as_service} cat /run/credentials/{UNIT}/api-key") == KEY
    assert KEY not in machine.shell(
        f"tr '\\0' '\\n' < /proc/{pid}/environ; systemctl show {UNIT}; cat /proc/{pid}/cmdline"
    )
    assert KEY not in machine.shell(f"journalctl --sync; journalctl --unit={UNIT} --output=export")


def test_a_question_is_answered_inside_the_sandbox(machine: Machine) -> None:
    machine.until(lambda: status(machine).get("speaker") is not None and status(machine).get("state") == "ready")
    ask(machine)
    machine.until(lambda: bool(entries(machine, "EVENT=turn", "OUTCOME=answered")), 40)
    entry = entries(machine, "EVENT=turn", "OUTCOME=answered")[-1]
    assert int(entry["FIRST_AUDIO_MS"]) > 0
    assert entry["TURN_ID"] == "1" and "UNDERRUNS" in entry and entry["BOX_NAME"]
    machine.until(lambda: machine.show("StatusText").startswith("ready; last turn "))
    assert "; link " in machine.show("StatusText")


def test_a_month_of_its_journal_fits_fifty_megabytes(machine: Machine) -> None:
    """At 200 turns a day: their lines, and for each turn a connection that comes and goes, as real entries."""
    export = f"journalctl --sync; journalctl --unit={UNIT} --output=export EVENT={{}} --lines=1 | wc --bytes"
    sizes = {event: int(machine.shell(export.format(event))) for event in ("turn", "connected")}
    assert all(sizes.values())
    a_month = 30 * 200 * (sizes["turn"] + 2 * sizes["connected"])
    assert a_month < 50_000_000, sizes


def test_a_reload_changes_what_runs(machine: Machine) -> None:
    pid = machine.show("MainPID")
    assert status(machine)["link"] == "open"
    machine.shell("printf '\\nvolume = 33\\n' >> /etc/voice-appliance/config.toml; systemctl reload voice-appliance")
    machine.until(lambda: status(machine)["volume"] == 33)
    assert status(machine)["link"] == "open", "the conversation was lost for a setting that can be changed"
    machine.shell("printf '\\n[talk]\\nmode = \"hold\"\\n' >> /etc/voice-appliance/config.toml")
    machine.shell("systemctl reload voice-appliance")
    machine.until(lambda: len(entries(machine, "EVENT=ready")) >= 3)
    assert (machine.show("MainPID"), machine.show("NRestarts"), is_active(machine)) == (pid, "0", True)
    machine.shell("echo 'mood = 3' >> /etc/voice-appliance/config.toml")
    assert machine.attempt("systemctl reload voice-appliance")[0] != 0
    machine.until(lambda: len(entries(machine, "EVENT=reload_refused")) == 1)
    assert (machine.show("MainPID"), is_active(machine)) == (pid, True)


def test_a_wrong_configuration_is_not_started_again_and_again(machine: Machine) -> None:
    """Where there was never a right one; otherwise the box goes on with that (test_package.py)."""
    machine.shell("systemctl stop voice-appliance; rm /var/lib/voice-appliance/last-good.toml")
    machine.attempt("systemctl start voice-appliance")
    machine.until(lambda: machine.show("ActiveState") == "failed")
    time.sleep(3)
    assert (machine.show("ExecMainStatus"), machine.show("NRestarts")) == ("78", "0")
    assert "talk.mood" in machine.journal("--priority=err")
    machine.shell("sed -i '/mood/d' /etc/voice-appliance/config.toml; systemctl start voice-appliance")


def test_a_hung_sound_host_is_replaced_and_nothing_else(machine: Machine) -> None:
    machine.until(lambda: status(machine).get("microphone") is not None)
    pid = machine.show("MainPID")
    host = machine.shell(f"pgrep --parent {pid} --full 'soundhost.host capture'")
    machine.shell(f"kill -STOP {host}")
    machine.until(lambda: machine.attempt(f"kill -0 {host}")[0] != 0, 5)
    machine.until(lambda: status(machine).get("microphone") is not None, 5)
    assert (machine.show("MainPID"), machine.show("NRestarts")) == (pid, "0")


def test_no_credits_is_found_by_its_code_and_explained(machine: Machine) -> None:
    (machine.share / "empty.toml").write_text(
        '[[connection]]\n[[connection.step]]\non = "ready"\ndo = "close"\ncode = 4003\n', encoding="utf-8"
    )
    serve(machine, "--scenario /share/empty.toml")
    machine.shell("voice-appliance ctl retry")
    machine.until(lambda: bool(entries(machine, "CLOSE_CODE=4003")))
    assert entries(machine, "CLOSE_CODE=4003")[0]["EVENT"] == "no_credits"
    explained = machine.shell(f"journalctl --catalog --unit={UNIT} CLOSE_CODE=4003")
    assert "Top up the account" in explained and "CLOSE_CODE is 4003" in explained
    serve(machine)


def test_it_stops_in_less_than_two_seconds_in_the_middle_of_a_conversation(machine: Machine) -> None:
    def is_connected() -> bool:
        # A refused account may be tried again every 5 s.
        machine.shell("voice-appliance ctl retry")
        return status(machine).get("link") == "open"

    machine.until(is_connected)
    machine.shell("voice-appliance ctl press")
    machine.until(lambda: status(machine).get("state") == "listening")
    began_s = time.monotonic()
    machine.shell("systemctl stop voice-appliance")
    assert time.monotonic() - began_s < 2
    assert machine.show("Result") == "success"
    assert machine.attempt("pgrep --full soundhost.host")[0] != 0
    machine.shell("systemctl start voice-appliance")


def test_a_hung_loop_is_killed_and_started_again(machine: Machine) -> None:
    machine.shell(
        "mkdir -p /run/systemd/system/voice-appliance.service.d;"
        "printf '[Service]\\nWatchdogSec=3\\n' > /run/systemd/system/voice-appliance.service.d/20-soon.conf;"
        "systemctl daemon-reload; systemctl restart voice-appliance"
    )
    pid = machine.show("MainPID")
    time.sleep(4)
    assert machine.show("MainPID") == pid, "a healthy box is killed"
    machine.shell(f"kill -STOP {pid}")
    machine.until(lambda: machine.show("NRestarts") == "1" and is_active(machine), 25)
    assert machine.show("MainPID") != pid
    assert "watchdog" in machine.journal().lower()
