"""Whatever the service says, and however it says it: no record, journal (at debug) or report holds a word that was
said, a sample of it, or the key."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.config import loader
from appliance.doctor import bundle
from appliance.doctor.machine import MachineFacts
from appliance.journal import formatters
from appliance.simulator import readings, voices
from appliance.simulator.catalog import NamedReading
from appliance.simulator.plan import ASIDE_TEXT, PRELUDE
from appliance.simulator.scenario import Call, Connection, Reply, Scenario, Turn
from tests.support.paper_room import KEY

from .box import TEXT, ReadingBox, answer, reading_box
from .pair_loop import on_paper
from .test_readings import ENTRIES

INSTRUCTIONS = "Answer as a gardener of Thrissur would."
ARGUMENTS = '{"zone": "Lakshadweep"}'
SECRET_WORDS = ("gardener", "Thrissur", "Lakshadweep", "zone")
LONGEST_SAMPLES = 24
"""Bytes of sound that are looked for: sixteen of its letters in base64."""


@dataclass(frozen=True)
class PaperMachine(MachineFacts):
    """One whose journal is ``lines``, and where no program runs."""

    lines: tuple[str, ...] = ()

    async def ask(self, *command: str) -> str | None:
        return "\n".join(self.lines) if command[0] == "journalctl" else None


class Everything(logging.Handler):
    """Every line, and every field that goes with it."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        # The embedded service is a process of its own, on another machine.
        if not record.name.startswith("appliance.simulator"):
            self.lines.append(f"{record.getMessage()} {record.__dict__}")


@pytest.fixture
def journal() -> Iterator[Everything]:
    root, library = logging.getLogger(), logging.getLogger("websockets")
    levels, handlers = (root.level, library.level), root.handlers[:]
    everything = Everything()
    formatters.set_up("debug", handler=everything)
    yield everything
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    library.setLevel(levels[1])


def leaks(text: str, sounds: list[bytes]) -> Iterator[str]:
    """What stands in ``text`` and must not."""
    said = [TEXT, ASIDE_TEXT, PRELUDE.text or "", *(recording.text for recording in voices.recordings().values())]
    for word in {word for sentence in said for word in sentence.split()}:
        if word in text or json.dumps(word)[1:-1] in text:
            yield word
    yield from (word for word in SECRET_WORDS if word.lower() in text.lower())
    yield from (secret for secret in (KEY, "swaram_test", "Bearer") if secret in text)
    for pcm in sounds:
        middle = len(pcm) // 4 * 2
        # A sample's base64 stands at one of three places in a group of four letters.
        for shift in range(3):
            letters = base64.b64encode(pcm[middle + shift : middle + shift + LONGEST_SAMPLES]).decode()[:-4]
            if letters in text:
                yield "base64 of a sample"
        if repr(pcm[middle : middle + LONGEST_SAMPLES])[2:-1] in text:
            yield "bytes of a sample"


async def converse(box: ReadingBox) -> None:
    await box.ask()
    await box.ask_twice(strict=False)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_neither_a_word_nor_a_sample_nor_the_key(
    entry: NamedReading, monkeypatch: pytest.MonkeyPatch, journal: Everything, tmp_path: Path
) -> None:
    record = tmp_path / "wire.jsonl"
    asks = Reply(calls=(Call(name="get_time", arguments=ARGUMENTS),))
    turns = tuple(Turn(replies=(asks, answer(number))) for number in range(3))
    scenario = Scenario(connections=(Connection(turns=turns),))
    more = {"log__record": str(record), "service__instructions": INSTRUCTIONS}
    sounds: list[bytes] = []

    async def story() -> None:
        reading = readings.named([entry.name])
        async with reading_box(monkeypatch, reading, "simple", "hold", scenario, **more) as box:
            await converse(box)
            sounds.extend(reply.pcm for reply in box.service.replies if reply.pcm)
            sounds.extend(connection.audio for connection in box.service.accepted if connection.audio)
            status = box.room.daemon.remote.status()
        box.room.daemon.wire_record.close()
        path = tmp_path / "config.toml"
        path.write_text(f'log.record = "/wire.jsonl"\nservice.instructions = "{INSTRUCTIONS}"\n', encoding="utf-8")
        machine = PaperMachine(tmp_path, tuple(journal.lines))
        report = await bundle.report(loader.load(path), status, [], machine, KEY)
        assert "input_audio_buffer.append" in report, "the record is in it"
        found = {
            "record": set(leaks(record.read_text(encoding="ascii"), sounds)),
            "report": set(leaks(report, sounds)),
            "journal": set(leaks("\n".join(journal.lines), sounds)),
        }
        assert not any(found.values()), found
        assert sounds and len(journal.lines) > 20

    on_paper(story())


def test_what_it_looks_for_would_be_found() -> None:
    """Of a test that cannot fail nobody learns anything."""
    pcm = voices.pcm("time")
    for secret in (KEY, TEXT, json.dumps(TEXT), INSTRUCTIONS, ARGUMENTS, repr(pcm)):
        assert list(leaks(f"said: {secret}", [pcm]))
    for offset in range(3):
        assert list(leaks(base64.b64encode(pcm[offset:]).decode(), [pcm]))
