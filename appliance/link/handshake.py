"""One handshake with the service, and what its failure or its end was, in the words of ``link/failures.py``.

The only importer of websockets beside ``connection.py``, and not at the start: a box is ready before it has loaded
what only a connection needs.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import struct
import termios
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from appliance.errors import TrustError
from appliance.link.failures import Failure, What
from appliance.realtime.events import Dialect
from appliance.realtime.record import Closed
from appliance.system.sandbox import hint

if TYPE_CHECKING:
    import ssl

    from websockets.asyncio.client import ClientConnection
    from websockets.exceptions import ConnectionClosed

EARLIEST_S: Final = 1_795_219_200
"""21 November 2026, when this was written: a clock that says an earlier time is wrong."""

HEAD_START_S: Final = 0.25
"""What an address gets before the next of the same name is tried beside it (RFC 8305, section 5: 250 ms). An IPv6 route
that leads nowhere is common, and would eat the whole deadline of every attempt."""

TRUST_S: Final = 86_400.0
"""The authorities' certificates are read so often at most: 30 ms here for each of Debian's bundle, ten times that on a
Pi Zero, and every question may need a connection. Once a day finds what an update has brought to a box that runs for
years."""

NETWORK_TABLES: Final = "/proc/net"

RETRY_AFTER_LIMIT_S: Final = 3600.0
"""The longest wish of a service that is obeyed: a slip of a digit must not silence a box for a year."""


ABNORMAL: Final = 1006
"""The close code of a connection that ended without a close frame (RFC 6455, section 7.1.5)."""

BY_THE_RULES: Final = range(80, 93)
"""What OpenSSL finds with X509_V_FLAG_X509_STRICT alone: from X509_V_ERR_PATHLEN_INVALID_FOR_NON_CA to
X509_V_ERR_CA_CERT_MISSING_KEY_USAGE."""

PLAIN_TEXT: Final = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST")
"""What OpenSSL (to 3.1, and from 3.2 on) calls an answer in plain HTTP where TLS was to begin."""

ILLEGAL_CLOSE_CODE: Final = "invalid status code"
"""The library's words, which are all that it tells of such a frame (websockets 15.0.1 to 17)."""


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """The part of the configuration that the link needs; values and reasons stand in ``default.toml``.

    ``always``: keep a session without a turn. ``ca_file``, ``proxy``: "" for none. ``url`` is complete, with the model.
    ``dialect``: the one in which a service is asked first.
    """

    url: str
    dialect: Dialect
    always: bool
    connect_timeout_s: float
    configure_timeout_s: float
    ping_interval_s: float
    ping_timeout_s: float
    send_timeout_s: float
    close_timeout_s: float
    idle_close_s: float
    max_session_s: float
    max_message_bytes: int
    ca_file: str
    proxy: str


def _leads_to_this_machine(url: str) -> bool:
    return url.startswith("ws:")


def _has_network() -> bool:
    """Some interface has an address and a way out: a default route of either family that is up.

    Read from the kernel's tables, /proc/net/route and /proc/net/ipv6_route (proc(5)); asks nobody. True where they
    cannot be read: then the failure speaks for itself.
    """
    rows, rows6 = _table("route"), _table("ipv6_route")
    if rows is None and rows6 is None:
        return True
    # A kernel may be without one of the two families (ipv6.disable=1). Columns: destination 1 and mask 7 of IPv4;
    # destination 0, prefix length 1 and device 9 of IPv6. An unreachable default route of IPv6 stands on lo.
    return any(row[1] == row[7] == "00000000" for row in (rows or [])[1:]) or any(
        set(row[0]) == {"0"} and row[1] == "00" and row[9] != "lo" for row in rows6 or []
    )


def _table(name: str) -> list[list[str]] | None:
    """The rows of one of the kernel's tables; None if it has no such table."""
    try:
        with open(f"{NETWORK_TABLES}/{name}", encoding="ascii") as table:
            return [line.split() for line in table]
    except OSError:
        return None


def trust(settings: ConnectionSettings) -> ssl.SSLContext:
    """What certificates are judged by: the system's authorities, or those of ``ca_file``. Any thread.

    Raises TrustError.
    """
    import ssl

    try:
        return ssl.create_default_context(cafile=settings.ca_file or None)
    except OSError as error:
        # A file with no certificate in it is an SSLError, whose own words say "no certificate or crl found" at best.
        said = "; ".join(filter(None, (error.strerror or str(error), hint(settings.ca_file))))
        raise TrustError(f"{settings.ca_file}: {said}") from None


