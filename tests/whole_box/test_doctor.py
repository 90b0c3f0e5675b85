"""The doctor on a virtual box: silent when all is well, and for each trouble the cause and what to do; with no daemon,
and with one whose hardware and session it must not open a second time."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gpiozero import Device

from appliance.box.box import Box
from appliance.config import loader
from appliance.doctor import panel
from appliance.doctor.doctor import Doctor
from appliance.doctor.finding import Finding, Grade, exit_code
from appliance.doctor.machine import MachineFacts
from appliance.doctor.person import Person
from appliance.simulator.scenario import Close, Connection, Moment, Scenario, Step
from appliance.simulator.service import Service
from appliance.simulator.settings import SimulatorSettings
from appliance.simulator.virtual_card import VirtualCard
from appliance.system import wall_clock
from tests.support.rig import KEY, in_time, question

pytestmark = pytest.mark.usefixtures("quiet_room")

BUTTON = 17
"""Where the configuration has it."""

AS_BEFORE = ("state", "link", "light", "turn", "muted_by", "volume", "microphone", "speaker", "fault")
"""What a running box must show afterwards as before."""


@pytest.fixture(autouse=True)
def pins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test finds its pin driver anew."""
    monkeypatch.setattr(Device, "pin_factory", None)
    yield
    if Device.pin_factory is not None:
        Device.pin_factory.reset()


@dataclass
class Bench:
    """A box that is not built yet: its key, its configuration, the service it will talk to."""

    folder: Path
    card: VirtualCard
    monkeypatch: pytest.MonkeyPatch
    key: str = KEY
    settings: SimulatorSettings = field(default_factory=lambda: SimulatorSettings(key=KEY, max_connections=1))
    scenario: Scenario = field(default_factory=Scenario)
    tls: ssl.SSLContext | None = None
    overrides: dict[str, Any] = field(default_factory=dict)

    def write(self, url: str) -> str:
        """The configuration's file."""
        key_file = self.folder / "key"
        if self.key:
            key_file.write_text(self.key)
            key_file.chmod(0o600)
        values = {
            "service.url": url,
            "credentials.key_file": str(key_file),
            "link.connect_timeout_s": 5.0,
            "microphone.device": self.card.microphone,
            "speaker.device": self.card.speaker,
            "control.socket": str(self.folder / "control.sock"),
            **self.overrides,
        }
        path = self.folder / "config.toml"
        # A JSON text or number is one of TOML, too.
        path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()))
        return str(path)


def nothing(bench: Bench) -> None:
    """All is well."""


def no_key(bench: Bench) -> None:
    bench.key = ""


def wrong_key(bench: Bench) -> None:
    bench.settings = SimulatorSettings(key="swaram_another_0123456789")


def no_credits(bench: Bench) -> None:
    bench.scenario = Scenario(connections=(Connection(steps=(Step(on=Moment.OPEN, do=Close(code=4003)),)),))


def no_network(bench: Bench) -> None:
    # RFC 6761: no resolver knows a name below .invalid.
    bench.overrides["service.url"] = "wss://voice.invalid/v1/realtime"


AUTHORITY = """\
[ca]
default_ca = old
[old]
database = {folder}/index
serial = {folder}/serial
new_certs_dir = {folder}
default_md = sha256
policy = any
x509_extensions = service
[any]
commonName = supplied
[service]
subjectAltName = IP:127.0.0.1
basicConstraints = CA:TRUE
"""
"""For openssl: ``req`` of 3.0 makes no certificate that has expired, ``ca`` does."""


