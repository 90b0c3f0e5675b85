"""Each reading that one question can show is named right; and its record, played again, is the same service. A plain
caller asks, in paper time: it answers a tool at once, as the service's own example apps do."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from appliance.link.handshake import how_it_closed
from appliance.realtime import codec, events
from appliance.realtime.observed import observations
from appliance.realtime.record import Connected, Message, line_of
from appliance.simulator import catalog, readings
from appliance.simulator.replay import Replay
from appliance.simulator.scenario import Call, Reply, Turn, conversation
from appliance.simulator.script import script_of
from appliance.simulator.service import Service
from appliance.simulator.settings import SimulatorSettings
from tests.simulator.client import KEY, SIMPLE, silence, speech
from tests.support.simulated_time import on_paper

CALL = "response.function_call_arguments.done"
PATIENCE_S = 1.5
"""Of the caller: so long after the last message it asks for an answer once, and then hangs up."""

TOOL = conversation(Turn(heard="ask-time", replies=(Reply(calls=(Call(name="get_time"),)), Reply(tone_ms=900))))


class Caller:
    """``lines``: the record of its one connection."""

    def __init__(self, *, commits: bool) -> None:
        self._commits = commits
        self._loop = asyncio.get_running_loop()
        self._began_s = self._loop.time()
        self._answered: set[str] = set()
        self._heard = False
        """Audio has come since the last of those."""
        self.lines: list[dict[str, Any]] = [line_of(Connected("here", 101), 0.0)]

    def _note(self, message: Message) -> None:
        self.lines.append(line_of(message, self._loop.time() - self._began_s))

    async def _send(self, connection: ClientConnection, *outgoing: events.ClientEvent) -> None:
        for event in outgoing:
            message = codec.encode(event)
            self._note(Message(">", message))
            await connection.send(message)

    async def ask(self, url: str) -> None:
        headers = {"Authorization": f"Bearer {KEY}"}
        async with connect(
            f"{url}?model={SIMPLE}", additional_headers=headers, proxy=None, close_timeout=1
        ) as connection:
            with contextlib.suppress(ConnectionClosed):
                await self._send(connection, events.SessionUpdate(events.SessionSettings("Be kind.", "mal-female")))
                await self._listen(connection, until="session.updated")
                sound = speech(800) + silence(200 if self._commits else 900)
                pieces = (sound[start : start + 2880] for start in range(0, len(sound), 2880))
                await self._send(connection, *map(events.InputAudioBufferAppend, pieces))
                if self._commits:
                    await self._send(connection, events.InputAudioBufferCommit())
                await self._listen(connection)
                if self._answered and not self._heard:
                    await self._send(connection, events.ResponseCreate())
                    await self._listen(connection)
            await connection.close()
        how = how_it_closed(connection)
        self.lines.append(line_of(how, self._loop.time() - self._began_s))

    async def _listen(self, connection: ClientConnection, until: str = "") -> None:
        """To the end of its patience, or until a message of that type."""
        with contextlib.suppress(TimeoutError):
            while True:
                async with asyncio.timeout(PATIENCE_S):
                    message = await connection.recv()
                self._note(Message("<", message))
                event = json.loads(message)
                self._heard = self._heard or event["type"].endswith("audio.delta")
                await self._answer(connection, event)
                if event["type"] == until:
                    return

    async def _answer(self, connection: ClientConnection, event: dict[str, Any]) -> None:
        response = event.get("response") or {}
        items = [event.get("item") or {}, *response.get("output", [])]
        asked = [event["call_id"]] if event["type"] == CALL else []
        asked += [item["call_id"] for item in items if item.get("type") == "function_call"]
        for call_id in asked:
            if call_id not in self._answered:
                self._answered.add(call_id)
                self._heard = False
                if event["type"] != CALL:
                    # Where a call stands beside its own event, that is still to come.
                    await asyncio.sleep(0.01)
                await self._send(connection, events.FunctionCallOutput(call_id, "{}"))


async def recorded(service: Service | Replay, *, commits: bool) -> list[dict[str, Any]]:
    async with service:
        caller = Caller(commits=commits)
        await caller.ask(service.url)
    return caller.lines


ITEM_ADDED = "response.output_item.added"
INSIDE = "the result is awaited within the response; the same response goes on by itself"
NAMED = {
    "tool-inside-response": ("tool", INSIDE),
    "tool-inside-after-speech": ("tool", INSIDE),
    "tool-inside-three-calls": ("tool", INSIDE),
    "tool-first-never-done": ("tool", "the result is awaited within the response; a new response follows by itself"),
    "needs-create-after-tool": ("tool", "a new response follows only after response.create"),
    "arguments-null": ("call", f"in {CALL}, arguments null"),
    "arguments-missing": ("call", f"in {CALL}, without arguments"),
    "arguments-not-text": ("call", f"in {CALL}, arguments that are no JSON text"),
    "call-without-name": ("call", "without a name"),
    "name-in-item-added": ("call", f"its name only in {ITEM_ADDED}"),
    "name-in-done": ("call", "its name only in response.done"),
    "call-only-in-item-added": ("call", f"only in {ITEM_ADDED}"),
    "call-only-in-done": ("call", "only in response.done"),
    "call-ends-incomplete": ("end", "incomplete"),
    "no-ids": ("ids", "none anywhere"),
    "no-created": ("beginning", "no response.created"),
    "created-after-first-delta": ("beginning", "response.created after its first audio"),
    "done-bare": ("end", "without a response"),
    "done-without-status": ("end", "without a status"),
    "two-responses": ("answer", "in 2 parts"),
    "close-1000-after-reply": ("close", "1000, by the service"),
    "drop-after-reply": ("close", "1006, by the line"),
    "failed-with-reason": ("end", "failed"),
    "incomplete-with-reason": ("end", "incomplete"),
    "settings-locked": ("settings", "never confirmed"),
    "no-updated": ("settings", "never confirmed"),
    "updated-before-created": ("settings", "before session.created"),
    "type-required": ("errors", "missing_required_parameter"),
    "nested-only": ("errors", "missing_required_parameter"),
    "commit-in-speech-drops": ("commit", "the connection ended on it"),
    "commit-not-implemented": ("commit", "answered with an error"),
    "beta-names": ("names", "those of the beta"),
    "no-transcript": ("words", "of the question: no"),
    "speech-repeated-other-ids": ("speech", "2 speech_started, 2 speech_stopped"),
}
UNSEEN = {
    **dict.fromkeys(
        (name for name in catalog.names() if name.startswith("cancel-")), "nothing is cancelled in one question"
    ),
    "id-reused": "it takes a second turn",
    "never-answers-after-N": "it takes a second turn",
    "silent-reply": "a record has no sound; rehearse hears it",
    "empty-reply": "a response without audio is no other reading of the page; rehearse says that nothing was heard",
    "flat-only": "what a service takes is not said by it",
    "append-small-1003": "the caller's pieces are larger; a refusal would be in errors and close",
    "commit-nothing": "a commit that does nothing looks like one that is taken",
    "code-in-type": "shows in an error alone",
    "error-plain-text": "shows in an error alone",
}


def test_no_reading_is_forgotten() -> None:
    assert {*NAMED, *UNSEEN} == set(catalog.names()) and not NAMED.keys() & UNSEEN.keys()


@pytest.mark.parametrize("name", NAMED)
def test_a_reading_is_named_and_its_record_is_the_same_service(name: str) -> None:
    place, line = NAMED[name]
    commits = name.startswith("commit-")

    async def story() -> None:
        service = Service(SimulatorSettings(reading=readings.named([name])), TOOL)
        lines = await recorded(service, commits=commits)
        seen = {one.name: one.line for one in observations(lines)}
        assert line in seen.get(place, ""), seen
        again = await recorded(Replay([script_of(lines)]), commits=commits)
        seen_again = {one.name: one.line for one in observations(again)}
        for paced in ("settings", "pace"):
            if "never" not in seen.get(paced, "never"):
                seen.pop(paced), seen_again.pop(paced)
        assert seen_again == seen
        assert kinds(again) == kinds(lines)

    on_paper(story())


def kinds(lines: list[dict[str, Any]]) -> Counter[str]:
    return Counter(f"{line['way']} {line['type']}" for line in lines)
