"""The voice gate over made-up rooms: who speaks is heard, from the first syllable on, and a room's noise is not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from appliance.audio.format import s_from_frames
from appliance.audio.frames import FRAME
from appliance.audio.gate import DECISION_S, EARLIEST_S, FAINTEST_DBFS, Gate
from appliance.simulator import voices
from tests.support import acoustics, tones

BATCH = 10 * FRAME
TURN_FRAMES = acoustics.frames(6)
"""After an opening a turn lasts so long at least: the gate opens nothing meanwhile."""


def openings(sound: acoustics.Sound, batch: int = BATCH, gate: Gate | None = None) -> list[tuple[float, float]]:
    """When the gate says that speech began, and when it says so, in seconds."""
    gate = gate or Gate()
    samples = acoustics.to_int16(sound)
    found: list[tuple[float, float]] = []
    for begin in range(0, samples.size - batch + 1, batch):
        began = gate.hear(samples[begin : begin + batch])
        end = begin + batch
        if began is not None and (not found or end > acoustics.frames(found[-1][1]) + TURN_FRAMES):
            found.append((s_from_frames(end - began), s_from_frames(end)))
    return found


@pytest.mark.parametrize("room", acoustics.NOISES)
def test_a_room_opens_it_at_most_once_in_five_minutes(room: str) -> None:
    """Ten minutes are allowed one. Music is the room only after some seconds: its beginning is the one opening."""
    allowed = 1 if room == "music" else 0
    assert len(openings(acoustics.NOISES[room](np.random.default_rng(7), 300))) <= allowed


@pytest.mark.parametrize("speech_dbfs", [-36.0, -26.0, -16.0])
@pytest.mark.parametrize("noise", [acoustics.fan, acoustics.rain, acoustics.music])
@pytest.mark.parametrize("ratio_db", [10.0, 15.0, 30.0])
def test_who_speaks_is_heard_from_the_first_syllable_on(
    noise: Callable[[np.random.Generator, float, float], acoustics.Sound], speech_dbfs: float, ratio_db: float
) -> None:
    room = noise(np.random.default_rng(3), 75, speech_dbfs - ratio_db)
    sound, asked = acoustics.with_questions(room, speech_dbfs, every_s=9.0)
    found = openings(sound)
    for begin_s, name in asked:
        heard = [one for one in found if begin_s - 0.1 <= one[0] < begin_s + 1]
        assert heard, f"{name} at {begin_s:.1f} s"
        assert heard[0][0] <= begin_s + 0.25, "the pre-roll of 0.3 s reaches back to the first syllable"
        assert heard[0][1] <= begin_s + 0.9, "and the light says so while the person still speaks"


def test_how_the_sound_comes_in_changes_nothing() -> None:
    sound, _ = acoustics.with_questions(acoustics.fan(np.random.default_rng(4), 40, -45), -26, 8.0)
    one_by_one = [began_s for began_s, _ in openings(sound, FRAME)]
    assert len(one_by_one) == 3
    assert [began_s for began_s, _ in openings(sound, 5 * FRAME)] == pytest.approx(one_by_one, abs=0.021)


def test_the_beginning_lies_within_what_is_kept() -> None:
    sound, asked = acoustics.with_questions(acoustics.silence(np.random.default_rng(5), 60), -26, 9.0)
    late_s = [told_s - began_s for began_s, told_s in openings(sound)]
    assert len(late_s) == len(asked)
    assert max(late_s) <= EARLIEST_S + s_from_frames(BATCH)
    assert np.median(late_s) <= DECISION_S + s_from_frames(BATCH)


# ------------------------------------------------------------ what is no voice


def opened_by(sounds: list[acoustics.Sound], room: acoustics.Sound, dbfs: float) -> int:
    """How many of the sounds open it, each alone in a room that it knows."""
    learning = Gate()
    openings(room[: acoustics.frames(10)], gate=learning)
    count = 0
    for sound in sounds:
        gate = Gate()
        gate.remember(learning.room)
        count += bool(openings(tones.heard(sound, room, dbfs), gate=gate))
    return count


@pytest.mark.parametrize("kind", tones.SOUNDS)
@pytest.mark.parametrize(
    ("noise", "dbfs"), [(acoustics.silence, -20.0), (acoustics.fan, -20.0), (acoustics.fan, -34.0)]
)
def test_apparatus_is_no_voice(
    noise: Callable[[np.random.Generator, float], acoustics.Sound], dbfs: float, kind: str
) -> None:
    """Also where it is hardly louder than the room. A siren that slides from 300 to 400 Hz is taken for one."""
    sounds = list(tones.SOUNDS[kind]())
    assert opened_by(sounds, noise(np.random.default_rng(8), 20), dbfs) <= (9 if kind == "sweeps" else 0)


@pytest.mark.parametrize("higher", [1.0, 1.3, 1.5])
@pytest.mark.parametrize("noise", [acoustics.silence, acoustics.fan, acoustics.traffic])
def test_a_child_is_no_apparatus(noise: Callable[[np.random.Generator, float], acoustics.Sound], higher: float) -> None:
    """All recordings, and as much higher."""
    said = [acoustics.spoken(name, -26.0) for name in voices.recordings()]
    said = [np.interp(np.arange(0, sound.size - 1, higher), np.arange(sound.size), sound) for sound in said]
    assert opened_by(said, noise(np.random.default_rng(9), 25), -30.0) == len(said)


@pytest.mark.parametrize("ratio_db", [15.0, 5.0])
def test_a_card_that_lifts_the_room_in_each_pause_is_not_deaf(ratio_db: float) -> None:
    """Its own gain control brings the rush of the room to where speech is."""
    room = acoustics.white(np.random.default_rng(10), 75, -36.0 - ratio_db)
    sound, asked = acoustics.with_questions(room, -36.0, every_s=9.0)
    found = openings(acoustics.agc_card(sound, None)[0])
    assert len(found) == len(asked)
    for (began_s, told_s), (asked_s, name) in zip(found, asked, strict=True):
        assert asked_s - 0.5 < began_s < asked_s + 0.3 and told_s < asked_s + 1.2, name


def test_a_card_that_lifts_the_room_hears_nobody_in_it() -> None:
    for noise in (acoustics.white, acoustics.fan, acoustics.rain, acoustics.traffic):
        sound, _ = acoustics.agc_card(noise(np.random.default_rng(12), 120), None)
        assert not openings(sound), noise.__name__


@pytest.mark.parametrize("first_ms", [40, 80, 120])
@pytest.mark.parametrize("pause_ms", [120, 220])
def test_a_short_first_word_is_found_again(first_ms: int, pause_ms: int) -> None:
    """Too short to be a voice by itself: "um, what time is it"."""
    late_s = []
    for number, name in enumerate(voices.recordings()):
        said = acoustics.spoken(name, -26.0)
        word = said[: acoustics.frames(first_ms / 1000)]
        whole = np.concatenate((word, np.zeros(acoustics.frames(pause_ms / 1000)), said))
        sound = acoustics.silence(np.random.default_rng(number), 14 + whole.size / acoustics.HZ)
        begin = acoustics.frames(9.013)
        sound[begin : begin + whole.size] += whole
        late_s += [began_s - 9.013 for began_s, _ in openings(sound)[:1]]
    assert len(late_s) == len(voices.recordings())
    assert max(late_s) < 0.3, "the pre-roll reaches back to it"
    assert min(late_s) > -0.5


def test_a_word_before_an_interruption_is_not_found_again() -> None:
    """What our own speaker played is left out, and what was heard before it is not the person's."""
    gate = Gate()
    gate.hear(quiet(9))
    word = acoustics.to_int16(acoustics.spoken("ask-who", -26))
    gate.hear(word[: 7 * FRAME])
    gate.interrupt()
    for begin in range(7 * FRAME, word.size - FRAME, FRAME):
        began = gate.hear(word[begin : begin + FRAME])
        if began is not None:
            break
    else:
        pytest.fail("it is not heard")
    assert began <= begin + FRAME - 7 * FRAME


