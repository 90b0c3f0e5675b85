"""The named readings of the service's page: what such a service does, and who says or does so.

Sources are public projects that speak OpenAI Realtime, with the file that shows it; "swaram-apps" are the example apps
of the service's own maker. "open" means that the page does not say and nobody was found to do so.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class NamedReading:
    """One named reading. ``switches`` are fields of ``readings.Reading``. ``listed_as``: the name, N for a number."""

    name: str
    does: str
    who: str
    switches: Mapping[str, object]
    listed_as: str


def _entry(name: str, does: str, who: str, **switches: object) -> NamedReading:
    return NamedReading(name, does, who, MappingProxyType(switches), name)


_APPS: Final = "swaram-apps, client/src/lib/swaramClient.ts"
_HF: Final = "huggingface/speech-to-speech 1.1.0"
_SPEACHES: Final = "speaches-ai/speaches, realtime"
_VOWEL: Final = "usevowel/engine, src/session"
_TRANSPORT: Final = "CN-QanYi/OpenAIRealtimeTransport, transport.py"
_LOCALAI: Final = "mudler/LocalAI, realtime.go"
_AIMOCK: Final = "CopilotKit/aimock, src/ws-realtime.ts"
_LITELLM: Final = "BerriAI/litellm, the Gemini realtime transformation (not read: by report)"

_ENTRIES: Final = (
    # ------------------------------------------------------------ a tool's turn
    _entry(
        "tool-inside-response",
        "awaits a tool's result inside the response: no response.done before it, the same response goes on with audio",
        f"{_APPS}: the result is sent at once, the reply 'auto-continues'",
        calls=1,
        tool="inside",
    ),
    _entry(
        "tool-inside-after-speech",
        "the same, after half a second of speech",
        "swaram-apps: the model sometimes speaks before it asks for a tool, in one response or in two",
        calls=1,
        tool="inside",
        tool_speech_ms=500.0,
    ),
    _entry("tool-inside-three-calls", "the same, with three calls at once", "open", calls=3, tool="inside"),
    _entry(
        "tool-first-never-done",
        "the first response of a tool's turn is never done; the answer is a new response",
        "open",
        calls=1,
        tool="never-done",
    ),
    _entry(
        "needs-create-after-tool",
        "answers a tool's result only after a response.create",
        f"{_HF}, handlers/conversation.py; {_SPEACHES}; {_VOWEL}/handlers/conversation.py; {_LOCALAI}",
        calls=1,
        needs_create=True,
    ),
    _entry("arguments-null", "a call's arguments are null", "open", calls=1, arguments="null"),
    _entry(
        "arguments-missing", "a call has no arguments", "open; swaram-apps allow for it", calls=1, arguments="missing"
    ),
    _entry("arguments-not-text", "a call's arguments are an object, not text", "open", calls=1, arguments="object"),
    _entry("call-without-name", "a call names no tool anywhere", "open", calls=1, call_name="nowhere"),
    _entry(
        "name-in-item-added",
        "the tool's name stands in response.output_item.added, and not in arguments.done",
        f"{_AIMOCK}; {_SPEACHES}/response_event_router.py",
        calls=1,
        call_name="added",
    ),
    _entry(
        "name-in-done",
        "the tool's name stands in response.done's output, and not in arguments.done",
        f"{_SPEACHES}/response_event_router.py",
        calls=1,
        call_name="done",
    ),
    _entry(
        "call-only-in-item-added",
        "a call stands in response.output_item.added, and there is no arguments.done",
        f"{_VOWEL}/response/index.ts",
        calls=1,
        call_place="added",
    ),
    _entry(
        "call-only-in-done",
        "a call stands in response.done's output, and there is no arguments.done",
        "open",
        calls=1,
        call_place="done",
    ),
    _entry(
        "call-ends-incomplete",
        "a response that asks for a tool ends incomplete",
        f"{_VOWEL}/response/index.ts",
        calls=1,
        call_status="incomplete",
    ),
    # ------------------------------------------------------------ whose reply is whose
    _entry(
        "no-ids",
        "no ids but a call's, and no response objects: created, deltas and done are bare",
        f"{_APPS} reads none; the page shows transcript deltas without",
        ids=False,
    ),
    _entry("no-created", "never says response.created", "open", created="never"),
    _entry("created-after-first-delta", "says response.created after the first delta", "open", created="late"),
    _entry("done-bare", "response.done has no response", f"open; {_APPS} reads none", done="bare"),
    _entry("done-without-status", "response.done has no status", f"open; {_APPS} reads none", done="no-status"),
    _entry("id-reused", "response ids begin anew with each turn of a session", "open", id_reused=True),
    _entry(
        "two-responses",
        "a short response ('let me see'), then the answer as a second one",
        "swaram-apps: the model sometimes speaks before it asks for a tool, in one response or in two",
        prelude=True,
    ),
    # ------------------------------------------------------------ how it ends
    _entry("close-1000-after-reply", "sends an answer at once, then closes with 1000", "open", line="closed"),
    _entry("drop-after-reply", "sends an answer at once, then the line drops", "open", line="dropped"),
    _entry(
        "failed-with-reason",
        "answers end failed without sound, the reason in status_details",
        "OpenAI Realtime, response.done",
        status="failed",
    ),
    _entry(
        "incomplete-with-reason",
        "answers end incomplete without sound, the reason in status_details",
        "OpenAI Realtime, response.done",
        status="incomplete",
    ),
    _entry("silent-reply", "an answer is a second of zeros", "open", sound="zeros"),
    _entry("empty-reply", "an answer is completed and holds nothing", "open", sound="none"),
    _entry("never-answers-after-N", "from turn N on a session gets no reply at all", "open", answers=0),
    # ------------------------------------------------------------ settings
    _entry(
        "settings-locked",
        "answers session.update with an error and stays open; session.created has said what is in force",
        "swaram's documentation: tokens with locked settings; what follows is not documented",
        settings="locked",
    ),
    _entry("no-updated", "never says session.updated", _LITELLM, settings="silent"),
    _entry(
        "updated-before-created",
        "says session.updated, then session.created",
        f"{_SPEACHES}: created is said a moment after the accept, updates are taken at once",
        settings="confirmed-first",
    ),
    _entry(
        "type-required",
        "refuses settings without session.type; undeclared audio is 16 kHz, so answers play 1.5 times too fast",
        f"{_HF}, handlers/session.py, handlers/audio.py",
        dialect="typed",
    ),
    _entry(
        "nested-only",
        "the same, and refuses a flat voice and turn_detection, too",
        "OpenAI Realtime itself, session.update",
        dialect="nested",
    ),
    _entry("flat-only", "refuses session.type and session.audio", "open: the page shows neither", dialect="flat"),
    # ------------------------------------------------------------ what a client sends
    _entry(
        "commit-in-speech-drops",
        "a commit while the service is in speech drops the connection",
        f"{_SPEACHES} (as it was seen to run; input_audio_buffer_event_router.py swaps the buffer under its detector)",
        commit="drops-in-speech",
    ),
    _entry(
        "commit-not-implemented",
        "a commit earns an error (not_implemented), and does nothing",
        f"{_LOCALAI}: 'in conjunction with VAD'",
        commit="refused",
    ),
    _entry("commit-nothing", "a commit does nothing, and nothing is said", _TRANSPORT, commit="ignored"),
    _entry(
        "append-small-1003",
        "an append under 2048 bytes is an error, and 0.1 s later the end with 1003; an empty one is none",
        f"{_VOWEL}/handlers/audio.ts",
        append_min_bytes=2048,
    ),
    _entry("cancel-errors", "refuses response.cancel with an error; the reply goes on", "open", cancel="refused"),
    _entry(
        "cancel-server-error",
        "refuses response.cancel with a server_error; the reply goes on",
        f"{_SPEACHES}/response_event_router.py",
        cancel="server-error",
    ),
    _entry("cancel-completed", "a cancelled reply ends completed", "open", cancel="completed"),
    _entry("cancel-done-twice", "a cancelled reply says response.done two times", _TRANSPORT, cancel="twice"),
    _entry(
        "cancel-cancelled-event",
        "a cancelled reply ends with response.cancelled and no response.done",
        _AIMOCK,
        cancel="event",
    ),
    _entry("cancel-nothing", "a cancelled reply just stops, and nothing is said", "open", cancel="silent"),
    # ------------------------------------------------------------ words
    _entry(
        "beta-names",
        "names of the beta: response.audio.delta, response.audio_transcript.delta",
        f"{_SPEACHES}; CN-QanYi/OpenAIRealtimeTransport, protocol.py",
        beta_names=True,
    ),
    _entry("code-in-type", "an error's code stands in its type", f"{_HF}, service.py; {_VOWEL}", error="code-in-type"),
    _entry(
        "error-plain-text",
        "an error is a text, with the code beside it",
        "vllm-project/vllm, entrypoints/openai/realtime/protocol.py",
        error="text",
    ),
    _entry(
        "no-transcript",
        "does not tell what it heard",
        "swaram-apps, a comment of an earlier version: 'does not transcribe learner audio'",
        transcript=False,
    ),
    _entry(
        "speech-repeated-other-ids",
        "tells a turn's speech_started and speech_stopped again, with another id",
        f"{_VOWEL}/handlers/audio.ts",
        speech_twice=True,
    ),
)

_NUMBERED: Final = re.compile(r"never-answers-after-([0-9]{1,2})")


def entries() -> tuple[NamedReading, ...]:
    """All named readings, in the order of lists and of the help."""
    return _ENTRIES


@functools.cache
def names() -> tuple[str, ...]:
    """The names of all readings; N stands for a number."""
    return tuple(entry.name for entry in _ENTRIES)


def find(name: str) -> NamedReading | None:
    """The reading of that name, with a number for N; None if there is none."""
    if numbered := _NUMBERED.fullmatch(name):
        listed = next(entry for entry in _ENTRIES if entry.name == "never-answers-after-N")
        return replace(listed, name=name, switches=MappingProxyType({"answers": int(numbered[1])}))
    return next((entry for entry in _ENTRIES if entry.name == name and not name.endswith("-N")), None)


def described() -> str:
    """All readings for a person: name, what such a service does, who says so."""
    return "\n".join(f"{entry.name}\n    {entry.does}\n    who: {entry.who}" for entry in _ENTRIES)
