"""A session's settings as JSON, in both layouts that services of this protocol take.

``SWARAM`` is that of the service's reference: flat. ``OPENAI`` is what OpenAI's Realtime requires, and servers modelled
on it: ``type``, the audio's formats with their rate, voice and turn detection inside ``audio``. Whoever wants the one
does not take the other: OpenAI answers the flat one "Missing required parameter: 'session.type'"; and a server that is
not told the rate may speak 1.5 times too fast.
"""

from __future__ import annotations

from typing import Final

from . import events as ev
from .events import Dialect
from .fields import Fields

PCM: Final = {"type": "audio/pcm", "rate": 24_000}
"""Ours, both ways."""


def write(settings: ev.SessionSettings, dialect: Dialect) -> dict[str, object]:
    """The ``session`` of a ``session.update``."""
    common: dict[str, object] = {
        "instructions": settings.instructions,
        "tools": [
            {
                "type": "function",
                "name": tool.name,
                "description": tool.description,
                "parameters": dict(tool.parameters),
            }
            for tool in settings.tools
        ],
        "tool_choice": settings.tool_choice,
    }
    detection = {} if settings.turn_detection is None else {"turn_detection": dict(settings.turn_detection)}
    if dialect is Dialect.SWARAM:
        return {**common, "voice": settings.voice, **detection}
    audio = {"input": {"format": PCM, **detection}, "output": {"format": PCM, "voice": settings.voice}}
    return {"type": "realtime", **common, "output_modalities": ["audio"], "audio": audio}


def read(session: Fields) -> tuple[ev.SessionSettings, Dialect]:
    """The settings of a ``session.update``, and how they were laid out. What is missing is the service's own choice.

    Raises ProtocolError.
    """
    audio = session.inner_or_none("audio")
    nested = audio is not None or session.text_or_none("type") is not None
    speaking: Fields | None = session
    hearing: Fields | None = session
    if nested:
        speaking = audio.inner_or_none("output") if audio else None
        hearing = audio.inner_or_none("input") if audio else None
    voice, tool_choice = speaking.text_or_none("voice") if speaking else None, session.text_or_none("tool_choice")
    settings = ev.SessionSettings(
        instructions=session.text_or_none("instructions") or "",
        voice=ev.DEFAULT_VOICE if voice is None else voice,
        tools=tuple(
            ev.ToolDeclaration(
                tool.identifier("name"), tool.text_or_none("description") or "", tool.mapping("parameters")
            )
            for tool in session.list_of_inner("tools")
        ),
        tool_choice="auto" if tool_choice is None else tool_choice,
        turn_detection=hearing.mapping_or_none("turn_detection") if hearing else None,
    )
    return settings, Dialect.OPENAI if nested else Dialect.SWARAM
