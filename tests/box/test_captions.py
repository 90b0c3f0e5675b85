"""What is told of what is said, and when: captions of a box whose parts do not run."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from appliance.box import captions
from appliance.box.captions import Captions
from appliance.turn.heard import Heard


class Told:
    """The captions of a box, and what of a reply was heard."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.captions = Captions(self.events.append)
        self.heard = Heard()
        self.captions.begin_turn(7)

    def arrives(self, response_id: str, text: str, seconds: float = 1.0) -> None:
        self.heard.said(response_id, text)
        self.heard.received(response_id, seconds)
        self.captions.box_said(response_id, text)

    def texts(self) -> list[tuple[str | None, str, bool]]:
        """Response, text, and whether it is the last of it."""
        return [(event["response"], event["text"], event["until_s"] is not None) for event in self.events]


def now_s() -> float:
    return asyncio.get_running_loop().time()


async def test_a_reply_is_told_when_its_first_sample_sounds_and_not_before() -> None:
    told = Told()
    told.arrives("a", "one ")
    told.arrives("a", "two ")
    at_s = now_s() + 0.05
    told.captions.audible("a", at_s)
    assert told.events == []
    while not told.events:  # noqa: ASYNC110  (nobody would set an event)
        await asyncio.sleep(0.005)
    assert now_s() >= at_s
    told.arrives("a", "three")
    assert told.texts() == [("a", "one two ", False), ("a", "three", False)]
    assert {(event["turn"], event["side"], event["from_s"]) for event in told.events} == {(7, "box", round(at_s, 3))}


async def test_at_the_end_it_is_told_as_far_as_it_was_heard() -> None:
    told = Told()
    told.arrives("a", "one two three four", 4.0)
    told.captions.audible("a", now_s())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    told.heard.played("a", 2.0)
    told.captions.end_turn(told.heard)
    assert told.texts()[-1] == ("a", "one two", True)
    assert told.events[-1]["until_s"] == pytest.approx(now_s(), abs=0.1)


async def test_one_that_ended_by_itself_ended_when_its_last_sample_sounded() -> None:
    told = Told()
    told.arrives("a", "all of it")
    told.captions.audible("a", now_s() - 1)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    told.heard.played("a", 1.0)
    told.captions.drained("a", at_s := now_s() - 0.5)
    told.captions.end_turn(told.heard)
    assert told.texts()[-1] == ("a", "all of it", True)
    assert told.events[-1]["until_s"] == round(at_s, 3)


async def test_of_one_that_was_dropped_unheard_nothing_is_told() -> None:
    told = Told()
    told.arrives("a", "never heard")
    told.arrives("b", "heard")
    told.captions.audible("b", now_s())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    told.heard.played("b", 1.0)
    told.captions.end_turn(told.heard)
    assert {event["response"] for event in told.events} == {"b"}


async def test_one_that_is_cut_before_its_first_sample_leaves_the_speaker_is_not_told() -> None:
    told = Told()
    told.arrives("a", "on its way")
    told.captions.audible("a", now_s() + 0.02)
    told.captions.end_turn(told.heard)
    await asyncio.sleep(0.05)
    assert told.events == []


async def test_a_person_is_told_at_once_and_a_turn_does_not_know_the_one_before() -> None:
    told = Told()
    told.arrives("a", "of the turn before")
    told.captions.end_turn(told.heard)
    told.captions.begin_turn(8)
    told.captions.person_said("hello")
    event = told.events[-1]
    assert (event["side"], event["turn"], event["response"], event["text"]) == ("person", 8, None, "hello")
    told.captions.audible("a", now_s())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    told.captions.close()
    assert told.events[-1]["text"] == ""


async def test_an_event_is_never_longer_than_a_reader_may_be_behind() -> None:
    told = Told()
    told.captions.person_said("x" * 1_000_000)
    assert len(told.events[0]["text"]) == captions.MOST_CHARACTERS
