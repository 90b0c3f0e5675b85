"""A sound host: the process that touches one card, ``python -m appliance.soundhost.host capture|playback FD``.

The only file that imports pyaudio. A process of its own because a card that disappears leaves PortAudio spinning inside
C: no exception, no end, and closing the stream from another thread is a segmentation fault. Only a process can be ended
then. And nothing that the daemon does (JSON, TLS, garbage collection) can make the sound stutter.

FD is one end of a SOCK_SEQPACKET pair, the messages are ``wire``'s. Threads::

    main     takes commands from the socket and touches no sound, so that a flush is never late
    sound    initialises PortAudio and opens the device under the card lock, then reads or writes for ever
    sender   gives the socket what the sound thread has to say, so that a busy daemon never makes a microphone wait

It ends by ``os._exit`` alone: when the daemon's end of the socket is closed, when a device fails (after saying so), and
by SIGKILL from the kernel when its parent dies. PortAudio's own clean-up can hang, so it never runs.
"""

from __future__ import annotations

import os
import queue
import signal
import socket
import struct
import sys
import threading
import time
from array import array
from collections import deque
from collections.abc import Callable
from typing import Any, NoReturn

from appliance.errors import DeviceNotFoundError

from . import alsa_config, alsa_mixer, messages, opening
from .block_clock import BlockClock, BreakCounter
from .card_finder import CardFinder
from .card_lock import card_lock
from .card_owners import in_use
from .devices import Choice, Device, Direction, KernelFolders, card_of
from .hand_over import HandOver
from .output_queue import OutputQueue, stereo
from .written_sound import WrittenSound

KEPT_S = 4.0
"""Of the microphone, while the daemon does not read; then the oldest go. Decision 20 asks for 2 s at least."""

REPORTS_BYTES = 10_000
"""Plenty for what a speaker reports to such a daemon."""

BOUND_S = 1.2
"""Queued for the speaker at most: more than the largest credit of the daemon's. More is a fault of the daemon. Of a
card with long blocks: four of these, one more than the credit."""

REPORT_S = 0.020
"""Between two reports of a speaker that plays and has little to play, as of an answer that arrives no faster than it
plays: the queue then never falls below 30 ms."""

AMPLE_S = 0.160
"""Queued beyond this, a report may be late: the next comes before the queue is short."""

AMPLE_REPORT_S = 0.100
"""Between two reports then. A report and its answer cost the daemon 0.1 ms."""

HEARTBEAT_S = 0.5
"""Between two reports of a speaker that is silent in a turn; the daemon takes 1 s for a stall."""

REST_HEARTBEAT_S = 1.0
"""Between two signs of life of a device that nobody attends to; the daemon waits a second longer for those."""

REST_PERIODS = 3
"""Of a microphone that is held back are read at once: a third of the wake-ups. It is late by that much at a press,
once: 60 ms with the usual periods."""

PR_SET_PDEATHSIG = 1


class Outbox:
    """Sends at once what the socket takes, and the rest in a thread of its own: no caller ever waits.

    No more wait than ``keep`` says, but for a last message; then the oldest are dropped.
    """

    def __init__(self, link: socket.socket) -> None:
        self._bound_bytes = REPORTS_BYTES
        """A microphone sets its own."""
        self._link = link
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._idle = True
        threading.Thread(target=guarded(self._run), name="sender", daemon=True).start()

    def keep(self, bound_bytes: int) -> None:
        """From now on so much may wait."""
        self._bound_bytes = bound_bytes

    def put(self, message: bytes, instead: bool = False) -> None:
        """Queue ``message``, in place of the last one if ``instead`` and that is of the same kind."""
        with self._changed:
            if self._idle and not self._waiting:
                # The usual case, and one wake-up less: 0.35 instead of 0.5 % of a core for a microphone (measured).
                try:
                    self._link.send(message, socket.MSG_DONTWAIT)
                    return
                except BlockingIOError:
                    pass
                except OSError:
                    os._exit(0)
            if instead and self._waiting and self._waiting[-1][:1] == message[:1]:
                self._waiting_bytes -= len(self._waiting.pop())
            while self._waiting and self._waiting_bytes + len(message) > self._bound_bytes:
                self._waiting_bytes -= len(self._waiting.popleft())
            self._waiting.append(message)
            self._waiting_bytes += len(message)
            self._changed.notify_all()

    def drain(self, timeout_s: float) -> None:
        """Wait until all is sent, but not longer than that."""
        with self._changed:
            self._changed.wait_for(lambda: self._idle and not self._waiting, timeout_s)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._idle = True
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting)
                message = self._waiting.popleft()
                self._waiting_bytes -= len(message)
                self._idle = False
            try:
                self._link.send(message)
            except OSError:
                os._exit(0)


