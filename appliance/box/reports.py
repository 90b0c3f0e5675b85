"""What the parts report: the one place where a report of link, microphone or speaker becomes an event of the turn
machine, a line of the journal, or both. Everything runs on the event loop.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Any, Final

from appliance.audio import microphone as mic
from appliance.audio import speaker as spk
from appliance.audio.levels import is_silent
from appliance.audio.player_events import ReplyTruncated
from appliance.box.parts import Parts
from appliance.box.turns import Turns
from appliance.journal.catalog import Kind, entry
from appliance.journal.rate_limit import Outages, Repeats
from appliance.link import link
from appliance.link.failures import Class, Verdict, What
from appliance.realtime import session as rt
from appliance.turn import events
from appliance.turn import states as v

log = logging.getLogger(__name__)

HOLE_WORTH_A_LINE_S: Final = 0.2
"""A hole in the microphone's sound is said from here on (decision 20); a shorter one is a click in a syllable."""

HOLE_TOO_LONG_S: Final = 3.0
"""A hole that no question survives (decision 20)."""


KIND_OF_CLASS: Final = {
    Class.TRANSIENT: Kind.CONNECTION_LOST,
    Class.KEY: Kind.KEY_REFUSED,
    Class.ACCOUNT: Kind.NO_CREDITS,
    Class.LIMIT: Kind.TOO_MANY_CONNECTIONS,
    Class.CLOCK: Kind.CLOCK_WRONG,
    Class.NETWORK: Kind.NETWORK_INTERCEPTS,
    Class.SETTINGS: Kind.SETTINGS_REFUSED,
}
"""What the journal calls a failed connection, by what it means."""

KIND_OF_WHAT: Final = {
    What.NO_KEY: Kind.NO_KEY,
    What.TOKEN: Kind.NO_TOKEN,
    What.NO_NETWORK: Kind.NO_NETWORK,
    What.NAME: Kind.NO_INTERNET,
    What.NAME_CLOCK_UNSET: Kind.NO_INTERNET,
    What.UNREACHABLE: Kind.UNREACHABLE,
    What.TIMEOUT: Kind.UNREACHABLE,
    What.TLS: Kind.UNREACHABLE,
}
"""The same, where what happened says more than what it means: another fix, and so another entry of the catalog."""


def kind_of(verdict: Verdict) -> Kind:
    """The kind of entry that tells of a failed connection."""
    return KIND_OF_WHAT.get(verdict.failure.what) or KIND_OF_CLASS[verdict.class_]


