"""The microphone, seen from the daemon: from the sound host's blocks to the ring, whatever happens to the card.

Thread: the event loop's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, NoReturn

import numpy as np
import numpy.typing as npt

from appliance.config.settings import MicrophoneSettings
from appliance.soundhost import messages
from appliance.turn.value import Value

from .any_host import MakesHost
from .card_preference import Preference
from .format import SAMPLE_BYTES, WIRE_HZ, frames_from_ms
from .levels import SILENCE_DBFS, audible_dbfs
from .resample import Resampler, to_mono
from .ring import Ring
from .sound_host import SoundHost
from .speech_level import speech_dbfs

if TYPE_CHECKING:
    from .echo import EchoCanceller

LOOK_FRAMES = frames_from_ms(200)
"""Of the newest sound, for whoever asks how loud somebody speaks; an idle ring keeps half of it or more."""

SMALLEST_HOLE_S = 0.020
"""A difference below one block between where the last one ended and the next one begins is the clock's."""

LOOKED_S = 2.0
"""Whoever asks how loud it is asks again within this, or does not look any more."""


class MicrophoneOpened(Value):
    """It hears from now on. The notes are one line each for the journal, mostly empty.

    ``note``: there was a choice between several. ``level_note``: the card's own volume could not be set.
    ``instead_of``: name of the card in whose place it is; empty: in nobody's.
    """

    name: str
    hz: int
    channels: int
    note: str
    level_note: str = ""
    instead_of: str = ""


class MicrophoneGone(Value):
    """There is none now; it is being looked for. ``reason``: for the journal; once for each change of reason."""

    reason: str


class MicrophoneHole(Value):
    """``lost_s`` of what was said right before the newest block are missing, however they were lost.

    Between MicrophoneLost and MicrophoneOpened everything is: that is not reported as a hole.
    """

    lost_s: float


class MicrophoneClosed(Value):
    """It was ``close``d. Nothing is wrong, and nothing is looked for until ``open``."""


MicrophoneEvent = MicrophoneOpened | MicrophoneGone | MicrophoneHole | MicrophoneClosed


def _request(settings: MicrophoneSettings, idle_kept_s: float) -> messages.Open:
    return messages.Open(
        settings.device,
        settings.rate_hz,
        0 if isinstance(settings.channel, str) else settings.channel,
        settings.period_ms,
        settings.capture_percent,
        idle_ms=round(1000 * idle_kept_s),
    )


Samples = npt.NDArray[np.int16]


def _nobody() -> None:
    """``on_audio`` where nobody listens."""


