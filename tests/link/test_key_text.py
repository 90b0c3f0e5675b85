"""The key in what people and programs write, and that nothing else is taken for one."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.link.key_text import NoKeyError, decoded, key_in

KEY = "swaram_0123456789abcdef"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
BASE64 = "c3dhcmFtIHRva2Vu/+8="


@pytest.mark.parametrize("key", [KEY, JWT, BASE64, "sk-proj-a_b", "key==", "odd:and=1", "swaram_key=="])
@pytest.mark.parametrize(
    "form",
    [
        "{}",
        "{}\r\n",
        "\ufeff{}\n",
        "\n  {}\t\n\n",
        "\u00a0{}\u00a0",
        "{}\u200b",
        "\u2060{}\u00ad\u200e",
        '"{}"',
        "'{}'\r\n",
        "“{}”",
        "`{}`",
        ' " {} " ',
        "SWARAM_API_KEY={}",
        "export SWARAM_API_KEY='{}'",
        'API_KEY = "{}"',
        '"api_key": "{}",',
        "token: {}",
        "Authorization: Bearer {}",
        "Bearer {}",
        "# the key of the shop\nSWARAM_API_KEY={}\n",
        '{{"value": "{}", "expires_at": 1800000000}}',
        '{{"client_secret": {{"value": "{}"}}}}',
        '{{\n  "API_KEY": "{}"\n}}',
        '{{"access_token": "{}", "token_type": "bearer"}}',
        '{{"value": "{0}", "token": "{0}"}}',
    ],
)
def test_where_the_meaning_is_plain_the_key_is_taken(form: str, key: str) -> None:
    assert key_in(form.format(key)) == key


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no key"),
        (" \u00a0\u200b\n", "no key"),
        ("# only a comment\n", "no key"),
        ("unset", "no key"),
        ('""', "no key"),
        ("SWARAM_API_KEY=''", "no key"),
        ("null", "null where the key should be"),
        ('"None"', "none where the key should be"),
        ('{"value": null}', "JSON with no member"),
        ('{"error": "denied"}', "JSON with no member such as value, token"),
        ('{"value": ""}', "no key"),
        ('{"token": "one", "key": "other"}', "JSON with more than one member"),
        ("[]", "JSON with no member"),
        ('{"value": ', "looks like JSON and is not"),
        ("[" * 100_000, "looks like JSON and is not"),
        ("<!DOCTYPE html><title>Sign in</title>", "a web page"),
        ("{\\rtf1\\ansi " + KEY + "}", "save it as plain text"),
        (f"{KEY}\n{KEY}1\n", "more than one line"),
        (f"{KEY}\nX-Header: 1", "more than one line"),
        ("my key is secret", "more than one key or stray characters"),
        (f'"{KEY}', "more than one key or stray characters"),
        ("$SWARAM_API_KEY", "the name of a variable"),
        ("${KEY}", "the name of a variable"),
        ("https://swaram.live/keys", "an address"),
        ("swaram_...", "a shortened key"),
        ("swaram_ab***yz", "a shortened key"),
        ("swaram_…", "HORIZONTAL ELLIPSIS (U+2026) in line 1, column 8"),
        ("swaram_01\u00a0swaram_02", "NO-BREAK SPACE (U+00A0) in line 1, column 10"),
        ("\n\nswaram_01\x0023", "control character (U+0000) in line 3, column 10"),
        ("കീ", "MALAYALAM LETTER KA (U+0D15) in line 1, column 1"),
    ],
)
def test_otherwise_it_says_what_stands_there(text: str, said: str) -> None:
    with pytest.raises(NoKeyError) as caught:
        key_in(text)
    assert said in str(caught.value)
    assert "0123456789" not in str(caught.value) and "secret" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_of_other_systems_is_read(encoding: str) -> None:
    assert key_in(decoded(f"{KEY}\r\n".encode(encoding))) == KEY


@pytest.mark.parametrize("content", [b"\xff\xd8\xff\xe0", b"\x89PNG\r\n", b"\xff\xfe\x00"])
def test_what_is_no_text_is_refused(content: bytes) -> None:
    with pytest.raises(NoKeyError, match="no text"):
        decoded(content)


@given(st.text())
def test_whatever_it_is_given_a_key_fits_into_a_header_or_there_is_none(text: str) -> None:
    with contextlib.suppress(NoKeyError):
        key = key_in(text)
        assert key.isascii() and key.isprintable() and not set(key) & set(" \"'`<>{}")


@given(
    st.recursive(st.none() | st.text(), lambda inner: st.dictionaries(st.sampled_from(["value", "key", "x"]), inner))
)
def test_any_json_is_taken_or_refused(values: object) -> None:
    with contextlib.suppress(NoKeyError):
        assert key_in(json.dumps(values)).isascii()
