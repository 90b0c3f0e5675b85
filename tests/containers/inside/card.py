"""Inside the container: the virtual sound card of ``appliance.simulator.virtual_card``, for the service's user.

Its folder is below /run, where the service can look; ``/run/card.env`` tells how to find it (a unit's
EnvironmentFile, and for shells).
"""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

from systemd.daemon import notify

from appliance.simulator import voices
from appliance.simulator.virtual_card import VirtualCard, save_wav


def main() -> None:
    """Until SIGTERM."""
    tempfile.tempdir = "/run"
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    with VirtualCard() as card:
        os.chmod(card.environment["HOME"], 0o755)
        lines = [f"{name}={value}\n" for name, value in card.environment.items()]
        Path("/run/card.env").write_text("".join(lines), encoding="utf-8")
        save_wav(Path("/run/question.wav"), memoryview(voices.pcm("ask-time")).cast("h").tolist(), 24_000)
        notify("READY=1")
        signal.sigwait({signal.SIGTERM})


if __name__ == "__main__":
    main()
