"""The machine below the box: its clock, rights, service, power and radio.

Files are read below ``MachineFacts.root``, so that a test gives a folder. Programs (systemctl, iw, vcgencmd) are asked
by name and found in PATH; where one is not installed, what it would tell is skipped.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.errors import ProgramError
from appliance.link.handshake import EARLIEST_S
from appliance.system import program
from appliance.system.wall_clock import TIMESYNCD_MARK

from .finding import Finding, fault, ok, skipped, warning

UNIT: Final = "voice-appliance.service"

ASK_TIMEOUT_S: Final = 10.0
"""systemctl and iw answer in tens of milliseconds; a Pi that is short of memory is slower (not measured)."""

ASK_BYTES: Final = 1 << 18

CLOCK: Final = "clock"
GROUPS: Final = "groups"
SERVICE: Final = "systemd"
WIFI: Final = "Wi-Fi power save"
USB: Final = "USB autosuspend"
POWER: Final = "power supply"
JOURNAL: Final = "journal"
MEMORY: Final = "memory limit"
ZONE: Final = "time zone"

AS_IT_COMES: Final = ("Europe/London", "Etc/UTC", "")
"""Zones that Raspberry Pi OS and Debian have when nobody has said where the box is."""

KEEP_JOURNAL: Final = (
    "to keep it: sudo mkdir -p /etc/systemd/journald.conf.d; "
    r"printf '[Journal]\nStorage=persistent\nSystemMaxUse=50M\n' "
    "| sudo tee /etc/systemd/journald.conf.d/60-keep.conf; sudo systemctl restart systemd-journald; "
    "sudo journalctl --flush"
)
"""The name sorts behind the 40-rpi-volatile-storage.conf of Raspberry Pi OS, which says the opposite."""

UNDERVOLTAGE_NOW: Final = 0x1
UNDERVOLTAGE_SEEN: Final = 0x10000
"""Bits of ``vcgencmd get_throttled``; from the Raspberry Pi documentation's page on vcgencmd."""

BETTER_SUPPLY: Final = "the Pi's own supply, and a short thick cable (hardware/power.md); a hub of its own for USB"


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """This machine, or what a test makes of one."""

    root: Path = Path("/")

    def path(self, name: str) -> Path:
        """``name``, an absolute path, below the root."""
        return self.root / name.lstrip("/")

    def text(self, name: str) -> str:
        """What stands in a file, without the blanks around it; empty if it cannot be read."""
        try:
            return self.path(name).read_text(encoding="utf-8", errors="replace").strip("\0 \n\t")
        except OSError:
            return ""

    async def ask(self, *command: str) -> str | None:
        """What a program says; None if it is not there, or fails."""
        try:
            return (await program.run(command, b"", ASK_TIMEOUT_S, ASK_BYTES)).decode(errors="replace").strip()
        except ProgramError:
            return None

    @property
    def has_systemd(self) -> bool:
        """It was started by systemd (sd_booted(3))."""
        return self.path("/run/systemd/system").is_dir()


@dataclass(frozen=True, slots=True)
class Unit:
    """The service as systemd has it: ``systemctl show``. Empty where there is no such unit, or no systemd."""

    properties: dict[str, str]

    @property
    def user(self) -> str:
        """Who the daemon runs as; "" if there is no unit."""
        return (self.properties.get("User") or "root") if self.properties else ""

    @property
    def is_active(self) -> bool:
        """Its daemon runs."""
        return self.properties.get("ActiveState") == "active"


async def unit(machine: MachineFacts) -> Unit:
    """The service as it is now."""
    names = "LoadState,ActiveState,Result,NRestarts,ExecMainStatus,UnitFileState,User,Group,SupplementaryGroups,MainPID"
    said = await machine.ask("systemctl", "show", UNIT, f"--property={names}") if machine.has_systemd else None
    properties = dict(line.partition("=")[::2] for line in (said or "").splitlines())
    return Unit(properties if properties.get("LoadState") == "loaded" else {})


