"""Parts are joined when they are built: nobody assigns an attribute of another's part afterwards."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

APPLIANCE: Final = Path(__file__).parents[2] / "appliance"

RECORDS: Final = frozenset({"Value", "NamedTuple", "Enum", "Protocol", "Exception"})
"""What derives from these, and a dataclass, holds values and does nothing: whose it is may write it."""

WRITTEN_BY_RULES: Final = frozenset({"Context"})
"""The facts of a turn are no part: the machine's rules, functions without a memory of their own, write them."""


class Classes:
    """The classes of the trees, by name: which are parts, and of which class their attributes are."""

    def __init__(self, trees: list[ast.Module]) -> None:
        found = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
        self.records = {node.name for node in found if _is_record(node)}
        self.names = {node.name for node in found}
        self.attributes: dict[str, dict[str, str]] = {}
        for node in found:
            self.attributes.setdefault(node.name, {}).update(self._attributes(node))

    def is_part(self, name: str | None) -> bool:
        return name in self.names and name not in self.records | WRITTEN_BY_RULES

    def named(self, annotation: ast.expr | None) -> str | None:
        """The one class of ours that an annotation names, also as "X | None"."""
        if annotation is None:
            return None
        ours = {node.id for node in ast.walk(annotation) if isinstance(node, ast.Name)} & self.names
        plain = isinstance(annotation, ast.Name | ast.BinOp)
        return ours.pop() if plain and len(ours) == 1 else None

    def parameters(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, str]:
        arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        return {one.arg: name for one in arguments if (name := self.named(one.annotation))}

    def made(self, value: ast.expr | None, known: dict[str, str], own: str | None) -> str | None:
        """Of which class an expression is."""
        match value:
            case ast.Call(func=ast.Name(name)) if name in self.names:
                return name
            case ast.Name("self"):
                return own
            case ast.Name(name):
                return known.get(name)
            case ast.Attribute(value=base, attr=attribute):
                owner = self.made(base, known, own)
                return None if owner is None else self.attributes.get(owner, {}).get(attribute)
            case ast.BoolOp(values=values) | ast.IfExp(body=ast.expr() as values):
                several = values if isinstance(values, list) else [values]
                return next((made for one in several if (made := self.made(one, known, own))), None)
        return None

    def _attributes(self, node: ast.ClassDef) -> Iterator[tuple[str, str]]:
        for child in node.body:
            if isinstance(child, ast.AnnAssign) and isinstance(child.target, ast.Name):
                if declared := self.named(child.annotation):
                    yield child.target.id, declared
            elif isinstance(child, ast.FunctionDef):
                known = self.parameters(child)
                if returned := self.named(child.returns):
                    yield child.name, returned
                for statement in ast.walk(child):
                    for target in _targets(statement):
                        if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
                            annotation = statement.annotation if isinstance(statement, ast.AnnAssign) else None
                            value = getattr(statement, "value", None)
                            made = self.named(annotation) or self.made(value, known, None)
                            if made is not None:
                                yield target.attr, made


def _is_record(node: ast.ClassDef) -> bool:
    bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
    return bool(bases & RECORDS) or any("dataclass" in ast.unparse(one) for one in node.decorator_list)


def _targets(node: ast.AST) -> list[ast.expr]:
    targets = node.targets if isinstance(node, ast.Assign) else []
    if isinstance(node, ast.AugAssign | ast.AnnAssign):
        targets = [node.target]
    return [one for target in targets for one in (target.elts if isinstance(target, ast.Tuple) else [target])]


def assigned_from_outside(trees: dict[str, ast.Module]) -> list[str]:
    """Where an attribute of a part is assigned that is not the assigner's own."""
    classes = Classes(list(trees.values()))
    found = []
    for name, tree in trees.items():
        owners = [(node.name, node) for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
        for own, scope in [*owners, (None, tree)]:
            for function in ast.walk(scope):
                if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                    continue
                if "classmethod" in {ast.unparse(one) for one in function.decorator_list}:
                    # Another way to build one.
                    continue
                known = classes.parameters(function)
                for node in ast.walk(function):
                    for target in _targets(node):
                        if isinstance(target, ast.Name) and (
                            made := classes.made(getattr(node, "value", None), known, own)
                        ):
                            known[target.id] = made
                        if not isinstance(target, ast.Attribute):
                            continue
                        if isinstance(target.value, ast.Name) and target.value.id in ("self", "cls"):
                            continue
                        if classes.is_part(classes.made(target.value, known, own)):
                            found.append(f"{name}:{target.lineno}: {ast.unparse(target)}")
    return sorted(set(found))


def test_nobody_assigns_an_attribute_of_anothers_part() -> None:
    trees = {str(path.relative_to(APPLIANCE)): ast.parse(path.read_text()) for path in APPLIANCE.rglob("*.py")}
    assert assigned_from_outside(trees) == []


PLANTED: Final = """
class Ring:
    def __init__(self) -> None:
        self.on_audio = None

class Parts(NamedTuple):
    ring: Ring

class Box:
    def __init__(self, parts: Parts, ring: Ring | None) -> None:
        self.ring = ring
        self._parts = parts
        self.own = Ring()
        self.ring.on_audio = self.show
        self._parts.ring.on_audio = self.show

    def late(self) -> None:
        ring = self._parts.ring
        ring.on_audio += 1
        self.name, self.own.on_audio = "", None

def build(box: Box) -> None:
    box.ring.on_audio = None
"""


def test_a_planted_one_is_found() -> None:
    lines = [int(line.split(":")[1]) for line in assigned_from_outside({"planted.py": ast.parse(PLANTED)})]
    assert sorted(lines) == [14, 15, 19, 20, 23]
