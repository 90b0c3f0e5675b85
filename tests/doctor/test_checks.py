"""The doctor's checks of machine, key and pins: on folders that look like a Pi's, programs that are shell scripts, and
gpiozero's mock."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gpiozero.pins.mock import MockFactory

from appliance.audio.levels import SILENCE_DBFS
from appliance.config import loader
from appliance.config.settings import CredentialSettings
from appliance.doctor import bundle, machine, panel, running, setup, sound
from appliance.doctor.finding import Finding, Grade, exit_code, fault, ok, skipped, warning
from appliance.doctor.machine import MachineFacts, Unit
from appliance.errors import UnavailableError
from appliance.panel.light import Pattern
from tests.support.mock_pins import mock_pins

KEY = "swaram_test_0123456789abcdef"
NOW_S = 1_800_000_000.0
"""January 2027."""

Put = Callable[[str, str], Path]
Program = Callable[[str, str], None]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Make a file below the machine's root."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / "root" / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Make a program that prints something; no others are installed."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def install(name: str, output: str) -> None:
        script = folder / name
        script.write_text(f"#!/bin/sh\necho '{output}'\n")
        script.chmod(0o755)

    return install


@pytest.fixture
def pi(tmp_path: Path) -> MachineFacts:
    return MachineFacts(tmp_path / "root")


def test_the_exit_code_says_the_worst() -> None:
    assert exit_code([]) == 0
    assert exit_code([ok("a", "b"), skipped("a", "b")]) == 0
    assert exit_code([ok("a", "b"), warning("a", "b", "c")]) == 1
    assert exit_code([fault("a", "b", "c"), warning("a", "b", "c"), ok("a", "b")]) == 2


# ---------------------------------------------------------------- key


def credentials(key_file: str = "", command: tuple[str, ...] = ()) -> CredentialSettings:
    return CredentialSettings(key_file, command, 10.0)


@pytest.mark.parametrize("text", ["", "unset\n", "two keys\n", "x" * 5000], ids=["empty", "unset", "two", "long"])
def test_a_file_that_holds_no_key(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    found = setup.key(credentials(), {}, str(path))
    assert found.verdict is Grade.FAULT and str(path) in found.line and "paste the key" in found.fix


def test_a_key_that_is_good(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(KEY)
    path.chmod(0o600)
    for found in (setup.key(credentials(), {}, str(path)), setup.key(credentials(str(path)), {})):
        assert found.verdict is Grade.OK and "0600" in found.line and KEY not in found.line
    assert setup.key(credentials(), {"SWARAM_API_KEY": KEY}, "/nowhere").verdict is Grade.OK
    assert setup.key(credentials(), {"SWARAM_API_KEY": "unset"}, "/nowhere").verdict is Grade.FAULT


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610])
def test_a_key_that_others_can_read(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    path.write_text(KEY)
    path.chmod(mode)
    found = setup.key(credentials(), {}, str(path))
    assert found.verdict is Grade.WARNING and found.fix == f"sudo chmod 600 {path}"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_a_key_that_is_somebody_elses(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(KEY)
    path.chmod(0o600)
    assert setup.key(credentials(str(path)), {}, service_user="nobody").verdict is Grade.FAULT, "root's alone"
    assert setup.key(credentials(str(path)), {}, service_user="root").verdict is Grade.OK
    os.chown(path, 65534, 65534)
    assert "chown root" in setup.key(credentials(), {}, str(path)).fix
    assert setup.key(credentials(str(path)), {}, service_user="nobody").verdict is Grade.OK
    assert "chown daemon" in setup.key(credentials(str(path)), {}, service_user="daemon").fix


def test_a_program_that_gives_tokens(tmp_path: Path) -> None:
    assert setup.key(credentials(command=("/bin/sh", "-c", "secret"))).verdict is Grade.OK
    found = setup.key(credentials(command=(str(tmp_path / "none"),)))
    assert found.verdict is Grade.FAULT and "token_command" in found.fix


def test_every_problem_of_a_configuration_is_said(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[talk]\nmode = 'loud'\n[panel]\nearcons = 3\n")
    settings, found = setup.configuration(str(path))
    assert settings is None and len(found) == 2
    assert all(one.verdict is Grade.FAULT and str(path) in one.line and one.fix for one in found)


# ---------------------------------------------------------------- clock, power, radio


async def test_a_clock_that_never_was_set(pi: MachineFacts, program: Program) -> None:
    found = await machine.clock(pi, 86_400.0)
    assert found.verdict is Grade.FAULT and "1970-01-02" in found.line and "NTP" in found.fix


async def test_a_clock_that_may_be_right(pi: MachineFacts, put: Put, program: Program) -> None:
    assert (await machine.clock(pi, NOW_S)).verdict is Grade.SKIPPED, "no timedatectl"
    program("timedatectl", "no")
    assert (await machine.clock(pi, NOW_S)).verdict is Grade.WARNING
    program("timedatectl", "yes")
    assert (await machine.clock(pi, NOW_S)).verdict is Grade.OK
    program("timedatectl", "no")
    put("/run/systemd/timesync/synchronized", "")
    assert (await machine.clock(pi, NOW_S)).verdict is Grade.OK


async def test_wifi_that_sleeps(pi: MachineFacts, put: Put, program: Program) -> None:
    assert (await machine.wifi(pi)).verdict is Grade.SKIPPED
    put("/sys/class/net/wlan0/operstate", "up\n")
    put("/sys/class/net/wlan0/wireless/none", "")
    put("/sys/class/net/eth0/operstate", "up\n")
    assert "iw" in (await machine.wifi(pi)).fix
    program("iw", "Power save: on")
    found = await machine.wifi(pi)
    assert found.verdict is Grade.WARNING and "wlan0" in found.line and "power_save off" in found.fix
    program("iw", "Power save: off")
    assert (await machine.wifi(pi)).verdict is Grade.OK
    put("/sys/class/net/wlan0/operstate", "down\n")
    assert (await machine.wifi(pi)).verdict is Grade.SKIPPED


@pytest.mark.parametrize(
    ("control", "delay", "verdict"),
    [("auto", "2000", Grade.WARNING), ("auto", "-1000", Grade.OK), ("on", "2000", Grade.OK)],
)
def test_usb_autosuspend(pi: MachineFacts, put: Put, control: str, delay: str, verdict: Grade) -> None:
    assert machine.usb(pi).verdict is Grade.SKIPPED
    device = "/sys/devices/usb1/1-1/1-1.2"
    put(f"{device}/idVendor", "08bb\n")
    put(f"{device}/product", "USB PnP Sound Device\n")
    put(f"{device}/power/control", f"{control}\n")
    put(f"{device}/power/autosuspend_delay_ms", f"{delay}\n")
    put(f"{device}/1-1.2:1.0/uevent", "")
    card = pi.path("/sys/class/sound/card1")
    card.mkdir(parents=True)
    (card / "device").symlink_to(pi.path(f"{device}/1-1.2:1.0"))
    found = machine.usb(pi)
    assert found.verdict is verdict
    assert verdict is Grade.OK or ("USB PnP" in found.line and "autosuspend=-1" in found.fix)


async def test_voltage(pi: MachineFacts, put: Put, program: Program) -> None:
    assert (await machine.voltage(pi)).verdict is Grade.SKIPPED
    put("/sys/class/hwmon/hwmon0/name", "cpu_thermal\n")
    put("/sys/class/hwmon/hwmon1/name", "rpi_volt\n")
    put("/sys/class/hwmon/hwmon1/in0_lcrit_alarm", "0\n")
    assert (await machine.voltage(pi)).verdict is Grade.OK
    program("vcgencmd", "throttled=0x50000")
    assert (await machine.voltage(pi)).verdict is Grade.WARNING
    program("vcgencmd", "throttled=0x0")
    assert (await machine.voltage(pi)).verdict is Grade.OK
    put("/sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n")
    assert (await machine.voltage(pi)).verdict is Grade.FAULT


def test_where_the_journal_is(pi: MachineFacts, put: Put) -> None:
    assert machine.journal(pi).verdict is Grade.SKIPPED
    put("/var/log/journal/4711/system.journal", "")
    assert machine.journal(pi).fix == ""
    put("/run/log/journal/4711/system.journal", "")
    found = machine.journal(pi)
    assert found.verdict is Grade.OK and "memory only" in found.line and "Storage=persistent" in found.fix


# ---------------------------------------------------------------- service and groups


async def test_the_unit_is_what_systemctl_says(pi: MachineFacts, put: Put, program: Program) -> None:
    assert await machine.unit(pi) == Unit({})
    put("/run/systemd/system/none", "")
    assert await machine.unit(pi) == Unit({}), "no systemctl"
    program("systemctl", "LoadState=not-found\nActiveState=inactive")
    assert await machine.unit(pi) == Unit({})
    program("systemctl", "LoadState=loaded\nActiveState=active\nUser=voice-appliance")
    assert (await machine.unit(pi)).user == "voice-appliance"


@pytest.mark.parametrize(
    ("properties", "verdict", "said"),
    [
        ({"ActiveState": "active", "UnitFileState": "enabled", "NRestarts": "0"}, Grade.OK, "active"),
        ({"ActiveState": "active", "UnitFileState": "disabled"}, Grade.WARNING, "systemctl enable"),
        ({"ActiveState": "active", "NRestarts": "3"}, Grade.WARNING, "3 times"),
        ({"ActiveState": "inactive"}, Grade.WARNING, "enable --now"),
        ({"ActiveState": "failed", "ExecMainStatus": "78"}, Grade.FAULT, "configuration is wrong"),
        ({"ActiveState": "failed", "Result": "watchdog", "ExecMainStatus": "6"}, Grade.FAULT, "watchdog"),
    ],
)
def test_the_state_of_the_service(pi: MachineFacts, properties: dict[str, str], verdict: Grade, said: str) -> None:
    found = machine.service(pi, Unit(properties), runs=False)
    assert found.verdict is verdict and said in f"{found.line} {found.fix}"
    assert machine.service(pi, Unit({}), runs=True).verdict is Grade.SKIPPED


def test_groups(pi: MachineFacts, put: Put) -> None:
    needed = ("audio", "gpio")
    put("/etc/group", "root:x:0:\naudio:x:29:voice-appliance\ngpio:x:997:pi\n")
    unit = Unit({"User": "voice-appliance"})
    found = machine.groups(pi, unit, needed)
    assert found.verdict is Grade.FAULT and "usermod -aG gpio voice-appliance" in found.fix
    supplied = Unit({"User": "voice-appliance", "SupplementaryGroups": "gpio"})
    assert machine.groups(pi, supplied, needed).verdict is Grade.OK
    put("/etc/group", "audio:x:29:voice-appliance\n")
    assert machine.groups(pi, unit, needed).verdict is Grade.WARNING, "no such group"
    assert machine.groups(pi, Unit({"User": ""}), needed).verdict is Grade.OK, "root"


# ---------------------------------------------------------------- sound and pins


@pytest.mark.parametrize(
    ("loudest_dbfs", "speech_dbfs", "asked", "verdict", "said"),
    [
        (SILENCE_DBFS, SILENCE_DBFS, True, Grade.FAULT, "muted, or dead"),
        (SILENCE_DBFS, SILENCE_DBFS, False, Grade.WARNING, "no sound at all, and nobody was asked to speak"),
        (-70.0, SILENCE_DBFS, False, Grade.OK, "-70 dBFS"),
        (-30.0, SILENCE_DBFS, True, Grade.WARNING, "no speech is heard, only hum or noise of -30 dBFS"),
        (-10.0, -60.0, True, Grade.WARNING, "too faint: -60 dBFS"),
        (-20.0, -25.0, True, Grade.OK, "-25 dBFS"),
        (-2.0, -3.0, True, Grade.WARNING, "too loud"),
    ],
)
def test_the_level_of_the_microphone(
    loudest_dbfs: float, speech_dbfs: float, asked: bool, verdict: Grade, said: str
) -> None:
    finding = sound.level(sound.MicrophoneCheck(loudest_dbfs, speech_dbfs, asked))
    assert finding.verdict is verdict and said in finding.line


def test_who_was_too_faint_for_a_hands_free_box() -> None:
    finding = sound.spoken_in_vain(-61.3)
    assert finding.verdict is Grade.WARNING and "-61 dBFS" in finding.line and "alsamixer" in finding.fix


@pytest.fixture
def pins() -> Iterator[MockFactory]:
    with mock_pins() as mock:
        yield mock


async def test_a_press_is_seen_and_the_light_shows(pins: MockFactory) -> None:
    settings = loader.load("/dev/null").panel
    assert panel.driver(settings) == Finding(panel.PINS, Grade.OK, "gpiozero uses mock")
    async with panel.taken(settings) as (box, _, pressed):
        box.show(Pattern.LISTENING)
        pins.pin(17).drive_low()
        async with asyncio.timeout(10):
            await pressed.wait()
            while pins.pin(27).state != 1:  # noqa: ASYNC110  (nobody would set an event)
                await asyncio.sleep(0.005)
    assert pins.pin(27).state == 0, "given back dark"
    assert panel.button("GPIO17", seen=False).verdict is Grade.FAULT and panel.light(False).verdict is Grade.FAULT


async def test_a_button_box_that_is_not_plugged_in(pins: MockFactory) -> None:
    settings = loader.load(None, {"panel.key.device": "no such box"}).panel
    assert panel.where(settings) == "GPIO17 or KEY_ENTER"
    assert panel.where(panel.without_pins(settings)) == "KEY_ENTER"
    async with panel.taken(settings) as (_, keys, _):
        found = panel.button_box(keys.trouble)
    assert found.verdict is Grade.FAULT and "no such box" in found.line and "voice-appliance keys" in found.fix


def test_nothing_is_wired() -> None:
    settings = loader.load(None, {"panel.button.gpio": 0, "panel.leds.kind": "none", "panel.leds.gpio": []}).panel
    assert panel.driver(settings).verdict is Grade.SKIPPED


# ---------------------------------------------------------------- the report


async def test_the_report_keeps_secrets(pi: MachineFacts, put: Put, program: Program, tmp_path: Path) -> None:
    own = "[tools.lamp]\ncommand = ['/bin/lamp', '--token', 'hush']\ndescription = 'the lamp of the shop'\n"
    link = "[link]\nproxy = 'http://user:hunter2@proxy.example:3128'\n"
    persona = "[service]\ninstructions = 'Never mention the debts'\n[speaker]\nvolume = 55\n"
    path = tmp_path / "config.toml"
    path.write_text(own + link + persona)
    said = 'turns: turn 3: the person said "private", the box answered "private too"'
    program("journalctl", f"the key is wrong\n{said}\nno session with {KEY}")
    put("/proc/asound/cards", " 0 [Device         ]: USB-Audio - USB PnP\n")
    put("/var/lib/voice-appliance/history.json", '{"version": 1, "days": {}}')
    put("/var/lib/voice-appliance/wire.jsonl", '{"t":0.0,"way":"=","type":"connected","host":"here","status":101}')
    text = await bundle.report(loader.load(path), {"state": "ready"}, [fault("key", f"no {KEY}", "write it")], pi)
    for secret in (KEY, "hunter2", "hush", "debts", "private"):
        assert secret not in text
    for wanted in (
        "-> write it",
        "volume = 55",
        "USB PnP",
        '"version": 1',
        "the key is wrong",
        'state = "ready"',
        '"type":"connected"',
    ):
        assert wanted in text
    assert len(text) < 65_536
    assert "sesame" not in await bundle.report(None, None, [fault("key", "open sesame", "")], pi, "sesame")
    assert "see above" in await bundle.report(None, None, [], pi)


async def test_of_a_long_record_the_report_has_the_end(
    pi: MachineFacts, put: Put, program: Program, tmp_path: Path
) -> None:
    put("/elsewhere.jsonl", "".join(f'{{"t":{number}}}\n' for number in range(100_000)))
    path = tmp_path / "config.toml"
    path.write_text("[log]\nrecord = '/elsewhere.jsonl'\n")
    text = await bundle.report(loader.load(path), None, [], pi)
    kept = [line for line in text.splitlines() if line.startswith('{"t"')]
    assert kept[-1] == '{"t":99999}' and 100_000 < sum(map(len, kept)) <= bundle.RECORD_CHARS


@pytest.mark.parametrize(
    ("cause", "is_active", "verdict", "is_somebodys"),
    [
        (TimeoutError(), False, Grade.FAULT, True),
        (PermissionError(), False, Grade.WARNING, True),
        (FileNotFoundError(), True, Grade.FAULT, True),
        (FileNotFoundError(), False, Grade.SKIPPED, False),
        (ConnectionRefusedError(), False, Grade.SKIPPED, False),
    ],
)
def test_a_daemon_that_cannot_be_asked_keeps_its_hardware(
    cause: OSError, is_active: bool, verdict: Grade, is_somebodys: bool
) -> None:
    error = UnavailableError("the daemon on /run/x does not answer; it may be hung")
    error.__cause__ = cause
    found = running._absent(error, "/run/x", is_active)
    assert found.verdict is verdict and running.is_somebodys(found) is is_somebodys


def test_a_limit_of_memory_that_does_nothing_is_told(pi: MachineFacts) -> None:
    assert machine.memory(pi).verdict is Grade.SKIPPED
    for name in ("/proc/cmdline", "/sys/fs/cgroup/cgroup.controllers"):
        pi.path(name).parent.mkdir(parents=True, exist_ok=True)
    pi.path("/proc/cmdline").write_text("console=tty1 cgroup_disable=memory rootwait\n")
    pi.path("/sys/fs/cgroup/cgroup.controllers").write_text("cpuset cpu io pids\n")
    found = machine.memory(pi)
    assert "not in force" in found.line and "cgroup_enable=memory" in found.fix
    # What the owner has added comes later on the line, and the kernel says what came of it.
    pi.path("/sys/fs/cgroup/cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    assert machine.memory(pi).line.startswith("in force")


@pytest.mark.parametrize("zone", ["Europe/London", "Etc/UTC", ""])
def test_a_zone_that_nobody_has_chosen_is_told(pi: MachineFacts, zone: str) -> None:
    pi.path("/etc").mkdir(parents=True)
    if zone:
        pi.path("/etc/localtime").symlink_to(f"/usr/share/zoneinfo/{zone}")
    found = machine.zone(pi)
    assert "as the system comes" in found.line and "timedatectl set-timezone" in found.fix


def test_a_zone_that_somebody_has_chosen_is_named(pi: MachineFacts) -> None:
    pi.path("/etc").mkdir(parents=True)
    pi.path("/etc/localtime").symlink_to("../usr/share/zoneinfo/Asia/Kolkata")
    found = machine.zone(pi)
    assert (found.line, found.fix) == ("Asia/Kolkata", "")
