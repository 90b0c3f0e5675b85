"""What comes from outside, made fit to be shown: the service's words, names of devices, what programs complain of.

Pure, and for every room: whatever was not written by us passes here before it becomes part of a line.
"""

from __future__ import annotations

import re
from typing import Final

MAX_CHARS: Final = 300
"""What is kept of a text: it becomes part of one line."""

NAME_CHARS: Final = 64
"""What is kept of a name: the longest name of a function that OpenAI's Realtime accepts, and twice that of a device."""

JOINERS: Final = "\u200c\u200d"
"""ZERO WIDTH NON-JOINER and ZERO WIDTH JOINER: Malayalam is spelt with them, whatever Unicode calls them."""

MASK: Final = "…"
"""Stands for what may be a secret, and for words that are left out."""

TOLD_WORDS: Final = 16
"""The most that is told of a token program's complaint: a clause."""

_PLAIN_PART: Final = re.compile(
    r"\d{1,6}"
    r"|(?:[A-Z]?[a-z]{1,19}|[A-Z]{1,19})\d{0,2}"  # word, Word, WORD, utf8
    r"|(?:[A-Z][a-z]{2,15}){1,5}(?:[A-Z][a-z])?"  # FileNotFoundError
)
"""A run of ASCII letters and digits that people write. Base64, hexadecimal digits and keys mix them otherwise."""

_WORDS: Final = """
a access account an and answer answer's api are at authentication bad because broken busy cannot certificate client
closed command connect connection could denied directory does down empty errno error exceeded exit expired failed
failure file find for forbidden found from gateway handshake has have hold holds host http https in input internal
invalid is json key limit lookup memory missing module name needs network no not of on one only open option output
parse password permission please port process program provide proxy quota rate read refused rejected reset resolution
resolve response route secret server service service's ssl status stopped such temporary the time timed timeout tls to
token too traceback type unable unauthorized unavailable unexpected unknown unreachable url usage user valid value was
what with without wrong
"""

_KNOWN: Final = frozenset(_WORDS.split()) | {
    str(code) for code in (*range(300, 309), *range(400, 432), *range(500, 512))
}
"""What a token program's complaint is told in: words of ours, and HTTP statuses. None of them is a secret."""


def one_line(text: str, most_chars: int | None = MAX_CHARS) -> str:
    """``text`` fit for the journal, for a terminal, and for the line that systemd is told.

    Line breaks, control characters and what cannot be seen become spaces, several spaces one; Malayalam's joiners stay.
    At most ``most_chars`` of ``text`` are kept; None: all.
    """
    kept = text if most_chars is None else text[:most_chars]
    return " ".join("".join(char if char.isprintable() or char in JOINERS else " " for char in kept).split())


def masked(line: str) -> str:
    """``one_line(line)`` without what may be a key or a token: a word of ASCII that nobody would write becomes ``…``.

    For programs whose complaints are worth reading. A short password, or one that is a word, looks like any other.
    """
    return " ".join(word if _is_plain(word) else MASK for word in one_line(line, None).split())[:MAX_CHARS]


def known_words(line: str) -> str:
    """``line`` as far as it is made of words of a small dictionary of ours; what stands between becomes ``…``.

    For programs that hold a secret. Not a character of ``line`` passes; empty if there is no word of ours in it.
    """
    said: list[str] = []
    for word in line.split():
        bare = word.strip("\"'`()[]{}<>.,:;!?*-").lower()
        known = bare if bare in _KNOWN else MASK
        if known != MASK or said[-1:] != [MASK]:
            said.append(known)
        if len(said) == TOLD_WORDS:
            break
    return " ".join(said) if any(word != MASK for word in said) else ""


def _is_plain(word: str) -> bool:
    """Every run of ASCII letters and digits in ``word`` is one that people write."""
    return all(_PLAIN_PART.fullmatch(part) for part in re.findall(r"[A-Za-z0-9]+", word))
