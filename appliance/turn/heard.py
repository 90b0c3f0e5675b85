"""What the listener has heard of an answer, as opposed to what has arrived of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class _Reply:
    received_s: float = 0.0
    heard_s: float = 0.0
    text: str = ""


class Heard:
    """The replies of one turn, in order of their first mention. Single-threaded."""

    def __init__(self) -> None:
        self._replies: dict[str, _Reply] = {}

    def _reply(self, response_id: str) -> _Reply:
        return self._replies.setdefault(response_id, _Reply())

    def received(self, response_id: str, seconds: float) -> None:
        """``seconds`` more of the reply's audio arrived."""
        self._reply(response_id).received_s += seconds

    def said(self, response_id: str, text: str) -> None:
        """More of the reply's text arrived."""
        self._reply(response_id).text += text

    def played(self, response_id: str, seconds: float) -> None:
        """The speaker has let out ``seconds`` of the reply, counted from its start; never runs backwards."""
        reply = self._reply(response_id)
        reply.heard_s = max(reply.heard_s, min(seconds, reply.received_s))

    @property
    def response_ids(self) -> tuple[str, ...]:
        """The replies that were mentioned."""
        return tuple(self._replies)

    @property
    def received_s(self) -> float:
        """Seconds of answer that arrived, all replies together."""
        return sum(reply.received_s for reply in self._replies.values())

    @property
    def heard_s(self) -> float:
        """Seconds of answer that left the speaker, all replies together."""
        return sum(reply.heard_s for reply in self._replies.values())

    @property
    def text(self) -> str:
        """What the listener has heard, in words.

        The service gives no word times, so a reply cut short is cut at the word boundary before the same share of its
        text as of its audio; a reply heard whole is given whole.
        """
        parts = (self.text_of(response_id).strip() for response_id in self._replies)
        return " ".join(part for part in parts if part)

    def text_of(self, response_id: str) -> str:
        """The same of one reply, as it was sent, spaces at its ends included; empty if nothing of it was heard."""
        reply = self._reply(response_id)
        if reply.heard_s <= 0:
            return ""
        if reply.heard_s >= reply.received_s:
            return reply.text
        length = int(len(reply.text) * reply.heard_s / reply.received_s)
        return reply.text[:length].rpartition(" ")[0]
