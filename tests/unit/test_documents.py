"""What the documents tell people to type exists, and the README names every place."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from appliance import cli

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
DOCUMENTS = (
    *ROOT.glob("*.md"),
    *ROOT.glob("systemd/*.md"),
    *ROOT.glob("hardware/*.md"),
    *ROOT.glob("hardware/profiles/*.toml"),
    ROOT / "appliance/default.toml",
    ROOT / "systemd/debian/config.toml",
    ROOT / "systemd/voice-appliance.catalog",
)

COMMAND = re.compile(r"(?:^#? {3,}(?:sudo )?|`(?:sudo )?)voice-appliance( [^#`\n]+)", re.MULTILINE)
"""An indented line, up to a remark, or words in backquotes."""


def section(title: str) -> str:
    """What stands below a heading of the README, up to the next."""
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_line_is_one_that_the_program_takes(path: Path) -> None:
    for found in COMMAND.findall(path.read_text(encoding="utf-8")):
        # Remarks of the configuration files stand in columns, without a sign of their own.
        words = shlex.split(re.split(r" {3,}", found.strip())[0])
        if len(words) == 1:
            assert words[0] in cli.COMMANDS
        else:
            cli._parse(words)


def test_the_readme_shows_command_lines() -> None:
    assert len(COMMAND.findall(README)) > 10


def test_every_module_has_its_place_in_the_readme() -> None:
    places = section("Where things are")
    modules = {path.name for path in (ROOT / "appliance").glob("*.py") if path.name != "__init__.py"}
    assert {name for name in modules if name not in places} == set()
    rooms = {path.parent.name for path in (ROOT / "appliance").glob("*/__init__.py")}
    assert {name for name in rooms if f"appliance/{name}/ " not in places} == set()
    named = set(re.findall(r"\b(\w+\.py)\b", places)) - {"host.py", "pins.py"}
    assert named <= modules


@pytest.mark.parametrize("document", [README, MAKEFILE.partition("PYTHON ?=")[0]], ids=["README.md", "Makefile"])
def test_every_target_of_make_is_explained_and_there(document: str) -> None:
    targets = set(re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[0].split())
    told = set(re.findall(r"\bmake ([a-z][a-z-]*)", document))
    # What set-up does by itself, and what needs no more words than its name.
    assert targets - told <= {"packages", "setup", "clean", "format"}
    assert {f"{name}:" for name in told & targets} <= set(re.findall(r"^[a-z-]+:", MAKEFILE, re.MULTILINE))
    assert {name for name in told if "-" in name} <= targets
