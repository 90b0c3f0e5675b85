"""Tools with real programs: every way to fail is an error object, and nothing is left of any of them."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from appliance.box import tools
from appliance.system import wall_clock
from tests.support.programs import alive, children, events_flow, gone, nothing_left, number_in, python, shell, until

ECHO = "import json, sys; json.dump({'got': json.load(sys.stdin)}, sys.stdout)"
SLEEPS = shell("exec sleep 10")


def own(command: list[str], timeout_s: float = 20, parameters: Mapping[str, Any] | None = None) -> tools.Tool:
    return tools.of_owner("own", "A tool", parameters or {}, command, timeout_s)


async def answer(tool: tools.Tool, arguments: str = "{}") -> Any:
    """What the service is told of one call."""
    ((call_id, output),) = await tools.Tools([tool]).run([("call_1", tool.name, arguments)])
    assert call_id == "call_1"
    return json.loads(output)


# ---------------------------------------------------------------- a program's work


async def test_a_program_gets_its_arguments_and_its_answer_is_given() -> None:
    with nothing_left():
        got = await answer(own(python(ECHO)), '{"room": "മുറി", "level": 2.5, "deep": [{"a": null}]}')
    assert got == {"got": {"room": "മുറി", "level": 2.5, "deep": [{"a": None}]}}


async def test_malayalam_reaches_the_model_as_malayalam() -> None:
    ((_, output),) = await tools.Tools([own(python(r"print('\"\\u0d05\\ud800\"')"))]).run([("1", "own", "{}")])
    assert output == '"അ?"'


async def test_a_program_need_not_read_what_it_is_given() -> None:
    arguments = json.dumps({"text": "x" * 60_000})
    for code in ("echo 1", "exec 0<&-; echo 1"):
        assert await answer(own(shell(code)), arguments) == 1


async def test_an_answer_is_complete_when_the_program_ends() -> None:
    size = tools.ANSWER_BYTES - 2
    got = await answer(own(python(f"import sys; sys.stdout.write(chr(34) + 'x' * {size} + chr(34))")))
    assert got == "x" * size


async def test_a_program_sees_no_shell_no_secret_and_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWARAM_API_KEY", "swaram_0123456789")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials")
    monkeypatch.setenv("LC_TIME", "C")
    for name in ("LANGCHAIN_API_KEY", "PATH_TO_KEY", "HOMEBREW_TOKEN", "TZ_KEY", "LC_SECRET"):
        monkeypatch.setenv(name, "swaram_0123456789")
    code = (
        "import json, os, sys; json.dump([dict(os.environ), os.getcwd(), os.getsid(0) == os.getpid(), sys.argv[1:],"
        " sorted(map(int, os.listdir('/proc/self/fd')))], sys.stdout)"
    )
    environment, folder, leads, arguments, files = await answer(own(python(code, "$HOME; echo *")))
    assert (
        {"PATH", "LC_TIME"}
        <= set(environment)
        # LC_CTYPE: Python's own doing, where the locale is C.
        <= {"HOME", "LANG", "LANGUAGE", "PATH", "TZ", "LC_ALL", "LC_CTYPE", "LC_TIME"}
    )
    assert (folder, leads, arguments) == ("/", True, ["$HOME; echo *"])
    assert files[:3] == [0, 1, 2] and len(files) == 4  # the fourth lists the folder


# ---------------------------------------------------------------- acceptance: whatever goes wrong


async def test_a_sleeper_is_ended_when_its_time_is_up(tmp_path: Path) -> None:
    script = shell(f"sleep 60 & echo $! > {tmp_path}/pid; wait")
    began_s = time.monotonic()
    with nothing_left():
        async with events_flow():
            got = await answer(own(script, timeout_s=0.5))
    assert got == {"error": "the tool did not end within 0.5 s"}
    assert time.monotonic() - began_s < 9
    await gone(await number_in(tmp_path / "pid"))


async def test_five_megabytes_are_not_read() -> None:
    code = "import sys\nfor _ in range(5): sys.stdout.write('x' * 1_000_000)"
    with nothing_left():
        assert await answer(own(python(code))) == {"error": "the tool wrote more than 32768 bytes"}


async def test_a_flood_of_complaints_does_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    code = "import sys; sys.stderr.write('x ' * 2_500_000 + '\\nthe last word\\n'); sys.exit(3)"
    with nothing_left():
        assert await answer(own(python(code))) == {"error": "the tool failed with status 3"}
    assert [record.getMessage() for record in caplog.records] == [
        "tool own: the tool failed with status 3 (the last word)"
    ]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (shell("exit 7"), "the tool failed with status 7"),
        (shell("kill -SEGV $$"), "the tool was ended by signal 11"),
        (shell("echo '{\"a\": '"), "the tool's answer is not JSON"),
        (shell("echo NaN"), "the tool's answer is not JSON"),
        (shell("echo 1e999"), "this cannot be said in JSON"),
        (shell("printf '\"\\377\"'"), "the tool's answer is not JSON"),
        (python("print('[' * 30_000)"), "the tool's answer is not JSON"),
        (shell("true"), "the tool answered with nothing"),
        (["/no/such/program"], "the tool cannot be started: No such file or directory"),
        (["/etc/passwd"], "the tool cannot be started: Permission denied"),
        (["/"], "the tool cannot be started: Permission denied"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_failure_is_an_error_object(command: list[str], said: str) -> None:
    with nothing_left():
        assert await answer(own(command)) == {"error": said}


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        ("no program\n", 0o755, 'it does not begin with a line such as "#!/usr/bin/python3"'),
        ("", 0o755, "it is empty"),
        ("#!/bin/sh\necho 1\n", 0o644, "it is not executable: sudo chmod 755"),
        ("#!/bin/sh\r\necho 1\r\n", 0o755, "its lines end as in Windows: sed -i"),
        ("#!/usr/bin/env sh\r\necho 1\r\n", 0o755, "its lines end as in Windows: sed -i"),
        ("\ufeff#!/bin/sh\necho 1\n", 0o755, "before its #! there is a byte order mark"),
        ("#!/no/such/python3\n", 0o755, "its first line names /no/such/python3, which is not there"),
        ("#!/usr/bin/env no-such-node\n", 0o755, "its first line names no-such-node, which is not there"),
        ("#!python3\n", 0o755, "its first line, #!, names no program with its full path"),
        ("#!/bin/sh\nkill -TRAP $$\n", 0o755, '"--jitless" behind its name in the command, or see systemd/README.md'),
    ],
    ids=["no #!", "empty", "not executable", "CRLF", "env CRLF", "BOM", "no interpreter", "no env", "name", "signal 5"],
)
async def test_a_file_that_is_no_program_is_named_as_what_it_is(
    tmp_path: Path, content: str, mode: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "tool"
    path.write_text(content, newline="")
    path.chmod(mode)
    with nothing_left():
        got = await answer(own([str(path)]))
    # What the model hears is for anybody; what to do about it is for the journal.
    assert got["error"].startswith("the tool ") and said not in got["error"]
    (record,) = caplog.records
    assert said in record.getMessage()


async def test_an_ordinary_failure_brings_no_advice(caplog: pytest.LogCaptureFixture) -> None:
    await answer(own(shell("exit 1")))
    assert [record.getMessage() for record in caplog.records] == ["tool own: the tool failed with status 1"]


async def test_what_a_program_leaves_running_is_ended_with_it(tmp_path: Path) -> None:
    script = shell(f"sleep 60 & echo $! > {tmp_path}/pid; echo 5")
    with nothing_left():
        began_s = time.monotonic()
        assert await answer(own(script)) == 5
        assert time.monotonic() - began_s < 9
    await gone(await number_in(tmp_path / "pid"))


async def test_a_stopped_program_is_ended_too(tmp_path: Path) -> None:
    with nothing_left():
        assert "error" in await answer(own(shell("kill -STOP $$"), timeout_s=0.5))


# ---------------------------------------------------------------- several, and none any more


async def test_calls_of_one_reply_run_side_by_side(tmp_path: Path) -> None:
    """Each waits for the other's sign, so one after the other would not end."""
    code = "touch {0}; until [ -e {1} ]; do sleep 0.01; done; echo 1"
    offered = tools.Tools(
        [
            tools.of_owner("a", "", {}, shell(code.format(tmp_path / "a", tmp_path / "b")), 20),
            tools.of_owner("b", "", {}, shell(code.format(tmp_path / "b", tmp_path / "a")), 20),
        ]
    )
    with nothing_left():
        outputs = await offered.run([("1", "a", "{}"), ("2", "b", ""), ("3", "missing", "{}")])
    assert outputs == (("1", "1"), ("2", "1"), ("3", '{"error": "there is no tool \'missing\'"}'))


