"""Sound cards that can only what a test says: an ALSA plugin of our own, under the real PortAudio and sound host.

``odd_card.c`` is the card: formats, channels, rates, periods and buffers that it accepts, how opening it fails, and
when it dies. What is played to it is in a file, what it hears comes from one, both in the card's own format; its clock
is the machine's and moves a period at a time, as a card's interrupts do.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

SOURCES = Path(__file__).parent

Samples = npt.NDArray[np.int16]


def build(source: str, folder: Path) -> Path:
    """Compile a source file of this folder. ``make test`` installs what it needs: gcc, libasound2-dev."""
    library = (folder / source).with_suffix(".so")
    command = (
        "gcc",
        "-Wall",
        "-Werror",
        "-O1",
        "-shared",
        "-fPIC",
        "-DPIC",
        "-o",
        library,
        SOURCES / source,
        "-lasound",
    )
    subprocess.run(command, check=True)
    return library


@dataclass(frozen=True)
class Kind:
    """What a card can. In the numbers "8 16" means these, and "8-16" all from 8 to 16; ``period`` and ``buffer`` are in
    frames."""

    formats: str = "S16_LE"
    channels: str = "1-2"
    rates: str = "8000-192000"
    period: str = "64-8192"
    buffer: str = "128-65536"
    open_error: int = 0
    dies_after_ms: int = 0


CONFIGURATION = """
# PortAudio 19.6 asserts that one of the devices that it finds in a configuration cannot be used.
pcm.none {{ type hw card 31 }}
pcm_type.odd_card {{ lib "{library}" }}
pcm.{name} {{ {arguments} type odd_card folder "{home}" {settings} }}
pcm.plughw {{ {arguments} type plug slave.pcm {{ @func concat strings [ "hw:" $CARD "," $DEV ] }} }}
"""

ARGUMENTS = "@args [ CARD DEV ] @args.CARD { type string } @args.DEV { type integer }"


class OddCard:
    """A device "odd" as an owner writes it into an asound.conf; or, ``as_card``, the kernel's card "Odd" (that is
    ``kernel.c``, to be preloaded). In a ``home`` of its own: give ``environment`` to a sound host."""

    def __init__(
        self, kind: Kind, library: Path, home: Path, heard: bytes = b"", as_card: bool = False, named: str = ""
    ) -> None:
        self._played = home / "played"
        self._xruns = home / "xruns"
        self._played.touch()
        (home / "heard").write_bytes(heard)
        settings = " ".join(
            f'{key} "{value}"' if isinstance(value, str) else f"{key} {value}" for key, value in vars(kind).items()
        )
        place = {"name": "!hw" if as_card else "odd", "arguments": ARGUMENTS if as_card else ""}
        configuration = home / "asound.conf"
        text = CONFIGURATION if as_card else CONFIGURATION.rpartition("pcm.plughw")[0]
        configuration.write_text(text.format(library=library, home=home, settings=settings, **place) + named)
        self.environment = {"ALSA_CONFIG_PATH": str(configuration), "HOME": str(home), "JACK_NO_START_SERVER": "1"}

    @property
    def played(self) -> bytes:
        """All that was given to the card, in its format."""
        return self._played.read_bytes()

    @property
    def xruns(self) -> int:
        """How often it ran dry, or over."""
        return len(self._xruns.read_text().splitlines()) if self._xruns.exists() else 0


def in_format(samples: npt.NDArray[np.float64], name: str) -> bytes:
    """``samples``, -1 to 1, as a card of that format gives them: the whole of its width is used."""
    if name == "FLOAT_LE":
        return bytes(samples.astype("<f4").data)
    full = 2.0 ** {"S16_LE": 15, "S24_3LE": 23, "S24_LE": 23, "S32_LE": 31}[name]
    values: npt.NDArray[np.int64] = np.rint(np.clip(samples * full, -full, full - 1)).astype(np.int64)
    words: npt.NDArray[np.uint8] = values.view(np.uint8).reshape(-1, 8)
    return bytes(words[:, : {"S16_LE": 2, "S24_3LE": 3}.get(name, 4)].copy().data)


def from_format(pcm: bytes, name: str) -> Samples:
    """The upper 16 bits of what a card of that format was given."""
    if name == "FLOAT_LE":
        return np.asarray(np.clip(np.rint(np.frombuffer(pcm, "<f4") * 32768), -32768, 32767), dtype=np.int16)
    if name == "U8":
        return np.asarray((np.frombuffer(pcm, np.uint8).astype(np.int16) - 128) << 8, dtype=np.int16)
    if name == "S16_BE":
        return np.asarray(np.frombuffer(pcm, ">i2"), dtype=np.int16)
    if name == "S24_3LE":
        return np.asarray(np.frombuffer(pcm, np.uint8).reshape(-1, 3)[:, 1:].copy().view("<i2").reshape(-1))
    if name == "S24_LE":
        return np.asarray(np.frombuffer(pcm, "<i4") >> 8, dtype=np.int16)
    if name == "IEC958_SUBFRAME_LE":
        return np.asarray((np.frombuffer(pcm, "<u4") >> 12).astype(np.uint16).view(np.int16))
    shift = {"S32_LE": 16, "S16_LE": 0}[name]
    return np.asarray(np.frombuffer(pcm, "<i4" if shift else "<i2") >> shift, dtype=np.int16)
