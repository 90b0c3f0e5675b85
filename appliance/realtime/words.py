"""What the service says in words of its own, made fit to be shown."""

from __future__ import annotations

from typing import Final

MAX_CHARS: Final = 300
"""What is kept of a text: it becomes part of one line."""


def one_line(text: str) -> str:
    """``text`` fit for the journal, and for the line that systemd is told, where a line break begins another message:
    cut to ``MAX_CHARS``, without line breaks and control characters. The joiners that Malayalam is spelt with are none,
    whatever Unicode calls them."""
    return "".join(char if char.isprintable() or char in "\u200c\u200d" else " " for char in text[:MAX_CHARS])
