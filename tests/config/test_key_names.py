"""Names of keys, and what the configuration says of one that does not exist."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from appliance.config import key_names, loader, settings
from appliance.errors import ConfigurationError, UnavailableError


@pytest.mark.parametrize("name", ["KEY_ENTER", "KEY_F13", "BTN_TRIGGER", "BTN_0", "KEY_102ND"])
def test_names_of_the_kernel_are_right(name: str) -> None:
    assert key_names.objection(name, look_up=True) == key_names.objection(name, look_up=False) == ""


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("KEY_ENTRE", "KEY_ENTER"),
        ("enter", "KEY_ENTER"),
        ("f13", "KEY_F13"),
        ("trigger", "BTN_TRIGGER"),
        ("KEY_F99", "KEY_F9"),
        ("page up", "KEY_PAGEUP"),
    ],
)
def test_a_wrong_name_is_put_right(name: str, meant: str) -> None:
    text = key_names.objection(name, look_up=True)
    assert text == f'"{name}" is not the name of a key; did you mean {meant}?'


def test_a_name_like_nothing_leads_to_the_command() -> None:
    assert key_names.objection("??", look_up=True).endswith("; voice-appliance keys shows what a key is called")


def test_without_evdev_the_form_is_all_that_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "evdev", None)
    assert key_names.objection("KEY_NO_SUCH", look_up=True) == ""
    assert key_names.objection("enter", look_up=True).endswith("; did you mean KEY_ENTER?")
    with pytest.raises(UnavailableError, match="sudo apt-get install python3-evdev"):
        key_names.codes()


def test_every_code_has_one_name() -> None:
    names = key_names.names()
    assert names[28] == "KEY_ENTER" and names[113] == "KEY_MUTE" and names[0x120] in ("BTN_TRIGGER", "BTN_JOYSTICK")
    assert set(names) == set(key_names.codes().values())


def test_the_configuration_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[panel.key]\ndevice = "1209:b0c5"\nkey = "KEY_ENTRE"\n')
    with pytest.raises(ConfigurationError) as caught:
        loader.load(file)
    assert caught.value.problems == (
        f'{file}:3: panel.key.key: "KEY_ENTRE" is not the name of a key; did you mean KEY_ENTER?',
    )


def test_neither_a_button_nor_a_key_is_fine() -> None:
    panel = loader.load("/dev/null", {"panel.button.gpio": 0}).panel
    assert panel.key == settings.KeySettings("", "KEY_ENTER")
