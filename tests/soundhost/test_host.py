"""The sound host, alone at its socket, on the virtual card."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from array import array
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from appliance.simulator.virtual_card import VirtualCard
from appliance.soundhost import messages
from tests.support.sound_host import babble, until_now

HZ = 48_000
MICROPHONE = messages.Open("usbmic", 0, 0, 20)
SPEAKER = messages.Open("usbspeaker", 0, 0, 10)


class Host:
    def __init__(self, direction: str) -> None:
        self.link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.process = subprocess.Popen(
            (sys.executable, "-m", "appliance.soundhost.host", direction, str(theirs.fileno())),
            pass_fds=(theirs.fileno(),),
            stderr=subprocess.DEVNULL,
        )
        theirs.close()
        self.link.settimeout(15)

    def send(self, message: messages.Open | messages.Samples | messages.Flush) -> None:
        self.link.send(messages.pack(message))

    def next(self) -> messages.FromHost:
        """What it says, but for its notes on what it tries."""
        while isinstance(
            said := messages.unpack_from_host(self.link.recv(messages.LARGEST_BYTES)),
            messages.Trying | messages.Waiting,
        ):
            pass
        return said

    def open(self, request: messages.Open) -> messages.Opened:
        self.send(request)
        opened = self.next()
        assert isinstance(opened, messages.Opened), opened
        return opened

    def block(self) -> messages.Block:
        block = self.next()
        assert isinstance(block, messages.Block), block
        return block

    def played(self) -> messages.Played:
        played = self.next()
        assert isinstance(played, messages.Played), played
        return played

    def play(self, sound: array[int], epoch: int = 0, written: int = 0) -> int:
        """Send all of it, never more than 60 ms ahead; what the host has written in this epoch when it is sent."""
        before, sent = written, 0
        while sent < len(sound):
            while sent < len(sound) and sent - (written - before) <= HZ * 50 // 1000:
                self.send(messages.Samples(epoch, sound[sent : sent + 480].tobytes()))
                sent += 480
            played = self.played()
            written = max(written, played.written_frames if played.epoch == epoch else 0)
        return written

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.link.close()


@pytest.fixture
def host(virtual_card: VirtualCard) -> Iterator[Callable[[str], Host]]:
    hosts = []

    def start(direction: str) -> Host:
        hosts.append(Host(direction))
        return hosts[-1]

    yield start
    for host in hosts:
        host.close()


def test_it_lists_what_there_is(host: Callable[[str], Host]) -> None:
    capture = host("capture")
    capture.link.send(messages.LIST)
    listing = capture.next()
    assert isinstance(listing, messages.Listing)
    assert {"usbmic", "usbspeaker"} <= {device.name for device in listing.devices}


def test_a_missing_device_is_said_and_found_later_by_the_same_process(
    host: Callable[[str], Host], virtual_card: VirtualCard
) -> None:
    capture = host("capture")
    capture.send(messages.Open("Jabra", 0, 0, 20))
    failed = capture.next()
    assert isinstance(failed, messages.Failed)
    assert failed.reason.startswith('no microphone "Jabra"; there is ')
    virtual_card.unplug_microphone()
    capture.send(MICROPHONE)
    failed = capture.next()
    assert isinstance(failed, messages.Failed)
    assert failed.reason.startswith('"usbmic" cannot be opened: ')
    virtual_card.plug_microphone()
    assert capture.open(MICROPHONE).hz == HZ
    assert capture.block().first_frame == 0


def test_rates_and_channels_are_as_asked(host: Callable[[str], Host]) -> None:
    capture = host("capture")
    opened = capture.open(messages.Open("usbmic", 44_100, 2, 10))
    assert (opened.hz, opened.channels, opened.period_frames) == (44_100, 2, 441)
    assert len(capture.block().pcm) == 441 * 2 * 2


@pytest.mark.parametrize(
    ("direction", "device", "setting"),
    [("capture", "usbmic", "microphone.capture_percent"), ("playback", "usbspeaker", "speaker.mixer_percent")],
)
def test_a_device_without_controls_is_one_line_and_works(
    host: Callable[[str], Host], direction: str, device: str, setting: str
) -> None:
    opened = host(direction).open(messages.Open(device, 0, 0, 10, 70))
    assert opened.level_note.startswith(f'"{device}" has no volume control as a ')
    assert opened.level_note.endswith(f": {setting} is without effect")
    assert host(direction).open(messages.Open(device, 0, 0, 10)).level_note == ""


def test_the_speakers_buffer_is_short_however_long_its_period(host: Callable[[str], Host]) -> None:
    for period_ms in (10, 40):
        opened = host("playback").open(messages.Open("usbspeaker", 0, 0, period_ms))
        assert 0 < opened.buffer_s <= 0.040


def test_a_microphones_blocks_have_the_time_of_their_first_sample(
    host: Callable[[str], Host], virtual_card: VirtualCard
) -> None:
    capture = host("capture")
    # The recorder comes first: a second reader makes PulseAudio change the delay of the one that is there.
    with virtual_card.record_microphone(hz=HZ, latency_ms=5) as beside:
        capture.open(MICROPHONE)
        blocks = [capture.block() for _ in range(10)]
        playing = virtual_card.play_into_microphone(babble(0.3))
        while not (playing.over and any(blocks[-1].pcm) is False):
            blocks.append(capture.block())
    frames = [block.first_frame for block in blocks]
    assert frames == [960 * count for count in range(len(blocks))], "nothing was lost"
    times = np.diff([block.first_s for block in blocks[5:]])
    assert np.all(np.abs(times - 0.02) < 0.002), "after some blocks the clock is steady, whenever the reads came back"
    heard = np.frombuffer(b"".join(block.pcm for block in blocks), dtype=np.int16)
    onset = int(np.flatnonzero(heard)[0])
    block = blocks[onset // 960]
    onset_s = block.first_s + (onset - block.first_frame) / HZ
    # The recorder beside us has some milliseconds of delay of its own.
    assert onset_s == pytest.approx(beside.time_s(int(np.flatnonzero(beside.samples)[0])), abs=0.05)


def test_a_microphone_waits_two_seconds_for_a_daemon_that_does_not_read(host: Callable[[str], Host]) -> None:
    capture = host("capture")
    capture.open(MICROPHONE)
    first = capture.block()
    # Real time has to pass: that is the condition.
    time.sleep(2.2)
    blocks = [first]
    while blocks[-1].first_s < time.monotonic() - 0.1:
        blocks.append(capture.block())
    assert [block.first_frame for block in blocks] == [960 * count for count in range(len(blocks))]
    assert blocks[-1].first_s - first.first_s > 2.1


def test_after_a_flush_nothing_is_heard_and_there_is_no_click(
    host: Callable[[str], Host], virtual_card: VirtualCard
) -> None:
    """Decision 19: 60 ms, plus the delay of the path itself, measured in the same run with a click."""
    playback = host("playback")
    playback.open(SPEAKER)
    with virtual_card.record_speaker(hz=HZ, latency_ms=5) as recording:
        clicked_s = time.monotonic()
        playback.send(messages.Samples(0, array("h", [40, 0]).tobytes()))
        until_now(lambda: np.any(recording.samples))
        click = int(np.flatnonzero(recording.samples)[0])
        # A sine of 300 Hz, which never steps by more than 315.
        sound = array("h", (8000 * np.sin(2 * np.pi * 300 * np.arange(HZ) / HZ)).astype(np.int16).tobytes())
        playback.play(sound, written=2)
        flushed_s = time.monotonic()
        playback.send(messages.Flush(1))
        while playback.played().epoch == 0:
            pass
        until_now(lambda: recording.samples.size > 0 and not np.any(recording.samples[-HZ // 10 :]))
    heard = recording.samples
    path_s = recording.time_s(click) - clicked_s
    silent_s = recording.time_s(int(np.flatnonzero(heard)[-1])) - flushed_s
    assert 0 < silent_s <= 0.060 + path_s
    assert np.abs(np.diff(heard[click + 100 :].astype(int))).max() < 400
    # What was queued is gone: 60 ms of it or less, besides what the device had.
    assert heard[click + 100 :].astype(bool).sum() < len(sound)


def test_reports_while_playing_and_signs_of_life_while_idle(host: Callable[[str], Host]) -> None:
    playback = host("playback")
    playback.open(SPEAKER)
    idle = [playback.played() for _ in range(3)]
    assert {(played.epoch, played.written_frames, played.queued_frames) for played in idle} == {(0, 0, 0)}
    assert 0.3 < idle[2].time_s - idle[1].time_s < 1.0
    playback.send(messages.Samples(0, bytes(2 * 1000)))
    while (last := playback.played()).written_frames < 1000:
        assert last.epoch == 0
    assert (last.written_frames, last.queued_frames, last.underruns) == (1000, 0, 0)
    playback.send(messages.Flush(1))
    while (last := playback.played()).epoch == 0:
        pass
    assert (last.epoch, last.written_frames) == (1, 0)
    playback.send(messages.Samples(0, bytes(2 * 480)))
    playback.send(messages.Samples(1, bytes(2 * 960)))
    while (last := playback.played()).written_frames < 960:
        pass
    assert last.written_frames == 960, "the old epoch's samples do not count"


def test_a_daemon_that_sends_without_credit_is_refused(host: Callable[[str], Host]) -> None:
    playback = host("playback")
    playback.open(SPEAKER)
    for _ in range(14):
        playback.send(messages.Samples(0, bytes(2 * HZ // 10)))
    assert playback.process.wait(15) == 70


@pytest.mark.parametrize(("direction", "request_"), [("capture", MICROPHONE), ("playback", SPEAKER)])
def test_it_ends_with_its_socket_and_with_nothing_less(
    host: Callable[[str], Host], direction: str, request_: messages.Open
) -> None:
    child = host(direction)
    child.open(request_)
    for ignored in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        child.process.send_signal(ignored)
    for _ in range(3):
        child.next()
    assert child.process.poll() is None
    child.link.close()
    assert child.process.wait(15) == 0


def test_a_device_that_goes_away_is_said_and_ends_the_host(
    host: Callable[[str], Host], virtual_card: VirtualCard
) -> None:
    capture = host("capture")
    capture.open(MICROPHONE)
    capture.block()
    virtual_card.unplug_microphone()
    while isinstance(said := capture.next(), messages.Block):
        pass
    assert isinstance(said, messages.Failed)
    assert said.reason.startswith('"usbmic" failed: ')
    assert capture.process.wait(15) == 1


PARENT = """
import socket, subprocess, sys, time
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
command = [sys.executable, "-m", "appliance.soundhost.host", "capture", str(theirs.fileno())]
host = subprocess.Popen(command, pass_fds=[theirs.fileno(), ours.fileno()])
theirs.close()
ours.send(b"l")
ours.recv(65536)
print(host.pid, flush=True)
time.sleep(60)
"""


def test_it_dies_with_its_parent_even_if_the_socket_stays_open(virtual_card: VirtualCard) -> None:
    # The host itself inherits the daemon's end here, so that the socket never reports an end.
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert _alive(child)
        parent.kill()
    until_now(lambda: not _alive(child))


def _alive(process_id: int) -> bool:
    try:
        with open(f"/proc/{process_id}/stat") as status:
            return status.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_it_needs_no_numpy_and_opens_nothing_but_its_socket(host: Callable[[str], Host]) -> None:
    capture = host("capture")
    capture.link.send(messages.LIST)
    capture.next()
    with open(f"/proc/{capture.process.pid}/maps") as maps:
        assert "numpy" not in maps.read()
    descriptors = {os.readlink(f"/proc/{capture.process.pid}/fd/{fd}") for fd in (3, 4, 5) if _has(capture, fd)}
    assert not [name for name in descriptors if name.startswith("/") and not name.startswith("/dev/")]


def _has(host: Host, descriptor: int) -> bool:
    return os.path.lexists(f"/proc/{host.process.pid}/fd/{descriptor}")