def wrong_clock(bench: Bench) -> None:
    """To a box whose clock is years ahead a good certificate has expired."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl to make a certificate")
    folder = bench.folder / "authority"
    folder.mkdir()
    (folder / "index").touch()
    (folder / "serial").write_text("01")
    settings, key, request, certificate = (folder / name for name in ("openssl.cnf", "key", "request", "certificate"))
    settings.write_text(AUTHORITY.format(folder=folder))
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=127.0.0.1")
    dates = ("-startdate", "20200101000000Z", "-enddate", "20200201000000Z", "-notext")
    for command in (
        ("req", "-new", "-nodes", *kind, "-keyout", key, "-out", request),
        (
            "ca",
            "-batch",
            "-selfsign",
            "-config",
            settings,
            "-keyfile",
            key,
            *dates,
            "-in",
            request,
            "-out",
            certificate,
        ),
    ):
        subprocess.run(("openssl", *command), check=True, capture_output=True)
    bench.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    bench.tls.load_cert_chain(certificate, key)

    async def nobody_has_set_it() -> bool:
        return False

    bench.monkeypatch.setattr(wall_clock, "is_synchronised", nobody_has_set_it)
    bench.overrides["link.ca_file"] = str(certificate)


def no_microphone(bench: Bench) -> None:
    bench.card.unplug_microphone()


def no_speaker(bench: Bench) -> None:
    bench.card.unplug_speaker()


def no_pins(bench: Bench) -> None:
    bench.monkeypatch.delenv("GPIOZERO_PIN_FACTORY")


TROUBLES = {
    # The name of the finding, a part of its line, a part of its fix.
    no_key: ({"key", "session"}, "no key", "paste the key"),
    wrong_key: ({"session"}, "closed the connection (4001)", "put the right one into the key file"),
    no_credits: ({"session"}, "closed the connection (4003)", "top it up"),
    no_network: ({"name"}, "", "check the"),
    wrong_clock: ({"TLS"}, "not valid at this box's time", "set-ntp"),
    no_microphone: ({"microphone"}, "usbmic", "plug it in"),
    no_speaker: ({"speaker"}, "usbspeaker", "plug it in"),
    no_pins: ({"pins"}, "no access to button and light", "gpio"),
}


@pytest.fixture
def bench(card: VirtualCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    yield Bench(tmp_path, card, monkeypatch)
    card.plug_speaker()
    card.plug_microphone()
    card.mute_microphone(False)


@contextlib.asynccontextmanager
async def serving(bench: Bench) -> AsyncIterator[tuple[Service, str]]:
    """The service, and the path of the box's configuration."""
    async with Service(bench.settings, bench.scenario, tls=bench.tls) as service:
        yield service, bench.write(service.url)


@contextlib.asynccontextmanager
async def running(path: str) -> AsyncIterator[Box]:
    """A daemon with that configuration, whatever works of it."""
    daemon = Box(loader.load(path))
    task = asyncio.create_task(daemon.run())
    face = daemon.face
    try:
        await in_time(
            lambda: bool(
                (daemon.microphone.device or face.microphone_fault) and (daemon.speaker.device or face.speaker_fault)
            ),
            20,
        )
        yield daemon
    finally:
        daemon.stop()
        async with asyncio.timeout(10):
            await task


async def examine(path: str, folder: Path, person: Person | None = None) -> list[Finding]:
    """What the doctor finds, on a machine of which nothing is known."""
    doctor = Doctor(
        path, MachineFacts(folder / "root"), person or Person(asks=False), system_key=str(folder / "no-such-key")
    )
    return [finding async for finding in doctor.findings()]


def judge(findings: list[Finding], names: set[str], line: str, fix: str) -> None:
    """Only these are faults; the first of them says cause and fix."""
    faults = [finding for finding in findings if finding.verdict is Grade.FAULT]
    assert exit_code(findings) == 2
    assert faults and {finding.name for finding in faults} <= names
    assert any(line in fault.line and fix in fault.fix for fault in faults), faults
    assert all(
        fault.fix and "\n" not in fault.line + fault.fix and KEY not in fault.line + fault.fix for fault in faults
    )


async def test_a_healthy_box_without_a_daemon(bench: Bench) -> None:
    async with serving(bench) as (service, path):
        findings = await examine(path, bench.folder)
        assert exit_code(findings) == 0, findings
        looked_at = {finding.name for finding in findings if finding.verdict is Grade.OK}
        assert looked_at >= {"configuration", "key", "session", "microphone", "microphone level", "speaker", "pins"}
        assert len(service.accepted) == 1 and not service.violations, "one attempt"
        await service.wait_for(lambda: not service.open_connections)


async def test_a_healthy_box_with_a_daemon(bench: Bench) -> None:
    async with serving(bench) as (service, path), running(path) as daemon:
        before = daemon.remote.status()
        hosts = daemon.microphone.process_id, daemon.speaker.process_id
        findings = await examine(path, bench.folder)
        assert exit_code(findings) == 0, findings
        assert len(service.accepted) == 1
        assert {key: daemon.remote.status()[key] for key in AS_BEFORE} == {key: before[key] for key in AS_BEFORE}
        assert (daemon.microphone.process_id, daemon.speaker.process_id) == hosts, "nothing was taken from it"
        await service.wait_for(lambda: not service.open_connections)


