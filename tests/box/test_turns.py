"""What meets in ``turns.py``: machine, ring, utterance, player and light of a whole box that is not connected to
anything. Time is on paper, the microphone is fed by hand."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace

import pytest

from appliance.audio import speaker as speaker_module
from appliance.audio.format import frames_from_s
from appliance.audio.microphone import MicrophoneClosed, MicrophoneGone, MicrophoneHole, MicrophoneOpened
from appliance.audio.speaker import SpeakerLost
from appliance.control.server import SOURCE as CONTROL_SOCKET
from appliance.journal.rate_limit import MOST_OUTAGES
from appliance.link.failures import Failure, What, classify
from appliance.link.link import SessionClosed, SessionLost, SessionOpened
from appliance.realtime import events as ev
from appliance.realtime import session as rt
from appliance.soundhost.messages import Opened as DeviceOpened
from appliance.turn.announcements import Clip
from appliance.turn.events import Stop
from appliance.turn.states import Outcome, Sound, State
from tests.support.bench import BLOCK_S, Bench, on_bench
from tests.support.paper_room import PaperSpeaker


@pytest.mark.parametrize("tap_max_ms", [400, 1500])
def test_a_hold_that_was_taken_for_impatience_at_first_loses_no_word(tap_max_ms: int) -> None:
    """Only after ``tap_max_ms`` is it certain that the press is a hold; what was said since then, and the pre-roll,
    must still be there."""

    async def story(bench: Bench) -> None:
        await bench.hold(2)
        await bench.passes(0.5)
        before_s = bench.daemon.utterance.duration_s
        assert bench.state() is State.SENDING and before_s == pytest.approx(0.3 + 2 + 0.2, abs=0.03)
        await bench.hold(2)
        await bench.passes(0.5)
        assert bench.state() is State.SENDING
        assert bench.daemon.utterance.duration_s - before_s == pytest.approx(0.3 + 2 + 0.2, abs=0.03)
        bench.daemon.remote.quiet()
        assert bench.daemon.ring.end - bench.daemon.ring.start <= frames_from_s(0.4), "idle again: no more is kept"

    on_bench(story, talk__mode="hold", talk__tap_max_ms=tap_max_ms)


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_service_that_numbers_the_replies_of_each_session_anew_is_heard(interrupted: bool) -> None:
    """Ids are the service's, and mean something within their session only."""

    async def story(bench: Bench) -> None:
        line = await bench.asked()
        bench.answers(line)
        await bench.passes(0.5)
        assert bench.state() is State.SPEAKING and bench.daemon.player.held_frames
        if not interrupted:
            bench.daemon.remote.quiet()
        # With link.connect = "always" the next session is there before anybody presses.
        bench.daemon.reports.on_link(SessionClosed("recycled"))
        line = await bench.asked()
        bench.answers(line)
        await bench.passes(0.5)
        assert bench.state() is State.SPEAKING and bench.daemon.player.held_frames

    on_bench(story, talk__mode="hold")


def test_the_hours_allowance_is_not_got_round_by_interrupting() -> None:
    """Each press during an answer, or a hold while it is awaited, would otherwise be one more question, for ever."""

    async def story(bench: Bench) -> None:
        turns, machine = bench.daemon.turns, bench.daemon.machine
        line = await bench.asked()
        bench.daemon.ledger.sent(bytes(48_000), asyncio.get_running_loop().time())
        assert bench.daemon.ledger.rest_s(asyncio.get_running_loop().time()) > 0
        await bench.hold(1)
        assert bench.state() is State.WAITING and machine.number == 1, "what was asked before is answered"
        bench.answers(line)
        await bench.passes(0.3)
        assert bench.state() is State.SPEAKING
        await bench.hold(1)
        assert machine.number == 1 and bench.state() is State.READY, "the press stops the answer, and opens nothing"
        assert turns.last is not None and turns.last["outcome"] == Outcome.STOPPED.value

    on_bench(story, talk__mode="hold", limits__audio_s_per_hour=2.0)


def test_the_warning_of_a_long_hold_ends_with_that_hold() -> None:
    async def story(bench: Bench) -> None:
        await bench.hold(4)
        assert bench.daemon.turns.warning
        await bench.passes(0.5)
        bench.daemon.remote.edge(True, "bench")
        await bench.passes(1)
        assert bench.state() is State.LISTENING and bench.daemon.panel.current_light == "listening"

    on_bench(story, talk__mode="hold", talk__max_hold_s=8.0)


