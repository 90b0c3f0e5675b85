"""The control socket and ``voice-appliance ctl``, over a real Unix socket."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import grp
import json
import logging
import os
import socket
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from appliance.commands import ctl
from appliance.control import client as control_client
from appliance.control import server as control
from appliance.control.server import LONGEST_REQUEST_BYTES, MOST_CLIENTS, MOST_WATCHERS, SLOW_BYTES, ControlServer
from appliance.errors import UnavailableError, UsageError

TIMEOUT_S = 20.0
"""For what takes milliseconds on an idle machine."""


class Box:
    """What a daemon does with it all: note it."""

    def __init__(self) -> None:
        self.done: list[tuple[object, ...]] = []
        self.fails = False

    def status(self) -> dict[str, Any]:
        if self.fails:
            raise RuntimeError("a fault of ours")
        return {"state": "ready", "fault": None, "microphone": {"name": "USB Audio", "hz": 48000}, "jammed": False}

    def edge(self, down: bool, source: str) -> None:
        self.done.append(("down" if down else "up", source))

    def history(self) -> dict[str, Any]:
        return {"version": 1, "boots": {}, "changes": [], "days": {"2026-11-21": {"turn_answered": 3}}}

    def quiet(self) -> None:
        self.done.append(("quiet",))

    def retry(self) -> None:
        self.done.append(("retry",))

    def set_volume(self, percent: int) -> None:
        self.done.append(("volume", percent))

    def mute(self, wanted: bool) -> None:
        self.done.append(("mute" if wanted else "unmute",))
        if self.fails:
            raise UnavailableError("the switch keeps it off")

    def record(self, wanted: bool) -> None:
        self.done.append(("record", wanted))
        if self.fails:
            raise UnavailableError("nowhere to keep it")

    def tone(self) -> None:
        self.done.append(("tone",))

    def identify(self) -> None:
        self.done.append(("identify",))

    def hang_up(self) -> None:
        self.done.append(("hang-up",))


@contextlib.asynccontextmanager
async def serving(path: Path, box: Box, *, captions: bool = False) -> AsyncIterator[ControlServer]:
    server = ControlServer(str(path), box, captions=captions)
    task = asyncio.create_task(server.run())
    async with asyncio.timeout(TIMEOUT_S):
        await server.listening.wait()
    try:
        yield server
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "control client"]


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def line(self) -> dict[str, Any] | None:
        """The next line, or None at the end."""
        async with asyncio.timeout(TIMEOUT_S):
            line = await self.reader.readline()
        line.decode("ascii")
        return json.loads(line) if line else None

    async def ask(self, request: object) -> dict[str, Any] | None:
        self.writer.write(request if isinstance(request, bytes) else json.dumps(request).encode() + b"\n")
        return await self.line()

    async def gone(self) -> None:
        """Until the server has closed the connection, whatever it still sends."""
        async with asyncio.timeout(TIMEOUT_S):
            with contextlib.suppress(ConnectionError):
                while await self.reader.read(65_536):
                    pass


@contextlib.asynccontextmanager
async def connected(path: Path) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_unix_connection(str(path), limit=1 << 22)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "control.sock"


# ------------------------------------------------------------ requests


async def test_every_command_reaches_the_box(path: Path) -> None:
    box = Box()
    async with serving(path, box), connected(path) as client:
        for command in ("press", "release", "tap", "stop", "retry", "mute", "unmute", "tone", "hang-up"):
            assert await client.ask({"command": command}) == {"ok": True}
        assert await client.ask({"command": "status"}) == {"ok": True, "status": box.status()}
    button = "control socket"
    edges = [("down", button), ("up", button)] * 2
    assert box.done == [*edges, ("quiet",), ("retry",), ("mute",), ("unmute",), ("tone",), ("hang-up",)]


async def test_a_volume_is_a_whole_percentage(path: Path) -> None:
    box = Box()
    async with serving(path, box), connected(path) as client:
        assert await client.ask({"command": "volume", "percent": 60}) == {"ok": True}
        for wrong in (None, -1, 101, 5.5, "60", True):
            refused = await client.ask({"command": "volume", "percent": wrong})
            assert refused == {"ok": False, "error": '"percent" is a whole number from 0 to 100'}
    assert box.done == [("volume", 60)]


async def test_a_record_is_switched_on_or_off(path: Path) -> None:
    box = Box()
    async with serving(path, box), connected(path) as client:
        for wanted in (True, False):
            assert await client.ask({"command": "record", "on": wanted}) == {"ok": True}
        for wrong in (None, 1, "on"):
            assert await client.ask({"command": "record", "on": wrong}) == {
                "ok": False,
                "error": '"on" is true or false',
            }
        box.fails = True
        assert await client.ask({"command": "record", "on": True}) == {"ok": False, "error": "nowhere to keep it"}
    assert box.done == [("record", True), ("record", False), ("record", True)]


async def test_what_the_box_refuses_is_said_and_is_no_fault(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    box = Box()
    box.fails = True
    async with serving(path, box), connected(path) as client:
        assert await client.ask({"command": "unmute"}) == {"ok": False, "error": "the switch keeps it off"}
    assert not caplog.records


async def test_press_and_release_on_two_connections_are_one_button(path: Path) -> None:
    box = Box()
    async with serving(path, box):
        async with connected(path) as one:
            await one.ask({"command": "press"})
        async with connected(path) as other:
            await other.ask({"command": "release"})
    assert box.done == [("down", "control socket"), ("up", "control socket")]


async def test_a_press_names_the_user_behind_it(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with serving(path, Box()), connected(path) as client:
        await client.ask({"command": "press"})
        await client.ask({"command": "status"})
    assert [record.message for record in caplog.records] == [f"control socket: press by user id {os.getuid()}"]


@pytest.mark.parametrize(
    "request_line",
    [
        b"status\n",
        b"\n",
        b"\xff\xfe\x00\n",
        b"[]\n",
        b'"status"\n',
        b"{}\n",
        b'{"command": 7}\n',
        b'{"command": ["press"]}\n',
        b'{"command": "restart"}\n',
        b"[" * 3000 + b"\n",
        b'{"command": "press"\n',
    ],
)
async def test_what_cannot_be_understood_is_refused_and_the_connection_lives(path: Path, request_line: bytes) -> None:
    box = Box()
    async with serving(path, box), connected(path) as client:
        refusal = await client.ask(request_line)
        assert refusal is not None and refusal["ok"] is False and "\n" not in refusal["error"]
        assert await client.ask({"command": "stop"}) == {"ok": True}
    assert box.done == [("quiet",)]


async def test_a_request_without_end_is_refused_and_the_connection_closed(path: Path) -> None:
    async with serving(path, Box()), connected(path) as client:
        refusal = await client.ask(b"x" * (4 * LONGEST_REQUEST_BYTES))
        assert refusal is not None and str(LONGEST_REQUEST_BYTES) in refusal["error"]
        await client.gone()


async def test_a_fault_of_ours_is_one_refusal_and_the_server_lives(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    box = Box()
    async with serving(path, box), connected(path) as client:
        box.fails = True
        refusal = await client.ask({"command": "status"})
        box.fails = False
        assert refusal == {"ok": False, "error": "internal fault; the log has it"}
        assert "status failed" in caplog.text
        answer = await client.ask({"command": "status"})
        assert answer is not None and answer["ok"]


async def test_silent_clients_lock_nobody_out(path: Path) -> None:
    async with serving(path, Box()), contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(path)) for _ in range(MOST_CLIENTS)]
        # The first asks last: whoever comes next must not cost it its place.
        for client in reversed(clients):
            assert await client.ask({"command": "retry"}) == {"ok": True}
        answer = await asyncio.to_thread(control_client.ask, str(path), "status")
        assert answer["status"]["state"] == "ready"
        refusal = await clients[-1].line()
        assert refusal is not None and f"more than {MOST_CLIENTS} clients" in refusal["error"]
        await clients[-1].gone()
        assert await clients[0].ask({"command": "retry"}) == {"ok": True}


async def test_a_client_that_neither_asks_nor_watches_is_dropped(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "IDLE_S", 0.2)
    async with serving(path, Box()) as server, connected(path) as silent, connected(path) as watcher:
        assert await watcher.ask({"command": "watch"}) is not None
        assert await silent.ask({"command": "retry"}) == {"ok": True}
        silent.writer.write(b'{"command": ')
        refusal = await silent.line()
        assert refusal is not None and "nothing asked for" in refusal["error"]
        await silent.gone()
        # Who watches may be silent for ever.
        server.publish({"event": "state"})
        event = await watcher.line()
        assert event is not None and event["event"] == "state"


async def test_who_asks_and_never_reads_is_dropped_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "IDLE_S", 0.2)
    async with serving(path, Box()), connected(path) as deaf:
        with contextlib.suppress(ConnectionError):
            while True:
                deaf.writer.write(b'{"command": "status"}\n' * 1_000)
                async with asyncio.timeout(TIMEOUT_S):
                    await deaf.writer.drain()
        assert (await asyncio.to_thread(control_client.ask, str(path), "status"))["ok"]


async def test_those_who_watch_leave_places_to_those_who_ask(path: Path) -> None:
    async with serving(path, Box()), contextlib.AsyncExitStack() as stack:
        for _ in range(MOST_WATCHERS):
            watcher = await stack.enter_async_context(connected(path))
            answer = await watcher.ask({"command": "watch"})
            assert answer is not None and answer["ok"]
        async with connected(path) as surplus:
            refusal = await surplus.ask({"command": "watch"})
            assert refusal == {"ok": False, "error": f"{MOST_WATCHERS} clients watch already"}
            assert await surplus.ask({"command": "retry"}) == {"ok": True}


# ------------------------------------------------------------ watching


async def test_a_watcher_gets_the_status_and_then_every_event_with_its_time(path: Path) -> None:
    box = Box()
    async with serving(path, box) as server, connected(path) as client:
        server.publish({"event": "state", "state": "too early for anybody"})
        assert await client.ask({"command": "watch"}) == {"ok": True, "status": box.status()}
        before_s = asyncio.get_running_loop().time()
        server.publish({"event": "state", "state": "listening"})
        server.publish({"event": "turn", "turn": 1})
        first, second = await client.line(), await client.line()
        assert first is not None and second is not None
        assert abs(first.pop("time_s") - before_s) < TIMEOUT_S
        assert first == {"event": "state", "state": "listening"}
        assert second["turn"] == 1
        # A watcher may still ask.
        assert await client.ask({"command": "stop"}) == {"ok": True}
    assert box.done == [("quiet",)]


async def test_captions_only_for_who_asks(path: Path) -> None:
    async with (
        serving(path, Box(), captions=True) as server,
        connected(path) as reading,
        connected(path) as watching,
    ):
        await reading.ask({"command": "watch", "captions": True})
        await watching.ask({"command": "watch"})
        server.publish({"event": "caption", "side": "box", "text": "നമസ്കാരം"})
        server.publish({"event": "state", "state": "ready"})
        caption = await reading.line()
        assert caption is not None and (caption["event"], caption["text"]) == ("caption", "നമസ്കാരം")
        for client in (reading, watching):
            following = await client.line()
            assert following is not None and following["event"] == "state"


async def test_levels_only_for_who_asks(path: Path) -> None:
    async with serving(path, Box()) as server, connected(path) as metering, connected(path) as watching:
        assert not server.is_wanted("level")
        await metering.ask({"command": "watch", "levels": True})
        await watching.ask({"command": "watch"})
        assert server.is_wanted("level") and not server.is_wanted("caption")
        server.publish({"event": "level", "dbfs": -20.5})
        server.publish({"event": "state", "state": "ready"})
        level, state = await metering.line(), await watching.line()
        assert level is not None and (level["event"], level["dbfs"]) == ("level", -20.5)
        assert state is not None and state["event"] == "state"
        # A line that is too long ends it.
        metering.writer.write(b"x" * 10_000)
        await metering.gone()
        assert not server.is_wanted("level")


async def test_captions_only_if_the_owner_allows_them(path: Path) -> None:
    async with serving(path, Box(), captions=False) as server, connected(path) as client:
        refusal = await client.ask({"command": "watch", "captions": True})
        assert refusal is not None and "control.captions" in refusal["error"]
        await client.ask({"command": "watch"})
        server.publish({"event": "caption", "side": "person", "text": "secret"})
        server.publish({"event": "state", "state": "ready"})
        following = await client.line()
        assert following is not None and following["event"] == "state"


async def test_a_watcher_that_does_not_read_is_dropped_and_the_others_miss_nothing(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with serving(path, Box()) as server, connected(path) as good:
        sleeper = socket.socket(socket.AF_UNIX)
        with sleeper:
            sleeper.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(sleeper, str(path))
            await loop.sock_sendall(sleeper, b'{"command": "watch"}\n')
            await loop.sock_recv(sleeper, 65_536)
            await good.ask({"command": "watch"})
            count = 0
            async with asyncio.timeout(TIMEOUT_S):
                while not caplog.records:
                    server.publish({"event": "state", "number": count, "filler": "x" * 1000})
                    following = await good.line()
                    assert following is not None and following["number"] == count
                    count += 1
            assert count > SLOW_BYTES // 1100
            assert "dropped" in caplog.records[0].message
            server.publish({"event": "state", "number": count})
            following = await good.line()
            assert following is not None and following["number"] == count
            assert len(caplog.records) == 1


async def test_a_watcher_that_leaves_is_forgotten(path: Path) -> None:
    async with serving(path, Box()) as server:
        async with connected(path) as client:
            await client.ask({"command": "watch"})
        async with connected(path) as other:
            await other.ask({"command": "watch"})
            for _ in range(10):
                server.publish({"event": "state"})
                assert await other.line() is not None


# ------------------------------------------------------------ the file


async def test_only_the_group_may_use_it_and_it_is_gone_at_the_end(path: Path) -> None:
    before = os.umask(0)
    try:
        async with serving(path, Box()):
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
            assert stat.S_IMODE(os.stat(path.parent).st_mode) == 0o750
        assert os.listdir(path.parent) == []
    finally:
        os.umask(before)


async def test_the_socket_of_a_killed_daemon_is_replaced(path: Path) -> None:
    os.mkdir(path.parent)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    box = Box()
    async with serving(path, box), connected(path) as client:
        assert await client.ask({"command": "retry"}) == {"ok": True}


async def test_a_second_daemon_does_not_take_the_socket_of_the_first(path: Path) -> None:
    box = Box()
    async with serving(path, box):
        with pytest.raises(UnavailableError, match="another daemon"):
            await ControlServer(str(path), Box(), captions=False).run()
        async with connected(path) as client:
            await client.ask({"command": "retry"})
    assert box.done == [("retry",)]


@pytest.mark.parametrize("obstacle", ["a file", "a folder that is a file", "a path too long"])
async def test_a_socket_that_cannot_be_made_is_one_line_and_the_box_goes_on(
    tmp_path: Path, obstacle: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "run" / "control.sock"
    match obstacle:
        case "a file":
            path.parent.mkdir()
            path.write_text("somebody's")
        case "a folder that is a file":
            path.parent.write_text("somebody's")
        case _:
            path = tmp_path / ("x" * 120)
    server = ControlServer(str(path), Box(), captions=False)
    task = asyncio.create_task(server.run())
    await asyncio.sleep(0)
    assert not task.done()
    server.publish({"event": "state"})
    (record,) = caplog.records
    assert "control.socket" in record.message and str(path) in record.message
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert not path.exists() or path.read_text() == "somebody's"


async def test_clients_do_not_keep_the_server_from_ending(path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        async with serving(path, Box()):
            client = await stack.enter_async_context(connected(path))
            await client.ask({"command": "watch"})
        await client.gone()


# ------------------------------------------------------------ the command


async def run_ctl(path: Path, *arguments: str) -> int:
    """``voice-appliance ctl …`` in a thread, as the loop serves it."""
    parser = argparse.ArgumentParser()
    ctl.add_arguments(parser)
    args = parser.parse_args([*arguments, "--socket", str(path)])
    return await asyncio.to_thread(ctl.run, args)


async def test_ctl_drives_the_box(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    box = Box()
    async with serving(path, box):
        for command in ("press", "release", "stop", "retry", "identify"):
            assert await run_ctl(path, command) == 0
    assert [action[0] for action in box.done] == ["down", "up", "quiet", "retry", "identify"]
    assert capsys.readouterr().out == "done\n" * 5


async def test_ctl_takes_a_value_where_one_belongs(path: Path) -> None:
    box = Box()
    async with serving(path, box):
        for arguments in (("record", "on"), ("record", "off"), ("volume", "60")):
            assert await run_ctl(path, *arguments) == 0
        for wrong in (
            ("record",),
            ("record", "yes"),
            ("volume",),
            ("volume", "loud"),
            ("volume", "-1"),
            ("stop", "now"),
        ):
            with pytest.raises((UsageError, SystemExit)):
                await run_ctl(path, *wrong)
    assert box.done == [("record", True), ("record", False), ("volume", 60)]


async def test_ctl_shows_the_status_for_people_and_for_programs(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    box = Box()
    async with serving(path, box):
        assert await run_ctl(path, "status") == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split(maxsplit=1) for line in lines] == [
            ["state", "ready"],
            ["fault", "-"],
            ["microphone.name", "USB Audio"],
            ["microphone.hz", "48000"],
            ["jammed", "no"],
        ]
        assert await run_ctl(path, "status", "--json") == 0
        (line,) = capsys.readouterr().out.splitlines()
        assert json.loads(line) == {"ok": True, "status": box.status()}


async def test_ctl_finds_the_socket_that_the_configuration_names(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = tmp_path / "config.toml"
    written.write_text(f'[control]\nsocket = "{path}"\n')
    args = argparse.Namespace(what="retry", captions=False, socket=None, json=False, value=None, config=str(written))
    async with serving(path, Box()):
        assert await asyncio.to_thread(ctl.run, args) == 0
    assert capsys.readouterr().out == "done\n"


async def test_ctl_watch_over_a_pipe_shows_events_as_they_happen(path: Path) -> None:
    arguments = ("-m", "appliance", "ctl", "watch", "--captions", "--socket", str(path))
    pipe = asyncio.subprocess.PIPE
    async with serving(path, Box(), captions=True) as server:
        watching = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, stdout=pipe, stderr=pipe, env={**os.environ, "PYTHONUTF8": "1"}
        )
        out, err = watching.stdout, watching.stderr
        assert out is not None and err is not None

        async def next_line() -> str:
            async with asyncio.timeout(TIMEOUT_S):
                return (await out.readline()).decode("utf-8").rstrip("\n")

        status = [await next_line() for _ in range(5)]
        assert status[0].split() == ["state", "ready"]
        server.publish({"event": "state", "time_s": 12.5, "state": "listening", "link": None})
        assert await next_line() == "      12.500  state   state=listening link=-"
        server.publish({"event": "caption", "time_s": 13.0, "side": "box", "text": "\x1b[31mനമസ്\u200dകാരം"})
        assert await next_line() == "      13.000  caption side=box"
        # Alone on its line, its joiners kept, and nothing for the terminal to obey.
        assert await next_line() == " [31mനമസ്\u200dകാരം"
    async with asyncio.timeout(TIMEOUT_S):
        assert (await err.read()).decode() == "voice-appliance: the daemon has ended the connection\n"
        assert await watching.wait() == 69


@pytest.mark.parametrize("left_behind", [False, True])
async def test_ctl_without_a_daemon_is_one_line(path: Path, left_behind: bool) -> None:
    if left_behind:
        os.mkdir(path.parent)
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
    with pytest.raises(UnavailableError) as raised:
        await run_ctl(path, "status")
    assert str(raised.value) == f"no daemon listens on {path}: is it running? (systemctl status voice-appliance)"
    assert raised.value.exit_code == 69


async def test_ctl_says_which_group_is_missing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    async with serving(path, Box()):
        # Root is refused nothing, and tests may run as root.
        monkeypatch.setattr(socket.socket, "connect", refuse)
        with pytest.raises(UnavailableError) as raised:
            await run_ctl(path, "press")
    group = grp.getgrgid(os.getegid()).gr_name
    assert f"it is for group {group} (sudo usermod -aG {group} $USER" in str(raised.value)


async def test_ctl_says_what_the_daemon_refuses(path: Path) -> None:
    async with serving(path, Box()):
        with pytest.raises(UnavailableError, match=r"control\.captions = true"):
            await run_ctl(path, "watch", "--captions")


async def test_captions_go_with_watch(path: Path) -> None:
    with pytest.raises(UsageError, match="--captions"):
        await run_ctl(path, "press", "--captions")


@pytest.mark.parametrize("command", ["status", "history", "idle"])
async def test_ctl_of_a_daemon_that_is_killed_while_it_answers(
    path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(path.parent))
    os.mkdir(path.parent)

    async def killed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b'{"ok": tr')
        writer.close()

    async with await asyncio.start_unix_server(killed, path):
        with pytest.raises(UnavailableError, match=r"ended the connection|there is no history"):
            await run_ctl(path, command)


async def test_ctl_does_not_wait_for_ever_for_a_hung_daemon(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_client, "ANSWER_TIMEOUT_S", 0.05)
    os.mkdir(path.parent)
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(str(path))
        hung.listen()
        with pytest.raises(UnavailableError, match="does not answer"):
            await run_ctl(path, "status")


async def test_ctl_status_keeps_a_column_between_names_and_values(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Box()
    monkeypatch.setattr(box, "status", lambda: {"last_turn": {"first_delta_to_audible_s": 0.25}, "state": "ready"})
    async with serving(path, box):
        assert await run_ctl(path, "status") == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["last_turn.first_delta_to_audible_s", "0.25"],
        ["state", "ready"],
    ]