def service(machine: MachineFacts, found: Unit, *, runs: bool) -> Finding:
    """Whether systemd keeps the box alive. ``runs``: a daemon answers, whoever started it."""
    state = found.properties
    if not state:
        why = "not installed as a service" if machine.has_systemd else "this machine is not run by systemd"
        return skipped(SERVICE, f"{why}{'; a daemon runs all the same' if runs else ''}")
    active, result = state.get("ActiveState", ""), state.get("Result", "")
    if active == "failed":
        status = state.get("ExecMainStatus", "")
        reason = "the configuration is wrong" if status == "78" else f"{result}, status {status}"
        return fault(
            SERVICE, f"the service has failed: {reason}", f"journalctl -u {UNIT}, then sudo systemctl restart it"
        )
    if active in ("inactive", "deactivating"):
        return warning(SERVICE, "the service does not run", f"sudo systemctl enable --now {UNIT}")
    if state.get("UnitFileState") == "disabled":
        return warning(SERVICE, "the service runs, but does not start with the box", f"sudo systemctl enable {UNIT}")
    restarts = state.get("NRestarts", "0")
    if restarts not in ("", "0"):
        return warning(
            SERVICE, f"{active}; it came back from a failure {restarts} times", f"journalctl -u {UNIT} says why"
        )
    return ok(SERVICE, active)


def groups(machine: MachineFacts, found: Unit, needed: Sequence[str]) -> Finding:
    """Whether who runs the daemon may use sound and pins. Without a unit that is whoever asks."""
    members: dict[str, set[str]] = {}
    numbers: dict[int, str] = {}
    for line in machine.text("/etc/group").splitlines():
        if len(fields := line.split(":")) == 4 and fields[2].isdigit():
            members[fields[0]] = set(fields[3].split(","))
            numbers[int(fields[2])] = fields[0]
    if found.user:
        user = found.user
        mine = {name for name, users in members.items() if user in users}
        mine.update(found.properties.get("SupplementaryGroups", "").split())
    else:
        user = "root" if os.getuid() == 0 else "$USER"
        mine = {numbers.get(number, "") for number in os.getgroups()}
    if user == "root":
        return ok(GROUPS, "root needs none")
    absent = [name for name in needed if name not in members]
    if absent:
        fix = (
            f"sudo groupadd --system {absent[0]}, with a udev rule for its devices (hardware/61-voice-appliance.rules)"
        )
        return warning(GROUPS, f"this system has no group {', '.join(absent)}", fix)
    missing = [name for name in needed if name not in mine]
    if missing:
        then = f"sudo systemctl restart {UNIT}" if found.user else "log in again"
        return fault(
            GROUPS, f"{user} is not in {', '.join(missing)}", f"sudo usermod -aG {','.join(missing)} {user}; {then}"
        )
    return ok(GROUPS, f"{user} is in {', '.join(needed)}")


async def clock(machine: MachineFacts, now_s: float | None = None) -> Finding:
    """Whether the wall clock can be right, and whether anything sets it. ``now_s``: seconds since 1970."""
    now_s = time.time() if now_s is None else now_s
    says = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(now_s))
    fix = "let it reach the network, and let that pass NTP (UDP port 123); sudo timedatectl set-ntp true"
    if now_s < EARLIEST_S:
        return fault(CLOCK, f"the clock is wrong: it says {says}; no certificate is valid then", fix)
    if machine.path(TIMESYNCD_MARK).exists():
        return ok(CLOCK, f"{says}, set from the network")
    said = await machine.ask("timedatectl", "show", "--property=NTPSynchronized", "--value")
    if said is None:
        return skipped(CLOCK, f"{says}; nobody here can tell whether that is so")
    if said != "yes":
        return warning(CLOCK, f"{says}, and nothing has set it since the start", fix)
    return ok(CLOCK, f"{says}, set from the network")


async def wifi(machine: MachineFacts) -> Finding:
    """Power save makes an idle radio deaf for up to some 100 ms at a time, and some access points lose it."""
    folder = machine.path("/sys/class/net")
    radios = sorted(path.parent.name for path in folder.glob("*/wireless") if _is_up(path.parent))
    if not radios:
        return skipped(WIFI, "no Wi-Fi in use")
    for radio in radios:
        said = await machine.ask("iw", "dev", radio, "get", "power_save")
        if said is None:
            return skipped(WIFI, f"{radio}: iw does not tell", "sudo apt-get install iw")
        if said.endswith("on"):
            fix = (
                f"sudo iw dev {radio} set power_save off, until the next start; for good: "
                "sudo nmcli connection modify NAME wifi.powersave disable (nmcli connection shows the NAME)"
            )
            return warning(WIFI, f"{radio} sleeps between packets: answers come late, and links get lost", fix)
    return ok(WIFI, f"{', '.join(radios)}: off")


