"""What comes from outside is one line without secrets by the time it is shown."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.journal import formatters
from appliance.journal.foreign_text import MAX_CHARS, TOLD_WORDS, known_words, masked, one_line
from tests.support.tokens import made_tokens

CHUNK = 8
"""So many characters of a token in a row must not be told."""


@given(st.text())
def test_one_line_is_one_line(text: str) -> None:
    line = one_line(text)
    assert len(line) <= MAX_CHARS and len(line.splitlines()) <= 1
    assert all(char.isprintable() or char in "\u200c\u200d" for char in line)
    assert one_line(line) == line


def test_malayalam_keeps_its_joiners() -> None:
    assert one_line("അവന്\u200d\nപറഞ്ഞു\u202e") == "അവന്\u200d പറഞ്ഞു"


COMPLAINTS = (
    "{}",
    "bad token {}",
    "GET https://api.example.org/token?key={}&model=x: HTTP 401",
    "Authorization: Bearer {}",
    '{{"error": "expired", "token": "{}"}}',
    "token '{}' refused: permission denied",
    "curl: (22) header={}; the requested URL returned error: 403",
)


@pytest.mark.parametrize("told", [known_words, masked])
def test_no_piece_of_a_thousand_tokens_is_told(told: Callable[[str], str]) -> None:
    for number, token in enumerate(made_tokens(1_000)):
        # A program may also cut what it prints, at either end.
        start = number % 3
        for complaint in COMPLAINTS:
            line = told(complaint.format(token[start : len(token) - number % 5]))
            # The header of every JWT of its kind is the same, and no secret; it is masked all the same.
            assert not any(token[at : at + CHUNK] in line for at in range(len(token) - CHUNK + 1)), (complaint, line)


@pytest.mark.parametrize(
    ("complaint", "told"),
    [
        ("no token: the service refused: HTTP 401", "no token the service refused http 401"),
        ("curl: (6) Could not resolve host: api.example.org", "… could not resolve host …"),
        ("/usr/local/bin/token: 3: jq: not found", "… not found"),
        ("Permission denied (publickey).", "permission denied …"),
        ("eyJhbGciOi", ""),
        ("", ""),
        ("401 " * 50, " ".join(["401"] * TOLD_WORDS)),
    ],
)
def test_a_token_programs_complaint_is_told_in_words_of_ours(complaint: str, told: str) -> None:
    assert known_words(complaint) == told


@pytest.mark.parametrize(
    "complaint",
    [
        "FileNotFoundError: [Errno 2] No such file or directory: '/srv/menu/today.json'",
        "error: bus stop 17 has no departures (HTTP 404)",
        "jq: parse error at line 3, column 14",
        "മെനു കിട്ടിയില്ല",
        "connect ECONNREFUSED 127.0.0.1:8123",
    ],
)
def test_what_a_tool_complains_of_can_be_read(complaint: str) -> None:
    assert masked(complaint) == complaint


@pytest.mark.parametrize("formatter", [formatters.JournalFormatter, formatters.TerminalFormatter])
def test_whatever_a_line_holds_the_log_has_one(formatter: type[logging.Formatter]) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter())
    text = "x\n<3>daemon: ready: forged\x1b[2J\r\u2028end"
    handler.handle(logging.makeLogRecord({"name": "appliance.box.tools", "msg": "%s: %d", "args": (text, 5)}))
    assert stream.getvalue().count("\n") == 1 and "\x1b" not in stream.getvalue()
    assert stream.getvalue().endswith("x <3>daemon: ready: forged [2J end: 5\n")


def test_a_traceback_keeps_its_lines() -> None:
    try:
        raise ValueError("broken")
    except ValueError as error:
        fields = {"name": "appliance", "msg": "failed", "exc_info": (ValueError, error, error.__traceback__)}
    assert len(formatters.JournalFormatter().format(logging.makeLogRecord(fields)).splitlines()) > 3
