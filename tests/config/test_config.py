"""The configuration: defaults that obey their own schema, every mistake said at once, no key ever shown."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from appliance.box.part_settings import session_settings
from appliance.box.tools import Tools
from appliance.config import loader
from appliance.config.dump import dump
from appliance.config.toml_lines import places
from appliance.config.validation import objection, redacted
from appliance.errors import ConfigurationError
from appliance.soundhost.opening import RATES_HZ

ROOT = Path(__file__).parents[2]

same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def problems(file: Path, content: str | bytes) -> list[str]:
    """What loading ``content`` says, without the file's name."""
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ConfigurationError) as caught:
        loader.load(file)
    assert all(problem.startswith(f"{file}:") for problem in caught.value.problems)
    return [problem.removeprefix(f"{file}:") for problem in caught.value.problems]


def fields(kind: type[Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, hint in get_type_hints(kind).items():
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            yield from fields(hint, (*above, name))
        elif get_origin(hint) is Mapping and dataclasses.is_dataclass(get_args(hint)[1]):
            yield from fields(get_args(hint)[1], (*above, loader.ANY_NAME))
        else:
            yield (*above, name), hint


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('[talk]\nmode\u00a0= "tap"\n', "2: is not TOML: .*; there is a NO-BREAK SPACE (U+00A0) in line 2, column 5: "),
        ('\u200b[talk]\nmode = "tap"\n', "1: is not TOML: .*ZERO WIDTH SPACE (U+200B) in line 1, column 1: delete it"),
        ('[box]\nname = "x"\n\ufeff[talk]\n', "3: .*ZERO WIDTH NO-BREAK SPACE (U+FEFF) in line 3, column 1"),
        ('[talk]\nmode = \u202a"tap"\n', "2: .*LEFT-TO-RIGHT EMBEDDING (U+202A) in line 2, column 8"),
        ('[talk]\nmode = "tap\u200b"\n', '2: talk.mode: must be .*, not "tap\\u200b"; did you mean "tap"?'),
        ('[talk]\n"mo\u200bde" = "tap"\n', "2: talk.mo\\u200bde: no such setting; did you mean talk.mode?"),
        (
            '[service]\nmodel = "mal\u2060"\n',
            "2: service.model: has a WORD JOINER (U+2060), .*as character 4; delete it",
        ),
        (
            '[credentials]\nkey_file = "/etc/key\u00a0"\n',
            "2: credentials.key_file: has a NO-BREAK SPACE .*as character 9",
        ),
        ('[credentials]\ntoken_command = ["/x\u200b", "a"]\n', "2: credentials.token_command: has a ZERO WIDTH SPACE"),
    ],
)
def test_what_cannot_be_seen_is_named_with_its_place(file: Path, content: str, said: str) -> None:
    (problem,) = problems(file, content)
    pattern = ".*".join(re.escape(part) for part in said.split(".*"))
    assert re.match(pattern, problem) and all(char.isprintable() for char in problem)


def test_what_malayalam_and_typography_need_is_no_fault(file: Path) -> None:
    file.write_text(
        '[service]\ninstructions = "അവന്\u200d പറയും. 5\u00a0kg"\n[box]\nname = "അവന്\u200d"\n', encoding="utf-8"
    )
    loaded = loader.load(file)
    assert loaded.box.name == "അവന്\u200d"
    dumped = file.with_name("dumped.toml")
    dumped.write_text("\n".join(dump(loaded)), encoding="utf-8")
    assert loader.load(dumped) == loaded


def test_dataclasses_and_default_toml_name_the_same_settings() -> None:
    assert {key for key, _ in fields(loader.Config)} == set(loader.schema())


def test_defaults_have_the_types_of_the_dataclasses() -> None:
    for key, hint in fields(loader.Config):
        default = loader.schema()[key].default
        expected = {"list": "tuple", "dict": "Mapping"}.get(type(default).__name__, type(default).__name__)
        assert expected in re.findall(r"\w+", str(hint)), key


def test_defaults_obey_their_own_ranges() -> None:
    must_be_given = {key for key, setting in loader.schema().items() if objection(setting, setting.default)}
    assert must_be_given == {("tools", loader.ANY_NAME, "command"), ("tools", loader.ANY_NAME, "description")}


