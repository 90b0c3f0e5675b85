"""The README's state diagram, drawn from the turn machine's table: ``python -m tests.turn.diagram``."""

from __future__ import annotations

import re

from appliance.turn.machine import TABLE, Rule
from appliance.turn.states import Deadline


def _words(key: object) -> str:
    name = key.name.lower().replace("_", " ") if isinstance(key, Deadline) else getattr(key, "__name__", "")
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


def drawn() -> str:
    """Mermaid text: every way from one state to another, with the events and deadlines that may lead there."""
    lines = ["stateDiagram-v2", "    [*] --> ready"]
    for state, rows in TABLE.items():
        ways: dict[str, list[str]] = {}
        for key, row in rows.items():
            if isinstance(row, Rule):
                for following in row.to:
                    if following is not state:
                        ways.setdefault(following.value, []).append(_words(key))
        lines += [f"    {state.value} --> {following}: {', '.join(words)}" for following, words in ways.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    print(drawn())
