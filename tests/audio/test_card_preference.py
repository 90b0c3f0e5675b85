"""Which cards ``auto`` may take, by what happened in the box; no clock but the test's."""

from __future__ import annotations

from appliance.audio.card_preference import SETTLED_S, Preference
from appliance.soundhost.devices import Card, Limits

USB = Card(1, "Jabra", "USB-Audio", "Jabra", "1-1.2")
WEBCAM = Card(2, "Webcam", "USB-Audio", "Webcam", "1-1.3")
HEADER = Card(3, "sndrpihifiberry", "HifiberryDacp", "snd_rpi_hifiberry_dacplus", "")
SOCKET = Card(0, "Headphones", "bcm2835_headpho", "bcm2835 Headphones", "")


def test_a_box_that_never_had_a_card_takes_any() -> None:
    limits = Preference("playback").limits(0.0)
    assert all(map(limits.allow, (USB, WEBCAM, HEADER, SOCKET)))


def test_a_worse_kind_than_ever_worked_is_refused_for_ever_by_default() -> None:
    waiting = Preference("playback", best_rank=1)
    for now_s in (0.0, 1e9):
        limits = waiting.limits(now_s)
        assert [limits.allow(card) for card in (USB, HEADER, SOCKET)] == [True, True, False]


def test_what_was_beside_a_card_does_not_replace_it_and_what_comes_later_does() -> None:
    waiting = Preference("playback")
    waiting.opened(USB, [USB, SOCKET])
    waiting.lost([WEBCAM, SOCKET])
    limits = waiting.limits(0.0)
    assert [limits.allow(card) for card in (WEBCAM, SOCKET, USB)] == [False, False, True]
    assert limits.allow(WEBCAM._replace(usb_port="1-1.4")), "it was not there when the other was lost"
    assert waiting.opened(WEBCAM._replace(usb_port="1-1.4"), [WEBCAM, SOCKET]) == USB


def test_the_wait_is_over_after_fallback_s_until_a_card_as_good_is_back() -> None:
    waiting = Preference("playback", fallback_s=30.0, best_rank=0)
    assert not waiting.limits(100.0).allow(SOCKET)
    assert not waiting.limits(129.9).allow(SOCKET)
    assert waiting.limits(130.0) == Limits()
    waiting.opened(SOCKET, [SOCKET])
    waiting.lost([SOCKET])
    assert waiting.limits(200.0).allow(SOCKET), "a socket whose host hung is not a USB card that comes"
    waiting.opened(USB, [USB, SOCKET])
    waiting.lost([SOCKET])
    assert not waiting.limits(300.0).allow(SOCKET)


def test_only_a_better_rank_is_remembered() -> None:
    ranks: list[int] = []
    preference = Preference("capture", remember=ranks.append)
    for card in (SOCKET, SOCKET, USB, WEBCAM, HEADER):
        preference.opened(card, [card])
    assert ranks == [2, 0]
    known: list[int] = []
    Preference("capture", best_rank=0, remember=known.append).opened(USB, [USB])
    assert known == []


def test_a_better_card_counts_when_it_has_come_and_stayed() -> None:
    preference = Preference("playback")
    preference.opened(SOCKET, [SOCKET])
    assert preference.better([SOCKET]) == []
    assert preference.better([USB, WEBCAM, SOCKET]) == [USB, WEBCAM]
    assert not preference.has_settled([USB], 10.0)
    assert not preference.has_settled([], 11.0), "gone again, or in use"
    assert not preference.has_settled([USB], 20.0)
    assert preference.has_settled([USB], 20.0 + SETTLED_S)
    assert not preference.has_settled([WEBCAM], 30.0), "another one"


def test_a_better_card_that_was_there_and_could_not_be_used_is_no_reason_to_change() -> None:
    preference = Preference("playback")
    preference.opened(SOCKET, [USB, SOCKET])
    assert preference.better([USB, SOCKET]) == []


def test_a_better_card_that_fails_is_left_alone_until_it_has_been_away() -> None:
    preference = Preference("playback")
    preference.opened(SOCKET, [SOCKET])
    assert not preference.change_back(), "none was to be opened"
    preference.has_settled([USB], 0.0)
    preference.change()
    assert preference.is_changing
    assert preference.limits(3.0).allow(USB)
    assert preference.change_back()
    assert not preference.is_changing
    limits = preference.limits(4.0)
    assert [limits.allow(card) for card in (USB, SOCKET)] == [False, True]
    assert preference.opened(SOCKET, [USB, SOCKET]) is None
    assert preference.better([USB, SOCKET]) == []
    assert preference.better([SOCKET]) == []
    assert preference.better([USB, SOCKET]) == [USB], "it was plugged in again"


def test_a_better_card_that_is_opened_is_no_longer_tried() -> None:
    preference = Preference("playback")
    preference.opened(SOCKET, [SOCKET])
    preference.has_settled([USB], 0.0)
    preference.change()
    assert preference.opened(USB, [USB, SOCKET]) == SOCKET
    assert not preference.change_back()


def test_a_worse_card_that_comes_is_no_reason_to_change() -> None:
    preference = Preference("capture")
    assert preference.better([USB]) == [], "none is open"
    preference.opened(USB, [USB])
    assert preference.better([USB, WEBCAM]) == []
