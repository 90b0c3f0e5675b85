"""What an event of the service comes to, once the rules of ``session.py`` have judged it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from . import events as ev
from .calls import ToolCall
from .opening import Ready, Refused


@dataclass(frozen=True, slots=True)
class SpeechBegan:
    """The service hears the person speak. What has arrived of a reply may no longer sound."""


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """The service hears a pause."""


@dataclass(frozen=True, slots=True)
class NothingHeard:
    """This turn's commit was empty to a service that has shown no sign of having heard anybody in it."""


# A ``response_id`` is ours (``responses.py``): no two replies of a session share one, whatever the service calls them.


@dataclass(frozen=True, slots=True)
class ReplyBegan:
    """A reply to the current turn begins. The one before it has ended, or its ``ReplyEnded`` comes next."""

    response_id: str


@dataclass(frozen=True, slots=True)
class ReplyAudio:
    """The next piece of that reply: whole int16 little-endian samples, mono, 24 kHz; at least one."""

    response_id: str
    pcm: bytes


@dataclass(frozen=True, slots=True)
class ReplyText:
    """The next piece of that reply's text."""

    response_id: str
    text: str


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """That reply wants a tool, and all of the call is here. Said again, with the same call id, when its name or its
    arguments came only later; never said twice of a call that could be read."""

    response_id: str
    call: ToolCall


@dataclass(frozen=True, slots=True)
class ReplyEnded:
    """All of that reply is here. ``status`` is never ""; ``reason``: why it ended so, one line, "" if not said."""

    response_id: str
    status: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CallerText:
    """What the service understood the person to say. ``turn``: in which turn, by the number that it was begun with."""

    text: str
    turn: int


@dataclass(frozen=True, slots=True)
class ServiceSaid:
    """An ``error`` event, each text cut to one printable line. ``harmless``: nothing that a person need know."""

    type: str
    code: str
    message: str
    harmless: bool


@dataclass(frozen=True, slots=True)
class Send:
    """Send this: the cancel of a response that does not belong here, or the settings in the other dialect."""

    event: ev.ClientEvent


@dataclass(frozen=True, slots=True)
class Note:
    """For the log, at this level. One line, without anything that was said."""

    level: Literal["debug", "warning"]
    text: str


Outcome: TypeAlias = (
    Ready
    | Refused
    | SpeechBegan
    | SpeechEnded
    | NothingHeard
    | ReplyBegan
    | ReplyAudio
    | ReplyText
    | ToolCalled
    | ReplyEnded
    | CallerText
    | ServiceSaid
    | Send
    | Note
)