class Reports:
    """Hears the parts of one box. ``publish`` is told, as plain data, what clients may watch."""

    def __init__(self, parts: Parts, turns: Turns, publish: Callable[[dict[str, Any]], None]) -> None:
        self._parts = parts
        self._turns = turns
        self._publish = publish
        self._repeats = Repeats(log)
        self._microphone = Outages("microphone", log, Kind.MICROPHONE_FOUND, Kind.MICROPHONE_LOST)
        self._speaker = Outages("speaker", log, Kind.SPEAKER_FOUND, Kind.SPEAKER_LOST)

    def on_link(self, event: link.LinkEvent) -> None:
        """Everything the link reports."""
        match event:
            case link.SessionOpened() | link.SessionLost() | link.SessionFailed() | link.SessionClosed():
                self._on_connection(event)
            case rt.ServiceSaid() | rt.Note():
                self._on_remark(event)
            case rt.SpeechBegan():
                self._turns.goes_on()
                self._turns.happens(events.SpeechBegan())
            case rt.SpeechEnded():
                if self._parts.machine.state is v.State.LISTENING:
                    self._parts.ledger.figures.ended_s = _now_s()
                self._turns.happens(events.SpeechEnded())
            case rt.NothingHeard():
                self._turns.happens(events.NothingHeard())
            case rt.CallerText(text, turn):
                self._parts.ledger.person_said(text, turn)
                self._parts.captions.person_said(text)
            case _:
                self._on_reply(event)

    def _on_connection(
        self, event: link.SessionOpened | link.SessionLost | link.SessionFailed | link.SessionClosed
    ) -> None:
        ledger = self._parts.ledger
        if not isinstance(event, link.SessionOpened):
            ledger.disconnected(_now_s())
        match event:
            case link.SessionOpened():
                self._say(logging.INFO, "connected", Kind.CONNECTED)
                ledger.connected(_now_s())
                self._turns.happens(events.LinkReady())
            case link.SessionLost(verdict, _, was_open):
                self._say_trouble(logging.WARNING, verdict)
                ledger.went_wrong(verdict.happened)
                if was_open:
                    self._end_replies()
                    self._turns.happens(events.LinkLost())
            case link.SessionFailed(verdict):
                self._say_trouble(logging.ERROR, verdict)
                ledger.went_wrong(verdict.happened)
                self._end_replies()
                self._turns.happens(events.LinkFailed())
            case link.SessionClosed(reason):
                self._say(logging.INFO, f"connection closed: {reason}", Kind.CONNECTION_CLOSED)
                self._end_replies()
                self._turns.happens(events.LinkLost())

    def _on_reply(self, event: link.LinkEvent) -> None:
        ledger = self._parts.ledger
        match event:
            case rt.ReplyBegan(response_id):
                self._turns.happens(events.ReplyBegan(response_id))
            case rt.ReplySamples(response_id, pcm):
                ledger.received(response_id, pcm, _now_s())
                self._parts.player.append(response_id, pcm)
                self._turns.happens(events.ReplyAudio(response_id, is_silent(pcm)))
            case rt.ReplyText(response_id, text):
                ledger.box_said(response_id, text)
                self._parts.captions.box_said(response_id, text)
            case rt.ToolCalled(response_id, call):
                tool_call = events.ToolCall(call.call_id, call.name, call.arguments)
                self._turns.happens(events.ToolCalled(response_id, tool_call))
            case rt.ReplyEnded(response_id, status, reason):
                if status in rt.UNFINISHED:
                    ledger.went_wrong(f"the reply was {status}" + (f": {reason}" if reason else ""))
                self._parts.player.end(response_id)
                self._turns.happens(events.ReplyEnded(response_id, status))

    def _on_remark(self, event: rt.ServiceSaid | rt.Note) -> None:
        """What the service says of itself, and what is odd about what it does."""
        match event:
            case rt.ServiceSaid(type_, code, message, harmless):
                said = f"the service says: {message or 'an error without a text'} ({code or type_ or 'no code'})"
                if not harmless:
                    self._parts.ledger.went_wrong(said)
                level, which = logging.DEBUG if harmless else logging.WARNING, code or type_
                # As in a close: the words may hold a request's number.
                alike = (level, Kind.SERVICE_SAYS, which)
                self._repeats.log(level, said, _now_s(), entry(Kind.SERVICE_SAYS, ERROR=which), alike=alike)
            case rt.Note("warning", text):
                # The session says each once, and there may be a session a minute. Quoted in it are ids, never the same.
                oddity = (Kind.SERVICE_ODD, re.sub(r"'[^']*'", "", text))
                self._repeats.log(logging.WARNING, text, _now_s(), entry(Kind.SERVICE_ODD), alike=oddity)
            case rt.Note(_, text):
                log.debug("%s", text, extra=entry(Kind.SERVICE_ODD))

    def _end_replies(self) -> None:
        """Nothing more of any reply will arrive: what is here plays out."""
        if (reply := self._parts.machine.reply_in_progress) is not None:
            self._parts.player.end(reply)

    def on_microphone(self, event: mic.MicrophoneEvent) -> None:
        """Everything the microphone reports."""
        match event:
            case mic.MicrophoneOpened(name, hz, channels, note, level_note, instead_of):
                plural = "" if channels == 1 else "s"
                shape = f"{name}, {hz} Hz, {channels} channel{plural}{_in_place_of(instead_of)}"
                self._microphone.opened(shape, (note, level_note), _now_s())
                self._turns.voice.misses_microphone(False)
                self._turns.happens(events.MicrophoneReady())
            case mic.MicrophoneGone(reason):
                self._microphone.lost(reason, _now_s())
                self._turns.voice.misses_microphone(True)
                self._turns.happens(events.MicrophoneLost())
            case mic.MicrophoneClosed():
                self._turns.voice.misses_microphone(False)
                self._turns.happens(events.MicrophoneLost())
            case mic.MicrophoneHole(lost_s):
                if lost_s >= HOLE_WORTH_A_LINE_S:
                    self._say(logging.WARNING, f"the microphone lost {lost_s:.1f} s of sound", Kind.MICROPHONE_HOLE)
                if lost_s >= HOLE_TOO_LONG_S:
                    self._turns.happens(events.MicrophoneLost())
                    self._turns.happens(events.MicrophoneReady())

    def _say_trouble(self, level: int, verdict: Verdict) -> None:
        failure = verdict.failure
        codes = {
            "CLOSE_CODE": failure.code if failure.what is What.CLOSED else None,
            "HTTP_STATUS": failure.code if failure.what is What.HTTP else None,
        }
        # Services put the number of a request into their words, another each time.
        alike = (level, failure.what, failure.code)
        self._repeats.log(level, verdict.line, _now_s(), entry(kind_of(verdict), **codes), alike=alike)

    def _say(self, level: int, line: str, kind: Kind, **fields: object) -> None:
        """One line of the journal; repeats are counted."""
        self._repeats.log(level, line, _now_s(), entry(kind, **fields))

    def on_speaker(self, event: spk.SpeakerEvent) -> None:
        """Everything the speaker reports."""
        match event:
            case spk.SpeakerOpened(name, hz, channels, note, latency_s, level_note, delay_note, instead_of):
                plural = "" if channels == 1 else "s"
                shape = f"{name}, {hz} Hz, {channels} channel{plural}, {1000 * latency_s:.0f} ms"
                shape += _in_place_of(instead_of)
                self._speaker.opened(shape, (note, level_note, delay_note), _now_s())
            case spk.SpeakerLost(reason):
                self._speaker.lost(reason, _now_s())
            case spk.FirstSampleOut(response_id, written_s, at_s):
                if self._parts.ledger.figures.audible_s is None:
                    self._parts.ledger.figures.written_s, self._parts.ledger.figures.audible_s = written_s, at_s
                self._parts.captions.audible(response_id, at_s)
                self._turns.happens(events.ReplyAudible(response_id))
            case spk.LastSampleOut(response_id, at_s):
                self._parts.captions.drained(response_id, at_s)
                asyncio.get_running_loop().call_at(at_s, self._turns.happens, events.ReplyDrained(response_id))
            case ReplyTruncated():
                line = "a reply is longer than speaker.reply_buffer_s: the rest of it is dropped"
                self._say(logging.WARNING, line, Kind.REPLY_TOO_LONG)


def _in_place_of(card: str) -> str:
    """What a device's line says when it is on another card than before."""
    return f', in place of "{card}"' if card else ""


def _now_s() -> float:
    return asyncio.get_running_loop().time()
