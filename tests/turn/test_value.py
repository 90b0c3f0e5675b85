"""A value behaves as the frozen dataclass that it stands in for; and it is used where that would cost the start."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from appliance.turn.value import Value

ROOT = Path(__file__).parents[2]


class Event(Value):
    """Happened."""


class Press(Event):
    at_s: float
    source: str = "button"


class Release(Event):
    at_s: float
    source: str = "button"


@dataclass(frozen=True, slots=True)
class Model:
    at_s: float
    source: str = "button"


@pytest.mark.parametrize(("args", "named"), [((1.0,), {}), ((1.0, "key"), {}), ((), {"source": "a", "at_s": 2.0})])
def test_it_is_made_shown_and_hashed_like_a_dataclass(args: tuple[Any, ...], named: dict[str, Any]) -> None:
    press, model = Press(*args, **named), Model(*args, **named)
    assert (press.at_s, press.source) == (model.at_s, model.source)
    assert repr(press) == repr(model).replace("Model", "Press")
    assert press == Press(*args, **named)
    assert hash(press) == hash(Press(*args, **named))
    assert isinstance(press, Event)


def test_only_the_same_class_with_the_same_fields_is_equal() -> None:
    different: list[object] = [Release(1.0), Press(2.0), Press(1.0, "key"), (1.0, "button"), None]
    assert all(Press(1.0) != other for other in different)
    assert Event() == Event()
    assert bool(Event()), "without a field it is no less true"


@pytest.mark.parametrize(
    ("args", "named"), [((), {}), ((1.0, "a", 3), {}), ((1.0,), {"at_s": 2.0}), ((1.0,), {"colour": "red"})]
)
def test_what_does_not_fit_is_a_type_error(args: tuple[Any, ...], named: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"Press has the fields \(at_s, source\)"):
        Press(*args, **named)


def test_it_cannot_be_changed_and_has_no_room_for_more() -> None:
    press = Press(1.0)
    for field in ("at_s", "colour"):
        with pytest.raises(AttributeError, match=field):
            setattr(press, field, 2.0)
    with pytest.raises(AttributeError):
        del press.source
    assert not hasattr(press, "__dict__")


def test_a_match_takes_it_apart() -> None:
    match Press(1.0, "key"):
        case Press(at_s, source):
            assert (at_s, source) == (1.0, "key")
        case _:
            pytest.fail("it did not match")


MOST_DATACLASSES = 65
"""Of those modules together. Each costs the start of a Pi Zero 2 W 8 ms."""


def test_what_the_daemon_loads_has_few_dataclasses() -> None:
    code = "import appliance.daemon, sys; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found: dict[str, int] = {}
    for module in sorted(name for name in ended.stdout.split() if name.startswith("appliance.")):
        path = ROOT / f"{module.replace('.', '/')}.py"
        if path.exists():
            found[module] = sum(
                isinstance(node, ast.ClassDef) and any("dataclass" in ast.unparse(name) for name in node.decorator_list)
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            )
    most = max((count, name) for name, count in found.items() if name != "appliance.config.settings")
    assert most[0] <= 4, f"{most[1]}: its values are better Values (appliance/turn/value.py)"
    assert sum(found.values()) <= MOST_DATACLASSES
