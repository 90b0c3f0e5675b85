"""The kiosk's browser: what is installed, and what it is started with."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KIOSK = ROOT / "systemd" / "kiosk"
TOKEN = "a-token-that-is-nobodys-business"


def program(folder: Path, name: str) -> None:
    """A program that writes down what it was started with."""
    path = folder / name
    path.write_text(f'#!/bin/sh\nprintf "%s\\n" {name} "$@" > "$RUNTIME_DIRECTORY/started"\n')
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("installed", "expected"), [(("cog", "cage", "chromium"), "cog"), (("cage", "chromium"), "cage")]
)
def test_the_browser_that_is_there_is_started_and_the_token_is_in_no_list_of_processes(
    installed: tuple[str, ...], expected: str, tmp_path: Path
) -> None:
    programs, home, credentials = tmp_path / "bin", tmp_path / "home", tmp_path / "credentials"
    for folder in (programs, home, credentials):
        folder.mkdir()
    for name in installed:
        program(programs, name)
    for name in ("cat", "sh"):
        (programs / name).symlink_to(str(shutil.which(name)))
    (credentials / "page-token").write_text(TOKEN + "\n")
    environment = {
        "PATH": str(programs),
        "RUNTIME_DIRECTORY": str(home),
        "CREDENTIALS_DIRECTORY": str(credentials),
        "SCREEN_ROTATION": "90",
    }
    subprocess.run((KIOSK / "browser",), env=environment, check=True, timeout=10)
    started = (home / "started").read_text().splitlines()
    assert started[0] == expected
    assert started[-1] == f"file://{home}/start.html"
    assert not any(TOKEN in argument for argument in started)
    assert f"url=http://127.0.0.1:8080/#{TOKEN}" in (home / "start.html").read_text()
    if expected == "cog":
        assert "--platform-params=renderer=gles,rotation=1" in started


def test_install_and_remove_leave_what_they_found(tmp_path: Path) -> None:
    environment = {**os.environ, "DESTDIR": str(tmp_path)}
    subprocess.run((KIOSK / "install",), env=environment, check=True, timeout=10)
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {
        "etc/systemd/system/voice-appliance-kiosk.service",
        "etc/sysusers.d/voice-appliance-kiosk.conf",
        "usr/local/libexec/voice-appliance-kiosk",
    }
    subprocess.run((KIOSK / "install", "remove"), env=environment, check=True, timeout=10)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_the_unit_and_the_browser_mean_the_same_port_and_program() -> None:
    port = "127.0.0.1:8080"
    assert f"ListenStream={port}\n" in (ROOT / "systemd" / "voice-appliance-page.socket").read_text()
    assert "${PAGE_PORT:-8080}" in (KIOSK / "browser").read_text()
    unit = (KIOSK / "voice-appliance-kiosk.service").read_text()
    assert "ExecStart=/usr/local/libexec/voice-appliance-kiosk\n" in unit
