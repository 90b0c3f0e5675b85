"""The kinds of events, the catalog that explains them, and the tables of failures in the code name the same things."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from appliance import reports
from appliance.kinds import Kind
from appliance.realtime.retry import Class, Failure, What, classify
from appliance.turn.lights import Fault

ROOT = Path(__file__).parents[2]
CATALOG = (ROOT / "systemd" / "voice-appliance.catalog").read_text(encoding="utf-8")

OF_FAULT = {
    Fault.KEY: {Kind.NO_KEY, Kind.KEY_REFUSED},
    Fault.MICROPHONE: {Kind.MICROPHONE_LOST},
    Fault.ACCOUNT: {Kind.NO_CREDITS, Kind.TOO_MANY_CONNECTIONS},
    Fault.SPEAKER: {Kind.SPEAKER_LOST},
    Fault.CLOCK: {Kind.CLOCK_WRONG},
    Fault.NETWORK: {
        Kind.CONNECTION_LOST,
        Kind.NO_NETWORK,
        Kind.NO_INTERNET,
        Kind.UNREACHABLE,
        Kind.NO_TOKEN,
        Kind.NETWORK_INTERCEPTS,
    },
    Fault.SETUP: {Kind.SETTINGS_REFUSED},
}
"""What stands in the journal while the light flashes that number."""


def entries() -> dict[str, str]:
    """Text by message id."""
    parts = re.split(r"^-- (\w+)$", CATALOG, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_every_kind_is_explained_and_nothing_else_is() -> None:
    assert set(entries()) == {kind.value for kind in Kind}
    assert len({kind.value for kind in Kind}) == len(Kind)


@pytest.mark.parametrize("kind", list(Kind), ids=lambda kind: kind.name.lower())
def test_an_explanation_says_what_happened_and_what_to_do(kind: Kind) -> None:
    assert re.fullmatch(r"[0-9a-f]{32}", kind.value)
    header, _, text = entries()[kind.value].strip().partition("\n\n")
    assert re.search(r"^Subject: \S.{10,}$", header, re.MULTILINE)
    happened, _, todo = text.partition("\n\n")
    assert len(happened) > 40, "what happened"
    assert todo.strip(), "what to do"
    assert all(len(line) <= 110 for line in text.splitlines())


def test_every_failed_connection_is_a_kind_that_its_light_is_explained_by() -> None:
    codes = {What.CLOSED: (1000, 1002, 1006, 1013, 4001, 4003, 4008, 4999), What.HTTP: (301, 400, 401, 402, 429, 503)}
    for what in What:
        for code in codes.get(what, (0,)):
            verdict = classify(Failure(what, code))
            number = {Class.TRANSIENT: 6, Class.LIMIT: 3}.get(verdict.class_, verdict.class_.value)
            assert reports.kind_of(verdict) in OF_FAULT[Fault(number)], (what, code)


def test_every_fault_of_the_light_and_every_class_has_a_kind() -> None:
    assert set(OF_FAULT) == set(Fault)
    assert set(reports.KIND_OF_CLASS) == set(Class)


def test_every_kind_is_used_in_the_code() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "appliance").rglob("*.py"))
    assert {kind.name for kind in Kind} == set(re.findall(r"\bKind\.([A-Z_]+)\b", text))
