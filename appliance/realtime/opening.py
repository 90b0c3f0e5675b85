"""From the handshake to the first sound: the settings, and the ways in which services take them.

Pure: no clock, no network. One ``Opening`` a session; ``Habits`` outlive it, so that only the first session at an
address pays for finding out.

===================================================  ==================================================================
The service says                                     The session
===================================================  ==================================================================
``session.updated``, before or after ``created``     is ready
``session.created``, then nothing for ``confirm_s``  is ready, on trust: what was sent first is applied first. Later
                                                     sessions do not wait
... and nothing after the question either            is replaced, once: perhaps that one was dead
``error``, then ``session.updated``                  is ready: the error was about something else
``error`` of type ``server_error``                   is left, unless a confirmation follows (``link/connection.py``)
``error``, and nothing for ``REFUSAL_S``             asks once more in the other dialect
``error`` again, or "locked", and it stays open      goes on with the settings of ``session.created``, if it has any;
                                                     else it is refused
===================================================  ==================================================================

A connection that closes is judged by its close code (decision 11), whatever was said here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from appliance.errors import ProtocolError
from appliance.journal.foreign_text import one_line

from . import events as ev
from .events import Dialect

CLOSE_AFTER_ERROR_S: Final = 1.0
"""How long an ``error`` event waits for the close that explains it (decision 11)."""

CONFIRM_S: Final = 2.0
"""So long after ``session.created`` a confirmation is not waited for any longer. Both answer what left the box in the
same moment, so they arrive together, or one round trip apart: a satellite's takes 0.7 s. Shorter, and a slow service
that does confirm would be sent audio too early; longer, and the first person at a service that does not would wait."""

REFUSAL_S: Final = 0.25
"""An ``error`` is a refusal when so long nothing else came: a service that confirms all the same, or closes with its
reason, does so in the same breath. Paid once for an address."""

_LOCKED: Final = ("locked", "immutable", "cannot be changed", "can't be changed", "read-only")
"""What an error says, in its code or its text, when no dialect would do."""

_MALFORMED: Final = frozenset({1003, 1007, 1008})
"""Closes that a service may answer with, in place of an ``error``, to what it does not understand."""

_AFTER_REFUSAL: Final = _MALFORMED | {1000, 1005, 1011}
"""... and behind one. All others say something else: busy, a key, credits, a line that broke."""

# ---------------------------------------------------------------- what is known, and what follows


@dataclass(slots=True)
class Habits:
    """How the service at one address takes settings, as far as it has shown."""

    dialect: Dialect = Dialect.SWARAM
    """To begin with."""
    taken: bool = False
    """It has confirmed settings in that dialect, or begun to talk with them."""
    confirms: bool = True
    """False: it never says ``session.updated``."""
    locked: bool = False
    """It lets no settings be changed."""
    doubted: bool = False
    """A session was begun on trust and never said anything. The next one is waited for as any other."""
    closed_on_one: bool = False
    """It has closed a connection on the dialect that is not the one to begin with now."""


@dataclass(frozen=True, slots=True)
class Ready:
    """Settings are in force: audio may go. Once a session."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The service does not take the settings, and the session is of no use. ``message``: its own words, one line."""

    message: str


@dataclass(frozen=True, slots=True)
class Remark:
    """For the journal: what the owner should know of the service's way with the settings."""

    text: str


Step: TypeAlias = ev.SessionUpdate | Ready | Refused | Remark


class _Awaits(Enum):
    """What the opening waits for until ``due_s``."""

    CONFIRMATION = "session.updated"
    SECOND_WORD = "what follows an error: a confirmation, a close, or nothing"
    CLOSE = "the close that explains a refusal"
    NOTHING = "it is over"


# ---------------------------------------------------------------- the rules


