"""What a person in front of the box is told of each failure."""

from __future__ import annotations

import pytest

from appliance.link import advice
from appliance.link.advice import Advice
from appliance.link.failures import Class, Failure, What, classify
from appliance.turn.announcements import Clip

CLOSED, HTTP = What.CLOSED, What.HTTP
FOR_AN_INSTALLER = {
    *(What.TOKEN, What.TRUST, What.CERTIFICATE_FORM, What.CERTIFICATE_DATES),
    *(What.TOO_LARGE, What.RULES, What.CLOSE_FRAME),
}
ROWS = {
    Advice.CALL: [
        *(Failure(CLOSED, code) for code in (4001, 4003, 1002, 1003, 1007, 1010)),
        *(Failure(HTTP, status) for status in (400, 401, 402, 403, 404, 426)),
        *(Failure(what) for what in (What.NO_KEY, What.SETTINGS_REFUSED)),
    ],
    Advice.CHECK: [
        *(Failure(what) for what in (What.NO_NETWORK, What.NAME, What.UNREACHABLE, What.TIMEOUT, What.NO_PONG)),
        *(Failure(what) for what in (What.NAME_CLOCK_UNSET, What.NOT_TLS)),
        *(Failure(what) for what in (What.SEND_STUCK, What.TLS, What.PROXY, What.CERTIFICATE_ISSUER, What.PROTOCOL)),
        *(Failure(HTTP, status) for status in (302, 511)),
        Failure(CLOSED, 1006),
    ],
    Advice.WAIT: [
        *(Failure(CLOSED, code) for code in (1000, 1001, 1005, 1008, 1011, 1012, 1013, 4008, 4999)),
        *(Failure(HTTP, status) for status in (429, 500, 502, 503)),
        *(Failure(what) for what in (What.SERVER_ERROR, What.NOT_CONFIGURED)),
        Failure(What.DIALECT, 1003),
        *(Failure(what) for what in (What.CLOCK, What.CERTIFICATE_TIME)),
        *(Failure(what) for what in FOR_AN_INSTALLER),
    ],
}
ALL = [(expected, failure) for expected, failures in ROWS.items() for failure in failures]


@pytest.mark.parametrize(("expected", "failure"), ALL)
def test_a_failure_that_is_new(expected: Advice, failure: Failure) -> None:
    assert advice.of(classify(failure), shown=False) is expected


@pytest.mark.parametrize(("expected", "failure"), ALL)
def test_a_fault_that_is_shown_sends_for_somebody_where_waiting_did_not_help(
    expected: Advice, failure: Failure
) -> None:
    verdict = classify(failure)
    lasting = verdict.class_ in (Class.LIMIT, Class.CLOCK) or failure.what in FOR_AN_INSTALLER
    assert advice.of(verdict, shown=True) is (Advice.CALL if lasting else expected)


def test_no_failure_is_left_out() -> None:
    assert {failure.what for _, failure in ALL} == set(What)
    assert {classify(failure).class_ for _, failure in ALL} == set(Class)


def test_each_has_its_clip() -> None:
    assert {Clip(one.value) for one in Advice} == {Clip.WAIT, Clip.CHECK, Clip.CALL}
