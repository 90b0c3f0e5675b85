"""Takes what the speaker plays out of what the microphone hears, so that a person may talk over an answer.

::

    playback host ── Written ──► Reference ──┐ by time
    capture host ──► resampler ─────────────►├─► canceller ──► ring

The canceller is WebRTC's AEC3 (the extra ``aec``: pywebrtc-audio), which finds the echo's delay itself, up to a quarter
of a second, as long as that stays the same. Two cards have two clocks, so the place of one sound in the other is known
by time, and followed so slowly that the canceller can follow, too. It runs only while something sounds, and for the
room's echo of that; what it knows of the room it keeps. No I/O; the event loop's thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from appliance.errors import UnavailableError

from .format import WIRE_HZ, frames_from_s, s_from_frames
from .resample import Resampler

Samples = npt.NDArray[np.int16]

Cancel = Callable[[Samples, Samples], Samples]
"""What the microphone heard and what was played meanwhile, whole FRAMEs of both, to what is left of the former."""

FRAME: Final = frames_from_s(0.010)
"""The canceller works in pieces of 10 ms."""

DELAY_FRAMES: Final = 223
"""So much later comes out what went in (pywebrtc-audio 0.2.0 at 24 kHz, measured by correlation: 9.3 ms)."""

PRIMING_FRAMES: Final = 2 * FRAME
"""Given to the canceller again before it begins, for what it still holds is of the last time."""

KEPT_S: Final = 4.0
"""Of what was played: the microphone's sound comes in pieces, and late where the loop was held up."""

LAG_S: Final = 0.020
"""So much later than it was written is a sound taken for played: what was written in the last moment may not have been
told yet (``soundhost/written_sound.py``). It must not have reached the room by then; a device's buffer, mostly 30 ms,
sees to that, and where it is shorter, its length is the lag."""

TAIL_S: Final = 0.8
"""The canceller runs on for so long after the last sound: the buffer, the echo of a bare room, and LAG_S."""

FOLLOWED: Final = 1 / 2_400
"""The place of the one sound in the other moves by at most one sample in 100 ms: 417 ppm. Two quartzes are apart by 200
at most; the canceller hears nothing of a step of one sample."""

ASTRAY_FRAMES: Final = frames_from_s(0.010)
"""Further off than this it is a new place: a lost block, another card. Twice what a read that is late moves it by."""

SETTLED_S: Final = 3.0
"""Of sound until the canceller is relied upon, after its start and at a new place. It leaks in the first two seconds
(measured in made rooms: 16 to 26 dB at first, 30 to 46 afterwards)."""

PASSED_DB: Final = 10.0
HELD_PIECES: Final = 10
"""What a person says comes through the canceller within so much of the loudest that was heard in the last so many
pieces. What is left of an echo lies further below; in a bare room its end does not, which outlasts the canceller's
model of the room, but it is that far below the sound that it is the end of."""

JUDGED_FRAMES: Final = frames_from_s(0.020)
PASSING, OF_JUDGED = 5, 7
"""So many pieces of so many in a row make a voice. Measured in the rooms of ``tests/audio/test_echo.py``: in 4 min of
replies no such seven where nobody spoke, and without HELD_PIECES 481; of 32 questions as loud as the echo all noticed,
half of them within 0.26 s, of 32 at half its loudness 23."""

JUDGED_S: Final = 3.0
"""So long is known what passed."""

FLOOR_DBFS: Final = -60.0
"""Below this there is nothing that could have passed: a quiet room, hiss."""

ROOM_DB: Final = 10.0
ROOM_PIECES, ROOM_SHARE = 40, 0.2
"""Nor what is hardly louder than the room: a fan passes whole in each pause of an answer. The room is the softest fifth
of what was heard last while nothing sounded, in the pieces in which the microphone's sound comes, some 60 to 200 ms."""


class Judged(NamedTuple):
    """One piece of JUDGED_FRAMES: when it was heard, and that a sound came through the canceller in it."""

    at_s: float
    passed: bool


