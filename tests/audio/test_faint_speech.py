"""When the box is certain that it is spoken to in vain."""

from __future__ import annotations

from appliance.audio.faint_speech import NEEDED, PAUSE_S, WITHIN_S, FaintSpeech


def said(faint: FaintSpeech, dbfs: float, at_s: float) -> bool:
    """One question, which the gate notices three times."""
    return sum(faint.noticed(dbfs - number, at_s + 0.5 * number) for number in range(3)) > 0


def test_it_is_said_once_with_the_loudest() -> None:
    faint = FaintSpeech()
    news = [said(faint, -60.0 + number, 10.0 * number) for number in range(NEEDED + 3)]
    assert news == [False] * (NEEDED - 1) + [True] + [False] * 3
    assert faint.dbfs == -60.0 + NEEDED + 2


def test_a_neighbour_now_and_then_is_nobody() -> None:
    faint = FaintSpeech()
    assert not any(said(faint, -60.0, WITHIN_S / (NEEDED - 1) * number) for number in range(20))
    assert faint.dbfs is None


def test_one_long_talk_is_one_thing_said() -> None:
    faint = FaintSpeech()
    assert not any(faint.noticed(-60.0, 0.9 * PAUSE_S * number) for number in range(20))


def test_who_is_heard_makes_it_begin_anew() -> None:
    faint = FaintSpeech()
    for number in range(NEEDED):
        said(faint, -60.0, 10.0 * number)
    assert faint.dbfs is not None
    faint.opened()
    assert faint.dbfs is None
    assert [said(faint, -62.0, 100 + 10.0 * number) for number in range(NEEDED)][-1]
    assert faint.dbfs == -62.0
