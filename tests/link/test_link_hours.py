"""Hours of trouble with a real WebSocket service, in paper time."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from appliance.link.link import LinkState, SessionFailed, SessionLost, SessionOpened
from appliance.link.retry import NETWORK_FAULT_S
from appliance.simulator.scenario import Close, Connection, HangUp, Moment, Scenario, Step, faults
from appliance.simulator.service import Service
from tests.support.simulated_time import on_paper

from .test_link import TIMES, Rig, running, settings

HOUR_S = 3600.0


def refusing(code: int) -> Scenario:
    return Scenario(connections=(Connection(steps=(Step(on=Moment.OPEN, do=Close(code=code)),)),))


@pytest.mark.parametrize(("code", "probes"), [(4001, 0), (4003, 4), (4008, 60)])
def test_an_hour_without_a_press_holds_only_the_probes(code: int, probes: int) -> None:
    async def hour() -> None:
        async with Service(scenario=refusing(code)) as service, running(Rig(settings(service.url))) as rig:
            rig.link.want()
            await rig.reports(SessionFailed)
            await asyncio.sleep(HOUR_S)
            assert probes - 1 <= len(service.connections) - 1 <= probes
            before = len(service.connections)
            rig.link.want()
            await rig.reports(SessionFailed, before + 1)
            assert len(service.connections) == before + 1, "a press makes exactly one attempt"

    on_paper(hour())


@pytest.mark.parametrize(("code", "within_s"), [(4003, 900.0), (4008, 60.0)])
def test_topping_up_is_noticed_by_the_probe(code: int, within_s: float) -> None:
    async def mended() -> None:
        async with Service(scenario=refusing(code)) as service, running(Rig(settings(service.url))) as rig:
            rig.link.want()
            await rig.reports(SessionFailed)
            service.scenario = Scenario()
            await asyncio.sleep(within_s + 5)
            assert rig.reported.count(SessionOpened()) == 1 and rig.link.policy.verdict is None
            await asyncio.sleep(HOUR_S)
            assert rig.state() is LinkState.CLOSED, "a probe's session is not kept for nothing"
            assert len(service.connections) == 2

    on_paper(mended())


@pytest.mark.parametrize("always", [False, True], ids=["on-demand", "always"])
@pytest.mark.parametrize("pressed", [False, True], ids=["probe", "press"])
def test_a_refusal_that_meets_a_network_in_trouble_is_not_forgotten(*, always: bool, pressed: bool) -> None:
    """A router that starts again when a probe is due, or when somebody presses, has not topped up the account."""

    async def interrupted() -> None:
        times = replace(TIMES, backoff_first_s=0.5, backoff_cap_s=30.0)
        async with (
            Service(scenario=refusing(4003)) as service,
            running(Rig(replace(settings(service.url), always=always), times=times)) as rig,
        ):
            rig.link.want()
            await rig.reports(SessionFailed)
            service.scenario = Scenario(connections=(Connection(http=503),))
            if pressed:
                await asyncio.sleep(10)
                rig.link.want()
                await asyncio.sleep(15)
                rig.link.release()
            else:
                await asyncio.sleep(910)
            service.scenario = refusing(4003)
            await asyncio.sleep(35)
            assert rig.state() is LinkState.LATCHED, "the service has been asked again"
            service.scenario = Scenario()
            await asyncio.sleep(905)
            assert rig.reported.count(SessionOpened()) == 1 and rig.link.policy.verdict is None
            await asyncio.sleep(70)
            assert rig.state() is (LinkState.OPEN if always else LinkState.CLOSED)

    on_paper(interrupted())


def test_a_changed_key_is_tried_at_once() -> None:
    async def new_key() -> None:
        async with Service(scenario=refusing(4001)) as service, running(Rig(settings(service.url))) as rig:
            rig.link.want()
            await rig.reports(SessionFailed)
            await asyncio.sleep(HOUR_S)
            service.scenario = Scenario()
            rig.stamp += 1
            await asyncio.sleep(10)
            assert SessionOpened() in rig.reported and len(service.connections) == 2

    on_paper(new_key())


def test_a_changed_key_that_met_a_network_in_trouble_is_tried_again() -> None:
    async def new_key() -> None:
        async with Service(scenario=refusing(4001)) as service, running(Rig(settings(service.url))) as rig:
            rig.link.want()
            await rig.reports(SessionFailed)
            service.scenario = faults(Connection(http=503), Connection(http=503))
            rig.stamp += 1
            await asyncio.sleep(10)
            assert SessionOpened() in rig.reported and len(service.connections) == 4

    on_paper(new_key())


def test_a_child_on_the_button_with_a_bad_key() -> None:
    async def hammering() -> None:
        async with Service(scenario=refusing(4001)) as service, running(Rig(settings(service.url))) as rig:
            for _ in range(600):
                attempts, refuses = len(service.connections), rig.link.refuses
                rig.link.want()
                await asyncio.sleep(0.1)
                assert not (refuses and len(service.connections) > attempts), "it said that it would refuse"
                assert refuses or len(service.connections) > attempts or rig.state() is not LinkState.LATCHED
            assert 10 <= len(service.connections) <= 13, "a minute of ten presses a second: one attempt per 5 s"

    on_paper(hammering())


def test_always_connected_goes_on_for_ever_and_comes_back() -> None:
    async def outage() -> None:
        times = replace(TIMES, backoff_first_s=0.5, backoff_cap_s=30.0)
        async with Service(scenario=Scenario(connections=(Connection(http=503),))) as service:
            kept = replace(settings(service.url), always=True)
            async with running(Rig(kept, times=times)) as rig:
                await asyncio.sleep(HOUR_S)
                attempts = len(service.connections)
                assert HOUR_S / 30 <= attempts <= HOUR_S / 30 + 10
                service.scenario = Scenario()
                await asyncio.sleep(31)
                assert rig.state() is LinkState.OPEN

    on_paper(outage())


def test_our_own_ghost_is_waited_for() -> None:
    async def ghost() -> None:
        first = Connection(steps=(Step(on=Moment.READY, do=HangUp(), after_ms=50),))
        full = Connection(steps=(Step(on=Moment.OPEN, do=Close(code=4008)),))
        trouble = faults(first, full, full, full)
        async with Service(scenario=trouble) as service, running(Rig(settings(service.url))) as rig:
            rig.link.want()
            await rig.reports(SessionOpened, 2)
            assert not any(isinstance(event, SessionFailed) for event in rig.reported)
            assert len(service.connections) == 5

    on_paper(ghost())


def test_an_old_session_is_replaced_between_turns_only() -> None:
    async def ageing() -> None:
        async with Service() as service:
            kept = replace(settings(service.url), always=True, max_session_s=1500.0)
            async with running(Rig(kept)) as rig:
                rig.link.want()
                await rig.reports(SessionOpened)
                await asyncio.sleep(2000)
                assert len(service.connections) == 1, "never inside a turn"
                rig.link.release()
                await asyncio.sleep(15)
                assert len(service.connections) == 2 and rig.state() is LinkState.OPEN
                assert service.most_open == 1, "the old socket is closed before a new one opens"

    on_paper(ageing())


def test_the_services_wish_outlives_the_turn_that_met_it() -> None:
    async def wish() -> None:
        busy = Connection(http=503, headers={"Retry-After": "600"})
        async with Service(scenario=faults(busy)) as service, running(Rig(settings(service.url))) as rig:
            rig.link.want()
            await rig.reports(SessionLost)
            rig.link.release()
            await rig.until(lambda: rig.state() is LinkState.CLOSED)
            await asyncio.sleep(300)
            rig.link.want()
            await asyncio.sleep(15)
            assert len(service.connections) == 1, "a press never skips Retry-After (decision 13)"
            assert rig.state() is LinkState.RETRYING
            rig.link.release()
            await asyncio.sleep(1)
            assert rig.state() is LinkState.CLOSED, "nobody waits any more: nothing is being retried"
            await asyncio.sleep(300)
            rig.link.want()
            await rig.reports(SessionOpened)

    on_paper(wish())


def test_a_child_on_the_button_while_the_service_is_down() -> None:
    """Each press is over, and its turn given up, before the next; at most one attempt a second (decision 13)."""

    async def hammering() -> None:
        down = Scenario(connections=(Connection(http=503),))
        async with Service(scenario=down) as service, running(Rig(settings(service.url))) as rig:
            for _ in range(100):
                rig.link.want()
                await asyncio.sleep(0.05)
                rig.link.release()
                await asyncio.sleep(0.05)
            assert 5 <= len(service.connections) <= 12

    on_paper(hammering())


def test_a_line_that_drops_while_nobody_needs_it_is_no_trouble() -> None:
    """On demand the link does not try again then, so nothing can last: the light must not call for help."""

    async def dropped() -> None:
        first = Connection(steps=(Step(on=Moment.READY, do=HangUp(), after_ms=1000),))
        async with Service(scenario=faults(first)) as service, running(Rig(settings(service.url))) as rig:
            rig.link.want()
            await rig.reports(SessionOpened)
            rig.link.release(proven=True)
            await rig.reports(SessionLost)
            await asyncio.sleep(HOUR_S)
            assert rig.state() is LinkState.CLOSED and len(service.connections) == 1
            assert rig.link.fault is None and rig.link.policy.verdict is None

    on_paper(dropped())


@pytest.mark.parametrize("always", [False, True])
def test_a_network_that_is_gone_is_a_fault_while_somebody_tries(always: bool) -> None:
    """On demand that ends with the question; whoever mended the router must not have to press a box that says it is
    broken."""

    async def gone() -> None:
        down = Scenario(connections=(Connection(http=503),))
        seldom = replace(TIMES, backoff_first_s=1.0, backoff_cap_s=4.0)
        async with Service(scenario=down) as service:
            chosen = replace(settings(service.url), always=always)
            async with running(Rig(chosen, times=seldom)) as rig:
                for fault in (None, 6):
                    rig.link.want()
                    await asyncio.sleep(15)
                    assert rig.link.fault == fault
                    rig.link.release()
                    await asyncio.sleep(NETWORK_FAULT_S)
                    assert rig.link.fault == (6 if always else None)

    on_paper(gone())


def test_asked_to_try_it_tries_once() -> None:
    """``ctl retry``: one attempt, in whatever state, and the session is not kept for nothing."""

    async def asked() -> None:
        trouble = faults(Connection(http=503), Connection(http=401))
        async with Service(scenario=trouble) as service, running(Rig(settings(service.url))) as rig:
            rig.link.retry()
            await rig.reports(SessionLost)
            await rig.until(lambda: rig.state() is LinkState.CLOSED)
            await asyncio.sleep(HOUR_S)
            assert len(service.connections) == 1
            rig.link.retry()
            await rig.reports(SessionFailed)
            await asyncio.sleep(HOUR_S)
            assert len(service.connections) == 2 and rig.state() is LinkState.LATCHED
            rig.link.retry()
            await rig.reports(SessionOpened)
            rig.link.retry()
            await asyncio.sleep(HOUR_S)
            assert len(service.connections) == 3 and rig.state() is LinkState.CLOSED

    on_paper(asked())
