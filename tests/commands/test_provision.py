"""What somebody leaves on the boot partition: taken over when it is good, left with a word when it is not."""

from __future__ import annotations

import argparse
import errno
import fnmatch
import os
import re
import stat
from pathlib import Path

import pytest

from appliance.commands import provision
from appliance.storage import atomic_file, boot_files

KEY = "sk-0123456789abcdef"
SETTINGS = 'talk.mode = "hold"\n'


class Card:
    """A boot partition and the folder of the configuration."""

    def __init__(self, folder: Path) -> None:
        self.boot = folder / "boot"
        self.to = folder / "etc"
        self.boot.mkdir()
        self.run = folder / "run"
        self.run.mkdir()
        self.key = self.to / "key"
        self.configuration = self.to / "config.toml"

    def put(self, name: str, content: bytes) -> Path:
        path = self.boot / name
        path.write_bytes(content)
        return path

    def start(self) -> int:
        """What systemd runs before the daemon."""
        return provision.run(argparse.Namespace(boot=[str(self.boot)], to=str(self.to), say_in=str(self.run)))

    @property
    def left(self) -> list[str]:
        return sorted(path.name for path in self.boot.iterdir())


@pytest.fixture
def card(tmp_path: Path) -> Card:
    return Card(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        KEY.encode(),
        f"{KEY}\n".encode(),
        f"\ufeff{KEY}\r\n".encode(),
        f'"{KEY}"\r\n'.encode(),
        f" '{KEY}' \n\n".encode(),
        f"{KEY}\r\n".encode("utf-16"),
    ],
    ids=["bare", "line", "notepad", "quoted", "spaces", "unicode"],
)
def test_a_key_is_taken_over_however_its_editor_saved_it(card: Card, content: bytes) -> None:
    card.put("voice-appliance.key", content)
    assert card.start() == 0
    assert card.key.read_bytes() == KEY.encode() + b"\n"
    assert stat.S_IMODE(card.key.stat().st_mode) == 0o600
    assert card.left == []


def test_a_configuration_is_taken_over_as_this_system_writes_text(card: Card) -> None:
    card.put("voice-appliance.toml", b"\xef\xbb\xbf" + SETTINGS.replace("\n", "\r\n").encode())
    assert card.start() == 0
    assert card.configuration.read_text() == SETTINGS
    assert stat.S_IMODE(card.configuration.stat().st_mode) == 0o644
    assert card.left == []


