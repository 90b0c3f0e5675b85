"""Every screen in a real browser: its words, its light, its accessibility; how fast, and what it survives."""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from appliance.control.server import ControlServer
from appliance.page import content
from appliance.panel.light import Pattern
from tests.page.support import Box, Page, daemon, page
from tests.support.held_port import held_port

from .chromium import Tab
from .conftest import Axe, keep

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

PHONE = "0484 123 4567"

LONG = (
    "കേരളത്തിൽ കാലവർഷം സാധാരണ ജൂൺ ഒന്നിന് തുടങ്ങും. ഇക്കൊല്ലം അല്പം നേരത്തെയാണ്. സ്വാതന്ത്ര്യദിനത്തിന് മുമ്പ് "
    "മഴ കുറയും; ഒക്ടോബറിൽ തുലാവർഷം വരും. വിദ്യാർത്ഥികൾ കുട കൊണ്ടുപോകണം."
)
"""Conjuncts of two and three consonants, chillus, and more than a line on any screen."""

FIRST_STATE_S = 0.3
"""From the navigation to the first state on the screen."""

DRAWN_S = 0.05
"""From a line of the control socket to the frame that shows it, 95 of 100."""

NOTICED_S = 2.0
"""So soon a screen says that the box is gone, or back."""

OBSERVER = """
    window.drawn = [];
    new MutationObserver(() => requestAnimationFrame(() => setTimeout(() => {
        const text = document.getElementById("said")?.innerText + document.getElementById("state")?.dataset.name;
        window.drawn.push([performance.timeOrigin + performance.now(), text]);
    }))).observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
"""
"""Notes what is shown, and when: the timer fires when the frame after a change has been handed on."""


@pytest.fixture
def box() -> Box:
    return Box()


@pytest_asyncio.fixture(loop_scope="module")
async def control(tmp_path: Path, box: Box) -> AsyncIterator[ControlServer]:
    async with daemon(tmp_path / "control.sock", box) as served:
        yield served


@pytest_asyncio.fixture(loop_scope="module")
async def served(control: ControlServer, tmp_path: Path) -> AsyncIterator[Page]:
    async with page(tmp_path / "control.sock", title="ഗ്രാമ വായനശാല", phone=PHONE) as served:
        yield served


def state(light: str) -> dict[str, Any]:
    return {"event": "state", "state": "ready", "link": "open", "light": light}


def caption(side: str, text: str, *, response: str = "r1", until_s: float | None = None) -> dict[str, Any]:
    person = side == "person"
    named = {"turn": 1, "response": None if person else response, "from_s": 1.0, "until_s": 1.0 if person else until_s}
    return {"event": "caption", "side": side, **named, "text": text}


async def shown(tab: Tab, light: str) -> None:
    """Until the screen says what this light means."""
    place = "fault" if light.startswith(("fault_", "no_")) else "state"
    await tab.until(f"document.getElementById('{place}').dataset.name === '{light}'")


async def opened(tab: Tab, served: Page, width: int = 800, height: int = 480) -> None:
    await tab.size(width, height)
    await tab.open(served.address)
    await shown(tab, "ready")


@pytest.mark.parametrize("pattern", Pattern, ids=lambda pattern: pattern.name.lower())
async def test_every_state_has_its_words_and_no_barrier(
    tab: Tab, served: Page, control: ControlServer, axe: Axe, pattern: Pattern
) -> None:
    name = pattern.name.lower()
    await opened(tab, served)
    control.publish(caption("person", "മഴ എപ്പോൾ തുടങ്ങും?"))
    control.publish(state(name))
    await shown(tab, name)
    if pattern in (Pattern.LISTENING, Pattern.LISTENING_ENDING):
        control.publish({"event": "level", "dbfs": -20.0})
        await tab.until("document.getElementById('level').getAttribute('aria-valuenow') === '-20'")
    texts = content.texts()
    words = texts["ready_auto" if name.startswith("ready") else name].values()
    text = (await tab.value("document.body.innerText")).replace("\u00a0", " ")
    assert all(line in text for line in words)
    if name.startswith("fault_"):
        assert text.count(PHONE) == 2
    assert await tab.value("document.getElementById('light').getAnimations().length") == (
        0 if content.light(pattern)["period_ms"] == 0 else 1
    )
    assert await axe.violations(tab) == []
    keep(f"state-{name}", await tab.screenshot())
    assert tab.complaints == []


