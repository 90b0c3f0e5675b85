"""What the player tells of its replies, in the order in which it happened."""

from __future__ import annotations

from appliance.turn.value import Value


class ReplyStarted(Value):
    """The first sample of the reply was written to the card."""

    response_id: str


class ReplyFinished(Value):
    """The reply has ended and its last sample, the ``frames``-th, was written. The player has forgotten it."""

    response_id: str
    frames: int


class ReplyTruncated(Value):
    """``reply_buffer_s`` is full: the rest of the reply is dropped. Once per reply."""

    response_id: str


class ReplyUnderran(Value):
    """The reply arrives more slowly than it plays: a gap, with faded edges. ``count`` is ``Player.underruns``."""

    response_id: str
    count: int


PlayerEvent = ReplyStarted | ReplyFinished | ReplyTruncated | ReplyUnderran
