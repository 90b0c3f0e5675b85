"""Who has a card open, from files as the kernel writes them (recorded on snd-aloop, Linux 6.12)."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.soundhost.card_owners import in_use, is_free
from appliance.soundhost.devices import Card, KernelFolders

CARD = Card(2, "Device", "USB-Audio", "USB PnP Sound Device", "1-1.2")
OPEN = "state: RUNNING\nowner_pid   : 264\ntrigger_time: 53.377597637\ntstamp      : 54.779394991\n"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    for pcm in ("pcm0c", "pcm0p"):
        (tmp_path / "asound/card2" / pcm / "sub0").mkdir(parents=True)
        (tmp_path / "asound/card2" / pcm / "sub0/status").write_text("closed\n")
    (tmp_path / "asound/card2/pcm0c/info").write_text("card: 2\n")
    return tmp_path


def hold(proc: Path, pcm: str) -> None:
    (proc / "asound/card2" / pcm / "sub0/status").write_text(OPEN)


def seen(proc: Path) -> None:
    (proc / "264").mkdir()
    (proc / "264/comm").write_text("arecord\n")
    (proc / "264/status").write_text("Name:\tarecord\nTgid:\t263\nPid:\t264\n")


@pytest.mark.parametrize("wanted", ["auto", "usb:1-1.2", "Device", "usb pnp", "USB PnP Sound Device: Audio (hw:2,0)"])
def test_the_program_and_its_process_are_named(proc: Path, wanted: str) -> None:
    hold(proc, "pcm0c")
    seen(proc)
    assert in_use(wanted, "capture", [CARD], str(proc)) == (
        '"USB PnP Sound Device" is in use as a microphone by arecord (process 263); stop that, or choose another device'
    )
    assert in_use(wanted, "playback", [CARD], str(proc)) == "", "the other direction is free"


def test_a_process_that_we_may_not_see_can_be_named_by_whoever_reads_the_line(proc: Path) -> None:
    """As under systemd, where the unit says ``ProtectProc=invisible``."""
    hold(proc, "pcm0p")
    said = in_use("auto", "playback", [CARD], str(proc))
    assert "in use as a speaker by another program (cat /proc/264/comm names it);" in said


def test_a_card_is_free_while_nobody_has_it_and_its_file_may_be_opened(proc: Path) -> None:
    where = KernelFolders(str(proc / "asound"), str(proc), str(proc / "snd"))
    assert not is_free(CARD, "capture", where), "there is no file yet"
    (proc / "snd").mkdir()
    (proc / "snd/pcmC2D0c").touch()
    assert is_free(CARD, "capture", where)
    assert not is_free(CARD, "playback", where), "that is another file"
    hold(proc, "pcm0c")
    assert not is_free(CARD, "capture", where)
    assert not is_free(CARD._replace(number=3), "capture", where), "unplugged in this moment"


@pytest.mark.parametrize("wanted", ["usb:1-1.3", "Jabra", "Jabra: Audio (hw:1,0)", "usbmic"])
def test_other_cards_are_not_looked_at(proc: Path, wanted: str) -> None:
    hold(proc, "pcm0c")
    assert in_use(wanted, "capture", [CARD], str(proc)) == ""


def test_a_free_place_beside_a_taken_one(proc: Path) -> None:
    hold(proc, "pcm0c")
    (proc / "asound/card2/pcm0c/sub1").mkdir()
    (proc / "asound/card2/pcm0c/sub1/status").write_text("closed\n")
    assert in_use("auto", "capture", [CARD], str(proc)) == ""
