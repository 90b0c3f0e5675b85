"""What the documents tell people to type exists, and the README names every place."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from pathlib import Path

import pytest

from appliance import cli

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
INSIDE = (ROOT / "appliance/README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
DOCUMENTS = (
    *ROOT.glob("*.md"),
    ROOT / "appliance/README.md",
    *ROOT.glob("systemd/*.md"),
    *ROOT.glob("hardware/*.md"),
    *ROOT.glob("hardware/profiles/*.toml"),
    ROOT / "appliance/config/default.toml",
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


def rooms() -> set[str]:
    return {path.parent.name for path in (ROOT / "appliance").glob("*/__init__.py")}


@pytest.mark.parametrize("text", [section("Where things are"), INSIDE], ids=["README.md", "appliance/README.md"])
def test_every_room_has_its_place(text: str) -> None:
    modules = {path.name for path in (ROOT / "appliance").glob("*.py")} - {"__init__.py", "__main__.py"}
    assert {name for name in rooms() if f"{name}/" not in text} == set()
    assert {name for name in modules if name not in text} == set()


def test_the_top_of_the_package_has_nothing_else() -> None:
    files = {path.name for path in (ROOT / "appliance").iterdir() if path.is_file()}
    assert files == {"__init__.py", "__main__.py", "README.md", "cli.py", "daemon.py", "errors.py"}


@pytest.mark.parametrize("path", [ROOT / "README.md", ROOT / "appliance/README.md"], ids=["README.md", "appliance"])
def test_every_file_that_is_named_is_there(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    links = set(re.findall(r"\]\(([^)#:]+)\)", text))
    assert {link for link in links if not (path.parent / link).exists()} == set()
    named = set(re.findall(r"`((?:appliance|hardware|systemd|tests)/[\w./-]*\w/?)`", text))
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_ten_questions_have_an_answer() -> None:
    rows = re.findall(r"^\| (.+) \| .*\[`", INSIDE.partition("## The rooms")[0], re.MULTILINE)
    assert len(rows) == 10


def test_every_decision_that_is_cited_is_written_down() -> None:
    written = {int(number) for number in re.findall(r"^(\d+)\. \*?\*?", INSIDE, re.MULTILINE)}
    cited = {
        int(number)
        for path in (ROOT / "appliance").rglob("*.py")
        for found in re.findall(r"[Dd]ecisions? (\d+(?:(?:,| and| to) \d+)*)", path.read_text(encoding="utf-8"))
        for number in re.findall(r"\d+", found)
    }
    assert cited and cited <= written


def test_no_class_and_no_module_name_has_two_meanings() -> None:
    paths = [path for path in (ROOT / "appliance").rglob("*.py") if path.name != "__init__.py"]
    classes = Counter(
        name for path in paths for name in re.findall(r"^class (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert [name for name, count in classes.items() if count > 1] == []
    assert [name for name, count in Counter(path.name for path in paths).items() if count > 2] == []


@pytest.mark.parametrize("document", [README, MAKEFILE.partition("PYTHON ?=")[0]], ids=["README.md", "Makefile"])
def test_every_target_of_make_is_explained_and_there(document: str) -> None:
    targets = set(re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[0].split())
    told = set(re.findall(r"\bmake ([a-z][a-z-]*)", document))
    # What set-up does by itself, and what needs no more words than its name.
    assert targets - told <= {"packages", "setup", "clean", "format", "test-system"}
    assert {f"{name}:" for name in told & targets} <= set(re.findall(r"^[a-z-]+:", MAKEFILE, re.MULTILINE))
    assert {name for name in told if "-" in name} <= targets
