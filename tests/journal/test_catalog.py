"""The kinds of events, the catalog that explains them, and the tables of failures in the code name the same things."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.box import reports
from appliance.journal.catalog import Kind
from appliance.link.failures import Class, Failure, What, classify
from appliance.panel.light import Fault

ROOT = Path(__file__).parents[2]
CATALOG = (ROOT / "systemd" / "voice-appliance.catalog").read_text(encoding="utf-8")

OF_FAULT = {
    Fault.KEY: {Kind.NO_KEY, Kind.KEY_REFUSED},
    Fault.MICROPHONE: {Kind.MICROPHONE_LOST, Kind.MICROPHONE_DEAD},
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
    Fault.SETUP: {
        Kind.SETTINGS_REFUSED,
        Kind.CONFIGURATION_WRONG,
        Kind.RELOAD_REFUSED,
        Kind.BUTTON_BOX_LOST,
        Kind.BOOT_FILE_REFUSED,
    },
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


NOT_THE_SERVICE = {
    "commands/run.py": False,
    "commands": True,
    "doctor": True,
    "page": True,
    "simulator": True,
    "journal/rate_limit.py": True,
    "system/program.py": True,
}
"""By the beginning of a path, the first that fits: what does not write the service's journal; ``rate_limit.py`` passes
on what it is given; what ``program.py`` says is of a system that cannot kill a process, which no entry could
explain."""


def warnings() -> Iterator[tuple[str, ast.Call]]:
    """Every call that writes a warning or worse into the journal, with its place."""
    package = ROOT / "appliance"
    for path in sorted(package.rglob("*.py")):
        name = str(path.relative_to(package))
        if next((left_out for start, left_out in NOT_THE_SERVICE.items() if name.startswith(start)), False):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                target, method = ast.unparse(node.func.value), node.func.attr
                loud = method in ("warning", "error", "critical", "exception") and target in ("log", "logger")
                counted = method == "log" and target.endswith(("log", "logger", "repeats"))
                if loud or (counted and "DEBUG" not in ast.unparse(node.args[0])):
                    yield f"{name}:{node.lineno}", node


def test_whoever_looks_for_a_trouble_finds_it_by_its_kind() -> None:
    """``extra=entry(...)``, or what stands for it as the fourth argument of ``Repeats.log``."""
    calls = list(warnings())
    without = [
        place
        for place, call in calls
        if not any(keyword.arg == "extra" for keyword in call.keywords)
        and not (ast.unparse(call.func).endswith("_repeats.log") and len(call.args) == 4)
    ]
    assert not without
    assert len(calls) > 20
