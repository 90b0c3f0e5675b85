from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.panel.gestures import Gesture, Gestures, Pressed, Released

DEBOUNCE_S = 0.03
PRESS_MIN_S = 0.002


def feed(gestures: Gestures, *edges: tuple[bool, float]) -> list[Gesture]:
    """Edges in order, as a loop would feed them: the deadline between two edges is kept."""
    seen: list[Gesture] = []
    for down, at_s in edges:
        if gestures.deadline_s is not None and gestures.deadline_s <= at_s:
            seen += gestures.tick(gestures.deadline_s)
        seen += gestures.edge(down, at_s)
    if gestures.deadline_s is not None:
        seen += gestures.tick(gestures.deadline_s)
    return seen


def button() -> Gestures:
    return Gestures(DEBOUNCE_S, "button")


def wired() -> Gestures:
    """At the end of a wire that catches spikes."""
    return Gestures(DEBOUNCE_S, "button", PRESS_MIN_S)


def test_a_press_counts_at_its_first_edge() -> None:
    gestures = button()
    assert gestures.edge(True, 5.0) == [Pressed(5.0, "button")]
    assert gestures.deadline_s is None


def test_a_release_counts_when_it_has_lasted_and_carries_the_time_it_began() -> None:
    gestures = button()
    gestures.edge(True, 5.0)
    assert gestures.edge(False, 6.0) == []
    assert gestures.deadline_s == 6.0 + DEBOUNCE_S
    assert gestures.tick(6.02) == []
    assert gestures.tick(6.0 + DEBOUNCE_S) == [Released(6.0, "button")]
    assert gestures.deadline_s is None
    assert gestures.tick(7.0) == []


def test_a_contact_that_bounces_while_it_lets_go_has_let_go_at_its_first_edge() -> None:
    edges = [(True, 0.0), (False, 1.0), (True, 1.004), (False, 1.006), (True, 1.02), (False, 1.021)]
    assert feed(button(), *edges) == [Pressed(0.0, "button"), Released(1.0, "button")]


def test_a_contact_that_bounces_while_it_closes_is_one_press() -> None:
    edges = [(True, 0.0), (False, 0.002), (True, 0.003), (False, 0.008), (True, 0.009), (False, 0.5)]
    assert feed(button(), *edges) == [Pressed(0.0, "button"), Released(0.5, "button")]


def test_a_short_loss_of_contact_in_a_hold_is_no_release_and_not_its_time() -> None:
    edges = [(True, 0.0), (False, 2.0), (True, 2.01), (False, 5.0)]
    assert feed(button(), *edges) == [Pressed(0.0, "button"), Released(5.0, "button")]


def test_a_short_tap_on_a_bouncing_contact() -> None:
    edges = [(True, 0.0), (False, 0.003), (True, 0.005), (False, 0.02)]
    assert feed(button(), *edges) == [Pressed(0.0, "button"), Released(0.02, "button")]


def test_a_release_that_nobody_looked_at_comes_before_the_next_press() -> None:
    gestures = button()
    gestures.edge(True, 0.0)
    gestures.edge(False, 1.0)
    assert gestures.edge(True, 2.0) == [Released(1.0, "button"), Pressed(2.0, "button")]


def test_edges_that_change_nothing_are_ignored() -> None:
    gestures = button()
    assert gestures.edge(False, 0.0) == []
    assert gestures.deadline_s is None
    assert gestures.edge(True, 1.0) == [Pressed(1.0, "button")]
    assert gestures.edge(True, 2.0) == []
    gestures.edge(False, 3.0)
    assert gestures.edge(False, 3.02) == []
    assert gestures.tick(3.0 + DEBOUNCE_S) == [Released(3.0, "button")]


def test_a_storm_is_one_press_that_ends_when_it_ends() -> None:
    edges = [(index % 2 == 0, index / 1000) for index in range(1000)]
    gestures = button()
    seen = [gesture for down, at_s in edges for gesture in gestures.edge(down, at_s)]
    assert seen == [Pressed(0.0, "button")]
    deadline_s = gestures.deadline_s
    assert deadline_s == 0.999 + DEBOUNCE_S
    (release,) = gestures.tick(deadline_s)
    # Its first 30 ms may be the bounce of the press; from then on the contact has not been down and still.
    assert isinstance(release, Released) and abs(release.at_s - DEBOUNCE_S) < 0.002