def test_every_time_has_a_range_and_a_reason() -> None:
    where = places((ROOT / "appliance/config/default.toml").read_text())
    times = [key for key in loader.schema() if key[-1].endswith(("_s", "_ms"))]
    assert len(times) > 30
    for key in times:
        assert re.match(r"# \[[^]]*\d\.\.\d[^]]*\] \w", where[key].comment), key


def test_the_example_of_a_tool_in_the_manual_is_a_good_one(file: Path) -> None:
    manual = (ROOT / "appliance/config/default.toml").read_text()
    file.write_text(
        "\n".join(line[4:] for line in manual.split("\n") if line.startswith("#   ") and "voice-" not in line)
    )
    tool = loader.load(file).tools.own["lamp"]
    assert tool.command == ("/usr/local/bin/lamp", "--room", "shop")
    assert tool.parameters["required"] == ["state"]
    assert tool.timeout_s == loader.schema()["tools", loader.ANY_NAME, "timeout_s"].default


def test_wiring_in_the_readme_is_that_of_the_defaults() -> None:
    panel = loader.load(overrides={}).panel
    drawing = (ROOT / "README.md").read_text()
    assert f"GPIO{panel.button.gpio} " in drawing
    assert [f"GPIO{pin} " in drawing for pin in panel.leds.gpio] == [True]


def test_without_a_file_the_defaults_are_in_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "SYSTEM_PATH", str(tmp_path / "none.toml"))
    assert loader.source(None) == ""
    loaded = loader.load()
    assert loaded.talk.mode == "auto"
    assert loaded.panel.leds.gpio == (27,)