class Host:
    """The sound thread and what it shares with the main thread."""

    def __init__(self, direction: Direction, link: socket.socket, machine: KernelFolders) -> None:
        self._direction = direction
        self._link = link
        self._machine = machine
        self._outbox = Outbox(link)
        self._requests: queue.SimpleQueue[messages.Open | None] = queue.SimpleQueue()
        self._output: OutputQueue | None = None
        """None until a speaker is open."""
        self._hand_over: HandOver | None = None
        """None until a microphone is open."""
        self._attended = True
        """The pace is AT_ONCE."""
        self._wake = threading.Event()
        """Set when a speaker that rests has something to do."""

    def obey(self) -> NoReturn:
        """The main thread: commands, until the daemon is gone."""
        threading.Thread(target=guarded(self._sound), name="sound", daemon=True).start()
        while datagram := self._receive():
            match messages.unpack_for_host(datagram):
                case messages.Samples(epoch, pcm):
                    if self._output is not None:
                        self._output.push(epoch, pcm)
                        self._wake.set()
                case messages.Pace(piece_ms):
                    self._attended = piece_ms == messages.AT_ONCE
                    if self._hand_over is not None:
                        self._hand_over.go_by(piece_ms)
                    self._wake.set()
                case messages.Flush(epoch):
                    if self._output is not None:
                        self._output.flush(epoch)
                case request:
                    self._requests.put(request)
        os._exit(0)

    def _receive(self) -> bytes:
        """The next command; empty when there will be none."""
        try:
            return self._link.recv(messages.LARGEST_BYTES)
        except OSError:
            # A daemon that closes with reports unread resets the connection.
            return b""

    # ------------------------------------------------------------ finding and opening

    def _sound(self) -> NoReturn:
        """The sound thread: answer requests until a device is open, then serve it."""
        # Not at the top: its 30 ms (and ALSA's chatter) must not keep the parent's death from being noticed. And not
        # under the lock, for on a slow machine it takes longer than a look.
        import pyaudio

        def initialised() -> Any:
            try:
                return pyaudio.PyAudio()
            except OSError as error:
                raise OSError(alsa_config.fault() or f"PortAudio cannot begin: {opening.reason(error)}") from None

        finder = CardFinder(self._direction, initialised, self._machine)
        while True:
            request = self._requests.get()
            try:
                with card_lock(lambda: self._say(messages.Waiting()), self._machine.nodes):
                    if request is None:
                        self._say(finder.listing())
                        continue
                    choice = finder.find(request)
                    stream, opened, to_int16 = self._open(finder, request, choice)
            except (DeviceNotFoundError, OSError, ValueError) as error:
                self._say(messages.Failed(str(error)))
                continue
            try:
                if self._direction == "capture":
                    self._capture(stream, opened, to_int16, request.idle_ms)
                else:
                    self._play(stream, opened, request.idle_ms / 1000, request.tells_sound)
            except OSError as error:
                self._say(messages.Failed(f'"{opened.name}" failed: {opening.reason(error)}'))
                self._outbox.drain(1.0)
                os._exit(1)

    def _open(
        self, finder: CardFinder, request: messages.Open, choice: Choice
    ) -> tuple[Any, messages.Opened, Callable[[bytes], bytes]]:
        """Open it in the first way it agrees to: stream, shape, what makes int16 of its samples.

        Raises OSError: the refusals; ValueError: no such channel.
        """
        device, direction = choice.device, self._direction
        self._trying()
        plan = opening.plan(device, direction, request)
        number = finder.behind_plug(device) if plan.plug else device.number
        try:
            stream, hz, period_frames = opening.open_stream(
                finder.portaudio, number, plan, direction, request.period_ms, self._trying
            )
        except OSError as error:
            refused = f'"{device.name}" cannot be opened: {error}{plan.advice}'
            raise OSError(
                in_use(device.name, direction, self._machine.cards(), os.path.dirname(self._machine.proc)) or refused
            ) from None
        shape = (hz, plan.channels, period_frames, opening.buffer_s(stream, direction, hz))
        level_note = self._set_level(device, request.level_percent)
        opened = messages.Opened(device.name, choice.usb_port, choice.note, *shape, level_note)
        return stream, opened, plan.form.to_int16

    def _set_level(self, device: Device, percent: int) -> str:
        """Set the card's own volume; a line if that is not possible, else empty."""
        if percent < 0:
            return ""
        self._trying()
        card = card_of(device, self._machine.cards())
        return alsa_mixer.set_level(None if card is None else card.number, device.name, self._direction, percent)

    def _trying(self) -> None:
        self._say(messages.Trying())

    # ------------------------------------------------------------ serving

    def _capture(
        self, stream: Any, opened: messages.Opened, to_int16: Callable[[bytes], bytes], held_ms: int
    ) -> NoReturn:
        """Read for ever. Raises OSError when the device fails; mostly it just stops returning."""
        hz, period, frame_bytes = opened.hz, opened.period_frames, 2 * opened.channels
        long = min(REST_PERIODS * period, messages.MOST_SAMPLES // opened.channels)
        clock = BlockClock(hz, period)
        self._outbox.keep(round(KEPT_S * hz) * frame_bytes)
        hand_over = HandOver(
            lambda block: self._outbox.put(messages.pack(block)), hz, frame_bytes, held_ms * hz // 1000
        )
        self._hand_over = hand_over
        self._say(opened)
        said_s = time.monotonic()
        while True:
            frames = long if hand_over.is_patient(long) else period
            began_s = time.monotonic()
            # exception_on_overflow would close the stream at the first overrun.
            pcm = stream.read(frames, exception_on_overflow=False)
            returned_s = time.monotonic()
            block = clock.block(began_s, returned_s, frames, stream.get_read_available())
            hand_over.add(messages.Block(*block, to_int16(pcm)))
            if hand_over.piece_ms != messages.HOLD:
                said_s = returned_s
            elif returned_s - said_s >= REST_HEARTBEAT_S:
                self._say(messages.Resting())
                said_s = returned_s

    def _play(self, stream: Any, opened: messages.Opened, rest_after_s: float, tells_sound: bool) -> NoReturn:
        """Write for ever, silence when there is nothing else. Raises OSError when the device fails.

        Stopped when nobody attends and nothing has sounded for ``rest_after_s``; 0: never. ``tells_sound``: says what
        is played.
        """
        period, hz = opened.period_frames, opened.hz
        self._output = output = OutputQueue(hz, max(int(BOUND_S * hz), 4 * period))
        self._say(opened)
        dry = BreakCounter(hz, period)
        written = WrittenSound(hz, period) if tells_sound else None
        reported: tuple[int, int, int] = (0, 0, 0)
        reported_s = 0.0
        was_silent = True
        sounded_s = time.monotonic()
        breaks = 0
        while True:
            self._wake.clear()
            samples = output.block(period)
            began_s = time.monotonic()
            if samples is not None or self._attended:
                sounded_s = began_s
            elif rest_after_s and began_s - sounded_s >= rest_after_s:
                breaks += dry.count
                self._rest(stream, opened)
                dry, sounded_s = BreakCounter(hz, period), time.monotonic()
                if written is not None:
                    written.rested()
                continue
            stream.write(_interleaved(samples, period, opened.channels), period)
            now_s = time.monotonic()
            # Asked only where it counts: an idle speaker would ask a hundred times a second for nothing.
            asked = samples is not None or dry.undecided or written is not None
            room_frames = stream.get_write_available() if asked else 0
            dry.wrote(began_s, now_s, room_frames, samples is not None)
            for piece in () if written is None else written.wrote(began_s, now_s, room_frames, samples):
                self._say(piece)
            position = output.position
            started = was_silent and samples is not None
            playing_s = AMPLE_REPORT_S if position[2] > AMPLE_S * hz else REPORT_S
            due_s = playing_s if position[:2] != reported[:2] else HEARTBEAT_S
            # Half a period early rather than half a period late.
            if started or now_s - reported_s >= due_s - period / hz / 2:
                report = messages.Played(*position, output.breaks + breaks + dry.count, now_s)
                self._outbox.put(messages.pack(report), instead=True)
                reported, reported_s = position, now_s
            was_silent = samples is None

    def _rest(self, stream: Any, opened: messages.Opened) -> None:
        """Keep the device stopped until something is to be played, or somebody attends; then it runs as before."""
        stream.stop_stream()
        while not self._wake.wait(REST_HEARTBEAT_S):
            self._say(messages.Resting())
        stream.start_stream()
        # As full as a device that has played silence: what comes next is as late as ever, and as safe from running dry.
        frames = round(opened.buffer_s * opened.hz)
        stream.write(bytes(2 * opened.channels * frames), frames)

    def _say(self, message: messages.FromHost) -> None:
        self._outbox.put(messages.pack(message))


def _interleaved(samples: array[int] | None, frames: int, channels: int) -> bytes:
    """Mono ``samples`` for a device of one or two channels; None: silence."""
    if samples is None:
        return bytes(2 * channels * frames)
    return (stereo(samples) if channels == 2 else samples).tobytes()


def guarded(function: Callable[[], object]) -> Callable[[], None]:
    """A thread's function, whose end ends the process: nothing dies alone."""

    def run() -> None:
        try:
            function()
        except BaseException as error:
            print(f"{threading.current_thread().name}: {error!r}", file=sys.stderr, flush=True)
            os._exit(70)

    return run


def _live_with_parent(link: socket.socket) -> None:
    """Be killed when the daemon dies; end now if it already has.

    It made the socket pair, so the pair knows its process id; whoever has adopted us since has another.
    """
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    (parent,) = struct.unpack_from("i", link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    if os.getppid() != parent:
        os._exit(0)


def main(direction: Direction, descriptor: int, machine: KernelFolders = KernelFolders()) -> NoReturn:  # noqa: B008  (a tuple)
    """Serve until the daemon is gone."""
    # The daemon decides when its hosts end: a Ctrl-C or a stop of the unit must not cut off the fade.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    link = socket.socket(fileno=descriptor)
    _live_with_parent(link)
    guarded(Host(direction, link, machine).obey)()
    os._exit(70)


if __name__ == "__main__":
    main("capture" if sys.argv[1] == "capture" else "playback", int(sys.argv[2]))
