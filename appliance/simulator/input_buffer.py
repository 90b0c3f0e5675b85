"""What the service has been sent and not yet taken as a turn: the buffer, and what turn detection makes of it."""

from __future__ import annotations

from typing import Final, Literal

from appliance.simulator.turn_detection import DetectionSettings, TurnDetector
from appliance.simulator.voices import SAMPLE_BYTES, bytes_from_ms, ms_from_bytes

COMMIT_MIN_MS: Final = 100.0
"""Less audible sound than this is "(almost) nothing buffered"; OpenAI's own limit."""

BUFFER_MS: Final = 120_000.0
"""Kept of what nobody recognised as a turn: three times a client's longest utterance (``keep_s`` 40)."""


class Ear:
    """``take()`` it everything, ``cut()`` at the end of a turn. ``hearing``: speech_started is due or out, and
    speech_stopped is not."""

    def __init__(self, settings: DetectionSettings) -> None:
        self._settings = settings
        self._detector = TurnDetector(settings)
        self._buffer = bytearray()
        self._buffer_start = 0  # where in the stream the buffer begins, bytes
        self.hearing = False

    @property
    def has_something(self) -> bool:
        """There is enough for a commit."""
        return self.hearing or self._detector.audible_ms >= COMMIT_MIN_MS

    @property
    def speech_ms(self) -> float:
        """How long the speech being heard has lasted; 0 if none is."""
        end = self._buffer_start + len(self._buffer)
        return ms_from_bytes(end - self._detector.began_at_byte) if self.hearing else 0.0

    @property
    def began_ms(self) -> float:
        """Where in all that came the speech that was last noticed began."""
        return ms_from_bytes(self._detector.began_at_byte)

    @property
    def end_ms(self) -> float:
        """How much has come."""
        return ms_from_bytes(self._buffer_start + len(self._buffer))

    def take(self, audio: bytes, hears: Literal["all", "start", "nothing"]) -> Literal["began", "stopped"] | None:
        """At most FRAME_BYTES of the stream; what is noticed, by an ear that ``hears`` as Turn says."""
        self._buffer += audio
        change = self._detector.feed(audio)
        if change == "began" and hears != "nothing" and not self.hearing:
            self.hearing = True
            return "began"
        if change == "stopped" and hears == "all" and self.hearing:
            return "stopped"
        if not self.hearing:
            self._forget_before(len(self._buffer) - bytes_from_ms(BUFFER_MS))
        return None

    def cut(self) -> bytes:
        """The turn is over: its audio, from ``prefix_ms`` before the speech, or all there is if none was noticed."""
        if self.hearing:
            prefix = bytes_from_ms(self._settings.prefix_ms)
            self._forget_before(self._detector.began_at_byte - prefix - self._buffer_start)
        audio = bytes(self._buffer[: len(self._buffer) // SAMPLE_BYTES * SAMPLE_BYTES])
        self.clear()
        return audio

    def clear(self) -> None:
        """Forget everything."""
        self._forget_before(len(self._buffer))
        self._detector.forget()
        self.hearing = False

    def _forget_before(self, size: int) -> None:
        # An odd byte stays: its other half is to come.
        size = max(0, size) // SAMPLE_BYTES * SAMPLE_BYTES
        del self._buffer[:size]
        self._buffer_start += size
