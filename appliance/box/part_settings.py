"""From the configuration to what each part wants: units become seconds, names become addresses."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from appliance.box import tools
from appliance.box.hands_free import GATE_LATE_S
from appliance.box.parts import SoundTimes
from appliance.config.settings import Config
from appliance.link.handshake import ConnectionSettings
from appliance.link.retry import RetryTimes as PolicyTimes
from appliance.realtime import events
from appliance.turn import states as v
from appliance.turn.restraint import RestraintSettings

RING_SLACK_MS: Final = 100
"""Kept beyond the pre-roll while idle: a press is looked at a little after it happened, and its pre-roll must still be
there."""


def turn_settings(config: Config) -> v.TurnSettings:
    """The turn machine's times, in seconds."""
    talk = config.talk
    return v.TurnSettings(
        mode=v.Mode(talk.mode),
        debounce_s=talk.debounce_ms / 1000,
        min_hold_s=talk.min_hold_ms / 1000,
        tap_max_s=talk.tap_max_ms / 1000,
        second_tap_s=talk.second_tap_ms / 1000,
        release_tail_s=talk.release_tail_ms / 1000,
        max_hold_s=talk.max_hold_s,
        max_hold_warning_s=talk.max_hold_warning_s,
        no_speech_s=talk.no_speech_s,
        stale_s=talk.stale_s,
        keep_s=talk.keep_s,
        answer_s=talk.answer_s,
        nudge_s=talk.nudge_s,
        settle_s=talk.settle_ms / 1000,
        tool_reply_s=talk.tool_reply_s,
        tool_rounds=config.tools.max_rounds,
        tool_s=max((tool.timeout_s for tool in config.tools.own.values()), default=0.0),
        no_progress_s=talk.no_progress_s,
        follow_up_s=talk.follow_up_s,
        greeting_s=talk.greeting_s if config.service.greeting else None,
    )


def restraint_settings(config: Config) -> RestraintSettings:
    """How long a room may talk with the box where no button is needed."""
    talk = config.talk
    return RestraintSettings(
        unanswered=talk.open_unanswered,
        conversation_s=talk.open_conversation_s,
        rest_s=talk.open_rest_s,
        rest_max_s=talk.open_rest_max_s,
        turn_s=talk.max_hold_s + talk.stale_s + talk.answer_s,
    )


def link_settings(config: Config) -> ConnectionSettings:
    """The link's settings, with the model in the address."""
    settings = config.link
    separator = "&" if "?" in config.service.url else "?"
    return ConnectionSettings(
        url=f"{config.service.url}{separator}model={quote(config.service.model, safe='')}",
        dialect=events.Dialect(config.service.dialect),
        always=settings.connect == "always",
        connect_timeout_s=settings.connect_timeout_s,
        configure_timeout_s=settings.configure_timeout_s,
        ping_interval_s=settings.ping_interval_s,
        ping_timeout_s=settings.ping_timeout_s,
        send_timeout_s=settings.send_timeout_s,
        close_timeout_s=settings.close_timeout_s,
        idle_close_s=settings.idle_close_s,
        max_session_s=settings.max_session_s,
        max_message_bytes=settings.max_message_bytes,
        ca_file=settings.ca_file,
        proxy=settings.proxy,
    )


def retry_times(config: Config) -> PolicyTimes:
    """When the link may try again."""
    return PolicyTimes(
        backoff_first_s=config.link.backoff_first_s,
        backoff_cap_s=config.link.backoff_cap_s,
        credit_probe_s=config.link.credit_probe_s,
        limit_probe_s=config.link.limit_probe_s,
        renewable=bool(config.credentials.token_command),
    )


def session_settings(config: Config, offered: tools.Tools) -> events.SessionSettings:
    """What a session is opened with."""
    declared = tuple(events.ToolDeclaration(tool.name, tool.description, tool.parameters) for tool in offered.declared)
    service = config.service
    detection = service.turn_detection or None
    return events.SessionSettings(service.instructions, service.voice, declared, service.tool_choice, detection)


def sound_times(config: Config) -> SoundTimes:
    """The lengths that belong to sound."""
    talk = config.talk
    idle_s = (talk.pre_roll_ms + RING_SLACK_MS) / 1000 + (GATE_LATE_S if talk.mode == "open" else 0.0)
    # A press that bounces is judged up to two debounce times late.
    pending_s = idle_s + (talk.tap_max_ms + 2 * talk.debounce_ms) / 1000
    return SoundTimes(talk.pre_roll_ms / 1000, talk.echo_tail_ms / 1000, idle_s, pending_s)
