#!/usr/bin/env python3
"""Prints a token for one connection, got from the voice service with the secret key: its ``client_secrets`` call.

    [credentials]
    token_command = ["/usr/local/bin/token_from_service.py", "/etc/voice-appliance/secret-key"]

Run on the box, this keeps the secret key out of the daemon and of every connection, but not off the box. Where others
can lay hands on the box, run it on your own server, which knows its boxes, behind an address of your own; the program
on the box then asks that address, and prints what it says. Nothing but Python's standard library is needed.
"""

from __future__ import annotations

import argparse
import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

SERVICE = "https://api.swaram.live/v1/realtime/client_secrets"

TIMEOUT_S = 8.0
"""Below the box's own credentials.token_timeout_s (10), so that the reason is said and not only the time."""

ANSWER_BYTES = 65_536
"""Far above any answer that holds a token."""


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """The secret key goes to the address that was given, and to no other that it may point to."""

    def redirect_request(self, *_: Any) -> None:
        """None: the redirect is an error like any other status."""


def main() -> int:
    """0 and a token on standard output, or 1 and one line on standard error."""
    parser = argparse.ArgumentParser(description="Print a token for one connection to the voice service.")
    parser.add_argument("key_file", help="file that holds the secret key and nothing else")
    parser.add_argument("--model", default="mal-realtime-simple", help="as service.model of the box (%(default)s)")
    parser.add_argument("--url", default=SERVICE, help="%(default)s")
    arguments = parser.parse_args()
    try:
        with open(arguments.key_file, encoding="ascii") as file:
            key = file.read().strip()
        print(token(arguments.url, key, arguments.model))
    except urllib.error.HTTPError as error:
        error.close()
        return fail(f"the service refused: HTTP {error.code}")
    except (OSError, ValueError) as error:
        return fail(str(error))
    return 0


def token(url: str, key: str, model: str) -> str:
    """One token. Raises OSError if the service cannot be reached or refuses, ValueError if its answer holds none."""
    address = urllib.parse.urlsplit(url)
    if address.scheme != "https" and address.hostname not in ("127.0.0.1", "::1"):
        raise ValueError("only https: anything else would show the key to the network")
    if not key.isprintable() or not key or " " in key:
        raise ValueError("the key file does not hold one key")
    # The session's settings are left to the box, which sends its own.
    body = json.dumps({"model": model, "session": {}}).encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")
    opener = urllib.request.build_opener(NoRedirect, urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=TIMEOUT_S) as response:
        answer = json.loads(response.read(ANSWER_BYTES))
    value = answer.get("value") if isinstance(answer, dict) else None
    if not isinstance(value, str) or not value:
        raise ValueError("the service's answer holds no token")
    return value


def fail(reason: str) -> int:
    """1, having said why."""
    print(f"no token: {reason}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