@pytest.mark.parametrize(
    ("width", "height"), [(800, 480), (480, 800), (1024, 600), (1280, 800), (1920, 1080), (1080, 1920), (3840, 2160)]
)
async def test_it_fits_every_screen(
    tab: Tab, served: Page, control: ControlServer, axe: Axe, width: int, height: int
) -> None:
    await opened(tab, served, width, height)
    control.publish(caption("person", "മഴ എപ്പോൾ തുടങ്ങും?"))
    control.publish(caption("box", LONG, until_s=None))
    control.publish(state("speaking"))
    await shown(tab, "speaking")
    await tab.until("document.querySelector('#said .box p').textContent.length > 100")
    assert await tab.value("document.documentElement.scrollWidth <= innerWidth")
    assert await tab.value("document.documentElement.scrollHeight <= innerHeight")
    # All of the newest is on the screen, and its letters are those that a 7-inch screen shows readably at 3 m.
    newest = json.loads(
        await tab.value("JSON.stringify(document.querySelector('#said .box').getBoundingClientRect().toJSON())")
    )
    assert newest["bottom"] <= height + 1 and newest["top"] >= 0
    size = await tab.value("parseFloat(getComputedStyle(document.querySelector('#said .box p')).fontSize)")
    assert size >= 0.05 * min(width, height)
    control.publish(state("fault_account"))
    await shown(tab, "fault_account")
    assert await tab.value("document.getElementById('fault').getBoundingClientRect().bottom <= innerHeight")
    assert await axe.violations(tab) == []
    keep(f"size-{width}x{height}", await tab.screenshot())


async def test_a_reply_adds_up_and_is_cut_as_it_was_heard(tab: Tab, served: Page, control: ControlServer) -> None:
    await opened(tab, served)
    said = "[...document.querySelectorAll('#said p')].map((row) => row.textContent)"
    for piece in ("ഒന്ന് ", "രണ്ട് ", "മൂന്ന്"):
        control.publish(caption("box", piece))
    await tab.until(f"JSON.stringify({said}) === JSON.stringify(['ഒന്ന് രണ്ട് മൂന്ന്'])")
    control.publish(caption("box", "ഒന്ന്", until_s=2.0))
    await tab.until(f"JSON.stringify({said}) === JSON.stringify(['ഒന്ന്'])")
    control.publish(caption("box", "നാല്", response="r2"))
    control.publish(caption("box", "", response="r2", until_s=3.0))
    control.publish(caption("box", "അഞ്ച്", response="r3"))
    await tab.until(f"JSON.stringify({said}) === JSON.stringify(['ഒന്ന്', 'അഞ്ച്'])")


async def test_markup_is_text(tab: Tab, served: Page, control: ControlServer) -> None:
    await opened(tab, served)
    evil = "<img src=x onerror=alert(1)><script>document.title='x'</script>&amp;\u202egnp.exe"
    control.publish(caption("person", evil))
    assert await tab.until("document.querySelector('#said p').textContent") == evil
    assert await tab.value("document.querySelectorAll('#said img, #said script').length") == 0
    assert await tab.value("document.title") == "ഗ്രാമ വായനശാല"
    assert tab.complaints == []


async def test_it_asks_nobody_else_for_anything(tab: Tab, served: Page) -> None:
    await opened(tab, served)
    asked = [url for url in tab.requested if not url.startswith("about:")]
    assert {url.partition("://")[2].partition("/")[0] for url in asked} == {f"127.0.0.1:{served.port}"}
    assert not any("#" in url for url in asked)
    kept = "JSON.stringify([document.cookie, localStorage.length, sessionStorage.length])"
    assert await tab.value(kept) == '["",0,0]'


async def test_what_was_said_leaves_the_screen(tab: Tab, control: ControlServer, tmp_path: Path) -> None:
    async with page(tmp_path / "control.sock", keep_s=5) as served:
        await opened(tab, served)
        control.publish(caption("person", "ചോദ്യം"))
        control.publish(caption("box", "മറുപടി"))
        await tab.until("document.querySelectorAll('#said p').length === 2")
        began_s = time.monotonic()
        await tab.until("document.querySelectorAll('#said .person').length === 0")
        assert 4 < time.monotonic() - began_s < 7
        # What is still being said stays.
        assert await tab.value("document.querySelectorAll('#said .box').length") == 1


async def test_reduced_motion_stills_the_light(tab: Tab, served: Page, control: ControlServer) -> None:
    await tab.prefers_reduced_motion(True)
    try:
        await opened(tab, served)
        control.publish(state("fault_network"))
        await shown(tab, "fault_network")
        assert await tab.value("document.getAnimations().length") == 0
        assert float(await tab.value("getComputedStyle(document.getElementById('light')).opacity")) == 1
    finally:
        await tab.prefers_reduced_motion(False)


async def test_a_screen_reader_is_told_what_a_screen_shows(tab: Tab, served: Page, control: ControlServer) -> None:
    await opened(tab, served)
    control.publish(caption("person", "ചോദ്യം"))
    control.publish(state("fault_speaker"))
    await shown(tab, "fault_speaker")
    nodes = (await tab.tell("Accessibility.getFullAXTree"))["nodes"]
    roles = {node["role"]["value"]: node for node in nodes if not node["ignored"] and "role" in node}
    assert {"main", "banner", "heading", "alert", "log"} <= set(roles)
    live = {
        name: value["value"]["value"]
        for name in ("alert", "log")
        for value in roles[name]["properties"]
        if value["name"] == "live"
    }
    assert live == {"alert": "assertive", "log": "polite"}
    assert roles["log"]["name"]["value"] == "പറഞ്ഞത് / What was said"
    assert await tab.value("document.querySelector('#fault p').lang") == "ml"


