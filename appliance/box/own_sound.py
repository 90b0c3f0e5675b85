"""Whether what the box plays comes back through its own microphone, and until when. On the event loop.

Half duplex, the rule, it does: while something sounds, and for the room's echo of it, nothing that the microphone hears
is a person's. Full duplex it does not: the card takes it out, as speakerphones do, or the box itself
(``audio/echo.py``), and a person may talk over an answer. Whatever is only said to do so would have the box answer
itself for ever; so that is looked for.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from appliance.audio.speaker import Speaker
from appliance.errors import UnavailableError
from appliance.journal.catalog import Kind, entry

if TYPE_CHECKING:
    from appliance.audio.echo import EchoCanceller

log = logging.getLogger(__name__)

EARLY_S: Final = 3.0
"""What comes back comes at once: a canceller that is not one lets the first words through. A person who talks over an
answer has mostly heard more of it."""

EARLY_IN_A_ROW: Final = 3
"""So many answers that are talked over so early, and none that is heard for longer, are no person's doing."""

LINE: Final = (
    f"the box seems to hear itself: {EARLY_IN_A_ROW} answers in a row were talked over within {EARLY_S:.0f} s; from now"
    " on it does not listen while it speaks. {advice}"
)

BY_CARD: Final = 'Is this a speakerphone? If not, set talk.full_duplex = "off"'
BY_SOFTWARE: Final = 'Turn the speaker down or move it away from the microphone, or set talk.full_duplex = "off"'


def echo_canceller(full_duplex: str) -> EchoCanceller | None:
    """What ``talk.full_duplex`` asks for; None where the box takes nothing out itself, or cannot, which a line says."""
    if full_duplex != "software":
        return None
    # Not at the top: whoever does not want it does not load it.
    from appliance.audio.echo import EchoCanceller, webrtc

    try:
        return EchoCanceller(webrtc())
    except UnavailableError as error:
        line = f"talk.full_duplex: {error}: the box does not listen while it speaks"
        log.warning("%s", line, extra=entry(Kind.CONFIGURATION_DOUBTFUL))
        return None


class OwnSound:
    """One box's. ``echo_tail_s``: how long the room goes on after the speaker. ``by_card``: the card takes our sound
    out; ``echo``: that does, once it has settled. Neither: half duplex."""

    def __init__(self, speaker: Speaker, echo_tail_s: float, *, by_card: bool, echo: EchoCanceller | None) -> None:
        self._speaker = speaker
        self._echo_tail_s = echo_tail_s
        self._by_card = by_card
        self._echo = echo
        self._early = 0
        self._believed = True
        """The box does not seem to hear itself."""

    @property
    def cancelled(self) -> bool:
        """Full duplex: whoever talks over an answer is heard. Ends when the box seems to hear itself."""
        return self._believed and (self._by_card or (self._echo is not None and self._echo.settled))

    def is_a_voice(self, since_s: float) -> bool:
        """What was heard since then is no rest of an echo."""
        return self._echo is None or self._echo.passed_since(since_s) is not False

    def lets_through(self, since_s: float) -> bool:
        """Something is heard over what sounds, since then: sooner known than whether it is a voice."""
        return self.cancelled and self._echo is not None and self._echo.passed_since(since_s) is True

    @property
    def heard_until_s(self) -> float:
        """Until when the microphone hears what the speaker plays, or the room's echo of it (monotonic)."""
        return float("-inf") if self.cancelled else self._speaker.audible_until_s + self._echo_tail_s

    def talked_over(self, sounded_s: float) -> bool:
        """The microphone heard a voice when an answer had sounded for so long. Whether it is believed to be a
        person's; if not, this is half duplex from now on, and a line says so."""
        self._early = self._early + 1 if sounded_s < EARLY_S else 0
        if self._early < EARLY_IN_A_ROW:
            return True
        self._believed = False
        line = LINE.format(advice=BY_CARD if self._by_card else BY_SOFTWARE)
        log.warning("%s", line, extra=entry(Kind.HEARS_ITSELF))
        return False

    def is_a_person(self) -> None:
        """An answer was heard out, or somebody pressed: what came before was no echo of ours."""
        self._early = 0
