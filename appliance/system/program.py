"""Runs a program of the owner's: bytes in, bytes out, within a time and a size, and nothing of it stays behind.

No shell, a clean environment, a process group of its own. Everything runs in the thread of the event loop, which also
pays for the start, a ``vfork`` of 2 to 4 ms; nothing here blocks. asyncio's own subprocesses are not used: on Python
3.11 each has a thread that waits for it, reaps it behind our back, and frees its number before the rest of its group
is killed. Here the program stays unreaped, so that the number cannot become another's, until its group is dead.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from typing import IO, Final

from appliance.errors import ProgramError
from appliance.journal.foreign_text import masked
from appliance.system.program_file import why

log = logging.getLogger(__name__)

PASSED_ON: Final = (
    *("HOME", "LANG", "LANGUAGE", "PATH", "TZ", "LC_ALL", "LC_COLLATE", "LC_CTYPE", "LC_MESSAGES", "LC_MONETARY"),
    *("LC_NUMERIC", "LC_TIME", "LC_ADDRESS", "LC_IDENTIFICATION", "LC_MEASUREMENT", "LC_NAME", "LC_PAPER"),
    "LC_TELEPHONE",
)
"""The variables that a program gets to see: where it runs and in which language (locale(7)). Whole names: a beginning
would let LANGCHAIN_API_KEY pass. No key, no CREDENTIALS_DIRECTORY, no NOTIFY_SOCKET."""

READ_BYTES: Final = 65_536
"""At once: what a pipe holds."""

COMPLAINT_BYTES: Final = 2_048
"""The end of its standard error that is kept; the last line of it is shown."""

ORDINARY_PRIORITY: Final = 0
"""The daemon runs above it (its unit says ``Nice=-10``), for the sound's sake. A program of the owner's does not."""

KILLED_S: Final = 0.05
"""A killed process is over within some 100 µs. One that sits in the kernel must not hold up the loop."""


async def run(command: Sequence[str], given: bytes, timeout_s: float, limit_bytes: int) -> bytes:
    """What ``command`` (a program with its full path, and its arguments) writes to standard output, having been given
    ``given`` on standard input.

    The answer is complete when the program itself ends; what it has started and left running is killed then. (What has
    made itself a session of its own, as daemons do, is beyond reach here; the unit's control group has it.) Raises
    ProgramError if it cannot be started, does not end within ``timeout_s``, writes more than ``limit_bytes``, or ends
    with a status other than 0. However this ends, also by cancellation, the program is dead and reaped.
    """
    running = _Running(command, given, limit_bytes)
    try:
        async with asyncio.timeout(timeout_s):
            await running.over
        return running.answer()
    except TimeoutError:
        raise ProgramError(f"did not end within {timeout_s:g} s", running.complaint()) from None
    finally:
        running.end()


def _started(command: Sequence[str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            bufsize=0,
            cwd="/",
            env=_clean(os.environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise ProgramError(f"cannot be started: {error.strerror or error}", advice=why(command[0])) from None


class _Running:
    """One program that runs, and our ends of its pipes."""

    def __init__(self, command: Sequence[str], given: bytes, limit_bytes: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._path = command[0]
        self._given = memoryview(given)
        self._limit_bytes = limit_bytes
        self._output = bytearray()
        self._errors = bytearray()
        self.over: asyncio.Future[None] = self._loop.create_future()
        """Done when the program has ended or has written too much."""
        self._process = _started(command)
        stdin, stdout, stderr = self._process.stdin, self._process.stdout, self._process.stderr
        assert stdin is not None and stdout is not None and stderr is not None
        self._stdin, self._stdout, self._stderr = stdin, stdout, stderr
        self._ended: int | None = None
        """A descriptor that becomes readable when the program ends; None if the system gives none."""
        try:
            self._ended = os.pidfd_open(self._process.pid)
        except OSError as error:
            self.end()
            raise ProgramError(f"cannot be watched: {error.strerror}") from None
        # A priority that is ordinary already may be refused, and need not be changed.
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PGRP, self._process.pid, ORDINARY_PRIORITY)
        for pipe in (stdin, stdout, stderr):
            os.set_blocking(pipe.fileno(), False)
        self._loop.add_writer(self._stdin, self._write)
        self._loop.add_reader(self._stdout, self._read_output)
        self._loop.add_reader(self._stderr, self._read_errors)
        self._loop.add_reader(self._ended, self._finish)

    def answer(self) -> bytes:
        """Its output, once ``over`` is done; raises ProgramError if it failed."""
        if len(self._output) > self._limit_bytes:
            raise ProgramError(f"wrote more than {self._limit_bytes} bytes", self.complaint())
        self._kill()
        status = self._process.wait(KILLED_S)
        if status:
            how = f"failed with status {status}" if status > 0 else f"was ended by signal {-status}"
            raise ProgramError(how, self.complaint(), why(self._path, status))
        return bytes(self._output)

    def complaint(self) -> str:
        """The last line that it wrote to standard error, fit to be logged; empty if there is none."""
        lines = self._errors.decode(errors="replace").split("\n")
        return masked(next((line for line in reversed(lines) if line.strip()), ""))

    def end(self) -> None:
        """Kill what runs, close what is open, reap. Again: nothing."""
        self._kill()
        self._close_input()
        for pipe in (self._stdout, self._stderr):
            if not pipe.closed:
                self._loop.remove_reader(pipe)
                pipe.close()
        if self._ended is not None:
            self._loop.remove_reader(self._ended)
            os.close(self._ended)
            self._ended = None
        try:
            self._process.wait(KILLED_S)
        except subprocess.TimeoutExpired:
            log.warning("process %d does not die; it is left alone", self._process.pid)
            # It is reaped whenever that is, also when this loop has ended by then.
            threading.Thread(target=self._process.wait, name="reaper", daemon=True).start()

    def _kill(self) -> None:
        if self._process.returncode is None:
            # Nobody left, or only those who gave themselves other rights.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _write(self) -> None:
        try:
            self._given = self._given[os.write(self._stdin.fileno(), self._given) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            # It need not read what it is given.
            self._given = self._given[:0]
        if not self._given:
            self._close_input()

    def _close_input(self) -> None:
        # Once only: the number of a closed descriptor may be another's by now.
        if not self._stdin.closed:
            self._loop.remove_writer(self._stdin)
            self._stdin.close()

    def _read_output(self) -> None:
        self._read(self._stdout, self._output)
        if len(self._output) > self._limit_bytes:
            self._finish()

    def _read_errors(self) -> None:
        self._read(self._stderr, self._errors)
        del self._errors[:-COMPLAINT_BYTES]

    def _read(self, pipe: IO[bytes], into: bytearray) -> bool:
        """Take what is there now; False if that is nothing, for now or for ever."""
        try:
            data = os.read(pipe.fileno(), READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._loop.remove_reader(pipe)
        into += data
        return bool(data)

    def _finish(self) -> None:
        """It has ended, and all it had to say is in its pipes; or it has said too much."""
        if self.over.done():
            return
        while len(self._output) <= self._limit_bytes and self._read(self._stdout, self._output):
            pass
        self._read_errors()
        self.over.set_result(None)


def _clean(environment: Mapping[str, str]) -> dict[str, str]:
    passed = {name: environment[name] for name in PASSED_ON if name in environment}
    return {"PATH": os.defpath, **passed}