async def test_a_session_that_the_daemon_has_open_is_not_touched(bench: Bench) -> None:
    """The plan has one connection, and the daemon has that."""
    async with serving(bench) as (service, path), running(path) as daemon:
        daemon.remote.retry()
        await daemon.until(lambda: daemon.remote.status()["link"] == "open", 5)
        findings = await examine(path, bench.folder)
        assert exit_code(findings) == 0, findings
        assert len(service.connections) == 1 and daemon.remote.status()["link"] == "open"


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.__name__)
async def test_a_trouble_without_a_daemon(bench: Bench, trouble: Any) -> None:
    trouble(bench)
    async with serving(bench) as (service, path):
        judge(await examine(path, bench.folder), *TROUBLES[trouble])
        assert len(service.connections) <= 1, "one attempt"


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.__name__)
async def test_a_trouble_with_a_daemon(bench: Bench, trouble: Any) -> None:
    trouble(bench)
    async with serving(bench) as (service, path), running(path) as daemon:
        before = daemon.remote.status()
        judge(await examine(path, bench.folder), *TROUBLES[trouble])
        assert len(service.connections) <= 1, "one attempt"
        after = daemon.remote.status()
        assert all(after[key] == before[key] for key in ("state", "turn", "muted_by", "volume"))
        assert after["link"] in ("closed", "latched")


async def test_a_daemon_that_was_refused_is_asked_again(bench: Bench) -> None:
    """The fault that it shows may be over by now: an account that was topped up a minute ago."""
    no_credits(bench)
    async with serving(bench) as (service, path), running(path) as daemon:
        daemon.remote.retry()
        await daemon.until(lambda: daemon.remote.status()["link"] == "latched", 5)
        service.scenario = Scenario()
        findings = await examine(path, bench.folder)
        assert exit_code(findings) == 0, findings
        assert len(service.connections) == 2


@pytest.mark.parametrize("with_daemon", [False, True])
async def test_zeros_from_a_microphone_are_no_fault_where_nobody_was_asked_to_speak(
    bench: Bench, with_daemon: bool
) -> None:
    """A switch that somebody has set gives zeros, too (decision 21)."""
    # The card's own switch: the device is there.
    bench.card.mute_microphone(True)
    async with serving(bench) as (_, path), running(path) if with_daemon else contextlib.nullcontext():
        findings = await examine(path, bench.folder)
    assert exit_code(findings) == 1
    (level,) = [finding for finding in findings if finding.verdict is Grade.WARNING]
    assert level.name == "microphone level" and "no sound at all" in level.line and "alsamixer" in level.fix


class Helper(Person):
    """Somebody at the box who does what the doctor asks for, and sees and hears everything."""

    def __init__(self, card: VirtualCard) -> None:
        super().__init__(asks=True, stream=io.StringIO())
        self._card = card
        self.questions: list[str] = []

    def tell(self, text: str) -> None:
        loop = asyncio.get_running_loop()
        if text.startswith("Speak"):
            self._card.play_into_microphone(question())
        elif text.startswith("Press"):
            pin = Device.pin_factory.pin(BUTTON)
            loop.call_later(0.2, pin.drive_low)
            loop.call_later(0.8, pin.drive_high)

    async def yes(self, question: str) -> bool | None:
        self.questions.append(question)
        return True


@pytest.mark.parametrize("with_daemon", [False, True])
async def test_a_box_with_somebody_at_it(bench: Bench, with_daemon: bool) -> None:
    bench.monkeypatch.setattr(panel, "STEP_S", 0.2)
    helper = Helper(bench.card)
    async with serving(bench) as (service, path), contextlib.AsyncExitStack() as stack:
        daemon = await stack.enter_async_context(running(path)) if with_daemon else None
        with bench.card.record_speaker() as recording:
            findings = await examine(path, bench.folder, helper)
            heard = recording.stop()
        assert exit_code(findings) == 0, findings
        answered = {finding.name for finding in findings if finding.verdict is Grade.OK}
        assert answered >= {"microphone level", "tone", "button", "light", "rehearsal"}
        assert np.abs(heard.astype(np.int32)).max() > 1_000, "the tones have sounded"
        assert len(helper.questions) == 3 and len(service.accepted) == 2, "the last one has asked the service"
        if daemon is not None:
            assert (daemon.remote.status()["state"], daemon.remote.status()["link"]) == ("ready", "closed")
            assert "ready" in helper.questions[1], "what the light shows is what is asked for"


async def test_the_command_line(bench: Bench) -> None:
    """The program as a script runs it: JSON, the exit code, and a report without the key."""
    wrong_key(bench)
    report = bench.folder / "report.txt"
    async with serving(bench) as (_, path):
        command = (sys.executable, "-m", "appliance", "--config", path, "doctor", "--json", "--bundle", str(report))
        process = await asyncio.create_subprocess_exec(
            *command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=os.environ
        )
        async with asyncio.timeout(40):
            output, _ = await process.communicate()
    answer = json.loads(output)
    assert process.returncode == answer["exit_code"] == 2
    session = next(finding for finding in answer["findings"] if finding["name"] == "session")
    assert session["verdict"] == "fault" and "4001" in session["line"] and session["fix"]
    text = report.read_text()
    assert "4001" in text and "microphone.device" not in text and 'device = "usbmic"' in text
    assert KEY not in text and KEY not in output.decode()
