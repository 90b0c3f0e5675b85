"""The sound of the spoken clips: read when one is said, not before; those that an owner recorded instead come first.

Nothing of the built-in ones is kept: reading and decoding 4 s takes less than a millisecond (measured here; ten on a Pi
Zero), and all of them decoded would be 1.1 MB. Any thread.
"""

from __future__ import annotations

import logging
import os
import struct
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from appliance.journal.catalog import Kind, entry
from appliance.system.sandbox import hint

from .format import WIRE_HZ, frames_from_ms, s_from_frames
from .recording import BadClipError, find, odd_names, read

log = logging.getLogger(__name__)

Language = Literal["ml", "en"]

LANGUAGES: Final[Mapping[str, tuple[Language, ...]]] = {"ml": ("ml",), "en": ("en",), "both": ("ml", "en")}
"""What each ``panel.language`` says, in order."""

LONGEST_S: Final = 4.0
"""A longer one is not listened to; tested for those that are shipped."""

PAUSE_MS: Final = 300
"""Between two languages: a full stop."""

FOLDER: Final = os.path.join(os.path.dirname(__file__), "clip_files")
"""Of the texts and of what is shipped."""

_HEADER: Final = struct.Struct(">4sIIIII")
_MU_LAW: Final = 1
"""Encoding number of Sun's audio file format, as in its manual page audio(4)."""

Samples = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Spoken:
    """A clip, ready to be played. ``samples``: int16 mono at ``WIRE_HZ``. ``path``: the owner's file, "" if shipped."""

    samples: Samples
    path: str = ""

    @property
    def length_s(self) -> float:
        """Seconds that it lasts."""
        return s_from_frames(self.samples.size)


@cache
def texts() -> Mapping[str, Mapping[Language, str]]:
    """What each clip says, by name and language, in the file's order."""
    with open(os.path.join(FOLDER, "texts.toml"), "rb") as file:
        loaded: dict[str, dict[Language, str]] = tomllib.load(file)
    return loaded


def built_in(name: str, language: Language) -> Samples:
    """A clip as it is shipped. Raises FileNotFoundError for one that is not."""
    with open(os.path.join(FOLDER, f"{name}.{language}.au"), "rb") as file:
        content = file.read()
    magic, offset, _, encoding, hz, channels = _HEADER.unpack_from(content)
    assert (magic, encoding, hz, channels) == (b".snd", _MU_LAW, WIRE_HZ, 1)
    samples: Samples = _mu_law()[np.frombuffer(content, dtype=np.uint8, offset=offset)]
    return samples


class Clips:
    """The clips of one box. ``language``: as ``panel.language``; ``own``: the folder of ``panel.clips_dir``, "" for
    none.

    An owner's recording ``NAME.wav``, or of another kind (``recording.py``), is said instead of the clip of that name,
    whatever the language.
    """

    def __init__(self, language: str, own: str) -> None:
        self._languages = LANGUAGES[language]
        self._own = own
        self._refused: set[str] = set()
        self._kept: dict[str, Spoken] = {}
        """The owner's, once they were said: to resample one takes a Pi a tenth of a second."""

    def check(self) -> None:
        """Say now what is wrong with the owner's recordings, a line each, not when somebody stands before the box."""
        if not self._own:
            return
        if not os.path.isdir(self._own):
            why = f" ({said})" if (said := hint(self._own)) else ""
            line = "panel.clips_dir: no folder %s%s; the built-in clips are used"
            log.warning(line, self._own, why, extra=entry(Kind.CLIP_REFUSED))
            return
        for name in texts():
            self._of_owner(name)
        for line in odd_names(self._own, tuple(texts())):
            log.warning("%s", line, extra=entry(Kind.CLIP_REFUSED))

    def spoken(self, name: str) -> Spoken:
        """The clip ``name``. KeyError if there is none."""
        own = self._kept.get(name) or self._of_owner(name)
        if own is not None:
            self._kept[name] = own
            return own
        if name not in texts():
            raise KeyError(name)
        parts = [built_in(name, language) for language in self._languages]
        pause = np.zeros(frames_from_ms(PAUSE_MS), dtype=np.int16)
        return Spoken(np.concatenate([part for spoken in parts for part in (pause, spoken)][1:]))

    def _of_owner(self, name: str) -> Spoken | None:
        """The owner's recording; None without one, and for one that cannot be used, of which a line is said once."""
        if not self._own or name in self._refused:
            return None
        path = find(self._own, name)
        if path is None:
            return None
        try:
            return Spoken(read(path), path)
        except FileNotFoundError:
            return None
        except BadClipError as error:
            self._refused.add(name)
            log.warning("%s: %s; the built-in clip is used", path, error, extra=entry(Kind.CLIP_REFUSED))
            return None


@cache
def _mu_law() -> Samples:
    """The 256 sample values of ITU-T G.711's mu-law, by code. 16 bits wide: G.711's 14, times four."""
    codes = ~np.arange(256, dtype=np.uint8)
    exponent = (codes >> 4 & 7).astype(np.int32)
    mantissa = (codes & 15).astype(np.int32)
    magnitude = ((mantissa << 3) + 132 << exponent) - 132
    table: Samples = np.where(codes & 128, -magnitude, magnitude).astype(np.int16)
    table.flags.writeable = False
    return table