class Dialer:
    """Makes one connection after the other. In the event loop's thread, but for ``prepare``."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self._settings = settings
        self._trust: ssl.SSLContext | None = None
        """What certificates are judged by; None before the first connection, and where none is needed."""
        self._trust_s = 0.0
        """When it was read."""

    def prepare(self) -> None:
        """Import the library and read whom to trust, so that a press need not wait for it. Any thread.

        Raises TrustError.
        """
        import websockets.asyncio.client  # noqa: F401

        self._read_trust()

    @property
    def _lacks_trust(self) -> bool:
        """Whom to trust is to be read before a connection."""
        secure = self._settings.url.startswith("wss:")
        return secure and (self._trust is None or time.monotonic() > self._trust_s + TRUST_S)

    def _read_trust(self) -> None:
        if self._lacks_trust:
            self._trust = trust(self._settings)
            self._trust_s = time.monotonic()

    async def connect(self, key: str) -> ClientConnection:
        """One handshake. Raises what ``connect_failure`` is for."""
        import ssl

        from websockets.asyncio.client import connect as library_connect

        class Connect(library_connect):
            """A redirect would carry the key elsewhere, so it is a failure like any other status."""

            def process_redirect(self, exc: Exception) -> Exception | str:
                return exc

        settings = self._settings
        if self._lacks_trust:
            await asyncio.to_thread(self._read_trust)
        try:
            return await Connect(
                settings.url,
                additional_headers={"Authorization": f"Bearer {key}"},
                user_agent_header="voice-appliance",
                # zlib gains nothing on base64 of PCM and costs 7 to 14 times the CPU (measured, websockets 17.4).
                compression=None,
                open_timeout=settings.connect_timeout_s,
                # The library's keepalive ends a slow line that lives: a pong stands in the queue behind a reply.
                ping_interval=None,
                close_timeout=settings.close_timeout_s,
                max_size=settings.max_message_bytes,
                proxy=settings.proxy or None,
                logger=_library_log(),
                ssl=self._trust,
                happy_eyeballs_delay=HEAD_START_S,
            )
        except ssl.SSLCertVerificationError:
            # Perhaps it is to be trusted by what an update has brought since.
            self._trust = None
            raise


def _library_log() -> logging.Logger:
    """The library's log, never below INFO: at DEBUG it prints the Authorization header."""
    logger = logging.getLogger("websockets.client")
    if logger.getEffectiveLevel() < logging.INFO:
        logger.setLevel(logging.INFO)
    return logger


def unacknowledged_bytes(connection: ClientConnection) -> int:
    """How much of what was handed to the connection the other end does not have yet; 0 if that cannot be told.

    The kernel takes megabytes from a program long before the line has taken any of it, so that it says nothing of a
    line's pace that a send returns. This does (SIOCOUTQ, tcp(7)), and under TLS, too.
    """
    transport = connection.transport
    count = struct.Struct("i")
    # None under TLS, where asyncio forgets a lost connection before it tells anybody.
    socket = transport.get_extra_info("socket")
    try:
        answer = fcntl.ioctl(-1 if socket is None else socket.fileno(), termios.TIOCOUTQ, bytes(count.size))
    except (OSError, ValueError):
        # It is being closed: whoever sends next hears of it.
        return 0
    queued: int = count.unpack(answer)[0]
    return queued + transport.get_write_buffer_size()


async def connect_failure(
    error: Exception, settings: ConnectionSettings, is_synchronised: Callable[[], Awaitable[bool]]
) -> Failure | None:
    """What a failed handshake was; None for an exception that is a fault of ours and must be seen.

    Three causes are told apart without asking anybody: no link or address, no internet, service unreachable.
    ``is_synchronised``: something has set the clock; asked only where the time decides what a failure was.
    """
    failure = _handshake_failure(error)
    out_of_reach = failure is not None and failure.what in (What.UNREACHABLE, What.NAME, What.TIMEOUT)
    if out_of_reach and not _leads_to_this_machine(settings.url) and not _has_network():
        return Failure(What.NO_NETWORK, text="no link or no address")
    if failure is None or failure.what not in (What.CERTIFICATE_TIME, What.NAME) or isinstance(error, UnicodeError):
        return failure
    is_past = time.time() < EARLIEST_S
    is_right = not is_past and await is_synchronised()
    today = f"it says {time.strftime('%Y-%m-%d')}"
    match failure.what:
        case What.NAME if not is_right and not _leads_to_this_machine(settings.url) and not settings.proxy:
            return Failure(What.NAME_CLOCK_UNSET, text=f"{failure.text}; {today}")
        case What.CERTIFICATE_TIME if is_past:
            return Failure(What.CLOCK, text=today)
        case What.CERTIFICATE_TIME if is_right:
            return Failure(What.CERTIFICATE_DATES, text=failure.text)
    return failure


