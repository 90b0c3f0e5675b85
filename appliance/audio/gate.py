"""Hears in the microphone's sound that somebody begins to speak: what opens a turn where there is no button.

Single-threaded, no I/O; int16 mono at ``WIRE_HZ``. It only opens: when the person has finished, the service knows best.

A frame of 20 ms counts when it is louder than the room (``MARGIN_DB`` above the median of the last ``ROOM_S``), when it
is voiced (its autocorrelation repeats with the period of a voice), and when it is hardly softer than the loudest one
beside it. The last tells a syllable from a cup that is put down. ``NEEDED`` such frames within ``WINDOW`` are a voice,
unless they are a tone. Whatever goes on for longer than half of ``ROOM_S``, a fan, rain, music, has become the room.

A card's own gain control lifts the room in each pause to where speech is. There a frame also counts that is no louder
than the room, but much more voiced than the room has been (``VOICED_MARGIN``): in a room that rushes, never in one with
music or talk.

A tone is no voice. Either nothing changes in it: the spectra of the frames that count are alike (``STEADY``). Or, if
its pitch wanders (a warble, a siren), it is higher than a voice: it repeats after a shorter period as well as after a
voice's, and has hardly an overtone. Of the 230 sounds of ``tests/support/tones.py`` 226 open a gate without this rule;
with it, in silence and beside a fan, the 9 that slide from 300 to 400 Hz, as a siren may, and 30 in a tiled room whose
echo is as loud as they. Of 179 utterances none is lost by it, nor of the same ones 1.5 times as high (``make
bench-gate``).

Why this and not webrtcvad-wheels, the kept library with wheels for the Pi. Both were measured over the rooms of
``tests/support/acoustics.py``, webrtcvad in its strictest mode with 12 of 18 frames. Openings that nobody spoke for in
five minutes (seed 7), this gate / webrtcvad: silence, fan, rain 0 / 0, a fan switched on and off 0 / 8, crockery 0 /
28, music 1 / 46. Of twelve questions at -26 dBFS heard within a second: 15 dB above fan and rain 12 / 12, above music
12 / 5; 10 dB above music 12 / 2; 5 dB above a fan 12 / 2, above rain 12 / 12, above music 11 / 3; as loud as the fan 6
/ 1, the music 0 / 1. webrtcvad takes 0.15 ms of processor time per second of sound, this 0.4 in silence and 0.8 in
music (five frames at a time; some 3.5 one at a time): an idle daemon takes 1.4 times what it takes in ``auto``, the
whole box 1.03 times (``make bench``; no Pi was measured). Real people in real rooms were not measured.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from .format import s_from_frames
from .frames import FRAME, Analyser, Frames, steadiness

MARGIN_DB: Final = 8.0
"""Louder than the room by this. Somebody who speaks 5 dB above a fan (over the whole sentence) is still heard:
syllables stand out. A steady noise sways by some 2 dB."""

FAINTEST_DBFS: Final = -55.0
"""Below it nobody speaks to this box: 20 dB below a voice at arm's length (about -26 dBFS and 9 dB less in its soft
parts)."""

FAINTEST_NOTICED_DBFS: Final = -75.0
"""Between this and ``FAINTEST_DBFS`` a voice opens nothing, but is noticed (``Gate.faint_dbfs``)."""

VOICED: Final = 0.65
"""Least share of a frame's sound that repeats itself after one period. Half the voiced frames of the recordings have
0.93 and more, nine in ten of a fan's at most 0.63, of rain's 0.39."""

VOICED_MARGIN: Final = 0.2
"""More voiced by this than ``ROOM_VOICED_SHARE`` of the room, and ``LOW``: counts without being loud. Without ``LOW``
the rumble of a street opened it 16 times in half an hour, with it 4 times, as without this rule."""

ROOM_VOICED_SHARE: Final = 0.8
"""A person who speaks for 1.6 s unheard is the room by this measure; in music nothing is more voiced than the room."""

NO_LOUDER_DB: Final = -6.0
"""... but not when it is softer than the room by more than this."""

NEAR_DB: Final = 12.0
"""Frames softer by more than this than the loudest in the window do not count: a struck thing fades by 3 dB a frame."""

NEEDED: Final = 8
"""Voiced frames: 160 ms, one syllable and a half. At 7 crockery opened the gate."""

WINDOW: Final = 16
"""... out of the last so many. 320 ms hold two syllables with a stop between them."""

STEADY: Final = 0.95
"""Frames whose spectra are as alike as this are a tone. All words that open the gate in white noise have less than
0.93; at 0.94 one of twelve in loud music was told of a second late. Tones have 0.97 and more, and a low one beside a
fan that is 10 dB softer 0.95 and more: at 0.96 three of 20 open it."""

LOW_FRAMES: Final = 3
"""So many of the frames that count must be lower than a tone, or rich in overtones: with 4, a 40th of the children was
lost, with 2 one chime of 30 opened it."""

LOW: Final = 0.2
"""How much less a voice repeats after a period that is shorter than any voice's: 19 in 20 frames of speech have 0.24
and more, tones of 400 Hz and more at most 0.06, chimes 0.17."""

PURE: Final = 0.75
"""Share of a frame that is in its two strongest peaks. Beeps have 0.96 and more, warbles 0.86, and 0.74 where they are
hardly loud enough to count; a child's voice of 400 Hz has 0.65 in a quarter of its frames."""

