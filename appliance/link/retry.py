"""When the link may try again, and which fault the box shows meanwhile. Pure: time and jitter are arguments.

One ``Policy`` lives as long as the link. It is told of every attempt, every session and every failure, and answers each
failure with a ``Decision``. The table of what a failure means is in ``failures.py``; what stands here is what to do
about it over time: backoff, latches with their slow probes, our own ghost, what resets what (decisions 8 and 11 to 14).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from . import failures
from .failures import Class, Failure, Verdict, What

LATCHED_ATTEMPT_S: Final = 5.0
"""At most one attempt in this time on a latch (decision 13): a child hammering the button must not hammer the
service."""

PRESSED_ATTEMPT_S: Final = 1.0
"""At most one attempt in this time where a press skips the backoff (decision 13)."""

PROVEN_S: Final = 30.0
"""A session open this long beyond its settings is proven: failures before it are forgiven (decision 13)."""

WAITING_CAP_S: Final = 4.0
"""Longest pause between attempts while somebody waits for an answer (decision 8)."""

GHOST_S: Final = 90.0
"""After an unclean end the service may count our dead connection for so long ("our own ghost")."""

GHOST: Final = "our own lost connection still counts"
"""What is said of that, in place of what somebody should do about a full plan."""

SETTINGS_PROBE_S: Final = 900.0
"""Between probes of settings that were refused, and of a key whose source may have been mended (decisions 11 and
12)."""

NETWORK_FAULT_S: Final = 120.0
"""Without a session for so long a transient trouble is shown as a network fault, while retrying goes on."""

LASTING_FAULT_S: Final = 600.0
"""A full plan, and a wrong clock, mostly mend themselves; they are shown when they last this long."""


@dataclass(frozen=True, slots=True)
class RetryTimes:
    """From the configuration; a probe of 0 never happens. ``renewable``: each attempt has a fresh token."""

    backoff_first_s: float
    backoff_cap_s: float
    credit_probe_s: float
    limit_probe_s: float
    renewable: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows a failure.

    ``automatic_s``: when the link tries by itself, None for never. ``asked_s``: from when on a press may have its
    attempt. ``latched``: the turn that waits is refused; without it the turn goes on waiting.
    """

    verdict: Verdict
    automatic_s: float | None
    asked_s: float
    latched: bool


class Policy:
    """See the module's text. All times are monotonic seconds."""

    def __init__(self, times: RetryTimes) -> None:
        self._times = times
        self._attempts = 0
        self._attempted_s = float("-inf")
        self._opened_s: float | None = None
        self._unclean_s = float("-inf")
        self._failing_since_s: float | None = None
        self._renewed = False
        self.verdict: Verdict | None = None
        """Of the last failure; None once a session has its settings."""
        self._latched = False

    def attempted(self, now_s: float) -> None:
        """An attempt begins."""
        self._attempted_s = now_s

    def opened(self, now_s: float) -> None:
        """A session has its settings. Failures are not forgiven yet: services accept, and then refuse."""
        self._opened_s = now_s
        self._failing_since_s = None
        self.verdict = None
        self._latched = False

    def proven(self) -> None:
        """A turn was completed: all failures are forgiven."""
        self._attempts = 0
        self._renewed = False

    def unneeded(self) -> None:
        """The last failure ended a session that nobody needed, and nobody tries again: no trouble that could last."""
        self.verdict = None
        self._failing_since_s = None

    def closed(self, now_s: float) -> None:
        """We ended a session ourselves, with nothing wrong."""
        self._leave(now_s)

    def failed(self, failure: Failure, now_s: float, *, waiting: bool, jitter: float) -> Decision:
        """An attempt or a session failed. ``waiting``: somebody waits for an answer. ``jitter``: uniform in [0, 1)."""
        was_open = self._leave(now_s)
        verdict = failures.classify(failure)
        if verdict.class_ is Class.LIMIT and now_s - self._unclean_s < GHOST_S:
            verdict = replace(verdict, class_=Class.TRANSIENT, fix=f"{GHOST}; trying again")
        if (was_open and failure.what in (What.NO_PONG, What.SEND_STUCK, What.UNREACHABLE)) or failure.code == 1006:
            self._unclean_s = now_s
        self.verdict = verdict
        self._failing_since_s = now_s if self._failing_since_s is None else self._failing_since_s
        self._latched = not verdict.class_.retries
        if not self._latched:
            return self._back_off(verdict, now_s, waiting, jitter)
        if verdict.class_ is Class.KEY and self._times.renewable and not self._renewed:
            # An expired token says the same as a wrong one: a fresh one decides (decision 12).
            self._renewed = True
            return Decision(verdict, now_s, now_s, latched=False)
        # An account that ends closes the sessions of all its boxes at one moment: they must not look together.
        probe_s = self._probe_s(verdict.class_) * (1 + jitter) / 2
        asked_s = self._attempted_s + LATCHED_ATTEMPT_S
        return Decision(verdict, now_s + probe_s if probe_s else None, asked_s, latched=True)

    def _back_off(self, verdict: Verdict, now_s: float, waiting: bool, jitter: float) -> Decision:
        times = self._times
        cap_s = min(times.backoff_cap_s, WAITING_CAP_S) if waiting else times.backoff_cap_s
        delay_s = failures.delay_s(self._attempts, times.backoff_first_s, cap_s, jitter)
        self._attempts += 1
        wish_s = verdict.failure.retry_after_s
        if wish_s is not None:
            # The service's wish is obeyed, by a press too, and then jittered: it told every box the same.
            return Decision(verdict, now_s + wish_s + delay_s, now_s + wish_s, latched=False)
        return Decision(verdict, now_s + delay_s, self._attempted_s + PRESSED_ATTEMPT_S, latched=False)

    def _leave(self, now_s: float) -> bool:
        """A session, if one was open, is over; returns whether one was."""
        opened_s, self._opened_s = self._opened_s, None
        if opened_s is not None and now_s - opened_s >= PROVEN_S:
            self.proven()
        return opened_s is not None

    def _probe_s(self, class_: Class) -> float:
        """Between probes of a latch; 0: never."""
        match class_:
            case Class.ACCOUNT:
                return self._times.credit_probe_s
            case Class.LIMIT:
                return self._times.limit_probe_s
            case Class.SETTINGS:
                return SETTINGS_PROBE_S
            case Class.KEY if self._times.renewable:
                return SETTINGS_PROBE_S
            case _:
                return 0.0

    def fault(self, now_s: float) -> int | None:
        """Number of the fault to show at ``now_s``; None: none, or none yet."""
        if self.verdict is None or self._failing_since_s is None:
            return None
        lasted_s = now_s - self._failing_since_s
        match self.verdict.class_:
            case Class.KEY | Class.ACCOUNT | Class.SETTINGS | Class.NETWORK as class_:
                return int(class_.value)
            case Class.CLOCK:
                return int(Class.CLOCK.value) if lasted_s >= LASTING_FAULT_S else None
            case Class.LIMIT:
                return int(Class.ACCOUNT.value) if lasted_s >= LASTING_FAULT_S else None
            case Class.TRANSIENT:
                return int(Class.NETWORK.value) if lasted_s >= NETWORK_FAULT_S else None
