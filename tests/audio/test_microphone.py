"""The microphone as the daemon has it: all that is said is in the ring, at its time, whatever happens to the card."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest

from appliance.audio import child_process
from appliance.audio.microphone import (
    Microphone,
    MicrophoneClosed,
    MicrophoneEvent,
    MicrophoneGone,
    MicrophoneHole,
    MicrophoneOpened,
)
from appliance.audio.ring import Ring
from appliance.audio.sound_host import SoundHost
from appliance.config.settings import MicrophoneSettings
from appliance.simulator.virtual_card import VirtualCard
from appliance.soundhost import messages
from tests.support.sound_host import (
    Int16,
    alive,
    babble,
    environment_of,
    held_in_the_kernel,
    hold_up,
    lag_of,
    likeness,
    microphone_settings,
    until,
    worst_likeness,
)

HZ = 24_000

KEPT_S = 0.4
"""In the sound host while nobody attends: the default pre-roll and what a press is looked at late."""


class Box:
    """A microphone that runs, and what it has said."""

    def __init__(
        self,
        settings: MicrophoneSettings,
        on_event: Callable[[MicrophoneEvent], None] | None = None,
        idle_pace_ms: int = messages.HOLD,
    ) -> None:
        self.ring = Ring(20 * HZ)
        self.events: list[MicrophoneEvent] = []
        self.microphone = Microphone(
            settings, self.ring, on_event or self.events.append, idle_pace_ms=idle_pace_ms, idle_kept_s=KEPT_S
        )
        self.task: asyncio.Task[Any] = asyncio.create_task(self.microphone.run())

    def seen(self, kind: type[MicrophoneEvent]) -> int:
        return sum(isinstance(event, kind) for event in self.events)

    def heard(self) -> Int16:
        return self.ring.read(self.ring.start, self.ring.capacity_frames)

    async def end(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


@contextlib.asynccontextmanager
async def listening(
    settings: MicrophoneSettings | None = None, idle_pace_ms: int = messages.HOLD
) -> AsyncIterator[Box]:
    box = Box(settings or microphone_settings(), idle_pace_ms=idle_pace_ms)
    try:
        await until(lambda: box.ring.end > 0 or box.task.done())
        yield box
    finally:
        await box.end()


@pytest.mark.parametrize(("rate_hz", "attentive"), [(0, True), (44_100, True), (0, False)])
async def test_what_is_said_is_in_the_ring_without_a_gap_and_at_its_time(
    virtual_card: VirtualCard, rate_hz: int, attentive: bool
) -> None:
    said = babble(1.5)
    with virtual_card.record_microphone(hz=HZ, latency_ms=5) as beside:
        async with listening(microphone_settings(rate_hz=rate_hz), idle_pace_ms=200) as box:
            opened = box.events[0]
            assert opened == MicrophoneOpened("usbmic", rate_hz or 48_000, 1, "")
            begun = box.ring.end
            box.microphone.attend(attentive)
            playing = virtual_card.play_into_microphone(said)
            await until(lambda: playing.over)
            await until(lambda: box.ring.end - begun > said.size + HZ // 2)
            heard, start = box.heard(), box.ring.start
    lag = lag_of(said, heard)
    assert worst_likeness(said, heard, lag, HZ) > 0.99
    # The recorder beside us has some milliseconds of delay of its own.
    assert box.ring.time_at(start + lag) == pytest.approx(beside.time_s(lag_of(said, beside.samples)), abs=0.05)
    assert box.seen(MicrophoneHole) == 0


async def test_attention_brings_the_ring_up_to_date_at_once(virtual_card: VirtualCard) -> None:
    async with listening(idle_pace_ms=200) as box:
        box.microphone.attend(False)
        await until(lambda: time.monotonic() - box.ring.time_at(box.ring.end) > 0.1)
        behind = box.ring.end
        box.microphone.attend(True)
        asked_s = time.monotonic()
        await until(lambda: box.ring.end > behind)
        assert time.monotonic() - asked_s < 0.01, "it does not wait for another block"


async def test_the_shortest_blocks_do_not_fall_behind_while_nobody_attends(virtual_card: VirtualCard) -> None:
    async with listening(microphone_settings(period_ms=5), idle_pace_ms=200) as box:
        box.microphone.attend(False)
        begun_s = time.monotonic()
        await until(lambda: time.monotonic() - begun_s > 3)
        assert time.monotonic() - box.ring.time_at(box.ring.end) < 0.35


@pytest.mark.parametrize("rate_hz", [0, 44_100])
async def test_what_was_said_before_anybody_attended_is_there_when_somebody_does(
    virtual_card: VirtualCard, rate_hz: int
) -> None:
    """The pre-roll: held in the sound host, with its time, and nothing that is older."""
    said = babble(8.0)
    async with listening(microphone_settings(rate_hz=rate_hz)) as box:
        playing = virtual_card.play_into_microphone(said)
        await until(lambda: np.any(box.heard()[-HZ // 2 :]))
        for _ in range(3):
            await _press_after_a_while(box, said)
        playing.stop()
        assert box.seen(MicrophoneHole) == 0


async def _press_after_a_while(box: Box, said: Int16) -> None:
    """What is in the ring then is one piece of ``said``, from before the press until after it."""
    box.microphone.attend(False)
    behind = await _nothing_new(box)
    pressed_s = time.monotonic()
    box.microphone.attend(True)
    await until(lambda: box.ring.end > behind)
    assert time.monotonic() - pressed_s < 0.02
    first_s = box.ring.time_at(behind)
    await until(lambda: box.ring.time_at(box.ring.end) > pressed_s + 0.2)
    heard = box.ring.read(behind, box.ring.end - behind)
    assert first_s < pressed_s - KEPT_S + 0.1, "what a press sends from before it is there"
    assert first_s > pressed_s - KEPT_S - 0.25, "and not much more"
    assert worst_likeness(heard[240:], said, lag_of(heard[240:], said), HZ, piece_s=0.08) > 0.99


async def _nothing_new(box: Box) -> int:
    """Wait until the ring has not grown for long enough that all of the pre-roll is new; where it ends."""
    end, since_s = box.ring.end, time.monotonic()
    while time.monotonic() - since_s < 2 * KEPT_S:
        await asyncio.sleep(0.01)
        if box.ring.end != end:
            end, since_s = box.ring.end, time.monotonic()
    return end


async def test_a_host_that_was_started_early_is_the_one_that_is_used(virtual_card: VirtualCard) -> None:
    child_process.start_early()
    other = child_process.child_for("playback", None)
    try:
        async with listening() as box:
            first = box.microphone.process_id
            assert first is not None
            assert first < other.process.pid, "it was there before the other"
            os.kill(first, signal.SIGKILL)
            await until(lambda: box.seen(MicrophoneOpened) == 2)
            assert box.microphone.process_id != first, "its successor is a new one"
    finally:
        other.kill()
        other.process.wait()


async def test_one_whose_host_hangs_while_it_is_held_back_is_replaced(virtual_card: VirtualCard) -> None:
    async with listening() as box:
        box.microphone.attend(False)
        await _nothing_new(box)
        process_id = box.microphone.process_id
        assert process_id is not None
        os.kill(process_id, signal.SIGSTOP)
        stopped_s = time.monotonic()
        await until(lambda: box.seen(MicrophoneOpened) == 2)
        assert time.monotonic() - stopped_s < 5
        lost = box.events[1]
        assert isinstance(lost, MicrophoneGone)
        assert lost.reason.startswith("the sound host hung for 2")


async def test_one_channel_of_several(virtual_card: VirtualCard) -> None:
    async with listening(microphone_settings(channel=2)) as box:
        assert box.microphone.device is not None
        assert box.microphone.device.channels == 2
        said = babble(0.4)
        playing = virtual_card.play_into_microphone(said)
        await until(lambda: playing.over and box.microphone.level_dbfs < -100)
        assert likeness(said, box.heard(), lag_of(said, box.heard())) > 0.99


async def test_the_level(virtual_card: VirtualCard) -> None:
    async with listening() as box:
        assert box.microphone.level_dbfs < -100
        virtual_card.play_into_microphone(babble(1.0))
        await until(lambda: -40 < box.microphone.level_dbfs < 0)


async def test_closed_it_has_no_process_and_hears_nothing_until_it_is_opened(virtual_card: VirtualCard) -> None:
    async with listening() as box:
        host = box.microphone.process_id
        box.microphone.close()
        box.microphone.close()
        end = box.ring.end
        assert box.events[-1] == MicrophoneClosed() and box.microphone.device is None
        await until(lambda: box.microphone.process_id is None)
        assert not alive(host)
        await asyncio.sleep(0.6)
        assert box.ring.end == end and box.microphone.process_id is None
        box.microphone.open()
        await until(lambda: box.ring.end > end)
        assert [type(event) for event in box.events] == [MicrophoneOpened, MicrophoneClosed, MicrophoneOpened]


async def test_closed_and_opened_at_once_it_hears_again(virtual_card: VirtualCard) -> None:
    async with listening() as box:
        for _ in range(3):
            box.microphone.close()
            box.microphone.open()
        await until(lambda: box.seen(MicrophoneOpened) == 2)
        end = box.ring.end
        await until(lambda: box.ring.end > end + HZ // 4)
        assert box.seen(MicrophoneGone) == box.seen(MicrophoneHole) == 0


async def test_a_microphone_that_is_missing_is_not_looked_for_while_closed(virtual_card: VirtualCard) -> None:
    box = Box(microphone_settings(device="no such thing"))
    try:
        box.microphone.close()
        await asyncio.sleep(0.3)
        assert [type(event) for event in box.events] == [MicrophoneClosed] and box.microphone.process_id is None
        box.microphone.open()
        await until(lambda: box.seen(MicrophoneGone) == 1)
    finally:
        await box.end()


async def test_a_hung_host_is_replaced_and_the_loop_never_waits(virtual_card: VirtualCard) -> None:
    async with listening() as box:
        hung = box.microphone.process_id
        assert hung is not None
        os.kill(hung, signal.SIGSTOP)
        hung_s = time.monotonic()
        longest_s = 0.0
        while box.seen(MicrophoneOpened) < 2:
            before_s = time.monotonic()
            assert before_s - hung_s < 10
            await asyncio.sleep(0.01)
            longest_s = max(longest_s, time.monotonic() - before_s)
        assert time.monotonic() - hung_s < 3
        assert longest_s < 0.3
        assert box.microphone.process_id != hung
        assert not alive(hung), "killed and collected"
        end = box.ring.end
        await until(lambda: box.ring.end > end)
    opened, lost, again = box.events
    assert isinstance(lost, MicrophoneGone)
    assert "hung" in lost.reason
    assert again == opened
    # And no MicrophoneHole: it would end a turn that has begun since.


async def test_a_host_that_is_slow_to_die_holds_nothing_up_and_is_collected_when_it_does(
    virtual_card: VirtualCard,
) -> None:
    async with listening() as box:
        slow = box.microphone.process_id
        with held_in_the_kernel(slow):
            box.microphone.close()
            box.microphone.open()
            await until(lambda: box.seen(MicrophoneOpened) == 2)
            assert alive(slow)
        # Also where nobody starts another process, which would have Python collect what is left of this one.
        await until(lambda: not alive(slow))


async def test_unplugged_is_said_and_plugged_in_is_found(virtual_card: VirtualCard) -> None:
    async with listening() as box:
        await asyncio.to_thread(virtual_card.unplug_microphone)
        await until(lambda: box.microphone.device is None)
        await until(
            lambda: box.events[-1] == MicrophoneGone('"usbmic" cannot be opened: Unanticipated host error (48000 Hz)')
        )
        await asyncio.to_thread(virtual_card.plug_microphone)
        plugged_s = time.monotonic()
        await until(lambda: box.microphone.device is not None)
        assert time.monotonic() - plugged_s < 4
        said = babble(0.4)
        playing = virtual_card.play_into_microphone(said)
        await until(lambda: playing.over and box.microphone.level_dbfs < -100)
        assert likeness(said, box.heard(), lag_of(said, box.heard())) > 0.99
    # Once for each reason, not once for each look.
    reasons = [event.reason for event in box.events if isinstance(event, MicrophoneGone)]
    assert len(reasons) == len(set(reasons)) == 2


async def test_the_whole_card_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    with VirtualCard() as card:
        for name, value in card.environment.items():
            monkeypatch.setenv(name, value)
        async with listening() as box:
            await asyncio.to_thread(card.kill_server)
            await until(lambda: box.microphone.device is None)
            assert box.microphone.level_dbfs < -100


async def test_a_daemon_that_is_busy_for_a_while_loses_nothing(virtual_card: VirtualCard) -> None:
    async with listening() as box:
        process_id = box.microphone.process_id
        said = babble(1.5)
        begun = box.ring.end
        virtual_card.play_into_microphone(said)
        # What this is about: the event loop is held up, for longer than a host may be silent.
        hold_up(1.7)
        await until(lambda: box.ring.end - begun > said.size + HZ // 2)
        heard = box.heard()
        assert worst_likeness(said, heard, lag_of(said, heard), HZ) > 0.99
        assert box.microphone.process_id == process_id
        assert [type(event) for event in box.events] == [MicrophoneOpened]


class Nobody:
    """Uses a sound host, and only notes why it has none."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def opened(self, opened: messages.Opened) -> None:
        raise AssertionError(opened)

    def lost(self, reason: str) -> None:
        self.reasons.append(reason)

    def changes(self) -> None:
        raise AssertionError

    def received(self, message: messages.FromDevice) -> None:
        raise AssertionError(message)

    def fetched(self) -> None:
        pass


