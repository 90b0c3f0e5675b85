"""Talking without a button, on a whole box over the virtual card, whose microphone hears its speaker."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from appliance.simulator import voices
from appliance.simulator.scenario import Reply, Turn, conversation
from appliance.simulator.service import Service
from appliance.simulator.sound_match import find
from appliance.simulator.virtual_card import VirtualCard
from appliance.turn.states import Outcome, State
from tests.support.rig import box, has_listened, in_state, question, say, turn_over

FIRST_SYLLABLES_FRAMES = 7_200
"""0.3 s."""

ANSWERS = conversation(Turn(replies=(Reply(voice="time"),)))


async def test_a_conversation_without_a_button_in_which_the_box_does_not_answer_itself(
    card: VirtualCard, tmp_path: Path
) -> None:
    card.echo(-12)
    try:
        async with Service(scenario=ANSWERS) as service, box(service, card, tmp_path, talk__mode="open") as daemon:
            assert daemon.panel.current_light == "invite"
            await say(card, question())
            assert await turn_over(daemon) == Outcome.ANSWERED.value
            assert daemon.machine.state is State.EXPECTING and daemon.panel.current_light == "listening"
            # The echo is over long before; the next question needs no invite.
            await asyncio.sleep(1.5)
            assert daemon.turns.ended == 1 and daemon.machine.state is State.EXPECTING
            await say(card, question("ask-who"))
            assert await turn_over(daemon, 2) == Outcome.ANSWERED.value
            await in_state(daemon, State.READY)
            assert daemon.turns.ended == 2 and daemon.panel.current_light == "invite"
        assert len(service.turns) == 2 and len(service.connections) == 1 and not service.violations
        audio = np.frombuffer(service.connections[0].audio, dtype="<i2")
        for name in ("ask-time", "ask-who"):
            assert find(question(name)[:FIRST_SYLLABLES_FRAMES], audio, 24_000).correlation > 0.98, name
            assert find(question(name), audio, 24_000).missing_ms == 0, name
    finally:
        card.echo(None)


async def test_a_hands_free_box_is_mute_when_it_is_muted(card: VirtualCard, tmp_path: Path) -> None:
    async with Service(scenario=ANSWERS) as service, box(service, card, tmp_path, talk__mode="open") as daemon:
        daemon.remote.mute(True)
        await say(card, question())
        assert daemon.panel.current_light == "mute" and daemon.turns.ended == 0 and not service.connections
        daemon.remote.mute(False)
        await daemon.until(lambda: daemon.panel.current_light == "invite", 20)
        await has_listened(daemon)
        await say(card, question())
        assert await turn_over(daemon) == Outcome.ANSWERED.value


LONG = Reply(pcm=voices.pcm("ask-monsoon") * 2, text="മഴ", speed=2)
"""An answer of speech, longer than the canceller takes to settle."""


async def test_who_talks_over_an_answer_is_heard_through_the_boxs_own_voice(card: VirtualCard, tmp_path: Path) -> None:
    """The speaker is half as loud at the microphone as it plays; the box takes it out itself."""
    pytest.importorskip("pywebrtc_audio")
    card.echo(-6)
    try:
        answers = conversation(Turn(replies=(LONG,)), Turn(replies=(LONG,)), Turn(replies=(Reply(voice="time"),)))
        async with (
            Service(scenario=answers) as service,
            box(service, card, tmp_path, talk__mode="open", talk__full_duplex="software") as daemon,
        ):
            assert daemon.echo is not None and not daemon.echo.settled
            await say(card, question())
            assert await turn_over(daemon) == Outcome.ANSWERED.value
            assert daemon.echo.settled
            await say(card, question())
            await in_state(daemon, State.SPEAKING)
            await daemon.until(lambda: daemon.speaker.heard_s(service.replies[1].response_id) > 2.0, 20)
            await say(card, question("ask-who"))
            assert await turn_over(daemon, 2) == Outcome.TALKED_OVER.value
            assert await turn_over(daemon, 3) == Outcome.ANSWERED.value
        assert len(service.turns) == 3 and not service.violations
        audio = np.frombuffer(service.turns[2].audio, dtype="<i2")
        assert find(question("ask-who")[FIRST_SYLLABLES_FRAMES:], audio, 24_000).correlation > 0.6
    finally:
        card.echo(None)