async def test_more_calls_than_fit_are_each_answered() -> None:
    offered = tools.Tools([own(shell("echo 1"))])
    count = tools.CALLS_AT_ONCE + 2
    with nothing_left():
        outputs = await offered.run([(str(number), "own", "{}") for number in range(count)])
    assert [call_id for call_id, _ in outputs] == [str(number) for number in range(count)]
    assert [output for _, output in outputs[:-2]] == ["1"] * tools.CALLS_AT_ONCE
    assert all("error" in json.loads(output) for _, output in outputs[-2:])


async def test_an_abort_ends_and_reaps_all_at_once(tmp_path: Path) -> None:
    script = shell(f"trap '' TERM INT HUP; sleep 60 & echo $! > {tmp_path}/pid; wait; sleep 10")
    offered = tools.Tools([own(script), tools.of_owner("other", "", {}, SLEEPS, 20)])
    with nothing_left():
        before = children()
        task = asyncio.create_task(offered.run([("1", "own", "{}"), ("2", "other", "{}")]))
        grandchild = await number_in(tmp_path / "pid")
        assert len(children() - before) == 2 and alive(grandchild)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
    await gone(grandchild)


async def test_the_end_of_the_loop_leaves_nothing() -> None:
    """As when the daemon stops: the task is cancelled, perhaps twice, and nobody awaits it."""

    async def main() -> None:
        task = asyncio.create_task(tools.Tools([own(SLEEPS)]).run([("1", "own", "{}")]))
        await until(lambda: bool(children() - before))
        task.cancel()
        tasks.append(task)

    before, tasks = children(), list[asyncio.Task[Any]]()
    await asyncio.to_thread(asyncio.run, main())
    assert tasks[0].cancelled()
    # Where the machine takes longer than KILLED_S over it, a thread reaps what was killed.
    await until(lambda: children() == before)


