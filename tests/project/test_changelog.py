"""The package's version: it grows with every commit, and a release is above everything that led to it."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    shutil.which("dpkg") is None or shutil.which("git") is None, reason="no dpkg, or no git"
)


class Tree:
    """A repository with the program's version in it, and what makes the changelog."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "systemd").mkdir(parents=True)
        shutil.copy(ROOT / "systemd" / "changelog", folder / "systemd")
        self.git("init", "--quiet")
        self.coming("0.2.0")

    def git(self, *command: str, at: str = "2026-11-25T10:00:00Z") -> None:
        who = {f"GIT_{role}_{what}": "a@b" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        time = {"GIT_AUTHOR_DATE": at, "GIT_COMMITTER_DATE": at}
        subprocess.run(("git", *command), cwd=self.folder, check=True, env={**os.environ, **who, **time})

    def commit(self, subject: str, at: str = "2026-11-25T10:00:00Z") -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", f"--message={subject}", at=at)

    def coming(self, version: str) -> None:
        (self.folder / "appliance").mkdir(exist_ok=True)
        (self.folder / "appliance" / "__init__.py").write_text(f'__version__ = "{version}.dev0"\n')

    def made(self) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "SOURCE_DATE_EPOCH": "1795657323"}
        command = (str(self.folder / "systemd" / "changelog"),)
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    @property
    def changelog(self) -> str:
        made = self.made()
        assert made.returncode == 0, made.stderr
        return made.stdout

    @property
    def version(self) -> str:
        found = re.match(r"voice-appliance \((.*)\) unstable", self.changelog)
        assert found
        return found[1]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    tree = Tree(tmp_path / "tree")
    tree.commit("Begin")
    return tree


def grows(*versions: str) -> bool:
    pairs = itertools.pairwise(versions)
    return all(
        subprocess.run(("dpkg", "--compare-versions", a, "lt", b), check=False).returncode == 0 for a, b in pairs
    )


def test_it_grows_with_every_commit_also_on_one_day_and_when_a_clock_goes_back(tree: Tree) -> None:
    versions = [tree.version]
    for at in ("2026-11-25T10:00:00Z", "2026-11-26T10:00:00Z", "2026-11-20T10:00:00Z"):
        tree.commit("Go on", at)
        versions.append(tree.version)
    assert grows("0.1.0", *versions, "0.2.0"), versions
    assert re.fullmatch(r"0\.2\.0~git20261125\.1\.[0-9a-f]{7}", versions[0])


def test_a_tag_is_a_release_and_the_next_one_has_to_be_named(tree: Tree) -> None:
    before = tree.version
    tree.git("tag", "v0.2.0")
    assert tree.version == "0.2.0"
    tree.commit("Go on")
    assert tree.made().returncode != 0 and "write the next one into appliance/__init__.py" in tree.made().stderr
    tree.coming("0.3.0")
    tree.commit("Go on to 0.3.0")
    assert grows(before, "0.2.0", tree.version, "0.3.0")


def test_it_says_what_has_changed_since_the_last_release(tree: Tree) -> None:
    tree.git("tag", "v0.1.0")
    tree.commit("Hear the first word")
    tree.commit("Say why")
    assert re.findall(r"^  \* (.*)$", tree.changelog, re.MULTILINE) == ["Say why", "Hear the first word"]


def test_a_tree_that_is_not_committed_is_told_from_the_commit(tree: Tree) -> None:
    clean = tree.version
    (tree.folder / "appliance" / "new.py").write_text("")
    assert tree.version == f"{clean}+changed"
    assert grows(clean, tree.version, "0.2.0")


def test_a_history_that_is_cut_off_is_refused_with_what_to_do(tree: Tree, tmp_path: Path) -> None:
    tree.commit("Go on")
    subprocess.run(("git", "clone", "--quiet", "--depth=1", f"file://{tree.folder}", str(tmp_path / "cut")), check=True)
    cut = Tree.__new__(Tree)
    cut.folder = tmp_path / "cut"
    assert cut.made().returncode != 0 and "git fetch --unshallow" in cut.made().stderr


def test_the_changelog_is_one_that_debian_reads(tree: Tree) -> None:
    parse = shutil.which("dpkg-parsechangelog")
    if parse is None:
        pytest.skip("dpkg-dev is not installed")
    said = subprocess.run((parse, "-l-", "-SVersion"), input=tree.changelog, capture_output=True, text=True, check=True)
    assert (said.stdout.strip(), said.stderr) == (tree.version, "")
