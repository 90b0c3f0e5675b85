"""What ``hardware/`` says: its profiles load, and its text, drawings and label agree with them and with the program."""

from __future__ import annotations

import re
import tomllib
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from gpiozero.pins.pi import PiBoardInfo

from appliance.config import loader
from appliance.panel.light import Pattern

HARDWARE = Path(__file__).parents[2] / "hardware"
PAGES = sorted(HARDWARE.glob("*.md"))
DRAWINGS = sorted(HARDWARE.glob("*.svg"))
PROFILES = sorted(HARDWARE.glob("profiles/*.toml"))

NAMED = ("button-box", "wake-button", "usb-button", "kiosk-hands-free")
"""The kinds of box that the README's table speaks of."""

WIRING = {"button-box.svg": "button-box", "kiosk.svg": "wake-button"}
"""Whose pins a drawing shows."""

SHUTDOWN_GPIO = 3
"""Of the inside button: the default of the gpio-shutdown overlay, and the only one that starts a Pi again."""

_NAMES = {number: pin.name for number, pin in PiBoardInfo.from_revision(0xC04170).headers["J8"].pins.items()}
"""Pin of the 40-pin header → name, as gpiozero knows it (of a Pi 5; they are the same since the B+)."""

HEADER = {int(name.removeprefix("GPIO")): number for number, name in _NAMES.items() if name.startswith("GPIO")}
"""BCM number → pin."""

POWER_PINS = {number for number, name in _NAMES.items() if name == "5V"}
GROUND_PINS = {number for number, name in _NAMES.items() if name == "GND"}

SVG = "{http://www.w3.org/2000/svg}"

LIT = ("READY", "LISTENING", "WAIT", "SPEAKING", "RESTING", "MUTE", "FAULT_SPEAKER")
"""Strips of the label, each of rectangles of full light: an LED that is switched, as on any pin without PWM."""


def name(path: Path) -> str:
    return str(path.relative_to(HARDWARE))


def words(path: Path) -> str:
    """The text of a page or of a drawing."""
    text = path.read_text(encoding="utf-8")
    return "\n".join(ElementTree.fromstring(text).itertext()) if path.suffix == ".svg" else text


def pins(profile: str) -> set[int]:
    """BCM numbers that a box of this profile uses."""
    panel = loader.load(HARDWARE / "profiles" / f"{profile}.toml").panel
    return {panel.button.gpio, *panel.leds.gpio}


