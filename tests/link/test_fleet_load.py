"""A thousand boxes and a day of power cuts, in paper time: what arrives at the voice service, the token server and the
package repository, by minute. The boxes decide by the project's own policy; with ``-s`` the day is printed.

Everybody loses power at one moment, gets it back at one moment and boots in the same time, which is worse than a street
does it. Real are the policy, its times and the spread of the start; made up are the service's limit and the day.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from appliance.box.part_settings import retry_times
from appliance.config import loader
from appliance.link.failures import Failure, What
from appliance.link.link import START_SPREAD_S
from appliance.link.retry import Policy

BOXES = 1000
DAY_S = 86_400.0
HOUR_S = 3600.0

CUTS_S = tuple(hour * HOUR_S for hour in (9.0, 11.5, 16.0, 19.0, 21.5))
"""When the power comes back; it was away for twenty minutes."""

AWAY_S = 1200.0
BOOT_S = 30.0

OUT_OF_CREDITS_S, TOPPED_UP_S = 13.0 * HOUR_S, 14.2 * HOUR_S
"""The account of all of them."""

SESSIONS_PER_S = 40
"""What the service lets begin in a second; beyond it says 1013."""

APT_SPREAD_S = 12 * HOUR_S
"""RandomizedDelaySec= of Debian's apt-daily.timer, drawn anew at each boot, since it is Persistent=."""

TENTHS = 10


@dataclass
class Box:
    """``epoch`` counts what makes older plans void: a cut."""

    policy: Policy
    epoch: int = 0
    open: bool = False
    attempts: int = 0


@dataclass
class Day:
    """One run. Plans are (time, order, what); ``spread`` holds, by occasion, where in its window each attempt lay."""

    chance: random.Random
    now_s: float = 0.0
    service: Counter[int] = field(default_factory=Counter)
    tokens: Counter[int] = field(default_factory=Counter)
    repository: Counter[int] = field(default_factory=Counter)
    spread: dict[str, list[float]] = field(default_factory=dict)
    _plans: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _order: Iterator[int] = field(default_factory=itertools.count)
    _second: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        times = retry_times(loader.load("/dev/null", {"credentials.token_command": ["/bin/true"]}))
        self.times = times
        self.boxes = [Box(Policy(times)) for _ in range(BOXES)]

    def at(self, time_s: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._plans, (time_s, next(self._order), what))

    def run(self) -> None:
        self.power_is_back()
        for back_s in CUTS_S:
            self.at(back_s - AWAY_S, self.power_is_cut)
            self.at(back_s, self.power_is_back)
        self.at(OUT_OF_CREDITS_S, self.credits_end)
        while self._plans and self._plans[0][0] < DAY_S:
            self.now_s, _, what = heapq.heappop(self._plans)
            what()

    def power_is_cut(self) -> None:
        for box in self.boxes:
            box.policy, box.open, box.epoch, box.attempts = Policy(self.times), False, box.epoch + 1, 0

    def power_is_back(self) -> None:
        for box in self.boxes:
            jitter = self.chance.random()
            self.spread.setdefault("start", []).append(jitter)
            self.plan(box, self.now_s + BOOT_S + START_SPREAD_S * jitter)
            self.at(self.now_s + BOOT_S + APT_SPREAD_S * self.chance.random(), self.asks_for_packages)

    def credits_end(self) -> None:
        for box in self.boxes:
            if box.open:
                box.open = False
                self.failed(box, Failure(What.CLOSED, 4003), "credits")

    def asks_for_packages(self) -> None:
        self.repository[int(self.now_s)] += 1

    def plan(self, box: Box, time_s: float) -> None:
        epoch = box.epoch
        self.at(time_s, lambda: self.attempt(box) if epoch == box.epoch else None)

    def attempt(self, box: Box) -> None:
        self.tokens[int(self.now_s)] += 1
        self.service[int(self.now_s)] += 1
        box.policy.attempted(self.now_s)
        second, begun = self._second
        self._second = (int(self.now_s), begun + 1 if second == int(self.now_s) else 1)
        if OUT_OF_CREDITS_S <= self.now_s < TOPPED_UP_S:
            self.failed(box, Failure(What.CLOSED, 4003), "credits")
        elif self._second[1] > SESSIONS_PER_S:
            box.attempts += 1
            self.failed(box, Failure(What.CLOSED, 1013), f"busy {box.attempts}")
        else:
            box.policy.opened(self.now_s)
            box.open, box.attempts = True, 0

    def failed(self, box: Box, failure: Failure, occasion: str) -> None:
        jitter = self.chance.random()
        decision = box.policy.failed(failure, self.now_s, waiting=False, jitter=jitter)
        assert decision.automatic_s is not None
        self.spread.setdefault(occasion, []).append(jitter)
        self.plan(box, decision.automatic_s)


