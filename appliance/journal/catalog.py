"""Every kind of event that the journal tells of, and what marks a line as one of them.

A line is emitted as always, with ``extra``::

    log.error(verdict.line, extra=entry(Kind.NO_CREDITS, CLOSE_CODE=4003))

On a terminal that changes nothing. In the journal the fields stand beside the text (``journalctl CLOSE_CODE=4003``);
``journalctl -x`` adds what systemd/voice-appliance.catalog says of the kind: what happened, and what to do. The field
names are the journal's: capital letters, digits and ``_``. Not a word that was said may be in one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

ATTRIBUTE: Final = "entry"
"""Of a log record: its ``Entry``; absent from lines that are of no kind."""


class Kind(Enum):
    """The value is the MESSAGE_ID (sd_journal_print(3)): random, 128 bits, and never changed nor used again, for
    catalogs and people's own filters hold it. The name is the field EVENT, in small letters."""

    READY = "469d84ad80d047f0864f77fb7fe00810"
    STOPPED = "4b6e452c8fa44e2d8011222e0f4ab2d6"
    RELOADED = "9b9f854742184b808cae3dcca6cf6226"
    RELOAD_REFUSED = "c3796a4bb79b40d7a6d99f5fc9067ef6"
    CONFIGURATION_WRONG = "6068a32f937843c491300c1a0001da63"
    CONFIGURATION_DOUBTFUL = "67b05cde04564432be2bcfaa35f85bcd"
    BOOT_FILE_REFUSED = "454050599ad7d6fa3e8569f195148578"
    WORKER_STOPPED = "fdd7eeca935547b0861d1a4838b7e882"
    UNDERVOLTAGE = "4425f8d40b7c4dfab8c27aea55ac14f5"
    NOT_KEPT = "09713bc24a7c499a9713f89b8e8313eb"

    TURN = "0d8d7a5a856a456db43cb574aae45ac0"
    ASKED_AGAIN = "bad422f6d2494702b97ecc49e1c0d111"
    DAY = "c0010a03e04344149c21384b6bf5d969"
    RESTING = "be9206ca194a45909815ccacf1961edc"
    ROOM_TALKS = "6aa07b34020f4d599a2c99282a90a857"
    HEARS_ITSELF = "e9368f1a7db148709e6a00a365367401"
    SPOKEN_IN_VAIN = "a4c52c53f3bc4823a4d0638471f7ad4d"
    REPLY_TOO_LONG = "2197400eba3f42c7a119116ee102724a"

    CONNECTED = "078a0662ff10403aa3c3e79797b0e900"
    CONNECTION_CLOSED = "3887fbacfc364712a7fac12ae7537f0f"
    CONNECTION_LOST = "d4e98c668c384ee3b7e73a33fad3f65b"
    NO_NETWORK = "9c9409327e12471789b6593f8d950878"
    NO_INTERNET = "bc12c8a224a040cb8336a30d6cc4ac6c"
    UNREACHABLE = "384817f7b1b94b6cafe505bb1ef6918d"
    NO_KEY = "bf7aaff0fd07462a8215fc5b82cdfb0b"
    KEY_REFUSED = "8a4c08f4697f4cc6be67af5a2b198164"
    NO_TOKEN = "6792c3edef48411096380619bece75fe"
    NO_CREDITS = "cfa07afecb354ab682dc385e3653dcca"
    TOO_MANY_CONNECTIONS = "d28b84a5535d4c0da3082321075002dd"
    CLOCK_WRONG = "1ef50e5cebc04a09851a36c10b2fee29"
    NETWORK_INTERCEPTS = "a92392d369134d088a13eeaa46578c6b"
    SETTINGS_REFUSED = "7ac5a52129e04df3bdc8106eb4ea4bf5"
    SERVICE_SAYS = "a454ecb168494accb16c7fad073d4e17"
    SERVICE_ODD = "e4a9507ec4224892b4898cacd0e16d0a"

    MICROPHONE_FOUND = "5c828245dc814a589c49ce5cb567f5be"
    MICROPHONE_LOST = "538e2655ae754f7ab7331987caa12ca7"
    MICROPHONE_HOLE = "a1bd5c3ffcbe4577a2d0db67771379e3"
    MICROPHONE_OFF = "86323e3b3c4a4fa58496354b9afd3c4a"
    MICROPHONE_ON = "f62284ff68ef3b6986e26610fcf92144"
    PRESSED_WHILE_OFF = "643e4f7c0a33402b9c5c51a78a8a9ea7"
    MICROPHONE_DEAD = "3b5b8122719c474292a6a013f1941b90"
    MICROPHONE_LEVEL = "130ed7775f8446faacf923e4141dbf37"
    SPEAKER_FOUND = "4af6d063fb7d45bdad5458f8fe6ce25c"
    SPEAKER_LOST = "ddfb2860683f4060bdb5e343650275ee"
    VOLUME_SET = "343281561cbb4fba83f4583e9f908176"
    VOLUME_KEYS = "76660293cd61e341ba6cf12a0e39e4c5"
    CLIP_REFUSED = "bb17372bd0984226a3218413248729b3"

    BUTTON_LET_GO = "488113d8350d49fc9bebec3052588d8c"
    BUTTON_STUCK = "baef4937af224a60971b8f7e9bcfe4b1"
    NO_PINS = "8934e87f70de4f2884a678ddf35c4113"
    PINS_LOST = "eb55197c990043c5bc7f866cca44070f"
    PINS_BACK = "550e3e3be0184f6b9f3fa69af75d75fb"
    PINS_MAKESHIFT = "a0539c5cf6ad4e5d97dad155243135ed"
    PRESS_LOST = "094e814fdc2541328211c07c4e11c51e"
    BUTTON_BOX_FOUND = "460ed7032ba64ffda2f3ccf8280f7743"
    BUTTON_BOX_LOST = "4efa581835844811bacd39d5f0f083b3"

    TOOL_ANSWERED = "2136bda0f60d4b659307b4e5df968875"
    TOOL_FAILED = "578ca7cedc284a4bbd0c9931bf83fcda"
    TRANSCRIPTS_FAILED = "0cec016694034beda36435d8dd912d29"
    CONTROL_USED = "98839ecf4ad74524bb4ccc9101ee1430"
    NO_CONTROL_SOCKET = "969a1a39421e435da963e4ab0a589db8"
    FAULT_OF_OURS = "c7395a2d272c4a4a827bad44c28ceec9"


@dataclass(frozen=True, slots=True)
class Entry:
    """What the journal gets beside a line's text. ``fields`` that are None are left out."""

    kind: Kind
    fields: Mapping[str, object]


def entry(kind: Kind, **fields: object) -> dict[str, Any]:
    """``extra`` of a line of that kind."""
    return {ATTRIBUTE: Entry(kind, fields)}
