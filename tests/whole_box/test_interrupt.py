"""A press during a reply: silence at once, and the new question counts. Judged by what the speaker plays, and by what
the service is sent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from appliance.audio.format import WIRE_HZ, frames_from_ms
from appliance.box.box import Box
from appliance.realtime import events
from appliance.simulator import voices
from appliance.simulator.records import ConnectionRecord
from appliance.simulator.scenario import Reply, Turn, conversation
from appliance.simulator.service import Service
from appliance.simulator.sound_match import find
from appliance.simulator.virtual_card import CARD_HZ, CardRecording, VirtualCard
from appliance.turn.states import Outcome
from tests.support.rig import Samples, box, in_time, say, turn_over, words

MODES = ["hold", "tap", "auto"]

SILENT_WITHIN_S = 0.060
"""From the press to the last sample of the reply, beyond the delay of the way from a write to the listener."""

PAUSE_FRAMES = CARD_HZ // 50
"""A stretch of sound ends where 20 ms of exact zeros follow: the virtual card adds nothing to silence."""

OWN_VOICE_OVER_S = 0.4
"""After an interrupting press a person has to draw breath: 150 ms of echo_tail_ms behind the reply's last sample."""

ASKING_S = OWN_VOICE_OVER_S + 0.5
"""From a press on: too early for any answer."""

PIECE_FRAMES = frames_from_ms(100)

ECHO_DB = -12.0


@pytest.fixture
def echo(card: VirtualCard) -> Iterator[None]:
    """The microphone hears the speaker."""
    card.echo(ECHO_DB)
    yield
    card.echo(None)


async def ask(daemon: Box, card: VirtualCard, mode: str) -> float:
    """A short question, asked as the mode wants it; returns the time of its press."""
    press_s = time.monotonic()
    daemon.remote.edge(True, "test")
    if mode != "hold":
        daemon.remote.edge(False, "test")
    await asyncio.sleep(OWN_VOICE_OVER_S)
    await say(card, words())
    if mode == "hold":
        daemon.remote.edge(False, "test")
    return press_s


async def audible(daemon: Box, for_s: float) -> None:
    """Until the turn's answer has been playing for so long."""
    await daemon.until(lambda: daemon.turns.figures.audible_s is not None, 20)
    await asyncio.sleep(for_s)


async def way_s(daemon: Box, recording: CardRecording) -> float:
    """Play a click; returns how long its first sample takes from the host's write to the listener."""
    begin = recording.samples.size
    daemon.player.append("click", voices.tone(1000, 20))
    daemon.player.end("click")
    daemon.player.play()
    await audible(daemon, 0)
    daemon.player.hold()
    await in_time(lambda: bool(recording.samples[begin:].any()))
    assert daemon.turns.figures.audible_s is not None
    written_s = daemon.turns.figures.audible_s - daemon.speaker.latency_s
    return recording.time_s(begin + int(np.flatnonzero(recording.samples[begin:])[0])) - written_s


def stretches(samples: Samples) -> list[tuple[int, int]]:
    """(first, last) non-zero sample of each stretch of sound between two pauses."""
    loud = np.flatnonzero(samples)
    breaks = np.flatnonzero(np.diff(loud) > PAUSE_FRAMES)
    firsts, lasts = loud[np.append(0, breaks + 1)], loud[np.append(breaks, loud.size - 1)]
    return [(int(first), int(last)) for first, last in zip(firsts, lasts, strict=True)]


def share_of(samples: Samples, tone_hz: float) -> float:
    """How much of a tone at full scale is in ``samples``, recorded at the card's rate."""
    turns = np.exp(-2j * np.pi * tone_hz / CARD_HZ * np.arange(samples.size))
    return float(abs(samples @ turns)) / samples.size * 2 / 32768


