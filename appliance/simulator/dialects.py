"""Which settings a reading of the page accepts, and what it makes of them. A ``session`` is the object of a client's
``session.update`` as it came; nothing in it is trusted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from appliance.realtime.events import SessionSettings
from appliance.simulator.readings import Reading
from appliance.simulator.scenario import ErrorSaid
from appliance.simulator.settings import VOICES
from appliance.simulator.voices import SAMPLE_HZ

UNDECLARED_HZ: Final = 16_000
"""What a service takes audio for that wants the rate declared and is not told (huggingface/speech-to-speech)."""


def session_of(message: str | bytes) -> Mapping[str, object]:
    """The object ``session`` of a message that has been read as a session.update before."""
    return _inner(json.loads(message), "session")


def refusal(session: Mapping[str, object], reading: Reading) -> ErrorSaid | None:
    """Why these settings are refused for their dialect."""
    if reading.dialect == "flat":
        return next((_unknown(name) for name in ("type", "audio") if name in session), None)
    if reading.wants_types and session.get("type") != "realtime":
        text = "Missing required parameter: 'session.type'."
        return ErrorSaid("invalid_request_error", "missing_required_parameter", text)
    if reading.dialect == "nested":
        return next((_unknown(name) for name in ("voice", "turn_detection") if name in session), None)
    return None


def _unknown(name: str) -> ErrorSaid:
    return ErrorSaid("invalid_request_error", "unknown_parameter", f"Unknown parameter: 'session.{name}'.")


def voice(session: Mapping[str, object], settings: SessionSettings, reading: Reading) -> str:
    """The voice asked for; "" for the default. A service that wants types does not look at a flat one."""
    nested = _inner(_inner(session, "audio"), "output").get("voice")
    if isinstance(nested, str):
        return nested
    return "" if reading.wants_types else settings.voice


def output_hz(session: Mapping[str, object], reading: Reading) -> int:
    """At which rate the samples of answers are made. The client plays them at 24 kHz, whatever this is."""
    rate = _inner(_inner(_inner(session, "audio"), "output"), "format").get("rate")
    if not reading.wants_types:
        return SAMPLE_HZ
    return rate if isinstance(rate, int) and rate > 0 else UNDECLARED_HZ


def effective(model: str, settings: SessionSettings, output_hz: int) -> dict[str, object]:
    """The settings in force as OpenAI's session object."""
    pcm = {"type": "audio/pcm", "rate": SAMPLE_HZ}
    return {
        "type": "realtime",
        "model": model,
        "instructions": settings.instructions,
        "output_modalities": ["audio"],
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
        "audio": {
            "input": {"format": pcm, "turn_detection": {"type": "server_vad"}},
            "output": {"format": {**pcm, "rate": output_hz}, "voice": settings.voice or VOICES[0]},
        },
    }


def _inner(value: object, name: str) -> Mapping[str, object]:
    inner = value.get(name) if isinstance(value, dict) else None
    return inner if isinstance(inner, dict) else {}
