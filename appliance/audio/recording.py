"""An owner's recording: found by its name however that is written, and read whatever program has saved it.

The standard library reads WAV of whole numbers. The rest (float, mu-law, WAVE_FORMAT_EXTENSIBLE before Python 3.12,
FLAC, Ogg, MP3) is for soundfile, an optional package, loaded when there is such a file: 3 MB and 10 ms (measured here).
Any thread.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import IO, Final

import numpy as np
import numpy.typing as npt

from appliance.config.invisible import plain_name
from appliance.journal.foreign_text import one_line

from .format import WIRE_HZ, frames_from_ms
from .levels import fade_in, to_int16
from .resample import Resampler, to_mono

LONGEST_S: Final = 10.0
"""It may be longer than a built-in clip, but the box is no loudspeaker van; longer ones are refused."""

EDGE_MS: Final = 5.0
"""Fade at both ends of a recording, which may have been cut anywhere."""

SUFFIXES: Final = (".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".snd")
"""What can be read, the best first: of two recordings of one name the first counts."""

FOREIGN_SUFFIXES: Final = (".m4a", ".aac", ".mp4", ".wma", ".amr", ".3gp", ".webm", ".caf")
"""What phones and recorders save and nothing here reads: it is said that they are not used."""

LONGEST_HEADER_BYTES: Final = 65_536
"""A WAV's data begin within this, or the file is read as it is."""

LONGEST_BYTES: Final = 16 * 1024 * 1024
"""Of a file that is copied to be mended: 10 s of stereo at 96 kHz and 64 bits have as much."""

SAVE_AS: Final = "save it as WAV, 16 bits, mono or stereo"
INSTALL: Final = "sudo apt-get install python3-soundfile"

Samples = npt.NDArray[np.int16]


class BadClipError(Exception):
    """A recording that cannot be used; the text says why, and what to do."""


# ---------------------------------------------------------------- its name


def find(folder: str, name: str) -> str | None:
    """The path of the recording of the clip ``name`` in ``folder``, the best if there are several; None without one.

    Capital letters, spaces around the name and a doubled ending ("Wait .wav.WAV") do not matter.
    """
    found = [(SUFFIXES.index(suffix), file) for file, stem, suffix in _sounds(folder) if stem == name and suffix]
    return os.path.join(folder, min(found)[1]) if found else None


def odd_names(folder: str, names: Sequence[str]) -> Iterator[str]:
    """A line for each file of ``folder`` that seems to be a recording and is not used: one of no clip of ``names``, of
    a kind that nothing here reads, or a second one."""
    for file, stem, suffix in _sounds(folder):
        path = os.path.join(folder, file)
        if stem not in names:
            close = get_close_matches(stem, names, 1, 0.6)
            meant = f"; did you mean {close[0]}?" if close else "; voice-appliance clips lists their names"
            yield f"{one_line(path)}: no clip is called {one_line(stem)}{meant}"
        elif not suffix:
            yield f"{one_line(path)}: is not used: this kind cannot be read; {SAVE_AS}"
        elif (used := find(folder, stem)) != path:
            yield f"{one_line(path)}: is not used: {one_line(used or '')} is"


def _sounds(folder: str) -> Iterator[tuple[str, str, str]]:
    """Name, name without ending and ending of each recording in ``folder``; the ending is "" if nothing reads it."""
    try:
        files = sorted(os.listdir(folder))
    except OSError:
        return
    for file in files:
        stem, suffix = os.path.splitext(plain_name(file))
        # Hidden ones are what desktops leave beside a file.
        if file.startswith(".") or suffix not in (*SUFFIXES, *FOREIGN_SUFFIXES):
            continue
        while os.path.splitext(stem)[1] in SUFFIXES:
            stem = os.path.splitext(stem)[0]
        yield file, stem, suffix if suffix in SUFFIXES else ""


# ---------------------------------------------------------------- its sound


