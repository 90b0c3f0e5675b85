"""Characters that nobody sees and every parser does: a byte order mark, a no-break space, a zero width space.

They come with what is copied from web pages, chats and word processors. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from appliance.journal.foreign_text import JOINERS

NEVER_MEANT: Final = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"))
"""For ``str.translate``: what has neither width nor meaning in a key. Soft hyphen, zero width characters, marks of
direction, byte order mark."""


def is_invisible(char: str) -> bool:
    """``char`` cannot be seen, or looks like a space and is none. Line ends, tabs and spaces are what they seem."""
    return not char.isprintable() and char not in "\n\r\t"


def find_invisible(text: str, start: int = 0, end: int | None = None) -> int:
    """Where the first such character of ``text[start:end]`` stands in ``text``; -1 if there is none.

    The joiners behind a letter that is not ASCII are how Malayalam is spelt.
    """
    for index in range(start, len(text) if end is None else end):
        char = text[index]
        if is_invisible(char) and not (char in JOINERS and index and not text[index - 1].isascii()):
            return index
    return -1


def visible(text: str) -> str:
    """``text`` with what cannot be seen as escapes of TOML: ``\\u00a0``."""
    parts: list[str] = []
    start = 0
    while (index := find_invisible(text, start)) >= 0:
        code = ord(text[index])
        parts += [text[start:index], f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"]
        start = index + 1
    return "".join((*parts, text[start:]))


def plain_name(file: str) -> str:
    """The name of a file as a person reads it: in small letters, without what cannot be seen, and without spaces around
    it or its ending ("Wait\u00a0.WAV " is "wait.wav")."""
    seen = "".join(char for char in unicodedata.normalize("NFKC", file) if char.isprintable()).casefold()
    return re.sub(r"\s*\.\s*", ".", seen.strip())


def named(text: str, index: int) -> str:
    """``text[index]`` by its name and place: "NO-BREAK SPACE (U+00A0) in line 2, column 7", both counted from 1."""
    line_start = text.rfind("\n", 0, index) + 1
    return f"{name_of(text[index])} in line {text.count(chr(10), 0, index) + 1}, column {index - line_start + 1}"


def name_of(char: str) -> str:
    """Its name and number: "NO-BREAK SPACE (U+00A0)"."""
    return f"{unicodedata.name(char, 'control character')} (U+{ord(char):04X})"
