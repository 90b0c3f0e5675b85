"""Nothing that a person says is lost: judged sample by sample against a second recording of the same microphone.

Several boxes listen to one person at once. Their presses are some milliseconds apart, so that a press falls anywhere in
a block of their microphones.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import numpy as np
import pytest

from appliance.audio.format import WIRE_HZ, frames_from_ms
from appliance.audio.resample import Resampler
from appliance.box.box import Box
from appliance.link.link import LinkState
from appliance.simulator.records import ConnectionRecord
from appliance.simulator.scenario import Connection, Reply, Scenario, Turn, conversation
from appliance.simulator.service import Service
from appliance.simulator.sound_match import find
from appliance.simulator.virtual_card import CARD_HZ, VirtualCard
from appliance.turn.states import Outcome
from tests.support.rig import PRESS_TO_SPEECH_S, Samples, box, in_time, say, together, turn_over, words

BOXES = 5
ROUNDS = 4
"""Of each box: 20 presses in each mode."""

STAGGER_S = 0.0037
"""Between the presses of two boxes. A block is 20 ms."""

BETWEEN_S = 0.5
"""After an answer: echo_tail_ms and pre_roll_ms, so that the next pre-roll is whole."""

SPEECH_AFTER_PRESS_S = 0.1
"""From here on after a press every sample counts, in every mode (decision 20)."""

PRE_ROLL_S = 0.3
"""talk.pre_roll_ms."""

CLOCK_S = 0.03
"""Between the daemon's clock of the microphone and the recording's: a block of the one, a fragment of the other."""

ROUNDING = 2
"""Steps of int16. Both recordings come from one source at one rate, so they are equal (measured: 0)."""

SHORT_ANSWER = Turn(replies=(Reply(tone_ms=40),))
SLOW = Scenario(connections=(Connection(accept_after_ms=2000, turns=(SHORT_ANSWER,)),))


class Heard:
    """What ``recording``, at the card's rate, and a box have heard of the same sound.

    The box halves the rate, and the recording may have begun at an even or an odd frame of the box's: ``views`` are
    both ways to halve it, one of which is the box's own.
    """

    def __init__(self, recording: Samples, received: bytes) -> None:
        self.views = [Resampler(CARD_HZ, WIRE_HZ).process(recording[first:]) for first in (0, 1)]
        self.received: Samples = np.frombuffer(received, dtype="<i2")

    def align(self, said: Samples) -> tuple[Samples, int, int]:
        """(the view that fits, where in it ``said`` begins, where in ``received`` that is)."""
        found = []
        for view in self.views:
            first = find(said, view, WIRE_HZ).lag_frames
            comparison = find(view[first : first + said.size], self.received, WIRE_HZ)
            found.append((comparison.correlation, view, first, comparison.lag_frames))
        _, view, first, at = max(found, key=lambda each: each[0])
        return view, first, at


def difference(left: Samples, right: Samples) -> int:
    """The largest between two sounds of one length, in steps of int16."""
    return int(np.abs(left.astype(np.int32) - right).max())


async def disconnected(daemon: Box) -> None:
    """Close the session, so that the next press has to open one."""
    daemon.link.close("the test wants a new one")
    await daemon.until(lambda: daemon.link.state is LinkState.CLOSED, 10)


@pytest.mark.parametrize("mode", ["hold", "tap"])
async def test_what_is_said_while_the_service_takes_two_seconds_to_accept(
    card: VirtualCard, tmp_path: Path, mode: str
) -> None:
    said = words(200, 1240)
    rounds: list[tuple[int, list[float]]] = []
    async with (
        together(*(Service(scenario=SLOW) for _ in range(BOXES))) as services,
        together(*(box(service, card, tmp_path, talk__mode=mode) for service in services)) as daemons,
    ):
        with card.record_microphone() as recording:
            for number in range(1, ROUNDS + 1):
                begin, presses_s = recording.samples.size, []
                for daemon in daemons:
                    presses_s.append(time.monotonic())
                    daemon.remote.edge(True, "test")
                    if mode == "tap":
                        daemon.remote.edge(False, "test")
                    await asyncio.sleep(STAGGER_S)
                rounds.append((begin, presses_s))
                await asyncio.sleep(PRESS_TO_SPEECH_S)
                await say(card, said)
                if mode == "hold":
                    for daemon in daemons:
                        daemon.remote.edge(False, "test")
                outcomes = [await turn_over(daemon, number) for daemon in daemons]
                assert outcomes == [Outcome.ANSWERED.value] * BOXES
                await asyncio.gather(*map(disconnected, daemons))
                await asyncio.sleep(BETWEEN_S)
            whole = recording.stop()
    ends = [begin for begin, _ in rounds[1:]] + [whole.size]
    for number, ((begin, presses_s), end) in enumerate(zip(rounds, ends, strict=True)):
        for service, press_s in zip(services, presses_s, strict=True):
            connection = service.connections[number]
            heard = Heard(whole[begin:end], connection.audio)
            view, first, at = heard.align(said)
            onset_s = recording.time_s(begin + first * CARD_HZ // WIRE_HZ)
            assert onset_s - press_s >= SPEECH_AFTER_PRESS_S, "the test spoke too early"
            assert_said_before_accepted(connection, onset_s, said)
            received = heard.received[at : at + said.size]
            assert received.size == said.size
            assert difference(received, view[first : first + said.size]) <= ROUNDING, f"turn {number}"
            # What leads up to it is the pre-roll, and the time from the press to the first word.
            assert at / WIRE_HZ >= PRE_ROLL_S + onset_s - press_s - CLOCK_S
    assert all(len(service.connections) == ROUNDS and not service.violations for service in services)


def assert_said_before_accepted(connection: ConnectionRecord, onset_s: float, said: Samples) -> None:
    """Otherwise the test would prove nothing: all was said while there was no connection."""
    assert connection.accepted_s is not None
    assert connection.accepted_s > onset_s + said.size / WIRE_HZ


@pytest.mark.parametrize("mode", ["hold", "tap"])
async def test_what_is_said_before_the_press(card: VirtualCard, tmp_path: Path, mode: str) -> None:
    """Somebody speaks already when the button goes down: all from ``pre_roll_ms`` before the press on arrives. Only in
    `tap` the box's own earcon is blanked out, and never what follows SPEECH_AFTER_PRESS_S."""
    said = words(200, 1240)
    async with (
        together(*(Service(scenario=conversation(SHORT_ANSWER)) for _ in range(BOXES))) as services,
        together(*(box(service, card, tmp_path, talk__mode=mode) for service in services)) as daemons,
    ):
        presses_s = []
        with card.record_microphone() as recording:
            speaking = asyncio.create_task(say(card, said))
            # Until it is heard, and then as long as the pre-roll is.
            await in_time(lambda: bool(recording.samples.any()))
            await asyncio.sleep(PRE_ROLL_S)
            for daemon in daemons:
                presses_s.append(time.monotonic())
                daemon.remote.edge(True, "test")
                if mode == "tap":
                    daemon.remote.edge(False, "test")
                await asyncio.sleep(STAGGER_S)
            await speaking
            for daemon in daemons:
                if mode == "hold":
                    daemon.remote.edge(False, "test")
            assert [await turn_over(daemon) for daemon in daemons] == [Outcome.ANSWERED.value] * BOXES
            whole = recording.stop()
    for service, press_s in zip(services, presses_s, strict=True):
        (connection,) = service.connections
        heard = Heard(whole, connection.audio)
        end_of_said = said[-frames_from_ms(400) :]
        view, there, here = heard.align(end_of_said)
        length = here + end_of_said.size
        expected, received = view[there - here : there + end_of_said.size], heard.received[:length]
        assert received.size == expected.size == length
        begin_s = recording.time_s((there - here) * CARD_HZ // WIRE_HZ)
        assert press_s - begin_s >= PRE_ROLL_S - CLOCK_S
        blanked = np.zeros(length, dtype=bool)
        if mode == "tap":
            from_s, to_s = press_s - begin_s, press_s - begin_s + SPEECH_AFTER_PRESS_S + CLOCK_S
            blanked[round(from_s * WIRE_HZ) : round(to_s * WIRE_HZ)] = True
            blanked &= received == 0
        assert difference(received[~blanked], expected[~blanked]) <= ROUNDING
