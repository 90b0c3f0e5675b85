"""The volume that somebody has set is there after a restart, and never outside of the bounds."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.storage.volume import VolumeFile


def test_what_was_set_is_read_again(tmp_path: Path) -> None:
    environ = {"STATE_DIRECTORY": f"{tmp_path}:/elsewhere"}
    assert VolumeFile(environ).read(80, 20, 100) == 80
    VolumeFile(environ).write(35, 80)
    assert VolumeFile(environ).read(80, 20, 100) == 35
    assert [path.name for path in tmp_path.iterdir()] == ["volume"]


def test_bounds_that_have_changed_since_hold(tmp_path: Path) -> None:
    environ = {"STATE_DIRECTORY": str(tmp_path)}
    VolumeFile(environ).write(35, 80)
    assert VolumeFile(environ).read(80, 50, 100) == 50
    assert VolumeFile(environ).read(80, 0, 30) == 30


def test_who_configures_another_volume_is_obeyed(tmp_path: Path) -> None:
    environ = {"STATE_DIRECTORY": str(tmp_path)}
    VolumeFile(environ).write(35, 80)
    assert VolumeFile(environ).read(50, 20, 100) == 50
    assert VolumeFile(environ).read(80, 20, 100) == 35, "it was mended at once"
    VolumeFile(environ).write(60, 50)
    assert VolumeFile(environ).read(50, 20, 100) == 60


@pytest.mark.parametrize("content", [b"", b"loud", b"\xff\xfe", b"4e1", b"35", b"35 x", b"35 80 1"])
def test_a_file_that_is_no_number_counts_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "volume").write_bytes(content)
    assert VolumeFile({"STATE_DIRECTORY": str(tmp_path)}).read(80, 20, 100) == 80


def test_without_a_folder_nothing_is_kept_and_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    VolumeFile({}).write(35, 80)
    assert VolumeFile({}).read(80, 20, 100) == 80
    assert not caplog.records


def test_a_folder_that_takes_no_file_is_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    VolumeFile({"STATE_DIRECTORY": str(tmp_path / "missing")}).write(35, 80)
    assert [record.getMessage() for record in caplog.records] == [
        f"the volume is not kept for the next start: {tmp_path}/missing/volume: No such file or directory"
    ]