def test_without_a_speaker_nothing_piles_up_to_be_heard_at_once_later() -> None:
    async def story(bench: Bench) -> None:
        bench.daemon.reports.on_microphone(MicrophoneGone("unplugged"))
        bench.daemon.reports.on_speaker(SpeakerLost("unplugged"))
        for _ in range(10):
            await bench.hold(0.5)
            await bench.passes(0.5)
        assert bench.daemon.player.idle

    on_bench(story)


def test_a_fault_in_one_step_does_not_stop_the_clock(caplog: pytest.LogCaptureFixture) -> None:
    async def story(bench: Bench) -> None:
        open_uplink = bench.daemon.uplink.open

        def fails() -> None:
            bench.daemon.uplink.open = open_uplink  # type: ignore[method-assign]
            raise ZeroDivisionError

        bench.daemon.uplink.open = fails  # type: ignore[method-assign]
        bench.daemon.remote.edge(True, "bench")
        await bench.passes(4)
        assert bench.daemon.turns.warning, "the turn's other deadlines still come"

    on_bench(story, talk__mode="hold", talk__max_hold_s=8.0)
    assert "ZeroDivisionError" in caplog.text


def test_a_tool_with_a_fault_of_ours_is_answered(caplog: pytest.LogCaptureFixture) -> None:
    async def story(bench: Bench) -> None:
        async def fails(calls: object) -> tuple[tuple[str, str], ...]:
            raise ZeroDivisionError

        bench.daemon.tools.run = fails  # type: ignore[method-assign]
        line = await bench.asked()
        line.says(ev.SpeechStarted(), ev.SpeechStopped(), ev.ResponseCreated("r1"))
        await bench.passes(0.5)
        line.says(ev.FunctionCallArgumentsDone("r1", "get_time", "c1", "{}"), ev.ResponseDone("r1", "completed"))
        await bench.passes(0.5)
        assert line.sent_of(ev.FunctionCallOutput) == 1

    on_bench(story, talk__mode="hold", talk__max_hold_s=8.0)
    assert "ZeroDivisionError" in caplog.text


