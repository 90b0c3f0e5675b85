"""Tokens from a program: fresh for each connection, bounded, and shown to nobody; and the example, against a server."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from appliance.errors import CredentialError, TokenError
from appliance.link.credentials import TOKEN_OUTPUT_BYTES, fetch_token
from appliance.link.failures import Failure, What, classify
from tests.support.programs import children, events_flow, nothing_left, python, shell, until
from tests.support.tokens import made_tokens

TOKEN = "swaram_ek_0123456789abcdef"
OTHER = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"


async def test_what_the_program_prints_is_the_token() -> None:
    with nothing_left():
        for code in (f"echo {TOKEN}", f"printf {TOKEN}", f"printf '\\r\\n {TOKEN} \\r\\n'"):
            assert (await fetch_token(shell(code), 20)).reveal() == TOKEN


async def test_each_connection_has_its_own(tmp_path: Path) -> None:
    command = shell(f"echo x >> {tmp_path}/log; wc -l < {tmp_path}/log")
    assert [(await fetch_token(command, 20)).reveal() for _ in range(3)] == ["1", "2", "3"]


async def test_arguments_are_arguments_and_the_environment_holds_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWARAM_API_KEY", TOKEN)
    code = "import os, sys; print(sys.argv[1].replace(' ', '_') + '|' + os.environ.get('SWARAM_API_KEY', 'none'))"
    assert (await fetch_token(python(code, "$(id) *"), 20)).reveal() == "$(id)_*|none"


async def test_a_slow_program_is_ended_while_others_go_on() -> None:
    began_s = time.monotonic()
    with nothing_left(), pytest.raises(TokenError, match=r"token_command /bin/sh did not end within 0\.5 s"):
        async with events_flow():
            await fetch_token(shell("sleep 10"), 0.5)
    assert time.monotonic() - began_s < 9


async def test_the_most_that_may_be_printed() -> None:
    longest = "x" * TOKEN_OUTPUT_BYTES
    with nothing_left():
        assert (await fetch_token(python(f"print({longest!r}, end='')"), 20)).reveal() == longest
        with pytest.raises(TokenError, match="wrote more than 8192 bytes"):
            await fetch_token(python(f"print({longest!r})"), 20)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (shell(f"echo {TOKEN}; exit 3"), "failed with status 3"),
        (shell(f"echo {TOKEN}; kill -KILL $$"), "was ended by signal 9"),
        (shell("true"), "printed no token"),
        (shell("echo ' '"), "printed no token"),
        (shell(f"echo {TOKEN} {TOKEN}"), "printed something else than one token"),
        (shell(f"echo {TOKEN}; echo X-Header:{TOKEN}"), "printed something else than one token"),
        (shell(f"printf '{TOKEN}\\303\\251'"), "printed something else than one token"),
        (shell(f"printf '{TOKEN}\\000'"), "printed something else than one token"),
        (["/no/such/program", TOKEN], "cannot be started: No such file or directory"),
    ],
)
async def test_a_failure_names_the_program_and_not_what_it_printed(
    command: list[str], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with nothing_left(), pytest.raises(TokenError, match=said) as caught:
        await fetch_token(command, 20)
    assert isinstance(caught.value, CredentialError)
    assert f"credentials.token_command {command[0]} " in str(caught.value)
    assert "0123456789" not in f"{caught.value!r} {caught.value.__cause__!r} {caplog.text}"


async def test_a_program_that_prints_the_token_where_it_complains_does_not_give_it_away() -> None:
    complaint = f"GET /token?key={TOKEN} Bearer {OTHER}: refused, see /etc/voice-appliance/config.toml"
    with pytest.raises(TokenError) as caught:
        await fetch_token(shell(f"echo first line >&2; echo '{complaint}' >&2; exit 1"), 20)
    assert str(caught.value).endswith("/bin/sh failed with status 1, saying: … refused …")


async def test_no_piece_of_a_token_reaches_the_journal(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for token in made_tokens(60):
        with pytest.raises(TokenError) as caught:
            await fetch_token(shell(f"echo 'Bearer {token} refused: HTTP 401' >&2; exit 1"), 20)
        line = classify(Failure(What.TOKEN, text=str(caught.value))).line
        assert "saying: … refused http 401" in line
        assert not any(token[at : at + 8] in line + caplog.text for at in range(len(token) - 7))


async def test_a_program_that_says_nothing_known_has_its_status_told() -> None:
    with pytest.raises(TokenError, match=r"/bin/sh failed with status 5$"):
        await fetch_token(shell(f"echo {TOKEN} {OTHER} >&2; exit 5"), 20)


@pytest.mark.parametrize("printed", [f'"{TOKEN}"', f"TOKEN={TOKEN}", json.dumps({"value": TOKEN}), f"Bearer {TOKEN}"])
async def test_a_token_in_its_wrapping_is_the_token(printed: str) -> None:
    assert (await fetch_token(shell(f"echo '{printed}'"), 20)).reveal() == TOKEN


async def test_a_program_for_windows_is_named_as_one(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("#!/bin/sh\r\necho x\r\n", newline="")
    path.chmod(0o755)
    with pytest.raises(
        TokenError, match=r"token cannot be started: No such file or directory; its lines end as in Windows"
    ):
        await fetch_token([str(path)], 20)


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        ("null", "null where the key should be"),
        ("<html><body>Sign in</body></html>", "a web page"),
        ('{"error": "denied"}', "JSON with no member such as value"),
    ],
)
async def test_what_is_no_token_is_refused_before_any_attempt(printed: str, said: str) -> None:
    with pytest.raises(TokenError, match=f"token_command /bin/sh printed something else than one token: {said}"):
        await fetch_token(shell(f"echo '{printed}'"), 20)


async def test_an_abort_leaves_nothing() -> None:
    with nothing_left():
        before = children()
        task = asyncio.create_task(fetch_token(shell("exec sleep 10"), 20))
        await until(lambda: bool(children() - before))
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()


async def test_a_token_does_not_show_itself() -> None:
    token = await fetch_token(shell(f"echo {TOKEN}"), 20)
    assert "0123456789" not in f"{token} {token!r}"


# ---------------------------------------------------------------- the example

EXAMPLE = Path(__file__).parents[2] / "hardware/examples/token_from_service.py"
KEY = "swaram_secret_0123456789"


@dataclass
class ClientSecrets:
    """The service's side of the call: what it answers, and what it was asked."""

    status: int = 200
    answer: bytes = b"{}"
    location: str = ""
    url: str = ""
    asked: list[tuple[str, str | None, bytes]] = field(default_factory=list)
    """Path, Authorization header and body of each request."""


