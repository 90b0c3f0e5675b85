"""Settings that are well formed but cannot be carried out, alone or together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from appliance.config import key_names
from appliance.config.toml_lines import KeyPath
from appliance.config.validation import hidden_in, url_fault

if TYPE_CHECKING:
    from appliance.config.settings import Config


def contradictions(config: Config) -> Iterator[tuple[tuple[KeyPath, ...], str]]:
    """Settings that are well formed but cannot be carried out, alone or together: their keys, and why."""
    yield from ((keys, text) for keys, text in _address_faults(config) if text)
    yield from _tool_faults(config)
    for name in ("model", "voice"):
        if text := hidden_in(getattr(config.service, name)):
            yield (("service", name),), text
    if config.credentials.key_file and config.credentials.token_command:
        text = "key_file and token_command are both given: only one can be used"
        yield (("credentials", "token_command"), ("credentials", "key_file")), text
    talk, link = config.talk, config.link
    room_s = talk.keep_s - talk.pre_roll_ms / 1000
    if talk.max_hold_s > room_s:
        text = f"{talk.max_hold_s:g} s do not fit into talk.keep_s less talk.pre_roll_ms ({room_s:g} s)"
        yield (("talk", "max_hold_s"), ("talk", "keep_s"), ("talk", "pre_roll_ms")), text
    if talk.max_hold_warning_s >= talk.max_hold_s:
        text = f"must be less than talk.max_hold_s ({talk.max_hold_s:g})"
        yield (("talk", "max_hold_warning_s"), ("talk", "max_hold_s")), text
    if talk.mode == "auto" and talk.tap_max_ms < talk.min_hold_ms:
        text = f"must not be less than talk.min_hold_ms ({talk.min_hold_ms})"
        yield (("talk", "tap_max_ms"), ("talk", "min_hold_ms")), text
    if talk.open_rest_s > talk.open_rest_max_s:
        text = f"must not be more than talk.open_rest_max_s ({talk.open_rest_max_s:g})"
        yield (("talk", "open_rest_s"), ("talk", "open_rest_max_s")), text
    if link.backoff_first_s > link.backoff_cap_s:
        text = f"must not be more than link.backoff_cap_s ({link.backoff_cap_s:g})"
        yield (("link", "backoff_first_s"), ("link", "backoff_cap_s")), text
    if link.idle_close_s > link.max_session_s:
        text = f"must not be more than link.max_session_s ({link.max_session_s:g})"
        yield (("link", "idle_close_s"), ("link", "max_session_s")), text
    speaker = config.speaker
    if speaker.queue_ms < 2 * speaker.period_ms:
        text = f"must not be less than two of speaker.period_ms ({2 * speaker.period_ms})"
        yield (("speaker", "queue_ms"), ("speaker", "period_ms")), text
    yield from _pin_faults(config)
    # evdev, which knows the names, is imported only for a box that is used.
    if text := key_names.objection(config.panel.key.key, look_up=bool(config.panel.key.device)):
        yield (("panel", "key", "key"),), text


def cautions(config: Config) -> Iterator[str]:
    """What can be carried out, and will be, but hardly is what somebody wants: a line each."""
    if config.service.tool_choice == "required":
        yield 'service.tool_choice: "required" makes the service call tools for ever, in place of answering; use "auto"'
    if config.talk.full_duplex != "off" and config.talk.mode != "open":
        yield 'talk.full_duplex: talk.mode is not "open", so a press interrupts, and a voice does not; remove this'
    for part, device, fallback_s in (
        ("microphone", config.microphone.device, config.microphone.fallback_s),
        ("speaker", config.speaker.device, config.speaker.fallback_s),
    ):
        if fallback_s and device != "auto":
            yield f'{part}.fallback_s: {part}.device names one, which is waited for; remove this, or set that to "auto"'


def _address_faults(config: Config) -> Iterator[tuple[tuple[KeyPath, ...], str]]:
    """What is wrong with the two addresses; an empty text where nothing is."""
    yield (("service", "url"),), url_fault(config.service.url, ("wss", "ws"))
    if config.link.proxy:
        yield (("link", "proxy"),), url_fault(config.link.proxy, ("http", "https"))


def _pin_faults(config: Config) -> Iterator[tuple[tuple[KeyPath, ...], str]]:
    """What is wired twice, or not as its kind of LED is."""
    panel, leds = config.panel, config.panel.leds
    pins = {"none": len(leds.gpio), "led": 1, "pwm": 1, "rgb": 3, "three": 3}[leds.kind]
    if len(leds.gpio) != pins:
        text = f'kind "{leds.kind}" takes {pins} pin{"s" if pins > 1 else ""}, not {len(leds.gpio)}'
        yield (("panel", "leds", "gpio"), ("panel", "leds", "kind")), text
    lit = leds.gpio if leds.kind != "none" else ()
    used = [pin for pin in (*lit, panel.button.gpio, panel.mute.gpio) if pin]
    if twice := sorted({pin for pin in used if used.count(pin) > 1}):
        parts = (("leds", twice[0] in lit), ("mute", twice[0] == panel.mute.gpio), ("button", True))
        keys = tuple(("panel", part, "gpio") for part, holds in parts if holds)
        yield keys, f"pin {twice[0]} is used twice"


def _tool_faults(config: Config) -> Iterator[tuple[tuple[KeyPath, ...], str]]:
    """What the tools contradict: each other, and the voice."""
    speaker = config.speaker
    if not speaker.volume_min <= speaker.volume <= speaker.volume_max:
        limits = f"speaker.volume_min ({speaker.volume_min}) to speaker.volume_max ({speaker.volume_max})"
        text = f"speaker.volume ({speaker.volume}) is not within {limits}"
        yield (("speaker", "volume"), ("speaker", "volume_min"), ("speaker", "volume_max")), text
    for name, tool in config.tools.own.items():
        key = ("tools", name)
        if name in config.tools.builtin:
            yield (
                (key, ("tools", "builtin")),
                "a built-in tool has this name; leave that out of tools.builtin, or rename",
            )
        if tool.parameters.get("type", "object") != "object":
            yield ((*key, "parameters"),), 'must be of type "object": its properties are the arguments'