@pytest.mark.parametrize("mode", MODES)
async def test_a_press_silences_the_reply_within_sixty_milliseconds(
    card: VirtualCard, tmp_path: Path, mode: str
) -> None:
    """One reply is still being sent when it is interrupted, and goes on being sent for a while; the next has been sent
    whole. The third is the answer that was wanted."""
    answer = words(540, 1240)
    replies = (
        Reply(tone_hz=440, tone_ms=6000, speed=4, cancel_lag_ms=400, late_deltas=5),
        Reply(tone_hz=1000, tone_ms=6000, speed=0),
        Reply(pcm=answer.tobytes()),
    )
    async with (
        Service(scenario=conversation(*(Turn(replies=(reply,)) for reply in replies))) as service,
        # Without earcons whatever sounds after a press is the reply that should not.
        box(service, card, tmp_path, talk__mode=mode, panel__earcons=False) as daemon,
    ):
        with card.record_speaker(latency_ms=5) as recording:
            delay_s = await way_s(daemon, recording)
            await ask(daemon, card, mode)
            await audible(daemon, 0.3)
            first_press_s = await ask(daemon, card, mode)
            assert await turn_over(daemon) == Outcome.INTERRUPTED.value
            await audible(daemon, 0.3)
            second_press_s = await ask(daemon, card, mode)
            assert await turn_over(daemon, 3) == Outcome.ANSWERED.value
            await asyncio.sleep(0.2)
            heard = recording.stop()
    in_progress, sent_whole, wanted = service.replies
    assert (in_progress.status, in_progress.cancelled_by) == ("cancelled", "client")
    assert in_progress.done_s is not None and in_progress.done_s > first_press_s
    assert (sent_whole.status, sent_whole.cancelled_by) == ("completed", None)
    assert sent_whole.done_s is not None and sent_whole.done_s < second_press_s
    (connection,) = service.connections
    assert connection.received_of(events.ResponseCancel) == [events.ResponseCancel(in_progress.response_id)]
    assert wanted.status == "completed" and not service.violations
    heard_s = recording.time_s(0) + np.arange(heard.size) / CARD_HZ
    for press_s, reply in ((first_press_s, in_progress), (second_press_s, sent_whole)):
        before = heard[(heard_s > press_s - 0.2) & (heard_s < press_s)]
        assert before.any(), f"the press interrupted nothing of {reply.response_id}"
        sounding_s = heard_s[(heard_s > press_s) & (heard_s < press_s + ASKING_S) & (heard != 0)]
        assert sounding_s.max(initial=press_s) - press_s <= SILENT_WITHIN_S + delay_s
    silent_s = first_press_s + SILENT_WITHIN_S + delay_s
    assert share_of(heard[heard_s < first_press_s], 440) > 0.01
    assert share_of(heard[(heard_s > silent_s) & (heard_s < second_press_s)], 440) < 0.001, "late deltas were heard"
    wideband = heard[heard_s > second_press_s][:: CARD_HZ // WIRE_HZ]
    # In pieces: whether a reply plays without a gap is another test's question.
    pieces = [answer[first : first + PIECE_FRAMES] for first in range(0, answer.size, PIECE_FRAMES)]
    assert sum(find(piece, wideband, WIRE_HZ).correlation > 0.95 for piece in pieces) > len(pieces) / 2


def sent_from(connection: ConnectionRecord, from_s: float) -> Samples:
    """What the service was sent from that time on."""
    appended = [event for at_s, event in connection.received if at_s >= from_s]
    return np.frombuffer(
        b"".join(event.audio for event in appended if isinstance(event, events.InputAudioBufferAppend)), dtype="<i2"
    )


@pytest.mark.usefixtures("echo")
@pytest.mark.parametrize("mode", MODES)
async def test_an_interrupting_press_sends_none_of_the_reply(card: VirtualCard, tmp_path: Path, mode: str) -> None:
    replies = (Reply(voice="who", speed=0), Reply(tone_ms=40))
    async with (
        Service(scenario=conversation(*(Turn(replies=(reply,)) for reply in replies))) as service,
        box(service, card, tmp_path, talk__mode=mode) as daemon,
    ):
        with card.record_microphone(hz=WIRE_HZ) as recording:
            await ask(daemon, card, mode)
            await audible(daemon, 0.5)
            press_s = await ask(daemon, card, mode)
            assert await turn_over(daemon, 2) == Outcome.ANSWERED.value
            microphone = recording.stop()
    reply = np.frombuffer(voices.pcm("who"), dtype="<i2")[: frames_from_ms(400)]
    assert find(reply, microphone, WIRE_HZ).correlation > 0.9, "there was no echo"
    sent = sent_from(service.connections[0], press_s)
    assert find(reply, sent, WIRE_HZ).correlation < 0.2
    asked = find(words(), sent, WIRE_HZ)
    assert asked.correlation > 0.99 and asked.missing_ms == 0
    # Not even faintly: nobody else makes a sound in this room.
    assert not sent[: asked.lag_frames - frames_from_ms(20)].any()
    assert len(service.turns) == 2


@pytest.mark.usefixtures("echo")
async def test_the_listening_earcon_alone_is_never_taken_for_speech(card: VirtualCard, tmp_path: Path) -> None:
    async with (
        Service() as service,
        box(service, card, tmp_path, talk__mode="tap", talk__no_speech_s=1.0) as daemon,
    ):
        with card.record_microphone() as recording:
            for number in range(1, 5):
                daemon.remote.edge(True, "test")
                daemon.remote.edge(False, "test")
                assert await turn_over(daemon, number) == Outcome.NO_SPEECH.value
            assert len(stretches(recording.stop())) == 4, "the microphone did not hear the earcons"
    (connection,) = service.connections
    assert connection.audio_ms > 3000
    assert not connection.sent_of(events.SpeechStarted)
    assert not service.turns and not service.violations