def tenths(parts: Sequence[float]) -> list[int]:
    counts = Counter(min(TENTHS - 1, int(TENTHS * part)) for part in parts)
    return [counts[tenth] for tenth in range(TENTHS)]


def within(from_s: float, width_s: float, counts: Counter[int]) -> list[int]:
    """What came in each tenth of a window of whole seconds."""
    seconds = round(width_s / TENTHS)
    return [sum(counts[round(from_s) + seconds * tenth + each] for each in range(seconds)) for tenth in range(TENTHS)]


def by_minute(counts: Counter[int]) -> Counter[int]:
    minutes: Counter[int] = Counter()
    for second, count in counts.items():
        minutes[second // 60] += count
    return minutes


@pytest.fixture(scope="module")
def day() -> Day:
    made = Day(random.Random(17))
    made.run()
    return made


def test_everybody_is_back_within_minutes_of_each_cut(day: Day) -> None:
    assert all(box.open for box in day.boxes)
    for back_s in CUTS_S:
        late = sum(count for second, count in day.service.items() if back_s + 300 <= second < back_s + 1800)
        assert late == 0, "attempts that long after the power came back"


def test_no_attempts_come_together(day: Day) -> None:
    """For each kind of attempt no tenth of its window holds more than twice the mean, where there are enough to say."""
    for occasion, parts in day.spread.items():
        if len(parts) >= 20 * TENTHS:
            counts = tenths(parts)
            assert max(counts) <= 2 * sum(counts) / TENTHS, (occasion, counts)


def test_an_account_that_ends_for_all_at_once_is_not_probed_by_all_at_once(day: Day) -> None:
    """Measured where they arrive: the first probes, in the window that the policy leaves them."""
    probe_s = day.times.credit_probe_s
    counts = within(OUT_OF_CREDITS_S + probe_s / 2, probe_s / 2, day.service)
    assert sum(counts) >= 0.9 * BOXES
    assert max(counts) <= 2 * sum(counts) / TENTHS, counts


def test_the_repository_is_not_asked_by_all_at_once(day: Day) -> None:
    first = within(BOOT_S, HOUR_S * 8, day.repository)
    assert max(first) <= 2 * sum(first) / TENTHS, first


def test_the_day_by_minute_is_printed(day: Day, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{BOXES} boxes; attempts a minute: service = token server; packages: apt-daily")
        print(f"{'minute':>8}{'service':>10}{'tokens':>10}{'packages':>10}")
        service, tokens, repository = map(by_minute, (day.service, day.tokens, day.repository))
        busy = sorted(minute for minute, count in service.items() if count >= BOXES / 20)
        for minute in busy:
            time = f"{minute // 60:02}:{minute % 60:02}"
            print(f"{time:>8}{service[minute]:>10}{tokens[minute]:>10}{repository[minute]:>10}")
        quiet = max((count for minute, count in service.items() if minute not in busy), default=0)
        print(f"{1440 - len(busy)} other minutes: at most {quiet} attempts, {max(repository.values())} for packages")
        print(f"fullest second of the day: {max(day.service.values())} attempts")
    assert day.tokens == day.service
