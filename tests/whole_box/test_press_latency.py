"""From the edge on a pin to the first light and to the first audio that is read out for the service."""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path

from gpiozero import Device

from appliance.link.link import LinkState
from appliance.simulator.service import Service
from appliance.simulator.virtual_card import VirtualCard
from appliance.turn.states import State
from tests.support.rig import box, in_state, in_time

BUTTON_GPIO, LED_GPIO = 17, 27
PRESSES = 7


async def test_a_press_is_seen_and_heard_within_20_ms(card: VirtualCard, tmp_path: Path) -> None:
    """The connection stands, as it does in the middle of a conversation; a new one takes what the network takes."""
    wired = {"panel__button__gpio": BUTTON_GPIO, "panel__leds__kind": "pwm", "panel__leds__gpio": [LED_GPIO]}
    to_light_s, to_audio_s = [], []
    async with (
        Service() as service,
        box(service, card, tmp_path, talk__mode="tap", link__connect="always", **wired) as daemon,
    ):
        button, led = Device.pin_factory.pin(BUTTON_GPIO), Device.pin_factory.pin(LED_GPIO)
        read_s: list[float] = []
        next_audio = daemon.turns.next_audio

        def timed() -> bytes | None:
            pcm = next_audio()
            if pcm is not None:
                read_s.append(time.monotonic())
            return pcm

        daemon.turns.next_audio = timed  # type: ignore[method-assign]
        # A box that is kept connected spreads its start; nobody waits for that here.
        daemon.remote.retry()
        for _ in range(PRESSES):
            await daemon.until(lambda: daemon.link.state is LinkState.OPEN, 20)
            # Until the light and its last inversion have come to rest, and the pre-roll is full.
            await asyncio.sleep(0.5)
            read_s.clear()
            led.clear_states()
            pressed_s = time.monotonic()
            await asyncio.to_thread(button.drive_low)
            await in_state(daemon, State.LISTENING)
            await in_time(lambda: bool(read_s) and len(led.states) > 1)
            to_light_s.append(led.states[1].timestamp)
            to_audio_s.append(read_s[0] - pressed_s)
            button.drive_high()
            daemon.remote.quiet()
            await in_state(daemon, State.READY)
    light_ms, audio_ms = (1000 * statistics.median(taken_s) for taken_s in (to_light_s, to_audio_s))
    print(f"edge to light: {light_ms:.1f} ms, edge to audio: {audio_ms:.1f} ms (medians of {PRESSES})")
    assert light_ms <= 20
    assert audio_ms <= 20
