"""What a box's conversation is made with: handed as one to those who join it."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.audio.microphone import Microphone
from appliance.audio.player import Player
from appliance.audio.speaker import Speaker
from appliance.audio.uplink import Uplink
from appliance.audio.utterance import Utterance
from appliance.box.captions import Captions
from appliance.box.cues import Cues
from appliance.box.metrics import Metrics
from appliance.box.own_sound import OwnSound
from appliance.box.tools import Tools
from appliance.link.link import Link
from appliance.turn.machine import Machine


@dataclass(frozen=True, slots=True)
class SoundTimes:
    """The lengths that belong to sound rather than to turns, in seconds; values and reasons in ``default.toml``."""

    pre_roll_s: float
    echo_tail_s: float
    idle_s: float
    """Kept of what the microphone hears while nobody speaks: the pre-roll of a press that is looked at a little
    late."""
    pending_s: float
    """The same while an answer is awaited: so late is it certain that a press is a hold, whose words count."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What turns are made with."""

    machine: Machine
    link: Link
    uplink: Uplink
    utterance: Utterance
    player: Player
    microphone: Microphone
    speaker: Speaker
    tools: Tools
    ledger: Metrics
    sounds: Cues
    captions: Captions
    own_sound: OwnSound
