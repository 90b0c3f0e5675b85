from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from appliance.audio.earcons import Earcon, earcon, tick
from appliance.audio.format import WIRE_HZ, ms_from_frames
from appliance.audio.levels import (
    SILENCE_DBFS,
    audible_dbfs,
    decibel,
    fade_in,
    peak_dbfs,
    to_int16,
    volume_gain,
)


def pitch_hz(samples: npt.NDArray[np.int16]) -> float:
    """Of the strongest line."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.size), WIRE_HZ))
    return float(spectrum.argmax())


@pytest.mark.parametrize("name", Earcon)
def test_an_earcon_is_short_clickless_and_where_small_speakers_are_loud(name: Earcon) -> None:
    samples = earcon(name)
    assert samples.dtype == np.int16
    assert 40 <= ms_from_frames(samples.size) <= 150
    assert abs(int(samples[0])) < 10
    assert abs(int(samples[-1])) < 10
    assert -14 < peak_dbfs(samples) <= -11.9
    spectrum = np.abs(np.fft.rfft(samples.astype(float), WIRE_HZ)) ** 2
    assert spectrum[380:1_520].sum() / spectrum.sum() > 0.98


def test_the_listening_earcon_is_short_for_the_microphone_hears_it() -> None:
    assert ms_from_frames(earcon(Earcon.LISTENING).size) <= 50


def test_contours_differ() -> None:
    def ends(name: Earcon) -> float:
        samples = earcon(name)
        half = samples.size // 2
        return pitch_hz(samples[half:]) - pitch_hz(samples[:half])

    assert ends(Earcon.LISTENING) > 60
    assert ends(Earcon.SORRY) < -60
    assert abs(ends(Earcon.SENT)) < 15
    middle = earcon(Earcon.ERROR)
    assert not middle[middle.size // 2 - 200 : middle.size // 2 + 200].any()


def test_a_tick_is_one_soft_stroke_unlike_any_earcon() -> None:
    samples = tick()
    assert samples.dtype == np.int16 and 10 <= ms_from_frames(samples.size) <= 30
    assert abs(int(samples[0])) < 10 and abs(int(samples[-1])) < 10
    assert all(peak_dbfs(samples) < peak_dbfs(earcon(name)) - 15 for name in Earcon), "soft"
    assert 400 < pitch_hz(samples) < 1_500
    spectrum = np.abs(np.fft.rfft(samples.astype(float), WIRE_HZ)) ** 2
    assert spectrum[380:1_520].sum() / spectrum.sum() > 0.98
    assert all(samples.size < earcon(name).size / 1.9 for name in Earcon)
    assert tick() is samples and not samples.flags.writeable


def test_made_once_and_never_changed() -> None:
    assert earcon(Earcon.SENT) is earcon(Earcon("sent"))
    with pytest.raises(ValueError, match="read-only"):
        earcon(Earcon.SENT)[0] = 1


def test_levels() -> None:
    assert decibel(0.5) == pytest.approx(-6.02, abs=0.01)
    assert decibel(0.0) == SILENCE_DBFS
    empty = np.empty(0, dtype=np.int16)
    zeros = np.zeros(100, dtype=np.int16)
    assert peak_dbfs(empty) == audible_dbfs(empty) == peak_dbfs(zeros) == audible_dbfs(zeros) == SILENCE_DBFS
    loudest = np.full(100, -32_768, dtype=np.int16)
    assert peak_dbfs(loudest) == 0
    sine = np.rint(32_767 * np.sin(2 * np.pi * np.arange(2_400) / 24)).astype(np.int16)
    assert audible_dbfs(sine) == pytest.approx(-3.01, abs=0.01)


@pytest.mark.parametrize("milliseconds", [10, 40, 200])
def test_an_offset_and_a_hum_are_not_audible(milliseconds: int) -> None:
    at_s = np.arange(24 * milliseconds) / WIRE_HZ
    hiss = np.random.default_rng(1).normal(0, 30, at_s.size)
    assert audible_dbfs(np.rint(hiss).astype(np.int16)) == pytest.approx(-60.8, abs=1.5)
    unheard = 2_000 + (3_000 * np.sin(2 * np.pi * 50 * at_s) if milliseconds >= 40 else 0)
    assert audible_dbfs(np.rint(hiss + unheard).astype(np.int16)) == pytest.approx(-60.8, abs=2.0)
    assert audible_dbfs(np.full(at_s.size, 2_000, dtype=np.int16)) == SILENCE_DBFS


def test_the_volume_curve_is_silent_at_0_and_untouched_at_100() -> None:
    assert volume_gain(0) == 0
    assert volume_gain(100) == 1
    assert decibel(volume_gain(80)) == pytest.approx(-5.8, abs=0.05)
    gains = [volume_gain(percent) for percent in range(101)]
    assert gains == sorted(gains)
    assert volume_gain(-5) == 0
    assert volume_gain(140) == 1


def test_a_fade_and_its_reverse_add_up() -> None:
    shape = fade_in(120)
    assert np.allclose(shape + shape[::-1], 1, atol=1e-6)
    assert 0 < shape[0] < 0.001
    assert fade_in(0).size == 0


def test_rounding_and_clipping() -> None:
    assert to_int16(np.array([0.6, -0.6, 40_000, -40_000], dtype=np.float32)).tolist() == [1, -1, 32_767, -32_768]
