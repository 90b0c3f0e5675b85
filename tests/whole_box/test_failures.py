"""Every way a connection can fail, on a whole box: attempts, light, the journal's line, what a press does.

Which failure is what, and the hours between attempts, are tested row by row in tests/unit/realtime and tests/edge;
here the real daemon is asked what a person sees and an installer reads.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from appliance.box.box import Box
from appliance.link.link import LinkState
from appliance.simulator.scenario import (
    Close,
    Connection,
    Fail,
    Freeze,
    HangUp,
    Moment,
    Reset,
    Scenario,
    Silence,
    Step,
)
from appliance.simulator.service import Service
from appliance.simulator.virtual_card import VirtualCard
from appliance.turn.states import Outcome
from tests.support.rig import KEY, box, turn_over

pytestmark = pytest.mark.usefixtures("quiet_room")

QUICK = {
    "link__configure_timeout_s": 1.0,
    "link__ping_interval_s": 1.0,
    "link__ping_timeout_s": 1.0,
    "link__backoff_first_s": 0.1,
    "link__backoff_cap_s": 1.0,
    "talk__stale_s": 1.0,
    "talk__mode": "hold",
}
"""Short times, so that a question is given up soon. The times themselves are tested on paper."""


def at_once(code: int | None, error: str = "known") -> Connection:
    return Connection(steps=(Step(on=Moment.OPEN, do=Close(code=code, error=error)),))  # type: ignore[arg-type]


def when_ready(action: Close | Reset | HangUp | Freeze | Silence | Fail) -> Connection:
    return Connection(steps=(Step(on=Moment.READY, do=action),))


LATCHED = {
    "4001": (at_once(4001), "fault_key", "put the right one into the key file"),
    "4001-no-error": (at_once(4001, "none"), "fault_key", "put the right one into the key file"),
    "401": (Connection(http=401), "fault_key", "put the right one into the key file"),
    "403": (Connection(http=403), "fault_key", "put the right one into the key file"),
    "4003": (at_once(4003), "fault_account", "top it up"),
    "4003-unknown-error": (at_once(4003, "unknown"), "fault_account", "top it up"),
    "402": (Connection(http=402), "fault_account", "top it up"),
    "4008": (at_once(4008), "ready", "close another box or program"),
    "400": (Connection(http=400), "fault_setup", "check service.url and service.model"),
    "404": (Connection(http=404), "fault_setup", "check service.url and service.model"),
    "426": (Connection(http=426), "fault_setup", "update the box's software"),
    "1002": (at_once(1002), "fault_setup", "update the box's software"),
    "settings-refused": (Connection(refuse_setting="voice"), "fault_setup", "service.voice"),
}
TRANSIENT = {
    "1013": (at_once(1013), "trying again"),
    "1000": (when_ready(Close(code=1000, error="none")), "trying again"),
    "1001": (when_ready(Close(code=1001, error="none")), "trying again"),
    "1005": (when_ready(Close(code=None, error="none")), "trying again"),
    "1011": (at_once(1011), "trying again"),
    "1012": (at_once(1012, "none"), "trying again"),
    "4999": (at_once(4999, "unknown"), "trying again"),
    "reset": (when_ready(Reset()), "trying again"),
    "hang-up": (when_ready(HangUp()), "trying again"),
    "server_error": (when_ready(Fail()), "trying again"),
    "429": (Connection(http=429), "trying again"),
    "500": (Connection(http=500), "trying again"),
    "503": (Connection(http=503), "trying again"),
    "never-configured": (Connection(steps=(Step(on=Moment.SETTINGS, do=Silence()),)), "trying again"),
    "silent-line": (when_ready(Freeze()), "trying again"),
    "redirect": (Connection(http=302, headers={"Location": "wss://example.org/"}), "use another network"),
}


def lights(daemon: Box) -> list[str]:
    """Every light that is shown from now on, as it comes."""
    seen: list[str] = []
    daemon.watch(lambda event: seen.append(event["light"]) if event["event"] == "state" else None)
    return seen


def no_secrets(caplog: pytest.LogCaptureFixture, daemon: Box) -> None:
    assert KEY not in caplog.text and KEY not in repr(daemon.remote.status()) and KEY not in repr(vars(daemon.link))


@pytest.mark.parametrize("row", LATCHED)
async def test_a_failure_that_needs_a_person(
    card: VirtualCard, tmp_path: Path, caplog: pytest.LogCaptureFixture, row: str
) -> None:
    trouble, light, fix = LATCHED[row]
    caplog.set_level(logging.DEBUG, "appliance")
    async with (
        Service(scenario=Scenario(connections=(trouble,))) as service,
        box(service, card, tmp_path, **QUICK) as daemon,
    ):
        seen = lights(daemon)
        daemon.remote.edge(True, "test")
        assert await turn_over(daemon) == Outcome.REFUSED.value
        assert "listening" in seen and daemon.panel.current_light == light
        daemon.remote.edge(False, "test")
        await asyncio.sleep(0.3)
        assert len(service.connections) == 1, "no attempt of its own"
        lines = [record for record in caplog.records if fix in record.getMessage() and record.levelname == "ERROR"]
        assert len(lines) == 1, "said once, with what to do"
        daemon.remote.edge(True, "test")
        await turn_over(daemon, 2)
        assert len(service.connections) == 1, "within 5 s of the last attempt a press makes none"
        no_secrets(caplog, daemon)


@pytest.mark.parametrize("row", TRANSIENT)
async def test_a_failure_that_passes(
    card: VirtualCard, tmp_path: Path, caplog: pytest.LogCaptureFixture, row: str
) -> None:
    trouble, fix = TRANSIENT[row]
    caplog.set_level(logging.DEBUG, "appliance")
    async with (
        Service(scenario=Scenario(connections=(trouble,))) as service,
        box(service, card, tmp_path, **QUICK) as daemon,
    ):
        seen = lights(daemon)
        daemon.remote.edge(True, "test")
        await asyncio.sleep(0.3)
        assert daemon.panel.current_light == "listening", "until the release, whatever the connection does"
        daemon.remote.edge(False, "test")
        # A service that fails without closing may answer in the second that it gets for that.
        given_up = (Outcome.STALE, Outcome.NO_ANSWER, Outcome.LINK_LOST, Outcome.LOST_AGAIN)
        assert await turn_over(daemon) in [outcome.value for outcome in given_up]
        assert fix in caplog.text
        said = [record for record in caplog.records if fix in record.getMessage() and record.levelno >= logging.WARNING]
        assert len(said) <= 2, "one line for a fault, not one for each attempt"
        assert row == "redirect" or not any(light.startswith("fault") for light in seen)
        # An attempt that was under way when the turn was given up may still open a session, or fail; it is no press's.
        await daemon.until(lambda: daemon.link.state is not LinkState.CONNECTING, 5)
        if daemon.link.state is LinkState.OPEN:
            daemon.remote.hang_up()
        await daemon.until(lambda: daemon.link.state in (LinkState.CLOSED, LinkState.RETRYING), 5)
        service.scenario = Scenario()
        attempts = len(service.connections)
        daemon.remote.edge(True, "test")
        await daemon.until(lambda: daemon.link.session is not None, 5)
        assert len(service.connections) == attempts + 1, "a press tries at once"
        daemon.remote.edge(False, "test")
        no_secrets(caplog, daemon)