@pytest.mark.parametrize(("dbfs", "noticed"), [(-26.0, False), (-64.0, True), (-90.0, False)])
def test_who_is_too_faint_is_noticed(dbfs: float, noticed: bool) -> None:
    gate = Gate()
    gate.hear(quiet(9))
    said = acoustics.spoken("ask-who", dbfs)
    word = acoustics.to_int16(said + acoustics.silence(np.random.default_rng(3), 20)[: said.size])
    faint = []
    for begin in range(0, word.size - BATCH, BATCH):
        assert gate.hear(word[begin : begin + BATCH]) is None or dbfs > -30
        faint.append(gate.faint_dbfs)
    assert any(level is not None for level in faint) is noticed


def quiet(seconds: float) -> npt.NDArray[np.int16]:
    return acoustics.to_int16(acoustics.silence(np.random.default_rng(6), seconds))


def test_an_interrupted_word_is_none() -> None:
    word = acoustics.to_int16(acoustics.spoken("ask-who", -26))
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
    gate.hear(acoustics.to_int16(acoustics.fan(np.random.default_rng(7), 8, -20)))
    assert gate.room_dbfs > -30
    gate.remember(room)
    assert gate.room_dbfs < FAINTEST_DBFS


def test_part_of_a_frame_is_a_fault_of_ours() -> None:
    with pytest.raises(AssertionError):
        Gate().hear(np.zeros(FRAME + 1, dtype=np.int16))
    assert Gate().hear(np.zeros(0, dtype=np.int16)) is None
