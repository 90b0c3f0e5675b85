"""Carries out what the turn machine asks for: where link, sound and tools meet.

Events come in through ``happens`` (``reports.py`` makes them of what the parts report); the machine's effects are
interpreted by ``_carry_out`` in one ``match``. Nothing here decides: the rules are in ``turn/`` and in
``realtime/session.py``. Everything runs on the event loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from appliance.audio.format import s_from_frames
from appliance.box.bus import Bus, Changed, MicrophoneDead, PressComes, TurnClosed
from appliance.box.metrics import TurnFigures
from appliance.box.parts import Parts, SoundTimes
from appliance.box.turn_cues import TurnCues
from appliance.journal.catalog import Kind, entry
from appliance.journal.rate_limit import Repeats
from appliance.realtime import session as rt
from appliance.turn import announcements, effects, events
from appliance.turn import states as v

log = logging.getLogger(__name__)

PROGRESS_S: Final = 1.0
"""How often playing and sending are looked after; a tenth of the shortest sensible talk.no_progress_s."""

SILENCE_RETRY_S: Final = 0.01
"""How soon the writer is asked again for zeros that it has not taken: far below the pace of the zeros themselves."""


class Turns:
    """One box's conversation with its parts. ``publish`` is told, as plain data, what clients may watch."""

    def __init__(self, parts: Parts, times: SoundTimes, bus: Bus, publish: Callable[[dict[str, Any]], None]) -> None:
        self._parts = parts
        self._bus = bus
        self._times = times
        self._publish = publish
        self.voice = TurnCues(parts, times)
        """What the box says of its turns."""
        self._pending: deque[events.Event] = deque()
        self._busy = False
        self._timer: asyncio.TimerHandle | None = None
        self._playback_timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._underruns = 0
        self._repeats = Repeats(log)
        self._heard_s = 0.0
        self._sending_s = 0.0
        """When the machine was told last that something of an utterance left."""
        self._farewell = False
        self._told: rt.Session | None = None
        """The session that was given the newest of what was said."""
        self.ended = 0
        """Turns that have ended."""
        self.warning = False
        """The button has been held nearly too long: the light warns."""

    # ------------------------------------------------------------ the machine

    @property
    def figures(self) -> TurnFigures:
        """Of the current turn, or of the last one."""
        return self._parts.ledger.figures

    @property
    def last(self) -> dict[str, Any] | None:
        """The figures of the last turn that ended, as plain data; None before the first."""
        return self._parts.ledger.last

    def press(self, at_s: float) -> None:
        """A press that counts. While the hour's allowance is used up it is answered, and opens nothing."""
        self._bus.tell(PressComes())
        rest_s = self._parts.ledger.rest_s(self._now_s())
        if rest_s and self._parts.machine.state is not v.State.LISTENING:
            self._refuse_to_talk(rest_s)
            return
        if self._parts.microphone.is_closed:
            line = "the microphone is off: a press cannot be heard"
            self._repeats.log(logging.WARNING, line, self._now_s(), entry(Kind.PRESSED_WHILE_OFF))
            if self._parts.machine.state in (v.State.SENDING, v.State.WAITING):
                # What was asked before is answered; going on with it is not possible.
                self._parts.sounds.say(announcements.Clip.MUTED, v.Sound.ERROR)
                return
        self.happens(events.Press(at_s))

    def _refuse_to_talk(self, rest_s: float) -> None:
        """A press ends the answer that plays; what was asked before is answered."""
        if self._parts.machine.state in (v.State.SPEAKING, v.State.ENDING):
            self.happens(events.Stop())
        if self._parts.machine.state in (v.State.READY, v.State.EXPECTING):
            minutes = max(1, round(rest_s / 60))
            said = f"resting: the hour's audio is used up (limits.audio_s_per_hour); back in {minutes} min"
            self._repeats.log(logging.WARNING, said, self._now_s(), entry(Kind.RESTING))
            self._parts.sounds.say(announcements.Clip.WAIT, v.Sound.SORRY)
            self._bus.tell(Changed())

    def end_conversation(self) -> None:
        """The session is closed when this turn is over, its last words heard. A press before that takes it back, or a
        word (``goes_on``): the person goes on."""
        self._farewell = True

    def goes_on(self) -> None:
        """The service hears the person speak. What it has answered of this turn so far is no answer (decision 2)."""
        if self._parts.machine.state not in (v.State.READY, v.State.ENDING, v.State.EXPECTING):
            self._farewell = False
            self.figures.unanswered()

    def happens(self, event: events.Event) -> None:
        """Feed the machine. What its effects bring about at once waits until all of them are carried out."""
        if self._closed:
            return
        if isinstance(event, events.GateOpened | events.Press):
            self.voice.opened(unasked=isinstance(event, events.GateOpened))
        self._pending.append(event)
        if self._busy:
            return
        self._busy = True
        try:
            while self._pending:
                for effect in self._parts.machine.handle(self._pending.popleft(), self._now_s()):
                    self._carry_out(effect)
                self._check_finished()
        finally:
            # A fault in one step must not stop the clock that ends every state.
            self._busy = False
            self._arm()

    def close(self) -> None:
        """The box stops: no timer and no tool is left behind, and what still happens to its parts leads to nothing."""
        self._closed = True
        for timer in (self._timer, self._playback_timer):
            if timer is not None:
                timer.cancel()
        self._parts.sounds.close()
        self._parts.captions.close()
        self._parts.tools.abort()

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()

    def _arm(self) -> None:
        """Wake up at the machine's next deadline, or for the next zeros, whichever is first."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = [self._parts.machine.next_deadline_s, self._parts.uplink.due_s]
        if due[1] is not None:
            # Zeros that are due and that the link cannot take yet must not keep the loop spinning.
            due[1] = max(due[1], self._now_s() + SILENCE_RETRY_S)
        wanted = [due_s for due_s in due if due_s is not None]
        if wanted:
            self._timer = asyncio.get_running_loop().call_at(min(wanted), self._wake)
        pending = self._parts.machine.state in (v.State.SENDING, v.State.WAITING)
        # While the microphone is still live (a tap) a tick would be sent as the person's words, or cut a hole in them.
        awaited = pending and self._parts.utterance.ended
        self._parts.sounds.await_answer(awaited, held=self._parts.machine.button_down)
        self._parts.utterance.keep_between(self._times.pending_s if pending else self._times.idle_s)
        # While nobody's words are wanted the microphone may lag behind, which costs little; a press ends that at once.
        unwanted_in = (v.State.READY,) if self._parts.own_sound.cancelled else (v.State.READY, v.State.SPEAKING)
        self._parts.microphone.attend(self._parts.machine.state not in unwanted_in)
        self._parts.microphone.await_end(self._parts.utterance.ended)
        self._parts.speaker.attend(self._parts.machine.state is not v.State.READY)
        self._bus.tell(Changed())

    def _wake(self) -> None:
        self._timer = None
        self._busy = True
        try:
            for effect in self._parts.machine.advance(self._now_s()):
                self._carry_out(effect)
        finally:
            self._busy = False
            self._arm()
        due_s = self._parts.uplink.due_s
        if due_s is not None and due_s <= self._now_s():
            self._parts.link.kick()
        while self._pending:
            self.happens(self._pending.popleft())

    # ------------------------------------------------------------ effects

    def _carry_out(self, effect: effects.Effect) -> None:
        if isinstance(effect, effects.OfUtterance):
            self._send(effect)
            return
        session = self._parts.link.session
        match effect:
            case effects.OpenTurn(number):
                self._open_turn(number, session)
            case effects.CloseTurn(_, outcome):
                self._close_turn(outcome, session)
            case effects.Connect():
                self._parts.link.want()
            case effects.LeaveSession():
                self._parts.link.release()
            case effects.CloseSession(reason):
                self._parts.link.close(reason)
            case effects.PlayReply() | effects.HoldReply() | effects.PauseReply() | effects.DropReply():
                self._play(effect)
            case effects.RunTools(calls):
                self._parts.ledger.tools_ran(self._now_s())
                made = [(call.call_id, call.name, call.arguments) for call in calls]
                self._parts.tools.begin(made, lambda outputs: self.happens(events.ToolsFinished(outputs)))
            case effects.AbortTools():
                self._parts.tools.abort()
            case effects.PlayEarcon(sound, ended):
                self.voice.sound(sound, ended)
            case effects.WarnLongHold():
                self.warning = True
            case effects.HintHold():
                line = "the button was let go at once: keep it pressed while you speak"
                log.info("%s", line, extra=entry(Kind.BUTTON_LET_GO))
                self._parts.sounds.say(announcements.Clip.HOLD, v.Sound.SORRY)
            case effects.ReportJam():
                line = "the button is stuck: what was said is sent, further presses count after it is released"
                log.warning("%s", line, extra=entry(Kind.BUTTON_STUCK))
            case _:
                if session is not None:
                    self._tell_service(effect, session)

    def _send(self, effect: effects.OfUtterance) -> None:
        """What of the person's words leaves, and when."""
        utterance, uplink, kick = self._parts.utterance, self._parts.uplink, self._parts.link.kick
        match effect:
            case effects.BeginUtterance(at_s):
                self.figures.pressed_s = at_s
                utterance.begin(at_s - self._times.pre_roll_s)
                uplink.begin(utterance)
            case effects.ResumeUtterance(at_s):
                self.warning = False
                self.figures.ended_s = None
                utterance.resume(at_s - self._times.pre_roll_s)
                self.voice.make_way()
            case effects.EndUtterance(at_s):
                if self.figures.ended_s is None or self._parts.machine.state is v.State.SENDING:
                    # Where the service ended the turn, its word counts, not the moment the answer sounds.
                    self.figures.ended_s = at_s
                utterance.end(at_s)
                kick()
            case effects.RewindUtterance():
                utterance.rewind()
                kick()
            case effects.CutUtterance():
                utterance.cut()
                kick()
            case effects.OpenUplink():
                self.voice.make_way()
                uplink.open()
                kick()
            case effects.StartSilence():
                uplink.start_silence(self._now_s())
            case effects.StopSilence():
                uplink.stop_silence()

    def _play(self, effect: effects.PlayReply | effects.HoldReply | effects.PauseReply | effects.DropReply) -> None:
        match effect:
            case effects.PlayReply():
                self._parts.player.play()
                self._watch_playback()
            case effects.HoldReply():
                self._parts.player.hold()
            case effects.PauseReply():
                self._parts.speaker.pause()
            case effects.DropReply():
                # With it goes what sounds of ours, which is then no more so.
                self._parts.sounds.hush()
                self._parts.speaker.flush()

    def _open_turn(self, number: int, session: rt.Session | None) -> None:
        if number != self.figures.number:
            self._parts.ledger.open_turn(number, self._now_s())
            self._parts.captions.begin_turn(number)
            self._underruns = self._parts.player.underruns
        # A late piece of an old reply never comes so far: the session drops it.
        self._parts.player.forget_ids()
        if session is not self._told:
            # What was said so far was said to another.
            self._parts.utterance.rewind()
        if session is not None:
            session.begin_turn(number)
            if session.in_speech:
                # What is said now goes on with it, and no second speech_started comes.
                self._pending.append(events.SpeechBegan())
            self.figures.sessions += 1
            if self.figures.sent_s is not None:
                self._say_replay()

    def _say_replay(self) -> None:
        """A question that was asked before and that nothing came of, with the reason."""
        again, why = self.figures.sessions - 1, self._parts.ledger.reason or "the connection was lost"
        line = f"turn {self.figures.number} is asked again ({again}): {why}"
        log.info("%s", line, extra=entry(Kind.ASKED_AGAIN, TURN_ID=self.figures.number, REASON=why))

    def _close_turn(self, outcome: v.Outcome, session: rt.Session | None) -> None:
        parts, figures = self._parts, self.figures
        if session is not None:
            session.end_turn()
        for response_id in figures.heard.response_ids:
            figures.heard.played(response_id, parts.speaker.heard_s(response_id))
        parts.captions.end_turn(figures.heard)
        figures.said_s = figures.said_s or parts.utterance.duration_s
        figures.underruns = parts.player.underruns - self._underruns
        self.ended += 1
        if parts.ledger.level.dead:
            self._bus.tell(MicrophoneDead())
        self._publish({"event": "turn", **parts.ledger.close_turn(outcome)})
        parts.uplink.stop()
        parts.utterance.close()
        # The next turn's answer is held until its own PlayReply.
        parts.player.hold()
        parts.link.release(proven=outcome is v.Outcome.ANSWERED)
        self._bus.tell(TurnClosed(outcome))
        if self._farewell and outcome not in (v.Outcome.INTERRUPTED, v.Outcome.TALKED_OVER):
            if session is not None:
                parts.link.close("the conversation was ended")
            if parts.machine.state is v.State.EXPECTING:
                self._pending.append(events.Stop())
        self._farewell = False
        self.warning = False

    def _tell_service(self, effect: effects.Effect, session: rt.Session) -> None:
        link = self._parts.link
        match effect:
            case effects.Commit():
                link.send(session.commit())
            case effects.Nudge(after_tools):
                link.send(session.create(after_tools=after_tools))
            case effects.Clear():
                link.send(session.clear())
            case effects.CancelReply(response_id):
                cancel = session.cancel(response_id, self._now_s())
                if cancel is not None:
                    link.send(cancel)
            case effects.SendToolOutputs(outputs):
                link.send(*session.tool_outputs(outputs))

    def _watch_playback(self) -> None:
        """Tell the machine about once a second that the reply goes on: a dead speaker must not keep a turn open."""
        if self._playback_timer is not None:
            # An answer in two parts, around a tool, is looked after once.
            self._playback_timer.cancel()
            self._playback_timer = None
        if self._parts.machine.state is not v.State.SPEAKING and not self._busy:
            return
        heard_s = sum(self._parts.speaker.heard_s(reply) for reply in self.figures.heard.response_ids)
        # An answer starts when no clip of ours is left to be said: then nothing stands still.
        if heard_s > self._heard_s or self._parts.sounds.saying:
            self.happens(events.PlaybackProgress())
        self._heard_s = heard_s
        self._playback_timer = asyncio.get_running_loop().call_later(PROGRESS_S, self._watch_playback)

    def _check_finished(self) -> None:
        """The last sample has left: a fact that several causes may bring about, and that counts once."""
        parts = self._parts
        if parts.machine.state is v.State.SENDING and parts.link.session is not None and parts.uplink.finished:
            self.figures.sent_s = self._now_s()
            self.figures.said_s = parts.utterance.duration_s
            self._pending.append(events.UtteranceSent())

    # ------------------------------------------------------------ the link

    def next_audio(self) -> bytes | None:
        """What the link's writer sends next."""
        now_s = self._now_s()
        heard = not self._parts.uplink.finished
        pcm = self._parts.uplink.next(now_s)
        if pcm is not None:
            self._told = self._parts.link.session
            self._parts.ledger.sent(pcm, now_s, heard=heard)
        return pcm

    def audio_sent(self) -> None:
        """The link's writer has written what ``next_audio`` gave."""
        if self.figures.first_append_s is None:
            self.figures.first_append_s = self._now_s()
        if self._parts.uplink.finished:
            self.happens_later()
        elif self._now_s() - self._sending_s >= PROGRESS_S:
            self._sending_s = self._now_s()
            self.happens(events.SendingProgress(s_from_frames(self._parts.utterance.available_frames)))

    def happens_later(self) -> None:
        """Look whether a turn's last sample has left; not from within the machine."""
        if not self._busy:
            self._check_finished()
            if self._pending:
                self.happens(self._pending.popleft())

    def heard_block(self) -> None:
        """The ring has grown: live audio may be due, or the tail complete."""
        if self._parts.machine.state is not v.State.READY:
            self._parts.link.kick()
            self.happens_later()