DECISION_S: Final = WINDOW * s_from_frames(FRAME)
"""A voice is told of so long after its ``NEEDED`` frames began, at most."""

ONSET_DB: Final = 2.0
"""Louder by this than all but the loudest fifth of the room (``ROOM_STIRS_SHARE``) is part of what is said, if what is
said goes on: the h of "what", the t of "time"."""

ROOM_STIRS_SHARE: Final = 0.8
"""Rain has drops, a street has cars."""

ONSET_GAP: Final = 12
"""Frames. A silence as long as this within what is said is a pause before it; a stop consonant's is half as long."""

LOOK_BACK_S: Final = 1.5
"""The beginning is looked for so far before the first frame that counts: people have said "I", "um", "what", too short
to be told from a cup."""

EARLIEST_S: Final = DECISION_S + LOOK_BACK_S
"""So far back may the beginning lie that ``hear`` reports."""

ROOM_S: Final = 8.0
"""A noise that begins is the room after half of it; a person who says one thing for longer than that is unheard of."""

_ROOM_FRAMES: Final = int(ROOM_S / s_from_frames(FRAME))
_LOOK_BACK: Final = int(LOOK_BACK_S / s_from_frames(FRAME))


class Room(NamedTuple):
    """What is known of a room: level in dBFS and voicedness of each frame of ``ROOM_S``."""

    levels: npt.NDArray[np.float64]
    voiced: npt.NDArray[np.float64]

    def copy(self) -> Room:
        """One that nothing changes."""
        return Room(self.levels.copy(), self.voiced.copy())


class _Counted(NamedTuple):
    """A frame that may be a voice's."""

    level: float
    low: bool
    """Lower than a tone, or rich in overtones."""
    spectrum: npt.NDArray[np.float64]


