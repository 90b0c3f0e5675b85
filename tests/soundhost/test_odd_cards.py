"""Kinds of sound card, each under the real PortAudio and sound host: what it is opened with, and what is heard.

At the end the rows of the table "Cards" in ``hardware/sound.md``, each with the tests that show it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from appliance.audio.microphone import Microphone, MicrophoneEvent, MicrophoneGone, MicrophoneOpened
from appliance.audio.ring import Ring
from appliance.audio.speech_level import SpeechLevel
from appliance.soundhost import messages
from tests.soundhost import test_long_periods
from tests.support.card_bench import Bench
from tests.support.odd_card import Kind, from_format, in_format
from tests.support.sound_host import babble, lag_of, microphone_settings, until, worst_likeness

Floats = npt.NDArray[np.float64]

PERIODS = "64-8192"

CARD = Kind(channels="2", rates="44100 48000")
"""The usual one."""


def ask(direction: str, rate_hz: int = 0, channel: int = 0) -> messages.Open:
    return messages.Open("odd", rate_hz, channel, 20 if direction == "capture" else 10)


def refusal(bench: Bench, direction: str, request: messages.Open | None = None) -> str:
    host = bench.start(direction)
    host.send(request or ask(direction))
    failed = host.next()
    assert isinstance(failed, messages.Failed), failed
    return failed.reason


def loud(seconds: float, hz: int, channels: int = 1) -> Floats:
    """Noise like speech, 6 dB too loud: a third of it lies at the ends of the range. Every channel has its own."""
    columns = [np.clip(babble(seconds, hz, seed=seed) / 6000, -1, 1) for seed in range(channels)]
    return np.column_stack(columns).reshape(-1)


HEARD: dict[str, tuple[Kind, int, int]] = {
    # What a microphone can → rate and channels that it is opened with.
    "16 bits": (CARD, 48_000, 2),
    "mono": (Kind(channels="1", rates="48000"), 48_000, 1),
    "44.1 kHz": (Kind(channels="1", rates="44100"), 44_100, 1),
    "16 kHz": (Kind(channels="1", rates="16000"), 16_000, 1),
    "8 kHz": (Kind(channels="1", rates="8000"), 8_000, 1),
    "32 kHz": (Kind(channels="1", rates="32000"), 32_000, 1),
    "96 kHz": (Kind(channels="2", rates="96000"), 96_000, 2),
    "192 kHz": (Kind(channels="1", rates="192000"), 192_000, 1),
    "24 bits": (Kind("S24_3LE", "2", "44100 48000"), 48_000, 2),
    "32 bits": (Kind("S32_LE", "2", "48000"), 48_000, 2),
    "32 bits, mono": (Kind("S32_LE", "1", "16000 48000"), 48_000, 1),
    "float": (Kind("FLOAT_LE", "1", "48000"), 48_000, 1),
    "24 or 32 bits": (Kind("S32_LE S24_3LE", "2", "48000", period="16-2048", buffer="32-16384"), 48_000, 2),
    "four microphones": (Kind(channels="4", rates="16000 48000"), 48_000, 4),
    "six microphones, 24 bits": (Kind("S24_3LE", "6", "16000"), 16_000, 6),
    "eight microphones": (Kind(channels="8", rates="48000"), 48_000, 8),
    "a plugin of many channels": (Kind(channels="1-32"), 48_000, 1),
    "short periods": (Kind(channels="1", rates="48000", period="64-128", buffer="256-512"), 48_000, 1),
    "periods of 1024": (Kind(channels="2", rates="48000", period="1024", buffer="4096"), 48_000, 2),
    "periods of 4096": (Kind(channels="1", rates="48000", period="4096", buffer="8192-65536"), 48_000, 1),
}


@pytest.mark.parametrize("name", HEARD)
def test_a_microphone_is_heard_without_a_wrapped_sample(bench: Bench, name: str) -> None:
    kind, hz, channels = HEARD[name]
    form = kind.formats.split()[0]
    said = loud(0.4, hz, channels)
    # A long buffer, unless it is what is shown: this is about samples, and the machine may stand still.
    patient = replace(kind, buffer="16384-65536") if kind.buffer == Kind.buffer else kind
    bench.insert(patient, in_format(said, form))
    host = bench.start("capture")
    opened = host.open(ask("capture"))
    assert (opened.hz, opened.channels) == (hz, channels)
    blocks: list[messages.Block] = []
    while sum(len(block.pcm) for block in blocks) < 2 * said.size:
        blocks.append(host.block())
    assert [block.first_frame for block in blocks] == [opened.period_frames * at for at in range(len(blocks))]
    heard = np.frombuffer(b"".join(block.pcm for block in blocks), dtype=np.int16)[: said.size]
    # The upper 16 bits of each sample and nothing else.
    assert np.abs(heard - np.clip(said * 32_768, -32_768, 32_767)).max() <= 1


PLAYED: dict[str, tuple[Kind, int, int]] = {
    "16 bits": (CARD, 48_000, 2),
    "mono": (Kind(channels="1", rates="48000"), 48_000, 1),
    "44.1 kHz": (Kind(channels="2", rates="44100"), 44_100, 2),
    "16 kHz": (Kind(channels="1", rates="16000"), 16_000, 1),
    "96 kHz": (Kind(channels="2", rates="96000"), 96_000, 2),
    "24 bits": (Kind("S24_3LE", "2", "48000"), 48_000, 2),
    "32 bits": (Kind("S32_LE", "2", "48000"), 48_000, 2),
    "float": (Kind("FLOAT_LE", "2", "48000"), 48_000, 2),
    "six channels": (Kind(channels="6", rates="48000"), 48_000, 2),
    "eight channels, 32 bits": (Kind("S32_LE", "8", "48000"), 48_000, 2),
    "a plugin of many channels": (Kind(channels="1-32"), 48_000, 2),
    "short periods": (Kind(channels="2", rates="48000", period="64-128", buffer="512-2048"), 48_000, 2),
}


@pytest.mark.parametrize("name", PLAYED)
def test_a_speaker_is_given_every_sample_and_no_other(bench: Bench, name: str) -> None:
    kind, hz, channels = PLAYED[name]
    card = bench.insert(kind)
    host = bench.start("playback")
    opened = host.open(ask("playback"))
    assert (opened.hz, opened.channels) == (hz, channels)
    assert opened.buffer_s + opened.period_frames / hz <= 0.060, "a press silences it within 60 ms"
    said = (loud(0.05, hz) * 32_767).astype(np.int16)
    said[0], said[-1] = 1, 1
    host.send(messages.Samples(0, said.tobytes()))
    while host.played().written_frames < said.size:
        pass
    card_channels = int(kind.channels.split("-")[0]) if channels != 2 or "-" not in kind.channels else 2
    frames = from_format(card.played, kind.formats).reshape(-1, card_channels)
    begin = int(np.flatnonzero(frames[:, 0])[0])
    for side in range(channels):
        assert np.array_equal(frames[begin : begin + said.size, side], said)


UNUSABLE = ("S24_LE", "U8", "S16_BE")
"""Formats that PortAudio cannot use."""


@pytest.mark.parametrize("form", UNUSABLE)
def test_a_card_whose_samples_portaudio_cannot_use_works_behind_a_plug(bench: Bench, form: str) -> None:
    card = bench.insert(Kind(form, "2", "48000"), as_card=True)
    host = bench.start("playback")
    assert host.open(ask("playback")).name == "Odd: Analog (hw:0,0)"
    said = (loud(0.05, 48_000) * 32_767).astype(np.int16)
    host.send(messages.Samples(0, said.tobytes()))
    while host.played().written_frames < said.size:
        pass
    bits = from_format(card.played, form)[::2]
    assert worst_likeness(said, bits, lag_of(said, bits), 48_000, 0.05) > (
        0.999 if "16" in form or "24" in form else 0.99
    )


def test_a_microphone_of_24_bits_in_32_works_behind_a_plug(bench: Bench) -> None:
    said = loud(0.2, 48_000, 2)
    bench.insert(Kind("S24_LE", "2", "48000"), in_format(said, "S24_LE"), as_card=True)
    host = bench.start("capture")
    host.open(ask("capture"))
    heard = np.frombuffer(b"".join(host.block().pcm for _ in range(10)), dtype=np.int16)
    assert np.abs(heard[: said.size] - np.clip(said * 32_768, -32_768, 32_767)).max() <= 1


@pytest.mark.parametrize("form", [*UNUSABLE, "IEC958_SUBFRAME_LE"])
def test_a_plugin_whose_samples_portaudio_cannot_use_says_what_to_do(bench: Bench, form: str) -> None:
    bench.insert(Kind(form, "2", "48000"))
    said = refusal(bench, "playback")
    assert said.startswith(f'"odd" has only samples of the kind {form}: ')
    assert "type plug" in said and "hardware/sound.md" in said


def test_a_card_of_a_rate_that_nobody_has_works_behind_a_plug(bench: Bench) -> None:
    bench.insert(Kind(rates="64000"), as_card=True)
    for direction in ("playback", "capture"):
        assert bench.start(direction).open(ask(direction)).hz == 48_000


def test_a_plugin_of_a_rate_that_nobody_has_says_what_to_do(bench: Bench) -> None:
    bench.insert(Kind(rates="64000"))
    assert refusal(bench, "capture").startswith('"odd" has only 64000 Hz: ')


def test_a_rate_that_a_card_has_not_is_said_with_those_it_has(bench: Bench) -> None:
    bench.insert(CARD)
    assert refusal(bench, "playback", ask("playback", rate_hz=32_000)) == (
        '"odd" has no 32000 Hz: it has 44100 to 48000 Hz; set speaker.rate_hz to that, or to 0'
    )


def test_a_channel_that_a_microphone_has_not_is_said(bench: Bench) -> None:
    bench.insert(CARD)
    assert refusal(bench, "capture", ask("capture", channel=3)) == 'channel 3 of "odd", which has 2'


@pytest.mark.parametrize("code", [errno.EBUSY, errno.EACCES])
def test_a_card_that_cannot_be_opened_is_said(bench: Bench, code: int) -> None:
    bench.insert(Kind(open_error=code))
    assert refusal(bench, "playback").startswith('no speaker "odd"; there is ')


def test_a_digital_output_works_behind_an_owners_conversion(bench: Bench) -> None:
    """As ``cards/vc4-hdmi.conf`` of alsa-lib has it for a Pi's HDMI."""
    card = bench.insert(
        Kind("IEC958_SUBFRAME_LE", "2", "48000"),
        named="""
        pcm.tv { type plug slave.pcm { type iec958 slave { format IEC958_SUBFRAME_LE pcm "odd" } } }
    """,
    )
    host = bench.start("playback")
    host.open(messages.Open("tv", 0, 0, 10))
    said = (loud(0.05, 48_000) * 32_767).astype(np.int16)
    host.send(messages.Samples(0, said.tobytes()))
    while host.played().written_frames < said.size:
        pass
    heard = from_format(card.played, "IEC958_SUBFRAME_LE")[::2]
    assert worst_likeness(said, heard, lag_of(said, heard), 48_000, 0.05) > 0.999


