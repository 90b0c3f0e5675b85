"""What is asked of the kernel, against what a C compiler makes of linux/gpio.h; and what a descriptor answers.

The kernel itself is asked in the virtual machine (``make test-vm``).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.panel import gpio_lines
from appliance.panel.gpio_lines import Edge, Flag, Line, header_chip, pack_config, pack_request


def u32(raw: bytes, offset: int) -> int:
    return int(struct.unpack_from("<I", raw, offset)[0])


def u64(raw: bytes, offset: int) -> int:
    return int(struct.unpack_from("<Q", raw, offset)[0])


def test_the_calls_have_the_numbers_of_the_header() -> None:
    """GPIO_GET_CHIPINFO_IOCTL, GPIO_V2_GET_LINE_IOCTL, GPIO_V2_LINE_{SET_CONFIG,GET_VALUES,SET_VALUES}_IOCTL: the sizes
    of their structures are in them."""
    assert (gpio_lines.GET_CHIP_INFO, gpio_lines.GET_LINE) == (0x8044B401, 0xC250B407)
    assert (gpio_lines.SET_CONFIG, gpio_lines.GET_VALUES, gpio_lines.SET_VALUES) == (0xC110B40D, 0xC010B40E, 0xC010B40F)


def test_a_contact_is_asked_for_with_pull_edges_and_debounce() -> None:
    flags = Flag.INPUT | Flag.PULL_UP | Flag.EDGE_RISING | Flag.EDGE_FALLING
    raw = pack_request(17, pack_config(flags, high=False, debounce_us=1000))
    assert len(raw) == 592 and u32(raw, 0) == 17
    assert raw[256:288].rstrip(b"\0") == b"voice-appliance"
    assert u64(raw, 288) == 1 << 2 | 1 << 8 | 1 << 4 | 1 << 5
    assert u32(raw, 288 + 8) == 1, "attributes"
    debounce = 288 + 32
    assert (u32(raw, debounce), u32(raw, debounce + 8), u64(raw, debounce + 16)) == (3, 1000, 1)
    assert (u32(raw, 560), u32(raw, 564)) == (1, 0), "lines, buffer"
    # What has no meaning must be 0: the kernel refuses the rest.
    meant = {0, 288, 289, 296, 320, *range(256, 271), *range(328, 332), 336, 560}
    assert not any(byte for at, byte in enumerate(raw) if at not in meant)


@pytest.mark.parametrize("high", [False, True])
def test_an_output_is_asked_for_with_its_level(high: bool) -> None:
    raw = pack_config(Flag.OUTPUT, high=high, debounce_us=0)
    assert len(raw) == 272 and u64(raw, 0) == 1 << 3 and u32(raw, 8) == 1
    assert (u32(raw, 32), u64(raw, 40), u64(raw, 48)) == (2, int(high), 1)


def test_an_input_without_debounce_has_no_attribute() -> None:
    raw = pack_config(Flag.INPUT | Flag.NO_PULL, high=False, debounce_us=0)
    assert u64(raw, 0) == 1 << 2 | 1 << 10 and not any(raw[8:])


@pytest.fixture
def pipe() -> Iterator[tuple[Line, int]]:
    """A line's descriptor, and what the kernel writes to."""
    read, write = os.pipe()
    line = Line(read)
    yield line, write
    line.close()
    os.close(write)


def event(at_ns: int, kind: int) -> bytes:
    """struct gpio_v2_line_event of line 17."""
    return struct.pack("<QIIII24x", at_ns, kind, 17, 1, 1)


def test_edges_are_read_with_the_kernels_time(pipe: tuple[Line, int]) -> None:
    line, kernel = pipe
    assert line.edges() == []
    os.write(kernel, event(5_000_000_000, 2) + event(5_250_000_000, 1))
    assert line.edges() == [Edge(False, 5.0), Edge(True, 5.25)]
    assert line.edges() == []


def test_what_is_no_line_says_so_and_closing_twice_is_harmless(pipe: tuple[Line, int]) -> None:
    line, _ = pipe
    for use in (line.read, lambda: line.write(True), lambda: line.configure(Flag.INPUT)):
        with pytest.raises(OSError, match="Inappropriate ioctl"):
            use()
    line.close()
    line.close()


def test_a_machine_without_a_header_says_which_chips_it_has(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no gpiochip of a Raspberry Pi's header"):
        header_chip(str(tmp_path))
    # A file that is no chip is passed over.
    (tmp_path / "gpiochip0").touch()
    with pytest.raises(OSError, match="no gpiochip of a Raspberry Pi's header"):
        header_chip(str(tmp_path))


@pytest.mark.parametrize(
    ("labels", "chosen"),
    [
        (["pinctrl-bcm2835", "raspberrypi-exp-gpio"], "gpiochip0"),
        (["pinctrl-bcm2711", "raspberrypi-exp-gpio", "pinctrl-bcm2711"], "gpiochip0"),
        (["gpio-brcmstb@107d508500", "gpio-brcmstb@107d508520", "pinctrl-rp1"], "gpiochip2"),
    ],
    ids=["a Pi 3", "a Pi 4, whose gpiochip4 is a link", "a Pi 5"],
)
def test_the_chip_of_the_header_is_known_by_its_label(
    labels: list[str], chosen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, label in enumerate(labels):
        (tmp_path / f"gpiochip{number}").write_text(label)
    # A file tells its label where the kernel would.
    monkeypatch.setattr(gpio_lines.Chip, "label", property(lambda chip: Path(chip.path).read_text()))
    opened_before = len(os.listdir("/proc/self/fd"))
    chip = header_chip(str(tmp_path))
    assert chip.path == str(tmp_path / chosen)
    assert len(os.listdir("/proc/self/fd")) == opened_before + 1
    chip.close()
    chip.close()


def test_a_chip_that_may_not_be_opened_is_the_reason(tmp_path: Path) -> None:
    (tmp_path / "gpiochip0").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError):
        header_chip(str(tmp_path))
