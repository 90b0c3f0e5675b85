"""What the embedded service remembers of each connection, for tests to look at. All times are ``time.monotonic()``
seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from appliance.realtime import events
from appliance.simulator.voices import SAMPLE_HZ, ms_from_bytes

EventT = TypeVar("EventT", bound=events.ClientEvent | events.ServerEvent)

EndedBy = Literal["silence", "commit", "create", "pause"]


@dataclass(slots=True)
class TurnRecord:
    """One turn of the caller, as the service took it. ``audio`` is that of the turn alone, from shortly before the
    speech. ``number`` counts over all connections of the service, from 0.

    ``answered``: an answer has been sent to its end. ``calls``: the names of the tools asked for, by call id;
    ``outputs``: what came for each, in order: a good client sends exactly one. ``seen``: how many commits, creates and
    cancels came from the turn's beginning to the next one's. ``violations``: in the same time; see ConnectionRecord.
    """

    number: int
    ended_by: EndedBy
    audio: bytes
    heard: str
    ended_s: float
    answered: bool = False
    calls: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, list[str]] = field(default_factory=dict)
    seen: Counter[type[events.ClientEvent]] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


@dataclass(slots=True)
class ReplyRecord:
    """One response. ``pcm`` is all its sound, at ``pcm_hz``; ``sent_audio`` what was sent of it so far. ``status`` is
    None until it is over, whether or not that was said. ``cancelled_by`` None: was not. ``turn``: its number."""

    response_id: str
    pcm: bytes
    text: str
    created_s: float
    sent_audio: bytearray = field(default_factory=bytearray)
    status: str | None = None
    done_s: float | None = None
    cancelled_by: Literal["client", "speech"] | None = None
    turn: int = 0
    pcm_hz: int = SAMPLE_HZ


@dataclass(slots=True)
class ConnectionRecord:
    """One attempt to connect, refused ones too.

    ``status``: of the handshake, None while it is going on. ``received`` and ``sent`` hold every event with its time;
    raw messages that a scenario sends are in ``sent_raw``. ``violations``: what a good client does not do, messages
    that are no events of the subset among it. ``close_code``: what the client's close frame said, None if
    there was none; ``own_close_code``: what ours said. ``closed_s`` None: still open. ``session``: the object of the
    last session.update, as it came. ``sent`` is what was meant: how it looked on the wire is the reading's.
    """

    number: int
    headers: Mapping[str, str] = field(repr=False)
    path: str
    opened_s: float
    status: int | None = None
    accepted_s: float | None = None
    settings: events.SessionSettings | None = None
    session: Mapping[str, object] = field(default_factory=dict)
    received: list[tuple[float, events.ClientEvent]] = field(default_factory=list)
    sent: list[tuple[float, events.ServerEvent]] = field(default_factory=list)
    sent_raw: list[str | bytes] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    turns: list[TurnRecord] = field(default_factory=list)
    replies: list[ReplyRecord] = field(default_factory=list)
    close_code: int | None = None
    own_close_code: int | None = None
    closed_s: float | None = None
    audio_bytes: int = 0

    @property
    def audio(self) -> bytes:
        """Everything that was appended, in order: int16 mono at 24 kHz."""
        return b"".join(event.audio for event in self.received_of(events.InputAudioBufferAppend))

    @property
    def audio_ms(self) -> float:
        """How much was appended. Cheap, unlike ``audio``."""
        return ms_from_bytes(self.audio_bytes)

    @property
    def is_open(self) -> bool:
        """Accepted and not closed."""
        return self.accepted_s is not None and self.closed_s is None

    def received_of(self, kind: type[EventT]) -> list[EventT]:
        """The received events of one type, in order."""
        return [event for _, event in self.received if isinstance(event, kind)]

    def sent_of(self, kind: type[EventT]) -> list[EventT]:
        """The sent events of one type, in order."""
        return [event for _, event in self.sent if isinstance(event, kind)]