def test_a_card_with_a_digital_output_alone_says_what_to_do(bench: Bench) -> None:
    bench.insert(Kind("IEC958_SUBFRAME_LE", "2", "48000"), as_card=True)
    host = bench.start("playback")
    host.send(ask("playback"))
    # alsa-lib learned in 1.2.12 to convert to these by itself.
    if isinstance(said := host.next(), messages.Failed):
        assert "it has only samples of the kind IEC958_SUBFRAME_LE: " in said.reason
        assert "type plug" in said.reason and "hardware/sound.md" in said.reason


def test_a_speaker_that_dies_is_said_and_ends_the_host(bench: Bench) -> None:
    bench.insert(Kind(dies_after_ms=300))
    host = bench.start("playback")
    host.open(ask("playback"))
    while isinstance(said := host.next(), messages.Played):
        pass
    assert isinstance(said, messages.Failed)
    assert host.process.wait(15) == 1


async def test_a_microphone_that_dies_makes_portaudio_spin_and_the_host_is_replaced(bench: Bench) -> None:
    bench.insert(Kind(dies_after_ms=300))
    events: list[MicrophoneEvent] = []
    microphone = Microphone(microphone_settings(device="odd"), Ring(24_000), events.append)
    task = asyncio.create_task(microphone.run())
    try:
        await until(
            lambda: [type(event) for event in events][:3] == [MicrophoneOpened, MicrophoneGone, MicrophoneOpened]
        )
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def test_the_hiss_of_a_muted_card_of_24_bits_is_dead(bench: Bench) -> None:
    hiss = np.random.default_rng(7).integers(-30, 31, 48_000) / 2**23
    bench.insert(Kind("S24_3LE", "1", "48000"), in_format(hiss, "S24_3LE"))
    host = bench.start("capture")
    host.open(ask("capture"))
    level = SpeechLevel()
    for _ in range(45):
        level.add(host.block().pcm)
    assert level.dead
    assert "muted or dead" in level.verdict


