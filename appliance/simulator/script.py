"""A record of the wire, read as the script of a service: what is said, how much later, and what is waited for first.

``realtime/record.py`` says what a record is. Pure but for ``load``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from appliance.errors import UsageError

APPEND: Final = "input_audio_buffer.append"
UPDATE: Final = "session.update"
ENDS_TURN: Final = frozenset({"input_audio_buffer.commit", "response.create", "conversation.item.create"})
"""What a client sends that is reason enough for a response."""


@dataclass(frozen=True, slots=True)
class SayStep:
    """``gap_s`` after the step before: a message of that shape. ``unreadable``: the kind of one that was no event."""

    gap_s: float
    type: str
    fields: Mapping[str, Any]
    unreadable: str = ""


@dataclass(frozen=True, slots=True)
class AwaitMessage:
    """Until the client has sent one more of that type. ``patience_s``: of silence, after which the script goes on
    without it; None waits for ever."""

    type: str
    patience_s: float | None


@dataclass(frozen=True, slots=True)
class AwaitSpeech:
    """Until the caller has begun to speak, or stopped."""

    change: Literal["began", "stopped"]


@dataclass(frozen=True, slots=True)
class End:
    """The connection ends: with a close frame if there is a code, without one if not. ``reason_chars``: of that."""

    gap_s: float
    code: int | None
    reason_chars: int


Step: TypeAlias = SayStep | AwaitMessage | AwaitSpeech | End

PATIENCE_S: Final = 3.0
"""A client that does something else than it did must not keep the service silent for ever; longer than it thinks about
anything."""


@dataclass(frozen=True, slots=True)
class Script:
    """One attempt to connect. ``refused``: with this HTTP status, 0 for a session. At its end without an ``End`` the
    client is waited for."""

    refused: int
    steps: tuple[Step, ...]


def load(path: Path) -> list[Script]:
    """The sessions of a record, also of one in the middle of a doctor's report, in order; never empty.

    Raises UsageError if the file cannot be read, or holds none that is whole enough to be played.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"--replay {path}: {error.strerror or error}") from None
    scripts = [script_of(lines) for lines in _sessions(_lines(text))]
    if not scripts:
        raise UsageError(f"--replay {path}: it holds no session; voice-appliance ctl record on makes such a file")
    return scripts


def _lines(text: str) -> Iterator[dict[str, Any]]:
    """Those of the record; whatever else stands in the file is none of them."""
    for row in text.splitlines():
        try:
            line = json.loads(row)
        except (ValueError, RecursionError):
            continue
        if isinstance(line, dict) and line.get("way") in ("<", ">", "=") and isinstance(line.get("t"), int | float):
            yield line


def _sessions(lines: Iterable[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Without attempts that never reached the service, and without a beginning that is cut off."""
    sessions: list[list[dict[str, Any]]] = []
    for line in lines:
        begins = line["way"] == "=" and line.get("type") in ("connected", "refused")
        if begins and (line["type"] == "connected" or line.get("status")):
            sessions.append([line])
        elif not begins and sessions:
            sessions[-1].append(line)
    return sessions


def script_of(lines: Iterable[Mapping[str, Any]]) -> Script:
    """One session's lines as what a service does. Lines that make no sense are left out."""
    head, *rest = lines
    if head.get("type") == "refused":
        return Script(int(head["status"]), ())
    hears = any(line.get("type") == "input_audio_buffer.speech_started" for line in rest)
    reader = _ScriptReader(says_what_it_hears=hears)
    for line in rest:
        reader.take(line)
    return Script(0, tuple(reader.steps))


@dataclass(slots=True)
class _ScriptReader:
    """Goes through a session. ``says_what_it_hears``: it has ``speech_started`` events."""

    says_what_it_hears: bool
    steps: list[Step] = field(default_factory=list)
    _before_s: float = 0.0
    """When the line before, appends apart, happened."""
    _committed: bool = False
    """Since the caller began to speak, or since the last response, the client has asked for an answer itself."""
    _unanswered: bool = False
    """Audio has come since the last response, and nothing says yet that it is over."""
    _responding: bool = False
    _heard: bool = False
    """Audio has come since the caller last began to speak, or stopped."""
    _in_speech: bool = False
    """By an event that a real beginning has led to; a service may tell the same one again."""

    def take(self, line: Mapping[str, Any]) -> None:
        """The next line."""
        way, type_ = line["way"], str(line.get("type", ""))
        if way == ">" and type_ == APPEND:
            self._unanswered = not self._responding and not self._committed
            self._heard = True
            return
        gap_s = max(0.0, line["t"] - self._before_s)
        self._before_s = line["t"]
        if way == ">":
            self._sent(type_, gap_s)
        elif way == "<":
            self._said(line, type_, gap_s)
        elif type_ == "closed" and line.get("by") != "box":
            self.steps.append(_end(line, gap_s))

    def _sent(self, type_: str, gap_s: float) -> None:
        self.steps.append(AwaitMessage(type_, None if type_ == UPDATE else gap_s + PATIENCE_S))
        if type_ in ENDS_TURN:
            self._committed, self._unanswered = True, False

    def _said(self, line: Mapping[str, Any], type_: str, gap_s: float) -> None:
        if gate := self._gate(type_):
            self.steps.append(gate)
            gap_s = 0.0
        fields = line.get("fields")
        shape = fields if isinstance(fields, dict) else {}
        self.steps.append(SayStep(gap_s, type_, shape, str(line.get("unreadable", ""))))
        if type_ == "response.done":
            self._responding = self._committed = False
        elif type_.startswith("response."):
            self._responding, self._unanswered = True, False

    def _gate(self, type_: str) -> AwaitSpeech | None:
        """What the service must have heard to say this."""
        if type_ == "input_audio_buffer.speech_started":
            self._in_speech, self._heard = self._heard, False
            self._committed = self._committed and not self._in_speech
            return AwaitSpeech("began") if self._in_speech else None
        if type_ == "input_audio_buffer.speech_stopped":
            ends, self._in_speech, self._heard = self._in_speech, False, False
            return AwaitSpeech("stopped") if ends and not self._committed else None
        silent = not self.says_what_it_hears and self._unanswered
        return AwaitSpeech("stopped") if silent and type_.startswith("response.") else None


def _end(line: Mapping[str, Any], gap_s: float) -> End:
    code, reason = line.get("code"), str(line.get("reason", ""))
    if line.get("by") != "service" or not isinstance(code, int):
        return End(gap_s, None, 0)
    chars = "".join(char for char in reason if char.isdecimal() and char.isascii())
    return End(gap_s, code, min(int(chars or 0), 123))