class Reference:
    """What the speaker was given, by frame at WIRE_HZ, and when. Zeros where nothing is known."""

    def __init__(self) -> None:
        self._samples: Samples = np.zeros(frames_from_s(KEPT_S), dtype=np.int16)
        self._hz = WIRE_HZ
        self._resampler = Resampler(WIRE_HZ, WIRE_HZ)
        self._anchor: tuple[int, float] | None = None
        """A frame and its time; None before the first."""
        self._next_frame = -1
        """Of the device: what follows the last piece without a gap."""
        self.end = 0
        """The frame after the last that is known."""
        self.sounding_until = 0
        """The frame after the last that was no silence."""

    def opened(self, hz: int) -> None:
        """Another device: its frames are counted anew."""
        self._hz = hz
        self._resampler = Resampler(hz, WIRE_HZ)
        self._samples[:] = 0
        self._anchor, self._next_frame, self.end, self.sounding_until = None, -1, 0, 0

    def written(self, first_s: float, first_frame: int, pcm: bytes) -> None:
        """``pcm``, mono int16, was given to the device as its frame ``first_frame``, which counts silence too."""
        device: Samples = np.frombuffer(pcm, dtype=np.int16)
        if first_frame != self._next_frame:
            self._resampler.reset()
            self._forget(round(first_frame * WIRE_HZ / self._hz))
        self._anchor = (round(first_frame * WIRE_HZ / self._hz), first_s)
        self._next_frame = first_frame + device.size
        samples = self._resampler.process(device)
        if samples.size:
            self._samples[np.arange(self.end, self.end + samples.size) % self._samples.size] = samples
            self.end += samples.size
            if samples.any():
                self.sounding_until = self.end

    def frame_at(self, time_s: float) -> int | None:
        """The frame that was written then, by the newest piece and the nominal rate; None: nothing was written yet."""
        if self._anchor is None:
            return None
        frame, at_s = self._anchor
        return frame + round((time_s - at_s) * WIRE_HZ)

    def read(self, first: int, frames: int) -> Samples:
        """``frames`` from ``first`` on."""
        at = np.arange(first, first + frames)
        found: Samples = self._samples[at % self._samples.size]
        found[(at >= self.end) | (at < self.end - self._samples.size)] = 0
        return found

    def _forget(self, until: int) -> None:
        """What lies between was silence."""
        gap = min(max(until - self.end, 0), self._samples.size)
        self._samples[np.arange(until - gap, until) % self._samples.size] = 0
        self.end = until