class Opening:
    """See the module's text. Times are monotonic seconds."""

    def __init__(self, settings: ev.SessionSettings, habits: Habits, confirm_s: float = CONFIRM_S) -> None:
        self._settings = settings
        self._habits = habits
        self._confirm_s = confirm_s
        self._dialect = habits.dialect
        self._begun = False
        self._tried_both = False
        self._awaits = _Awaits.CONFIRMATION
        self._created: Mapping[str, object] | None = None
        """Settings before ours; None before ``session.created``."""
        self._says_locked = False
        self.refusal: str | None = None
        """What the last ``error`` said, one line; None if there was none."""
        self.on_trust = False
        """The session is ready though nothing was confirmed, it is the first to be so, and the service has been silent
        since."""
        self.due_s: float | None = None
        """When ``advance`` has something to do; None: only the service can go on."""

    @property
    def over(self) -> bool:
        """The session is ready, or refused."""
        return self._awaits is _Awaits.NOTHING

    def begin(self) -> ev.SessionUpdate:
        """The first message, to be sent once. Raises ProtocolError the second time."""
        if self._begun:
            raise ProtocolError("session.update is sent once in a session")
        self._begun = True
        return ev.SessionUpdate(self._settings, self._dialect)

    def created(self, session: Mapping[str, object], now_s: float) -> list[Step]:
        """``session.created`` has arrived."""
        if self.over:
            return []
        self._created = session
        if self._awaits is _Awaits.CONFIRMATION and self.due_s is None:
            self.due_s = now_s if not self._habits.confirms else now_s + self._confirm_s
        return self.advance(now_s)

    def updated(self) -> list[Step]:
        """``session.updated`` has arrived. Also once it is over: the next session knows that it comes."""
        if not self._begun:
            # It can not be the answer to our settings, and only that answer lets audio go (decision 12).
            return [Remark("session.updated before our session.update; ignored")]
        self._habits.confirms = True
        self._habits.locked = self._habits.doubted = False
        return [] if self.over else self._settled()

    def complained(self, error: ev.ErrorEvent, now_s: float) -> list[Step]:
        """An ``error`` has arrived."""
        if self.over or error.type == "server_error":
            # Trouble of its own, which says nothing of our settings; unless a confirmation follows it ends the session.
            return []
        self.refusal = one_line(error.message or error.code or error.type)
        said = f"{error.code} {error.message}".lower()
        self._says_locked = self._says_locked or any(word in said for word in _LOCKED)
        if self._habits.locked and self._has_settings:
            return self._go_on_locked()
        if self._awaits is not _Awaits.CONFIRMATION:
            # A service that complains again and again must not put off the end with each.
            return []
        if self._tried_both or self._says_locked:
            self._awaits, self.due_s = _Awaits.CLOSE, now_s + CLOSE_AFTER_ERROR_S
        else:
            self._awaits, self.due_s = _Awaits.SECOND_WORD, now_s + REFUSAL_S
        return []

    def advance(self, now_s: float) -> list[Step]:
        """Time has passed."""
        if not self._begun or self.due_s is None or now_s < self.due_s:
            return []
        match self._awaits:
            case _Awaits.SECOND_WORD:
                self._tried_both = True
                self._dialect = self._dialect.other
                self._awaits = _Awaits.CONFIRMATION
                self.due_s = None if self._created is None else now_s + self._confirm_s
                return [ev.SessionUpdate(self._settings, self._dialect)]
            case _Awaits.CLOSE if self._has_settings:
                return self._go_on_locked()
            case _Awaits.CLOSE:
                self._end()
                return [Refused(self.refusal or "")]
            case _:
                self.on_trust = self._habits.confirms and not self._habits.doubted
                self._habits.confirms = False
                return self._settled()

    def heard(self) -> None:
        """Something has come from the service."""
        self.on_trust = False

    def unanswered(self) -> None:
        """Nothing has followed a question that was sent on trust: the session is given up."""
        self._habits.confirms = self._habits.doubted = True

    def broke(self, code: int) -> bool:
        """The connection was closed with ``code`` before the session was ready. True: on the dialect, and the other, in
        which the next session begins, has not been tried, so the close is no last word."""
        habits = self._habits
        telling = _MALFORMED if self.refusal is None else _AFTER_REFUSAL
        if self.over or self._tried_both or habits.taken or code not in telling:
            return False
        habits.dialect = self._dialect.other
        habits.closed_on_one = not habits.closed_on_one
        return habits.closed_on_one

    # ------------------------------------------------------------ inside

    @property
    def _has_settings(self) -> bool:
        """``session.created`` told of settings that one can go on with. A persona is the least: without one the service
        was never told what the box is for. Where it says itself that they are locked, any will do."""
        created = self._created or {}
        return bool(created if self._says_locked or self._habits.locked else created.get("instructions"))

    def _settled(self) -> list[Step]:
        """Our settings are in force."""
        habits = self._habits
        remarks: list[Step] = []
        if self._dialect is not habits.dialect:
            habits.dialect = self._dialect
            name = self._dialect.value
            text = f'the service takes its settings in the dialect "{name}" only: from here on they are sent so'
            remarks.append(Remark(f'{text}; service.dialect = "{name}" saves the detour at the next start'))
        habits.taken, habits.closed_on_one = True, False
        self._end()
        return [*remarks, Ready()]

    def _go_on_locked(self) -> list[Step]:
        """The service's own settings are in force."""
        self._habits.locked = True
        self._end()
        names = ", ".join(self._differing())
        text = f"the service lets no settings be changed ({self.refusal}): it goes on with its own"
        return [Remark(f"{text}; not set: {names}" if names else text), Ready()]

    def _differing(self) -> list[str]:
        """Names of our settings that are not those of ``session.created``, as far as it says."""
        ours, theirs = self._settings, self._created or {}
        theirs_tools = theirs.get("tools")
        known = theirs_tools if isinstance(theirs_tools, list) else []
        tools = {tool.get("name") for tool in known if isinstance(tool, dict)}
        audio = theirs.get("audio")
        output = audio.get("output") if isinstance(audio, dict) else None
        voice = theirs.get("voice", output.get("voice") if isinstance(output, dict) else None)
        differs = {
            "instructions": ours.instructions != theirs.get("instructions", ""),
            "voice": ours.voice != voice,
            "tools": {tool.name for tool in ours.tools} != tools,
            "tool_choice": ours.tool_choice != theirs.get("tool_choice", "auto"),
            "turn_detection": ours.turn_detection not in (None, theirs.get("turn_detection")),
        }
        return [name for name, is_other in differs.items() if is_other]

    def _end(self) -> None:
        self._awaits, self.due_s = _Awaits.NOTHING, None
