"""What may import what, where a tool's list of forbidden names is not enough, and what start-up must not pay for."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "appliance"

PURE = {
    *("__future__", "base64", "binascii", "bisect", "collections", "contextlib", "dataclasses", "enum", "functools"),
    *("heapq", "itertools", "json", "math", "operator", "re", "struct", "types", "typing"),
}
"""What a pure room may have from outside: nothing with a clock, a thread, a file or the network behind it."""

PURE_TEXT = PURE | {"codecs", "unicodedata"}
"""What a pure module about text may have from outside."""


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of each import in ``path``, those within functions and under TYPE_CHECKING too."""
    package = path.parent.relative_to(PACKAGE.parent).parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            origin = ".".join((*above, *([node.module] if node.module else [])))
            yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)


def loaded_by(statement: str) -> set[str]:
    """Names of the modules in a fresh interpreter after ``statement``."""
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return set(ended.stdout.split())


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("__init__.py")), ids=lambda path: path.parent.name)
def test_package_inits_import_nothing(path: Path) -> None:
    assert list(imports(path)) == []


@pytest.mark.parametrize("room", ["turn", "realtime"])
def test_pure_rooms_import_only_what_is_pure(room: str) -> None:
    own = (
        f"appliance.{room}.",
        "appliance.errors.",
        "appliance.journal.foreign_text.",
        "appliance.turn.events.",
        "appliance.turn.value.",
    )
    found = [(path, *found) for path in (PACKAGE / room).glob("*.py") for found in imports(path)]
    assert any(name.startswith(own) for _, _, name in found)
    for path, line, name in found:
        assert name.startswith(own) or name.split(".")[0] in PURE, f"{path}:{line}: {name}"


@pytest.mark.parametrize("module", ["journal/foreign_text", "config/invisible", "link/key_text", "turn/value"])
def test_pure_modules_import_only_what_is_pure(module: str) -> None:
    for line, name in imports(PACKAGE / f"{module}.py"):
        pure = (
            name.startswith(("appliance.journal.foreign_text.", "appliance.config.invisible."))
            or name.split(".")[0] in PURE_TEXT
        )
        assert pure, f"{module}.py:{line}: {name}"


HEAVY = {"numpy", "asyncio", "ssl", "websockets", "gpiozero", "systemd"}


def test_the_sound_host_loads_nothing_heavy_and_nothing_of_the_daemon() -> None:
    loaded = loaded_by("import appliance.soundhost.host")
    assert not loaded & (HEAVY | {"tomllib"})
    ours = {name for name in loaded if name.startswith("appliance.")}
    assert "appliance.soundhost.host" in ours
    assert all(
        name.startswith(("appliance.soundhost", "appliance.journal.foreign_text")) or name == "appliance.errors"
        for name in ours
    )


def test_configuration_and_command_line_load_nothing_heavy() -> None:
    loaded = loaded_by(
        "import appliance.cli, appliance.config.loader, appliance.commands.run, appliance.commands.config"
    )
    assert "appliance.commands.run" in loaded
    assert not loaded & (HEAVY | {"pyaudio", "json", "importlib.metadata"})


def test_a_sound_host_can_be_started_before_anything_heavy_is_loaded() -> None:
    loaded = loaded_by("import appliance.audio.child_process")
    assert not loaded & (HEAVY | {"json", "appliance.soundhost.devices"})
