"""What a listener has heard of an answer."""

from __future__ import annotations

from appliance.turn.heard import Heard


def test_a_reply_heard_whole_is_given_whole() -> None:
    heard = Heard()
    heard.received("r1", 2.0)
    heard.said("r1", "മഴ പെയ്യും")
    heard.played("r1", 2.0)
    assert (heard.heard_s, heard.received_s, heard.text) == (2.0, 2.0, "മഴ പെയ്യും")


def test_a_reply_cut_short_is_cut_at_a_word() -> None:
    heard = Heard()
    heard.received("r1", 4.0)
    heard.said("r1", "one two three four")
    heard.played("r1", 2.0)
    assert heard.text == "one two"


def test_a_reply_that_was_dropped_unheard_is_not_heard() -> None:
    heard = Heard()
    heard.received("r1", 4.0)
    heard.said("r1", "never heard")
    assert heard.heard_s == 0 and heard.text == ""


def test_the_listener_never_unhears() -> None:
    heard = Heard()
    heard.received("r1", 4.0)
    heard.played("r1", 3.0)
    heard.played("r1", 2.8)
    assert heard.heard_s == 3.0


def test_several_replies_of_one_turn_follow_each_other() -> None:
    heard = Heard()
    for response_id, words in (("r1", "Let me look."), ("r2", "It rains.")):
        heard.received(response_id, 1.0)
        heard.said(response_id, words)
        heard.played(response_id, 1.0)
    assert heard.text == "Let me look. It rains." and heard.heard_s == 2.0