async def test_the_button_on_the_screen_works_by_finger_and_by_key(
    tab: Tab, control: ControlServer, box: Box, axe: Axe, tmp_path: Path
) -> None:
    async with page(tmp_path / "control.sock", touch=True) as served:
        await opened(tab, served)
        assert await axe.violations(tab) == []
        keep("touch", await tab.screenshot())
        place = json.loads(
            await tab.value("JSON.stringify(document.getElementById('press').getBoundingClientRect().toJSON())")
        )
        assert min(place["width"], place["height"]) >= 44
        where = {"x": place["x"] + 20, "y": place["y"] + 20, "button": "left", "clickCount": 1}
        await tab.tell("Input.dispatchMouseEvent", type="mousePressed", **where)
        await asyncio.sleep(0.2)
        await tab.tell("Input.dispatchMouseEvent", type="mouseReleased", **where)
        await asyncio.sleep(0.2)
        for _ in range(4):
            await tab.tell("Input.dispatchKeyEvent", type="keyDown", key="Tab", code="Tab", windowsVirtualKeyCode=9)
            if await tab.value("document.activeElement.id") == "press":
                break
        assert await tab.value("document.activeElement.id") == "press"
        for kind in ("keyDown", "keyUp"):
            await tab.tell("Input.dispatchKeyEvent", type=kind, key=" ", code="Space", windowsVirtualKeyCode=32)
            await asyncio.sleep(0.2)
        assert box.edges == [True, False, True, False]


# ------------------------------------------------------------ how fast


@pytest.mark.usefixtures("timed")
async def test_the_first_state_is_there_at_once(tab: Tab, served: Page) -> None:
    script = (await tab.tell("Page.addScriptToEvaluateOnNewDocument", source=OBSERVER))["identifier"]
    took_s = []
    try:
        for _ in range(5):
            await opened(tab, served)
            first = "window.drawn.find((one) => one[1].endsWith('ready'))[0] - performance.timeOrigin"
            took_s.append(await tab.until(first) / 1000)
    finally:
        await tab.tell("Page.removeScriptToEvaluateOnNewDocument", identifier=script)
    print(f"navigation to first state: {', '.join(f'{one * 1000:.0f}' for one in took_s)} ms")
    assert statistics.median(took_s) <= FIRST_STATE_S


@pytest.mark.usefixtures("timed")
async def test_a_line_of_the_daemon_is_drawn_at_once(tab: Tab, served: Page, control: ControlServer) -> None:
    await opened(tab, served)
    await tab.value(OBSERVER)
    sent: dict[str, float] = {}
    text = ""
    for number in range(100):
        text = f"വാക്ക്{number}."
        sent[text] = time.time()
        control.publish(caption("box", text, response=f"r{number // 10}"))
        await asyncio.sleep(0.05)
    await tab.until(f"document.getElementById('said').innerText.includes('{text}')")
    drawn = json.loads(await tab.value("JSON.stringify(window.drawn)"))
    late_s = sorted(next(at for at, shown in drawn if text in shown) / 1000 - at_s for text, at_s in sent.items())
    print(f"control line to drawn frame: median {late_s[50] * 1000:.0f} ms, p95 {late_s[95] * 1000:.0f} ms")
    assert late_s[0] > 0, "the two clocks do not agree"
    assert late_s[95] <= DRAWN_S


# ------------------------------------------------------------ what it survives


async def test_it_says_that_the_daemon_is_gone_and_comes_back(tab: Tab, axe: Axe, tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    async with page(path, phone=PHONE) as served:
        async with daemon(path, Box()):
            await opened(tab, served)
        began_s = time.monotonic()
        await shown(tab, "no_daemon")
        assert time.monotonic() - began_s < NOTICED_S
        assert await axe.violations(tab) == []
        keep("no-daemon", await tab.screenshot())
        async with daemon(path, Box()):
            began_s = time.monotonic()
            await shown(tab, "ready")
            assert time.monotonic() - began_s < NOTICED_S


async def test_it_says_that_its_server_is_gone_and_comes_back(
    tab: Tab, control: ControlServer, axe: Axe, tmp_path: Path
) -> None:
    path = tmp_path / "control.sock"
    with held_port() as port:
        async with page(path, port=port) as served:
            await opened(tab, served)
        began_s = time.monotonic()
        await shown(tab, "no_page")
        assert time.monotonic() - began_s < NOTICED_S
        assert await axe.violations(tab) == []
        keep("no-page", await tab.screenshot())
        async with page(path, port=port):
            began_s = time.monotonic()
            await shown(tab, "ready")
            assert time.monotonic() - began_s < NOTICED_S


async def test_an_address_without_the_token_shows_nothing(tab: Tab, served: Page, control: ControlServer) -> None:
    for address in (f"http://127.0.0.1:{served.port}/", f"http://127.0.0.1:{served.port}/#wrong"):
        await tab.open(address)
        await tab.until("document.getElementById('state').innerText.includes('Please wait')")
        with contextlib.suppress(AssertionError):
            await tab.until("document.getElementById('state').dataset.name", 1)
        assert not await tab.value("document.getElementById('state').dataset.name || ''")
    tab.complaints.clear()
