"""What a failed connection means, and how long to wait before the next attempt. Pure: jitter is an argument.

``classify`` is one table from what happened (``Failure``) to what it means (``Verdict``). A verdict's class says what
the link may do by itself; its two texts are the journal's line: what happened, and what a person can do about it. The
close code decides (decision 11); an ``error`` event that came before it only adds its text.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from appliance.journal.foreign_text import one_line


class Class(Enum):
    """What the box may do by itself, and which fault it shows. The value is the number of the fault that the
    light shows (``policy.Policy.fault`` says when); 0 and 30 are none themselves."""

    TRANSIENT = 0
    """Retry with backoff. Lasting 120 s it is shown as a network fault while retrying goes on."""
    KEY = 1
    """The service does not take the key. Only a press, or a changed key, is worth an attempt."""
    ACCOUNT = 3
    """No credits. Only a press, or a slow probe, is worth an attempt."""
    LIMIT = 30
    """Too many connections for the plan. A press, or a slow probe; shown as an account fault only when it lasts."""
    CLOCK = 5
    """The box's clock makes certificates invalid. Waits for time."""
    NETWORK = 6
    """Something between the box and the service answers in its place. Retried with backoff, but said at once."""
    SETTINGS = 7
    """The service refuses what the configuration asks for. Only a press, or a slow probe."""

    @property
    def retries(self) -> bool:
        """The link goes on trying by itself, with backoff."""
        return self in (Class.TRANSIENT, Class.NETWORK, Class.CLOCK)


class What(Enum):
    """How a connection attempt or a session ended."""

    CLOSED = "the service closed the connection"
    HTTP = "the service refused the connection"
    UNREACHABLE = "the service could not be reached"
    NAME = "the service's name could not be resolved"
    NAME_CLOCK_UNSET = "the service's name could not be resolved, and the clock has not been set"
    """Where names are signed (DNSSEC) a resolver with a wrong clock finds every signature expired, or not yet valid."""
    TIMEOUT = "the service did not answer in time"
    NO_PONG = "the connection went silent"
    SEND_STUCK = "the network took no data"
    CERTIFICATE_TIME = "the service's certificate is not valid at this box's time"
    CERTIFICATE_DATES = "the service's certificate is out of date, and this box's clock is right"
    CERTIFICATE_ISSUER = "the service's certificate has an unknown issuer or a wrong name"
    CERTIFICATE_FORM = "the service's certificate, or its authority's, is not made by the rules"
    """RFC 5280's, which Python 3.13 began to insist on (VERIFY_X509_STRICT)."""
    TRUST = "the authorities to trust cannot be read"
    TLS = "no secure connection could be made"
    NOT_TLS = "what answers does not speak TLS"
    PROXY = "the proxy does not let the connection through"
    PROTOCOL = "the other side does not speak the service's protocol"
    RULES = "the service broke the WebSocket's rules"
    CLOSE_FRAME = "the service closed the connection in a way that is not allowed"
    TOO_LARGE = "the service sent a message larger than link.max_message_bytes"
    SERVER_ERROR = "the service had an internal error"
    NOT_CONFIGURED = "the service did not confirm the settings in time"
    SETTINGS_REFUSED = "the service refused the settings"
    DIALECT = "the service closed the connection on our settings"
    NO_KEY = "there is no key"
    TOKEN = "no token could be had"
    NO_NETWORK = "there is no network"
    CLOCK = "the clock is wrong"


@dataclass(frozen=True, slots=True)
class Failure:
    """One end of a connection, or of an attempt.

    ``code``: the close code or the HTTP status, 0 where there is none. ``text``: what the service or the system said,
    safe to log. ``retry_after_s``: the service's own wish, None if it has none.
    """

    what: What
    code: int = 0
    text: str = ""
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a failure means. ``happened`` and ``fix`` make the journal's line."""

    class_: Class
    happened: str
    fix: str
    failure: Failure

    @property
    def line(self) -> str:
        """One line: what happened, and what to do."""
        return f"{self.happened}: {self.fix}" if self.fix else self.happened


_TRANSIENT: Final = (Class.TRANSIENT, "trying again by itself")
_OF_THE_SERVICE: Final = (Class.TRANSIENT, "a fault of the service, for its support; trying again by itself")
_KEY: Final = (Class.KEY, "the key is wrong, expired or missing; put the right one into the key file")
_ACCOUNT: Final = (Class.ACCOUNT, "the account has no credits; top it up, the box notices by itself")
_LIMIT: Final = (Class.LIMIT, "too many connections for the plan; close another box or program, or upgrade the plan")
_NETWORK: Final = (Class.NETWORK, "this network intercepts connections, or wants a login; use another network")
_CLOCK: Final = (Class.CLOCK, "the clock is wrong; waiting for time synchronisation")
_SETTINGS: Final = (Class.SETTINGS, "check service.model, service.voice and service.instructions in the configuration")
_ADDRESS: Final = (Class.SETTINGS, "check service.url and service.model in the configuration")
_WEB_PAGE: Final = (Class.SETTINGS, "what answers there is no voice service; check service.url in the configuration")
_UPDATE: Final = (Class.SETTINGS, "the service wants something else of its clients; update the box's software")
_OURS: Final = (Class.SETTINGS, "the service cannot read what this box sends, nor could it again; update the software")

