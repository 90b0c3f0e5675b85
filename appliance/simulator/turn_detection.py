"""Hears in a stream of samples where somebody begins and stops to speak. Energy with hysteresis, nothing cleverer.

Time here is the audio's own: a burst that arrives in an instant is judged like the same sound at its own pace, exactly
as a service does that sees only what it is sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from appliance.simulator.voices import SAMPLE_BYTES, SAMPLE_HZ

FRAME_MS: Final = 20
"""Judged at once: long enough to hold two periods of a low voice (100 Hz), short against ``min_speech_ms``."""

FRAME_BYTES: Final = FRAME_MS * SAMPLE_HZ // 1000 * SAMPLE_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionSettings:
    """Levels are RMS over 20 ms, in dB below a full-scale square wave.

    ``threshold_dbfs``: louder begins speech; -45 is far below a voice at arm's length and above a quiet room.
    ``hysteresis_db``: speech goes on above the threshold less this. ``min_speech_ms``: a click or a cough's first burst
    is shorter (not measured). ``silence_ms``: a pause this long ends the turn. ``prefix_ms``: sound before the onset
    that belongs to the turn. Both are the defaults of OpenAI Realtime's server_vad. ``audible_dbfs``: above it a frame
    counts as "something buffered" for a commit; a muted microphone's zeros and a line's hiss do not.
    """

    threshold_dbfs: float = -45.0
    hysteresis_db: float = 6.0
    min_speech_ms: float = 120.0
    silence_ms: float = 500.0
    prefix_ms: float = 300.0
    audible_dbfs: float = -65.0


class TurnDetector:
    """``feed()`` it everything. ``speaking``: speech has begun and not stopped. ``began_at_byte``: where in the stream
    it last began. ``audible_ms``: how much sound above ``audible_dbfs`` there was since ``forget()``."""

    def __init__(self, settings: DetectionSettings) -> None:
        self._settings = settings
        self._begin_power = _power(settings.threshold_dbfs)
        self._go_on_power = _power(settings.threshold_dbfs - settings.hysteresis_db)
        self._audible_power = _power(settings.audible_dbfs)
        self._rest = b""
        self._position = 0  # bytes judged so far
        self._loud_ms = 0.0
        self._quiet_ms = 0.0
        self._loud_since = 0
        self.speaking = False
        self.began_at_byte = 0
        self.audible_ms = 0.0

    def forget(self) -> None:
        """The turn is over, or the buffer was cleared: as if nothing had been said. Positions go on counting."""
        self.speaking = False
        self._loud_ms = self._quiet_ms = self.audible_ms = 0.0

    def feed(self, audio: bytes) -> Literal["began", "stopped"] | None:
        """Judge up to FRAME_BYTES of ``audio``, odd lengths too (what fills no frame waits for the next call); what
        changed."""
        data = self._rest + audio
        if len(data) < FRAME_BYTES:
            self._rest = data
            return None
        self._rest = data[FRAME_BYTES:]
        assert len(self._rest) < FRAME_BYTES, "fed too much at once"
        samples = np.frombuffer(data, dtype="<i2", count=FRAME_BYTES // SAMPLE_BYTES).astype(np.float32)
        return self._judge(float(np.dot(samples, samples)) / samples.size)

    def _judge(self, power: float) -> Literal["began", "stopped"] | None:
        start = self._position
        self._position += FRAME_BYTES
        if power > self._audible_power:
            self.audible_ms += FRAME_MS
        if self.speaking:
            self._quiet_ms = 0.0 if power > self._go_on_power else self._quiet_ms + FRAME_MS
            if self._quiet_ms < self._settings.silence_ms:
                return None
            self.speaking = False
            self._loud_ms = 0.0
            return "stopped"
        if power > self._begin_power:
            if not self._loud_ms:
                self._loud_since = start
            self._loud_ms += FRAME_MS
        else:
            # Leaks instead of starting anew: the stops within a word are quiet frames too.
            self._loud_ms = max(0.0, self._loud_ms - FRAME_MS)
        if self._loud_ms < self._settings.min_speech_ms:
            return None
        self.speaking = True
        self.began_at_byte = self._loud_since
        self._quiet_ms = 0.0
        return "began"


def _power(dbfs: float) -> float:
    """Mean square of int16 samples at that level."""
    return float(32768.0**2 * 10 ** (dbfs / 10))
