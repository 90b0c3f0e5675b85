"""What the speaker plays next: replies in order, with fades and gaps handled, earcons on top. Queue logic only, no I/O.

::

    append(id, pcm) ──► replies, held whole ──► gate (play, hold) ──► prebuffer ──┐
    earcon(samples) ──────────────────────────────────────────────────────────────┴─► take ──► host ──► played

The daemon fills it, the speaker empties it. Everything is int16 mono at ``WIRE_HZ``; all methods belong to the thread
of the event loop and return at once.

How the speaker uses it:

- whenever ``watch`` tells and every report of the host: first ``played`` (so that the player knows how much is
  still on its way), then ``take`` as many frames as the host may be given, then ``take_events``;
- ``take`` may return fewer frames than asked, also none, amid a reply: the next ones have not arrived, and the player
  waits for them while enough is on its way to the card. Before that runs out it fades out and counts an underrun, so
  ask again at every report;
- when ``silent`` is true after a ``take``, what was taken ended at zero: a resampler behind it may be flushed;
- ``played`` counts from the last ``flush`` or ``rewind``, in frames *as taken*. A speaker that resamples keeps pairs
  of (its own count, ``taken_frames``); were it to convert by the ratio, rounding could keep the last frame from ever
  counting.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from appliance.turn.value import Value

from .format import frames_from_ms, frames_from_s, s_from_frames
from .levels import fade_in
from .mixer import Mixer
from .player_events import PlayerEvent, ReplyFinished, ReplyStarted, ReplyTruncated, ReplyUnderran
from .reply import ReplyBuffer

FADE_FRAMES = frames_from_ms(5)
"""Fade at both ends of every stretch of sound, as decision 19 limits the host's own. It is one period of 200 Hz:
shorter begins to tick on a loud vowel, longer eats consonants."""

LOW_WATER_PERIODS = 2
LOW_WATER_FRAMES = frames_from_ms(20)
"""With no more than the longer of both on its way to the card an underrun is declared, so that the faded end still
reaches it in time from a busy loop: 20 ms are two of the host's usual periods."""

REWIND_KEPT_FRAMES = frames_from_s(1)
"""Held of a reply behind the last sample written. Decision 22 goes back 200 ms when a host is replaced."""

LONGEST_PREBUFFER_FRAMES = frames_from_s(2)
"""From its second gap on each doubles what a reply gathers before it goes on, up to this: a line that is slower than
speech then gives phrases and pauses instead of chopped syllables (at 200 kbit/s: 5 gaps in 2 s of answer instead of 19,
measured)."""

REMEMBERED_REPLIES = 64
"""Replies that are over are remembered by id, so that a late delta does not start them again. A turn has one or two."""


class _Span(Value):
    """Frames [start, end) of what was taken hold ``reply`` from its ``position`` on."""

    start: int
    end: int
    reply: ReplyBuffer
    position: int


def _nobody() -> None:
    """Who is told before a speaker listens."""