async def test_a_host_that_never_starts_is_tried_ever_more_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    begun_s = time.monotonic()
    nobody = Nobody()
    host = SoundHost("capture", messages.Open("usbmic", 0, 0, 20), nobody)
    task: asyncio.Task[Any] = asyncio.create_task(host.run())
    await until(lambda: host.started == 4)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert time.monotonic() - begun_s > 1.4, "at once, after 0.5 s, after 1 s"
    assert nobody.reasons == ["the sound host ended"], "said once"


async def test_no_program_for_the_host_is_a_reason_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    box = Box(microphone_settings())
    await until(lambda: box.events)
    await box.end()
    assert box.events == [MicrophoneGone("no process for the sound host: No such file or directory")]


async def test_what_the_daemon_raises_ends_the_microphone(virtual_card: VirtualCard) -> None:
    def fail(event: MicrophoneEvent) -> None:
        raise RuntimeError(f"did not expect {event}")

    box = Box(microphone_settings(), fail)
    await until(box.task.done)
    with pytest.raises(RuntimeError, match="did not expect"):
        await box.task
    assert box.microphone.process_id is None


async def test_the_host_sees_no_secrets_and_ends_with_the_microphone(
    virtual_card: VirtualCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWARAM_API_KEY", "swaram_secret")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials")
    async with listening() as box:
        process_id = box.microphone.process_id
        names = environment_of(process_id)
        assert names.isdisjoint({"SWARAM_API_KEY", "NOTIFY_SOCKET", "WATCHDOG_USEC", "CREDENTIALS_DIRECTORY"})
        assert "ALSA_CONFIG_PATH" in names
    assert not alive(process_id)
