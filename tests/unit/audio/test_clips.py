"""The spoken clips: those that are shipped, and the owner's own."""

from __future__ import annotations

import logging
import shutil
import struct
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from appliance.audio.clips import (
    FOLDER,
    LANGUAGES,
    LONGEST_S,
    PAUSE_MS,
    BadClipError,
    Clips,
    Language,
    built_in,
    read_own,
    texts,
)
from appliance.audio.format import WIRE_HZ, frames_from_ms, s_from_frames
from appliance.audio.levels import peak_dbfs
from appliance.commands.clips import render
from appliance.commands.comparison import find
from appliance.turn.clips import Clip

BOTH: tuple[Language, ...] = ("ml", "en")
SHIPPED = [(clip.value, language) for clip in Clip for language in BOTH]
JARGON = ("server", "service", "account", "credit", "key", "network", "error", "connect", "session", "configur")


def test_there_is_a_text_and_a_file_for_each_clip_and_nothing_else() -> None:
    assert set(texts()) == {clip.value for clip in Clip}
    assert all(tuple(spoken) == BOTH for spoken in texts().values())
    files = {path.name for path in Path(FOLDER).iterdir()}
    assert files == {"texts.toml"} | {f"{name}.{language}.au" for name, language in SHIPPED}


@pytest.mark.parametrize(("name", "language"), SHIPPED)
def test_a_clip_is_short_plain_and_fit_to_be_heard(name: str, language: Language) -> None:
    samples, text = built_in(name, language), texts()[name][language]
    assert 1.0 <= s_from_frames(samples.size) <= LONGEST_S
    assert -7 <= peak_dbfs(samples) <= -5.5
    assert abs(int(samples[0])) < 100 and abs(int(samples[-1])) < 100, "no click"
    assert np.abs(samples[: WIRE_HZ // 10]).max() > 500, "no silence at its beginning"
    assert text.isascii() if language == "en" else all("ഀ" <= letter <= "ൿ" or letter in " ." for letter in text)
    assert not any(word in text.lower() for word in JARGON)
    assert text.count(" ") < 9


@pytest.mark.parametrize("clip", Clip)
def test_both_languages_are_the_one_and_then_the_other(clip: Clip) -> None:
    alone = {language: Clips(language, "").spoken(clip.value).samples for language in BOTH}
    both = Clips("both", "").spoken(clip.value)
    pause = both.samples[alone["ml"].size : -alone["en"].size]
    assert both.length_s <= 2 * LONGEST_S
    assert np.array_equal(both.samples[: alone["ml"].size], alone["ml"])
    assert np.array_equal(both.samples[-alone["en"].size :], alone["en"])
    assert pause.size == frames_from_ms(PAUSE_MS) and not pause.any()
    assert set(LANGUAGES) == {"ml", "en", "both"}


def test_all_of_them_are_small() -> None:
    assert sum(path.stat().st_size for path in Path(FOLDER).iterdir()) < 600_000


def test_an_unknown_clip_is_a_fault_of_ours() -> None:
    with pytest.raises(KeyError):
        Clips("ml", "").spoken("no-such-clip")


def save(path: Path, samples: npt.NDArray[np.int16], hz: int, channels: int = 1) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, hz, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())


def sweep(hz: int, seconds: float = 1.5) -> npt.NDArray[np.int16]:
    """From 300 to 1000 Hz: found again at one place only, and half a sample beside it is as good."""
    at_s = np.arange(round(seconds * hz)) / hz
    phase = 2 * np.pi * (300 * at_s + 350 / seconds * at_s**2)
    return np.asarray(np.rint(8_000 * np.sin(phase)), dtype=np.int16)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("hz", [8_000, 16_000, 22_050, 24_000, 44_100, 48_000, 96_000])
def test_an_owners_recording_of_any_rate_is_said_instead(tmp_path: Path, hz: int, channels: int) -> None:
    save(tmp_path / "call.wav", np.repeat(sweep(hz), channels), hz, channels)
    own = Clips("both", str(tmp_path))
    spoken = own.spoken("call")
    assert spoken.path == str(tmp_path / "call.wav")
    assert spoken.length_s == pytest.approx(1.5, abs=0.02)
    padded = np.concatenate((np.zeros(2_400, np.int16), spoken.samples, np.zeros(2_400, np.int16)))
    assert find(sweep(WIRE_HZ), padded, WIRE_HZ).correlation > 0.99
    assert np.abs(spoken.samples[[0, -1]]).max() < 10, "its ends are faded"
    assert own.spoken("call") is spoken, "resampled once"
    assert own.spoken("wait").path == "", "the others are as they were"


def bad_files(folder: Path) -> dict[str, str]:
    """Each as ``call.wav`` in a folder of its own: what is wrong with it → the folder."""
    good = sweep(24_000, 0.5)
    kinds: dict[str, bytes] = {"not a WAV file that can be read": b"ID3 an mp3", "that can be read (": b""}
    folders = {}
    for number, (what, content) in enumerate(kinds.items()):
        (folder / f"{number}").mkdir()
        (folder / f"{number}" / "call.wav").write_bytes(content)
        folders[what] = str(folder / f"{number}")
    for name in ("long", "eight", "empty", "odd", "three", "truncated", "beyond"):
        (folder / name).mkdir()
    save(folder / "long/call.wav", np.zeros(241_000, np.int16), 24_000)
    with wave.open(str(folder / "eight/call.wav"), "wb") as file:
        file.setparams((1, 1, 8_000, 0, "NONE", ""))
        file.writeframes(bytes(800))
    save(folder / "empty/call.wav", good[:0], 24_000)
    save(folder / "odd/call.wav", good, 23_999)
    save(folder / "three/call.wav", good, 24_000, 3)
    header = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36, b"WAVE", b"fmt ", 16, 1, 1, 24_000, 48_000, 2, 16)
    (folder / "truncated/call.wav").write_bytes(header + struct.pack("<4sI", b"data", 48_000))
    # Its first part says that it is longer than the whole, as after a copy that broke off and was gone on with.
    oversized = struct.pack("<4sI4s4sI", b"RIFF", 40, b"WAVE", b"fmt ", 1_000)
    (folder / "beyond/call.wav").write_bytes(oversized + header[20:] + good.tobytes())
    return folders | {
        "10 s is the most": str(folder / "long"),
        "8 bits and 1 channels": str(folder / "eight"),
        "holds no sound": str(folder / "empty"),
        "has 23999 Hz": str(folder / "odd"),
        "16 bits and 3 channels": str(folder / "three"),
        "no sound": str(folder / "truncated"),
        "(its parts do not fit": str(folder / "beyond"),
    }