def test_the_system_file_is_read_when_it_exists(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("[talk]\nmode = 'tap'\n")
    monkeypatch.setattr(loader, "SYSTEM_PATH", str(file))
    assert loader.load().talk.mode == "tap"


def test_a_file_holds_only_what_differs_and_overrides_win(file: Path) -> None:
    file.write_text("[talk]\nanswer_s = 30\nmode = 'tap'\n[panel]\nbutton.gpio = 5\n[microphone]\nchannel = 2\n")
    loaded = loader.load(file, {"talk.mode": "hold", "service.url": "ws://127.0.0.1:1234/v1/realtime"})
    assert (loaded.talk.mode, loaded.panel.button.gpio, loaded.microphone.channel) == ("hold", 5, 2)
    assert loaded.service.url == "ws://127.0.0.1:1234/v1/realtime"
    assert isinstance(loaded.talk.answer_s, float)  # written as 30: seconds are floats all the same
    assert loaded.talk.tap_max_ms == loader.schema()["talk", "tap_max_ms"].default


RATES = "0, " + ", ".join(map(str, sorted(RATES_HZ)[:-1])) + f" or {max(RATES_HZ)}"
"""As many as the sound host tries, which are those that the resampler is tested with."""

WRONG: dict[str, tuple[str | bytes, list[str]]] = {
    "misspelt names": (
        '[talk]\ntap_max = 300\n\n[speaker]\nvolum = 3\n[lnk]\nconnect = "always"\n',
        [
            "2: talk.tap_max: no such setting; did you mean talk.tap_max_ms?",
            "5: speaker.volum: no such setting; did you mean speaker.volume?",
            "6: lnk: no such table; did you mean link?",
        ],
    ),
    "misplaced names": (
        'volume = 50\n[microphone]\nmode = "tap"\n[talk.speaker]\nvolume = 5\n',
        [
            "1: volume: no such setting; did you mean speaker.volume?",
            "3: microphone.mode: no such setting; did you mean talk.mode?",
            "4: talk.speaker: no such table; did you mean speaker?",
        ],
    ),
    "misspelt values": (
        '[talk]\nmode = "Taap"\n[link]\nconnect = "on_demand"\n',
        [
            '2: talk.mode: must be "auto", "hold", "tap" or "open", not "Taap"; did you mean "tap"?',
            '4: link.connect: must be "on-demand" or "always", not "on_demand"; did you mean "on-demand"?',
        ],
    ),
    "wrong types": (
        '[speaker]\nvolume = "80%"\nperiod_ms = 10.0\nreply_buffer_s = true\n'
        '[panel]\nearcons = "yes"\nidle_glow = 1\n[panel.leds]\ngpio = 27\n[service]\nmodel = 5\n',
        [
            '2: speaker.volume: must be a whole number from 0 to 100, not "80%"; did you mean 80?',
            "3: speaker.period_ms: must be a whole number from 5 to 30, not 10.0; did you mean 10?",
            "4: speaker.reply_buffer_s: must be a number from 10 to 900, not true",
            '6: panel.earcons: must be true or false, not "yes"; did you mean true?',
            "7: panel.idle_glow: must be true or false, not 1; did you mean true?",
            "9: panel.leds.gpio: must be a list such as [27], each of them a whole number from 2 to 27, not 27; "
            "did you mean [27]?",
            "11: service.model: must be text, not 5",
        ],
    ),
    "tools": (
        '[tools]\nbuiltin = ["get_tme"]\nbuiltn = []\n[tools.lamp]\ncomand = ["/bin/lamp"]\ntimeout_s = 20\n'
        '[tools.fan]\ncommand = "fan --fast"\ndescription = ""\n[tools.fan.params]\na = 1\n[tools."f n"]\n'
        'command = ["/x"]\ndescription = "x"\n[tools.two.nested]\n',
        [
            '2: tools.builtin: must be a list such as ["get_time", "set_volume", "end_conversation", '
            '"appliance_status"], each of them "get_time", "set_volume", "end_conversation" or "appliance_status", '
            'not ["get_tme"]; did you mean ["get_time"]?',
            "3: tools.builtn: no such setting; did you mean tools.builtin?",
            "4: tools.lamp.command: is missing; it must be a program with its full path, and its arguments: "
            '["/usr/local/bin/program", "--option"]',
            "4: tools.lamp.description: is missing; it must be text",
            "5: tools.lamp.comand: no such setting; did you mean tools.lamp.command?",
            "8: tools.fan.command: must be a program with its full path, and its arguments: "
            '["/usr/local/bin/program", "--option"], not "fan --fast"',
            '9: tools.fan.description: must be text, not ""',
            "10: tools.fan.params: no such table; did you mean tools.fan.parameters?",
            "12: tools.f n: a name is made of up to 64 letters a to z, digits, _ and -",
            "15: tools.two.command: is missing; it must be a program with its full path, and its arguments: "
            '["/usr/local/bin/program", "--option"]',
            "15: tools.two.description: is missing; it must be text",
            "15: tools.two.nested: no such table",
        ],
    ),
    "a tool's parameters": (
        '[tools.a]\ncommand = ["/x"]\ndescription = "x"\nparameters = { type = "array" }\n'
        '[tools.b]\ncommand = ["/x"]\ndescription = "x"\nparameters.required = ["c"]\n'
        '[tools.b.parameters.properties]\na = { type = "strng", minmum = 3 }\nb.type = "string"\nb.maximum = 3\n',
        [
            '4: tools.a.parameters: must be of type "object": its properties are the arguments',
            "8: tools.b.parameters.required: names 'c', which is not one of the properties",
            "10: tools.b.parameters.properties.a.minmum: no such keyword; did you mean minimum?",
            "10: tools.b.parameters.properties.a.type: must be one of object, array, string, number, integer, boolean",
            '12: tools.b.parameters.properties.b.maximum: belongs to number or integer, not to type "string"',
        ],
    ),
    "a built-in tool's name": (
        '[tools]\nbuiltin = ["get_time"]\n[tools.get_time]\ncommand = ["/x"]\ndescription = "x"\n'
        '[tools.set_volume]\ncommand = ["/x"]\ndescription = "x"\n',
        ["3: tools.get_time: a built-in tool has this name; leave that out of tools.builtin, or rename"],
    ),
    "two sources of a key": (
        '[credentials]\nkey_file = "/k"\ntoken_command = "/usr/bin/token --fresh"\n',
        [
            "3: credentials.token_command: must be [] or a program with its full path, and its arguments: "
            '["/usr/local/bin/program", "--option"], not "/usr/bin/token --fresh"; did you mean '
            '["/usr/bin/token", "--fresh"]?',
        ],
    ),
    "two good sources of a key": (
        '[credentials]\nkey_file = "/k"\ntoken_command = ["/t"]\n',
        ["3: credentials.token_command: key_file and token_command are both given: only one can be used"],
    ),
    "a volume out of the owner's limits": (
        "[speaker]\nvolume_max = 60\n",
        ["2: speaker.volume_max: speaker.volume (80) is not within speaker.volume_min (20) to speaker.volume_max (60)"],
    ),
    "out of range": (
        "[speaker]\nvolume = 180\nrate_hz = 4000\n[panel.button]\ngpio = 99\n[talk]\nanswer_s = nan\nkeep_s = -inf\n"
        '[control]\nsocket = "control.sock"\n[microphone]\ndevice = " "\nchannel = 0\n',
        [
            "2: speaker.volume: must be a whole number from 0 to 100, not 180",
            f"3: speaker.rate_hz: must be {RATES}, not 4000",
            "5: panel.button.gpio: must be 0 or a whole number from 2 to 27, not 99",
            "7: talk.answer_s: must be a number from 2 to 120, not nan",
            "8: talk.keep_s: must be a number from 5 to 320, not -inf",
            '10: control.socket: must be "" or a full path that starts with /, not "control.sock"',
            '12: microphone.device: must be text, not " "',
            '13: microphone.channel: must be "mix" or a whole number from 1 to 8, not 0',
        ],
    ),
    "contradictions": (
        "[talk]\nmax_hold_s = 60\nmax_hold_warning_s = 60\ntap_max_ms = 200\nmin_hold_ms = 300\n"
        "[link]\nbackoff_cap_s = 2\nbackoff_first_s = 10\nidle_close_s = 600\nmax_session_s = 300\n"
        '[panel]\nbutton.gpio = 22\nleds = {kind = "rgb", gpio = [22, 23]}\n',
        [
            "2: talk.max_hold_s: 60 s do not fit into talk.keep_s less talk.pre_roll_ms (39.7 s)",
            "3: talk.max_hold_warning_s: must be less than talk.max_hold_s (60)",
            "4: talk.tap_max_ms: must not be less than talk.min_hold_ms (300)",
            "8: link.backoff_first_s: must not be more than link.backoff_cap_s (2)",
            "9: link.idle_close_s: must not be more than link.max_session_s (300)",
            '13: panel.leds.gpio: kind "rgb" takes 3 pins, not 2',
            "13: panel.leds.gpio: pin 22 is used twice",
        ],
    ),
    "three LEDs and a switch": (
        '[panel]\nbutton.gpio = 5\nmute.gpio = 5\nleds = {kind = "three", gpio = [5, 6]}\n',
        [
            '4: panel.leds.gpio: kind "three" takes 3 pins, not 2',
            "4: panel.leds.gpio: pin 5 is used twice",
        ],
    ),
    "a switch on the button's pin": (
        '[panel.leds]\nkind = "none"\ngpio = []\n[panel.mute]\ngpio = 17\n',
        ["5: panel.mute.gpio: pin 17 is used twice"],
    ),
    "a switch on the light's pin": (
        "[panel.mute]\ngpio = 27\n",
        ["2: panel.mute.gpio: pin 27 is used twice"],
    ),
    "rates that no card has": (
        "[microphone]\nrate_hz = 44101\n[speaker]\nrate_hz = 48.0\n",
        [
            f"2: microphone.rate_hz: must be {RATES}, not 44101; did you mean 44100?",
            f"4: speaker.rate_hz: must be {RATES}, not 48.0; did you mean 48000?",
        ],
    ),
    "a rate far from any": (
        "[microphone]\nrate_hz = 12000\n",
        [f"2: microphone.rate_hz: must be {RATES}, not 12000"],
    ),
    "a queue shorter than two periods": (
        "[speaker]\nperiod_ms = 30\nqueue_ms = 50\n",
        ["3: speaker.queue_ms: must not be less than two of speaker.period_ms (60)"],
    ),
    "addresses": (
        '[service]\nurl = "ws://api.swaram.live/v1/realtime"\n[link]\nproxy = "socks5://proxy:1080"\n',
        [
            "2: service.url: ws:// sends the key in the clear: only to this machine itself; "
            "did you mean wss://api.swaram.live/v1/realtime?",
            "4: link.proxy: must start with http:// or https://, not socks5://",
        ],
    ),
    "tables that are none": (
        'speaker = "usb"\n[[talk]]\nmode = "tap"\n[link.proxy]\nhost = "a"\n',
        [
            "1: speaker: is a table: write [speaker] on a line of its own and its settings below",
            "2: talk: is a table: write [talk] on a line of its own and its settings below",
            '4: link.proxy: must be "" or an address such as wss://host/path, not a table',
        ],
    ),
    "text without quotes": (
        "# how one talks\n[talk]\nmode = tap\n",
        ['3: is not TOML: invalid value; text stands in straight double quotes: name = "value"'],
    ),
    "Python's truth": (
        "[panel]\nearcons = True\n",
        ["2: is not TOML: invalid value; did you mean true or false, in small letters?"],
    ),
    "another format": (
        "speaker:\n  volume: 80\n",
        ["1: is not TOML: expected '=' after a key in a key/value pair; a setting is written: name = value"],
    ),
    "the same twice": (
        "[speaker]\nvolume = 1\nvolume = 2\n",
        ["3: is not TOML: cannot overwrite a value"],
    ),
    "never closed": (
        '[service]\ninstructions = """\nSpeak Malayalam.\n',
        ["3: is not TOML: unterminated string; a setting is written: name = value"],
    ),
    "another encoding": (
        '[service]\ninstructions = "Grüße"\n'.encode("latin-1"),
        ["2: is not UTF-8 text; save the file as UTF-8"],
    ),
}
"""Files as people write them, and everything that is to be said about each."""


@pytest.mark.parametrize("name", WRONG)
def test_wrong_file(file: Path, name: str) -> None:
    content, expected = WRONG[name]
    assert problems(file, content) == [line.strip() for line in expected]


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none.toml", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigurationError) as caught:
            loader.load(path)
        assert caught.value.problems == (f"{path}: cannot be read: {reason}",)


def test_wrong_override_says_that_it_is_one() -> None:
    with pytest.raises(ConfigurationError) as caught:
        loader.load("/dev/null", {"talk.mode": "opened", "speaker": 3})
    assert caught.value.problems == (
        "override: speaker: is a table: write [speaker] on a line of its own and its settings below",
        'override: talk.mode: must be "auto", "hold", "tap" or "open", not "opened"; did you mean "open"?',
    )


def test_turn_detection_is_passed_on_as_it_stands(file: Path) -> None:
    file.write_text('[service.turn_detection]\ntype = "server_vad"\nsilence_duration_ms = 800\nthreshold = 0.5\n')
    loaded = loader.load(file)
    wanted = {"type": "server_vad", "silence_duration_ms": 800, "threshold": 0.5}
    assert loaded.service.turn_detection == session_settings(loaded, Tools([])).turn_detection == wanted
    assert session_settings(loader.load("/dev/null"), Tools([])).turn_detection is None
    assert tomllib.loads("\n".join(dump(loaded)))["service"]["turn_detection"] == wanted


@pytest.mark.parametrize("value", ["1979-05-27", "inf", "[07:32:00]", "{a = nan}"])
def test_what_json_cannot_say_is_not_passed_on(file: Path, value: str) -> None:
    (problem,) = problems(file, f"[service]\nturn_detection = {{a = {value}}}\n")
    assert problem.startswith("2: service.turn_detection: must be a table of texts, numbers, truths, lists and tables")


@pytest.mark.parametrize(("choice", "cautions"), [("auto", 0), ("none", 0), ("required", 1)])
def test_what_loops_on_the_service_is_warned_about(choice: str, cautions: int) -> None:
    loaded = loader.load("/dev/null", {"service.tool_choice": choice})
    assert session_settings(loaded, Tools([])).tool_choice == choice
    assert ["tool_choice" in line for line in loader.cautions(loaded)] == [True] * cautions


@pytest.mark.parametrize(("mode", "wanted", "cautions"), [("open", "card", 0), ("tap", "off", 0), ("tap", "card", 1)])
def test_talking_over_answers_where_no_voice_is_listened_for_is_warned_about(
    mode: str, wanted: str, cautions: int
) -> None:
    loaded = loader.load("/dev/null", {"talk.mode": mode, "talk.full_duplex": wanted})
    assert [line.startswith("talk.full_duplex: ") for line in loader.cautions(loaded)] == [True] * cautions


@pytest.mark.parametrize("part", ["microphone", "speaker"])
@pytest.mark.parametrize(("device", "cautions"), [("auto", 0), ("usb:1-1.2", 1), ("Jabra", 1)])
def test_a_wait_for_a_better_card_than_the_named_one_is_warned_about(part: str, device: str, cautions: int) -> None:
    loaded = loader.load("/dev/null", {f"{part}.device": device, f"{part}.fallback_s": 60.0})
    assert [line.startswith(f"{part}.fallback_s: ") for line in loader.cautions(loaded)] == [True] * cautions


def test_a_wrong_value_is_not_also_a_contradiction(file: Path) -> None:
    assert len(problems(file, "[talk]\nmax_hold_s = 35\nkeep_s = 1\n")) == 1


@pytest.mark.parametrize("url", ["ws://127.0.0.1:8/x", "ws://127.9.9.9/x", "ws://[::1]:80/x", "ws://localhost:1/x"])
def test_plain_addresses_of_this_machine_are_allowed(url: str) -> None:
    assert loader.load("/dev/null", {"service.url": url}).service.url == url


@pytest.mark.parametrize(
    "url",
    [
        "ws://127.0.0.1.example.org/x",
        "ws://localhost.example.org/x",
        "ws://10.0.0.1/x",
        "wss:///x",
        "wss://host:99999/x",
        "wss://[::1/x",
        "https://host/x",
        "wss://host/x?model=y",
        "wss://host/x#y",
        "wss://host/x y",
        "host/x",
    ],
)
def test_addresses_that_cannot_be_meant(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"service\.url"):
        loader.load("/dev/null", {"service.url": url})


SECRET = "swaram_0123456789abcdef"


@pytest.mark.parametrize(
    "content",
    [
        f'[credentials]\nkey_file = "{SECRET}"\n',
        f'[credentials]\napi_key = "{SECRET}"\n',
        f"[credentials]\nkey_file = {SECRET}\n",
        f"[credentials]\n{SECRET} = 1\n",
        f"{SECRET}\n",
        f'[service]\nurl = "wss://host/x?api_key={SECRET}"\n',
        f'[service]\nurl = "wss://me:{SECRET}@host/x"\n',
        f'[service]\nurl = "ws://me:{SECRET}@host/x"\n',
        f'[talk]\nmode = "{SECRET}"\n',
        f'[panel.leds]\ngpio = ["{SECRET}"]\n',
        f'[link]\nproxy = "http://me:x/{SECRET}@host:port"\n',
        f'[credentials]\ntoken_command = ["/usr/bin/curl", "Authorization: Bearer {SECRET}"]\n',
        f'[credentials]\ntoken_command = "/usr/bin/curl {SECRET}"\n',
        f"[tools.{SECRET}]\n",
        f'[tools.a]\ncommand = ["/x", "{SECRET}"]\n',
        f'[tools.a]\ncommand = ["/x"]\ndescription = "x"\nparameters = {{ "{SECRET}" = "{SECRET}" }}\n',
    ],
)
def test_no_message_shows_a_key(file: Path, content: str) -> None:
    assert "0123456789" not in "\n".join(problems(file, content))


def test_a_key_in_the_file_is_told_where_it_belongs(file: Path) -> None:
    assert "put it into one of its own" in problems(file, f'[credentials]\nkey = "{SECRET}"\n')[0]


def test_dump_shows_every_setting_and_what_differs() -> None:
    lines = list(dump(loader.load("/dev/null", {"speaker.volume": 55})))
    assert "volume = 55  # default: 80" in lines
    assert tomllib.loads("\n".join(lines))["panel"]["leds"]["gpio"] == [27]


def test_dump_shows_no_password() -> None:
    text = "\n".join(dump(loader.load("/dev/null", {"link.proxy": "http://me:pass@word@proxy:80"})))
    assert "pass" not in text and "word" not in text
    assert "@proxy:80" in text


@given(instructions=st.text(), volume=st.integers(20, 100), answer_s=st.floats(6, 120), captions=st.booleans())
@same_folder
def test_what_dump_prints_loads_as_the_same(
    tmp_path: Path, instructions: str, volume: int, answer_s: float, captions: bool
) -> None:
    assume((not instructions or instructions.strip()) and "\0" not in instructions)
    assume(redacted(instructions) == instructions)
    values = {
        "service.instructions": instructions,
        "speaker.volume": volume,
        "talk.answer_s": answer_s,
        "control.captions": captions,
        "credentials.token_command": ["/t", instructions],
        "tools.lamp.command": ["/x", instructions],
        "tools.lamp.description": instructions or "x",
        "tools.lamp.parameters": {"properties": {instructions: {"enum": [instructions, answer_s, captions]}}},
    }
    before = loader.load("/dev/null", values)
    path = tmp_path / "dumped.toml"
    path.write_text("\n".join(dump(before)), encoding="utf-8", newline="")
    assert loader.load(path) == before


@given(content=st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
@same_folder
def test_no_file_raises_anything_but_the_documented_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any.toml"
    path.write_bytes(content)
    said: tuple[str, ...] = (str(path),)
    try:
        loader.load(path)
    except ConfigurationError as error:
        said = error.problems
    assert said and all(str(path) in problem for problem in said)


STATEMENTS = (
    '{key} = 1 # comment "with" [brackets]',
    '"{key}" = "a # b \\" ="',
    "{key} = 'C:\\'",
    '{key} = """\none\n# no comment\n[no.table]\n"""',
    "{key} = '''\n\"\n'''",
    '{key} = """ends in a quote """"',
    "{key} = [\n  1, # one\n  [2, 3],\n]",
    "{key} = {{ a = 1, b = [2] }}",
    "{key}.deep . er = 1.5",
    "# {key} = 0",
    "",
)


@given(chosen=st.lists(st.tuples(st.sampled_from(STATEMENTS), st.booleans()), max_size=12))
def test_places_counts_lines_as_an_editor_does(chosen: list[tuple[str, bool]]) -> None:
    lines: list[str] = []
    expected: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, (statement, in_new_table) in enumerate(chosen):
        if in_new_table:
            table = ("t", f"t{number}")
            lines.append(f"  [ t . t{number} ] # heading")
            expected[table] = len(lines)
        if statement.lstrip("'\"").startswith("{key}") or statement.startswith('"'):
            expected[(*table, f"k{number}")] = len(lines) + 1
        lines += statement.format(key=f"k{number}").split("\n")
    text = "\n".join(lines)
    tomllib.loads(text)  # the statements are TOML, or this test shows nothing
    found = {key: place.line for key, place in places(text).items() if key != ("t",) and "deep" not in key}
    assert found == expected


def test_places_gives_the_comment_behind_a_value() -> None:
    found = places('a = "#" # [text] why\nb = [ # not this\n 1] # [1..2] this\nc = 1\n')
    assert [place.comment for place in found.values()] == ["# [text] why", "# [1..2] this", ""]


def group(file: Path, name: str, text: str) -> Path:
    """A file of the group's beside ``file``."""
    path = Path(f"{file}.d", name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_a_group_of_boxes_is_over_the_defaults_and_the_box_over_the_group(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("speaker.volume = 31\n")
    group(file, "50-shops.toml", "speaker.volume = 90\nspeaker.volume_max = 95\ntalk.mode = 'tap'\n")
    group(file, "60-north.toml", "talk.mode = 'hold'\n")
    group(file, "README", "no TOML, and not read")
    loaded = loader.load(file)
    assert (loaded.speaker.volume, loaded.speaker.volume_max, loaded.talk.mode) == (31, 95, "hold")
    assert [Path(name).name for name in loader.sources(file)] == ["50-shops.toml", "60-north.toml", "config.toml"]


def test_a_group_counts_where_the_box_has_no_file_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "SYSTEM_PATH", str(tmp_path / "config.toml"))
    group(tmp_path / "config.toml", "50-shops.toml", "talk.mode = 'tap'\n")
    assert loader.load().talk.mode == "tap"


def test_a_mistake_is_said_with_the_file_it_stands_in(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("\ntalk.mood = 'hold'\n")
    shops = group(file, "50-shops.toml", "\n\nspeaker.volume = 900\n")
    north = group(file, "60-north.toml", "talk\n")
    with pytest.raises(ConfigurationError) as raised:
        loader.load(file)
    assert [problem.partition(": ")[0] for problem in raised.value.problems] == [
        f"{shops}:3",
        f"{north}:1",
        f"{file}:2",
    ]


def test_what_contradicts_is_said_where_the_last_word_stands(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("speaker.volume_min = 80\n")
    group(file, "50-shops.toml", "speaker.volume = 60\nspeaker.volume_max = 70\n")
    with pytest.raises(ConfigurationError) as raised:
        loader.load(file)
    assert all(problem.startswith((f"{file}:1: ", f"{file}.d/50-shops.toml:")) for problem in raised.value.problems)


def test_files_together_are_one_file_that_says_the_same(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('box.name = "till \\"3\\" \u0d15 \\u007f"\npanel.leds = {kind = "none", gpio = []}\n')
    parameters = (
        '[tools.lamp]\ncommand = ["/bin/true"]\ndescription = "x"\nparameters = {type = "object", properties = {}}\n'
    )
    group(file, "50-shops.toml", f"panel.leds.kind = 'led'\nspeaker.volume = 31\n{parameters}")
    one = tmp_path / "one.toml"
    one.write_bytes(loader.merged(file))
    assert loader.load(one) == loader.load(file)
    assert loader.load(one).box.name == 'till "3" \u0d15 \x7f'
