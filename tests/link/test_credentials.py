"""Where the key comes from, and that it shows itself to nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.errors import CredentialError
from appliance.link.credentials import Secret, read_key

KEY = "swaram_0123456789abcdef"


def test_the_configured_file_comes_first(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    assert read_key(str(tmp_path / "key"), {"SWARAM_API_KEY": "other"}).reveal() == KEY


def test_then_the_systemd_credential(tmp_path: Path) -> None:
    (tmp_path / "api-key").write_text(KEY)
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path), "SWARAM_API_KEY": "other"}
    assert read_key("", environment).reveal() == KEY


def test_then_the_environment() -> None:
    assert read_key("", {"SWARAM_API_KEY": KEY}).reveal() == KEY


def test_nothing_anywhere_says_where_to_put_it() -> None:
    with pytest.raises(CredentialError, match=r"credentials\.key_file"):
        read_key("", {})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no key"),
        (b" \n", "holds no key"),
        (b"unset", "holds no key"),
        (b"two keys", "stray characters"),
        ("കീ".encode(), "stray characters"),
        (b"key\x00", "stray characters"),
        (b"\xff\xfe", "holds no key"),
        (b"\xff\xd8", "no text"),
        ("swaram_1\u00a0two keys".encode(), "NO-BREAK SPACE"),
        (b"null", "null where the key should be"),
        (b"k" * 5000, "larger than"),
    ],
)
def test_a_place_that_holds_no_key_is_named_and_not_quoted(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(CredentialError, match=said) as caught:
        read_key(str(path), {"SWARAM_API_KEY": KEY})
    assert str(path) in str(caught.value) and "two keys" not in str(caught.value)


def test_what_a_windows_editor_adds_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(f"\ufeff{KEY}\r\n".encode())
    assert read_key(str(tmp_path / "key")).reveal() == KEY


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(CredentialError, match="No such file"):
        read_key(str(tmp_path / "absent"), {})


def test_a_secret_does_not_show_itself() -> None:
    secret = Secret(KEY)
    assert KEY not in f"{secret} {secret!r} {[secret]} {secret!s:>40}" and not hasattr(secret, "__dict__")
