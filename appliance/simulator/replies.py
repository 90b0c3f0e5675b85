"""What a reply says, and in which pieces it is sent."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from appliance.simulator import voices
from appliance.simulator.readings import Reading
from appliance.simulator.records import ReplyRecord, TurnRecord
from appliance.simulator.scenario import Reply

PARROT: Final = "parrot"


class Piece(NamedTuple):
    """One delta, and the words that go with it; either may be empty."""

    audio: bytes
    text: str


@dataclass(slots=True)
class ActiveReply:
    """A response from its creation to its end. ``reading``: of the page, when it began. ``pieces``: what has not been
    sent. ``call_ids``: of the tools it asks for, in the order of ``plan.calls``. ``task``: paces it, None when it is
    sent all at once. ``plan_sounds``: ``plan`` has sound. ``created_due``: its response.created has not been sent.
    ``output``: its calls so far, as OpenAI's response.done lists them."""

    plan: Reply
    turn: TurnRecord
    reading: Reading
    record: ReplyRecord
    item_id: str
    pieces: Iterator[Piece]
    call_ids: tuple[str, ...]
    task: asyncio.Task[None] | None = None
    open_calls: set[str] = field(default_factory=set)
    plan_sounds: bool = False
    created_due: bool = True
    output: list[dict[str, object]] = field(default_factory=list)

    @property
    def is_active(self) -> bool:
        """Its response.done has not been sent."""
        return self.record.status is None


def question_for(number: int) -> str:
    """The name of the recorded question that turn ``number`` is taken for, when nothing else is said."""
    questions = voices.questions()
    return questions[number % len(questions)].name


def words_of(heard: str) -> str:
    """The transcript for a turn's ``heard``: a recording's text, or the words themselves."""
    known = voices.recordings().get(heard)
    return known.text if known else heard


def sound_of(reply: Reply, turn: TurnRecord, parrot: bool) -> tuple[bytes, str]:
    """Sound and text of a reply to ``turn``. The order of precedence is in Reply's text."""
    text = reply.text or ""
    if reply.pcm is not None:
        return reply.pcm, text
    if reply.tone_ms:
        return voices.tone(reply.tone_hz, reply.tone_ms), text
    name = reply.voice
    if not name:
        if reply.calls:
            return b"", text
        name = PARROT if parrot else _answer_to(turn)
    if name == PARROT:
        return turn.audio, text
    return voices.pcm(name), voices.recordings()[name].text if reply.text is None else text


def _answer_to(turn: TurnRecord) -> str:
    asked = voices.recordings().get(turn.heard)
    if asked is None or not asked.answer:
        asked = voices.recordings()[question_for(turn.number)]
    return asked.answer


def pieces_of(pcm: bytes, text: str, reply: Reply, delta_ms: float) -> Iterator[Piece]:
    """The deltas of a reply, its words spread over them. A reply without sound gives one piece with all its words."""
    chunks = list(_chunks(pcm, reply, delta_ms))
    if not chunks:
        return iter([Piece(b"", text)] if text else [])
    words = text.split(" ") if text else []
    # Rounded up, so that a word comes before its sound rather than after it.
    bounds = [-(-len(words) * place // len(chunks)) for place in range(len(chunks) + 1)]
    spread = (
        "".join(f"{word} " if at < len(words) - 1 else word for at, word in enumerate(words[start:end], start))
        for start, end in itertools.pairwise(bounds)
    )
    return map(Piece, chunks, spread)


def _chunks(pcm: bytes, reply: Reply, delta_ms: float) -> Iterator[bytes]:
    end = len(pcm) if reply.stops_after_ms is None else min(len(pcm), voices.bytes_from_ms(reply.stops_after_ms))
    sizes = itertools.cycle(reply.split_bytes or (voices.bytes_from_ms(reply.delta_ms or delta_ms),))
    at = 0
    while at < end:
        size = min(next(sizes), end - at)
        yield pcm[at : at + size]
        at += size
