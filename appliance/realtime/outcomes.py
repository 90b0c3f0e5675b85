"""What an event of the service comes to, once the rules of ``session.py`` have judged it."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from appliance.turn.events import NothingHeard as NothingHeard
from appliance.turn.events import ReplyBegan as ReplyBegan
from appliance.turn.events import ReplyEnded as ReplyEnded
from appliance.turn.events import SpeechBegan as SpeechBegan
from appliance.turn.events import SpeechEnded as SpeechEnded
from appliance.turn.events import ToolCalled as ToolCalled
from appliance.turn.value import Value

from . import events as ev
from .opening import Ready, Refused

UNFINISHED: Final = frozenset({"cancelled", "failed", "incomplete"})
"""How a reply ends that did not come to its end."""

# A ``response_id`` is ours (``responses.py``): no two replies of a session share one, whatever the service calls them.


class ReplySamples(Value):
    """The next piece of that reply: whole int16 little-endian samples, mono, 24 kHz; at least one."""

    response_id: str
    pcm: bytes


class ReplyText(Value):
    """The next piece of that reply's text."""

    response_id: str
    text: str


class CallerText(Value):
    """What the service understood the person to say. ``turn``: in which turn, by the number that it was begun with."""

    text: str
    turn: int


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
    | ReplySamples
    | ReplyText
    | ToolCalled
    | ReplyEnded
    | CallerText
    | ServiceSaid
    | Send
    | Note
)
