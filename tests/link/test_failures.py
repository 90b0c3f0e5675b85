"""What a failure means, row by row, and how long to wait."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.link.failures import Class, Failure, What, classify, delay_s


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (Failure(What.CLOSED, 4001), Class.KEY),
        (Failure(What.CLOSED, 4003), Class.ACCOUNT),
        (Failure(What.CLOSED, 4008), Class.LIMIT),
        *(
            (Failure(What.CLOSED, code), Class.TRANSIENT)
            for code in (1000, 1001, 1005, 1006, 1011, 1012, 1013, 1008, 4999)
        ),
        *((Failure(What.CLOSED, code), Class.SETTINGS) for code in (1002, 1003, 1007, 1010)),
        (Failure(What.HTTP, 401), Class.KEY),
        (Failure(What.HTTP, 403), Class.KEY),
        (Failure(What.HTTP, 402), Class.ACCOUNT),
        *((Failure(What.HTTP, status), Class.TRANSIENT) for status in (408, 429, 500, 502, 503, 504)),
        *((Failure(What.HTTP, status), Class.SETTINGS) for status in (400, 404, 426)),
        (Failure(What.HTTP, 200), Class.SETTINGS),
        *((Failure(What.HTTP, status), Class.NETWORK) for status in (301, 302, 307, 308, 511)),
        *((Failure(what), Class.TRANSIENT) for what in (What.UNREACHABLE, What.NAME, What.TIMEOUT, What.NO_PONG)),
        (Failure(What.CERTIFICATE_TIME), Class.CLOCK),
        (Failure(What.CERTIFICATE_ISSUER), Class.NETWORK),
        (Failure(What.SETTINGS_REFUSED), Class.SETTINGS),
        (Failure(What.NO_KEY), Class.KEY),
    ],
    ids=lambda value: f"{value.what.name}-{value.code}" if isinstance(value, Failure) else value.name,
)
def test_row(failure: Failure, expected: Class) -> None:
    verdict = classify(failure)
    assert verdict.class_ is expected
    assert verdict.fix and "\n" not in verdict.line


def test_a_close_reason_cannot_begin_a_line_of_its_own() -> None:
    """It becomes part of what systemd is told (sd_notify(3)), where each line is an order."""
    line = classify(Failure(What.CLOSED, 1013, "busy\nWATCHDOG=trigger\x1b[2J")).line
    assert line.isprintable() and 'saying "busy WATCHDOG=trigger [2J"' in line


@given(what=st.sampled_from(What), code=st.integers(0, 9999), text=st.text(max_size=40))
def test_every_failure_has_a_meaning_and_a_fix(what: What, code: int, text: str) -> None:
    assert classify(Failure(what, code, text)).fix


@given(attempt=st.integers(0, 10**6), jitter=st.floats(0, 1, exclude_max=True))
def test_delays_are_jittered_over_a_window_that_doubles_up_to_the_cap(attempt: int, jitter: float) -> None:
    window_s = min(30.0, 0.5 * 2.0 ** min(attempt, 10))
    assert delay_s(attempt, 0.5, 30.0, jitter) == pytest.approx(window_s * jitter)
