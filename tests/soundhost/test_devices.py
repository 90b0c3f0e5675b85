"""Which device is taken, on the layouts of several Pis.

What the kernel lists on two of the machines was recorded there and published; where is said at each. The other layouts
are put together from published listings and the kernel's rules for names (15 characters of driver, 80 of the second
line); so is what PortAudio makes of all of them.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import NamedTuple

import pytest

from appliance.errors import DeviceNotFoundError
from appliance.soundhost.devices import (
    UNLISTED,
    Card,
    Device,
    Direction,
    KernelFolders,
    Limits,
    able_cards,
    choose,
    completed,
    obstacle,
    parse_cards,
    read_cards,
    read_devices,
)


class Box(NamedTuple):
    """One machine: what /proc/asound/cards says, where each card is in sysfs, and what PortAudio lists."""

    listing: str
    places: dict[int, str]
    devices: list[Device]

    @property
    def cards(self) -> list[Card]:
        ports = {number: place.rpartition("/")[2].partition(":")[0] for number, place in self.places.items()}
        return parse_cards(self.listing, {number: port for number, port in ports.items() if "-" in port})


def devices(*rows: tuple[str, int, int]) -> list[Device]:
    return [Device(number, *row, 44_100) for number, row in enumerate(rows)]


PLUGINS = (("sysdefault", 128, 128), ("pulse", 32, 32), ("dmix", 0, 2), ("default", 32, 32))

PI_3 = Box(
    """\
 0 [Headphones     ]: bcm2835_headpho - bcm2835 Headphones
                      bcm2835 Headphones
 1 [vc4hdmi        ]: vc4-hdmi - vc4-hdmi
                      vc4-hdmi
 2 [Device         ]: USB-Audio - USB PnP Sound Device
                      C-Media Electronics Inc. USB PnP Sound Device at usb-3f980000.usb-1.3, full spee
""",
    {
        0: "../../../soc/3f00b840.mailbox/bcm2835_audio",
        1: "../../../soc/3f902000.hdmi",
        2: "../../../soc/3f980000.usb/usb1/1-1/1-1.3/1-1.3:1.0",
    },
    devices(
        ("bcm2835 Headphones: - (hw:0,0)", 0, 8),
        ("vc4-hdmi: MAI PCM i2s-hifi-0 (hw:1,0)", 0, 2),
        ("USB PnP Sound Device: Audio (hw:2,0)", 1, 2),
        *PLUGINS,
    ),
)

PI_4 = Box(
    """\
 0 [vc4hdmi0       ]: vc4-hdmi - vc4-hdmi-0
                      vc4-hdmi-0
 1 [U0x46d0x825    ]: USB-Audio - USB Device 0x46d:0x825
                      USB Device 0x46d:0x825 at usb-0000:01:00.0-1.4, high speed
 2 [vc4hdmi1       ]: vc4-hdmi - vc4-hdmi-1
                      vc4-hdmi-1
 3 [Headphones     ]: bcm2835_headpho - bcm2835 Headphones
                      bcm2835 Headphones
 4 [PowerConf      ]: USB-Audio - Anker PowerConf
                      Anker Anker PowerConf at usb-0000:01:00.0-1.2, full speed
""",
    {
        0: "../../../soc/fef00700.hdmi",
        1: "../../../scb/fd500000.pcie/pci0000:00/0000:00:00.0/0000:01:00.0/usb1/1-1/1-1.4/1-1.4:1.2",
        2: "../../../soc/fef05700.hdmi",
        3: "../../../soc/fe00b840.mailbox/bcm2835_audio",
        4: "../../../scb/fd500000.pcie/pci0000:00/0000:00:00.0/0000:01:00.0/usb1/1-1/1-1.2/1-1.2:1.0",
    },
    devices(
        ("vc4-hdmi-0: MAI PCM i2s-hifi-0 (hw:0,0)", 0, 2),
        ("USB Device 0x46d:0x825: Audio (hw:1,0)", 1, 0),
        ("vc4-hdmi-1: MAI PCM i2s-hifi-0 (hw:2,0)", 0, 2),
        ("bcm2835 Headphones: - (hw:3,0)", 0, 8),
        ("Anker PowerConf: USB Audio (hw:4,0)", 1, 2),
        *PLUGINS,
    ),
)

PI_5 = Box(
    """\
 0 [vc4hdmi0       ]: vc4-hdmi - vc4-hdmi-0
                      vc4-hdmi-0
 1 [vc4hdmi1       ]: vc4-hdmi - vc4-hdmi-1
                      vc4-hdmi-1
 2 [Mic            ]: USB-Audio - USB Condenser Microphone
                      Generic USB Condenser Microphone at usb-xhci-hcd.1-2, full speed
 3 [UACDemoV10     ]: USB-Audio - UACDemoV1.0
                      Jieli Technology UACDemoV1.0 at usb-xhci-hcd.0-1, full speed