def read(path: str) -> Samples:
    """The recording in ``path`` at ``WIRE_HZ``, mono, with faded ends.

    Raises BadClipError for what cannot be read, has more than two channels or lasts longer than ``LONGEST_S``;
    FileNotFoundError.
    """
    if not os.path.isfile(path) and os.path.lexists(path):
        raise BadClipError("is not a file")
    try:
        with open(path, "rb") as file, _mended(file) as whole:
            interleaved, channels, hz = _from_wave(whole) or _from_soundfile(whole)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise BadClipError(f"cannot be read ({error.strerror or one_line(str(error))})") from None
    if interleaved.size == 0:
        raise BadClipError("holds no sound")
    try:
        resampler = Resampler(hz, WIRE_HZ)
    except ValueError:
        raise BadClipError(f"has {hz} Hz; save it with 48000, 44100 or 24000 Hz") from None
    mono = to_mono(interleaved, channels, "mix")
    samples = np.concatenate((resampler.process(mono), resampler.flush()))
    edge = fade_in(min(frames_from_ms(EDGE_MS), samples.size // 2))
    faded = samples.astype(np.float32)
    faded[: edge.size] *= edge
    faded[samples.size - edge.size :] *= edge[::-1]
    return faded.astype(np.int16)


def _from_wave(file: IO[bytes]) -> tuple[Samples, int, int] | None:
    """Interleaved samples, channels and rate by the standard library; None for what it does not read."""
    import wave

    try:
        with wave.open(file, "rb") as reader:
            channels, width, hz = reader.getnchannels(), reader.getsampwidth(), reader.getframerate()
            # A program that writes into a pipe does not know the length, and puts a number there that never comes.
            real_frames = os.fstat(file.fileno()).st_size // (width * channels)
            frames = min(reader.getnframes(), real_frames)
            _check_shape(channels, hz, frames)
            pcm = np.frombuffer(reader.readframes(frames), dtype=np.uint8)
    except (EOFError, RuntimeError, wave.Error):
        # RuntimeError: what it raises where one part of the file reaches beyond the one that holds it.
        file.seek(0)
        return None
    whole = pcm[: pcm.size // (width * channels) * (width * channels)]
    if width == 1:
        # 8 bits alone have no sign (Multimedia Programming Interface and Data Specifications 1.0).
        return (whole.astype(np.int16) - 128) << 8, channels, hz
    # Little-endian: the last two bytes are the highest.
    return whole.reshape(-1, width)[:, width - 2 :].copy().view("<i2").ravel(), channels, hz


def _from_soundfile(file: IO[bytes]) -> tuple[Samples, int, int]:
    """Interleaved samples, channels and rate by libsndfile. Raises BadClipError."""
    try:
        import soundfile
    except (ImportError, OSError):
        raise BadClipError(f"is no plain WAV: {INSTALL}, or {SAVE_AS}") from None
    try:
        # By a path: a Python object would be read through callbacks, which want memory to write and execute, and a bare
        # number is closed by libsndfile where it fails.
        with soundfile.SoundFile(f"/proc/self/fd/{file.fileno()}") as reader:
            channels, hz = reader.channels, reader.samplerate
            _check_shape(channels, hz, reader.frames)
            # As floats: a file of floats would be cut to whole numbers of -1, 0 and 1.
            samples = reader.read(int(LONGEST_S * hz), dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError) as error:
        reason = one_line(getattr(error, "error_string", str(error))).rstrip(".")
        raise BadClipError(f"cannot be read as sound ({reason}); {SAVE_AS}") from None
    return to_int16(np.nan_to_num(samples.ravel()) * np.float32(32_767)), channels, hz


def _check_shape(channels: int, hz: int, frames: int) -> None:
    if channels not in (1, 2) or hz < 1:
        raise BadClipError(f"has {channels} channels; {SAVE_AS}")
    if frames > LONGEST_S * hz:
        raise BadClipError(f"lasts {frames / hz:.1f} s; {LONGEST_S:g} s is the most")


@contextlib.contextmanager
def _mended(file: IO[bytes]) -> Iterator[IO[bytes]]:
    """``file``, or a copy in memory where its header says that there are no data and they follow all the same: what a
    program leaves that writes into a pipe, or was ended."""
    place = _place_of_no_length(file)
    file.seek(0)
    if place is None:
        yield file
        return
    content = bytearray(file.read(LONGEST_BYTES))
    content[place : place + 4] = struct.pack("<I", len(content) - place - 4)
    content[4:8] = struct.pack("<I", len(content) - 8)
    with open(os.memfd_create("recording"), "w+b") as copy:
        copy.write(content)
        copy.seek(0)
        yield copy


def _place_of_no_length(file: IO[bytes]) -> int | None:
    """Where in a WAV the length of its data stands, if that is 0 and something follows that is no part of its own."""
    header = file.read(LONGEST_HEADER_BYTES)
    if header[:4] != b"RIFF" or header[8:12] != b"WAVE":
        return None
    place = 12
    while place + 8 <= len(header):
        name, size = struct.unpack_from("<4sI", header, place)
        if name == b"data":
            follows = header[place + 8 : place + 12]
            return place + 4 if size == 0 and follows and not follows.strip().isalnum() else None
        place += 8 + size + size % 2
    return None
