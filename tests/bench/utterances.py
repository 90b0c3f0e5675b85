"""What people say to a box, for the bench of the gate: 179 utterances of half a second to some four.

90 are recordings of four people, the prompts of the Asterisk telephone exchange (Debian's
``asterisk-core-sounds-*-wav``, CC BY-SA 3.0; 8 kHz, which is all that the gate looks at). 89 are made by ``espeak-ng``
in eight languages and ten voices, from a low man's to a child's. ``make bench-gate`` installs both. float64 at int16
scale, mono, 24 kHz, and each begins with its first sound.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from appliance.audio.resample import Resampler
from tests.support.acoustics import HZ, Sound

RECORDINGS: Final = Path("/usr/share/asterisk/sounds")
PEOPLE: Final = {"en_US_f_Allison": 23, "fr_CA_f_June": 22, "it_IT_m_Carlo": 23, "ru_RU_f_IvrvoiceRU": 22}
"""Folder of each person, and how many recordings are taken."""

SHORTEST_S, LONGEST_S = 0.6, 3.5
"""Of a recording: a word or two, up to a sentence."""

ESPEAK_COUNT: Final = 89

SAID: Final = {
    "ml": ("ഈ വർഷം മഴക്കാലം എപ്പോൾ തുടങ്ങും?", "നീ ആരാണ്? എന്തൊക്കെ ചെയ്യും?", "ഇപ്പോൾ സമയം എത്രയായി?", "നമസ്കാരം", "വേണ്ട"),
    "ta": ("இப்போது மணி என்ன?", "நாளை மழை பெய்யுமா?", "உன் பெயர் என்ன?"),
    "hi": ("अभी कितने बजे हैं?", "कल बारिश होगी क्या?", "तुम कौन हो?"),
    "kn": ("ಈಗ ಸಮಯ ಎಷ್ಟು?", "ನಾಳೆ ಮಳೆ ಬರುತ್ತದೆಯೇ?"),
    "te": ("ఇప్పుడు సమయం ఎంత?", "రేపు వర్షం పడుతుందా?"),
    "en-us": ("What time is it?", "What time does the post office open on Saturday?", "Stop.", "Who are you?"),
    "en-gb": ("Could you tell me where the bus leaves?", "Help me, please.", "Six sixty-six."),
    "fr-fr": ("Quelle heure est-il ?", "Où est la gare ?"),
}

VOICES: Final = ("m1 40", "m3 20", "m7 45", "f1 50", "f2 55", "f3 65", "f4 80", "f5 60", "m4 10", "f2 99")
"""Variant and pitch of espeak-ng."""

FIRST_SOUND: Final = 0.03
"""Share of the peak at which an utterance begins; before it there is breath, or nothing."""


class Utterance(NamedTuple):
    """One."""

    name: str
    sound: Sound
    recorded: bool
    """By a person."""


class MissingError(Exception):
    """What the utterances are made of is not installed."""


def utterances() -> list[Utterance]:
    """All 179, always the same. Raises MissingError."""
    found = [*_recorded(), *_spoken()]
    # Mixed, so that any share of them holds both kinds and all voices.
    order = np.random.default_rng(1).permutation(len(found))
    return [found[index] for index in order]


def _recorded() -> Iterator[Utterance]:
    for person, wanted in PEOPLE.items():
        folder = RECORDINGS / person
        if not folder.is_dir():
            raise MissingError(f"{folder} is not there: make bench-gate installs the recordings")
        lasting = [
            path
            for path in sorted(folder.glob("*.wav"))
            if "beep" not in path.name and SHORTEST_S <= path.stat().st_size / 16_000 <= LONGEST_S
        ]
        for index in np.linspace(0, len(lasting) - 1, wanted).astype(int):
            yield Utterance(f"{person}/{lasting[index].stem}", _begun(_read(lasting[index].read_bytes())), True)


def _spoken() -> Iterator[Utterance]:
    said = [(language, text) for language, texts in SAID.items() for text in texts]
    wanted = [(*line, voice) for voice in VOICES for line in said]
    chosen = [wanted[index] for index in np.linspace(0, len(wanted) - 1, ESPEAK_COUNT).astype(int)]
    with ThreadPoolExecutor(2) as pool:
        yield from pool.map(lambda one: _synthetic(*one), chosen)


def _synthetic(language: str, text: str, voice: str) -> Utterance:
    variant, pitch = voice.split()
    command = ["espeak-ng", "-v", f"{language}+{variant}", "-p", pitch, "-s", "150", "--stdout", text]
    try:
        made = subprocess.run(command, check=True, capture_output=True).stdout
    except FileNotFoundError:
        raise MissingError("espeak-ng is not there: make bench-gate installs it") from None
    return Utterance(f"{language}+{voice}: {text}", _begun(_read(made)), False)


def _read(file: bytes) -> Sound:
    """A WAV of one channel and 16 bits, at 24 kHz. What espeak-ng pipes has no true length in its head."""
    begin = file.index(b"data") + 8
    rate = int.from_bytes(file[24:28], "little")
    samples = np.frombuffer(file[begin : begin + (len(file) - begin) // 2 * 2], dtype="<i2")
    return Resampler(rate, HZ).process(samples.astype(np.float32)).astype(np.float64)


def _begun(sound: Sound) -> Sound:
    """Without what is before its first sound and after its last."""
    loud = np.flatnonzero(np.abs(sound) > FIRST_SOUND * np.abs(sound).max())
    return sound[loud[0] : loud[-1] + 1]
