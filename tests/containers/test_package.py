"""The Debian package as a person meets it: installed, upgraded, removed, purged; what is on the boot partition.

Each test has a container of its own, without the service.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers import machine as bed
from tests.containers.machine import INSIDE, ROOT, Machine

KEY = "swaram_right_0123456789"

INSTALL = (
    "DEBIAN_FRONTEND=noninteractive apt-get --yes --no-install-recommends -o Dpkg::Options::=--force-confdef "
    "-o Dpkg::Options::=--force-confold install /share/{}"
)
"""What `make install` does; the containers have no network, and so none of what is only recommended."""

STARTED = "39f53479d3a045ac8e11786248231fbf"
"""systemd's MESSAGE_ID for a unit that has started."""

FILES = (
    "find / -xdev \\( -path /proc -o -path /sys -o -path /run -o -path /dev -o -path /tmp -o -path /share"
    " -o -path /var/log -o -path /var/cache -o -path /var/lib/apt -o -path /var/lib/dpkg -o -path /var/tmp \\)"
    " -prune -o -print | sort"
)
"""What stays when a machine is switched off, but logs and the package manager's own books."""


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package, ``now.deb``, and ``later.deb``: a later version with another default file."""
    if reason := bed.lacking():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("packages")
    subprocess.run((ROOT / "systemd" / "build-deb", "/usr/bin/python3", str(folder)), check=True, timeout=300)
    (made,) = folder.glob("*.deb")
    made.rename(folder / "now.deb")

    def add(tree: Path) -> None:
        with (tree / "usr/share/voice-appliance/config.toml").open("a") as default:
            default.write("# the packager's addition\n")

    bed.another(folder / "now.deb", "99", folder / "later.deb", add)
    return folder


@pytest.fixture(params=bed.SUITES)
def bare(request: pytest.FixtureRequest, packages: Path, tmp_path: Path) -> Iterator[Machine]:
    """A container without the service, and the packages in /share. Its card is missing, as on a first start."""
    for path in (*INSIDE.iterdir(), *packages.iterdir(), ROOT / "hardware/fleet/group-package"):
        if path.is_file():
            shutil.copy(path, tmp_path)
    with Machine(request.param, tmp_path, bed.FLEET) as container:
        yield container


def starts(container: Machine) -> int:
    lines = container.shell(
        f"journalctl --sync; journalctl --unit=voice-appliance.service MESSAGE_ID={STARTED} --output=cat"
    )
    return len(lines.splitlines())


def active(container: Machine) -> bool:
    return str(container.show("ActiveState")) == "active"


@pytest.mark.timeout(180)
def test_a_package_leaves_what_debian_expects_at_each_step_of_its_life(bare: Machine) -> None:
    before = bare.shell(FILES).splitlines()
    bare.shell(INSTALL.format("now.deb"), timeout_s=60)
    assert active(bare)
    enabled = bare.shell(
        "systemctl is-enabled voice-appliance.service voice-appliance-key.path voice-appliance-provision"
    )
    assert enabled.split() == ["enabled"] * 3
    assert bare.shell("stat --format='%a %U %s' /etc/voice-appliance/key") == "600 root 0"
    assert bare.shell("stat --format='%a %U' /etc/voice-appliance/config.toml") == "644 root"
    assert "cpython" in bare.shell("ls /usr/lib/voice-appliance/appliance/__pycache__")
    assert bare.shell("voice-appliance --version").startswith("voice-appliance ")
    # Its own libraries, not those that the system may have.
    where = "import sys; sys.argv = ['x', '--version']; exec(open('/usr/bin/voice-appliance').read().replace("
    where += "'sys.exit(main())', 'import websockets, gpiozero; print(websockets.__file__, gpiozero.__file__)'))"
    assert bare.shell(f'python3 -sP -c "{where}"').count("/usr/lib/voice-appliance/vendor/") == 2
    assert bare.shell("dpkg --verify voice-appliance") == ""

    bare.shell("echo '# the owner was here' >> /etc/voice-appliance/config.toml")
    former, started = bare.show("MainPID"), starts(bare)
    bare.shell(INSTALL.format("later.deb"), timeout_s=60)
    bare.until(lambda: active(bare) and bare.show("MainPID") != former)
    bare.until(lambda: bare.show("ActiveState", "voice-appliance-restart.service") == "inactive")
    assert starts(bare) == started + 1
    assert "the owner was here" in bare.shell("cat /etc/voice-appliance/config.toml")
    assert "packager" not in bare.shell("cat /etc/voice-appliance/config.toml")
    # Again, with nothing new: still one service, still the owner's file.
    bare.shell(INSTALL.format("later.deb"), timeout_s=60)
    assert active(bare)

    bare.shell("apt-get --yes remove voice-appliance", timeout_s=60)
    assert bare.show("LoadState") == "not-found"
    assert bare.shell("pgrep --uid voice-appliance; true") == ""
    assert bare.shell("ls /usr/lib/voice-appliance /usr/bin/voice-appliance 2>/dev/null; true") == ""
    kept = bare.shell("ls /etc/voice-appliance").split()
    assert kept == ["config.toml", "key"]
    assert bare.shell("ls -d /var/lib/voice-appliance") == "/var/lib/voice-appliance"

    bare.shell("apt-get --yes purge voice-appliance", timeout_s=60)
    left = set(bare.shell(FILES).splitlines()) - set(before)
    # systemd-sysusers' backups; the user itself stays, by Debian's custom.
    assert left <= {"/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-"}
    assert bare.shell("dpkg --audit; systemctl --failed --no-legend") == ""


@pytest.mark.timeout(120)
def test_a_first_install_says_that_the_key_is_missing_and_takes_it_when_it_comes(bare: Machine) -> None:
    bare.shell(INSTALL.format("now.deb"), timeout_s=60)
    bare.shell("voice-appliance ctl tap")
    bare.until(lambda: "holds no key" in bare.journal())
    assert "fault_" in bare.shell("voice-appliance ctl status")
    tried = bare.journal()
    bare.shell(f"echo {KEY} > /etc/voice-appliance/key")
    bare.until(lambda: "no internet" in bare.journal()[len(tried) :] or "network" in bare.journal()[len(tried) :], 10)
    assert KEY not in bare.journal()


@pytest.mark.timeout(120)
def test_key_and_settings_on_the_boot_partition_are_taken_over_at_the_start(bare: Machine) -> None:
    bare.shell(
        "mkdir -p /boot/firmware;"
        f"printf '\\357\\273\\277{KEY}\\r\\n' > /boot/firmware/voice-appliance.key;"
        "printf 'talk.mode = \"hold\"\\r\\n' > /boot/firmware/voice-appliance.toml"
    )
    bare.shell(INSTALL.format("now.deb"), timeout_s=60)
    assert bare.shell("ls /boot/firmware") == ""
    assert bare.shell("cat /etc/voice-appliance/key") == KEY
    assert bare.shell("stat --format='%a %U' /etc/voice-appliance/key /etc/voice-appliance/config.toml").split(
        "\n"
    ) == [
        "600 root",
        "644 root",
    ]
    assert bare.shell("voice-appliance config --dump | grep '^mode ='").startswith('mode = "hold"')
    assert bare.shell("cat /run/credentials/voice-appliance.service/api-key") == KEY
    started = starts(bare)

    bare.shell("echo 'talk.mode = \"shout\"' > /boot/firmware/voice-appliance.toml; systemctl restart voice-appliance")
    assert active(bare)
    assert starts(bare) == started + 1
    assert bare.shell("ls /boot/firmware").split() == ["voice-appliance.toml", "voice-appliance.txt"]
    assert "talk.mode" in bare.shell("cat /boot/firmware/voice-appliance.txt")
    said = bare.shell("journalctl --sync; journalctl --unit='voice-appliance*' --output=cat")
    assert "/boot/firmware/voice-appliance.toml:1: talk.mode" in said
    # Who has no computer at hand sees it, and who has asks the box.
    assert "talk.mode" in bare.journal() and "talk.mode" in bare.shell("voice-appliance ctl status")
    bare.until(lambda: bare.shell("voice-appliance ctl status | grep '^light '").split()[1].startswith("fault_"))
    assert "boot partition" in bare.attempt("voice-appliance doctor --no-ask")[1]
    assert KEY not in said


@pytest.mark.timeout(120)
def test_a_wrong_configuration_does_not_take_the_box_out_of_service(bare: Machine) -> None:
    bare.shell(INSTALL.format("now.deb"), timeout_s=60)
    bare.until(lambda: bare.attempt("test -e /var/lib/voice-appliance/last-good.toml")[0] == 0)
    bare.shell("echo 'talk.mode = \"shout\"' >> /etc/voice-appliance/config.toml; systemctl restart voice-appliance")
    assert active(bare)
    assert "talk.mode" in bare.shell("voice-appliance ctl status")
    assert "the last one that worked is in force" in bare.journal()
    bare.shell("sed --in-place '$d' /etc/voice-appliance/config.toml; systemctl reload voice-appliance")
    bare.until(lambda: "talk.mode" not in bare.shell("voice-appliance ctl status"))
    bare.shell("systemctl stop voice-appliance")
    assert "fault_microphone" in bare.shell("voice-appliance ctl history")
    assert bare.shell("stat --format=%a /var/lib/voice-appliance/history.json") == "600"


@pytest.mark.timeout(120)
def test_a_kill_leaves_no_box_dead_and_a_stop_stops_it(bare: Machine) -> None:
    bare.shell(INSTALL.format("now.deb"), timeout_s=60)
    former = bare.show("MainPID")
    bare.shell(f"kill {former}")
    bare.until(lambda: active(bare) and bare.show("MainPID") not in ("0", former))
    bare.shell("systemctl stop voice-appliance; sleep 3")
    assert bare.show("ActiveState") == "inactive"


@pytest.mark.timeout(120)
def test_a_reload_that_is_refused_is_an_error_of_systemctl(bare: Machine) -> None:
    bare.shell(INSTALL.format("now.deb"), timeout_s=60)
    former = bare.show("MainPID")
    bare.shell("systemctl reload voice-appliance")
    bare.shell("echo 'talk.mode = \"shout\"' >> /etc/voice-appliance/config.toml")
    assert bare.attempt("systemctl reload voice-appliance")[0] != 0
    assert active(bare) and bare.show("MainPID") == former
    bare.until(lambda: "the former stays in force" in bare.journal())


@pytest.mark.timeout(120)
def test_the_sound_driver_is_loaded_before_the_service(bare: Machine) -> None:
    bare.shell(INSTALL.format("now.deb"), timeout_s=60)
    assert "modprobe@snd.service" in bare.show("After") and "modprobe@snd.service" in bare.show("Wants")


@pytest.mark.timeout(120)
def test_the_version_is_the_packages(bare: Machine) -> None:
    bare.shell(INSTALL.format("now.deb"), timeout_s=60)
    version = bare.shell("dpkg-query --show --showformat='${Version}' voice-appliance")
    assert bare.shell("voice-appliance --version") == f"voice-appliance {version}"
    assert version in bare.shell("voice-appliance ctl status")
    assert bare.shell("journalctl --sync; journalctl VERSION=" + version + " EVENT=ready --output=cat")


@pytest.mark.timeout(120)
def test_the_settings_of_a_group_come_with_a_package_and_go_with_it(bare: Machine) -> None:
    bare.shell(INSTALL.format("now.deb"), timeout_s=60)
    former = bare.show("MainPID")
    bare.put("/tmp/shops.toml", "speaker.volume = 31\n")
    bare.shell(
        "sh /share/group-package shops 1 /tmp/shops.toml /tmp; dpkg --install /tmp/voice-appliance-group-shops_*.deb"
    )
    volume = "voice-appliance ctl status | grep '^volume '"
    bare.until(lambda: bare.shell(volume).split()[1] == "31")
    assert bare.show("MainPID") == former
    bare.shell("dpkg --remove voice-appliance-group-shops")
    bare.until(lambda: bare.shell(volume).split()[1] == "80")