def test_a_device_that_comes_and_goes_fills_no_journal(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def story(bench: Bench) -> None:
        for _ in range(500):
            bench.daemon.reports.on_microphone(MicrophoneGone("the sound host hung for 5 s"))
            bench.daemon.reports.on_speaker(SpeakerLost("the sound host hung for 5 s"))
            await asyncio.sleep(0.1)
            bench.daemon.reports.on_microphone(MicrophoneOpened("bench", 48_000, 1, "two fit"))
            bench.daemon.reports.on_microphone(MicrophoneHole(1.0))
            await asyncio.sleep(0.5)

    on_bench(story)
    # Each of the first outages is said, as is its end; after that they are counted.
    assert 2 * MOST_OUTAGES <= len(caplog.records) <= 2 * MOST_OUTAGES + 10


def test_a_network_that_flaps_every_second_for_an_hour_writes_under_two_hundred_lines(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)

    async def story(bench: Bench) -> None:
        for second in range(0, 3600, 2):
            bench.daemon.reports.on_link(SessionOpened())
            await asyncio.sleep(1)
            closed = Failure(What.CLOSED, 1006 if second % 4 else 1013, f"request {second}")
            bench.daemon.reports.on_link(SessionLost(classify(closed), 0.5, was_open=True))
            bench.daemon.reports.on_link(rt.ServiceSaid("invalid_request_error", "odd", f"request {second}", False))
            gone = Failure((What.NO_NETWORK, What.NAME, What.TIMEOUT)[second % 3])
            bench.daemon.reports.on_link(SessionLost(classify(gone), 0.5, was_open=False))
            await asyncio.sleep(1)

    on_bench(story)
    assert 0 < len(caplog.records) < 200


def test_muted_right_after_a_release_the_question_is_sent_without_its_tail() -> None:
    async def story(bench: Bench) -> None:
        line = bench.connect()
        await bench.hold(1)
        await bench.passes(0.1)
        assert bench.state() is State.SENDING
        bench.daemon.reports.on_microphone(MicrophoneClosed())
        await asyncio.sleep(0.1)
        assert bench.state() is State.WAITING and line.sent_of(ev.InputAudioBufferCommit) == 1
        assert bench.daemon.turns.figures.said_s == pytest.approx(0.3 + 1 + 0.1, abs=0.03)

    on_bench(story, talk__mode="hold")


def test_muted_after_a_tapped_question_the_service_goes_on_hearing_silence() -> None:
    """It may yet notice what was said last, and would wait for ever for the end of it."""

    async def story(bench: Bench) -> None:
        line = bench.connect()
        await bench.hold(0.1)
        line.says(ev.SpeechStarted())
        await bench.passes(1)
        line.says(ev.SpeechStopped())
        assert bench.state() is State.WAITING
        bench.daemon.reports.on_microphone(MicrophoneClosed())
        await asyncio.sleep(0)
        before_s = line.sent_s
        line.says(ev.SpeechStarted())
        await asyncio.sleep(1)
        assert bench.state() is State.WAITING and bench.daemon.panel.current_light == "wait"
        assert line.sent_s - before_s >= 0.8

    on_bench(story, talk__mode="tap")


COMMIT_EMPTY = ev.ErrorEvent("invalid_request_error", "input_audio_buffer_commit_empty", "nothing to commit")


def test_a_hold_in_which_nobody_was_heard_ends_and_proves_nothing_about_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story(bench: Bench) -> None:
        released: list[bool] = []
        monkeypatch.setattr(bench.daemon.link, "release", lambda proven=False: released.append(proven))
        line = await bench.asked()
        line.says(COMMIT_EMPTY)
        assert bench.state() is State.READY and released == [False] and not line.closed
        assert [event["outcome"] for event in bench.events if event["event"] == "turn"] == [Outcome.NO_SPEECH.value]
        # The service was only late: what it says now is of the past, and stopped once.
        bench.answers(line)
        line.says(ev.ResponseDone("r1", "cancelled"))
        assert bench.state() is State.READY and line.sent_of(ev.ResponseCancel) == 1
        assert not bench.daemon.player.held_frames
        await bench.hold(1)
        await bench.passes(0.5)
        bench.answers(line, "r2")
        assert bench.state() is State.SPEAKING and bench.daemon.turns.ended == 1

    on_bench(story, talk__mode="hold")


def test_an_error_about_the_last_turns_commit_does_not_end_this_one() -> None:
    async def story(bench: Bench) -> None:
        line = await bench.asked()
        bench.daemon.turns.happens(Stop())
        await bench.hold(1)
        await bench.passes(0.5)
        assert bench.state() is State.WAITING and line.sent_of(ev.InputAudioBufferCommit) == 2
        line.says(COMMIT_EMPTY)
        assert bench.state() is State.WAITING
        bench.answers(line)
        assert bench.state() is State.SPEAKING

    on_bench(story, talk__mode="hold")


@pytest.mark.parametrize("answered", [False, True])
def test_turn_detection_that_was_quicker_than_the_commit_is_no_silence(answered: bool) -> None:
    async def story(bench: Bench) -> None:
        line = await bench.asked()
        line.says(ev.SpeechStarted(), ev.SpeechStopped())
        if answered:
            line.says(ev.ResponseCreated("r1"))
        line.says(COMMIT_EMPTY)
        assert bench.state() is State.WAITING
        if not answered:
            line.says(ev.ResponseCreated("r1"))
        line.says(ev.OutputAudioDelta("r1", "i1", bytes(9600)))
        assert bench.state() is State.SPEAKING

    on_bench(story, talk__mode="hold")


def test_zeros_that_the_box_sends_itself_say_nothing_about_the_microphone(caplog: pytest.LogCaptureFixture) -> None:
    """A short press into an answer, of which all that was heard is our own voice: only zeros leave, which are ours."""

    async def story(bench: Bench) -> None:
        line = bench.connect()
        bench.daemon.speaker._queue_end_s = asyncio.get_running_loop().time() + 0.5
        await bench.hold(0.3)
        await bench.passes(2)
        assert bench.state() is State.WAITING and line.sent_of(ev.InputAudioBufferAppend) > 10
        bench.daemon.remote.quiet()
        assert bench.daemon.panel.current_light != "fault_microphone"

    on_bench(story, talk__mode="hold")
    assert "muted or dead" not in caplog.text


def test_a_turn_of_exact_zeros_is_a_dead_microphone(caplog: pytest.LogCaptureFixture) -> None:
    async def story(bench: Bench) -> None:
        bench.connect()
        bench.sample = 0
        await bench.passes(0.5)
        await bench.hold(1)
        await bench.passes(0.5)
        bench.daemon.remote.quiet()
        assert bench.daemon.panel.current_light == "fault_microphone"

    on_bench(story, talk__mode="hold")
    assert "muted or dead" in caplog.text


def test_what_goes_with_the_speaker_is_said_anew_when_it_is_back() -> None:
    """A clip that was cut by the plug must not silence those after it."""

    async def story(bench: Bench) -> None:
        speaker = bench.daemon.speaker
        opened = DeviceOpened("bench", "", "", 24_000, 1, 240, 0.02)
        speaker.opened(opened)
        bench.daemon.sounds.say(Clip.CALL, Sound.ERROR)
        assert bench.daemon.sounds.saying
        speaker.lost("unplugged")
        assert not bench.daemon.sounds.saying
        await bench.passes(1)
        speaker.opened(opened)
        bench.daemon.sounds.say(Clip.CALL, Sound.ERROR)
        assert not bench.daemon.player.idle

    on_bench(story)


def test_a_box_that_has_ended_does_nothing_more() -> None:
    """What was on its way, such as the end of an answer, comes when the next box is there already."""

    async def story(bench: Bench) -> None:
        loop = asyncio.get_running_loop()
        line = await bench.asked()
        bench.answers(line)
        await bench.passes(0.3)
        assert bench.state() is State.SPEAKING
        bench.daemon.turns.close()
        bench.daemon.turns.happens(Stop())
        assert bench.state() is State.SPEAKING
        assert not [handle for handle in loop._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]

    on_bench(story, talk__mode="hold")


@pytest.mark.parametrize(("mode", "light"), [("open", "invite"), ("auto", "fault_setup")])
def test_a_button_box_that_is_not_there_is_a_fault_where_a_button_is_needed(mode: str, light: str) -> None:
    """Where a voice is enough, seven flashes in the place of the invite would send everybody away."""

    async def story(bench: Bench) -> None:
        bench.daemon.keys._miss("no key: nothing of that name is plugged in")
        assert bench.daemon.panel.current_light == light
        assert bench.daemon.remote.status()["key_fault"]

    on_bench(story, talk__mode=mode, panel__key__device="1209:b0c5")


def test_a_press_by_the_socket_that_did_not_count_is_over_without_a_release() -> None:
    """Its client may be gone, or may have seen that nothing came of it; the next one must not find a button down."""

    async def story(bench: Bench) -> None:
        bench.daemon.remote.edge(True, "bench")
        bench.daemon.remote.edge(True, CONTROL_SOCKET)
        await bench.passes(0.5)
        bench.daemon.remote.edge(False, "bench")
        await bench.passes(0.1)
        bench.daemon.remote.quiet()
        assert bench.state() is State.READY
        bench.daemon.remote.edge(True, CONTROL_SOCKET)
        assert bench.state() is State.LISTENING

    on_bench(story, talk__mode="hold")


def test_an_answer_that_waits_for_the_end_of_a_clip_has_not_stopped_arriving(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clip of a press while the microphone is off takes longer here than an answer may stand still."""

    async def story(bench: Bench) -> None:
        monkeypatch.setattr(speaker_module, "time", SimpleNamespace(monotonic=asyncio.get_running_loop().time))
        speaker = PaperSpeaker(bench.daemon)

        async def plays(seconds: float) -> None:
            for _ in range(round(seconds / BLOCK_S)):
                await asyncio.sleep(BLOCK_S)
                speaker.plays(frames_from_s(BLOCK_S), asyncio.get_running_loop().time())

        line = await bench.asked()
        bench.daemon.remote.mute(True)
        bench.daemon.remote.edge(True, "bench")
        bench.daemon.remote.edge(False, "bench")
        assert bench.daemon.sounds.saying
        bench.answers(line, seconds=0.5)
        line.says(ev.ResponseDone("r1", "completed"))
        await plays(5)
        assert bench.daemon.turns.last is not None
        assert bench.daemon.turns.last["outcome"] == Outcome.ANSWERED.value

    on_bench(story, talk__mode="hold", talk__no_progress_s=2.0, panel__language="both")


@pytest.mark.parametrize("greeting", [True, False])
def test_whoever_taps_and_says_nothing_is_greeted_once_in_a_session(greeting: bool) -> None:
    async def story(bench: Bench) -> None:
        bench.sample = 0
        line = bench.connect()
        await bench.hold(0.1)
        await bench.passes(2)
        assert line.sent_of(ev.ResponseCreate) == int(greeting)
        if greeting:
            line.says(ev.ResponseCreated("r1"), ev.OutputAudioDelta("r1", "i1", bytes(48_000)))
            await bench.passes(0.5)
            assert bench.state() is State.SPEAKING
            assert not line.sent_of(ev.ResponseCancel), "it is this turn's answer"
            await bench.hold(0.1)
            assert bench.state() is State.LISTENING and line.sent_of(ev.ResponseCancel) == 1
            await bench.passes(3)
            assert line.sent_of(ev.ResponseCreate) == 1

    on_bench(story, service__greeting=greeting)