""",
    {
        0: "../../../axi/1000:axi/107c701400.hdmi",
        1: "../../../axi/1000:axi/107c706400.hdmi",
        2: "../../../axi/1000120000.pcie/1f00300000.usb/xhci-hcd.1/usb3/3-2/3-2:1.0",
        3: "../../../axi/1000120000.pcie/1f00200000.usb/xhci-hcd.0/usb1/1-1/1-1:1.0",
    },
    devices(
        ("vc4-hdmi-0: MAI PCM i2s-hifi-0 (hw:0,0)", 0, 2),
        ("vc4-hdmi-1: MAI PCM i2s-hifi-0 (hw:1,0)", 0, 2),
        ("USB Condenser Microphone: Audio (hw:2,0)", 2, 0),
        ("UACDemoV1.0: USB Audio (hw:3,0)", 0, 2),
        *PLUGINS,
    ),
)

ZERO_2_W = Box(
    """\
 0 [vc4hdmi        ]: vc4-hdmi - vc4-hdmi
                      vc4-hdmi
 1 [sndrpigooglevoi]: RPi-simple - snd_rpi_googlevoicehat_soundcar
                      snd_rpi_googlevoicehat_soundcard
""",
    {0: "../../../soc/3f902000.hdmi", 1: "../../../soc/soc:sound"},
    devices(
        ("vc4-hdmi: MAI PCM i2s-hifi-0 (hw:0,0)", 0, 2),
        ("snd_rpi_googlevoicehat_soundcar: Google voiceHAT SoundCard HiFi voicehat-hifi-0 (hw:1,0)", 2, 2),
        *PLUGINS,
    ),
)

# Recorded on 3 July 2025, kernel 6.12.34 for the 32-bit Pis (3f980000 is the USB controller of a Pi 2 or 3), with a
# webcam and a sound card behind a hub: https://www.alsa-project.org/db/?f=a4f3fd39d7d619119aec910385a9593a67431072
RECORDED_PI_3 = Box(
    """\
 0 [Headphones     ]: bcm2835_headpho - bcm2835 Headphones
                      bcm2835 Headphones
 1 [Webcam         ]: USB-Audio - Dynex 1.3MP Webcam
                      Dynex Dynex 1.3MP Webcam at usb-3f980000.usb-1.2.1, high speed
 2 [CODEC          ]: USB-Audio - USB Audio CODEC
                      Burr-Brown from TI USB Audio CODEC at usb-3f980000.usb-1.2.2, full speed
 3 [vc4hdmi        ]: vc4-hdmi - vc4-hdmi
                      vc4-hdmi
""",
    {
        0: "../../../soc/3f00b840.mailbox/bcm2835_audio",
        1: "../../../soc/3f980000.usb/usb1/1-1/1-1.2/1-1.2.1/1-1.2.1:1.2",
        2: "../../../soc/3f980000.usb/usb1/1-1/1-1.2/1-1.2.2/1-1.2.2:1.0",
        3: "../../../soc/3f902000.hdmi",
    },
    devices(
        ("bcm2835 Headphones: - (hw:0,0)", 0, 8),
        ("Dynex 1.3MP Webcam: USB Audio (hw:1,0)", 1, 0),
        ("USB Audio CODEC: - (hw:2,0)", 2, 2),
        ("vc4-hdmi: MAI PCM i2s-hifi-0 (hw:3,0)", 0, 2),
        *PLUGINS,
    ),
)

# Recorded on a Pi 5 with a card on its header, in the comment of an Android audio module for it (PawletOS,
# android_device_brcm_rpi5, commit dcad731, audio/include/core-impl).
RECORDED_PI_5_DAC = Box(
    """\
 0 [vc4hdmi0       ]: vc4-hdmi - vc4-hdmi-0
                      vc4-hdmi-0
 1 [vc4hdmi1       ]: vc4-hdmi - vc4-hdmi-1
                      vc4-hdmi-1
 2 [sndrpihifiberry]: HifiberryDacp - snd_rpi_hifiberry_dacplus
                      snd_rpi_hifiberry_dacplus