# ---------------------------------------------------------------- arguments


SCHEMA: dict[str, Any] = {
    "properties": {"room": {"type": "string", "enum": ["shop", "yard"]}, "level": {"type": "integer", "maximum": 9}},
    "required": ["room"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("{", "the arguments are not JSON"),
        ('{"room": NaN}', "the arguments are not JSON"),
        ("[" * 60_000, "the arguments are not JSON"),
        (f'{{"level": {"9" * 5000}}}', "the arguments are not JSON"),
        ("[]", "the arguments are not a JSON object"),
        ('{"room": "' + "x" * 70_000 + '"}', "the arguments are too long"),
        ("", "the arguments must have 'room'"),
        ('{"room": "attic"}', "room must be one of shop, yard"),
        ('{"room": 5}', "room must be of type string"),
        ('{"room": "shop", "level": 10}', "level must be at most 9"),
        ('{"room": "shop", "colour": 1}', "the arguments must have nothing but 'room', 'level'"),
    ],
)
async def test_arguments_that_do_not_fit_start_nothing(tmp_path: Path, arguments: str, said: str) -> None:
    tool = own(shell(f"touch {tmp_path}/started; echo 1"), parameters=SCHEMA)
    assert await answer(tool, arguments) == {"error": said}
    assert not (tmp_path / "started").exists()
    assert await answer(tool, '{"room": "shop", "level": 9.0}') == 1


def test_what_is_declared_is_a_whole_schema() -> None:
    assert own(SLEEPS).parameters == {"type": "object", "properties": {}}
    assert own(SLEEPS, parameters=SCHEMA).parameters == {"type": "object", **SCHEMA}


async def test_neither_arguments_nor_answers_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await answer(own(python(ECHO)), '{"secret": "whisper"}')
    await answer(own(shell("cat >&2; echo whisper; exit 1")), '{"secret": 5}')
    await answer(own(SLEEPS, parameters={"additionalProperties": False}), '{"whisper": 5}')
    assert "whisper" not in caplog.text and "tool own: answered" in caplog.text


