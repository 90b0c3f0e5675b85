"""What the page is made of: its three files, its words, and the light as figures that a browser can draw."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from appliance.config.settings import Config
from appliance.errors import ConfigurationError
from appliance.panel.light import FRAME_S, Breath, FadeIn, FadeOut, Flashes, OneFlash, Pattern, Steady, Wave

FOLDER: Final = os.path.join(os.path.dirname(__file__), "files")

TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
}

PALE: Final = 0.3
"""Share of white in the light's colours: a screen's pure blue has a contrast of 2:1 on the dark ground, so 3.5:1."""

LOGO_PATH: Final = "/logo"

LARGEST_LOGO_BYTES: Final = 1_048_576

LANGUAGES: Final = {"ml": ("ml",), "en": ("en",), "both": ("ml", "en")}


@dataclass(frozen=True, slots=True)
class File:
    """One file as it is sent."""

    body: bytes
    type: str


def files(logo: str) -> dict[str, File]:
    """By path, everything that a browser may fetch. Raises ConfigurationError if ``logo`` cannot be used."""
    served = {"/": "index.html", "/page.css": "page.css", "/page.js": "page.js"}
    # Browsers ask for it unbidden, and complain where there is none.
    found = {"/favicon.ico": File(b"", "image/x-icon")}
    for path, name in served.items():
        with open(os.path.join(FOLDER, name), "rb") as file:
            found[path] = File(file.read(), TYPES[os.path.splitext(name)[1]])
    if logo:
        found[LOGO_PATH] = _logo(logo)
    return found


def _logo(path: str) -> File:
    kind = TYPES.get(os.path.splitext(path)[1].lower(), "")
    if not kind.startswith("image/"):
        raise ConfigurationError([f"page.logo: {path}: a picture's name ends in .png, .jpg, .webp or .svg"])
    try:
        with open(path, "rb") as file:
            body = file.read(LARGEST_LOGO_BYTES + 1)
    except OSError as error:
        advice = "it must be readable by everybody, and not below /home"
        raise ConfigurationError([f"page.logo: {path}: {error.strerror}; {advice}"]) from error
    if len(body) > LARGEST_LOGO_BYTES:
        raise ConfigurationError([f"page.logo: {path}: is larger than 1 MB; make the picture smaller"])
    return File(body, kind)


def texts() -> dict[str, dict[str, str]]:
    """The words of the page, by what they say and by language."""
    with open(os.path.join(FOLDER, "texts.toml"), "rb") as file:
        found: dict[str, dict[str, str]] = tomllib.load(file)
    return found


def hello(config: Config) -> dict[str, Any]:
    """The first message of the stream: everything that does not change while the page is shown."""
    page = config.page
    languages = LANGUAGES[page.language]
    known = texts()
    # What ready asks for depends on how one talks with this box.
    known["ready"] = known["ready_dark"] = known[f"ready_{config.talk.mode}"]
    known["call"] = known["call_number" if page.phone else "call_somebody"]
    switched = config.panel.leds.kind in ("led", "three")
    words = {name: {language: text[language] for language in languages} for name, text in known.items()}
    return {
        "event": "hello",
        "title": page.title or config.box.name,
        "phone": page.phone,
        "logo": bool(page.logo),
        "languages": languages,
        "keep_s": page.keep_s,
        "touch": page.touch,
        "words": words,
        "lights": {pattern.name.lower(): light(pattern, switched=switched) for pattern in Pattern},
    }


def light(pattern: Pattern, *, switched: bool = False) -> dict[str, Any]:
    """One pattern of the light, as an LED shows it that is dimmed, or one that can only be ``switched``.

    ``colour``: red, green, blue, 0 to 255. ``period_ms``: of one cycle; 0: it is steady. ``repeats``: for ever.
    ``frames``: pairs of a share of the cycle and the brightness from there on, as the eye sees it, 0 to 1; ``fades``:
    the brightness goes over from one to the next, or else jumps.
    """
    wave = pattern.value.switched if switched else pattern.value.dimmed
    period_s, times_s, fades = _cycle(wave)
    # The square root undoes panel/light.py's square: a screen's values are what the eye sees, an LED's duty cycle is
    # not. A microsecond later: at the very edge of a flash, rounding decides.
    levels = [wave.level(at_s + 1e-6) ** 0.5 for at_s in times_s]
    shares = [at_s / period_s if period_s else 0.0 for at_s in times_s]
    return {
        "colour": [round(255 * (PALE + (1 - PALE) * part)) for part in pattern.colour],
        "period_ms": round(1000 * period_s),
        "repeats": not isinstance(wave, FadeOut | OneFlash),
        "fades": fades,
        "frames": [[round(share, 6), round(level, 3)] for share, level in zip(shares, levels, strict=True)],
    }


def _cycle(wave: Wave) -> tuple[float, list[float], bool]:
    """Length of one cycle, when in it the brightness is to be looked at, and whether it fades in between."""
    match wave:
        case Flashes(runs_s):
            return sum(runs_s), [sum(runs_s[:count]) for count in range(len(runs_s))], False
        case OneFlash(lit_s):
            return 2 * lit_s, [0.0, lit_s], False
        case FadeIn(period_s) | FadeOut(period_s) | Breath(period_s):
            return period_s, [FRAME_S * number for number in range(round(period_s / FRAME_S))], True
        case Steady():
            return 0.0, [0.0], False
    raise AssertionError(f"a wave that no browser was told how to draw: {wave}")


def shown(message: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a browser is told of a line of the control socket: what it draws, and nothing else; None: nothing."""
    match message:
        case {"ok": True, "status": dict(status)}:
            return {"event": "state", **{name: status.get(name) for name in SHOWN["state"]}}
        case {"event": str(kind)} if kind in SHOWN:
            return {"event": kind, **{name: message.get(name) for name in SHOWN[kind]}}
    return None


SHOWN: Final = {
    "state": ("state", "link", "light"),
    "caption": ("side", "turn", "response", "from_s", "until_s", "text"),
    "level": ("dbfs",),
}
"""By kind of event, its fields that the page uses."""