class Microphone:
    """Writes what is heard into ``ring``, mono at ``WIRE_HZ``, with the time at which it was heard.

    ``environment``, ``preference``: as in ``SoundHost``. ``idle_pace_ms``: as in ``wire.Pace``, while nobody attends;
    ``talk_pace_ms``: the same while somebody does. ``idle_kept_s``: so much is kept in the sound host while the pace is
    HOLD, and nothing gets into the ring. ``on_audio`` is called whenever the ring has grown. ``echo``: what is heard
    goes through it first; None: it stays as it is.
    """

    def __init__(
        self,
        settings: MicrophoneSettings,
        ring: Ring,
        on_event: Callable[[MicrophoneEvent], None],
        environment: Mapping[str, str] | None = None,
        preference: Preference | None = None,
        host: MakesHost = SoundHost,
        idle_pace_ms: int = messages.HOLD,
        talk_pace_ms: int = messages.AT_ONCE,
        idle_kept_s: float = 0.0,
        on_audio: Callable[[], None] = _nobody,
        echo: EchoCanceller | None = None,
    ) -> None:
        channel = settings.channel
        self._channel: int | Literal["mix"] = "mix" if isinstance(channel, str) else channel
        self._ring = ring
        self._on_event = on_event
        self._host = host("capture", _request(settings, idle_kept_s), self, environment, preference)
        self._idle_pace_ms, self._talk_pace_ms = idle_pace_ms, talk_pace_ms
        self._attentive = True
        self._awaits_end = False
        self._looked: asyncio.TimerHandle | None = None
        """The end of somebody's looking at the level; None while nobody does."""
        self._resampler = Resampler(WIRE_HZ, WIRE_HZ)
        self._fetched: list[bytes] = []
        """PCM of blocks that follow each other without a gap and are not yet in the ring."""
        self._fetched_s = 0.0
        """When the first of them was heard."""
        self._newest: Samples = np.zeros(0, dtype=np.int16)
        self._next_frame = 0
        """Index that the next block of this device has if nothing is lost."""
        self._next_s: float | None = None
        """When the next block begins if nothing is lost or held back; None before the first after a loss."""
        self.device: messages.Opened | None = None
        """What is open; None while there is no microphone."""
        self.is_closed = False
        """``close`` was called, and ``open`` was not since."""
        self.on_audio = on_audio
        self._echo = echo

    @property
    def process_id(self) -> int | None:
        """Of the sound host; None while there is none."""
        return self._host.process_id

    @property
    def due_s(self) -> float | None:
        """As ``SoundHost.due_s``."""
        return self._host.due_s

    @property
    def level_dbfs(self) -> float:
        """How loud what was written to the ring last is, without offset and hum; SILENCE_DBFS without a microphone, or
        without a sound from it."""
        return SILENCE_DBFS if self.device is None else audible_dbfs(self._newest)

    @property
    def speech_dbfs(self) -> float:
        """How loud somebody speaks, by the last ``LOOK_FRAMES`` in the ring; SILENCE_DBFS while nobody does, and
        without a microphone."""
        if self.device is None:
            return SILENCE_DBFS
        ring = self._ring
        first = max(ring.end - LOOK_FRAMES, ring.start)
        return speech_dbfs(ring.read(first, ring.end - first))

    @property
    def attentive(self) -> bool:
        """The ring follows as ``talk_pace_ms`` says, as a person who speaks needs it. Otherwise as ``idle_pace_ms``
        says, which saves most of what an idle box costs; attended to, the ring has what was held a moment later."""
        return self._attentive

    def attend(self, wanted: bool) -> None:
        """See ``attentive``."""
        self._attentive = wanted
        self._keep_pace()

    @property
    def awaits_end(self) -> bool:
        """Somebody has stopped speaking, and the last of it is wanted: the ring is never more than a block behind."""
        return self._awaits_end

    def await_end(self, wanted: bool) -> None:
        """See ``awaits_end``."""
        self._awaits_end = wanted
        self._keep_pace()

    def _keep_pace(self) -> None:
        if not self._attentive and self._looked is None:
            self._host.keep_pace(self._idle_pace_ms)
        else:
            self._host.keep_pace(messages.AT_ONCE if self._awaits_end else self._talk_pace_ms)

    def look(self) -> None:
        """Somebody wants to know how loud it is: attended to for LOOKED_S, so that whoever asks again is told anew."""
        if self._looked is not None:
            self._looked.cancel()
        self._looked = asyncio.get_running_loop().call_later(LOOKED_S, self._look_away)
        self._keep_pace()

    def _look_away(self) -> None:
        self._looked = None
        self._keep_pace()

    def close(self) -> None:
        """Mute: the capture stream is closed and its process ended, not only ignored. Harmless when repeated."""
        if self.is_closed:
            return
        self._write()
        self.is_closed = True
        self.device, self._fetched, self._next_s = None, [], None
        self._host.pause()
        self._on_event(MicrophoneClosed())

    def open(self) -> None:
        """The end of ``close``: MicrophoneOpened, or MicrophoneLost, will follow."""
        self.is_closed = False
        self._host.resume()

    async def run(self) -> NoReturn:
        """Listen until cancelled."""
        try:
            await self._host.run()
        finally:
            if self._looked is not None:
                self._looked.cancel()

    # ------------------------------------------------------------ called by the sound host

    def opened(self, opened: messages.Opened) -> None:
        """A device runs from now on."""
        self.device = opened
        self._fetched = []
        self._resampler = Resampler(opened.hz, WIRE_HZ)
        self._next_frame = 0
        before = self._host.instead_of
        shape = (opened.name, opened.hz, opened.channels, opened.note, opened.level_note)
        self._on_event(MicrophoneOpened(*shape, "" if before is None else before.name))

    def lost(self, reason: str) -> None:
        """There is none now."""
        self._write()
        # Who was told that there is none knows that nothing was heard; a hole would end the first turn that follows.
        self.device = self._next_s = None
        self._on_event(MicrophoneGone(reason))

    def changes(self) -> None:
        """It is closed, to be opened on a better card."""
        self._write()
        self.device = self._next_s = None

    def received(self, message: messages.FromDevice) -> None:
        """One block."""
        if self.device is None or not isinstance(message, messages.Block):
            return
        hz = self.device.hz
        lost_s = (message.first_frame - self._next_frame) / hz
        if message.first_frame != self._next_frame:
            self._write()
        elif self._next_s is not None and message.first_s - self._next_s >= SMALLEST_HOLE_S:
            # What lies between was held back for nobody: no loss, but what the filter remembers is of another time.
            self._write()
            self._resampler.reset()
        if not self._fetched:
            self._fetched_s = message.first_s
        self._fetched.append(message.pcm)
        frames = len(message.pcm) // (SAMPLE_BYTES * self.device.channels)
        self._next_frame = message.first_frame + frames
        self._next_s = message.first_s + frames / hz
        if lost_s >= SMALLEST_HOLE_S:
            self._write()
            self._on_event(MicrophoneHole(lost_s))

    def fetched(self) -> None:
        """Write what was fetched to the ring, at once: ten blocks together take half of what each alone would."""
        if self._echo is not None:
            # What came from the speaker's host meanwhile sounded before this, and may not have been looked at yet.
            self._echo.catch_up()
        self._write()

    def _write(self) -> None:
        if self.device is None or not self._fetched:
            return
        samples: Samples = np.frombuffer(b"".join(self._fetched), dtype=np.int16)
        self._fetched = []
        channels = self.device.channels
        mono = to_mono(samples, channels, 1 if channels == 1 else self._channel)
        self._hear(self._resampler.process(mono), self._fetched_s - self._resampler.delay_s)

    def _hear(self, samples: Samples, first_s: float) -> None:
        """``samples`` at WIRE_HZ, heard from ``first_s`` on."""
        if self._echo is not None:
            samples, first_s = self._echo.process(samples, first_s)
        self._newest = samples
        self._ring.write(samples, first_s)
        self.on_audio()
