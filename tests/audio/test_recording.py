"""An owner's recordings: whatever they are called and however they were saved, they are used, or there is one line."""

from __future__ import annotations

import logging
import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from appliance.audio.clips import Clips, built_in
from appliance.audio.format import WIRE_HZ, s_from_frames
from appliance.audio.recording import BadClipError, find, odd_names, read
from appliance.simulator.sound_match import find as find_sound
from tests.support.recordings import save, sweep

SECONDS = 1.5
FLOATS = sweep(24_000).astype(np.float32) / 32_768

KINDS = {
    "wav 8 bits": ("WAV", "PCM_U8"),
    "wav 16 bits": ("WAV", "PCM_16"),
    "wav 24 bits": ("WAV", "PCM_24"),
    "wav 32 bits": ("WAV", "PCM_32"),
    "wav float": ("WAV", "FLOAT"),
    "wav double": ("WAV", "DOUBLE"),
    "wav mu-law": ("WAV", "ULAW"),
    "wav a-law": ("WAV", "ALAW"),
    "wav extensible": ("WAVEX", "PCM_16"),
    "wav extensible 24 bits": ("WAVEX", "PCM_24"),
    "wav adpcm": ("WAV", "IMA_ADPCM"),
    "flac": ("FLAC", "PCM_16"),
    "ogg vorbis": ("OGG", "VORBIS"),
    "ogg opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "aiff": ("AIFF", "PCM_16"),
}


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_read_whatever_program_saved_it(tmp_path: Path, kind: str, channels: int) -> None:
    path = tmp_path / "call"
    form, subtype = KINDS[kind]
    soundfile.write(path, np.repeat(FLOATS[:, None], channels, axis=1), 24_000, format=form, subtype=subtype)
    samples = read(str(path))
    assert s_from_frames(samples.size) == pytest.approx(SECONDS, abs=0.1)
    padded = np.concatenate((np.zeros(2_400, np.int16), samples, np.zeros(2_400, np.int16)))
    heard = find_sound(sweep(WIRE_HZ), padded, WIRE_HZ)
    assert heard.correlation > 0.98
    assert samples.std() == pytest.approx(sweep(WIRE_HZ).std(), rel=0.1), "as loud as it was recorded"


@pytest.mark.parametrize("kind", ["wav 16 bits", "wav 24 bits", "wav float", "wav extensible"])
@pytest.mark.parametrize(
    ("of_file", "of_data"),
    [
        (0xFFFF_FFFF, 0xFFFF_FFFF),
        (0x7FFF_FFFF, 0x7FFF_FFDB),
        (0x8000_0024, 0x8000_0000),
        (0x7FFF_F024, 0x7FFF_F000),
        (0, 0),
        (36, 0),
    ],
    ids=["ffmpeg", "highest", "arecord", "sox", "gstreamer", "broken off"],
)
def test_a_length_that_was_not_known_is_found_out(tmp_path: Path, kind: str, of_file: int, of_data: int) -> None:
    path = tmp_path / "call.wav"
    form, subtype = KINDS[kind]
    soundfile.write(path, FLOATS, 24_000, format=form, subtype=subtype)
    content = bytearray(path.read_bytes())
    place = content.index(b"data")
    content[4:8] = struct.pack("<I", of_file)
    content[place + 4 : place + 8] = struct.pack("<I", of_data)
    path.write_bytes(content)
    assert s_from_frames(read(str(path)).size) == pytest.approx(SECONDS, abs=0.02)


HEADER = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36, b"WAVE", b"fmt ", 16, 1, 1, 24_000, 48_000, 2, 16)