class Gate:
    """Feed ``hear`` everything that may be somebody's voice, in order, and ``interrupt`` where something is left
    out."""

    def __init__(self) -> None:
        self._analyser = Analyser()
        # As voiced as music, until it is known: what it sounds like must be known before a soft voice can be told.
        self._room = Room(np.full(_ROOM_FRAMES, FAINTEST_DBFS - MARGIN_DB), np.ones(_ROOM_FRAMES))
        self._room_at = 0
        self._window: list[_Counted | None] = []
        """The last ``WINDOW`` frames; None: no voice."""
        self._sounds: list[bool] = []
        """Of each frame since the last interruption, the newest last, ``_LOOK_BACK`` and ``WINDOW`` at most: whether it
        is more than the room."""
        self.faint_dbfs: float | None = None
        """Level of a voice that the last ``hear`` noticed, too faint to open; None: there was none."""

    @property
    def room(self) -> Room:
        """What is known of the room, to be set again when what was heard since was no part of it."""
        return self._room.copy()

    def remember(self, room: Room) -> None:
        """Know this of the room, and nothing else."""
        self._room = room.copy()

    @property
    def room_dbfs(self) -> float:
        """How loud the room is, between 200 and 3400 Hz."""
        return _ranked(self._room.levels, 0.5)[0]

    def interrupt(self) -> None:
        """Something is left out: what was heard so far is no part of a word that follows. The room stays known."""
        self._analyser.interrupt()
        self._begin_anew()

    def hear(self, samples: npt.NDArray[np.int16]) -> int | None:
        """Whole frames, one or many (ten at once cost a sixth). If somebody has begun to speak, how many samples before
        the end of ``samples`` that was; None: nobody has. Then it begins anew.
        """
        count = samples.size // FRAME
        assert samples.size == count * FRAME, "whole frames only"
        self.faint_dbfs = None
        if count == 0:
            return None
        room_dbfs, stirs_dbfs = _ranked(self._room.levels, 0.5, ROOM_STIRS_SHARE)
        loud_dbfs = max(room_dbfs + MARGIN_DB, FAINTEST_NOTICED_DBFS)
        frames = self._analyser.analyse(samples, min(loud_dbfs, FAINTEST_DBFS))
        counts = frames.voiced > VOICED
        if counts.any():
            counts &= (frames.levels > loud_dbfs) | self._stands_out(frames, room_dbfs)
        sounds = counts | (frames.levels > stirs_dbfs + ONSET_DB)
        began = None
        for number in range(count):
            self._window.append(self._counted(frames, number) if counts[number] else None)
            self._sounds.append(bool(sounds[number]))
            del self._window[:-WINDOW], self._sounds[: -_LOOK_BACK - WINDOW]
            if counts[number] and began is None and (back := self._began()) is not None:
                began = (count - number - 1 + back) * FRAME
        self._learn(frames)
        return began

    def _stands_out(self, frames: Frames, room_dbfs: float) -> npt.NDArray[np.bool_]:
        """Which frames are much more voiced than the room, if not louder."""
        (room_voiced,) = _ranked(self._room.voiced, ROOM_VOICED_SHARE)
        much_voiced = (frames.voiced > room_voiced + VOICED_MARGIN) & (frames.voiced - frames.high > LOW)
        return much_voiced & (frames.levels > max(room_dbfs + NO_LOUDER_DB, FAINTEST_DBFS))

    def _counted(self, frames: Frames, number: int) -> _Counted:
        low = frames.voiced[number] - frames.high[number] > LOW or frames.two_peaks(number) < PURE
        return _Counted(float(frames.levels[number]), bool(low), frames.spectra[number])

    def _began(self) -> int | None:
        """If the window holds a voice that is loud enough, how many frames ago it began, the newest being 1."""
        counted = [frame for frame in self._window if frame is not None]
        near_dbfs = max(frame.level for frame in counted) - NEAR_DB
        near = [frame for frame in counted if frame.level > near_dbfs]
        if len(near) < NEEDED or not _is_voice(near):
            return None
        loud = sum(frame.level > FAINTEST_DBFS for frame in near)
        if loud < NEEDED or counted[-1].level <= FAINTEST_DBFS:
            if loud == 0:
                self.faint_dbfs = near_dbfs + NEAR_DB
            return None
        first = next(index for index, frame in enumerate(self._window) if frame is not None)
        back = len(self._window) - first
        back += self._onset(self._sounds[:-back])
        self._begin_anew()
        return back

    @staticmethod
    def _onset(before: list[bool]) -> int:
        """How many frames of what was heard before the first that counts belong to it."""
        onset = silent = 0
        for distance, sounds in enumerate(reversed(before[-_LOOK_BACK:]), start=1):
            silent = 0 if sounds else silent + 1
            if silent > ONSET_GAP:
                break
            onset = distance if sounds else onset
        return onset

    def _begin_anew(self) -> None:
        self._window.clear()
        self._sounds.clear()

    def _learn(self, frames: Frames) -> None:
        places = (self._room_at + np.arange(frames.levels.size)) % _ROOM_FRAMES
        self._room.levels[places] = frames.levels
        self._room.voiced[places] = frames.voiced
        self._room_at = (self._room_at + frames.levels.size) % _ROOM_FRAMES


def _is_voice(frames: list[_Counted]) -> bool:
    """No beep, warble, chime or hum."""
    if sum(frame.low for frame in frames) < LOW_FRAMES:
        return False
    return steadiness(np.stack([frame.spectrum for frame in frames])) < STEADY


def _ranked(values: npt.NDArray[np.float64], *shares: float) -> list[float]:
    """The values below which those shares of them lie."""
    ranks = [int(share * values.size) for share in shares]
    return [float(value) for value in np.partition(values, ranks)[ranks]]
