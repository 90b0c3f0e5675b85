"""What turn detection takes for speech."""

from __future__ import annotations

import pytest

from appliance.simulator import voices
from appliance.simulator.turn_detection import FRAME_BYTES, DetectionSettings, TurnDetector
from appliance.simulator.voices import ms_from_bytes
from tests.simulator.client import silence, speech


def changes(
    audio: bytes, step: int = FRAME_BYTES, settings: DetectionSettings | None = None
) -> list[tuple[str, float]]:
    """What is noticed and after how many ms of ``audio``, fed in pieces of ``step`` bytes."""
    detector = TurnDetector(settings or DetectionSettings())
    found: list[tuple[str, float]] = []
    for start in range(0, len(audio), step):
        change = detector.feed(audio[start : start + step])
        if change:
            found.append((change, ms_from_bytes(start + step)))
    return found


def test_begin_and_end_are_noticed_when_the_settings_say() -> None:
    audio = silence(200) + speech(1000) + silence(1000)
    assert changes(audio) == [("began", 320), ("stopped", 1700)]
    slow = DetectionSettings(min_speech_ms=300, silence_ms=800)
    assert changes(audio, settings=slow) == [("began", 500), ("stopped", 2000)]


@pytest.mark.parametrize("step", [1, 7, 333, FRAME_BYTES])
def test_the_pieces_do_not_matter(step: int) -> None:
    found = changes(silence(20) + speech(200) + silence(520), step)
    # A piece may end up to its own length later than the frame that it completes.
    assert [(kind, ms // 20) for kind, ms in found] == [("began", 7), ("stopped", 36)]


def test_where_it_began_is_the_first_loud_frame() -> None:
    detector = TurnDetector(DetectionSettings())
    audio = silence(100) + speech(200)
    for start in range(0, len(audio), FRAME_BYTES):
        detector.feed(audio[start : start + FRAME_BYTES])
    assert ms_from_bytes(detector.began_at_byte) == 100
    assert detector.speaking


def test_clicks_and_short_pauses_change_nothing() -> None:
    clicks = (speech(60) + silence(400)) * 5
    assert changes(clicks) == []
    pauses = (speech(300) + silence(400)) * 3 + silence(200)
    assert [kind for kind, _ in changes(pauses)] == ["began", "stopped"]


@pytest.mark.parametrize(("dbfs", "heard"), [(-40, True), (-50, False)])
def test_the_threshold(dbfs: float, heard: bool) -> None:
    assert bool(changes(speech(500, dbfs))) is heard


def test_hysteresis_keeps_a_falling_voice() -> None:
    audio = speech(300) + speech(700, dbfs=-49) + silence(500)
    assert [kind for kind, _ in changes(audio)] == ["began", "stopped"]
    assert changes(audio)[1][1] == 1500


def test_what_counts_as_something_buffered() -> None:
    detector = TurnDetector(DetectionSettings())
    for piece in (silence(20), speech(20, dbfs=-80), speech(20, dbfs=-60), speech(20)):
        detector.feed(piece)
    assert detector.audible_ms == 40
    detector.forget()
    assert detector.audible_ms == 0


@pytest.mark.parametrize("name", voices.recordings())
def test_every_recording_is_one_turn(name: str) -> None:
    found = changes(silence(200) + voices.pcm(name) + silence(1000))
    assert [kind for kind, _ in found] == ["began", "stopped"]