def test_a_bad_recording_is_one_line_and_the_built_in_is_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for what, folder in bad_files(tmp_path).items():
        caplog.clear()
        caplog.set_level(logging.INFO)
        clips = Clips("ml", folder)
        clips.check()
        for _ in range(3):
            assert np.array_equal(clips.spoken("call").samples, built_in("call", "ml"))
        (line,) = [record.getMessage() for record in caplog.records]
        assert what in line and f"{folder}/call.wav" in line and line.endswith("the built-in clip is used")
        with pytest.raises(BadClipError):
            read_own(f"{folder}/call.wav")


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clips = Clips("ml", str(tmp_path / "none"))
    clips.check()
    assert clips.spoken("call").path == ""
    assert [record.levelname for record in caplog.records] == ["WARNING"] and "no folder" in caplog.text


def test_one_command_renders_all_of_them(tmp_path: Path) -> None:
    if not (shutil.which("espeak-ng") and shutil.which("sox")):
        pytest.skip("needs espeak-ng and sox")
    render(str(tmp_path))
    for name, language in SHIPPED:
        # Another version of espeak-ng may sound a little different; it must not become another clip.
        file = f"{name}.{language}.au"
        shipped = (Path(FOLDER) / file).stat().st_size
        assert (tmp_path / file).stat().st_size == pytest.approx(shipped, rel=0.2)