class Player:
    """The queue between the service's replies and the card.

    ``prebuffer_ms``: of a reply before it starts, and after its first underrun; from the second on twice as much each
    time. Less than 30 counts as 30, for with less than the low water mark and two fades every reply would begin with an
    underrun; a card of long periods adds to it what it adds to that mark. ``reply_buffer_s``: unplayed audio held, all
    replies together. ``volume``: 0 to 100 (``levels.volume_gain``).
    """

    def __init__(self, prebuffer_ms: float = 60, reply_buffer_s: float = 300, volume: float = 100) -> None:
        self._prebuffer_ms = prebuffer_ms
        self._low_water = self._prebuffer = 0
        self.follow(period_s=0.0)
        self._bound = frames_from_s(reply_buffer_s)
        self._mixer = Mixer(volume)
        self._replies: dict[str, ReplyBuffer] = {}
        self._over: dict[str, int] = {}
        """Frames written of the replies that are over, the longest over first."""
        self._open = False
        self._sounding = False
        """The reply of ``_current`` is in a stretch of sound: its next sample must follow the last one taken."""
        self._spans: deque[_Span] = deque()
        self._taken = 0
        self._played = 0
        self._earcons_end = 0
        """Frames taken when the last earcon was: one whose end is not played can still be cut."""
        self._events: list[PlayerEvent] = []
        self.underruns = 0
        """Gaps inside replies, since the player was made."""
        self.dropped_frames = 0
        """Frames not kept because ``reply_buffer_s`` was full, since the player was made."""
        self._on_change: Callable[[], None] = _nobody

    def watch(self, on_change: Callable[[], None]) -> None:
        """``on_change`` is called, from now on and nothing else, after anything the daemon did that may give ``take``
        or ``take_events`` something new."""
        self._on_change = on_change

    # ------------------------------------------------------------ filling: the daemon

    def append(self, response_id: str, pcm: bytes) -> int:
        """Add audio to the end of a reply, which begins with its first audio and queues behind those before it.

        ``pcm``: int16 little-endian mono at ``WIRE_HZ``, whole samples (else ValueError), any length; kept without a
        copy. Returns the frames kept: 0 for a reply that was dropped or flushed or is drained, fewer than given where
        ``reply_buffer_s`` ends. From there on nothing of that reply is kept, for a hole is worse than an end.
        """
        samples: npt.NDArray[np.int16] = np.frombuffer(pcm, dtype="<i2")
        if response_id in self._over:
            return 0
        reply = self._replies.get(response_id)
        if reply is None:
            reply = self._replies[response_id] = ReplyBuffer(response_id)
        room = 0 if reply.truncated else max(self._bound - self.held_frames, 0)
        if samples.size > room:
            self.dropped_frames += samples.size - room
            samples = samples[:room]
            if not reply.truncated:
                reply.truncated = True
                self._events.append(ReplyTruncated(response_id))
        reply.add(samples)
        self._on_change()
        return samples.size

    def end(self, response_id: str) -> None:
        """All of the reply has arrived: what is held of it plays out, however short. Unknown ids are ignored."""
        reply = self._replies.get(response_id)
        if reply is not None:
            reply.ended = True
            self._settle(reply)
            self._on_change()

    def play(self) -> None:
        """Open the gate: replies, present and future, may sound. Closed at first, and by ``hold`` and ``flush``."""
        self._open = True
        self._on_change()

    def hold(self) -> None:
        """Close the gate: replies are kept and do not start; one that sounds fades out, to go on there at ``play``."""
        self._open = False
        self._on_change()

    def earcon(self, samples: npt.NDArray[np.int16]) -> None:
        """Play ``samples``, a tone or a clip, whose edges are faded already: on a reply that sounds, ahead of one
        that does not, which waits for its end.

        The gate does not matter. A second earcon follows the first.
        """
        self._mixer.add(samples)
        self._on_change()

    @property
    def volume(self) -> float:
        """0 to 100. A change is gradual over 20 ms from the next sample taken, and immediate in silence."""
        return self._mixer.volume

    def set_volume(self, percent: float) -> None:
        """See ``volume``."""
        self._mixer.set_volume(percent)

    # ------------------------------------------------------------ taking back: through the speaker

    def drop(self, response_id: str) -> bool:
        """Forget one reply: what has not been taken of it, and what may still arrive. No event follows for it.

        True if some of it is on its way to the card: then let the host flush and call ``rewind(0)``, which saves what
        that flush takes from other replies.
        """
        reply = self._replies.get(response_id)
        if reply is None:
            self._remember(response_id, self._over.get(response_id, 0))
            return False
        if reply is self._current():
            self._sounding = False
        del self._replies[response_id]
        self._remember(response_id, reply.written_most)
        self._events = [event for event in self._events if event.response_id != response_id]
        on_its_way = any(span.reply is reply for span in self._spans)
        self._spans = deque(span for span in self._spans if span.reply is not reply)
        return on_its_way

    def flush(self) -> None:
        """Forget every reply and earcon, close the gate; ``played`` counts from 0 again.

        Goes with a flush of the host, whose queue holds what could still be heard and who fades it. Audio that arrives
        later for a flushed reply is not kept.
        """
        for response_id in tuple(self._replies):
            self.drop(response_id)
        self._mixer.clear()
        self._open = False
        self._sounding = False
        self._restart_count()

    def hush(self) -> bool:
        """Forget every earcon; replies stay.

        True if some of one is on its way to the card: then let the host flush and call ``rewind(0)``, as for ``drop``.
        """
        on_its_way = self._mixer.sounding or self._earcons_end > self._played
        self._mixer.clear()
        return on_its_way

    def forget_ids(self) -> None:
        """Replies that are over are no longer known: another session may give their ids to replies of its own."""
        self._over.clear()

    def rewind(self, back_ms: float = 200) -> None:
        """What was taken and not played is lost (the host is gone, or was flushed): queue it again.

        A reply that was cut goes on ``back_ms`` before the last sample written, so that a cut word is heard whole.
        Earcons are not repeated. ``played`` counts from 0 again.
        """
        back = frames_from_ms(back_ms)
        sounding = self._current() if self._sounding else None
        for reply in self._replies.values():
            if reply is sounding or reply.written < reply.taken:
                reply.rewind(max(reply.written_most - back, 0))
            reply.fade_out_to = None
        self._mixer.cut()
        self._sounding = False
        self._restart_count()
        self._on_change()

    # ------------------------------------------------------------ emptying: the speaker

    def follow(self, period_s: float) -> None:
        """The card is written to once in ``period_s``: what must be at hand before that is as much more."""
        self._low_water = max(LOW_WATER_FRAMES, LOW_WATER_PERIODS * frames_from_s(period_s))
        usual = max(frames_from_ms(self._prebuffer_ms), LOW_WATER_FRAMES + 2 * FADE_FRAMES)
        self._prebuffer = usual + self._low_water - LOW_WATER_FRAMES

    def take(self, frames: int) -> npt.NDArray[np.int16]:
        """The next samples for the card: a new array of at most ``frames``, empty if there is nothing to play now."""
        from_silence, earcons = self.silent, self._mixer.waiting
        voice = self._take_replies(frames)
        # An earcon must not run ahead of a reply that waits amid its sound: the reply's next sample comes right after.
        mixed = self._mixer.mix(voice, voice.size if self._sounding else frames, from_silence)
        self._taken += mixed.size
        if earcons:
            self._earcons_end = self._taken
        return mixed

    def played(self, frames: int) -> None:
        """Of all that was taken since the last ``flush`` or ``rewind``, the card has been given ``frames``.

        Never backwards: a smaller number than before is ignored; a larger one than was taken counts as all.
        """
        self._played = max(self._played, min(frames, self._taken))
        while self._spans and self._spans[0].start < self._played:
            span = self._spans[0]
            reply = span.reply
            if reply.written_most == 0:
                self._events.append(ReplyStarted(reply.response_id))
            reply.written = span.position + min(self._played, span.end) - span.start
            reply.written_most = max(reply.written_most, reply.written)
            reply.forget(reply.written - REWIND_KEPT_FRAMES)
            if self._played < span.end:
                break
            self._spans.popleft()
            self._settle(reply)

    def take_events(self) -> list[PlayerEvent]:
        """What has happened since the last call, in order."""
        events, self._events = self._events, []
        return events

    # ------------------------------------------------------------ looking

    @property
    def silent(self) -> bool:
        """What was taken last ended at zero, or nothing has been taken."""
        return not self._sounding and not self._mixer.sounding

    @property
    def idle(self) -> bool:
        """Nothing is held, nothing sounds, nothing is on its way to the card."""
        return not self._replies and not self._mixer.waiting and self._played == self._taken

    @property
    def held_frames(self) -> int:
        """Frames of all replies that have not been taken."""
        return sum(reply.available for reply in self._replies.values())

    @property
    def taken_frames(self) -> int:
        """Frames taken since the last ``flush`` or ``rewind``: what ``played`` says once all of them are written."""
        return self._taken

    def written_s(self, response_id: str) -> float:
        """Seconds of the reply, from its start, that the card was given, also of one that is over; 0 for an unknown id.

        What was *heard* is this less the card's output latency, which the player does not know.
        """
        reply = self._replies.get(response_id)
        return s_from_frames(self._over.get(response_id, 0) if reply is None else reply.written_most)

    # ------------------------------------------------------------ inside

    def _restart_count(self) -> None:
        self._spans.clear()
        self._taken = self._played = self._earcons_end = 0

    def _remember(self, response_id: str, written: int) -> None:
        self._over[response_id] = written
        while len(self._over) > REMEMBERED_REPLIES:
            del self._over[next(iter(self._over))]

    def _settle(self, reply: ReplyBuffer) -> None:
        """Let go of ``reply`` if it is over."""
        if reply.ended and reply.written == reply.received:
            del self._replies[reply.response_id]
            self._remember(reply.response_id, reply.written_most)
            self._events.append(ReplyFinished(reply.response_id, reply.received))

    def _current(self) -> ReplyBuffer | None:
        """The reply whose turn it is: the first that has, or may still get, something to take."""
        for reply in self._replies.values():
            if reply.available or not reply.ended:
                return reply
        return None

    def _take_replies(self, frames: int) -> npt.NDArray[np.float32]:
        """Up to ``frames`` of the replies, faded, and marked for ``played``; float32 at int16 scale."""
        parts: list[npt.NDArray[np.float32]] = []
        filled = 0
        while filled < frames:
            reply = self._current()
            if reply is None or not (self._sounding or self._start(reply)):
                break
            count = self._allowed(reply, frames - filled, self._taken - self._played + filled)
            if count == 0:
                break
            start = self._taken + filled
            self._spans.append(_Span(start, start + count, reply, reply.taken))
            parts.append(_faded(reply, reply.take(count)))
            filled += count
            if reply.taken == reply.fade_out_to:
                reply.fade_out_to = None
                self._sounding = False
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.float32)

    def _start(self, reply: ReplyBuffer) -> bool:
        """Begin a stretch of sound if everything allows it."""
        doubled = self._prebuffer << min(max(reply.gaps - 1, 0), 8)
        wanted = max(self._prebuffer, min(doubled, LONGEST_PREBUFFER_FRAMES))
        enough = reply.available >= wanted or (reply.complete and reply.available > 0)
        if not self._open or self._mixer.waiting or not enough:
            return False
        reply.fade_in_from = reply.taken
        self._sounding = True
        return True

    def _allowed(self, reply: ReplyBuffer, room: int, on_its_way: int) -> int:
        """How many frames of a sounding reply may be taken now, at most ``room``; decides where it must fade out."""
        if reply.fade_out_to is None:
            spare = reply.available - FADE_FRAMES
            if not self._open:
                reply.fade_out_to = reply.taken + min(FADE_FRAMES, reply.available)
            elif spare >= room:
                return room
            elif reply.complete:
                reply.fade_out_to = reply.received
            elif on_its_way + spare > self._low_water:
                # The last few milliseconds stay here until more arrives: an underrun needs them to fade out.
                return max(spare, 0)
            else:
                reply.fade_out_to = reply.received
                self.underruns += 1
                reply.gaps += 1
                self._events.append(ReplyUnderran(reply.response_id, self.underruns))
        return min(room, reply.fade_out_to - reply.taken)


def _faded(reply: ReplyBuffer, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """``samples``, the last ones taken from ``reply``, those of them within a fade scaled in place."""
    into = reply.taken - samples.size - reply.fade_in_from
    if into < FADE_FRAMES:
        rising = fade_in(FADE_FRAMES)[into : into + samples.size]
        samples[: rising.size] *= rising
    left = FADE_FRAMES if reply.fade_out_to is None else reply.fade_out_to - reply.taken
    if left < FADE_FRAMES:
        falling = fade_in(FADE_FRAMES)[left : left + samples.size][::-1]
        samples[samples.size - falling.size :] *= falling
    return samples
