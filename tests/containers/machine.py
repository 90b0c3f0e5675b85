"""A real systemd as PID 1, from the outside: trees of Debian, the container, and a way to run commands in it.

Trees are made once by mmdebstrap, some 20 s and 500 MB each, and kept in ``$VOICE_APPLIANCE_CACHE`` (default
``~/.cache/voice-appliance``); nothing ever writes to them, for each container is an overlay that is forgotten. What
runs inside is started by the container's own agent (``inside/agent.py``): systemd deadlocks at its end when somebody
enters from outside (nsenter, measured). Needs root.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import files
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
INSIDE: Final = Path(__file__).parent / "inside"

SUITES: Final = ("trixie", "bookworm")
"""systemd 257 and 252: the two that Raspberry Pi OS has."""

PACKAGES: Final = (
    "systemd,systemd-sysv,dbus,udev,kmod,procps,python3,python3-systemd,python3-pyaudio,python3-numpy,"
    "pulseaudio,pulseaudio-utils,libasound2-plugins,ca-certificates"
)

FLEET: Final = "unattended-upgrades,systemd-journal-remote,stunnel4,openssl,cloud-init"
"""What a box of a fleet has besides, and the collector of its journals."""

BUILD_S: Final = 400
"""A tree over a slow mirror; 40 s here."""

BOOT_S: Final = 60
"""Until the agent answers; 2 s here."""


BUNDLED: Final = ("websockets", "gpiozero", "colorzero")
"""What Debian does not have, or not new enough."""


def lacking() -> str:
    """Why no container can be had here; empty if it can."""
    if os.geteuid() != 0:
        return "systemd-nspawn needs root"
    missing = [name for name in ("systemd-nspawn", "mmdebstrap") if shutil.which(name) is None]
    return f"not installed: {', '.join(missing)} (make test-containers installs them)" if missing else ""


def tree(suite: str, more: str = "") -> Path:
    """The folder with that Debian, and ``more`` packages; made now if it is not in the cache.

    Raises CalledProcessError, TimeoutExpired.
    """
    packages = ",".join(filter(None, (PACKAGES, more)))
    kind = f"fleet-{suite}" if more else suite
    cache = Path(os.environ.get("VOICE_APPLIANCE_CACHE") or Path.home() / ".cache" / "voice-appliance")
    digest = hashlib.sha256(packages.encode()).hexdigest()[:8]
    made = cache / f"{kind}-{digest}"
    cache.mkdir(parents=True, exist_ok=True)
    # Several test processes want the same one.
    with (cache / f"{kind}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            _build(made, suite, packages)
    return made


def _build(made: Path, suite: str, packages: str) -> None:
    """Make a tree; those with the packages of before go."""
    kind, cache = made.name.rpartition("-")[0], made.parent
    for former in cache.glob(f"{kind}-*"):
        shutil.rmtree(former)
    unfinished = made.with_name(f"{made.name}.unfinished")
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    source = f"deb [signed-by={keyring}] {_mirror()} {suite} main"
    options = ("--variant=minbase", f"--keyring={keyring}", f"--include={packages}", "--quiet")
    subprocess.run(("mmdebstrap", *options, suite, str(unfinished), source), check=True, timeout=BUILD_S)
    unfinished.rename(made)


def _mirror() -> str:
    """That of this machine's own apt. Raises RuntimeError if it has none of Debian's."""
    said = subprocess.run(
        ("apt-get", "indextargets", "--format=$(ORIGIN) $(REPO_URI)", "Created-By: Packages"),
        capture_output=True,
        text=True,
        check=False,
    )
    return mirror_of(said.stdout)


def mirror_of(targets: str) -> str:
    """Debian's mirror in what ``apt-get indextargets`` says: lines of origin and address. Raises RuntimeError."""
    for line in targets.splitlines():
        origin, _, address = line.partition(" ")
        if origin == "Debian" and "security" not in address:
            return address.rstrip("/")
    raise RuntimeError(
        "apt on this machine has no mirror of Debian: add one to /etc/apt/sources.list.d, run apt-get update"
    )


