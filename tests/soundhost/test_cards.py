"""Which card real hosts take under their real supervisor, on a machine whose cards are busy, late, gone and back."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.audio import card_search, sound_host
from appliance.audio.card_preference import SETTLED_S, Preference
from appliance.audio.sound_host import SoundHost
from appliance.doctor.doctor import Doctor
from appliance.doctor.finding import Grade
from appliance.doctor.machine import MachineFacts as DoctorsMachine
from appliance.doctor.person import Person
from appliance.soundhost import messages
from appliance.soundhost.devices import NOUN, Direction
from tests.support import fake_machine
from tests.support.fake_machine import FakeCard, machine, node, opened, plug
from tests.support.sound_host import until

USB = FakeCard("Jabra", "USB-Audio", "1-1.2")
WEBCAM = FakeCard("Webcam", "USB-Audio", "1-1.3")
SOCKET = FakeCard("Headphones", "bcm2835_headpho")
HDMI = FakeCard("vc4hdmi", "vc4-hdmi")

FOUND_S = 3.0


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The machine. Hosts that are started run on it."""
    python = tmp_path / "python"
    # What is run is "python -P -m appliance.soundhost.host DIRECTION FD".
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -P {fake_machine.__file__} {tmp_path} "$4" "$5"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    plug(tmp_path, {})
    return tmp_path