def test_a_spike_is_no_press() -> None:
    """A contact spike of 0.05 ms opened a turn."""
    edges = [(True, 0.0), (False, 0.00005), (True, 1.0), (False, 1.0 + PRESS_MIN_S - 0.0001)]
    assert feed(wired(), *edges) == []
    assert wired().deadline_s is None


def test_a_press_counts_when_it_has_lasted_and_carries_the_time_it_began() -> None:
    gestures = wired()
    assert gestures.edge(True, 5.0) == []
    assert gestures.deadline_s == 5.0 + PRESS_MIN_S
    assert gestures.tick(5.001) == []
    assert gestures.tick(5.0 + PRESS_MIN_S) == [Pressed(5.0, "button")]
    assert gestures.deadline_s is None
    gestures.edge(False, 6.0)
    assert gestures.tick(6.0 + DEBOUNCE_S) == [Released(6.0, "button")]


def test_a_press_of_which_a_busy_loop_is_told_late_counts_by_its_own_times() -> None:
    gestures = wired()
    assert gestures.edge(True, 5.0) == []
    assert gestures.edge(False, 5.08) == [Pressed(5.0, "button")]
    assert gestures.tick(5.2) == [Released(5.08, "button")]


def test_a_contact_that_bounces_while_it_closes_is_one_press_once_it_is_still() -> None:
    edges = [(True, 0.0), (False, 0.0005), (True, 0.001), (False, 0.0018), (True, 0.002), (False, 0.5)]
    assert feed(wired(), *edges) == [Pressed(0.002, "button"), Released(0.5, "button")]


def test_a_spike_while_the_button_is_up_or_down_changes_nothing() -> None:
    edges = [
        (True, 0.0),
        (False, 1.0),
        (True, 1.5),
        (False, 1.50005),
        (True, 2.0),
        (False, 2.5),
        (True, 2.50005),
        (False, 3.0),
    ]
    assert feed(wired(), *edges) == [
        Pressed(0.0, "button"),
        Released(1.0, "button"),
        Pressed(2.0, "button"),
        Released(3.0, "button"),
    ]


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.floats(0.0, 0.2)), max_size=60))
def test_whatever_the_contact_does(steps: list[tuple[bool, float]]) -> None:
    """Press and release by turns; each at an edge of its own kind; nothing left over once the contact is still."""
    edges: list[tuple[bool, float]] = []
    now_s = 0.0
    for down, wait_s in steps:
        now_s += wait_s
        edges.append((down, now_s))
    seen = feed(button(), *edges, (False, now_s + 1.0))
    assert [type(gesture) for gesture in seen] == [Pressed, Released] * (len(seen) // 2)
    assert bool(seen) == any(down for down, _ in edges)
    times_s = [gesture.at_s for gesture in seen]
    assert times_s == sorted(times_s)
    changes = [*edges, (False, now_s + 1.0)]
    for gesture in seen:
        assert (isinstance(gesture, Pressed), gesture.at_s) in changes


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.floats(0.0, 0.01)), max_size=60))
def test_whatever_a_wire_catches(steps: list[tuple[bool, float]]) -> None:
    """A press iff the contact was once closed for long enough; press and release by turns."""
    edges: list[tuple[bool, float]] = []
    now_s = 0.0
    for down, wait_s in steps:
        now_s += wait_s
        if not edges or edges[-1][0] is not down:
            edges.append((down, now_s))
    edges.append((False, now_s + 1.0))
    seen = feed(wired(), *edges)
    assert [type(gesture) for gesture in seen] == [Pressed, Released] * (len(seen) // 2)
    lasted = [end_s >= at_s + PRESS_MIN_S for (down, at_s), (_, end_s) in itertools.pairwise(edges) if down]
    assert bool(seen) == any(lasted)
