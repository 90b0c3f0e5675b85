"""Which of the boxes is the one that somebody is logged in to."""

from __future__ import annotations

import asyncio

from appliance.box.identification import LASTS_S, TONE_EVERY_S, Identification
from appliance.panel.light import Conditions, Fault, Pattern, arbiter
from tests.support.simulated_time import on_paper


def test_it_is_seen_and_heard_for_half_a_minute_and_over_by_itself() -> None:
    tones: list[float] = []
    shown: list[bool] = []

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        box = Identification(lambda: shown.append(box.active), lambda: tones.append(loop.time() - began_s))
        box.begin()
        await asyncio.sleep(LASTS_S - 1)
        assert box.active
        await asyncio.sleep(2)
        assert not box.active and shown[-1] is False and shown[0] is True
        assert [round(at_s) for at_s in tones] == [round(TONE_EVERY_S * number) for number in range(10)]
        # Asked again while it lasts it begins anew.
        box.begin()
        await asyncio.sleep(LASTS_S - 1)
        box.begin()
        await asyncio.sleep(LASTS_S - 1)
        assert box.active
        box.close()
        assert not box.active

    on_paper(scene())


def test_a_box_with_a_fault_is_found_and_an_open_microphone_is_never_hidden() -> None:
    assert arbiter(Conditions(identifying=True, faults=frozenset({Fault.KEY}))) is Pattern.IDENTIFY
    assert arbiter(Conditions(identifying=True, muted=True, listening=True)) is Pattern.IDENTIFY
    assert arbiter(Conditions(identifying=True, listening=True)) is Pattern.LISTENING
    assert arbiter(Conditions(identifying=True, stopping=True)) is Pattern.STOPPING
