"""One spoken question to the configured service, by a whole box without a card, a button or a light.

Link, session, turns, tools and reply buffer are the box's own; only what touches hardware is not there. It costs one
connection and some seconds of credits.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from appliance.box.box import Box
from appliance.config import loader
from appliance.config.loader import Config
from appliance.errors import UnavailableError
from appliance.link.failures import Class
from appliance.realtime.observed import Observation, observations
from appliance.realtime.record import Attempt, Connected, Entry, line_of
from appliance.simulator import voices
from appliance.turn.states import Outcome, State

from .cardless import Cardless
from .finding import Finding, fault, ok
from .running import RunningBox
from .voice_service import fix_of

REHEARSAL: Final = "rehearsal"

QUESTION: Final = "ask-time"
"""One that most models need a tool for: get_time is offered."""

BUTTON: Final = "rehearsal"
"""The source of its presses."""

START_S: Final = 5.0
"""A box without hardware starts in some 0.1 s."""

BEFORE_S: Final = 0.3
"""From the press to the first word."""

AFTER_S: Final = 0.1
"""From the last word to the release: people let go at once, and so a service is also seen to be told of the end."""

TAP_S: Final = 0.1

BEYOND_S: Final = 60.0
"""What a turn may take beyond its own deadlines: a long answer."""

WHOLE_S: Final = 0.1
"""So much less of an answer may have been heard than came: the last block of it."""

HUNG_UP_S: Final = 3.0
"""What the daemon gets to close its session; two ways over a slow network, and link.close_timeout_s is 1."""

STOP_DAEMON: Final = "this box's own daemon may have it: sudo systemctl stop voice-appliance; rehearse; start it again"

REPORT: Final = "voice-appliance rehearse --record FILE keeps what the service did, without a word; send it to support"


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """``lines``: of the record, all sessions. ``turn``: the figures of the turn as ``ctl watch`` gives them; None: it
    had no end. ``happened`` and ``fix``: the link's trouble, both empty if it has none."""

    lines: list[dict[str, Any]]
    turn: dict[str, Any] | None
    happened: str
    fix: str

    @property
    def seen(self) -> list[Observation]:
        """How the service follows its protocol, in the last session that was opened."""
        begins = [index for index, line in enumerate(self.lines) if line["type"] == "connected"]
        return observations(self.lines[begins[-1] :]) if begins else []


async def rehearse(
    path: str | None,
    credential: Callable[[], Awaitable[str]],
    on_line: Callable[[dict[str, Any]], None] = lambda _: None,
    record: str = "",
) -> Rehearsed:
    """Ask, and wait for the end of the turn. ``path``: as ``config.load`` takes it; raises what that raises.

    ``on_line`` is told of each line of the record when it is written; ``record``: a file that gets them, "" for none.
    """
    lines: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    began_s = loop.time()

    def note(entry: Entry) -> None:
        nonlocal began_s
        if isinstance(entry, Connected | Attempt):
            began_s = loop.time()
        lines.append(line_of(entry, loop.time() - began_s))
        on_line(lines[-1])

    own = loader.load(path)
    beside_daemon = await _have_hung_up(own.control.socket_path)
    with tempfile.TemporaryDirectory(prefix="voice-appliance-rehearsal-") as folder:
        settings = _settings(own, path, Path(folder), record)
        card = Cardless()
        daemon = Box(settings, credential=credential, sound_host=card, record=note)
        turns: list[dict[str, Any]] = []
        daemon.watch(lambda event: turns.append(event) if event["event"] == "turn" else None)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(daemon.run())
            try:
                await daemon.until(lambda: daemon.ready, START_S)
                await _ask(daemon, card)
                verdict = daemon.link.policy.verdict
            finally:
                daemon.stop()
                await running
    happened, fix = ("", "") if verdict is None else (verdict.happened, fix_of(verdict.fix))
    if verdict is not None and verdict.class_ is Class.LIMIT and beside_daemon:
        fix = STOP_DAEMON
    return Rehearsed(lines, turns[0] if turns else None, happened, fix)


async def _have_hung_up(socket_path: str) -> bool:
    """Have this box's own daemon close its session, for a plan may allow one; whether there is a daemon."""
    try:
        await RunningBox(socket_path).hang_up(HUNG_UP_S)
    except UnavailableError:
        return False
    return True


def _settings(own: Config, path: str | None, folder: Path, record: str) -> Config:
    """The box's own, but for what touches hardware, other programs or files."""
    return loader.load(
        path,
        {
            "talk.mode": "hold" if own.talk.mode in ("auto", "hold") else "tap",
            "link.connect": "on-demand",
            "service.greeting": False,
            "tools.builtin": list(dict.fromkeys([*own.tools.builtin, "get_time"])),
            "control.socket": str(folder / "control.sock"),
            "log.record": record,
            "transcripts.file": "",
            "transcripts.journal": False,
            "speaker.volume": own.speaker.volume_max,
            "panel.earcons": False,
            "panel.waiting_tick": False,
            "panel.clips_dir": "",
            "panel.button.gpio": 0,
            "panel.mute.gpio": 0,
            "panel.key.device": "",
            "panel.leds.kind": "none",
            "panel.leds.gpio": [],
        },
    )


async def _ask(daemon: Box, card: Cardless) -> None:
    """Press, ask, let go, and wait until the answer has been played, or there is none."""
    talk, link = daemon.config.talk, daemon.config.link
    holds = talk.mode == "hold"
    daemon.remote.edge(True, BUTTON)
    await asyncio.sleep(BEFORE_S if holds else TAP_S)
    if not holds:
        daemon.remote.edge(False, BUTTON)
    question = voices.pcm(QUESTION)
    card.capture.hears(question)
    await asyncio.sleep(voices.ms_from_bytes(len(question)) / 1000 + AFTER_S)
    if holds:
        daemon.remote.edge(False, BUTTON)
    limit_s = link.connect_timeout_s + link.configure_timeout_s + talk.stale_s + talk.answer_s + BEYOND_S
    try:
        await daemon.until(lambda: daemon.turns.ended > 0 and daemon.machine.state is State.READY, limit_s)
    except TimeoutError:
        # What came of it is in the lines; that nothing ended it, too.
        return


def judged(rehearsed: Rehearsed) -> Finding:
    """Whether this box will work with that service."""
    turn = rehearsed.turn
    if turn is None:
        return fault(REHEARSAL, f"this box will not work with it: the turn had no end{_why(rehearsed)}", REPORT)
    if turn["outcome"] == Outcome.EMPTY_ANSWER.value and turn["answer_s"] > 0:
        line = f"this box will not work with it: the answer is without a sound{_why(rehearsed)}"
        return fault(REHEARSAL, line, REPORT)
    if turn["outcome"] != Outcome.ANSWERED.value:
        line = f"this box will not work with it: the question ended {turn['outcome']!r}{_why(rehearsed)}"
        return fault(REHEARSAL, line, rehearsed.fix or REPORT)
    heard = f"{turn['heard_s']:.1f} of {turn['answer_s']:.1f} s of answer heard"
    if turn["heard_s"] < turn["answer_s"] - WHOLE_S:
        return fault(REHEARSAL, f"this box will not work well with it: only {heard}", REPORT)
    waited = turn["end_to_audible_s"]
    after = "" if waited is None else f", after {waited:.1f} s"
    return ok(REHEARSAL, f"this box will work with it: answered{after}, {heard}")


def _why(rehearsed: Rehearsed) -> str:
    reason = rehearsed.happened or (rehearsed.turn or {}).get("reason") or ""
    return f" ({reason})" if reason else ""
