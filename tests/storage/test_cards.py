"""Which kind of card has worked is there after a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.soundhost.devices import KINDS
from appliance.storage.cards import CardFile


async def test_what_has_worked_is_read_again(tmp_path: Path) -> None:
    environ = {"STATE_DIRECTORY": f"{tmp_path}:/elsewhere"}
    file = CardFile(KINDS, environ)
    assert (file.rank("capture"), file.rank("playback")) == (None, None)
    file.remember("playback", 2)
    file.remember("capture", 0)
    file.remember("playback", 0)
    await file.written()
    assert (tmp_path / "cards").read_text() == "capture usb\nplayback usb\n"
    again = CardFile(KINDS, environ)
    assert (again.rank("capture"), again.rank("playback")) == (0, 0)


@pytest.mark.parametrize("content", [b"", b"playback", b"\xff\xfe", b"playback gold", b"playback usb usb"])
def test_a_file_that_says_nothing_counts_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cards").write_bytes(content)
    assert CardFile(KINDS, {"STATE_DIRECTORY": str(tmp_path)}).rank("playback") is None


async def test_without_a_folder_nothing_is_kept_and_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    file = CardFile(KINDS, {})
    file.remember("playback", 0)
    await file.written()
    assert file.rank("playback") == 0
    assert not caplog.records


async def test_a_folder_that_takes_no_file_is_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = CardFile(KINDS, {"STATE_DIRECTORY": str(tmp_path / "missing")})
    file.remember("playback", 0)
    await file.written()
    assert [record.getMessage() for record in caplog.records] == [
        f"which cards have worked is not kept for the next start: {tmp_path}/missing/cards: No such file or directory"
    ]
