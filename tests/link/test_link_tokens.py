"""Short-lived tokens: one run of the owner's program for each connection."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.link import credentials
from appliance.link.failures import Class, What
from appliance.link.link import Link, LinkState, SessionFailed, SessionLost, SessionOpened
from appliance.link.retry import Policy
from appliance.simulator.service import Service
from appliance.simulator.settings import SimulatorSettings

from .test_link import SETTINGS, TIMES, Rig, running, settings

GOOD = "swaram_ek_0003"

PROGRAM = """
import pathlib, sys
count = pathlib.Path({count!r})
number = int(count.read_text() or 0) + 1
count.write_text(str(number))
if number in {broken!r}:
    sys.exit("no backend today")
print(f"swaram_ek_{{number:04}}")
"""


class TokenRig(Rig):
    """A link whose key is a fresh token each time; ``runs`` counts how often the program ran."""

    def __init__(self, url: str, folder: Path, broken: tuple[int, ...] = ()) -> None:
        super().__init__(settings(url))
        self._count = folder / "count"
        self._count.write_text("")
        program = folder / "token.py"
        program.write_text(PROGRAM.format(count=str(self._count), broken=broken))

        async def credential() -> str:
            token = await credentials.fetch_token((sys.executable, str(program)), timeout_s=10)
            return token.reveal()

        policy = Policy(replace(TIMES, renewable=True))
        self.link = Link(
            settings(url), SETTINGS, credential, self._next, self._sent, self._report, policy, jitter=lambda: 1.0
        )

    @property
    def runs(self) -> int:
        return int(self._count.read_text() or 0)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    """Takes only the third token."""
    async with Service(SimulatorSettings(key=GOOD)) as running_service:
        yield running_service


async def test_an_expired_token_is_replaced_once_then_the_link_waits(service: Service, tmp_path: Path) -> None:
    async with running(TokenRig(service.url, tmp_path)) as rig:
        assert isinstance(rig, TokenRig)
        rig.link.want()
        (failed,) = await rig.reports(SessionFailed)
        assert isinstance(failed, SessionFailed) and failed.verdict.class_ is Class.KEY
        assert rig.runs == 2 and len(service.connections) == 2 and rig.link.state is LinkState.LATCHED
        assert "swaram_ek" not in repr(rig.reported)


async def test_a_program_that_fails_is_passing_trouble(service: Service, tmp_path: Path) -> None:
    async with running(TokenRig(service.url, tmp_path, broken=(1, 2))) as rig:
        assert isinstance(rig, TokenRig)
        rig.link.want()
        await rig.reports(SessionOpened)
        lost = await rig.reports(SessionLost, 2)
        assert all(isinstance(event, SessionLost) and event.verdict.failure.what is What.TOKEN for event in lost)
        assert rig.runs == 3 and len(service.connections) == 1
        assert service.connections[0].headers["Authorization"] == f"Bearer {GOOD}"
