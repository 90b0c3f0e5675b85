"""The pins: what is asked of gpiozero, and what to do about it when it cannot have them.

Pins come from gpiozero's ``Device.pin_factory``, so that tests and the demo run on its mock. It is the one of
``kernel_pins.py`` unless the environment's ``GPIOZERO_PIN_FACTORY`` names another. Every driver has exceptions of its
own; ``explained`` makes of any of them one line with the fix.
"""

from __future__ import annotations

import contextlib
import glob
import grp
import os
import pwd
import re
import warnings
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from appliance.journal.foreign_text import one_line
from appliance.panel.leds import DimmedLamp, Lamp, SwitchedColours, SwitchedLamp, ThreeLamps

INSTALL: Final = "leave GPIOZERO_PIN_FACTORY unset, or sudo apt-get install python3-lgpio"

SPIKE_S: Final = 0.001
"""A contact that opens or closes for less is not believed: the induction of a long wire, the dirt of a worn contact.
The kernel's own debounce, so only where the driver is its own; what is longer is for panel/gestures.py. The kernel
waits for a whole tick of its timers at least, 4 ms where it has 250 a second: an edge comes with that delay, and is
stamped then. Of 200 spikes of 0.3 ms none was reported, and without it 200 (measured, tests/vm)."""

FIXES: Final = (
    (r"unable to find pin factory", "GPIOZERO_PIN_FACTORY names no driver; leave it unset"),
    (r"inappropriate ioctl", "this kernel is older than 5.10: update the system"),
    (
        r"gpio busy|already in use|in use by|resource busy",
        "the pin is taken, by another program or an overlay in "
        "config.txt: gpioinfo shows by whom; end that, or wire another pin and name it in [panel]",
    ),
    (r"\.lgd-nfy", "lgpio keeps a file in its working directory: start in one that can be written, or set LG_WD"),
    (
        r"not a valid pin|bad gpio|invalid gpio",
        "this board has no such pin; [panel] takes BCM numbers, not header pins",
    ),
    (
        r"SOC peripheral|peripheral base",
        "that driver does not know this Raspberry Pi: leave GPIOZERO_PIN_FACTORY unset",
    ),
    (r"no module named '?(lgpio|_lgpio)", INSTALL),
)
"""What pin drivers say, and what a person does about it. The first that fits counts."""

NO_CHIP: Final = 'no GPIO chip here; where no pins are wired set panel.button.gpio = 0 and panel.leds.kind = "none"'


class TakenContact(NamedTuple):
    """A contact's pin, taken."""

    device: Any
    """gpiozero's; ``is_active``: closed."""
    silent: str
    """Why it reports no edges; empty: it does, as far as one can tell."""
    vouched_for: bool
    """The kernel itself has agreed to report them."""


def open_driver() -> str:
    """Have gpiozero's pin driver opened. Returns what to know about a makeshift one, in one line; mostly nothing.

    Raises OSError with one line, reason and fix, where there is none.
    """
    from gpiozero import Device

    with warnings.catch_warnings(record=True) as fallbacks:
        # gpiozero tells by warnings, some of several lines, why it did not take the driver it should have taken.
        warnings.simplefilter("always")
        # On Python 3.12 and later every load of lgpio brings some, about how its binding in C was made.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            if Device.pin_factory is None and not os.environ.get("GPIOZERO_PIN_FACTORY"):
                Device.pin_factory = _kernel_factory()()
            Device.ensure_pin_factory()
        except Exception as error:
            reasons = (str(error), *(str(fallback.message) for fallback in fallbacks))
            raise OSError(explained(*reasons)) from error
    return explained(*(str(fallback.message) for fallback in fallbacks)) if fallbacks else ""


def driver_name() -> str:
    """Of the driver that ``open_driver`` has found, such as "lgpio" or "mock"; empty before."""
    from gpiozero import Device

    return "" if Device.pin_factory is None else type(Device.pin_factory).__name__.removesuffix("Factory").lower()


def open_driver_again() -> None:
    """After the chip was gone: a driver that has a new handle of it. All devices of before are void.

    Raises OSError as ``open_driver``.
    """
    from gpiozero import Device

    factory, Device.pin_factory = Device.pin_factory, None
    if factory is not None:
        # It cannot give back what is gone; that is why it is replaced.
        with contextlib.suppress(Exception):
            factory.close()
    open_driver()


