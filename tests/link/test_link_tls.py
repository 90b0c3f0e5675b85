"""The link over TLS, as every box on a real network: whom it trusts, and how often that is read."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.link.failures import What
from appliance.link.link import SessionClosed, SessionLost, SessionOpened
from appliance.link.retry import RetryTimes
from appliance.simulator.service import Service
from appliance.simulator.settings import SimulatorSettings
from tests.link.test_link import KEY, Rig, running, settings
from tests.support.certificates import of_server, self_signed

PATIENT = RetryTimes(backoff_first_s=60, backoff_cap_s=60, credit_probe_s=900, limit_probe_s=60, renewable=False)
"""No attempt but those of a press."""


def rig_for(service: Service, trusted: Path) -> Rig:
    return Rig(replace(settings(service.url), ca_file=str(trusted)), times=PATIENT)


async def test_whom_to_trust_is_read_once_and_serves_every_connection(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)
    trusted = tmp_path / "trusted.pem"
    shutil.copy(certificate, trusted)
    async with (
        Service(SimulatorSettings(key=KEY), tls=of_server(certificate)) as service,
        running(rig_for(service, trusted)) as rig,
    ):
        await rig.link.prepare()
        trusted.unlink()
        for count in (1, 2):
            rig.link.want()
            await rig.reports(SessionOpened, count)
            rig.link.release(proven=True)
            rig.link.close("the test wants another")
            await rig.reports(SessionClosed, count)
    assert [connection.close_code for connection in service.connections] == [1000, 1000]


@pytest.mark.parametrize(
    ("content", "what", "text"),
    [
        ("another's", What.CERTIFICATE_ISSUER, "self"),
        ("missing", What.TRUST, "trusted.pem: No such file"),
        ("nonsense", What.TRUST, "trusted.pem: "),
    ],
)
async def test_what_is_wrong_with_it_is_said_and_looked_at_again(
    tmp_path: Path, content: str, what: What, text: str
) -> None:
    certificate, other = self_signed(tmp_path), self_signed(tmp_path, "other")
    trusted = tmp_path / "trusted.pem"
    if content == "another's":
        shutil.copy(other, trusted)
    elif content == "nonsense":
        trusted.write_text("nonsense")
    async with (
        Service(SimulatorSettings(key=KEY), tls=of_server(certificate)) as service,
        running(rig_for(service, trusted)) as rig,
    ):
        await rig.link.prepare()
        rig.link.want()
        (lost,) = await rig.reports(SessionLost)
        assert isinstance(lost, SessionLost)
        assert lost.verdict.failure.what is what and text in lost.verdict.happened
        shutil.copy(certificate, trusted)
        rig.link.want()
        await rig.reports(SessionOpened)