@pytest.mark.parametrize(
    "name",
    [
        *("voice-appliance.key.txt", "VOICE-APPLIANCE.KEY", "Voice-Appliance.Key.TXT", "voice-appliance.key.rtf"),
        *("voice-appliance .key ", "voice_appliance.key", "Voice Appliance.key.txt.txt", "voice-appliance.key\u200b"),
    ],
)
def test_a_hidden_ending_and_capital_letters_do_not_matter(card: Card, name: str) -> None:
    card.put(name, KEY.encode())
    assert card.start() == 0
    assert card.key.exists()
    assert card.left == []


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("voice-appliance.key", b"", "holds no key"),
        ("voice-appliance.key", b"\r\n\r\n", "holds no key"),
        ("voice-appliance.key", b"my key is secret", "more than one key"),
        ("voice-appliance.key", b"\xff\x00\xfe", "not UTF-8"),
        ("voice-appliance.key", b"x" * 70_000, "larger than"),
        ("voice-appliance.toml", b"", "is empty"),
        ("voice-appliance.toml", b'talk.mode = "shout"\n', ":1: talk.mode: "),
        ("voice-appliance.toml", b"talk\n", "is not TOML"),
        ("voice-appliance.toml", SETTINGS.encode("utf-16"), "not UTF-8"),
    ],
)
def test_what_is_no_good_is_left_with_a_word_and_changes_nothing(
    card: Card, name: str, content: bytes, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    card.to.mkdir()
    card.key.write_text("former key\n")
    card.configuration.write_text("# former\n")
    card.put(name, content)
    assert card.start() == 78
    assert card.left == sorted([name, provision.REPORT])
    assert card.key.read_text() == "former key\n"
    assert card.configuration.read_text() == "# former\n"
    report = (card.boot / provision.REPORT).read_text()
    assert said in report
    assert said in caplog.text
    assert "secret" not in report + caplog.text


@pytest.mark.parametrize(
    "name",
    [
        "voice-appliance.txt",
        "voice-appliance.key.docx",
        "voice-appliance (1).key",
        "voice-appliance.conf",
        "Voice Appliance",
    ],
)
def test_a_name_that_is_nearly_right_is_one_line_and_nothing_is_lost(
    card: Card, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    card.put(name, KEY.encode())
    for _ in range(2):
        assert card.start() == 78
    assert caplog.text.count(f"{name}: not used under this name; call the key voice-appliance.key") == 2
    assert (card.boot / name).read_bytes() == KEY.encode()
    assert not card.key.exists() and KEY not in caplog.text


def test_the_unit_looks_for_the_same_names() -> None:
    unit = (Path(__file__).parents[2] / "systemd/voice-appliance-provision.service").read_text()
    patterns = re.findall(r"ConditionPathExistsGlob=\|/boot/(.*)", unit)
    for name in ("voice-appliance.key", "Voice_Appliance.KEY.txt", "voice appliance.toml", "voice-appliance.txt"):
        assert any(fnmatch.fnmatchcase(name, pattern.removeprefix("firmware/")) for pattern in patterns), name


@pytest.mark.parametrize("name", ["voice-appliance.key.bak", "._voice-appliance.key", "voice-appliance.toml~"])
def test_what_is_put_aside_is_not_mentioned(card: Card, name: str) -> None:
    card.put(name, KEY.encode())
    assert card.start() == 0
    assert card.left == [name]


def test_of_two_keys_the_rightly_named_counts_and_the_other_is_one_line(
    card: Card, caplog: pytest.LogCaptureFixture
) -> None:
    card.put("Voice-Appliance.key.txt", b"sk-other")
    card.put("voice-appliance.key", KEY.encode())
    assert card.start() == 78
    assert card.key.read_bytes() == KEY.encode() + b"\n"
    assert "Voice-Appliance.key.txt: is not looked at, for voice-appliance.key is there" in caplog.text
    assert card.left == ["Voice-Appliance.key.txt", provision.REPORT]


def test_a_document_of_a_word_processor_is_named_as_one(card: Card) -> None:
    card.put("voice-appliance.key.rtf", b"{\\rtf1\\ansi\\f0 " + KEY.encode() + b"}")
    assert card.start() == 78
    report = (card.boot / provision.REPORT).read_text()
    assert "holds a document of a word processor; save it as plain text" in report and KEY not in report


def test_a_good_key_beside_a_bad_configuration_is_taken_over(card: Card) -> None:
    card.put("voice-appliance.key", KEY.encode())
    card.put("voice-appliance.toml", b"talk\n")
    assert card.start() == 78
    assert card.key.exists()
    assert card.left == ["voice-appliance.toml", provision.REPORT]


def test_the_word_goes_when_everything_is_well(card: Card) -> None:
    bad = card.put("voice-appliance.toml", b"talk\n")
    card.start()
    bad.write_bytes(SETTINGS.encode())
    assert card.start() == 0
    assert card.left == []


def test_other_files_of_the_boot_partition_are_not_touched(card: Card) -> None:
    card.put("config.txt", b"dtparam=audio=on\n")
    card.put("cmdline.txt", b"quiet\n")
    assert card.start() == 0
    assert card.left == ["cmdline.txt", "config.txt"]
    assert not card.to.exists()


def test_a_plug_pulled_between_install_and_removal_is_made_good_at_the_next_start(
    card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(path: str) -> None:
        raise KeyboardInterrupt

    card.put("voice-appliance.key", KEY.encode())
    with monkeypatch.context() as power:
        power.setattr(atomic_file, "remove", cut)
        with pytest.raises(KeyboardInterrupt):
            card.start()
    assert card.key.exists()
    assert card.left == ["voice-appliance.key"]
    installed = card.key.stat().st_ino
    assert card.start() == 0
    assert card.left == []
    # Not written again: the service would be told of a new key.
    assert card.key.stat().st_ino == installed


def test_a_plug_pulled_before_the_key_is_in_its_place_loses_nothing(
    card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(_from: str, _to: str) -> None:
        raise KeyboardInterrupt

    card.put("voice-appliance.key", KEY.encode())
    with monkeypatch.context() as power:
        power.setattr(os, "replace", cut)
        with pytest.raises(KeyboardInterrupt):
            card.start()
    assert not card.key.exists()
    assert card.start() == 0
    assert card.key.exists()
    assert card.left == []


def test_on_a_read_only_partition_the_files_count_and_stay(
    card: Card, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(path: str) -> None:
        raise OSError(errno.EROFS, "Read-only file system", path)

    monkeypatch.setattr(os, "unlink", refuse)
    card.put("voice-appliance.key", KEY.encode())
    assert card.start() == 0
    assert card.key.exists()
    assert card.left == ["voice-appliance.key"]
    assert "read-only" in caplog.text


def test_the_daemon_hears_of_what_was_refused_until_it_is_mended_or_gone(card: Card) -> None:
    bad = card.put("voice-appliance.toml", b"talk\n")
    card.put("voice-appliance (1).key", KEY.encode())
    card.start()
    told = boot_files.refused(str(card.run))
    assert [f"{bad}:1: " in told[0], "not used under this name" in told[1]] == [True, True]
    assert KEY not in "".join(told)
    bad.unlink()
    assert [line for line in boot_files.refused(str(card.run)) if str(bad) in line] == []
    (card.boot / "voice-appliance (1).key").unlink()
    assert card.start() == 0
    assert list(card.run.iterdir()) == []


def test_a_reset_takes_settings_and_key_away_and_what_lies_beside_it_counts(card: Card) -> None:
    card.to.mkdir()
    card.key.write_text("former key\n")
    card.configuration.write_text("# former\n")
    group = card.to / "config.toml.d" / "50-shops.toml"
    group.parent.mkdir()
    group.write_text("speaker.volume = 31\n")
    card.put("VOICE-APPLIANCE.RESET.txt", b"")
    card.put("voice-appliance.toml", SETTINGS.encode())
    assert card.start() == 0
    assert card.left == []
    assert card.key.read_bytes() == b"" and stat.S_IMODE(card.key.stat().st_mode) == 0o600
    assert card.configuration.read_text() == SETTINGS
    assert group.exists()
