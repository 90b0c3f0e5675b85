"""The voice gate over made-up rooms: who speaks is heard, from the first syllable on, and a room's noise is not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from appliance.audio.format import s_from_frames
from appliance.audio.gate import DECISION_S, FAINTEST_DBFS, FRAME, Gate
from tests import rooms

BATCH = 10 * FRAME
TURN_FRAMES = rooms.frames(6)
"""After an opening a turn lasts so long at least: the gate opens nothing meanwhile."""


def openings(sound: rooms.Sound, batch: int = BATCH, gate: Gate | None = None) -> list[tuple[float, float]]:
    """When the gate says that speech began, and when it says so, in seconds."""
    gate = gate or Gate()
    samples = rooms.to_int16(sound)
    found: list[tuple[float, float]] = []
    for begin in range(0, samples.size - batch + 1, batch):
        began = gate.hear(samples[begin : begin + batch])
        end = begin + batch
        if began is not None and (not found or end > rooms.frames(found[-1][1]) + TURN_FRAMES):
            found.append((s_from_frames(end - began), s_from_frames(end)))
    return found


@pytest.mark.parametrize("room", rooms.NOISES)
def test_a_room_opens_it_at_most_once_in_five_minutes(room: str) -> None:
    """Ten minutes are allowed one. Music is the room only after some seconds: its beginning is the one opening."""
    allowed = 1 if room == "music" else 0
    assert len(openings(rooms.NOISES[room](np.random.default_rng(7), 300))) <= allowed


@pytest.mark.parametrize("speech_dbfs", [-36.0, -26.0, -16.0])
@pytest.mark.parametrize("noise", [rooms.fan, rooms.rain, rooms.music])
@pytest.mark.parametrize("ratio_db", [10.0, 15.0, 30.0])
def test_who_speaks_is_heard_from_the_first_syllable_on(
    noise: Callable[[np.random.Generator, float, float], rooms.Sound], speech_dbfs: float, ratio_db: float
) -> None:
    room = noise(np.random.default_rng(3), 75, speech_dbfs - ratio_db)
    sound, asked = rooms.with_questions(room, speech_dbfs, every_s=9.0)
    found = openings(sound)
    for begin_s, name in asked:
        heard = [one for one in found if begin_s - 0.1 <= one[0] < begin_s + 1]
        assert heard, f"{name} at {begin_s:.1f} s"
        assert heard[0][0] <= begin_s + 0.25, "the pre-roll of 0.3 s reaches back to the first syllable"
        assert heard[0][1] <= begin_s + 0.9, "and the light says so while the person still speaks"


def test_how_the_sound_comes_in_changes_nothing() -> None:
    sound, _ = rooms.with_questions(rooms.fan(np.random.default_rng(4), 40, -45), -26, 8.0)
    one_by_one = [began_s for began_s, _ in openings(sound, FRAME)]
    assert len(one_by_one) == 3
    assert [began_s for began_s, _ in openings(sound, 5 * FRAME)] == pytest.approx(one_by_one, abs=0.021)


def test_the_beginning_lies_within_what_is_kept() -> None:
    sound, asked = rooms.with_questions(rooms.silence(np.random.default_rng(5), 60), -26, 9.0)
    late_s = [told_s - began_s for began_s, told_s in openings(sound)]
    assert len(late_s) == len(asked)
    assert max(late_s) <= DECISION_S + s_from_frames(BATCH)


def quiet(seconds: float) -> npt.NDArray[np.int16]:
    return rooms.to_int16(rooms.silence(np.random.default_rng(6), seconds))


def test_an_interrupted_word_is_none() -> None:
    word = rooms.to_int16(rooms.spoken("ask-who", -26))
    gate = Gate()
    assert gate.hear(quiet(4)) is None
    assert gate.hear(word[: 7 * FRAME]) is None
    gate.interrupt()
    assert gate.hear(word[7 * FRAME : 12 * FRAME]) is None
    assert gate.hear(word[12 * FRAME : 17 * FRAME]) is not None


def test_what_was_no_part_of_the_room_is_forgotten() -> None:
    gate = Gate()
    gate.hear(quiet(8))
    room = gate.room
    gate.hear(rooms.to_int16(rooms.fan(np.random.default_rng(7), 8, -20)))
    assert gate.room_dbfs > -30
    gate.room = room
    assert gate.room_dbfs < FAINTEST_DBFS


def test_part_of_a_frame_is_a_fault_of_ours() -> None:
    with pytest.raises(AssertionError):
        Gate().hear(np.zeros(FRAME + 1, dtype=np.int16))
    assert Gate().hear(np.zeros(0, dtype=np.int16)) is None
