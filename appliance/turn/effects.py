"""What the turn machine asks for: plain values, carried out in order.

Times (``_s``) are monotonic seconds. Response ids are the session's, opaque.
"""

from __future__ import annotations

from appliance.turn.events import ToolCall
from appliance.turn.states import Outcome, Sound
from appliance.turn.value import Value


class Effect(Value):
    """Base of everything the machine asks for."""


class OpenTurn(Effect):
    """Responses may belong to this turn from now on. Sent again when the turn moves to a new session."""

    number: int


class CloseTurn(Effect):
    """The turn is over: wipe the utterance, forget its replies, write its line."""

    number: int
    outcome: Outcome


class Connect(Effect):
    """A session is wanted now. Harmless when there is one."""


class LeaveSession(Effect):
    """This turn needs no session any more: what is left of it is here."""


class BeginUtterance(Effect):
    """Keep what the microphone hears from ``at_s`` on, and the pre-roll before it."""

    at_s: float


class ResumeUtterance(Effect):
    """The same turn goes on: what was said from ``at_s`` on follows what was said before."""

    at_s: float


class EndUtterance(Effect):
    """The last sample of the utterance is the one at ``at_s``."""

    at_s: float


class CutUtterance(Effect):
    """Nothing more will be heard: the utterance, which has ended, ends with what is there of its tail."""


class RewindUtterance(Effect):
    """Nothing of the utterance counts as sent any more."""


class OpenUplink(Effect):
    """What was said may leave the box."""


class StartSilence(Effect):
    """Pace zeros after the utterance, so that the service can hear the pause."""


class StopSilence(Effect):
    """Enough zeros."""


class Commit(Effect):
    """Tell the service that the turn has ended."""


class Nudge(Effect):
    """Ask the service to reply now. ``after_tools``: the outputs of tools have brought about nothing."""

    after_tools: bool = False


class Clear(Effect):
    """Tell the service to forget what it has buffered."""


class CloseSession(Effect):
    """Close the session with 1000. ``reason``: for the journal."""

    reason: str


class CancelReply(Effect):
    """Stop a reply that is in progress at the service."""

    response_id: str


class PlayReply(Effect):
    """What has arrived of the reply, and what will, may sound."""


class HoldReply(Effect):
    """All that has arrived was played; what comes next waits for ``PlayReply`` again."""


class PauseReply(Effect):
    """Silence now, for as long as it is not certain that a person speaks; ``PlayReply`` goes on a moment before."""


class DropReply(Effect):
    """Silence now: nothing that has arrived so far may sound any more."""


class RunTools(Effect):
    """Run these tools; answer with ``ToolsFinished``."""

    calls: tuple[ToolCall, ...]


class AbortTools(Effect):
    """End the tools that run; their results are not wanted."""


class SendToolOutputs(Effect):
    """Give the service the results, all together."""

    outputs: tuple[tuple[str, str], ...]


class PlayEarcon(Effect):
    """A short sound for the person. ``ended``: the turn ended so, and words may take its place; None: none did."""

    sound: Sound
    ended: Outcome | None = None


class WarnLongHold(Effect):
    """The light says that the time to speak is nearly over."""


class HintHold(Effect):
    """Tell the person to keep the button pressed while speaking."""


class ReportJam(Effect):
    """The button has been down for longer than anyone speaks: one line; it is ignored until it is released."""


OfUtterance = (
    BeginUtterance
    | ResumeUtterance
    | EndUtterance
    | RewindUtterance
    | CutUtterance
    | OpenUplink
    | StartSilence
    | StopSilence
)
"""Those that decide what of the person's words leaves, and when."""
