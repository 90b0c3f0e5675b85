"""The recordings that are shipped, and how replies are made of them."""

from __future__ import annotations

import shutil
import subprocess
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import pytest

from appliance.simulator import voices
from appliance.simulator.records import TurnRecord
from appliance.simulator.replies import pieces_of, question_for, sound_of
from appliance.simulator.scenario import Reply


def test_the_manifest_and_the_files_agree() -> None:
    shipped = {item.name for item in files("appliance.simulator").joinpath("voices").iterdir()}
    assert shipped == {"manifest.toml", "render.sh"} | {f"{name}.wav" for name in voices.recordings()}
    for question in voices.questions():
        assert voices.recordings()[question.answer].kind == "answer"
    assert len(voices.questions()) >= 3
    assert len(voices.answers()) >= 4


@pytest.mark.parametrize("recording", voices.recordings().values(), ids=lambda one: one.name)
def test_a_recording_is_fit_to_be_heard(recording: voices.Recording) -> None:
    samples = np.frombuffer(voices.pcm(recording.name), dtype="<i2").astype(np.float64)
    assert 1.5 <= len(samples) / voices.SAMPLE_HZ <= 5.5
    peak_dbfs = 20 * np.log10(np.abs(samples).max() / 32768)
    assert -7 <= peak_dbfs <= -5.5
    # No click at either end, and no silence that would look like a lost beginning.
    assert abs(samples[0]) < 100 and abs(samples[-1]) < 100
    assert np.abs(samples[: voices.SAMPLE_HZ // 10]).max() > 500
    assert any("ഀ" <= letter <= "ൿ" for letter in recording.text)
    assert recording.gloss.isascii()


def test_all_of_it_is_small() -> None:
    assert sum(len(voices.pcm(name)) for name in voices.recordings()) < 1_200_000


def test_the_script_renders_every_recording(tmp_path: Path) -> None:
    if not (shutil.which("espeak-ng") and shutil.which("sox")):
        pytest.skip("needs espeak-ng and sox")
    with as_file(files("appliance.simulator").joinpath("voices")) as folder:
        for name in ("manifest.toml", "render.sh"):
            shutil.copy(folder / name, tmp_path)
    subprocess.run(["sh", tmp_path / "render.sh"], check=True, capture_output=True)
    for name in voices.recordings():
        # Another version of espeak-ng may sound a little different; it must not become another recording.
        rendered = (tmp_path / f"{name}.wav").stat().st_size - 44
        assert rendered == pytest.approx(len(voices.pcm(name)), rel=0.2)


def test_a_tone_is_a_tone() -> None:
    samples = np.frombuffer(voices.tone(1000, 500, peak_dbfs=-6), dtype="<i2")
    assert len(samples) == 12_000
    assert np.abs(samples).max() == pytest.approx(32767 * 0.501, rel=0.01)
    assert np.abs(np.fft.rfft(samples)).argmax() == 500


def turn(number: int, heard: str) -> TurnRecord:
    return TurnRecord(number, "silence", b"", heard, 0.0)


def test_the_answer_fits_the_question_heard_or_else_goes_by_number() -> None:
    assert sound_of(Reply(), turn(7, "ask-time"), parrot=False)[0] == voices.pcm("time")
    texts = {sound_of(Reply(), turn(number, "something else"), parrot=False)[1] for number in range(3)}
    assert texts == {voices.recordings()[one.answer].text for one in voices.questions()}
    assert {question_for(number) for number in range(3)} == {one.name for one in voices.questions()}


@pytest.mark.parametrize(
    "reply", [Reply(), Reply(split_bytes=(1, 2, 4801)), Reply(delta_ms=20), Reply(delta_ms=60_000)]
)
def test_pieces_hold_all_of_a_reply(reply: Reply) -> None:
    text = "one two three four"
    pieces = list(pieces_of(voices.pcm("time"), text, reply, delta_ms=100))
    assert b"".join(piece.audio for piece in pieces) == voices.pcm("time")
    assert "".join(piece.text for piece in pieces) == text
    assert pieces[0].text


def test_a_reply_without_sound_is_its_words() -> None:
    assert [tuple(piece) for piece in pieces_of(b"", "some words", Reply(), 100)] == [(b"", "some words")]
    assert list(pieces_of(b"", "", Reply(), 100)) == []
