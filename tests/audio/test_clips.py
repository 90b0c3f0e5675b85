"""The spoken clips: those that are shipped, and the owner's own."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from appliance.audio.clips import (
    FOLDER,
    LANGUAGES,
    LONGEST_S,
    PAUSE_MS,
    Clips,
    Language,
    built_in,
    texts,
)
from appliance.audio.format import WIRE_HZ, frames_from_ms, s_from_frames
from appliance.audio.levels import peak_dbfs
from appliance.commands.clips import render
from appliance.simulator.sound_match import find
from appliance.turn.announcements import Clip
from tests.support.recordings import save, sweep

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
