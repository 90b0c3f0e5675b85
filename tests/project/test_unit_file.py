"""The unit allows what the program does. That it starts and holds is tested under a real systemd (tests/containers)."""

from __future__ import annotations

import re
from pathlib import Path

UNIT = Path(__file__).parents[2] / "systemd" / "voice-appliance.service"


def test_a_program_of_the_owners_can_be_put_back_to_the_ordinary_priority() -> None:
    """``program.py`` calls setpriority, which is one of systemd's @resources; a later line counts."""
    filters = re.findall(r"^SystemCallFilter=(.*)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE)
    refused = next(number for number, line in enumerate(filters) if line.startswith("~") and "@resources" in line)
    assert "setpriority" in " ".join(filters[refused + 1 :]).split()
