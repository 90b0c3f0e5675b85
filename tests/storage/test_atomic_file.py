"""Files that are whole whenever a writer dies."""

from __future__ import annotations

import errno
import os
import random
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.storage import atomic_file

WRITER = """
import sys
from appliance.storage import atomic_file
path = sys.argv[1]
atomic_file.write(path, b"0" * 30_000)
print("ready", flush=True)
number = 0
while True:
    number = (number + 1) % 10
    atomic_file.write(path, str(number).encode() * (30_000 + number))
"""


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "the card is full"), (errno.EROFS, "the card is read-only"), (errno.EIO, "the card is failing")],
)
def test_a_full_card_is_not_told_as_a_read_only_one(number: int, words: str) -> None:
    assert atomic_file.reason(OSError(number, os.strerror(number))).startswith(f"{os.strerror(number)}; {words}")
    assert atomic_file.reason(PermissionError(errno.EACCES, "Permission denied")) == "Permission denied"


def test_a_file_has_the_content_and_the_mode_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "file"
    former = os.umask(0o077)
    try:
        atomic_file.write(str(path), b"content", 0o644)
    finally:
        os.umask(former)
    assert path.read_bytes() == b"content"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_what_a_power_cut_has_left_neither_counts_nor_leaks(tmp_path: Path) -> None:
    left = tmp_path / ("file" + atomic_file.SUFFIX)
    left.write_bytes(b"a longer piece of an older content")
    left.chmod(0o666)
    atomic_file.write(str(tmp_path / "file"), b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600
    assert not left.exists()


def test_a_write_that_fails_leaves_the_former_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"")
    with pytest.raises(IsADirectoryError):
        atomic_file.write(str(tmp_path / "folder"), b"a file in place of a folder")
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]


@pytest.mark.timeout(120)
def test_a_file_is_whole_whenever_its_writer_is_killed(tmp_path: Path) -> None:
    path, chance = tmp_path / "file", random.Random(20)
    seen = set()
    for _ in range(25):
        writer = subprocess.Popen((sys.executable, "-c", WRITER, str(path)), stdout=subprocess.PIPE)
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        # The point of time is what is tested: anywhere within some twenty writes.
        with pytest.raises(subprocess.TimeoutExpired):
            writer.wait(chance.uniform(0, 0.05))
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        content = path.read_bytes()
        assert content == content[:1] * (30_000 + int(content[:1]))
        seen.add(content[:1])
    assert len(seen) > 1, "no writer was killed between two writes"
