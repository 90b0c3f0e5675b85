"""The volume controls of a card itself: what ``alsamixer`` shows, set through the library that PortAudio uses anyway.

Called in the sound host, since a call into a card can hang. Not ``amixer``: that is a package more, and a process for
each control. Standard library only. https://www.alsa-project.org/alsa-doc/alsa-lib/group___simple_mixer.html
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from typing import Any

from .devices import NOUN, Direction

SETTING = {"capture": "microphone.capture_percent", "playback": "speaker.mixer_percent"}

OTHER_SOURCES = re.compile(r"mic|sidetone|line|aux|cd|capture|beep|loopback|digital in", re.IGNORECASE)
"""Playback controls of these names let the speaker play what is not ours, such as one's own voice (sidetone): a USB
headset has "Speaker" and "Mic" side by side. They are left alone. A control with one volume for both directions, as
snd-dummy has, is a microphone's if it has such a name, and a speaker's otherwise."""


def set_level(card: int | None, name: str, direction: Direction, percent: int) -> str:
    """Set every control of that direction to ``percent`` of its range, and unmute it.

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
        done = [_set(alsa, element, direction, percent) for element in _elements(alsa, mixer)]
        return "" if any(done) else _nothing(name, direction)
    finally:
        alsa.snd_mixer_close(mixer)


def _elements(alsa: Any, mixer: ctypes.c_void_p) -> Iterator[ctypes.c_void_p]:
    alsa.snd_mixer_first_elem.restype = alsa.snd_mixer_elem_next.restype = ctypes.c_void_p
    element = alsa.snd_mixer_first_elem(mixer)
    while element:
        yield ctypes.c_void_p(element)
        element = alsa.snd_mixer_elem_next(ctypes.c_void_p(element))


def _set(alsa: Any, element: ctypes.c_void_p, direction: Direction, percent: int) -> bool:
    """Whether this control is one of that direction, and took it."""
    alsa.snd_mixer_selem_get_name.restype = ctypes.c_char_p
    name = alsa.snd_mixer_selem_get_name(element).decode(errors="replace")
    source = bool(OTHER_SOURCES.search(name))
    if source if direction == "playback" else alsa.snd_mixer_selem_has_common_volume(element) and not source:
        return False
    volume = False
    if getattr(alsa, f"snd_mixer_selem_has_{direction}_volume")(element):
        least, most = ctypes.c_long(), ctypes.c_long()
        limits = (ctypes.byref(least), ctypes.byref(most))
        getattr(alsa, f"snd_mixer_selem_get_{direction}_volume_range")(element, *limits)
        level = least.value + round((most.value - least.value) * percent / 100)
        volume = getattr(alsa, f"snd_mixer_selem_set_{direction}_volume_all")(element, ctypes.c_long(level)) >= 0
    if volume and getattr(alsa, f"snd_mixer_selem_has_{direction}_switch")(element):
        getattr(alsa, f"snd_mixer_selem_set_{direction}_switch_all")(element, 1)
    return volume


def _nothing(name: str, direction: Direction) -> str:
    return f'"{name}" has no volume control as a {NOUN[direction]}: {SETTING[direction]} is without effect'