def lamp(kind: str, gpio: tuple[int, ...], active_high: bool) -> Lamp:
    """The LED of this ``kind``, dark. One that should be dimmed, on pins that cannot, is switched. Raises whatever the
    pin driver does."""
    import gpiozero

    match kind:
        case "led":
            return SwitchedLamp(gpiozero.LED(*gpio, active_high=active_high))
        case "pwm":
            try:
                return DimmedLamp(gpiozero.PWMLED(*gpio, active_high=active_high))
            except gpiozero.PinPWMUnsupported:
                return SwitchedLamp(gpiozero.LED(*gpio, active_high=active_high))
        case "rgb":
            try:
                return DimmedLamp(gpiozero.RGBLED(*gpio, active_high=active_high))
            except gpiozero.PinPWMUnsupported:
                return SwitchedColours(gpiozero.RGBLED(*gpio, active_high=active_high, pwm=False))
        case "three":
            return ThreeLamps(gpiozero.LEDBoard(*gpio, active_high=active_high))
    raise ValueError(f"an LED of kind {kind!r} is not known")


def contact(gpio: int, pull: str) -> TakenContact:
    """Take a contact's pin. Raises whatever the pin driver does.

    Not gpiozero's Button: that one starts a thread that wakes ten times a second to look whether the button is held.
    """
    from gpiozero import Device, DigitalInputDevice, InputDevice

    pull_up = pull == "up"
    by_kernel = isinstance(Device.pin_factory, _kernel_factory())
    # Other drivers have a debounce that swallows presses.
    bounce_s = SPIKE_S if by_kernel else None
    try:
        return TakenContact(DigitalInputDevice(gpio, pull_up=pull_up, bounce_time=bounce_s), "", by_kernel)
    except Exception as error:
        # Some drivers refuse to watch for edges (RPi.GPIO on a kernel from 6.6 on), but read well enough. Whoever
        # cannot even read raises here again, and means it.
        silent = one_line(str(error)) or type(error).__name__
        return TakenContact(InputDevice(gpio, pull_up=pull_up), silent, False)


def edge_s(device: Any) -> float | None:
    """When the edge was, in monotonic seconds, that a handler of ``device`` is being told; None: it was now. The kernel
    says when it was, since a busy loop is told late."""
    at_s: float | None = getattr(device.pin, "edge_s", None)
    return at_s


def _kernel_factory() -> Any:
    """Loaded late, as gpiozero is: a box without pins needs neither."""
    from appliance.panel.kernel_pins import KernelFactory

    return KernelFactory


def explained(*reasons: str, folder: str = "/dev", may: Callable[[str, int], bool] = os.access) -> str:
    """One line: what the pin driver said, and what to do about it. ``folder`` holds the GPIO chips; ``may`` tells
    whether this process can open one."""
    said = "; ".join(one_line(reason) for reason in reasons)
    if re.search(
        r"gpiochip|permission denied|not permitted|unable to load any|unknown board|not running on|unable to locate Pi",
        said,
        re.I,
    ):
        trouble = _chip_trouble(folder, may)
        if trouble:
            return f"{trouble} ({said})"
    fix = next((fix for pattern, fix in FIXES if re.search(pattern, said, re.I)), "")
    return f"{fix} ({said})" if fix else said


def _chip_trouble(folder: str, may: Callable[[str, int], bool]) -> str:
    """Why this process cannot have the chip, and what to do; empty if it can."""
    chips = sorted(glob.glob(f"{folder}/gpiochip*"))
    if not chips:
        return NO_CHIP
    closed = [chip for chip in chips if not may(chip, os.R_OK | os.W_OK)]
    if not closed:
        return ""
    user = _name(lambda: pwd.getpwuid(os.getuid()).pw_name, str(os.getuid()))
    group = _name(lambda: grp.getgrgid(os.stat(closed[0]).st_gid).gr_name, "gpio")
    # A chip of root's own group is one without Raspberry Pi OS's udev rule.
    group = "gpio" if group == "root" else group
    return f"no permission for {closed[0]}: sudo usermod -aG {group} {user}, or SupplementaryGroups={group} in the unit"


def _name(find: Callable[[], str], otherwise: str) -> str:
    try:
        return find()
    except (KeyError, OSError):
        return otherwise