def _is_up(interface: Path) -> bool:
    try:
        return (interface / "operstate").read_text().strip() != "down"
    except OSError:
        return False


def usb(machine: MachineFacts) -> Finding:
    """Whether the kernel may put a USB sound card to sleep: some do not wake up well."""
    cards = sorted(machine.path("/sys/class/sound").glob("card[0-9]*/device"))
    devices = {card.resolve().parent for card in cards}
    on_usb = sorted(device for device in devices if (device / "idVendor").exists())
    if not on_usb:
        return skipped(USB, "no sound card on USB")
    for device in on_usb:
        if _line(device / "power/control") == "auto" and not _line(device / "power/autosuspend_delay_ms").startswith(
            "-"
        ):
            name = _line(device / "product") or device.name
            fix = "add usbcore.autosuspend=-1 to the line of /boot/firmware/cmdline.txt, and restart the Pi"
            return warning(USB, f'the kernel may put "{name}" to sleep', fix)
    return ok(USB, "off for the sound cards")


def _line(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


async def voltage(machine: MachineFacts) -> Finding:
    """Undervoltage drops USB devices and spoils cards. A Zero does not measure it."""
    monitors = machine.path("/sys/class/hwmon").glob("hwmon*/name")
    alarms = [_line(name.parent / "in0_lcrit_alarm") for name in monitors if _line(name) == "rpi_volt"]
    said = await machine.ask("vcgencmd", "get_throttled")
    bits = int(seen[1], 16) if said and (seen := re.search(r"=(0x[0-9a-fA-F]+)", said)) else 0
    if "1" in alarms or bits & UNDERVOLTAGE_NOW:
        return fault(POWER, "too little voltage now: USB devices drop out", BETTER_SUPPLY)
    if bits & UNDERVOLTAGE_SEEN:
        return warning(POWER, "there was too little voltage since the start", BETTER_SUPPLY)
    if not alarms and said is None:
        return skipped(POWER, "this board does not measure it")
    return ok(POWER, "no undervoltage")


def journal(machine: MachineFacts) -> Finding:
    """Where the journal is; that of Raspberry Pi OS is in memory, and gone with the plug."""
    if any(machine.path("/run/log/journal").glob("*/*.journal")):
        return ok(JOURNAL, "in memory only: a power cut takes it along", KEEP_JOURNAL)
    if any(machine.path("/var/log/journal").glob("*/*.journal")):
        return ok(JOURNAL, "kept on the card")
    return skipped(JOURNAL, "no journal that this user may see")


def memory(machine: MachineFacts) -> Finding:
    """Whether the unit's ``MemoryMax=`` does anything. The firmware of a Pi switches the kernel's part in it off."""
    controllers = machine.text("/sys/fs/cgroup/cgroup.controllers").split()
    if "memory" in controllers:
        return ok(MEMORY, "in force: a leak ends the box, and not the Pi")
    if "cgroup_disable=memory" in machine.text("/proc/cmdline").split():
        fix = "to have it: add cgroup_enable=memory to the line of /boot/firmware/cmdline.txt, and restart the Pi"
        return ok(MEMORY, "not in force: this system's firmware says cgroup_disable=memory", fix)
    return skipped(MEMORY, "this system has no such limits")


def zone(machine: MachineFacts) -> Finding:
    """By which zone the box tells the time, and counts its days."""
    link = machine.path("/etc/localtime")
    _, _, name = str(link.readlink()).partition("/zoneinfo/") if link.is_symlink() else ("", "", "")
    if name in AS_IT_COMES:
        said = f"{name or 'none is set'}, as the system comes: the box tells the time by it"
        return ok(ZONE, said, "sudo timedatectl set-timezone Asia/Kolkata, or wherever it is; then restart the service")
    return ok(ZONE, name)