def test_a_card_of_longer_blocks_than_one_can_talk_with_is_refused(bench: Bench) -> None:
    bench.insert(Kind(channels="2", rates="48000", period="32768", buffer="65536"))
    assert refusal(bench, "playback").startswith('"odd" cannot be opened: it plays in blocks of 0.7 s')


def test_the_table_of_cards_has_a_test_for_each_row() -> None:
    text = (Path(__file__).parents[2] / "hardware" / "sound.md").read_text(encoding="utf-8")
    table = text.partition("## Cards")[2].partition("###")[0]
    rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")][1:]
    assert rows == list(SHOWN_BY)


SHOWN_BY = {
    "16 bits, 44.1 or 48 kHz, one or two channels": (
        test_a_microphone_is_heard_without_a_wrapped_sample,
        HEARD["16 bits"],
    ),
    "another rate alone, 8 to 192 kHz": (test_a_microphone_is_heard_without_a_wrapped_sample, HEARD["192 kHz"]),
    "24 bits, 32 bits, or float": (test_a_microphone_is_heard_without_a_wrapped_sample, HEARD["float"]),
    "24 bits in 32 (S24_LE), 8 bits, the other byte order": (
        test_a_card_whose_samples_portaudio_cannot_use_works_behind_a_plug,
        UNUSABLE,
    ),
    "a rate that nothing else has (64 kHz)": (test_a_card_of_a_rate_that_nobody_has_works_behind_a_plug,),
    "a digital output alone (IEC958), as a Pi's HDMI": (
        test_a_card_with_a_digital_output_alone_says_what_to_do,
        test_a_digital_output_works_behind_an_owners_conversion,
    ),
    "a plugin of yours with such samples or such a rate": (
        test_a_plugin_whose_samples_portaudio_cannot_use_says_what_to_do,
        test_a_plugin_of_a_rate_that_nobody_has_says_what_to_do,
    ),
    "three to eight channels": (
        test_a_microphone_is_heard_without_a_wrapped_sample,
        HEARD["four microphones"],
        test_a_speaker_is_given_every_sample_and_no_other,
        PLAYED["six channels"],
    ),
    "a plugin of any number of channels": (
        test_a_microphone_is_heard_without_a_wrapped_sample,
        HEARD["a plugin of many channels"],
    ),
    "long periods, as of a `dmix` (21 ms), up to 400 ms": (
        test_long_periods.test_a_reply_is_whole_on_a_card_of_long_periods,
        test_long_periods.LONG["1024"],
    ),
    "a long buffer": (
        test_long_periods.test_a_press_silences_a_card_as_soon_as_it_can_and_its_line_says_how_soon,
        test_long_periods.LONG["a buffer of 341 ms"],
    ),
    "periods of more than 400 ms": (test_a_card_of_longer_blocks_than_one_can_talk_with_is_refused,),
    "a rate in `rate_hz` that it has not": (test_a_rate_that_a_card_has_not_is_said_with_those_it_has,),
    "muted, with hiss in the bits below the sixteenth": (test_the_hiss_of_a_muted_card_of_24_bits_is_dead,),
    "not to be opened: in use, or no right to": (test_a_card_that_cannot_be_opened_is_said,),
    "dies while it plays or hears": (
        test_a_speaker_that_dies_is_said_and_ends_the_host,
        test_a_microphone_that_dies_makes_portaudio_spin_and_the_host_is_replaced,
    ),
}
"""Row of the table → the tests that show it, and the kinds of card among theirs."""
