"""A broken configuration of ALSA's: the sound host says file and line, and goes on when it is mended."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.commands import devices
from appliance.errors import UnavailableError
from appliance.soundhost import alsa_config, messages

BROKEN = {
    "pcm.!default {\n type hw\n card 1\n": "line 4, column 0: Unexpected char",
    "pcm.x { type hw }\nctl.x { type hw card = = }\n": "line 3, column 0: Unexpected char",
    'pcm.!default "hw:\n': "line 2, column 0: Unexpected end of file",
    "pcm.x { type hw }\n}\n": "line 2, column 1: Unexpected }",
    "</no/such/file.conf>\n": "line 1, column 20: No such file or directory: /no/such/file.conf",
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / ".asoundrc"


@pytest.fixture
def link(home: Path) -> Iterator[socket.socket]:
    """To a sound host whose configuration is ``home``."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    host = subprocess.Popen(
        (sys.executable, "-m", "appliance.soundhost.host", "capture", str(theirs.fileno())),
        pass_fds=(theirs.fileno(),),
        stderr=subprocess.DEVNULL,
    )
    theirs.close()
    ours.settimeout(15)
    yield ours
    ours.close()
    host.kill()
    host.wait()


def asked(link: socket.socket, request: bytes) -> messages.FromHost:
    link.send(request)
    while isinstance(said := messages.unpack_from_host(link.recv(messages.LARGEST_BYTES)), messages.Trying):
        pass
    return said


@pytest.mark.parametrize("content", BROKEN)
def test_file_and_line_are_told_and_a_mended_one_is_read(link: socket.socket, home: Path, content: str) -> None:
    home.write_text(content)
    for request in (messages.LIST, messages.pack(messages.Open("usbmic", 0, 0, 20)), messages.LIST):
        failed = asked(link, request)
        assert isinstance(failed, messages.Failed)
        assert failed.reason == f"{home}, {BROKEN[content]}; {alsa_config.ADVICE}"
    home.write_text("")
    assert isinstance(asked(link, messages.LIST), messages.Listing)


def test_the_command_says_it_too(home: Path) -> None:
    home.write_text("pcm.x {\n")
    with pytest.raises(UnavailableError, match=f"no devices: {home}, line 2"):
        devices.listing()


def test_a_good_configuration_has_no_fault(home: Path) -> None:
    home.write_text("")
    code = (
        "import os; from appliance.soundhost import alsa_config; print(repr(alsa_config.fault())); os.write(2, b'kept')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, env=os.environ.copy(), check=True)
    assert ended.stdout == b"''\n" and ended.stderr == b"kept"


def test_other_complaints_of_alsas_are_no_fault_of_its_files() -> None:
    assert alsa_config.trouble("ALSA lib confmisc.c:855:(parse_card) cannot find card '0'\n") == ""
    assert alsa_config.trouble("") == ""