def _handshake_failure(error: Exception) -> Failure | None:
    import socket
    import ssl

    from websockets.exceptions import (
        InvalidHandshake,
        InvalidMessage,
        InvalidProxyStatus,
        InvalidStatus,
        ProxyError,
    )

    match error:
        case TrustError():
            return Failure(What.TRUST, text=str(error))
        case TimeoutError():
            return Failure(What.TIMEOUT)
        case InvalidStatus():
            response = error.response
            # One by one: asked for as one, two of the same name raise.
            wishes = response.headers.get_all("Retry-After")
            return Failure(What.HTTP, response.status_code, retry_after_s=_retry_after_s(wishes))
        case InvalidMessage() if isinstance(error.__cause__, EOFError):
            return Failure(What.UNREACHABLE, text="closed during the handshake")
        case InvalidProxyStatus():
            return Failure(What.PROXY, error.response.status_code)
        case ProxyError():
            return Failure(What.PROXY, text=str(error))
        case InvalidHandshake():
            return Failure(What.PROTOCOL, text=type(error).__name__)
        case ssl.SSLCertVerificationError():
            return Failure(_certificate_fault(error.verify_code), text=error.verify_message)
        case ssl.SSLError() if getattr(error, "reason", None) in PLAIN_TEXT:
            return Failure(What.NOT_TLS)
        case ssl.SSLError():
            return Failure(What.TLS, text=getattr(error, "reason", None) or "")
        case socket.gaierror():
            return Failure(What.NAME, text=error.strerror or "")
        case UnicodeError():
            # What Python says of a name that no resolver would take, such as "api..example.org".
            return Failure(What.NAME, text="it is malformed; check service.url and link.proxy")
        case OSError():
            return Failure(What.UNREACHABLE, text=error.strerror or str(error))
        case _:
            return None


def _certificate_fault(verify_code: int) -> What:
    """What OpenSSL's number (x509_vfy.h) says of a certificate that it refused."""
    if verify_code in (9, 10):
        # X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED.
        return What.CERTIFICATE_TIME
    if verify_code in BY_THE_RULES:
        return What.CERTIFICATE_FORM
    return What.CERTIFICATE_ISSUER


def _retry_after_s(wishes: Iterable[str]) -> float | None:
    """The seconds of the ``Retry-After`` headers: whoever stands between box and service may add one, and the longest
    counts. None if absent or a date, which a box with a wrong clock cannot use."""
    texts = [wish.strip() for wish in wishes]
    longest_s = max((float(text) for text in texts if text.isascii() and text.isdigit()), default=None)
    return None if longest_s is None else min(longest_s, RETRY_AFTER_LIMIT_S)


def how_it_closed(connection: ClientConnection) -> Closed:
    """For the record: what became of a connection that is over."""
    protocol = connection.protocol
    sent, received = protocol.close_sent, protocol.close_rcvd
    if received is not None and (sent is None or protocol.close_rcvd_then_sent):
        return Closed("service", received.code, len(received.reason))
    if sent is not None and sent.code != ABNORMAL:
        return Closed("box", sent.code, len(sent.reason))
    return Closed("line", ABNORMAL, 0)


def close_failure(closed: ConnectionClosed, connection: ClientConnection) -> Failure:
    """What the end of an open connection was. Any code counts: the library calls 1000, 1001 and 1005 fine, we do
    not."""
    from websockets.exceptions import PayloadTooBig, ProtocolError

    if closed.rcvd is not None:
        return Failure(What.CLOSED, closed.rcvd.code, closed.rcvd.reason)
    if closed.sent is None or closed.sent.code == 1000:
        return Failure(What.CLOSED, ABNORMAL)
    # The library has ended it: it could not read what came. Under TLS that came from the service and from nobody else.
    match connection.protocol.parser_exc:
        case UnicodeDecodeError():
            # Of a text message it is no fault of the parser, but of whoever receives it.
            return Failure(What.CLOSE_FRAME, text="its reason is not UTF-8")
        case ProtocolError() as broken if str(broken) == ILLEGAL_CLOSE_CODE:
            return Failure(What.CLOSE_FRAME, text="its code is none that may be sent")
        case PayloadTooBig():
            return Failure(What.TOO_LARGE)
    return Failure(What.RULES, closed.sent.code, closed.sent.reason)
