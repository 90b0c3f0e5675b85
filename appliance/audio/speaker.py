"""The speaker, seen from the daemon: from the player's queue to the sound host, as little ahead as is safe.

Thread: the event loop's.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from appliance.config.settings import SpeakerSettings
from appliance.soundhost import messages
from appliance.soundhost.output_queue import FADE_S
from appliance.turn.value import Value

from . import player_events
from .any_host import MakesHost
from .card_preference import Preference
from .format import WIRE_HZ, frames_from_ms
from .player import Player
from .resample import Resampler
from .sound_host import SoundHost

if TYPE_CHECKING:
    from .echo import EchoCanceller

LEAST_MS = 5
"""Less room than this in the host's queue waits for the next report: a message for each sample would cost more than it
brings forward."""

MESSAGES_PER_S = 10
"""No message to the host is longer than its share of a second: at 96 kHz a fifth of ``wire.LARGEST_BYTES``."""

CREDIT_PERIODS = 3
"""On its way to a card at least, whatever ``queue_ms`` says: one that is being written, one that is next, and one for
the way of a report and its answer. It counts for cards whose periods are longer than a third of ``queue_ms``."""

REST_AFTER_S = 10.0
"""Without a sound, and without a turn, before the device is stopped (decision 19). Writing silence is most of what an
idle speaker costs; started again it sounds as soon as one that runs, for its buffer is filled in 0.2 ms."""

RESUME_MS = 200
"""When a host is replaced, and after a pause, a reply goes on this long before the last sample written (decision
22)."""


class SpeakerOpened(Value):
    """It can be heard from now on. The notes are one line each for the journal, mostly empty.

    ``note``: there was a choice between several. ``latency_s``: from the host to the air, as far as ALSA knows: the
    device's buffer. ``level_note``: the card's own volume could not be set. ``delay_note``: it stops later than usual.
    ``instead_of``: name of the card in whose place it is; empty: in nobody's.
    """

    name: str
    hz: int
    channels: int
    note: str
    latency_s: float
    level_note: str = ""
    delay_note: str = ""
    instead_of: str = ""


class SpeakerLost(Value):
    """There is none now; it is being looked for. ``reason``: for the journal; once for each change of reason."""

    reason: str


class FirstSampleOut(Value):
    """The first sample of a reply was written at ``written_s`` and leaves the speaker at ``at_s``."""

    response_id: str
    written_s: float
    at_s: float


class LastSampleOut(Value):
    """All of a reply that has ended was written; its last sample leaves the speaker at ``at_s``, a moment from now."""

    response_id: str
    at_s: float


class Underrun(Value):
    """Sound broke off. ``response_id``: a reply that arrives too slowly; None: this machine was too slow.

    ``count``: of that kind, since the start.
    """

    response_id: str | None
    count: int


SpeakerEvent = SpeakerOpened | SpeakerLost | FirstSampleOut | LastSampleOut | Underrun | player_events.ReplyTruncated


def _request(settings: SpeakerSettings, tells_sound: bool) -> messages.Open:
    rest_ms = 0 if settings.keep_open else round(1000 * REST_AFTER_S)
    shape = (settings.device, settings.rate_hz, 0, settings.period_ms, settings.mixer_percent)
    return messages.Open(*shape, idle_ms=rest_ms, tells_sound=tells_sound)


class Speaker:
    """Plays what ``player`` gives. It owns the player's side marked "emptying", and watches it.

    ``environment``, ``preference``: as in ``SoundHost``. ``echo``: is told what sounds; None: nobody wants to know.
    """

    def __init__(
        self,
        settings: SpeakerSettings,
        player: Player,
        on_event: Callable[[SpeakerEvent], None],
        environment: Mapping[str, str] | None = None,
        preference: Preference | None = None,
        host: MakesHost = SoundHost,
        echo: EchoCanceller | None = None,
    ) -> None:
        self._queue_ms = settings.queue_ms
        self._player = player
        self._on_event = on_event
        self._echo = echo
        self._host = host("playback", _request(settings, echo is not None), self, environment, preference)
        if echo is not None:
            echo.follow(self._host.catch_up)
        self._resampler = Resampler(WIRE_HZ, WIRE_HZ)
        self._tail = False
        """The resampler holds the end of what it was given."""
        self._epoch = 0
        self._sent = 0
        """Frames sent to the host in this epoch, at the device's rate."""
        self._written = 0
        """Of those, the device has been given."""
        self._written_at_s = 0.0
        """When the last of those were."""
        self._marks: deque[tuple[int, int]] = deque([(0, 0)])
        """(frames sent, the player's ``taken_frames`` then), the first of them behind us."""
        self._queue_end_s = 0.0
        """When the last sample sent is written."""
        self._host_underruns = 0
        """As this device's host counts them."""
        self.underruns = 0
        """Times that sound broke off because this machine was too slow, since the start."""
        self.device: messages.Opened | None = None
        """What is open; None while there is no speaker."""
        player.watch(self._feed)

    @property
    def process_id(self) -> int | None:
        """Of the sound host; None while there is none."""
        return self._host.process_id

    @property
    def attentive(self) -> bool:
        """The device runs. Otherwise it may be stopped, until something is to be heard or somebody attends: soon
        enough is when a turn begins."""
        return self._host.pace == messages.AT_ONCE

    def attend(self, wanted: bool) -> None:
        """See ``attentive``."""
        self._host.keep_pace(messages.AT_ONCE if wanted else messages.HOLD)

    @property
    def due_s(self) -> float | None:
        """As ``SoundHost.due_s``."""
        return self._host.due_s

    @property
    def latency_s(self) -> float:
        """From the host's writing to the air, as far as ALSA knows; 0 without a speaker."""
        return 0.0 if self.device is None else self.device.buffer_s

    @property
    def silence_s(self) -> float:
        """From a flush until nothing more is heard, at most: the block that is being written and the device's buffer.

        0 without a speaker.
        """
        return 0.0 if self.device is None else self.device.period_frames / self.device.hz + self.device.buffer_s

    @property
    def audible_until_s(self) -> float:
        """Monotonic time at which the last sample sent so far leaves, or left, the speaker; 0 before the first.

        Replies and earcons alike; the silence that the host writes in between does not count.
        """
        return self._queue_end_s + self.latency_s if self._queue_end_s else 0.0

    def heard_s(self, response_id: str) -> float:
        """Seconds of that reply, from its start, that have left the speaker by now; at most 100 ms too few, what the
        host has played since its last report."""
        under_way_s = max(self.latency_s - (time.monotonic() - self._written_at_s), 0.0)
        return max(self._player.written_s(response_id) - under_way_s, 0.0)

    async def run(self) -> NoReturn:
        """Play until cancelled."""
        await self._host.run()

    def flush(self) -> None:
        """Silence, at once: everything unplayed is forgotten, also by the player, and what sounds fades out in 5 ms."""
        self._cut()
        self._player.flush()

    def pause(self) -> None:
        """Silence, at once, with a fade of 5 ms; when the player may ``play`` again the reply goes on RESUME_MS
        before."""
        self._player.hold()
        self._cut()
        self._player.rewind(RESUME_MS)

    def drop(self, response_id: str) -> None:
        """Forget one reply, sounding or not; others go on."""
        if self._player.drop(response_id):
            self._cut()
            self._player.rewind(0)

    def hush(self) -> None:
        """Earcons and clips end: what sounds fades out in 5 ms. A reply goes on, or starts all the sooner."""
        if self._player.hush():
            self._cut()
            self._player.rewind(0)

    # ------------------------------------------------------------ called by the sound host

    def opened(self, opened: messages.Opened) -> None:
        """A device runs from now on."""
        self.device = opened
        if self._echo is not None:
            self._echo.opened(opened.hz, opened.buffer_s)
        self._resampler = Resampler(WIRE_HZ, opened.hz)
        self._host_underruns = 0
        self._epoch = 0
        self._restart()
        self._player.follow(opened.period_frames / opened.hz)
        shape = (opened.name, opened.hz, opened.channels, opened.note, opened.buffer_s, opened.level_note)
        before = self._host.instead_of
        self._on_event(SpeakerOpened(*shape, self._delay_note(), "" if before is None else before.name))
        self._player.rewind(RESUME_MS)

    def lost(self, reason: str) -> None:
        """There is none now. The player keeps the replies it holds; a tone or a clip would say later what is no more
        so."""
        self._player.hush()
        self._queue_end_s = min(self._queue_end_s, time.monotonic())
        self.device = None
        self._on_event(SpeakerLost(reason))

    def changes(self) -> None:
        """It is closed, to be opened on a better card. What the player holds waits for that."""
        self._queue_end_s = min(self._queue_end_s, time.monotonic())
        self.device = None

    def received(self, message: messages.FromDevice) -> None:
        """How far the host is, or what it has played."""
        if isinstance(message, messages.Written):
            if self._echo is not None and self.device is not None:
                self._echo.reference.written(*message)
            return
        if self.device is None or not isinstance(message, messages.Played):
            return
        if message.underruns != self._host_underruns:
            self.underruns += message.underruns - self._host_underruns
            self._host_underruns = message.underruns
            self._on_event(Underrun(None, self.underruns))
        if message.epoch != self._epoch:
            return
        if message.written_frames > self._written:
            self._written, self._written_at_s = message.written_frames, message.time_s
            self._queue_end_s = message.time_s + (self._sent - self._written) / self.device.hz
            self._player.played(self._taken_by(self._written))
        self._pass_on(message.time_s)
        self._feed()

    def fetched(self) -> None:
        """Nothing is left to be done: each report was dealt with at once."""

    # ------------------------------------------------------------ inside

    def _feed(self) -> None:
        """Send the host as much as there is and it may have."""
        if self.device is None:
            return
        hz = self.device.hz
        credit = max(frames_from_ms(self._queue_ms, hz), CREDIT_PERIODS * self.device.period_frames)
        while (room := credit - (self._sent - self._written)) >= frames_from_ms(LEAST_MS, hz):
            # In parts: a message has its bound, and three periods of a slow card may have more.
            wanted = min(room, hz // MESSAGES_PER_S) * WIRE_HZ // hz
            taken = self._player.take(wanted)
            samples = self._resampler.process(taken)
            self._tail = self._tail or taken.size > 0
            if self._tail and self._player.silent:
                samples = np.concatenate((samples, self._resampler.flush()))
                self._tail = False
            if samples.size:
                self._send(samples.tobytes(), samples.size, hz)
            if taken.size < wanted:
                break
        self._pass_on(time.monotonic())

    def _delay_note(self) -> str:
        """What the device's period and buffer cost; empty on a usual card."""
        if self.device is None or self.silence_s <= messages.SILENCE_S:
            return ""
        period_s = self.device.period_frames / self.device.hz
        shape = f"blocks of {1000 * period_s:.0f} ms and a buffer of {1000 * self.device.buffer_s:.0f} ms"
        late = f"an answer is heard for up to {1000 * self.silence_s:.0f} ms after the press that ends it"
        return f'"{self.device.name}" has {shape}: {late}, instead of {1000 * messages.SILENCE_S:.0f}'

    def _send(self, pcm: bytes, frames: int, hz: int) -> None:
        assert self.device is not None
        self._host.send(messages.Samples(self._epoch, pcm))
        self._sent += frames
        self._marks.append((self._sent, self._player.taken_frames))
        # Into an idle host's next block, or behind what is queued already.
        begins_s = max(self._queue_end_s, time.monotonic() + self.device.period_frames / hz)
        self._queue_end_s = begins_s + frames / hz

    def _taken_by(self, written: int) -> int:
        """How many of the player's frames ``written`` frames of the device are: exact at each mark, linear between."""
        marks = self._marks
        while len(marks) > 1 and marks[1][0] <= written:
            marks.popleft()
        sent, taken = marks[0]
        if len(marks) == 1:
            return taken
        next_sent, next_taken = marks[1]
        return taken + (written - sent) * (next_taken - taken) // (next_sent - sent)

    def _pass_on(self, written_s: float) -> None:
        """Tell the daemon what has become of the replies by ``written_s``."""
        for event in self._player.take_events():
            match event:
                case player_events.ReplyStarted(response_id):
                    self._on_event(FirstSampleOut(response_id, written_s, written_s + self.latency_s))
                case player_events.ReplyFinished(response_id):
                    self._on_event(LastSampleOut(response_id, self.audible_until_s))
                case player_events.ReplyUnderran(response_id, count):
                    self._on_event(Underrun(response_id, count))
                case player_events.ReplyTruncated():
                    self._on_event(event)

    def _cut(self) -> None:
        """Make the host forget its queue."""
        self._epoch += 1
        self._host.send(messages.Flush(self._epoch))
        self._restart()
        if self.device is not None:
            block_s = self.device.period_frames / self.device.hz
            self._queue_end_s = min(self._queue_end_s, time.monotonic() + block_s + FADE_S)

    def _restart(self) -> None:
        """Counts begin at 0 with every epoch."""
        self._sent = self._written = 0
        self._marks = deque([(0, 0)])
        self._resampler.reset()
        self._tail = False