_BY_CLOSE_CODE: Final = {
    4001: _KEY,
    4003: _ACCOUNT,
    4008: _LIMIT,
    # 1002, 1003, 1007, 1010: the service calls our own messages malformed, and would so again at once: what was asked
    # is not asked again blindly.
    1002: _UPDATE,
    1003: _OURS,
    1007: _OURS,
    1010: _UPDATE,
    # 1008 and unknown 4xxx are the service's policy, for reasons we do not know: retried, slowly enough by the backoff.
}
_BY_STATUS: Final = {
    400: _ADDRESS,
    401: _KEY,
    402: _ACCOUNT,
    403: _KEY,
    404: _ADDRESS,
    426: _UPDATE,
    # 511: a captive portal says so itself (RFC 6585).
    511: _NETWORK,
}
_BY_WHAT: Final = {
    What.UNREACHABLE: (Class.TRANSIENT, "the service is down, or the network blocks it; trying again by itself"),
    What.NAME: (Class.TRANSIENT, "the network has no internet; check the router; trying again by itself"),
    What.TIMEOUT: (Class.TRANSIENT, "the service is down, or the network is bad; trying again by itself"),
    What.NO_PONG: _TRANSIENT,
    What.SEND_STUCK: _TRANSIENT,
    What.NAME_CLOCK_UNSET: (
        Class.TRANSIENT,
        "the network has no internet; check the router; or, where names are signed (DNSSEC), set the clock: "
        "sudo timedatectl set-time; trying again by itself",
    ),
    What.CERTIFICATE_TIME: _CLOCK,
    What.CERTIFICATE_DATES: (Class.TRANSIENT, "the service must renew it: tell its support; trying again by itself"),
    What.CERTIFICATE_ISSUER: _NETWORK,
    What.CERTIFICATE_FORM: (
        Class.TRANSIENT,
        "make that certificate again by the rules; that of an own authority (link.ca_file) needs the extensions "
        "basicConstraints and keyUsage, both critical; trying again by itself",
    ),
    What.TRUST: (Class.TRANSIENT, "check link.ca_file; trying again by itself"),
    What.TLS: _TRANSIENT,
    What.NOT_TLS: (Class.NETWORK, "this network wants a login, or the port in service.url is wrong"),
    What.PROXY: (Class.TRANSIENT, "check link.proxy; trying again by itself"),
    What.PROTOCOL: _NETWORK,
    What.RULES: _OF_THE_SERVICE,
    What.CLOSE_FRAME: _OF_THE_SERVICE,
    What.TOO_LARGE: (Class.TRANSIENT, "if it means to, raise that setting; trying again by itself"),
    What.SERVER_ERROR: _TRANSIENT,
    What.NOT_CONFIGURED: _TRANSIENT,
    What.SETTINGS_REFUSED: _SETTINGS,
    What.DIALECT: (Class.TRANSIENT, "trying the other layout of them, service.dialect"),
    What.NO_KEY: _KEY,
    What.TOKEN: (Class.TRANSIENT, "check credentials.token_command; trying again by itself"),
    What.NO_NETWORK: (Class.TRANSIENT, "check the cable or the Wi-Fi; trying again by itself"),
    What.CLOCK: _CLOCK,
}


def classify(failure: Failure) -> Verdict:
    """What ``failure`` means. Total: everything unknown is transient, because a box nobody visits must keep trying."""
    if failure.what is What.CLOSED:
        class_, fix = _BY_CLOSE_CODE.get(failure.code, _TRANSIENT)
    elif failure.what is What.HTTP:
        class_, fix = _of_status(failure.code)
    else:
        class_, fix = _BY_WHAT[failure.what]
    happened = failure.what.value
    if failure.code:
        happened += f" ({failure.code})"
    if text := one_line(failure.text):
        happened += f', saying "{text}"' if failure.what in (What.CLOSED, What.HTTP) else f" ({text})"
    return Verdict(class_, happened, fix, failure)


def _of_status(status: int) -> tuple[Class, str]:
    """What an HTTP status that is not 101 means."""
    if status < 300:
        # Under TLS it comes from whom the address names: a web page, and no login of this network.
        return _WEB_PAGE
    if status < 400:
        # Never followed: it would carry the key elsewhere; in the field it is a login page.
        return _NETWORK
    return _BY_STATUS.get(status, _TRANSIENT)


def delay_s(attempt: int, first_s: float, cap_s: float, jitter: float) -> float:
    """Seconds to wait after failed attempt number ``attempt`` (0 for the first).

    ``jitter`` is uniform in [0, 1): "full jitter", so that boxes cut off together do not come back together. The window
    doubles from ``first_s`` to ``cap_s``.
    """
    # Beyond 32 doublings every cap is reached; the bound keeps the power small after weeks of attempts.
    window_s = min(cap_s, first_s * 2.0 ** min(attempt, 32))
    return window_s * jitter