def bad_files(folder: Path) -> dict[str, str]:
    """Each as ``call.wav`` in a folder of its own: what is wrong with it → the folder."""
    kinds = {
        "cannot be read as sound (": b"ID3 an mp3, as its name says",
        "save it as WAV, 16 bits": b"",
        "holds no sound": HEADER + struct.pack("<4sI", b"data", 0),
        "no sound": HEADER + struct.pack("<4sI", b"data", 48_000),
        "sound": HEADER + struct.pack("<4sI4sI4s", b"data", 0, b"LIST", 4, b"INFO"),
    }
    folders = {}
    for number, (what, content) in enumerate(kinds.items()):
        (folder / f"{number}").mkdir()
        (folder / f"{number}" / "call.wav").write_bytes(content)
        folders[what] = str(folder / f"{number}")
    for name in ("long", "odd", "three", "folder/call.wav"):
        (folder / name).mkdir(parents=True)
    save(folder / "long/call.wav", np.zeros(241_000, np.int16), 24_000)
    save(folder / "odd/call.wav", sweep(24_000, 0.5), 23_999)
    save(folder / "three/call.wav", sweep(24_000, 0.5), 24_000, 3)
    return folders | {
        "lasts 10.0 s; 10 s is the most": str(folder / "long"),
        "has 23999 Hz": str(folder / "odd"),
        "3 channels; save it as WAV, 16 bits, mono or stereo": str(folder / "three"),
        "is not a file": str(folder / "folder"),
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
            read(f"{folder}/call.wav")


def test_without_soundfile_it_says_how_to_have_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    soundfile.write(tmp_path / "call.flac", FLOATS, 24_000)
    save(tmp_path / "wait.wav", sweep(24_000), 24_000)
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(BadClipError, match="sudo apt-get install python3-soundfile, or save it as WAV, 16 bits"):
        read(str(tmp_path / "call.flac"))
    assert read(str(tmp_path / "wait.wav")).size


def test_a_plain_wav_does_not_load_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "call.wav", sweep(24_000), 24_000)
    monkeypatch.delitem(sys.modules, "soundfile")
    read(str(tmp_path / "call.wav"))
    assert "soundfile" not in sys.modules


@pytest.mark.parametrize(
    "file",
    [
        "wait.wav",
        "wait.WAV",
        "Wait.wav ",
        "WAIT.Wave",
        " wait .wav",
        "wait.wav.wav",
        "wait\u00a0.wav",
        "wait\u200b.WAV",
    ],
)
def test_however_its_name_is_written_it_is_used(tmp_path: Path, file: str) -> None:
    save(tmp_path / file, sweep(24_000), 24_000)
    assert Clips("ml", str(tmp_path)).spoken("wait").path == str(tmp_path / file)
    assert list(odd_names(str(tmp_path), ("wait",))) == []


def test_the_best_of_several_is_used_and_the_others_are_named(tmp_path: Path) -> None:
    for file in ("wait.mp3", "wait.flac", "Wait.wav"):
        (tmp_path / file).touch()
    assert find(str(tmp_path), "wait") == str(tmp_path / "Wait.wav")
    said = list(odd_names(str(tmp_path), ("wait",)))
    assert len(said) == 2 and all(line.endswith(f"is not used: {tmp_path}/Wait.wav is") for line in said)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("wiat.wav", "no clip is called wiat; did you mean wait?"),
        ("wait (1).mp3", "no clip is called wait (1); did you mean wait?"),
        ("Voice 003.wav", "no clip is called voice 003; voice-appliance clips lists their names"),
        ("wait.m4a", "is not used: this kind cannot be read; save it as WAV, 16 bits, mono or stereo"),
        ("wait.aac", "is not used: this kind"),
    ],
)
def test_a_recording_that_is_not_used_is_one_line(
    tmp_path: Path, file: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / file).touch()
    Clips("ml", str(tmp_path)).check()
    (line,) = [record.getMessage() for record in caplog.records]
    assert f"{tmp_path}/{file}: {said}" in line


def test_what_is_no_recording_is_not_mentioned(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for file in ("._wait.wav", ".DS_Store", "Thumbs.db", "notes.txt", "wait.txt"):
        (tmp_path / file).touch()
    Clips("ml", str(tmp_path)).check()
    assert caplog.records == []


def test_a_pipe_of_that_name_stops_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "wait.wav")
    assert Clips("ml", str(tmp_path)).spoken("wait").path == ""