class EchoCanceller:
    """One box's. ``cancel``: what does it, with a memory of its own."""

    def __init__(self, cancel: Cancel) -> None:
        self._cancel = cancel
        self._catch_up: Callable[[], None] | None = None
        self.reference = Reference()
        self._pending: Samples = np.zeros(0, dtype=np.int16)
        """Of the microphone, less than a FRAME."""
        self._before: Samples = np.zeros(PRIMING_FRAMES, dtype=np.int16)
        """What was heard last, as it came in."""
        self._heard = 0
        """Frames of the microphone so far, without what is pending."""
        self._place: int | None = None
        """Frame of the reference minus that of the microphone; None: nothing was played yet."""
        self._owed = 0.0
        """Of a step of ``_place``."""
        self._lag_s = LAG_S
        self._runs = False
        self._sounded = 0
        """Frames in which something sounded since the place was new; the tails do not count, for short tones would
        settle it by theirs."""
        self._judged: deque[Judged] = deque(maxlen=round(JUDGED_S * WIRE_HZ / JUDGED_FRAMES))
        self._levels_dbfs: deque[float] = deque(maxlen=HELD_PIECES)
        """Of the pieces that were heard last."""
        self._heard_power = self._left_power = 0.0
        """Since it settled, while something sounded; samples squared."""
        self._room_dbfs: deque[float] = deque(maxlen=ROOM_PIECES)
        """The same while nothing sounds."""

    @property
    def settled(self) -> bool:
        """What is left of an echo is no more to be taken for a voice."""
        return self._sounded >= frames_from_s(SETTLED_S)

    @property
    def removed_db(self) -> float | None:
        """How much of what was heard while something sounded was taken out, since it settled; None: it has not. What a
        person said over it counts as left."""
        if not self.settled or not self._heard_power or not self._left_power:
            return None
        return float(10 * np.log10(self._heard_power / self._left_power))

    def follow(self, catch_up: Callable[[], None]) -> None:
        """``catch_up``: makes that known to ``reference`` which the speaker's host has said by now."""
        self._catch_up = catch_up

    def catch_up(self) -> None:
        """Before ``process``: both hosts may have spoken since the loop looked, and it may look at the microphone's
        first."""
        if self._catch_up is not None:
            self._catch_up()

    def opened(self, hz: int, buffer_s: float) -> None:
        """Another speaker, at that rate and with that buffer: everything is to be learned again."""
        self.reference.opened(hz)
        self._lag_s = min(LAG_S, buffer_s)
        self._place = None
        self._unsettle()

    def process(self, samples: Samples, first_s: float) -> tuple[Samples, float]:
        """The next ``samples`` of the microphone at WIRE_HZ, heard from ``first_s`` on: what is left of them, and from
        when on. Mostly as many; whole FRAMEs, always DELAY_FRAMES late, whether something sounds or not."""
        first_s -= s_from_frames(self._pending.size)
        heard = np.concatenate((self._pending, samples))
        count = heard.size // FRAME * FRAME
        near, self._pending = heard[:count], heard[count:]
        if not count:
            return near, first_s
        self._follow(first_s, count)
        first = self._heard + (self._place or 0)
        sounds = self._place is not None and first < self.reference.sounding_until + frames_from_s(TAIL_S)
        if sounds:
            far = self.reference.read(first, count)
            if not self._runs:
                self._cancel(self._before, self.reference.read(first - PRIMING_FRAMES, PRIMING_FRAMES))
            left = self._cancel(near, far)
            if first < self.reference.sounding_until:
                self._sounded += count
            if self.settled:
                self._heard_power += _power(near)
                self._left_power += _power(left)
            self._judge(near, left, first_s - s_from_frames(DELAY_FRAMES))
        else:
            left = np.concatenate((self._before[-DELAY_FRAMES:], near))[:count]
            self._room_dbfs.append(_dbfs(near))
        self._runs = sounds
        self._before = np.concatenate((self._before, near))[-PRIMING_FRAMES:]
        self._heard += count
        return left, first_s - s_from_frames(DELAY_FRAMES)

    def passed_since(self, time_s: float) -> bool | None:
        """Something came through since then that is more than what is left of an echo: a voice, or a noise. None:
        nothing sounded, so that it would be nobody's echo."""
        since = [each.passed for each in self._judged if each.at_s >= time_s - s_from_frames(JUDGED_FRAMES)]
        if not since:
            return None
        return any(sum(since[at : at + OF_JUDGED]) >= PASSING for at in range(len(since)))

    def _follow(self, first_s: float, count: int) -> None:
        """Move the place towards where it is by time."""
        at = self.reference.frame_at(first_s - self._lag_s)
        if at is None:
            return
        off = at - self._heard - (self._place or 0)
        if self._place is None or abs(off) > ASTRAY_FRAMES:
            self._place, self._owed = at - self._heard, 0.0
            self._unsettle()
            return
        self._owed = min(self._owed + count * FOLLOWED, 1.0 + count * FOLLOWED)
        step = max(-int(self._owed), min(int(self._owed), off))
        self._place += step
        self._owed -= abs(step)

    def _unsettle(self) -> None:
        self._sounded = 0
        self._heard_power = self._left_power = 0.0

    def _judge(self, near: Samples, left: Samples, first_s: float) -> None:
        """Note what came through. ``left`` is DELAY_FRAMES late, so that it is compared with what was heard then."""
        heard = np.concatenate((self._before, near))[PRIMING_FRAMES - DELAY_FRAMES :][: near.size]
        room = sorted(self._room_dbfs)
        floor_dbfs = max(FLOOR_DBFS, room[int(ROOM_SHARE * len(room))] + ROOM_DB if room else FLOOR_DBFS)
        for at in range(0, near.size - JUDGED_FRAMES + 1, JUDGED_FRAMES):
            part = slice(at, at + JUDGED_FRAMES)
            self._levels_dbfs.append(_dbfs(heard[part]))
            passed = _dbfs(left[part]) > max(floor_dbfs, max(self._levels_dbfs) - PASSED_DB)
            self._judged.append(Judged(first_s + s_from_frames(at), passed))


def _power(samples: Samples) -> float:
    return float(np.sum(samples.astype(np.float32) ** 2))


def _dbfs(samples: Samples) -> float:
    return float(10 * np.log10(_power(samples) / samples.size / 32768**2 + 1e-12))


def webrtc() -> Cancel:
    """AEC3, without its noise suppression, which would cost intelligibility. Raises UnavailableError without it."""
    try:
        from pywebrtc_audio import AudioProcessor
    except ImportError:
        raise UnavailableError("the echo canceller is not installed (the extra aec: pywebrtc-audio)") from None
    cancel: Cancel = AudioProcessor(sample_rate=WIRE_HZ, echo_cancellation=True).process
    return cancel
