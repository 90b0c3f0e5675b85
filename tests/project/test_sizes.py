"""What is longer than a screen or a sitting is cut before it grows further."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

import pytest

APPLIANCE: Final = Path(__file__).parents[2] / "appliance"
FUNCTION_LINES: Final = 50
INIT_LINES: Final = 40
MODULE_LINES: Final = 420

MODULES: Final = sorted(str(path.relative_to(APPLIANCE)) for path in APPLIANCE.rglob("*.py"))


@pytest.mark.parametrize("module", MODULES)
def test_functions_and_modules_are_short(module: str) -> None:
    text = (APPLIANCE / module).read_text(encoding="utf-8")
    assert text.count("\n") <= MODULE_LINES
    functions = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    lines = {f"{node.name}, line {node.lineno}": (node.end_lineno or 0) - node.lineno + 1 for node in functions}
    allowed = {name: INIT_LINES if name.startswith("__init__,") else FUNCTION_LINES for name in lines}
    assert {name: count for name, count in lines.items() if count > allowed[name]} == {}
