"""The rules of one connection, ruling by ruling, and what out-of-order services are good for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import ProtocolError
from appliance.outside import MAX_CHARS
from appliance.realtime import events as ev
from appliance.realtime import session as out
from appliance.realtime.opening import CONFIRM_S
from appliance.realtime.responses import CANCEL_DEADLINE_S, MAX_ARGUMENTS_CHARS, MAX_CALLS, MAX_RESPONSES
from appliance.realtime.session import Session

SETTINGS = ev.SessionSettings("persona", "mal-male")
PCM = b"\x01\x02\x03\x04"


class Connection:
    """A session with a clock of its own. Notes are kept apart, so that a test says what matters to it."""

    def __init__(self) -> None:
        self.session = Session(SETTINGS)
        self.now_s = 100.0
        self.notes: list[out.Note] = []

    def says(self, *events: ev.ServerEvent) -> list[out.Outcome]:
        """The service sends events, now. Returns what they mean, notes apart."""
        outcomes = [outcome for event in events for outcome in self.session.receive(event, self.now_s)]
        self.notes += [outcome for outcome in outcomes if isinstance(outcome, out.Note)]
        return [outcome for outcome in outcomes if not isinstance(outcome, out.Note)]

    def cancel(self, response_id: str) -> ev.ResponseCancel | None:
        return self.session.cancel(response_id, self.now_s)

    @property
    def levels(self) -> list[str]:
        """Of the notes so far."""
        return [note.level for note in self.notes]


@pytest.fixture
def connection() -> Connection:
    """Ready, with a turn open of which the service has heard nothing."""
    connection = Connection()
    connection.session.opening()
    assert connection.says(ev.SessionCreated({}), ev.SessionUpdated({})) == [out.Ready()]
    connection.session.begin_turn()
    return connection


@pytest.fixture
def answering(connection: Connection) -> Connection:
    """The service has heard a question and begun reply "r"."""
    connection.says(ev.SpeechStarted(), ev.SpeechStopped())
    assert connection.says(ev.ResponseCreated("r")) == [out.ReplyBegan("r")]
    return connection


def audio(response_id: str, pcm: bytes = PCM) -> ev.OutputAudioDelta:
    return ev.OutputAudioDelta(response_id, "item", pcm)


def call(call_id: str = "c", response_id: str | None = "r", arguments: str = "{}") -> ev.FunctionCallArgumentsDone:
    return ev.FunctionCallArgumentsDone(response_id, "get_time", call_id, arguments)


def cancelled(response_id: str) -> list[out.Outcome]:
    return [out.Send(ev.ResponseCancel(response_id))]


# ---------------------------------------------------------------- ruling 12: nothing before the settings are in force


def test_settings_go_first_and_once() -> None:
    session = Session(SETTINGS)
    assert session.opening() == ev.SessionUpdate(SETTINGS)
    with pytest.raises(ProtocolError):
        session.opening()


def test_ruling_12_nothing_leaves_before_session_updated() -> None:
    connection = Connection()
    session = connection.session
    session.opening()
    connection.says(ev.SessionCreated({}))
    assert not session.ready
    for send in (lambda: session.append(PCM), session.commit, session.clear, session.create):
        with pytest.raises(ProtocolError):
            send()
    with pytest.raises(ProtocolError):
        session.tool_outputs([("c", "{}")])
    assert connection.says(ev.SessionUpdated({})) == [out.Ready()]
    assert session.append(PCM) == ev.InputAudioBufferAppend(PCM)
    assert session.clear() == ev.InputAudioBufferClear()


def test_ruling_12_a_session_updated_that_answers_nothing_does_not_count() -> None:
    connection = Connection()
    assert connection.says(ev.SessionUpdated({})) == []
    assert not connection.session.ready and connection.levels == ["warning"]
    connection.session.opening()
    assert connection.says(ev.SessionUpdated({})) == [out.Ready()]


def test_whatever_comes_ends_the_trust_in_a_session_that_was_not_confirmed() -> None:
    connection = Connection()
    connection.session.opening()
    connection.says(ev.SessionCreated({}))
    connection.now_s += CONFIRM_S
    assert connection.session.advance(connection.now_s) == [out.Ready()]
    assert connection.session.on_trust
    connection.says(ev.UnknownEvent("input_audio_buffer.committed"))
    assert not connection.session.on_trust


def test_ready_is_said_once(connection: Connection) -> None:
    assert connection.says(ev.SessionUpdated({}), ev.SessionCreated({})) == []


# ---------------------------------------------------------------- ruling 1: whose response it is


def test_ruling_1_a_response_without_evidence_is_cancelled_once_and_dropped(connection: Connection) -> None:
    assert connection.says(ev.ResponseCreated("old")) == cancelled("old")
    assert connection.says(audio("old"), ev.OutputTranscriptDelta("old", "x"), call(response_id="old")) == []
    assert connection.cancel("old") is None
    assert connection.says(ev.ResponseDone("old", "cancelled")) == []
    assert set(connection.levels) == {"debug"}


def test_ruling_1_speech_is_evidence(connection: Connection) -> None:
    connection.says(ev.SpeechStarted())
    assert connection.says(ev.ResponseCreated("r")) == [out.ReplyBegan("r")]


@pytest.mark.parametrize("evidence", ["commit", "create"])
def test_ruling_1_what_we_ask_for_is_evidence(connection: Connection, evidence: str) -> None:
    getattr(connection.session, evidence)()
    assert connection.says(ev.ResponseCreated("r")) == [out.ReplyBegan("r")]


def test_ruling_1_tool_outputs_are_evidence(connection: Connection) -> None:
    assert connection.session.tool_outputs([("c", "{}"), ("d", "1")]) == [
        ev.FunctionCallOutput("c", "{}"),
        ev.FunctionCallOutput("d", "1"),
    ]
    assert connection.says(ev.ResponseCreated("r")) == [out.ReplyBegan("r")]


def test_ruling_1_no_tool_outputs_are_no_evidence(connection: Connection) -> None:
    assert connection.session.tool_outputs([]) == []
    assert connection.says(ev.ResponseCreated("r")) == cancelled("r")


def test_ruling_1_evidence_does_not_outlive_its_turn(connection: Connection) -> None:
    connection.says(ev.SpeechStarted(), ev.SpeechStopped())
    connection.session.end_turn()
    connection.session.begin_turn()
    assert connection.says(ev.ResponseCreated("late")) == cancelled("late")


def test_ruling_1_without_a_turn_nothing_is_evidence(connection: Connection) -> None:
    connection.session.end_turn()
    connection.session.commit()
    connection.session.create()
    connection.session.tool_outputs([("c", "{}")])
    connection.says(ev.SpeechStarted(), ev.SpeechStopped())
    assert connection.says(ev.ResponseCreated("late")) == cancelled("late")


def test_ruling_1_a_turn_begun_before_speech_stopped_goes_on_with_that_speech(connection: Connection) -> None:
    connection.says(ev.SpeechStarted())
    connection.session.begin_turn()
    connection.says(ev.SpeechStopped())
    assert connection.says(ev.ResponseCreated("r")) == [out.ReplyBegan("r")]


def test_ruling_1_a_reply_ends_the_speech_that_the_service_forgot_to_end(connection: Connection) -> None:
    connection.says(ev.SpeechStarted(), ev.ResponseCreated("r"), ev.ResponseDone("r", "completed"))
    connection.session.begin_turn()
    assert connection.says(ev.ResponseCreated("late")) == cancelled("late")


@pytest.mark.parametrize("next_turn", ["begin_turn", "end_turn"])
def test_ruling_1_a_reply_does_not_outlive_its_turn(answering: Connection, next_turn: str) -> None:
    getattr(answering.session, next_turn)()
    assert answering.says(audio("r"), call(), ev.ResponseDone("r", "completed")) == []
    assert set(answering.levels) == {"debug"}


def test_ruling_1_what_begins_before_our_cancel_is_confirmed_is_of_the_past(answering: Connection) -> None:
    answering.cancel("r")
    answering.session.begin_turn()
    answering.says(ev.SpeechStarted())
    assert answering.says(ev.ResponseCreated("late")) == cancelled("late")
    answering.says(ev.ResponseDone("r", "cancelled"), ev.ResponseDone("late", "cancelled"))
    assert answering.says(ev.ResponseCreated("answer")) == [out.ReplyBegan("answer")]


@pytest.mark.parametrize(("waited_s", "counts"), [(CANCEL_DEADLINE_S - 0.001, False), (CANCEL_DEADLINE_S, True)])
def test_ruling_1_waits_no_longer_than_the_deadline(answering: Connection, waited_s: float, counts: bool) -> None:
    answering.cancel("r")
    answering.session.begin_turn()
    answering.says(ev.SpeechStarted(), ev.SpeechStopped())
    answering.now_s += waited_s
    expected = [out.ReplyBegan("answer")] if counts else cancelled("answer")
    assert answering.says(ev.ResponseCreated("answer")) == expected


# ---------------------------------------------------------------- ruling 2: going on speaking


def test_ruling_2_going_on_speaking_drops_the_reply_so_far(answering: Connection) -> None:
    assert answering.says(audio("r")) == [out.ReplyAudio("r", PCM)]
    assert answering.says(ev.SpeechStarted()) == [out.SpeechBegan()]
    assert answering.says(audio("r"), call(), ev.ResponseDone("r", "cancelled")) == []
    assert answering.says(ev.SpeechStopped(), ev.ResponseCreated("next")) == [
        out.SpeechEnded(),
        out.ReplyBegan("next"),
    ]


def test_ruling_2_a_reply_complete_before_the_person_goes_on_makes_room_for_the_next(answering: Connection) -> None:
    answering.says(audio("r"), ev.ResponseDone("r", "completed"), ev.SpeechStarted())
    assert answering.cancel("r") is None
    assert answering.says(ev.ResponseCreated("next")) == [out.ReplyBegan("next")]


# ---------------------------------------------------------------- ruling 3: cancelling


def test_ruling_3_one_cancel_while_the_reply_is_in_progress(answering: Connection) -> None:
    assert answering.cancel("r") == ev.ResponseCancel("r")
    assert answering.cancel("r") is None


def test_ruling_3_no_cancel_after_response_done(answering: Connection) -> None:
    answering.says(ev.ResponseDone("r", "completed"))
    assert answering.cancel("r") is None


def test_ruling_3_no_cancel_of_what_was_never_announced(answering: Connection) -> None:
    assert answering.cancel("x") is None


def test_ruling_3_a_dropped_reply_in_progress_can_still_be_cancelled(answering: Connection) -> None:
    answering.session.begin_turn()
    assert answering.cancel("r") == ev.ResponseCancel("r")


def test_stale_deltas_of_a_cancelled_reply_are_dropped_with_one_line(answering: Connection) -> None:
    answering.says(audio("r"))
    answering.cancel("r")
    assert answering.says(*[audio("r")] * 50, ev.OutputTranscriptDelta("r", "x")) == []
    assert answering.says(ev.ResponseDone("r", "cancelled")) == []
    assert answering.levels == ["debug", "debug"]


@pytest.mark.parametrize(
    ("code", "harmless"),
    [("response_cancel_not_active", True), ("input_audio_buffer_commit_empty", True), ("busy", False), ("", False)],
)
def test_ruling_3_two_errors_are_harmless(connection: Connection, code: str, harmless: bool) -> None:
    error = ev.ErrorEvent("invalid_request_error", code, "no")
    assert connection.says(error) == [out.ServiceSaid("invalid_request_error", code, "no", harmless)]


EMPTY = ev.ErrorEvent("invalid_request_error", "input_audio_buffer_commit_empty", "no")
SAID_EMPTY = out.ServiceSaid("invalid_request_error", "input_audio_buffer_commit_empty", "no", True)
NOBODY = [SAID_EMPTY, out.NothingHeard()]


def hold(connection: Connection) -> None:
    """A turn in which the service hears nothing, up to its commit."""
    connection.session.begin_turn()
    connection.session.commit()


def test_an_empty_commit_of_a_turn_of_which_the_service_heard_nothing(connection: Connection) -> None:
    connection.session.commit()
    assert connection.says(EMPTY) == NOBODY
    assert connection.says(EMPTY) == [SAID_EMPTY], "there was one commit"


def test_no_commit_can_be_empty_before_it_was_sent(connection: Connection) -> None:
    assert connection.says(EMPTY) == [SAID_EMPTY]
    connection.session.commit()
    assert connection.says(EMPTY) == NOBODY


def test_an_empty_commit_without_a_turn_is_harmless(connection: Connection) -> None:
    connection.session.end_turn()
    connection.session.commit()
    assert connection.says(EMPTY) == [SAID_EMPTY]


@pytest.mark.parametrize(
    "said",
    [
        (ev.SpeechStarted(),),
        (ev.SpeechStarted(), ev.SpeechStopped()),
        (ev.SpeechStopped(),),
        (ev.InputTranscriptionCompleted("item", "മഴ"),),
        (ev.SpeechStarted(), ev.SpeechStopped(), ev.ResponseCreated("r")),
        (
            ev.SpeechStarted(),
            ev.SpeechStopped(),
            ev.ResponseCreated("r"),
            audio("r"),
            ev.ResponseDone("r", "completed"),
        ),
    ],
    ids=lambda said: " ".join(type(event).__name__ for event in said),
)
@pytest.mark.parametrize("first", ["said", "commit"])
def test_an_empty_commit_is_harmless_in_a_turn_in_which_somebody_was_heard(
    connection: Connection, said: tuple[ev.ServerEvent, ...], first: str
) -> None:
    if first == "commit":
        connection.session.commit()
    connection.says(*said)
    if first == "said":
        connection.session.commit()
    assert connection.says(EMPTY) == [SAID_EMPTY]


def test_an_empty_commit_is_harmless_when_a_response_followed_it(connection: Connection) -> None:
    connection.session.commit()
    connection.says(ev.ResponseCreated("r"))
    assert connection.says(EMPTY) == [SAID_EMPTY]


def test_an_empty_commit_is_harmless_in_a_turn_that_began_in_speech(connection: Connection) -> None:
    connection.says(ev.SpeechStarted())
    hold(connection)
    assert connection.says(EMPTY) == [SAID_EMPTY]


@pytest.mark.parametrize("when", ["between the turns", "before the next commit", "after the next commit"])
def test_an_empty_commit_of_an_earlier_turn_says_nothing_of_this_one(connection: Connection, when: str) -> None:
    connection.session.commit()
    connection.session.end_turn()
    if when == "between the turns":
        assert connection.says(EMPTY) == [SAID_EMPTY]
    connection.session.begin_turn()
    if when == "before the next commit":
        assert connection.says(EMPTY) == [SAID_EMPTY]
    connection.session.commit()
    if when == "after the next commit":
        assert connection.says(EMPTY) == [SAID_EMPTY]
    assert connection.says(EMPTY) == NOBODY, "the second one is this turn's own"


@pytest.mark.parametrize("end", ["answered", "interrupted"])
def test_a_commit_that_ended_a_turn_does_not_stand_in_the_way_of_the_next(connection: Connection, end: str) -> None:
    connection.says(ev.SpeechStarted())
    connection.session.commit()
    connection.says(ev.SpeechStopped(), ev.ResponseCreated("r"), audio("r"))
    if end == "answered":
        connection.says(ev.ResponseDone("r", "completed"))
        hold(connection)
    else:
        connection.cancel("r")
        hold(connection)
        connection.says(ev.ResponseDone("r", "cancelled"))
    assert connection.says(EMPTY) == NOBODY


@pytest.mark.parametrize("status", ["completed", "failed", "incomplete", "cancelled"])
def test_an_answer_that_was_not_made_shows_nothing_of_the_commit(connection: Connection, status: str) -> None:
    """It may have ended before the commit arrived."""
    connection.says(ev.SpeechStarted())
    connection.session.commit()
    connection.says(ev.SpeechStopped(), ev.ResponseCreated("r"), ev.ResponseDone("r", status))
    hold(connection)
    assert connection.says(EMPTY) == [SAID_EMPTY]
    assert connection.says(EMPTY) == NOBODY


def test_an_answer_of_the_past_that_ends_says_nothing_of_this_turns_commit(connection: Connection) -> None:
    connection.says(ev.SpeechStarted())
    connection.session.commit()
    connection.says(ev.SpeechStopped(), ev.ResponseCreated("r"), audio("r"))
    hold(connection)
    connection.says(ev.ResponseDone("r", "completed"))
    assert connection.says(EMPTY) == NOBODY


def test_a_response_to_a_turn_in_which_nobody_was_heard_is_cancelled_once(connection: Connection) -> None:
    connection.session.commit()
    assert connection.says(EMPTY) == NOBODY
    connection.session.end_turn()
    assert connection.says(ev.SpeechStarted(), ev.SpeechStopped()) == [out.SpeechBegan(), out.SpeechEnded()]
    assert connection.says(ev.ResponseCreated("r")) == cancelled("r")
    assert connection.says(audio("r"), ev.ResponseDone("r", "cancelled")) == []


def test_an_errors_text_is_one_line(connection: Connection) -> None:
    (said,) = connection.says(ev.ErrorEvent("a\nb", "\x1b[2J", "പിഴവ് അവന്\u200d\n" + "x" * 1_000_000))
    assert isinstance(said, out.ServiceSaid)
    assert (said.type, said.code) == ("a b", "[2J")
    assert said.message.startswith("പിഴവ് അവന്\u200d xx") and len(said.message) <= MAX_CHARS


# ---------------------------------------------------------------- ruling 4: duplicates


def test_ruling_4_a_second_response_in_one_turn_is_cancelled_and_dropped(answering: Connection) -> None:
    assert answering.says(ev.ResponseCreated("twin")) == cancelled("twin")
    assert answering.says(audio("twin"), audio("r")) == [out.ReplyAudio("r", PCM)]
    assert answering.says(ev.ResponseDone("twin", "cancelled"), ev.ResponseDone("r", "completed")) == [
        out.ReplyEnded("r", "completed", ())
    ]


def test_ruling_4_a_second_response_is_a_duplicate_also_when_the_first_is_complete(answering: Connection) -> None:
    answering.says(audio("r"), ev.ResponseDone("r", "completed"))
    assert answering.says(ev.ResponseCreated("twin")) == cancelled("twin")


@pytest.mark.parametrize("nudge", ["commit", "create"])
def test_ruling_4_the_race_of_our_commit_and_turn_detection_has_one_answer(answering: Connection, nudge: str) -> None:
    getattr(answering.session, nudge)()
    assert answering.says(ev.ResponseCreated("twin")) == cancelled("twin")


def test_ruling_4_a_response_after_tool_outputs_is_no_duplicate(answering: Connection) -> None:
    answering.says(call(), ev.ResponseDone("r", "completed"))
    answering.session.tool_outputs([("c", "{}")])
    assert answering.says(ev.ResponseCreated("spoken")) == [out.ReplyBegan("spoken")]
    assert answering.says(ev.ResponseCreated("twin")) == cancelled("twin")


@pytest.mark.parametrize("status", ["cancelled", "failed", "incomplete"])
def test_ruling_4_a_response_that_came_to_nothing_is_no_answer(answering: Connection, status: str) -> None:
    assert answering.says(ev.ResponseDone("r", status)) == [out.ReplyEnded("r", status, ())]
    assert answering.says(ev.ResponseCreated("answer")) == [out.ReplyBegan("answer")]


def test_ruling_4_a_response_that_was_heard_is_the_answer_however_it_ended(answering: Connection) -> None:
    answering.says(audio("r"), ev.ResponseDone("r", "failed"))
    assert answering.says(ev.ResponseCreated("twin")) == cancelled("twin")


# ---------------------------------------------------------------- ruling 7: tools


def test_ruling_7_calls_come_with_the_end_of_a_completed_reply(answering: Connection) -> None:
    assert answering.says(call("c"), call("d", arguments='{"a":1}')) == []
    calls = (out.ToolCall("c", "get_time", "{}"), out.ToolCall("d", "get_time", '{"a":1}'))
    assert answering.says(ev.ResponseDone("r", "completed")) == [out.ReplyEnded("r", "completed", calls)]


@pytest.mark.parametrize("status", ["cancelled", "failed", "incomplete", "new_word"])
def test_ruling_7_no_calls_of_a_reply_that_was_not_completed(answering: Connection, status: str) -> None:
    answering.says(call())
    assert answering.says(ev.ResponseDone("r", status)) == [out.ReplyEnded("r", status, ())]


def test_ruling_7_no_calls_of_a_cancelled_reply(answering: Connection) -> None:
    answering.says(call())
    answering.cancel("r")
    assert answering.says(ev.ResponseDone("r", "completed")) == []


def test_ruling_7_a_reply_without_status_ends_and_calls_nothing(answering: Connection) -> None:
    answering.says(audio("r"), call())
    assert answering.says(ev.ResponseDone("r", "")) == [out.ReplyEnded("r", "incomplete", ())]
    assert answering.levels == ["warning"] and "response.status" in answering.notes[0].text


def test_calls_without_an_id_are_of_the_response_in_progress(answering: Connection) -> None:
    answering.says(call(response_id=None))
    (ended,) = answering.says(ev.ResponseDone("r", "completed"))
    assert ended == out.ReplyEnded("r", "completed", (out.ToolCall("c", "get_time", "{}"),))


def test_text_without_an_id_is_of_the_response_in_progress(answering: Connection) -> None:
    assert answering.says(ev.OutputTranscriptDelta(None, "മഴ")) == [out.ReplyText("r", "മഴ")]
    answering.cancel("r")
    assert answering.says(ev.OutputTranscriptDelta(None, "മഴ")) == []


def test_calls_are_bounded(answering: Connection) -> None:
    answering.says(call("huge", arguments="x" * (MAX_ARGUMENTS_CHARS + 1)), call("0"), call("0"))
    answering.says(*(call(str(number)) for number in range(1, MAX_CALLS + 5)))
    (ended,) = answering.says(ev.ResponseDone("r", "completed"))
    assert isinstance(ended, out.ReplyEnded)
    assert [made.call_id for made in ended.calls] == [str(number) for number in range(MAX_CALLS)]
    assert answering.levels == ["warning"] * 3


# ---------------------------------------------------------------- audio


def test_samples_cut_in_two_are_joined_and_noted_once(answering: Connection) -> None:
    pieces = [b"\x01", b"\x02\x03", b"", b"\x04", b"\x05\x06\x07", b"\x08"]
    assert answering.says(*(audio("r", piece) for piece in pieces)) == [
        out.ReplyAudio("r", b"\x01\x02"),
        out.ReplyAudio("r", b"\x03\x04"),
        out.ReplyAudio("r", b"\x05\x06"),
        out.ReplyAudio("r", b"\x07\x08"),
    ]
    assert answering.levels == ["debug"]


def test_half_a_sample_does_not_reach_the_next_reply(answering: Connection) -> None:
    answering.says(audio("r", b"\x01\x02\x03"), ev.ResponseDone("r", "completed"), ev.SpeechStarted())
    assert answering.says(ev.ResponseCreated("next"), audio("next")) == [
        out.ReplyBegan("next"),
        out.ReplyAudio("next", PCM),
    ]


@given(st.lists(st.binary(max_size=9)))
def test_audio_is_intact_however_it_is_cut(pieces: list[bytes]) -> None:
    connection = Connection()
    connection.session.begin_turn()
    connection.says(ev.SpeechStarted(), ev.ResponseCreated("r"))
    outcomes = connection.says(*(audio("r", piece) for piece in pieces))
    parts = [outcome.pcm for outcome in outcomes if isinstance(outcome, out.ReplyAudio)]
    sent = b"".join(pieces)
    assert b"".join(parts) == sent[: len(sent) // 2 * 2]
    assert all(part and len(part) % 2 == 0 for part in parts)


# ---------------------------------------------------------------- out of order, unknown, too much


@pytest.mark.parametrize(
    "event",
    [
        audio("ghost"),
        ev.OutputTranscriptDelta("ghost", "x"),
        ev.OutputTranscriptDelta(None, "x"),
        call(response_id="ghost"),
        call(response_id=None),
        ev.ResponseDone("ghost", "completed"),
    ],
    ids=str,
)
def test_pieces_of_a_response_that_was_not_announced_are_one_line(
    connection: Connection, event: ev.ServerEvent
) -> None:
    connection.says(ev.SpeechStarted())
    assert connection.says(event, event) == []
    assert connection.levels == ["warning"]
    assert connection.says(ev.ResponseCreated("r")) == [out.ReplyBegan("r")]


@pytest.mark.parametrize("event", [audio("r"), call(), ev.ResponseDone("r", "completed")], ids=str)
def test_pieces_after_the_end_are_one_line(answering: Connection, event: ev.ServerEvent) -> None:
    answering.says(ev.ResponseDone("r", "completed"))
    assert answering.says(event, event) == []
    assert answering.levels == ["warning"]


def test_a_reply_announced_twice_goes_on(answering: Connection) -> None:
    assert answering.says(ev.ResponseCreated("r"), audio("r")) == [out.ReplyAudio("r", PCM)]
    assert answering.levels == ["warning"]


def test_a_response_that_ended_before_it_was_announced_is_neither_awaited_nor_cancelled(connection: Connection) -> None:
    connection.says(ev.SpeechStarted(), ev.SpeechStopped())
    assert connection.says(ev.ResponseDone("r", "completed"), ev.ResponseCreated("r"), audio("r")) == []
    assert connection.says(ev.ResponseCreated("answer")) == [out.ReplyBegan("answer")]


def test_unknown_events_are_counted_and_noted_once_a_type(connection: Connection) -> None:
    assert connection.says(*[ev.UnknownEvent("a")] * 3, ev.UnknownEvent("b")) == []
    assert connection.session.unknown_events == 4
    assert connection.levels == ["debug", "debug"]


def test_notes_are_bounded_and_debug_does_not_crowd_out_warnings(connection: Connection) -> None:
    connection.says(*(ev.UnknownEvent(f"type {number}") for number in range(3 * out.MAX_NOTES)))
    assert len(connection.notes) == out.MAX_NOTES + 1
    assert "further ones" in connection.notes[-1].text
    connection.says(audio("ghost"))
    assert connection.levels[-1] == "warning"


def test_a_reply_survives_any_number_of_others(answering: Connection) -> None:
    answering.says(*(ev.ResponseCreated(f"other {number}") for number in range(3 * MAX_RESPONSES)))
    assert answering.says(audio("r")) == [out.ReplyAudio("r", PCM)]


def test_what_the_person_said_is_passed_on_once(connection: Connection) -> None:
    assert connection.says(
        ev.ConversationItemCreated("user", ("സമയം എത്രയായി",)), ev.InputTranscriptionCompleted("i", "സമയം എത്രയായി")
    ) == [out.CallerText("സമയം എത്രയായി")]


# ---------------------------------------------------------------- any order at all

ids = st.sampled_from(["a", "b", "c"])
anything: st.SearchStrategy[ev.ServerEvent | str] = st.one_of(
    st.sampled_from(["begin_turn", "end_turn", "commit", "create", "outputs", "cancel a", "cancel b", "second passes"]),
    st.sampled_from([ev.SessionUpdated({}), ev.SpeechStarted(), ev.SpeechStopped(), ev.UnknownEvent("x")]),
    st.builds(ev.ResponseCreated, ids),
    st.just(ev.ErrorEvent("invalid_request_error", "input_audio_buffer_commit_empty", "no")),
    st.builds(audio, ids, st.binary(max_size=3)),
    st.builds(call, st.just("c"), st.none() | ids),
    st.builds(ev.OutputTranscriptDelta, st.none() | ids, st.text(max_size=2)),
    st.builds(ev.ResponseDone, ids, st.sampled_from(["completed", "cancelled", ""])),
)


@given(st.lists(anything, max_size=40))
def test_in_any_order_the_outcomes_make_sense(happenings: Sequence[ev.ServerEvent | str]) -> None:
    connection = Connection()
    connection.session.opening()
    connection.says(ev.SessionUpdated({}))
    session = connection.session
    current: str | None = None
    finished: set[str] = set()
    cancels: Counter[str] = Counter()
    # Nothing but this turn's commit was heard of: None says that something else was, or that no turn is open.
    commits: int | None = None
    for happening in happenings:
        match happening:
            case "begin_turn" | "end_turn":
                getattr(session, happening)()
                current = None
                commits = 0 if happening == "begin_turn" else None
            case "commit" | "create":
                getattr(session, happening)()
                commits = None if commits is None else commits + (happening == "commit")
            case "outputs":
                session.tool_outputs([("c", "{}")])
            case "second passes":
                connection.now_s += 1.0
            case str():
                response_id = happening.removeprefix("cancel ")
                if connection.cancel(response_id) is not None:
                    assert response_id not in finished
                    cancels[response_id] += 1
                if current == response_id:
                    current = None
            case _:
                for outcome in connection.says(happening):
                    match outcome:
                        case out.SpeechBegan():
                            current = commits = None
                        case out.SpeechEnded():
                            commits = None
                        case out.NothingHeard():
                            assert commits
                            commits -= 1
                        case out.ReplyBegan(response_id):
                            assert response_id not in cancels and response_id not in finished
                            current, commits = response_id, None
                        case out.ReplyAudio(response_id) | out.ReplyText(response_id):
                            assert response_id == current
                        case out.ReplyEnded(response_id, status, calls):
                            assert response_id == current and status
                            assert status == "completed" or not calls
                            current = None
                        case out.Send(ev.ResponseCancel(str(response_id))):
                            assert response_id not in finished
                            cancels[response_id] += 1
                if isinstance(happening, ev.ResponseDone):
                    finished.add(happening.response_id)
    assert all(count == 1 for count in cancels.values())