def section(title: str) -> str:
    """What stands below a heading of the README, up to the next."""
    return (HARDWARE / "README.md").read_text(encoding="utf-8").partition(f"\n## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("profile", PROFILES, ids=name)
def test_profile_is_valid_and_differs_only_where_it_says(profile: Path) -> None:
    loader.load(profile)
    given = tomllib.loads(profile.read_text(encoding="utf-8"))
    assert set(given) <= {"talk", "microphone", "speaker", "panel"}, "a profile holds what the hardware decides"


def test_every_named_profile_is_there_or_said_to_be_missing() -> None:
    rows = [line for line in section("Which box").splitlines() if line.startswith("|")]
    assert {path.stem for path in PROFILES} <= set(NAMED)
    for kind in NAMED:
        row = next(row for row in rows if kind in row)
        assert ("not there yet" in row) != (HARDWARE / "profiles" / f"{kind}.toml").exists(), row
        mode = re.findall(r"`(hold|tap|auto|open)`", row)
        if "not there yet" not in row:
            assert mode == [loader.load(HARDWARE / "profiles" / f"{kind}.toml").talk.mode]


@pytest.mark.parametrize("path", [*PAGES, *DRAWINGS], ids=name)
def test_gpio_and_header_pin_belong_together(path: Path) -> None:
    for gpio, pin in re.findall(r"GPIO(\d+)(?: \(|, )pin (\d+)", words(path)):
        assert HEADER[int(gpio)] == int(pin), f"GPIO{gpio} is pin {HEADER[int(gpio)]}"


@pytest.mark.parametrize("profile", PROFILES, ids=name)
def test_header_pins_in_a_profiles_comments(profile: Path) -> None:
    lines = re.findall(r"^gpio = ([^#]+)#(.*)$", profile.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(lines) == 2
    for numbers, comment in lines:
        # 0 is no pin.
        gpios = [int(number) for number in re.findall(r"\d+", numbers) if number != "0"]
        said = [int(pin) for pin in re.findall(r"pin (\d+)", comment)]
        assert said[: len(gpios)] == [HEADER[gpio] for gpio in gpios]


@pytest.mark.parametrize(("drawing", "profile"), WIRING.items())
def test_drawing_and_text_show_the_profiles_pins(drawing: str, profile: str) -> None:
    title = {"button-box.svg": "The button box", "kiosk.svg": "The kiosk"}[drawing]
    for text in (words(HARDWARE / drawing), section(title)):
        assert {int(gpio) for gpio in re.findall(r"GPIO(\d+) \(pin", text)} == {*pins(profile), SHUTDOWN_GPIO}


@pytest.mark.parametrize("drawing", WIRING)
def test_header_as_drawn(drawing: str) -> None:
    root = ElementTree.parse(HARDWARE / drawing).getroot()
    texts = {(float(text.get("x", "")), float(text.get("y", ""))): text.text or "" for text in root.iter(f"{SVG}text")}
    used = set()
    for circle in root.iter(f"{SVG}circle"):
        if circle.get("stroke") == "#ffd54f":
            x, y = float(circle.get("cx", "")), float(circle.get("cy", ""))
            pin = int(texts[x, y + 4])
            # Names stand above the wire, those of odd pins on the left.
            label = texts[x - 34 if pin % 2 else x + 34, y - 6]
            gpio = re.fullmatch(r"GPIO(\d+)", label)
            if gpio is None:
                assert pin in {"5 V": POWER_PINS, "ground": GROUND_PINS}[label]
            else:
                assert HEADER[int(gpio[1])] == pin
            used.add(pin)
    assert used == {int(pin) for pin in re.findall(r"\(pin (\d+)\)", words(HARDWARE / drawing))}


def test_the_kiosk_is_wired_alike_with_and_without_hands() -> None:
    with_button, hands_free = (loader.load(HARDWARE / "profiles" / f"{name}.toml") for name in NAMED[1::2])
    assert with_button.panel == hands_free.panel and hands_free.talk.mode == "open"


def test_kiosks_colours_are_in_the_order_of_its_profile() -> None:
    leds = loader.load(HARDWARE / "profiles" / "wake-button.toml").panel.leds
    drawn = re.findall(r"(Red|Green|Blue): GPIO(\d+)", words(HARDWARE / "kiosk.svg"))
    assert drawn == list(zip(("Red", "Green", "Blue"), map(str, leds.gpio), strict=True))
    written = re.findall(r"^\| (red|green|blue) \| GPIO(\d+)", section("The kiosk"), re.MULTILINE)
    assert [(colour.capitalize(), gpio) for colour, gpio in written] == drawn
    assert leds.active_high, "the driver turns the sense round"


def test_lines_of_config_txt_light_the_profiles_leds() -> None:
    lines = re.findall(r"^ +gpio=([\d,]+)=op,dh$", words(HARDWARE / "power.md"), re.MULTILINE)
    leds = [loader.load(HARDWARE / "profiles" / f"{profile}.toml").panel.leds for profile in WIRING.values()]
    assert [{int(gpio) for gpio in line.split(",")} for line in lines] == [set(led.gpio) for led in leds]


def test_currents_are_right() -> None:
    sums = [found for page in [*PAGES, *DRAWINGS] for found in current_sums(words(page))]
    assert len(sums) >= 8
    for text, calculated_ma, said_ma in sums:
        assert calculated_ma == pytest.approx(float(said_ma), abs=0.51 if "." not in said_ma else 0.051), text


def current_sums(text: str) -> list[tuple[str, float, str]]:
    """Of each "(3.3 V − 2.0 V) / 330 Ω = 3.9 mA": itself, its value, and the value that it says."""
    found = re.finditer(r"\(?([\d.]+(?: V)?(?: − [\d.]+(?: V)?)*)\)?(?: V)? / ([\d.]+) (k?)Ω = ([\d.]+) mA", text)
    sums = []
    for match in found:
        first, *others = (float(volts) for volts in re.findall(r"[\d.]+", match[1]))
        ohms = float(match[2]) * (1000 if match[3] else 1)
        sums.append((match[0], (first - sum(others)) / ohms * 1000, match[4]))
    return sums


@pytest.mark.parametrize("drawing", DRAWINGS, ids=name)
def test_drawing_is_an_svg_with_a_title_and_nothing_from_elsewhere(drawing: Path) -> None:
    root = ElementTree.parse(drawing).getroot()
    assert root.tag == f"{SVG}svg"
    assert root.get("viewBox")
    assert root.findtext(f"{SVG}title")
    assert not [key for element in root.iter() for key in element.attrib if key.endswith("href")]


def test_label_speaks_both_languages() -> None:
    root = ElementTree.parse(HARDWARE / "label.svg").getroot()
    texts = [(element.get("lang"), element.text or "") for element in root.iter() if element.get("lang")]
    malayalam = [text for language, text in texts if language == "ml"]
    english = [text for language, text in texts if language == "en"]
    assert len(malayalam) == len(english)
    assert all(re.search(r"[ം-ൿ]", text) and not re.search(r"[a-z]", text) for text in malayalam)
    assert {"Your voice goes to an internet service", "Box no.", "Telephone"} <= set(english)


@pytest.mark.parametrize("pattern", LIT)
def test_labels_strip_is_what_the_light_does(pattern: str) -> None:
    lit = lit_spans(pattern)
    assert lit[0][0] == 0
    edges_s = sorted({0.0, 6.0, *(edge for span in lit for edge in span)})
    for begin_s, end_s in pairwise(edges_s):
        middle_s = (begin_s + end_s) / 2
        drawn = any(begin <= middle_s < end for begin, end in lit)
        for at_s in (begin_s + 0.001, middle_s, end_s - 0.001):
            assert Pattern[pattern].is_lit(at_s) is drawn, f"{at_s} s"


def lit_spans(pattern: str) -> list[tuple[float, float]]:
    """Begin and end in seconds of the bars of a strip of the label."""
    root = ElementTree.parse(HARDWARE / "label.svg").getroot()
    strip = root.find(f".//{SVG}g[@id='{pattern.lower().replace('_', '-')}']")
    assert strip is not None
    bars = [(float(bar.get("x", "")), float(bar.get("width", ""))) for bar in strip.iter(f"{SVG}rect")]
    return [(begin_s, begin_s + length_s) for begin_s, length_s in bars]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", words(page)):
        path, _, anchor = target.partition("#")
        linked = HARDWARE / path
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", words(linked), re.MULTILINE)
            assert anchor in {heading.lower().replace(" ", "-") for heading in headings}, target


def test_rules_of_the_installers_do_not_hide_those_of_the_package() -> None:
    """udev takes only one of two files of one name, the one in /etc (udev(7)). debhelper calls the package's so."""
    assert not (HARDWARE / "60-voice-appliance.rules").exists()


def test_readme_lists_everything() -> None:
    links = {target.rstrip("/") for target in re.findall(r"\]\(([^)#]+)\)", words(HARDWARE / "README.md"))}
    files = {path.name for path in HARDWARE.iterdir()} | {name(path) for path in PROFILES}
    assert files - {"README.md", "__pycache__"} <= links


def test_usb_buttons_page_and_rules_name_the_profiles_box() -> None:
    key = loader.load(HARDWARE / "profiles" / "usb-button.toml").panel.key
    page = words(HARDWARE / "usb-buttons.md")
    assert f'[panel.key]\n    device = "{key.device}"\n    key = "{key.key}"' in page
    rule = re.search(
        r'ATTRS\{idVendor\}=="(\w+)", ATTRS\{idProduct\}=="(\w+)"', words(HARDWARE / "61-voice-appliance.rules")
    )
    assert rule is not None and ":".join(rule.groups()) == key.device


def test_asound_conf_and_the_udev_rules_use_the_same_names() -> None:
    named = re.findall(
        r'^ACTION=="add".* ATTR\{id\}="(\w+)"$', words(HARDWARE / "61-voice-appliance.rules"), re.MULTILINE
    )
    used = re.findall(r"\bCARD=(\w+)|^ +card (\w+)", words(HARDWARE / "asound.conf"), re.MULTILINE)
    assert sorted(named) == ["mic", "speaker"]
    assert {one or other for one, other in used} == set(named)
