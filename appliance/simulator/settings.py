"""How the embedded service is set up, as long as it runs. What it does wrong is in ``scenario.py``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from appliance.simulator.readings import PAGE, Reading
from appliance.simulator.shape import FieldSet
from appliance.simulator.turn_detection import DetectionSettings

PATH: Final = "/v1/realtime"
SIMPLE_MODEL: Final = "mal-realtime-simple"
"""Any other model is Premium (service.md)."""

VOICES: Final = ("mal-female", "mal-male")
"""The first is the default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorSettings:
    """``port`` 0: any free one. ``mode`` None: by the model that the client asks for.

    ``key``: the only accepted key; None: any. A missing or wrong one, or one that is not in a Bearer header, is refused
    as ``key_check`` says: accepted, then ``error`` and 4001, or HTTP 401. ``max_connections`` None: no limit; one more
    gets 4008. ``parrot``: answers are the caller's own words.

    ``reply_delay_ms``: from the end of a turn to response.created. ``speed``: how many times faster than it sounds a
    reply is sent (0: all at once); 8 keeps a reply of 4 s in progress for half a second, long enough to interrupt it.
    ``delta_ms``: of audio in one delta. ``keep_records``: False for a service that runs for days. ``reading``: of the
    page, where the scenario has none. ``fields``: how much each event carries.
    """

    host: str = "127.0.0.1"
    port: int = 0
    mode: Literal["simple", "premium"] | None = None
    key: str | None = field(default=None, repr=False)
    key_check: Literal["close", "http"] = "close"
    max_connections: int | None = None
    parrot: bool = False
    reply_delay_ms: float = 100.0
    speed: float = 8.0
    delta_ms: float = 100.0
    detection: DetectionSettings = field(default_factory=DetectionSettings)
    keep_records: bool = True
    reading: Reading = PAGE
    fields: FieldSet = FieldSet.LEAN