@pytest.mark.parametrize("name", ["own\n<3>daemon: ready", "\x1b[2Jown", "own\u202e" + "x" * 300, "o\r\u2028wn"])
async def test_a_name_from_the_service_cannot_forge_a_line(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await tools.Tools([]).run([("1", name, "{}")])
    await tools.Tools([tools.Tool(name, "", {}, own(shell("echo 1")).action)]).run([("1", name, "{}")])
    refusing = tools.Tool(name, "", {"additionalProperties": False}, own(shell("echo 1")).action)
    await tools.Tools([refusing]).run([("1", name, json.dumps({name: 1}))])
    assert len(caplog.records) == 3
    for record in caplog.records:
        text = f"{record.getMessage()}{record.__dict__['entry'].fields['TOOL']}"
        assert text.isprintable() and len(text) < 500


# ---------------------------------------------------------------- built in


async def yes() -> bool:
    return True


async def no() -> bool:
    return False


async def test_the_time_is_unknown_until_the_clock_is_set() -> None:
    moment = time.struct_time((2026, 3, 1, 7, 5, 0, 6, 60, 0, "IST", 19_800))
    assert await answer(tools.get_time(yes, lambda: moment)) == {"time": "2026-03-01 07:05, Sunday, UTC+0530"}
    assert (await answer(tools.get_time(no, lambda: moment)))["time"] == "unknown"


ZONES = """
import ctypes, os, sys, time
from appliance.system.wall_clock import local_time

def of_machine(zone):
    os.environ.pop("TZ", None)
    assert ctypes.CDLL(None).mount(b"/usr/share/zoneinfo/" + zone.encode(), b"/etc/localtime", None, 4096, None) == 0

def of_process(zone):
    os.environ["TZ"] = zone

for zone in ("UTC", "Asia/Kolkata", "America/New_York"):
    globals()[sys.argv[1]](zone)
    print(time.strftime("%H:%M %z", local_time(0)))
"""


@pytest.mark.parametrize(("set_zone", "before"), [("of_process", []), ("of_machine", ["unshare", "--mount"])])
def test_the_time_follows_a_zone_that_is_set_while_the_daemon_runs(set_zone: str, before: list[str]) -> None:
    if before and os.geteuid() != 0:
        pytest.skip("only root can put another file over /etc/localtime")
    ended = subprocess.run(
        [*before, sys.executable, "-c", ZONES, set_zone], capture_output=True, text=True, check=False
    )
    assert ended.stdout.split("\n") == ["00:00 +0000", "05:30 +0530", "19:00 -0500", ""], ended.stderr


async def test_the_clock_is_believed_once_it_was_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = tmp_path / "synchronized"
    for printed, expected in (("yes", True), ("no", False), ("", False)):
        monkeypatch.setattr(wall_clock, "ASK", shell(f"echo {printed}"))
        assert await wall_clock.is_synchronised(str(mark)) is expected
    for broken in (["/no/such/program"], shell("echo yes; exit 1")):
        monkeypatch.setattr(wall_clock, "ASK", broken)
        assert not await wall_clock.is_synchronised(str(mark))
    mark.touch()
    assert await wall_clock.is_synchronised(str(mark))


async def test_the_volume_stays_within_the_owners_limits() -> None:
    applied: list[int] = []
    tool = tools.set_volume(20, 70, applied.append)
    assert await answer(tool, '{"percent": 55}') == {"percent": 55}
    assert await answer(tool, '{"percent": 55.0}') == {"percent": 55}
    assert (await answer(tool, '{"percent": 0}'))["percent"] == 20
    assert (await answer(tool, '{"percent": 100}'))["percent"] == 70
    for wrong in ("101", "-1", '"55"', "true", "5.5", "null"):
        assert "error" in await answer(tool, f'{{"percent": {wrong}}}')
    assert "error" in await answer(tool) and "error" in await answer(tool, '{"percent": 5, "room": 1}')
    assert applied == [55, 55, 20, 70]


async def test_the_end_of_the_conversation_is_asked_for() -> None:
    ends: list[bool] = []
    assert "goodbye" in (await answer(tools.end_conversation(lambda: ends.append(True))))["status"]
    assert ends == [True]


async def test_the_status_is_what_the_box_says() -> None:
    assert await answer(tools.appliance_status(lambda: {"volume_percent": 40})) == {"volume_percent": 40}
