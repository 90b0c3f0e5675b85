"""What an event of the service comes to, once the rules of ``session.py`` have judged it."""

from __future__ import annotations

from typing import Literal, TypeAlias

from appliance.value import Value

from . import events as ev
from .calls import ToolCall
from .opening import Ready, Refused


class SpeechBegan(Value):
    """The service hears the person speak. What has arrived of a reply may no longer sound."""


class SpeechEnded(Value):
    """The service hears a pause."""


class NothingHeard(Value):
    """This turn's commit was empty to a service that has shown no sign of having heard anybody in it."""


# A ``response_id`` is ours (``responses.py``): no two replies of a session share one, whatever the service calls them.


class ReplyBegan(Value):
    """A reply to the current turn begins. The one before it has ended, or its ``ReplyEnded`` comes next."""

    response_id: str


class ReplyAudio(Value):
    """The next piece of that reply: whole int16 little-endian samples, mono, 24 kHz; at least one."""

    response_id: str
    pcm: bytes


class ReplyText(Value):
    """The next piece of that reply's text."""

    response_id: str
    text: str


class ToolCalled(Value):
    """That reply wants a tool, and all of the call is here. Said again, with the same call id, when its name or its
    arguments came only later; never said twice of a call that could be read."""

    response_id: str
    call: ToolCall


class ReplyEnded(Value):
    """All of that reply is here. ``status`` is never ""; ``reason``: why it ended so, one line, "" if not said."""

    response_id: str
    status: str
    reason: str = ""


class CallerText(Value):
    """What the service understood the person to say."""

    text: str


class ServiceSaid(Value):
    """An ``error`` event, each text cut to one printable line. ``harmless``: nothing that a person need know."""

    type: str
    code: str
    message: str
    harmless: bool


class Send(Value):
    """Send this: the cancel of a response that does not belong here, or the settings in the other dialect."""

    event: ev.ClientEvent


class Note(Value):
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
