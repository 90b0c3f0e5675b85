"""What the service does not see, by its unit, and that a person is told so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from appliance.audio.clips import Clips
from appliance.errors import CredentialError
from appliance.link.credentials import read_key
from appliance.system import sandbox

UNIT = (Path(__file__).parents[2] / "systemd/voice-appliance.service").read_text(encoding="utf-8")
SETTINGS = dict(re.findall(r"^(\w+)=(.*)$", UNIT, re.MULTILINE))


def test_it_is_what_the_unit_says() -> None:
    for setting in {*sandbox.HIDDEN.values()}:
        assert SETTINGS[setting] == "yes"
    # systemd.exec(5): what the two hide.
    assert {path for path, name in sandbox.HIDDEN.items() if name == "ProtectHome"} == {"/home", "/root", "/run/user"}
    assert {path for path, name in sandbox.HIDDEN.items() if name == "PrivateTmp"} == {"/tmp", "/var/tmp"}
    assert SETTINGS["ProtectSystem"] == "strict"
    written = {f"/var/lib/{SETTINGS['StateDirectory']}", f"/run/{SETTINGS['RuntimeDirectory']}"}
    assert written == {*sandbox.WRITABLE[:2]}


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/home/pi/key", "does not see /home (ProtectHome= of its unit): move it, for example to /etc/voice-appliance"),
        ("/root/clips", "does not see /root"),
        ("/run/user/1000/x", "does not see /run/user"),
        ("/tmp/x", "does not see /tmp (PrivateTmp="),
        ("/var/tmp/x", "does not see /var/tmp"),
        ("/etc/../home/pi", "does not see /home"),
        ("/media/pi/STICK/clips", "/media is there only while somebody is logged in"),
        ("/etc/voice-appliance/key", ""),
        ("/homes/x", ""),
        ("/usr/local/bin/lamp", ""),
        ("/srv/clips", ""),
    ],
)
def test_a_path_that_it_does_not_see(path: str, said: str) -> None:
    assert said in sandbox.objection(path) and bool(said) is bool(sandbox.objection(path))


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/var/lib/voice-appliance/said.jsonl", ""),
        ("/run/voice-appliance/control.sock", ""),
        ("/var/log/said.jsonl", "may not write there (ProtectSystem= of its unit): choose /var/lib/voice-appliance"),
        ("/tmp/said.jsonl", "its own and gone at the next start"),
        ("/home/pi/said.jsonl", "may not write there"),
    ],
)
def test_a_path_that_it_cannot_write(path: str, said: str) -> None:
    assert said in sandbox.objection_to_writing(path) and bool(said) is bool(sandbox.objection_to_writing(path))


def test_only_what_systemd_started_is_in_it(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.delenv("INVOCATION_ID", raising=False)
    with pytest.raises(CredentialError, match="write the key there"):
        read_key("/home/nobody/key", {})
    monkeypatch.setenv("INVOCATION_ID", "0123")
    with pytest.raises(CredentialError, match=r"No such file or directory; the service does not see /home"):
        read_key("/home/nobody/key", {})
    Clips("ml", "/home/nobody/clips").check()
    assert "no folder /home/nobody/clips (the service does not see /home" in caplog.text
