"""The command: a service for installers."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from pathlib import Path

from websockets.asyncio.client import connect

from appliance.realtime import codec, events
from appliance.simulator import catalog


async def simulate(*arguments: str) -> tuple[asyncio.subprocess.Process, str]:
    """A running service and its address."""
    program = (sys.executable, "-m", "appliance", "simulate", "--port", "0", *arguments)
    process = await asyncio.create_subprocess_exec(*program, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    found = re.search(r"ws://127\.0\.0\.1:\d+/\S+?(?=;)", line)
    assert found, line
    return process, found.group()


async def test_it_serves_until_it_is_stopped(tmp_path: Path) -> None:
    scenario = tmp_path / "scenario.toml"
    scenario.write_text('[[connection]]\nstep = [{ on = "ready", do = "close", code = 1013 }]\n', encoding="utf-8")
    process, url = await simulate("--key", "swaram_test", "--scenario", str(scenario))
    headers = {"Authorization": "Bearer swaram_test"}
    async with connect(f"{url}?model=any", additional_headers=headers, proxy=None) as connection:
        assert isinstance(codec.decode(await connection.recv()), events.SessionCreated)
        await connection.send(codec.encode(events.SessionUpdate(events.SessionSettings("", ""))))
        await connection.wait_closed()
        assert connection.close_code == 1013
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0


async def test_readings_and_fields() -> None:
    process, url = await simulate("--reading", "no-ids", "--reading", "beta-names done-bare", "--fields", "openai")
    async with connect(f"{url}?model=any", additional_headers={"Authorization": "Bearer x"}, proxy=None) as connection:
        assert json.loads(await connection.recv())["session"]["audio"]["output"]["format"]["rate"] == 24_000
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0


async def test_all_readings_are_in_the_help_and_in_the_list() -> None:
    for argument in ("--help", "--list-readings"):
        program = (sys.executable, "-m", "appliance", "simulate", argument)
        process = await asyncio.create_subprocess_exec(*program, stdout=asyncio.subprocess.PIPE)
        said, _ = await process.communicate()
        assert process.returncode == 0
        words = set(re.split(r"[\s,]+", said.decode()))
        assert words >= set(catalog.names())


async def test_a_bad_scenario_and_a_taken_port_are_one_line_each(tmp_path: Path) -> None:
    process, url = await simulate()
    port = url.split(":")[2].split("/")[0]
    notepad = tmp_path / "notepad.toml"
    notepad.write_text("[[connection]]\n", encoding="utf-16")
    wrong = (
        (["--scenario", str(tmp_path / "none")], 78),
        (["--scenario", str(notepad)], 78),
        (["--port", port], 69),
        (["--port", "65536"], 64),
        (["--reading", "no-id"], 64),
        (["--reading", "no-ids", "--reading", "id-reused"], 64),
    )
    for arguments, code in wrong:
        program = (sys.executable, "-m", "appliance", "simulate", *arguments)
        other = await asyncio.create_subprocess_exec(*program, stderr=asyncio.subprocess.PIPE)
        _, said = await other.communicate()
        assert other.returncode == code
        assert len(said.splitlines()) == 1
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 0
