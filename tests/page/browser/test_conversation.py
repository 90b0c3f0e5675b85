"""A whole box that talks, and its screen: what stands there is what was heard, character for character."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest

from appliance.simulator.scenario import Reply, Turn, conversation
from appliance.simulator.service import Service
from appliance.simulator.virtual_card import VirtualCard
from appliance.turn.states import Outcome
from tests.page.support import page
from tests.support.rig import ask_holding, box, say, turn_over, words

from .chromium import Tab
from .conftest import Axe, keep
from .test_screens import opened

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

QUESTION = "സമയം എത്രയായി?"
ANSWER = "ഇപ്പോൾ സമയം ഉച്ചയ്ക്ക് രണ്ടര മണിയായി."
STORY = "പണ്ട് പണ്ട് ഒരു ഗ്രാമത്തിൽ ഒരു സ്വർണ്ണപ്പണിക്കാരൻ താമസിച്ചിരുന്നു; അയാൾക്ക് മൂന്ന് മക്കളുണ്ടായിരുന്നു."

SAID = """
    JSON.stringify(
        [...document.getElementById("said").children].map((row) => [row.className, row.lastChild.textContent])
    )
"""


async def rows(tab: Tab) -> list[tuple[str, str]]:
    """What stands on the screen: whose, and the words."""
    return [(side, text) for side, text in json.loads(await tab.value(SAID))]


async def test_the_screen_shows_what_is_heard(tab: Tab, card: VirtualCard, tmp_path: Path, axe: Axe) -> None:
    replies = (Reply(tone_ms=1200, text=ANSWER), Reply(tone_ms=6000, text=STORY), Reply(tone_ms=600, text="ശരി."))
    scenario = conversation(*(Turn(heard=QUESTION, replies=(reply,)) for reply in replies))
    async with (
        Service(scenario=scenario) as service,
        box(service, card, tmp_path, talk__mode="hold", control__captions=True) as daemon,
        page(daemon.config.control.socket_path, title="ഗ്രാമ വായനശാല") as served,
    ):
        await opened(tab, served)
        asking = asyncio.create_task(ask_holding(daemon, card, words()))
        await tab.until("document.getElementById('state').dataset.name === 'listening'")
        await tab.until("Number(document.getElementById('level').getAttribute('aria-valuenow')) > -50")
        keep("listening", await tab.screenshot())
        await asking
        # Not before it is heard; then all of it.
        await tab.until("document.querySelector('#said .box') !== null")
        assert daemon.turns.figures.audible_s is not None
        assert time.monotonic() >= daemon.turns.figures.audible_s
        await tab.until("document.getElementById('state').dataset.name === 'speaking'")
        keep("speaking", await tab.screenshot())
        assert await axe.violations(tab) == []
        assert await turn_over(daemon) == Outcome.ANSWERED.value
        await asyncio.sleep(0.2)
        assert await rows(tab) == [("person", QUESTION), ("box", ANSWER)]
        # The second answer is interrupted by a third question.
        await ask_holding(daemon, card, words())
        await tab.until("document.querySelectorAll('#said .box').length === 2")
        await asyncio.sleep(2)
        await ask_holding(daemon, card, words())
        assert await turn_over(daemon, 3) == Outcome.ANSWERED.value
        await asyncio.sleep(0.2)
        shown = await rows(tab)
        cut = shown[3][1]
        assert [shown[:3], shown[4:]] == [
            [("person", QUESTION), ("box", ANSWER), ("person", QUESTION)],
            [("person", QUESTION), ("box", "ശരി.")],
        ]
        assert cut and STORY.startswith(cut + " ") and len(cut) < 0.7 * len(STORY)
        assert tab.complaints == []


async def test_a_reply_that_is_dropped_unheard_is_never_shown(tab: Tab, card: VirtualCard, tmp_path: Path) -> None:
    """A pause while the button is held: the first reply, all of it in, answers half a question (decision 2)."""
    scenario = conversation(
        Turn(heard="പകുതി", replies=(Reply(tone_ms=400, text="ആരും കേൾക്കാത്തത്.", speed=0),)),
        Turn(heard="മുഴുവൻ", replies=(Reply(tone_ms=400, text="കേട്ടത്."),)),
    )
    async with (
        Service(scenario=scenario) as service,
        box(service, card, tmp_path, talk__mode="hold", control__captions=True) as daemon,
        page(daemon.config.control.socket_path) as served,
    ):
        await opened(tab, served)
        await tab.value(
            "window.seen = ''; new MutationObserver(() => { seen += document.getElementById('said').innerText; })"
            ".observe(document.getElementById('said'), { subtree: true, childList: true, characterData: true }); true"
        )
        daemon.remote.edge(True, "test")
        await say(card, words())
        await service.wait_for(lambda: service.replies and service.replies[0].status == "completed")
        await ask_holding(daemon, card, words(540, 1240))
        assert await turn_over(daemon) == Outcome.ANSWERED.value
        await tab.until("document.querySelectorAll('#said .box').length === 1")
        assert ("box", "കേട്ടത്.") in await rows(tab)
        seen = await tab.value("window.seen")
        assert "കേട്ടത്." in seen and "ആരും" not in seen


async def test_a_page_that_is_killed_at_random_changes_nothing_of_a_conversation(
    card: VirtualCard, tmp_path: Path
) -> None:
    chance = random.Random(16)
    scenario = conversation(*(Turn(heard=QUESTION, replies=(Reply(tone_ms=2500, text=ANSWER),)) for _ in range(4)))
    async with (
        Service(scenario=scenario) as service,
        box(service, card, tmp_path, talk__mode="hold", control__captions=True) as daemon,
    ):
        killed = 0

        async def torment() -> None:
            nonlocal killed
            path = daemon.config.control.socket_path
            while killed < 100:
                viewers = [await asyncio.create_subprocess_exec(sys.executable, "-c", VIEWER, path) for _ in range(4)]
                await asyncio.sleep(chance.uniform(0.05, 0.4))
                for viewer in viewers:
                    os.kill(viewer.pid, signal.SIGKILL)
                    await viewer.wait()
                    killed += 1

        tormenting = asyncio.create_task(torment())
        for turn in range(1, 5):
            await ask_holding(daemon, card, words())
            assert await turn_over(daemon, turn) == Outcome.ANSWERED.value
            assert daemon.turns.last is not None
            assert daemon.turns.last["heard_s"] == pytest.approx(2.5, abs=0.05)
        await asyncio.wait_for(tormenting, 60)
        assert killed >= 100


VIEWER = """
import asyncio, sys
from appliance.page import watch

async def main():
    async for message in watch.messages(sys.argv[1], captions=True):
        pass

asyncio.run(main())
"""
"""What of a page's process the daemon is in touch with."""
