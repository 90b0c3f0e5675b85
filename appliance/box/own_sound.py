"""Whether what the box plays comes back through its own microphone, and until when. On the event loop.

Half duplex, the rule, it does: while something sounds, and for the room's echo of it, nothing that the microphone hears
is a person's. Full duplex it does not: the card takes it out, as speakerphones do, and a person may talk over an
answer. A card that is only said to do so would have the box answer itself for ever; so that is looked for.
"""

from __future__ import annotations

import logging
from typing import Final

from appliance.audio.speaker import Speaker
from appliance.journal.catalog import Kind, entry

log = logging.getLogger(__name__)

EARLY_S: Final = 3.0
"""What comes back comes at once: a canceller that is not one lets the first words through. A person who talks over an
answer has mostly heard more of it."""

EARLY_IN_A_ROW: Final = 3
"""So many answers that are talked over so early, and none that is heard for longer, are no person's doing."""

LINE: Final = (
    f"the box seems to hear itself: {EARLY_IN_A_ROW} answers in a row were talked over within {EARLY_S:.0f} s; from now"
    ' on it does not listen while it speaks. Is this a speakerphone? If not, set talk.full_duplex = "off"'
)


class OwnSound:
    """One box's. ``echo_tail_s``: how long the room goes on after the speaker. ``cancelled``: the card takes it out."""

    def __init__(self, speaker: Speaker, echo_tail_s: float, *, cancelled: bool) -> None:
        self._speaker = speaker
        self._echo_tail_s = echo_tail_s
        self._early = 0
        self.cancelled = cancelled
        """Full duplex: whoever talks over an answer is heard. Ends when the box seems to hear itself."""

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
        self.cancelled = False
        log.warning("%s", LINE, extra=entry(Kind.HEARS_ITSELF))
        return False

    def is_a_person(self) -> None:
        """An answer was heard out, or somebody pressed: what came before was no echo of ours."""
        self._early = 0
