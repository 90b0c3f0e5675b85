"""The echo canceller's own package, in the sandbox: compiled by others, and it must not write what it executes."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.containers.conftest import KEY
from tests.containers.machine import ROOT, Machine
from tests.containers.test_service import entries, serve, status

pytestmark = pytest.mark.timeout(600)

SETTINGS = """
[talk]
mode = "open"
full_duplex = "software"
"""


def begin(machine: Machine) -> None:
    machine.shell("systemctl restart voice-appliance.service", timeout_s=60)
    machine.until(lambda: status(machine).get("light") == "invite", 30)


def test_it_takes_the_boxs_voice_out_of_what_it_hears(
    machine: Machine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = tmp_path_factory.mktemp("aec")
    subprocess.run((ROOT / "systemd" / "build-aec-deb", "/usr/bin/python3", str(made)), check=True, timeout=120)
    machine.shell(f"cat >> /etc/voice-appliance/config.toml <<'END'\n{SETTINGS}END\n")
    machine.shell(f"install -m 600 /dev/null /etc/voice-appliance/key; echo {KEY} > /etc/voice-appliance/key")
    serve(machine)
    begin(machine)
    (line,) = entries(machine, "EVENT=configuration_doubtful")
    assert "pywebrtc-audio" in line["MESSAGE"] and "does not listen while it speaks" in line["MESSAGE"]

    shutil.copy(next(made.glob("*_amd64.deb")), machine.share / "aec.deb")
    machine.shell("dpkg --install /share/aec.deb", timeout_s=60)
    begin(machine)
    assert len(entries(machine, "EVENT=configuration_doubtful")) == 1
    assert machine.show("MemoryDenyWriteExecute") == "yes"
    assert "_webrtc_audio" in machine.shell(f"cat /proc/{machine.show('MainPID')}/maps")
    machine.shell(
        ". /run/card.env && export PULSE_SERVER HOME XDG_RUNTIME_DIR && paplay --device=micfeed /run/question.wav"
    )
    machine.until(lambda: bool(entries(machine, "EVENT=turn")), 30)
    assert entries(machine, "EVENT=turn")[-1]["OUTCOME"] == "answered"
