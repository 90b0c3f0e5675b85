"""The volume controls of a card itself: what ``alsamixer`` shows, set through the library that PortAudio uses anyway.

Called in the sound host, since a call into a card can hang. Not ``amixer``: that is a package more, and a process for
each control. Standard library only. https://www.alsa-project.org/alsa-doc/alsa-lib/group___simple_mixer.html
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from .devices import NOUN, Direction

SETTING = {"capture": "microphone.capture_percent", "playback": "speaker.mixer_percent"}

LINE_OUT = re.compile(r"line[\W_]*(?:out|dac)[lr]?", re.IGNORECASE)
"""A line output, however a driver writes it: "Line Out", "Lineout", "LINEOUTL", "Line DAC"."""


def _word(words: str) -> re.Pattern[str]:
    """One of these words, a digit behind it or not: "Mic1" is a mic, "Dynamic" is none."""
    return re.compile(rf"(?<![a-z])(?:{words})(?![a-z])", re.IGNORECASE)


MICROPHONE = _word("mics?|microphones?|capture|adc|pga|[lr]?input|in")
OTHER_SOURCE = _word(
    r"line|line[\W_]*in[lr]?|line\d?[lr]|[lr]in|aux\w*|cd|video|phone|modem|radio|tv|tuner|synth|fm|midi|sidetone"
    "|beep|pc speaker|loopback|bypass|digital in|s/?pdif in"
)
"""What plays through a speaker without being ours, or into a recording without being the microphone.

Of these and of the microphone's kind are the sources of the kernel's Documentation/sound/designs/control-names.rst,
with what codecs call them (WM8960, SGTL5000, TLV320AIC3x, ES8316)."""

NO_LOUDNESS = _word(
    "bass(?! speaker)|treble|tone|eq|equali[sz]er|balance|pan|3d|depth|loudness|drc|alc|compressor|limiter|gate"
    "|threshold|ramp"
)
"""Has a volume, and is none: it shapes the sound."""

OUTPUT_SWITCH = re.compile(r"master|speakers?|headphones?|headset|hp|line out|pcm", re.IGNORECASE)
"""Whole names of outputs that may have a switch alone, their volume being another control's."""


class Control(NamedTuple):
    """What ``amixer`` calls a simple control."""

    name: str
    volumes: frozenset[str]
    """Of "playback", "capture" or both."""
    common: bool
    """One volume for both directions, as snd-dummy and many codecs have: the name says whose it is."""
    switches: frozenset[str] = frozenset()


def ours(controls: Sequence[Control], direction: Direction) -> list[Control]:
    """Those of a card's ``controls`` that set the loudness of what the box plays, or hears; they may be unmuted.

    The others let a speaker play what is not ours, such as one's own voice (a USB headset has "Speaker" and "Mic" side
    by side), or record what is not said to the box. A card with nothing but a line input for its microphone has that.
    """
    # TLV320AIC3x calls its line output "Line", and the volume before it "Line DAC"; for all others "Line" is an input.
    line_is_output = any(control.name == "Line DAC" for control in controls)
    usable = [control for control in controls if not NO_LOUDNESS.search(control.name)]
    if direction == "capture":
        usable = [control for control in usable if "capture" in control.volumes and _hears(control)]
        return [control for control in usable if not OTHER_SOURCE.search(_plain(control))] or usable
    return [
        control
        for control in usable
        if (line_is_output and control.name == "Line") or (_plays(control) and not OTHER_SOURCE.search(_plain(control)))
    ]


def _plain(control: Control) -> str:
    return LINE_OUT.sub("output", control.name)


def _plays(control: Control) -> bool:
    if "playback" not in control.volumes:
        return "playback" in control.switches and bool(OUTPUT_SWITCH.fullmatch(control.name))
    return not MICROPHONE.search(_plain(control))


def _hears(control: Control) -> bool:
    name = _plain(control)
    source = MICROPHONE.search(name) or OTHER_SOURCE.search(name)
    return not control.common or bool(source and not _word("output|bypass|sidetone").search(name))


def set_level(card: int | None, name: str, direction: Direction, percent: int) -> str:
    """Set every control that is ``ours`` in that direction to ``percent`` of its range, and unmute it.

    ``card``: its number; None for a plugin, which has no controls. ``name``: of the device, for the line that is
    returned when nothing could be set; otherwise it is empty.
    """
    if card is None:
        return _nothing(name, direction)
    try:
        alsa = ctypes.CDLL("libasound.so.2")
    except OSError:
        return f"{_nothing(name, direction)}: there is no libasound.so.2"
    mixer = ctypes.c_void_p()
    if alsa.snd_mixer_open(ctypes.byref(mixer), 0) < 0:
        return _nothing(name, direction)
    try:
        attached = alsa.snd_mixer_attach(mixer, f"hw:{card}".encode())
        if attached < 0 or alsa.snd_mixer_selem_register(mixer, None, None) < 0 or alsa.snd_mixer_load(mixer) < 0:
            return _nothing(name, direction)
        elements = [(_control(alsa, element), element) for element in _elements(alsa, mixer)]
        meant = ours([control for control, _ in elements], direction)
        done = [_set(alsa, element, direction, percent) for control, element in elements if control in meant]
        return "" if any(done) else _nothing(name, direction)
    finally:
        alsa.snd_mixer_close(mixer)


def _elements(alsa: Any, mixer: ctypes.c_void_p) -> Iterator[ctypes.c_void_p]:
    alsa.snd_mixer_first_elem.restype = alsa.snd_mixer_elem_next.restype = ctypes.c_void_p
    element = alsa.snd_mixer_first_elem(mixer)
    while element:
        yield ctypes.c_void_p(element)
        element = alsa.snd_mixer_elem_next(ctypes.c_void_p(element))


def _control(alsa: Any, element: ctypes.c_void_p) -> Control:
    def has(what: str) -> frozenset[str]:
        sides = ("playback", "capture")
        return frozenset(side for side in sides if getattr(alsa, f"snd_mixer_selem_has_{side}_{what}")(element))

    alsa.snd_mixer_selem_get_name.restype = ctypes.c_char_p
    name = alsa.snd_mixer_selem_get_name(element).decode(errors="replace")
    return Control(name, has("volume"), bool(alsa.snd_mixer_selem_has_common_volume(element)), has("switch"))


def _set(alsa: Any, element: ctypes.c_void_p, direction: Direction, percent: int) -> bool:
    """Set the control's volume, if it has one, and unmute it; whether it took the volume."""
    volume = False
    if getattr(alsa, f"snd_mixer_selem_has_{direction}_volume")(element):
        least, most = ctypes.c_long(), ctypes.c_long()
        limits = (ctypes.byref(least), ctypes.byref(most))
        getattr(alsa, f"snd_mixer_selem_get_{direction}_volume_range")(element, *limits)
        level = least.value + round((most.value - least.value) * percent / 100)
        volume = getattr(alsa, f"snd_mixer_selem_set_{direction}_volume_all")(element, ctypes.c_long(level)) >= 0
    if getattr(alsa, f"snd_mixer_selem_has_{direction}_switch")(element):
        getattr(alsa, f"snd_mixer_selem_set_{direction}_switch_all")(element, 1)
    return volume


def _nothing(name: str, direction: Direction) -> str:
    return f'"{name}" has no volume control as a {NOUN[direction]}: {SETTING[direction]} is without effect'