@pytest.fixture
def service() -> Iterator[ClientSecrets]:
    state = ClientSecrets(answer=json.dumps({"value": TOKEN, "expires_at": 1_800_000_000}).encode())

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.asked.append((self.path, self.headers["Authorization"], body))
            self.send_response(state.status)
            if state.location:
                self.send_header("Location", state.location)
            self.send_header("Content-Length", str(len(state.answer)))
            self.end_headers()
            self.wfile.write(state.answer)

        def log_request(self, code: object = "-", size: object = "-") -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_address[1]}/v1/realtime/client_secrets"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        server.shutdown()
        thread.join()


def example(folder: Path, *arguments: str, key: str = KEY) -> list[str]:
    path = folder / "secret-key"
    path.write_text(f"{key}\n")
    return [sys.executable, "-I", str(EXAMPLE), str(path), *arguments]


async def test_the_example_gets_a_token(tmp_path: Path, service: ClientSecrets) -> None:
    token = await fetch_token(example(tmp_path, "--url", service.url, "--model", "premium"), 20)
    assert token.reveal() == TOKEN
    assert [(path, key) for path, key, _ in service.asked] == [("/v1/realtime/client_secrets", f"Bearer {KEY}")]
    assert json.loads(service.asked[0][2]) == {"model": "premium", "session": {}}


@pytest.mark.parametrize(
    ("status", "answer", "said"),
    [
        (401, b"{}", "no token the service refused http 401"),
        (503, b"", "no token the service refused http 503"),
        (200, b"{}", "no token the service's answer holds no token"),
        (200, b'{"value": 5}', "no token the service's answer holds no token"),
        (200, b"[]", "no token the service's answer holds no token"),
        (200, b"<html>", "no token … "),
    ],
)
async def test_the_example_says_why_there_is_none(
    tmp_path: Path, service: ClientSecrets, status: int, answer: bytes, said: str
) -> None:
    service.status, service.answer = status, answer
    with pytest.raises(TokenError) as caught:
        await fetch_token(example(tmp_path, "--url", service.url), 20)
    assert f"failed with status 1, saying: {said}" in str(caught.value)


async def test_the_example_takes_the_key_nowhere_else(tmp_path: Path, service: ClientSecrets) -> None:
    service.status, service.location = 302, service.url.replace("client_secrets", "elsewhere")
    with pytest.raises(TokenError, match="http 302"):
        await fetch_token(example(tmp_path, "--url", service.url), 20)
    assert len(service.asked) == 1
    with pytest.raises(TokenError, match="only https"):
        await fetch_token(example(tmp_path, "--url", "http://example.org/v1"), 20)


async def test_the_example_needs_a_key_and_a_service(tmp_path: Path, service: ClientSecrets) -> None:
    with pytest.raises(TokenError, match="not hold one key"):
        await fetch_token(example(tmp_path, "--url", service.url, key="two keys"), 20)
    with pytest.raises(TokenError, match="no such file"):
        await fetch_token([sys.executable, "-I", str(EXAMPLE), "/no/such/file"], 20)
    with pytest.raises(TokenError, match=r"saying: no token .* connection refused"):
        await fetch_token(example(tmp_path, "--url", "http://127.0.0.1:9/"), 20)
    assert service.asked == []


def test_the_example_can_be_started_as_it_is() -> None:
    ended = subprocess.run([EXAMPLE, "--help"], capture_output=True, text=True, check=False)
    assert ended.returncode == 0 and "key_file" in ended.stdout