""",
    {
        0: "../../../axi/1000:axi/107c701400.hdmi",
        1: "../../../axi/1000:axi/107c706400.hdmi",
        2: "../../../axi/soc:sound",
    },
    devices(
        ("vc4-hdmi-0: MAI PCM i2s-hifi-0 (hw:0,0)", 0, 2),
        ("vc4-hdmi-1: MAI PCM i2s-hifi-0 (hw:1,0)", 0, 2),
        ("snd_rpi_hifiberry_dacplus: HiFiBerry DAC+ HiFi pcm512x-hifi-0 (hw:2,0)", 0, 2),
        *PLUGINS,
    ),
)

NOTHING_PLUGGED_IN = Box(
    PI_3.listing.partition(" 2 [")[0], PI_3.places, devices(*[row[1:4] for row in PI_3.devices[:2]])
)
ONLY_HDMI = Box(ZERO_2_W.listing.partition(" 1 [")[0], {}, devices(ZERO_2_W.devices[0][1:4], *PLUGINS))

BOXES = {
    "Pi 3": PI_3,
    "Pi 4": PI_4,
    "Pi 5": PI_5,
    "Zero 2 W": ZERO_2_W,
    "recorded Pi 3": RECORDED_PI_3,
    "recorded Pi 5": RECORDED_PI_5_DAC,
}


def chosen(box: Box, selector: str, direction: Direction) -> str:
    return choose(selector, direction, box.devices, box.cards).device.name


@pytest.mark.parametrize(
    ("box", "microphone", "speaker"),
    [
        ("Pi 3", "USB PnP Sound Device: Audio (hw:2,0)", "USB PnP Sound Device: Audio (hw:2,0)"),
        ("Pi 4", "Anker PowerConf: USB Audio (hw:4,0)", "Anker PowerConf: USB Audio (hw:4,0)"),
        ("Pi 5", "USB Condenser Microphone: Audio (hw:2,0)", "UACDemoV1.0: USB Audio (hw:3,0)"),
        ("Zero 2 W", ZERO_2_W.devices[1].name, ZERO_2_W.devices[1].name),
    ],
)
def test_auto_takes_what_was_plugged_in_and_never_hdmi(box: str, microphone: str, speaker: str) -> None:
    assert chosen(BOXES[box], "auto", "capture") == microphone
    assert chosen(BOXES[box], "auto", "playback") == speaker


def test_a_webcam_on_a_lower_port_is_the_microphone_and_the_journal_names_the_other() -> None:
    choice = choose("auto", "capture", RECORDED_PI_3.devices, RECORDED_PI_3.cards)
    assert (choice.device.name, choice.usb_port) == ("Dynex 1.3MP Webcam: USB Audio (hw:1,0)", "1-1.2.1")
    assert '"USB Audio CODEC" (usb:1-1.2.2)' in choice.note
    assert chosen(RECORDED_PI_3, "auto", "playback") == "USB Audio CODEC: - (hw:2,0)"


def test_a_card_on_the_header_plays_and_is_no_microphone() -> None:
    assert chosen(RECORDED_PI_5_DAC, "auto", "playback") == RECORDED_PI_5_DAC.devices[2].name
    with pytest.raises(DeviceNotFoundError, match="no sound card with a microphone"):
        chosen(RECORDED_PI_5_DAC, "auto", "capture")


@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
def test_the_order_of_the_lists_does_not_matter(box: Box) -> None:
    directions: tuple[Direction, ...] = ("capture", "playback") if box is not RECORDED_PI_5_DAC else ("playback",)
    for direction in directions:
        turned = choose("auto", direction, box.devices[::-1], box.cards[::-1])
        assert turned.device == choose("auto", direction, box.devices, box.cards).device


def test_two_candidates_the_lowest_port_and_one_line_that_names_both() -> None:
    choice = choose("auto", "capture", PI_4.devices, PI_4.cards)
    assert choice.usb_port == "1-1.2"
    assert choice.note == (
        'microphone "auto": took "Anker PowerConf: USB Audio" (usb:1-1.2); '
        'there is also "USB Device 0x46d:0x825: Audio" (usb:1-1.4)'
    )
    # Only one of them can play.
    assert choose("auto", "playback", PI_4.devices, PI_4.cards).note == ""


def test_ports_are_compared_as_numbers() -> None:
    cards = [Card(0, "A", "USB-Audio", "A", "1-1.10"), Card(1, "B", "USB-Audio", "B", "1-1.9")]
    both = devices(("A: USB Audio (hw:0,0)", 1, 0), ("B: USB Audio (hw:1,0)", 1, 0))
    assert choose("auto", "capture", both, cards).usb_port == "1-1.9"


def test_the_headphone_socket_before_hdmi_and_hdmi_if_there_is_nothing_else() -> None:
    assert chosen(NOTHING_PLUGGED_IN, "auto", "playback") == "bcm2835 Headphones: - (hw:0,0)"
    assert chosen(ONLY_HDMI, "auto", "playback") == "vc4-hdmi: MAI PCM i2s-hifi-0 (hw:0,0)"


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("usb:1-1.4", "USB Device 0x46d:0x825: Audio (hw:1,0)"),
        ("U0x46d0x825", "USB Device 0x46d:0x825: Audio (hw:1,0)"),
        ("USB Device 0x46d:0x825: Audio", "USB Device 0x46d:0x825: Audio (hw:1,0)"),
        ("powerconf", "Anker PowerConf: USB Audio (hw:4,0)"),
        ("pulse", "pulse"),
    ],
)
def test_by_port_by_exact_name_and_by_part(selector: str, expected: str) -> None:
    assert chosen(PI_4, selector, "capture") == expected


def test_an_exact_name_wins_over_a_part() -> None:
    both = devices(("mic array", 1, 0), ("mic", 1, 0))
    assert choose("mic", "capture", both, []).device.name == "mic"


def test_a_port_does_not_match_one_that_begins_like_it() -> None:
    with pytest.raises(DeviceNotFoundError):
        chosen(PI_4, "usb:1-1", "capture")
    with pytest.raises(DeviceNotFoundError):
        # The cards that are not on USB have no port at all.
        chosen(PI_4, "usb:", "playback")


def test_the_error_lists_what_there_is_in_one_line() -> None:
    with pytest.raises(DeviceNotFoundError) as raised:
        chosen(PI_5, "Jabra", "playback")
    said = str(raised.value)
    assert said.startswith('no speaker "Jabra"; there is ')
    assert '"UACDemoV1.0: USB Audio" (usb:1-1)' in said
    assert '"vc4-hdmi-1: MAI PCM i2s-hifi-0"' in said
    assert "Condenser" not in said, "a microphone is no help to who looks for a speaker"
    assert "\n" not in said


def test_a_pi_without_microphone_says_so() -> None:
    with pytest.raises(DeviceNotFoundError, match=r"^no sound card with a microphone; there is none at all$"):
        chosen(NOTHING_PLUGGED_IN, "auto", "capture")


@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
def test_reading_the_machine(box: Box, tmp_path: Path) -> None:
    listing = tmp_path / "cards"
    listing.write_text(box.listing)
    for number, place in box.places.items():
        card = tmp_path / "devices/platform/sound" / f"card{number}"
        card.mkdir(parents=True)
        (card / "device").symlink_to(place)
    assert read_cards(listing, tmp_path / "devices/platform/sound") == box.cards
    assert {card.number for card in box.cards} == set(box.places)


def test_a_kernel_without_sound_has_no_cards(tmp_path: Path) -> None:
    assert read_cards(tmp_path / "cards", tmp_path) == []
    (tmp_path / "cards").write_text("--- no soundcards ---\n")
    assert read_cards(tmp_path / "cards", tmp_path) == []


PCM_NAMES = {
    # As snd-dummy, snd-usb-audio, snd-bcm2835 and vc4-hdmi name theirs; behind it what PortAudio 19.6 makes of it.
    ("Dummy", "Dummy PCM"): "Dummy: PCM",
    ("USB PnP Sound Device", "USB Audio"): "USB PnP Sound Device: Audio",
    ("bcm2835 Headphones", "bcm2835 Headphones"): "bcm2835 Headphones: -",
    ("vc4-hdmi", "MAI PCM i2s-hifi-0"): "vc4-hdmi: MAI PCM i2s-hifi-0",
    ("QEMU USB Audio", "USB Audio"): "QEMU USB Audio: -",
}


def kernel(folder: Path, *pcms: tuple[int, str, str]) -> None:
    """Files of ``/proc/asound``: number of a card, folder of a device, its name."""
    for number, pcm, name in pcms:
        (folder / f"card{number}/{pcm}").mkdir(parents=True)
        (folder / f"card{number}/{pcm}/info").write_text(
            f"card: {number}\ndevice: 0\nname: {name}\nsubname: subdevice #0\n"
        )


@pytest.mark.parametrize(("names", "portaudio"), PCM_NAMES.items())
def test_a_device_of_the_kernels_has_the_name_that_portaudio_would_give_it(
    tmp_path: Path, names: tuple[str, str], portaudio: str
) -> None:
    kernel(tmp_path, (3, "pcm0c", names[1]))
    (device,) = read_devices([Card(3, "X", "USB-Audio", names[0], "1-1")], str(tmp_path))
    assert device == Device(UNLISTED, f"{portaudio} (hw:3,0)", 1, 0, 0)


def test_what_portaudio_leaves_out_stands_beside_what_it_lists(tmp_path: Path) -> None:
    kernel(tmp_path, (0, "pcm0p", "bcm2835 Headphones"), (2, "pcm0c", "USB Audio"), (2, "pcm0p", "USB Audio"))
    (tmp_path / "card2/oss_mixer").touch()
    found = read_devices(PI_3.cards, str(tmp_path))
    # Its speaker is in use by somebody, so it is listed as a microphone alone.
    listed = devices(("USB PnP Sound Device: Audio (hw:2,0)", 1, 0), ("pulse", 32, 32))
    assert completed(listed, found, "capture") == listed
    assert [(each.number, each.name) for each in completed(listed, found, "playback")] == [
        (1, "pulse"),
        (UNLISTED, "bcm2835 Headphones: - (hw:0,0)"),
        (UNLISTED, "USB PnP Sound Device: Audio (hw:2,0)"),
    ]
    assert choose("auto", "playback", completed(listed, found, "playback"), PI_3.cards).usb_port == "1-1.3"


def test_auto_goes_by_the_limits_and_a_name_does_not() -> None:
    missing = Limits(worst_rank=0)
    with pytest.raises(DeviceNotFoundError) as raised:
        choose("auto", "playback", NOTHING_PLUGGED_IN.devices, NOTHING_PLUGGED_IN.cards, missing)
    others = '"bcm2835 Headphones", "vc4-hdmi: MAI PCM i2s-hifi-0"'
    said = f"the USB speaker that was here is missing; {others} is not taken in its place (speaker.fallback_s)"
    assert str(raised.value) == said
    named = choose("bcm2835", "playback", NOTHING_PLUGGED_IN.devices, NOTHING_PLUGGED_IN.cards, missing)
    assert named.device.name == "bcm2835 Headphones: - (hw:0,0)"
    beside = choose("auto", "capture", PI_4.devices, PI_4.cards, Limits(refused=("1-1.2",)))
    assert beside.usb_port == "1-1.4"


def test_the_able_cards_come_in_the_order_of_auto(tmp_path: Path) -> None:
    (tmp_path / "cards").write_text(PI_4.listing)
    for number, place in PI_4.places.items():
        (tmp_path / f"card{number}").mkdir()
        (tmp_path / f"card{number}/device").symlink_to(place)
    kernel(tmp_path, (0, "pcm0p", "x"), (1, "pcm0c", "x"), (3, "pcm0p", "x"), (4, "pcm0c", "x"), (4, "pcm0p", "x"))
    machine = KernelFolders(str(tmp_path), str(tmp_path))
    assert [card.number for card in able_cards("playback", machine)] == [4, 3, 0]
    assert [card.number for card in able_cards("capture", machine)] == [4, 1]


def test_what_keeps_us_from_a_device(tmp_path: Path) -> None:
    assert obstacle("Dummy: PCM (hw:1,0)", "capture", str(tmp_path)) == errno.ENOENT
    (tmp_path / "pcmC1D0c").touch()
    assert obstacle("Dummy: PCM (hw:1,0)", "capture", str(tmp_path)) == 0
    (tmp_path / "pcmC1D0p").symlink_to("pcmC1D0p")
    assert obstacle("Dummy: PCM (hw:1,0)", "playback", str(tmp_path)) == errno.ELOOP
    assert obstacle("usbmic", "capture", str(tmp_path)) == errno.ENOENT
