"""The tables of the configuration as frozen dataclasses: names and types of the settings, for the rest of the program.

Meaning, ranges and reasons of all of them are in ``default.toml``; a test holds the two together.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Table ``[service]``. ``turn_detection`` is passed on as it is; empty: left to the service."""

    url: str
    model: str
    voice: str
    instructions: str
    dialect: str
    tool_choice: str
    turn_detection: Mapping[str, Any]
    greeting: bool


@dataclass(frozen=True, slots=True)
class CredentialSettings:
    """Table ``[credentials]``: where the key is, never the key."""

    key_file: str
    token_command: tuple[str, ...]
    token_timeout_s: float


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """Table ``[link]``."""

    connect: str
    connect_timeout_s: float
    configure_timeout_s: float
    send_timeout_s: float
    close_timeout_s: float
    ping_interval_s: float
    ping_timeout_s: float
    idle_close_s: float
    max_session_s: float
    backoff_first_s: float
    backoff_cap_s: float
    credit_probe_s: float
    limit_probe_s: float
    max_message_bytes: int
    ca_file: str
    proxy: str


@dataclass(frozen=True, slots=True)
class TalkSettings:
    """Table ``[talk]``."""

    mode: str
    tap_max_ms: int
    min_hold_ms: int
    second_tap_ms: int
    press_min_ms: int
    debounce_ms: int
    release_tail_ms: int
    pre_roll_ms: int
    echo_tail_ms: int
    max_hold_s: float
    max_hold_warning_s: float
    keep_s: float
    stale_s: float
    no_speech_s: float
    answer_s: float
    settle_ms: int
    nudge_s: float
    tool_reply_s: float
    no_progress_s: float
    append_ms: int
    full_duplex: str
    follow_up_s: float
    greeting_s: float
    open_unanswered: int
    open_conversation_s: float
    open_rest_s: float
    open_rest_max_s: float


@dataclass(frozen=True, slots=True)
class MicrophoneSettings:
    """Table ``[microphone]``."""

    device: str
    channel: str | int
    rate_hz: int
    fallback_s: float
    period_ms: int
    capture_percent: int


@dataclass(frozen=True, slots=True)
class SpeakerSettings:
    """Table ``[speaker]``."""

    device: str
    rate_hz: int
    fallback_s: float
    period_ms: int
    mixer_percent: int
    volume: int
    volume_min: int
    volume_max: int
    prebuffer_ms: int
    queue_ms: int
    keep_open: bool
    reply_buffer_s: float


@dataclass(frozen=True, slots=True)
class ContactSettings:
    """Tables ``[panel.button]`` and ``[panel.mute]``."""

    gpio: int
    pull: str


@dataclass(frozen=True, slots=True)
class KeySettings:
    """Table ``[panel.key]``."""

    device: str
    key: str


@dataclass(frozen=True, slots=True)
class VolumeSettings:
    """Table ``[panel.volume]``."""

    device: str
    step: int


@dataclass(frozen=True, slots=True)
class LedSettings:
    """Table ``[panel.leds]``."""

    kind: str
    gpio: tuple[int, ...]
    active_high: bool


@dataclass(frozen=True, slots=True)
class PanelSettings:
    """Table ``[panel]`` and those below it."""

    idle_glow: bool
    earcons: bool
    waiting_tick: bool
    language: str
    clips_dir: str
    button: ContactSettings
    mute: ContactSettings
    key: KeySettings
    volume: VolumeSettings
    leds: LedSettings


@dataclass(frozen=True, slots=True)
class OwnToolSettings:
    """A table ``[tools.NAME]``. ``parameters`` is a JSON Schema without faults (``json_schema.py``), or empty."""

    command: tuple[str, ...]
    description: str
    parameters: Mapping[str, Any]
    timeout_s: float


@dataclass(frozen=True, slots=True)
class ToolSettings:
    """Table ``[tools]``, and by their names the tables ``[tools.NAME]``."""

    builtin: tuple[str, ...]
    max_rounds: int
    own: Mapping[str, OwnToolSettings]


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """Table ``[control]``."""

    socket: str
    captions: bool

    @property
    def socket_path(self) -> str:
        """The path to bind or to connect to: ``socket``, or the place that an empty one stands for."""
        return self.socket or os.path.join(os.environ.get("RUNTIME_DIRECTORY", "/run/voice-appliance"), "control.sock")


@dataclass(frozen=True, slots=True)
class PageSettings:
    """Table ``[page]``."""

    enabled: bool
    title: str
    phone: str
    logo: str
    language: str
    keep_s: float
    touch: bool


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """Table ``[limits]``."""

    audio_s_per_hour: float


@dataclass(frozen=True, slots=True)
class TranscriptSettings:
    """Table ``[transcripts]``."""

    journal: bool
    file: str
    max_bytes: int
    keep: int


@dataclass(frozen=True, slots=True)
class BoxSettings:
    """Table ``[box]``."""

    name: str


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Table ``[log]``."""

    level: str
    record: str


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration, complete and checked."""

    service: ServiceSettings
    credentials: CredentialSettings
    link: LinkSettings
    talk: TalkSettings
    microphone: MicrophoneSettings
    speaker: SpeakerSettings
    panel: PanelSettings
    tools: ToolSettings
    control: ControlSettings
    page: PageSettings
    limits: LimitSettings
    transcripts: TranscriptSettings
    box: BoxSettings
    log: LogSettings
