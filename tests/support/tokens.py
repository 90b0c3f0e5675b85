"""Tokens as services make them, none of them anybody's."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable


def made_tokens(count: int) -> list[str]:
    """JWTs, keys, hexadecimal digits and base64 of all lengths, the same in each run."""
    chance = random.Random(20261126)

    def base(size: int) -> str:
        return base64.urlsafe_b64encode(chance.randbytes(size)).decode().rstrip("=")

    def jwt() -> str:
        header = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "typ": "JWT"}).encode()).decode().rstrip("=")
        claims = json.dumps({"sub": str(chance.randrange(10**6)), "exp": chance.randrange(10**10)}).encode()
        return f"{header}.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.{base(32)}"

    kinds: list[Callable[[], str]] = [
        jwt,
        lambda: f"swaram_{base(24)}",
        lambda: f"swaram_ek_{base(18)}",
        lambda: chance.randbytes(chance.randrange(8, 33)).hex(),
        lambda: base64.b64encode(chance.randbytes(chance.randrange(12, 64))).decode(),
        lambda: base(chance.randrange(12, 64)),
    ]
    return [kinds[number % len(kinds)]() for number in range(count)]
