"""The path's own arithmetic: channels, rates, volume, int16 rounding; soxr and the sine itself are the oracles."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.audio.format import WIRE_HZ
from appliance.audio.player import Player
from appliance.audio.resample import Resampler, to_mono
from appliance.soundhost.opening import RATES_HZ

CARD_RATES_HZ = sorted({*RATES_HZ} - {WIRE_HZ})
PAIRS = [(hz, WIRE_HZ) for hz in CARD_RATES_HZ] + [(WIRE_HZ, hz) for hz in CARD_RATES_HZ]
LONGEST_DELAY_S = {8_000: 0.0053, 11_025: 0.0038, 16_000: 0.0027, 22_050: 0.0019}
"""By the lower rate; every other 1.72 ms. As the module says."""

Int16 = npt.NDArray[np.int16]


def tone(hz: int, frequency_hz: float, seconds: float = 1.5, peak: float = 0.7) -> Int16:
    at_s = np.arange(round(seconds * hz)) / hz
    samples: Int16 = np.rint(32_767 * peak * np.sin(2 * np.pi * frequency_hz * at_s)).astype(np.int16)
    return samples


def resampled(samples: npt.NDArray[np.int16] | npt.NDArray[np.float32], source_hz: int, target_hz: int) -> Int16:
    """In blocks of 20 ms, as the path does it."""
    resampler = Resampler(source_hz, target_hz)
    block = source_hz // 50
    return np.concatenate([resampler.process(samples[at : at + block]) for at in range(0, samples.size, block)])


def mic_path(samples: Int16, card_hz: int, channels: int) -> Int16:
    return resampled(to_mono(np.repeat(samples, channels), channels, "mix"), card_hz, WIRE_HZ)


def player_path(samples: Int16, card_hz: int, volume: float = 100) -> Int16:
    player = Player(volume=volume)
    player.append("reply", samples.tobytes())
    player.end("reply")
    player.play()
    resampler = Resampler(WIRE_HZ, card_hz)
    parts = []
    while (taken := player.take(240)).size:
        parts.append(resampler.process(taken))
    return np.concatenate([*parts, resampler.flush()])


def judged(out: Int16, hz: int, frequency_hz: float) -> tuple[float, float, float]:
    """(signal to everything else in dB, its strongest other line in dB below it, amplitude), of one steady second."""
    steady = out[hz // 4 : hz // 4 + hz].astype(np.float64)
    at_s = np.arange(hz) / hz
    basis = np.stack((np.sin(2 * np.pi * frequency_hz * at_s), np.cos(2 * np.pi * frequency_hz * at_s)), axis=1)
    share, *_ = np.linalg.lstsq(basis, steady, rcond=None)
    signal = basis @ share
    rest = steady - signal
    amplitude = float(np.hypot(*share))
    lines = np.abs(np.fft.rfft(rest * np.hanning(hz))) * 4 / hz
    return (
        10 * math.log10(signal.var() / rest.var()),
        20 * math.log10(float(lines.max()) / amplitude),
        amplitude,
    )


@pytest.mark.parametrize("card_hz", [44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_microphone_path_is_clean(card_hz: int, channels: int) -> None:
    snr_db, worst_line_db, amplitude = judged(mic_path(tone(card_hz, 1_000), card_hz, channels), WIRE_HZ, 1_000)
    assert snr_db >= 88
    assert worst_line_db <= -90
    assert amplitude == pytest.approx(0.7 * 32_767, rel=1e-3)


@pytest.mark.parametrize("card_hz", [44_100, 48_000])
@pytest.mark.parametrize("volume", [100, 80])
def test_the_player_path_is_clean(card_hz: int, volume: float) -> None:
    snr_db, worst_line_db, amplitude = judged(player_path(tone(WIRE_HZ, 1_000), card_hz, volume), card_hz, 1_000)
    assert snr_db >= 82
    assert worst_line_db <= -90
    assert amplitude == pytest.approx(0.7 * 32_767 * (volume / 100) ** 3, rel=1e-3)


@pytest.mark.parametrize(("source_hz", "target_hz"), PAIRS)
def test_every_rate_is_clean_and_the_delay_is_what_it_says(source_hz: int, target_hz: int) -> None:
    frequency_hz = 1_000
    out = resampled(tone(source_hz, frequency_hz), source_hz, target_hz)
    snr_db, worst_line_db, _ = judged(out, target_hz, frequency_hz)
    assert snr_db >= 85
    assert worst_line_db <= -85
    delay_s = Resampler(source_hz, target_hz).delay_s
    at_s = np.arange(target_hz // 2, target_hz) / target_hz
    expected = 0.7 * 32_767 * np.sin(2 * np.pi * frequency_hz * (at_s - delay_s))
    assert np.abs(out[target_hz // 2 : target_hz] - expected).max() < 4
    assert 0 < delay_s <= LONGEST_DELAY_S.get(min(source_hz, target_hz), 0.00172)


@pytest.mark.parametrize(("source_hz", "target_hz"), [(44_100, WIRE_HZ), (48_000, WIRE_HZ)])
def test_nothing_above_the_wire_s_half_rate_comes_back_down(source_hz: int, target_hz: int) -> None:
    for frequency_hz in range(12_050, source_hz // 2, 1_170):
        out = resampled(tone(source_hz, frequency_hz, 0.3), source_hz, target_hz)
        assert np.abs(out[2_400:].astype(np.float64)).max() <= 32_767 * 0.7 * 10 ** (-80 / 20)


@pytest.mark.parametrize("card_hz", [44_100, 48_000])
@pytest.mark.parametrize("frequency_hz", [200, 3_000, 10_000, 11_500])
def test_no_image_appears_above_the_wire_s_half_rate(card_hz: int, frequency_hz: int) -> None:
    out = resampled(tone(WIRE_HZ, frequency_hz), WIRE_HZ, card_hz)[card_hz // 4 :][:card_hz].astype(np.float64)
    lines = np.abs(np.fft.rfft(out * np.hanning(card_hz))) * 4 / card_hz
    assert lines[12_010:].max() <= 0.7 * 32_767 * 10 ** (-85 / 20)


@pytest.mark.parametrize(
    ("source_hz", "target_hz"), [(48_000, 24_000), (44_100, 24_000), (24_000, 48_000), (24_000, 44_100)]
)
def test_it_agrees_with_soxr(source_hz: int, target_hz: int) -> None:
    """Noise up to 9.5 kHz, where both are flat. soxr's one-shot answer has no delay; ours is compared at its own."""
    random = np.random.default_rng(5)
    spectrum = np.fft.rfft(random.standard_normal(source_hz))
    spectrum[9_500:] = 0
    noise = np.fft.irfft(spectrum, source_hz)
    noise = np.rint(noise / np.abs(noise).max() * 30_000).astype(np.int16)
    ours = resampled(noise, source_hz, target_hz).astype(np.float64)
    theirs = soxr.resample(noise.astype(np.float64), source_hz, target_hz, quality="VHQ")
    delay_frames = Resampler(source_hz, target_hz).delay_s * target_hz
    shift = np.exp(-2j * np.pi * np.arange(target_hz // 2 + 1) * delay_frames / target_hz)
    theirs = np.fft.irfft(np.fft.rfft(theirs[:target_hz], target_hz) * shift, target_hz)
    middle = slice(target_hz // 10, target_hz * 9 // 10)
    difference = ours[middle] - theirs[middle]
    assert 10 * math.log10(theirs[middle].var() / difference.var()) >= 75


@settings(max_examples=60)
@given(st.sampled_from(PAIRS), st.lists(st.integers(0, 700), min_size=1, max_size=12), st.integers(0, 2**32 - 1))
def test_blocks_of_any_size_give_the_same_as_one(pair: tuple[int, int], sizes: list[int], seed: int) -> None:
    samples = np.random.default_rng(seed).integers(-20_000, 20_000, sum(sizes)).astype(np.int16)
    whole = Resampler(*pair)
    expected = np.concatenate((whole.process(samples), whole.flush()))
    pieces = Resampler(*pair)
    out = []
    at = 0
    for size in sizes:
        out.append(pieces.process(samples[at : at + size]))
        at += size
        # Nothing waits for a block to fill up: every output whose input is there has been given.
        assert sum(part.size for part in out) == -(-at * pair[1] // pair[0])
    out.append(pieces.flush())
    # Sums in float32 may be taken in another order, which can tip a rounding.
    assert np.abs(np.concatenate(out).astype(int) - expected.astype(int)).max(initial=0) <= 1


def test_the_tail_is_given_by_flush_and_then_it_starts_afresh() -> None:
    resampler = Resampler(WIRE_HZ, 48_000)
    click = np.zeros(240, dtype=np.int16)
    click[-1] = 20_000
    assert np.abs(resampler.process(click)).max() < 1_000
    tail = resampler.flush()
    assert np.abs(tail).max() > 15_000
    assert tail[-1] == 0
    assert not resampler.process(np.zeros(240, dtype=np.int16)).any()


def test_too_loud_is_clipped_not_wrapped() -> None:
    square = np.where(np.arange(4_800) // 24 % 2, 32_767, -32_768).astype(np.int16)
    out = Resampler(48_000, WIRE_HZ).process(square)[200:]
    assert out.max() == 32_767
    assert out.min() == -32_768
    assert np.abs(np.diff(out.astype(int))).max() < 65_000


def test_equal_rates_change_nothing() -> None:
    resampler = Resampler(WIRE_HZ, WIRE_HZ)
    samples = tone(WIRE_HZ, 440)
    assert np.array_equal(resampler.process(samples), samples)
    assert resampler.delay_s == 0
    assert resampler.flush().size == 0
    assert np.array_equal(resampler.process(np.array([1.4, -1.6], dtype=np.float32)), [1, -2])


def test_rates_without_a_common_measure_are_refused() -> None:
    with pytest.raises(ValueError, match="47999"):
        Resampler(47_999, WIRE_HZ)


def test_channels() -> None:
    stereo = np.array([100, 201, -32_768, -32_768, 32_767, 32_767], dtype=np.int16)
    assert np.array_equal(to_mono(stereo, 2, "mix"), np.array([150.5, -32_768, 32_767], dtype=np.float32))
    assert np.array_equal(to_mono(stereo, 2, 1), [100, -32_768, 32_767])
    assert np.array_equal(to_mono(stereo, 2, 2), [201, -32_768, 32_767])
    assert np.array_equal(to_mono(stereo, 1, "mix"), stereo)
    assert np.allclose(to_mono(stereo, 3, "mix"), [-32_467 / 3, 32_766 / 3])
    with pytest.raises(ValueError, match="channel 3"):
        to_mono(stereo, 2, 3)