class Part:
    """A microphone or a speaker, as far as its device goes."""

    def __init__(self, folder: Path, direction: Direction, device: str = "auto", **preference: Any) -> None:
        self.name = ""
        """Of the open device; empty while there is none."""
        self.note = ""
        self.said: list[str] = []
        """Names of the devices that were opened, and why there was none."""
        self.remembered: list[int] = []
        asked = {"remember": self.remembered.append, **preference}
        request = messages.Open(device, 0, 0, 20)
        self.host = SoundHost(direction, request, self, None, Preference(direction, **asked), machine(folder))
        self.task: asyncio.Task[Any] = asyncio.create_task(self.host.run())

    def opened(self, opened: messages.Opened) -> None:
        self.name, self.note = opened.name, opened.note
        self.said.append(opened.name)

    def lost(self, reason: str) -> None:
        self.name = ""
        self.said.append(reason)

    def changes(self) -> None:
        self.name = ""

    def received(self, message: messages.FromDevice) -> None:
        pass

    def fetched(self) -> None:
        pass

    async def end(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


@pytest.fixture
async def part(folder: Path) -> Any:
    parts: list[Part] = []

    def start(direction: Direction, device: str = "auto", **preference: Any) -> Part:
        parts.append(Part(folder, direction, device, **preference))
        return parts[-1]

    yield start
    for each in parts:
        await each.end()


Start = Callable[..., Part]


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Another program has it."""
    descriptor = opened(path)
    try:
        yield
    finally:
        os.close(descriptor)


def of(card: FakeCard, number: int) -> str:
    return f"{card.id}: Audio (hw:{number},0)"


@pytest.mark.parametrize("start", range(3))
async def test_two_hosts_that_start_together_do_not_hide_the_cards_from_each_other(
    folder: Path, part: Start, start: int
) -> None:
    plug(folder, {0: WEBCAM, 1: USB})
    microphone, speaker = part("capture"), part("playback")
    await until(lambda: microphone.said and speaker.said)
    assert microphone.said == speaker.said == [of(USB, 1)], "the lowest port, at the first look"


async def test_a_busy_card_is_waited_for_though_another_is_free(folder: Path, part: Start) -> None:
    plug(folder, {0: USB, 1: WEBCAM})
    with held(node(folder, 0, "c")):
        microphone, speaker = part("capture"), part("playback")
        await until(lambda: microphone.said and speaker.said)
        assert speaker.said == [of(USB, 0)]
        # Longer than all that is tried soon after a start.
        await asyncio.sleep(card_search.SETTLING_S + 0.5)
        assert microphone.said == [
            f'"{of(USB, 0)}" is in use as a microphone by another program; stop that, or choose another device'
        ], "and nothing else is said or taken"
    free_s = time.monotonic()
    await until(lambda: microphone.name)
    assert time.monotonic() - free_s < FOUND_S
    assert (microphone.name, microphone.host.started) == (of(USB, 0), 1)


@pytest.mark.parametrize("device", ["auto", "usb:1-1.2", "jabra"])
async def test_rights_that_come_late(folder: Path, part: Start, device: str) -> None:
    plug(folder, {0: USB})
    node(folder, 0, "c").write_text(str(errno.EACCES))
    microphone = part("capture", device)
    await until(lambda: microphone.said)
    assert microphone.said[0].startswith(f'"{of(USB, 0)}" may not be opened by this user (Permission denied)')
    await asyncio.sleep(2.0)
    node(folder, 0, "c").write_text("")
    late_s = time.monotonic()
    await until(lambda: microphone.name)
    assert time.monotonic() - late_s < FOUND_S
    assert len(microphone.said) == 2


async def test_a_card_that_cannot_be_used_at_all_is_passed_over(folder: Path, part: Start) -> None:
    """As HDMI without a screen."""
    plug(folder, {0: HDMI, 1: HDMI._replace(id="vc4hdmi1")})
    node(folder, 0, "p").write_text(str(errno.ENODEV))
    speaker = part("playback")
    await until(lambda: speaker.said)
    assert speaker.said == ["vc4hdmi1: Audio (hw:1,0)"]
    await asyncio.sleep(card_search.LOOK_AGAIN_S + 2.5)
    assert (speaker.said, speaker.host.started) == (["vc4hdmi1: Audio (hw:1,0)"], 1), "it is no better card that comes"


async def test_a_free_card_that_portaudio_cannot_use_is_passed_over_in_the_end(folder: Path, part: Start) -> None:
    plug(folder, {0: USB, 1: WEBCAM})
    node(folder, 0, "c").write_text(fake_machine.HIDDEN)
    microphone = part("capture")
    await until(lambda: len(microphone.said) == 2)
    assert microphone.said == [
        f'"{of(USB, 0)}" is left out by PortAudio: it was in use for a moment, or cannot be used',
        of(WEBCAM, 1),
    ]


async def test_a_host_that_hangs_with_the_lock_does_not_keep_the_other_from_its_card(folder: Path, part: Start) -> None:
    plug(folder, {0: USB})
    node(folder, 0, "c").write_text(fake_machine.HANGS)
    microphone = part("capture")
    # It has looked by then, and opens the card.
    await asyncio.sleep(1.5)
    speaker = part("playback")
    began_s = time.monotonic()
    await until(lambda: speaker.name)
    assert time.monotonic() - began_s < sound_host.CALL_S + FOUND_S
    assert (speaker.said, speaker.host.started) == ([of(USB, 0)], 1)
    assert microphone.said[0].startswith("the sound host hung for ")


async def test_part_of_a_name_means_the_same_card_while_that_is_busy(folder: Path, part: Start) -> None:
    plug(folder, {0: WEBCAM._replace(id="Cam"), 1: WEBCAM._replace(id="Cam_1", usb_port="1-1.4")})
    with held(node(folder, 0, "c")):
        microphone = part("capture", "cam")
        await until(lambda: microphone.said)
        assert "is in use as a microphone" in microphone.said[0]
    await until(lambda: microphone.name)
    assert microphone.name == "Cam: Audio (hw:0,0)"


@pytest.mark.parametrize("direction", ["capture", "playback"])
async def test_a_card_that_was_pulled_is_waited_for(folder: Path, part: Start, direction: Direction) -> None:
    plug(folder, {0: SOCKET, 1: USB, 2: WEBCAM})
    each = part(direction)
    await until(lambda: each.said)
    plug(folder, {0: SOCKET, 2: WEBCAM})
    await until(lambda: len(each.said) > 1)
    assert each.said[1] == '"Jabra" was unplugged'
    await until(lambda: len(each.said) > 2)
    others = '"Headphones: Audio", "Webcam: Audio" (usb:1-1.3)'
    noun = NOUN[direction]
    assert (
        each.said[2] == f"the {noun} that was here is missing; {others} is not taken in its place ({noun}.fallback_s)"
    )
    await asyncio.sleep(3.0)
    plug(folder, {0: SOCKET, 2: WEBCAM, 3: USB})
    back_s = time.monotonic()
    await until(lambda: each.name)
    assert time.monotonic() - back_s < FOUND_S
    assert each.said[3:] == [of(USB, 3)]


async def test_another_usb_card_in_another_socket_replaces_it(folder: Path, part: Start) -> None:
    plug(folder, {0: SOCKET, 1: USB})
    speaker = part("playback")
    await until(lambda: speaker.said)
    plug(folder, {0: SOCKET})
    await until(lambda: len(speaker.said) > 2)
    plug(folder, {0: SOCKET, 1: WEBCAM})
    await until(lambda: speaker.name)
    assert speaker.name == of(WEBCAM, 1)
    assert speaker.host.instead_of is not None
    assert speaker.host.instead_of.id == "Jabra"


async def test_a_box_that_had_a_usb_card_waits_for_it_at_the_start(folder: Path, part: Start) -> None:
    plug(folder, {0: SOCKET})
    speaker = part("playback", best_rank=0)
    await until(lambda: speaker.said)
    assert speaker.said == [
        'the USB speaker that was here is missing; "Headphones: Audio" is not taken in its place (speaker.fallback_s)'
    ]
    await asyncio.sleep(3.0)
    plug(folder, {0: SOCKET, 1: USB})
    await until(lambda: speaker.name)
    assert speaker.said[1:] == [of(USB, 1)]
    assert speaker.remembered == []


async def test_a_box_that_never_had_one_takes_what_there_is_and_changes_between_turns(
    folder: Path, part: Start
) -> None:
    plug(folder, {0: SOCKET})
    quiet = False
    speaker = part("playback", between_turns=lambda: quiet)
    await until(lambda: speaker.said)
    assert (speaker.said, speaker.remembered) == ([of(SOCKET, 0)], [2])
    plug(folder, {0: SOCKET, 1: USB})
    await asyncio.sleep(5.0)
    assert speaker.said == [of(SOCKET, 0)], "somebody talks with the box"
    quiet = True
    await until(lambda: len(speaker.said) > 1)
    assert speaker.said[1:] == [of(USB, 1)], "and no word of a missing one"
    assert speaker.host.instead_of is not None
    assert speaker.host.instead_of.id == "Headphones"
    assert speaker.remembered == [2, 0]


async def test_the_doctor_without_a_daemon_waits_for_the_same_card(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug(folder, {0: SOCKET})
    (folder / "cards").write_text("playback usb\n")
    monkeypatch.setenv("STATE_DIRECTORY", str(folder))
    (folder / "config.toml").write_text(
        f'service.url = "ws://127.0.0.1:9/"\ncontrol.socket = "{folder}/control.sock"\n'
    )
    doctor = Doctor(
        str(folder / "config.toml"), DoctorsMachine(folder / "root"), Person(asks=False), str(folder / "key")
    )
    found = {finding.name: finding async for finding in doctor.findings()}
    assert (found["microphone"].verdict, found["speaker"].verdict) == (Grade.OK, Grade.FAULT)
    missing = 'the USB speaker that was here is missing; "Headphones: Audio" is not taken in its place'
    assert found["speaker"].line == f"no speaker: {missing} (speaker.fallback_s)"


async def test_a_better_card_that_is_busy_does_not_take_the_working_one_away(folder: Path, part: Start) -> None:
    """A desktop that probes each new card, or a program that records from it."""
    plug(folder, {0: SOCKET})
    speaker = part("playback")
    await until(lambda: speaker.said)
    # From the first moment on.
    node(folder, 1, "p").touch()
    with held(node(folder, 1, "p")):
        plug(folder, {0: SOCKET, 1: USB}, busy=(1, "p"))
        await asyncio.sleep(SETTLED_S + card_search.LOOK_AGAIN_S + 2.0)
        assert speaker.said == [of(SOCKET, 0)]
        assert (speaker.name, speaker.host.started) == (of(SOCKET, 0), 1)
    plug(folder, {0: SOCKET, 1: USB})
    free_s = time.monotonic()
    await until(lambda: len(speaker.said) > 1)
    assert time.monotonic() - free_s < card_search.LOOK_AGAIN_S + SETTLED_S + FOUND_S
    assert speaker.said[1:] == [of(USB, 1)]


@pytest.mark.parametrize("fault", [fake_machine.FULL, fake_machine.HANGS])
@pytest.mark.parametrize("fallback_s", [0.0, 0.5])
async def test_a_better_card_that_fails_gives_the_working_one_back(
    folder: Path, part: Start, fault: str, fallback_s: float
) -> None:
    plug(folder, {0: SOCKET})
    # With a wait that is over the socket is open though the box has had a USB card.
    speaker = part("playback", fallback_s=fallback_s, best_rank=0 if fallback_s else None)
    await until(lambda: speaker.name)
    before = len(speaker.said)
    node(folder, 1, "p").write_text(fault)
    plug(folder, {0: SOCKET, 1: USB})
    await until(lambda: len(speaker.said) > before)
    assert speaker.said[before:] == [of(SOCKET, 0)], "and no word of a missing one"
    assert "Unanticipated host error" in speaker.note or "hung for" in speaker.note
    started = speaker.host.started
    await asyncio.sleep(card_search.LOOK_AGAIN_S + SETTLED_S + 1.0)
    assert (len(speaker.said), speaker.host.started) == (before + 1, started), "it is not tried again"
    # Once it has been away it is.
    plug(folder, {0: SOCKET})
    await asyncio.sleep(card_search.LOOK_AGAIN_S + 0.5)
    node(folder, 1, "p").write_text("")
    plug(folder, {0: SOCKET, 1: USB})
    await until(lambda: speaker.name == of(USB, 1))


async def test_the_owner_may_say_how_long_to_wait(folder: Path, part: Start) -> None:
    plug(folder, {0: SOCKET, 1: USB})
    speaker = part("playback", fallback_s=3.0)
    await until(lambda: speaker.said)
    plug(folder, {0: SOCKET})
    gone_s = time.monotonic()
    await until(lambda: speaker.name == of(SOCKET, 0))
    assert 3.0 <= time.monotonic() - gone_s < 3.0 + FOUND_S
    plug(folder, {0: SOCKET, 1: USB})
    await until(lambda: speaker.name == of(USB, 1))


async def test_who_waits_for_the_lock_is_not_taken_for_hung(
    folder: Path, part: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sound_host, "LOOKING_S", 2.0)
    plug(folder, {0: USB})
    lock = os.open(machine(folder).nodes, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    microphone = part("capture")
    await asyncio.sleep(4.5)
    assert microphone.said == []
    os.close(lock)
    await until(lambda: microphone.name)
    assert (microphone.said, microphone.host.started) == ([of(USB, 0)], 1)


async def test_a_machine_too_slow_for_a_look_is_given_longer(
    folder: Path, part: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Python and PortAudio need longer than that to begin, and so much that the waits between hosts stay in their first
    # steps on a machine ten times slower, too.
    monkeypatch.setattr(sound_host, "LOOKING_S", 0.05)
    monkeypatch.setattr(sound_host, "CHECK_S", 0.01)
    plug(folder, {0: USB})
    microphone = part("capture")
    await until(lambda: microphone.name)
    assert microphone.said[0].startswith("the sound host hung for 0.0")
    assert 3 <= microphone.host.started <= 14


HOLDER = """
import fcntl, os, sys, time
fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


async def test_a_holder_that_is_killed_has_no_lock_any_more(folder: Path, part: Start) -> None:
    plug(folder, {0: USB})
    holder = await asyncio.create_subprocess_exec(
        sys.orig_argv[0], "-c", HOLDER, machine(folder).nodes, stdout=asyncio.subprocess.PIPE
    )
    assert holder.stdout is not None
    await holder.stdout.readline()
    microphone = part("capture")
    await asyncio.sleep(1.0)
    assert microphone.said == []
    holder.kill()
    killed_s = time.monotonic()
    await until(lambda: microphone.name)
    assert time.monotonic() - killed_s < FOUND_S
    await holder.wait()
