"""What happens to the turn machine, deadlines aside: plain values.

Times (``_s``) are monotonic seconds. Response ids are the session's, opaque.
"""

from __future__ import annotations

from appliance.turn.value import Value


class ToolCall(Value):
    """One tool the model wants. ``arguments`` is the service's JSON text, not yet read."""

    call_id: str
    name: str
    arguments: str


class Event(Value):
    """Base of everything that happens to the machine, deadlines aside."""


class Press(Event):
    """A button went down at ``at_s``."""

    at_s: float


class Release(Event):
    """The button went up at ``at_s``, which may lie a debounce time in the past."""

    at_s: float


class Lifted(Event):
    """The contact opened at ``at_s``: a release, or a bounce. A Release follows if it was one."""

    at_s: float


class GateOpened(Event):
    """``OPEN`` only: the voice gate is certain now that somebody has been speaking since ``at_s``."""

    at_s: float


class InterruptionSuspected(Event):
    """``OPEN`` only, full duplex: something is heard over the answer that is no echo of it: a person, or a noise.
    TalkedOver follows if it was a person."""


class TalkedOver(Event):
    """``OPEN`` only, full duplex: somebody talks over the answer. What is said then opens a turn of its own."""


class Stop(Event):
    """Somebody asked for silence (``ctl stop``): the reply and the turn end."""


class UtteranceSent(Event):
    """The last sample of the ended utterance has been handed to the connection."""


class SendingProgress(Event):
    """Some of the utterance left; sent about once a second. ``behind_s``: seconds of it that are heard and have not."""

    behind_s: float


class LinkReady(Event):
    """A new session has its settings: audio may be sent."""


class LinkLost(Event):
    """The session is gone; the link tries again by itself while a turn wants it."""


class LinkFailed(Event):
    """The link will not try again by itself in time to serve this turn."""


class SpeechBegan(Event):
    """The service hears the person speak."""


class SpeechEnded(Event):
    """The service heard the person stop."""


class NothingHeard(Event):
    """The service found nothing in what this turn's commit ended. That nobody spoke is for the rules to say."""


class ReplyBegan(Event):
    """The service began a reply that belongs to this turn."""

    response_id: str


class ReplyAudio(Event):
    """Audio of that reply arrived (and lies in the player). ``silent``: nothing of it could be heard."""

    response_id: str
    silent: bool = False


class ToolCalled(Event):
    """That reply wants a tool. The same call id again: now it is better known."""

    response_id: str
    call: ToolCall


class ReplyEnded(Event):
    """All of that reply has arrived. ``status`` is the service's: completed, cancelled, failed, incomplete, or another
    word, which means nothing bad; never "". ``reason``: why it ended so, one line, "" if not said."""

    response_id: str
    status: str
    reason: str = ""


class ReplyAudible(Event):
    """The first sample of the reply left the speaker."""

    response_id: str


class PlaybackProgress(Event):
    """The speaker is playing; sent about once a second."""


class ReplyDrained(Event):
    """The last sample of the reply left the speaker."""

    response_id: str


class ToolsFinished(Event):
    """Every tool of one response has answered. ``outputs`` pairs call ids with JSON texts."""

    outputs: tuple[tuple[str, str], ...]


class MicrophoneReady(Event):
    """The microphone delivers."""


class MicrophoneLost(Event):
    """The microphone is gone, or has had a hole too long to bridge."""
