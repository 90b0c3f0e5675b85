"""Inside the container: runs what the tests ask for. The standard library of Debian's Python, and nothing of ours.

One request on each connection to ``/share/agent``: a JSON object on one line, ``{"argv": [...], "timeout_s": 20}``,
answered by ``{"status": 0, "output": "..."}``, the output being both streams together. ``{"stop": true}`` ends the
container. Everything runs as root, with PID 1 as the real systemd that it is.
"""

from __future__ import annotations

import json
import socketserver
import subprocess

PATH = "/share/agent"
LATE = 124
"""The status of what did not end in time, as timeout(1) has it."""


class _Request(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        request = json.loads(self.rfile.readline())
        if request.get("stop"):
            self.server.stopped = True  # type: ignore[attr-defined]
            return
        try:
            done = subprocess.run(
                request["argv"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=request["timeout_s"],
                check=False,
            )
            status, output = done.returncode, done.stdout
        except subprocess.TimeoutExpired as late:
            status, output = LATE, late.stdout or b""
        answer = {"status": status, "output": output.decode(errors="replace")}
        self.wfile.write(json.dumps(answer).encode() + b"\n")


class _Server(socketserver.ThreadingUnixStreamServer):
    stopped = False
    daemon_threads = True


def main() -> None:
    """Serve until told to stop."""
    with _Server(PATH, _Request) as server:
        server.timeout = 0.2
        while not server.stopped:
            server.handle_request()


if __name__ == "__main__":
    main()
