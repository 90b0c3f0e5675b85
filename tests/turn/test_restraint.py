"""A radio talks with the box for a while, not for ever."""

from __future__ import annotations

import pytest

from appliance.turn.restraint import Restraint, RestraintSettings

SETTINGS = RestraintSettings(unanswered=3, conversation_s=300.0, rest_s=30.0, rest_max_s=300.0, turn_s=65.0)


class Room:
    """A restraint with a clock."""

    def __init__(self) -> None:
        self.restraint = Restraint(SETTINGS)
        self.now_s = 1000.0

    def turn(self, seconds: float, answered: bool | None) -> str:
        """A voice opens a turn, which ends so many seconds later."""
        self.restraint.opened(self.now_s)
        self.now_s += seconds
        return self.restraint.closed(self.now_s, answered=answered)

    def noise(self) -> float:
        """Turns in which nobody speaks, until it rests: for how long?"""
        for number in range(SETTINGS.unanswered):
            assert self.restraint.rest_s(self.now_s) == 0
            rests = self.turn(6.0, answered=False)
            assert bool(rests) is (number == SETTINGS.unanswered - 1)
            self.restraint.invites()
        return self.restraint.rest_s(self.now_s)


def test_noise_is_answered_with_growing_rests_that_end_by_themselves() -> None:
    room = Room()
    rests = []
    for _ in range(6):
        rests.append(room.noise())
        room.now_s += rests[-1]
        assert room.restraint.rest_s(room.now_s) == 0
    assert rests == [30, 60, 120, 240, 300, 300]


def test_a_room_that_was_quiet_for_long_begins_anew() -> None:
    room = Room()
    assert room.noise() == 30
    room.now_s += 30
    assert room.noise() == 60
    room.now_s += 60 + SETTINGS.rest_max_s
    assert room.noise() == 30


def test_an_answer_makes_up_for_noises_before_it() -> None:
    room = Room()
    for answered in (False, False, True, False, None, False):
        assert not room.turn(6.0, answered=answered)
        room.restraint.invites()
    assert "asked nothing" in room.turn(6.0, answered=False)


def test_talk_without_a_pause_ends_with_the_turn_that_makes_it_too_long() -> None:
    room = Room()
    for _ in range(14):
        assert not room.turn(20.0, answered=True)
    assert "5 min of talk without a pause" in room.turn(20.0, answered=True)
    assert room.restraint.rest_s(room.now_s) == 30


def test_people_pause() -> None:
    room = Room()
    for _ in range(30):
        assert not room.turn(20.0, answered=True)
        room.restraint.invites()


@pytest.mark.parametrize(("lasts_s", "endless"), [(300.0, False), (364.0, False), (365.0, True)])
def test_a_turn_that_does_not_end_is_noticed(lasts_s: float, endless: bool) -> None:
    room = Room()
    room.restraint.opened(room.now_s)
    assert room.restraint.endless(room.now_s + lasts_s) is endless


def test_a_press_ends_a_rest_and_forgets_those_before() -> None:
    room = Room()
    assert room.noise() == 30
    room.now_s += 30
    assert room.noise() == 60
    room.restraint.pressed()
    assert room.restraint.rest_s(room.now_s) == 0
    assert room.noise() == 30
