"""Which replies a turn gets: those of the scenario, as a reading has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from appliance.simulator.readings import Reading
from appliance.simulator.scenario import Call, Reply
from appliance.simulator.voices import SAMPLE_BYTES, SAMPLE_HZ

HARMLESS_TOOL: Final = "get_time"
"""Asked for when it is offered: it changes nothing and needs no arguments. Otherwise the first that is offered."""

PRELUDE: Final = Reply(tone_ms=400.0, tone_hz=660.0, text="നോക്കട്ടെ.", goes_on=True)
"""The short first response ("let me see"). A tone, so that a listener tells it from the answer."""

ASIDE_HZ: Final = 550.0
ASIDE_TEXT: Final = "ഒരു നിമിഷം."
"""What is spoken before a call ("one moment"): a tone, for the same reason."""

SILENT_REPLY: Final = bytes(SAMPLE_HZ * SAMPLE_BYTES)
"""One second."""


def replies_of_turn(
    planned: Sequence[Reply], reading: Reading, tools: Sequence[str], turns_before: int
) -> tuple[Reply, ...]:
    """The replies of one turn. ``tools``: the names that the client offers. ``turns_before``: of this session."""
    if not planned or (reading.answers is not None and turns_before >= reading.answers):
        return ()
    replies = list(planned)
    if reading.calls and tools and not any(reply.calls for reply in replies):
        tool = HARMLESS_TOOL if HARMLESS_TOOL in tools else tools[0]
        replies.insert(0, Reply(calls=(Call(name=tool),) * reading.calls))
    if any(reply.calls for reply in replies[-1:]):
        replies.append(Reply())
    if reading.prelude:
        replies.insert(0, PRELUDE)
    return tuple(_as_read(replies, reading))


def _as_read(replies: Sequence[Reply], reading: Reading) -> Iterator[Reply]:
    after_call = False
    for reply in replies:
        changed = reply
        if reply.calls:
            changed = replace(changed, status=reading.call_status if reply.status == "completed" else reply.status)
            if reading.tool_speech_ms and not (reply.pcm or reply.tone_ms or reply.voice):
                changed = replace(changed, tone_ms=reading.tool_speech_ms, tone_hz=ASIDE_HZ, text=ASIDE_TEXT)
        elif not reply.goes_on:
            if reading.status != "completed":
                changed = replace(changed, pcm=b"", text="", status=reading.status)
            elif reading.sound != "whole":
                changed = replace(changed, pcm=SILENT_REPLY if reading.sound == "zeros" else b"", text="")
            if reading.line != "kept":
                changed = replace(changed, speed=0.0)
        if after_call and reading.needs_create:
            changed = replace(changed, needs_nudge=True)
        after_call = bool(reply.calls)
        yield changed