class Machine:
    """One container, from ``with`` to its end. ``share`` is seen inside as /share."""

    def __init__(self, suite: str, share: Path, more: str = "") -> None:
        """``more``: packages that the tree has besides."""
        self.suite = suite
        self._more = more
        self.share = share
        self._socket = share / "agent"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Machine:
        options = (
            f"--directory={tree(self.suite, self._more)}",
            "--volatile=overlay",
            f"--bind={self.share}:/share",
            f"--bind-ro={INSIDE / 'agent.service'}:/etc/systemd/system/agent.service",
            f"--machine=voice-appliance-{self.suite}-{os.getpid()}",
            # A loopback of its own: ports of this machine are neither seen nor taken.
            "--private-network",
            # Without these DeviceAllow= and the like are accepted and not enforced.
            "--capability=all",
            "--system-call-filter=bpf add_key keyctl",
            "--register=no",
            "--keep-unit",
            "--console=pipe",
            "--quiet",
        )
        with (self.share / "console.log").open("wb") as console:
            self._process = subprocess.Popen(
                ("systemd-nspawn", *options, "--boot", "systemd.wants=agent.service"),
                # Without it systemd 257 stops in silence on a machine with the older cgroups.
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
            )
        try:
            self._wait_for_agent()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        with contextlib.suppress(OSError):
            self._ask({"stop": True}, 5)
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def shell(self, script: str, timeout_s: float = 20) -> str:
        """What the script prints; an AssertionError with all of it if it fails."""
        status, output = self.attempt(script, timeout_s)
        assert status == 0, f"{script}\nended with {status}:\n{output}"
        return output.strip()

    def attempt(self, script: str, timeout_s: float = 20) -> tuple[int, str]:
        """Its exit status and what it prints."""
        answer = self._ask({"argv": ["/bin/bash", "-c", script], "timeout_s": timeout_s}, timeout_s + 5)
        return int(answer["status"]), str(answer["output"])

    def until(self, condition: Callable[[], bool], timeout_s: float = 15) -> float:
        """Wait for something inside; seconds it took. AssertionError when it does not come."""
        began_s = time.monotonic()
        while not condition():
            assert time.monotonic() - began_s < timeout_s, self.journal()
            time.sleep(0.1)
        return time.monotonic() - began_s

    def show(self, name: str, unit: str = "voice-appliance.service") -> str:
        """A property of a unit."""
        return self.shell(f"systemctl show --property={name} --value {unit}")

    def journal(self, options: str = "") -> str:
        """The service's lines of this boot."""
        return self.shell(f"journalctl --sync; journalctl --unit=voice-appliance.service --output=cat {options}")

    def put(self, path: str, text: str) -> None:
        """Write a file inside, as an editor would: at once."""
        (self.share / "put").write_text(text, encoding="utf-8")
        self.shell(f"cat /share/put > {path}")

    def _wait_for_agent(self) -> None:
        deadline_s = time.monotonic() + BOOT_S
        while True:
            try:
                self._ask({"argv": ["/bin/true"], "timeout_s": 5}, 10)
                return
            except OSError:
                assert self._process is not None
                if self._process.poll() is not None or time.monotonic() > deadline_s:
                    raise AssertionError((self.share / "console.log").read_text(errors="replace")) from None
                time.sleep(0.1)

    def _ask(self, request: dict[str, object], timeout_s: float) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout_s)
            connection.connect(str(self._socket))
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as answer:
                line = answer.readline()
        return dict(json.loads(line)) if line else {}


def another(deb: Path, version: str, made: Path, change: Callable[[Path], None]) -> None:
    """``deb`` as ``made``, under another version, after ``change`` of its files."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "tree")
        subprocess.run(("dpkg-deb", "--raw-extract", str(deb), str(tree)), check=True)
        control = tree / "DEBIAN" / "control"
        control.write_text(re.sub(r"(?m)^Version: .*$", f"Version: {version}", control.read_text()))
        change(tree)
        subprocess.run(("dpkg-deb", "--root-owner-group", "--build", str(tree), str(made)), check=True)


def fill(share: Path) -> None:
    """Everything that is needed inside: the agent, the virtual card, the program and its libraries, the units."""
    for path in INSIDE.iterdir():
        if path.is_file():
            shutil.copy(path, share)
    shutil.copytree(ROOT / "systemd", share / "systemd")
    program = share / "program"
    shutil.copytree(ROOT / "appliance", program / "appliance", ignore=shutil.ignore_patterns("__pycache__"))
    for source, target in _library_files():
        (program / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, program / target)


def _library_files() -> Iterator[tuple[Path, Path]]:
    for name in BUNDLED:
        for file in files(name) or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                yield Path(str(file.locate())), Path(file)


if __name__ == "__main__":
    # Before the tests, whose time limit is for themselves.
    if not lacking():
        for each in SUITES:
            tree(each)
            tree(each, FLEET)
