"""What a sound device can by itself, asked of ALSA: formats, rates, shortest period.

PortAudio does not say: it converts whatever it is asked for, and downwards badly (19.6 dithers without clipping, so
that loud samples wrap round). Asked through the library that PortAudio uses anyway, just before it opens the device.
Called in the sound host, since a call into a card can hang. Standard library only.
https://www.alsa-project.org/alsa-doc/alsa-lib/group___p_c_m___h_w___params.html
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from .devices import HARDWARE_NAME, Device, Direction

STREAM: Mapping[Direction, int] = {"playback": 0, "capture": 1}
"""``snd_pcm_stream_t``."""

NONBLOCK = 1
"""Of ``snd_pcm_open``: a device that is in use says so at once."""

FORMATS = 64
"""More than ``snd_pcm_format_t`` has (53 in alsa-lib 1.2.14); a mask holds as many bits."""


class Abilities(NamedTuple):
    """What a device can without anybody converting."""

    formats: tuple[str, ...]
    """By ALSA's names, such as S16_LE."""
    periods_frames: dict[int, int]
    """Rate in Hz → shortest period in frames, of those rates that were asked for."""
    rates_hz: tuple[int, int]
    """The lowest and the highest."""


def name_of(device: Device) -> str:
    """ALSA's own name of what PortAudio lists: "hw:1,0" of a card, and a plugin's as it is."""
    hardware = HARDWARE_NAME.search(device.name)
    return f"hw:{hardware[1]},{hardware[2]}" if hardware else device.name


def ask(name: str, direction: Direction, channels: int, rates_hz: Iterable[int]) -> Abilities | None:
    """What the device of that ALSA ``name`` can; None if it cannot be asked now, because it is gone, or in use.

    The periods are those of ``channels``, or of as many as it has if not these.
    """
    try:
        alsa = ctypes.CDLL("libasound.so.2")
    except OSError:
        return None
    pcm = ctypes.c_void_p()
    if alsa.snd_pcm_open(ctypes.byref(pcm), name.encode(), STREAM[direction], NONBLOCK) < 0:
        return None
    try:
        params = ctypes.create_string_buffer(alsa.snd_pcm_hw_params_sizeof())
        if alsa.snd_pcm_hw_params_any(pcm, params) < 0:
            return None
        return Abilities(_formats(alsa, params), dict(_periods(alsa, pcm, channels, rates_hz)), _rates(alsa, params))
    finally:
        alsa.snd_pcm_close(pcm)


def _formats(alsa: Any, params: Any) -> tuple[str, ...]:
    mask = ctypes.create_string_buffer(alsa.snd_pcm_format_mask_sizeof())
    alsa.snd_pcm_hw_params_get_format_mask(params, mask)
    alsa.snd_pcm_format_name.restype = ctypes.c_char_p
    numbers = (number for number in range(FORMATS) if alsa.snd_pcm_format_mask_test(mask, number))
    return tuple((alsa.snd_pcm_format_name(number) or b"?").decode() for number in numbers)


def _rates(alsa: Any, params: Any) -> tuple[int, int]:
    least, most, direction = ctypes.c_uint(), ctypes.c_uint(), ctypes.c_int()
    alsa.snd_pcm_hw_params_get_rate_min(params, ctypes.byref(least), ctypes.byref(direction))
    alsa.snd_pcm_hw_params_get_rate_max(params, ctypes.byref(most), ctypes.byref(direction))
    return least.value, most.value


def _periods(alsa: Any, pcm: Any, channels: int, rates_hz: Iterable[int]) -> Iterable[tuple[int, int]]:
    """The rates that the device has, and the shortest period at each."""
    params = ctypes.create_string_buffer(alsa.snd_pcm_hw_params_sizeof())
    for hz in rates_hz:
        alsa.snd_pcm_hw_params_any(pcm, params)
        if alsa.snd_pcm_hw_params_set_rate(pcm, params, ctypes.c_uint(hz), 0) < 0:
            continue
        wanted = ctypes.c_uint(channels)
        alsa.snd_pcm_hw_params_set_channels_near(pcm, params, ctypes.byref(wanted))
        frames, direction = ctypes.c_ulong(), ctypes.c_int()
        if alsa.snd_pcm_hw_params_get_period_size_min(params, ctypes.byref(frames), ctypes.byref(direction)) >= 0:
            yield hz, frames.value + (direction.value > 0)
