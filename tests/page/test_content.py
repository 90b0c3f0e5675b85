"""Every state has its words, in both languages; the light is drawn as it is; the colours can be read."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import pytest

from appliance.errors import ConfigurationError, UnavailableError
from appliance.page import content, start
from appliance.panel.light import Pattern

from .support import settings

FILES = Path(content.FOLDER)
MALAYALAM = re.compile(r"[\u0d00-\u0d7f]")


@pytest.mark.parametrize("mode", ["auto", "hold", "tap", "open"])
@pytest.mark.parametrize("language", ["ml", "en", "both"])
def test_every_pattern_of_the_light_has_its_words(language: str, mode: str) -> None:
    from appliance.config import loader

    hello = content.hello(loader.load(None, {"page.language": language, "talk.mode": mode}))
    names = {pattern.name.lower() for pattern in Pattern}
    assert names <= set(hello["words"]) and names == set(hello["lights"])
    for words in hello["words"].values():
        assert list(words) == list(hello["languages"])
        assert all(words.values())


def test_the_words_are_in_the_script_of_their_language() -> None:
    for name, words in content.texts().items():
        assert set(words) == {"ml", "en"}, name
        assert MALAYALAM.search(words["ml"]), name
        assert words["en"].isascii(), name
    # The chillu letters as letters of their own (Unicode 5.1), not as a consonant with a joiner, which old fonts need.
    assert "\u200d" not in (FILES / "texts.toml").read_text(encoding="utf-8")


def test_every_fault_says_something_else() -> None:
    texts = content.texts()
    faults = [pattern.name.lower() for pattern in Pattern if pattern.name.startswith("FAULT_")]
    assert len(faults) == 7
    for language in ("ml", "en"):
        assert len({texts[name][language] for name in faults}) == 7


def test_the_script_asks_for_no_word_that_is_not_there() -> None:
    script = (FILES / "page.js").read_text(encoding="utf-8")
    named = set(re.findall(r'(?:words|fault|line|without|paragraphs)\("(\w+)"', script)) | {"person", "box", "call"}
    assert len(named) > 4 and named <= set(content.hello(settings())["words"])


def test_the_number_to_call_is_shown_or_somebody_is() -> None:
    assert "{phone}" in content.hello(settings(phone="0484 1"))["words"]["call"]["en"]
    assert "{phone}" not in content.hello(settings())["words"]["call"]["en"]


def test_hello_tells_a_browser_no_secret() -> None:
    text = json.dumps(content.hello(settings(title="Shop")))
    assert "swaram" not in text and "wss:" not in text and "sock" not in text


@pytest.mark.parametrize("switched", [False, True], ids=["dimmed", "switched"])
@pytest.mark.parametrize("pattern", Pattern, ids=lambda pattern: pattern.name.lower())
def test_the_light_is_drawn_as_it_is(pattern: Pattern, switched: bool) -> None:
    drawn = content.light(pattern, switched=switched)
    frames, period_s = drawn["frames"], drawn["period_ms"] / 1000
    assert frames[0][0] == 0 and all(0 <= share < 1 and 0 <= level <= 1 for share, level in frames)
    # A prime number of looks: none is at the very edge of a flash.
    for number in range(211):
        share = (number + 0.5) / 211
        before = max(place for place, frame in enumerate(frames) if frame[0] <= share)
        level = frames[before][1]
        if drawn["fades"]:
            after = frames[before + 1] if before + 1 < len(frames) else [1.0, frames[0][1] if drawn["repeats"] else 0.0]
            width = after[0] - frames[before][0]
            level += (after[1] - level) * (share - frames[before][0]) / width
        # A fade that begins anew is drawn with one short slope where the light jumps.
        if not (drawn["fades"] and before + 1 == len(frames)):
            at_s = share * period_s
            seen = float(pattern.is_lit(at_s)) if switched else pattern.brightness(at_s) ** 0.5
            assert level == pytest.approx(seen, abs=0.03)


@pytest.mark.parametrize("switched", [False, True], ids=["dimmed", "switched"])
@pytest.mark.parametrize("pattern", Pattern, ids=lambda pattern: pattern.name.lower())
def test_nothing_flashes_faster_than_two_and_a_half_times_a_second(pattern: Pattern, switched: bool) -> None:
    drawn = content.light(pattern, switched=switched)
    if drawn["period_ms"] == 0 or drawn["fades"]:
        return
    lit_s = [share * drawn["period_ms"] / 1000 for share, level in drawn["frames"] if level > 0.5]
    again = [*lit_s, lit_s[0] + drawn["period_ms"] / 1000] if drawn["repeats"] else lit_s
    assert all(later - earlier >= 0.4 - 1e-6 for earlier, later in itertools.pairwise(again))


def luminance(colour: str) -> float:
    """Relative luminance of ``#rrggbb`` (WCAG 2.2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_has_seven_times_the_contrast_and_controls_three_times() -> None:
    style = (FILES / "page.css").read_text(encoding="utf-8")
    named = dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", style))
    ground = luminance(named.pop("ground"))
    contrasts = {name: (luminance(colour) + 0.05) / (ground + 0.05) for name, colour in named.items()}
    assert set(contrasts) == {"text", "quiet", "person", "alarm"}
    assert all(contrast >= 7 for contrast in contrasts.values()), contrasts
    for colour in ("#8b949e", "#3fb950", "#79c0ff"):
        assert colour in style and (luminance(colour) + 0.05) / (ground + 0.05) >= 3


def test_a_logo_is_served_as_what_it_is(tmp_path: Path) -> None:
    logo = tmp_path / "logo.png"
    logo.write_bytes(b"\x89PNG")
    assert content.files(str(logo))["/logo"] == content.File(b"\x89PNG", "image/png")


@pytest.mark.parametrize(
    ("name", "size", "complaint"),
    [
        ("logo.html", 4, r"ends in \.png"),
        ("logo.png", None, "No such file"),
        ("logo.svg", 2**20 + 1, "larger than 1 MB"),
    ],
)
def test_a_logo_that_cannot_be_used_is_said(tmp_path: Path, name: str, size: int | None, complaint: str) -> None:
    logo = tmp_path / name
    if size is not None:
        logo.write_bytes(b"x" * size)
    with pytest.raises(ConfigurationError, match=complaint):
        content.files(str(logo))


# ------------------------------------------------------------ how it starts


def test_the_token_outlasts_the_process(tmp_path: Path) -> None:
    first = start.token(str(tmp_path))
    assert len(first) == 32 and start.token(str(tmp_path)) == first
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
    (tmp_path / "token").write_text("torn")
    assert start.token(str(tmp_path)) not in ("torn", first)
    assert start.token(None) != start.token(None)
    with pytest.raises(UnavailableError, match="cannot be kept"):
        start.token(str(tmp_path / "none"))


def test_the_token_is_in_the_fragment() -> None:
    assert start.address(8080, "abc") == "http://127.0.0.1:8080/#abc"
