"""A sound card without hardware: a private PulseAudio server with ALSA's ``pulse`` plugin in front.

::

    play_into_microphone() ─► sink micfeed ─► its monitor, remapped: source mic ─► ALSA "usbmic" ─► PortAudio
    PortAudio ─► ALSA "usbspeaker" ─► sink speaker ─► its monitor ─► record_speaker()

It runs in real time, as root too, beside any other sound server and beside a second card of its kind: everything it
needs is in a folder of its own. The demo talks through it where there is no card, and so do the tests. Needs Debian's
pulseaudio, pulseaudio-utils and libasound2-plugins.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import wave
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from appliance.errors import UnavailableError

CARD_HZ = 48_000
"""Rate of both sinks: what nearly every USB card has."""

NULL_SINK = ("module-null-sink", f"rate={CARD_HZ}", "norewinds=1")
"""Without norewinds a null sink renders up to 2 s ahead while nobody needs less, and whoever opens it then waits as
long for the first block (measured: 0.5 to 1.9 s; with it 7 to 37 ms)."""

ALSA_CONFIGURATION = """\
pcm.usbmic { type pulse device mic }
pcm.usbspeaker { type pulse device speaker }
pcm.default { type pulse }
"""
"""All that ALSA knows. Debian's own configuration names plugins (a52, lavrate, jack) that PortAudio loads to look at
them: libavcodec and its kin cost each process 9 MB and 50 ms. PortAudio 19.6 fails an assertion without ``default``."""

START_TIMEOUT_S = 10.0
"""The server answers after some 50 ms on an idle machine; a Pi Zero that boots is much slower."""

COMMAND_TIMEOUT_S = 10.0
"""One ``pactl``: some 15 ms."""

URGENT = ("nice", "--adjustment=-11")
"""A card's converter, a voice and an ear wait for no processor: what stands in for them goes first where that is
allowed (as root; elsewhere ``nice`` goes on without). Measured on two cores with four workers of the tests and two
foreign busy processes, 91 tests of sound: without it, and without the server's --realtime, 21 failed for holes of up to
2 s in what was said or heard; with it 2."""


class VirtualCard:
    """The card, from ``start`` to ``close``; a context manager does both.

    A process sees it when started with ``environment`` in its own. Methods block for some 20 ms each (they run
    ``pactl``), and raise UnavailableError if the server is gone or its programs are not installed. Start it from a
    thread that lives as long as the card: the server is killed with the thread that started it, so that a killed
    program leaves none behind.
    """

    microphone = "usbmic"
    """Its microphone's name, in ALSA and so in PortAudio."""
    speaker = "usbspeaker"
    """Its speaker's name."""

    def __init__(self) -> None:
        self._folder = Path()
        """Only meaningful between ``start`` and ``close``."""
        self._server: subprocess.Popen[bytes] | None = None
        self._modules: dict[str, str] = {}
        """Index of each loaded module, by our own name for it."""
        self._open: list[CardRecording | Playing] = []
        self._played = 0
        self.environment: dict[str, str] = {}
        """What a process needs in its environment to find the card; empty before ``start``."""

    def start(self) -> None:
        """Start the server and plug both devices in. Whatever fails, nothing is left behind."""
        for program in ("pulseaudio", "pactl", "parec", "paplay"):
            if shutil.which(program) is None:
                packages = "pulseaudio pulseaudio-utils libasound2-plugins"
                raise UnavailableError(f"a virtual sound card needs {program}: apt-get install {packages}")
        self._folder = Path(tempfile.mkdtemp(prefix="virtual-card-"))
        address = self._folder / "native"
        self.environment = {
            "ALSA_CONFIG_PATH": str(self._folder / "alsa.conf"),
            "HOME": str(self._folder),
            "XDG_RUNTIME_DIR": str(self._folder),
            "PULSE_SERVER": f"unix:{address}",
        }
        try:
            (self._folder / "alsa.conf").write_text(ALSA_CONFIGURATION, encoding="utf-8")
            self._start_server(address)
            self._plug_all()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop everything that was started and remove the folder. Harmless when repeated."""
        for child in self._open:
            child.stop()
        self._open.clear()
        if self._server is not None:
            _end(self._server)
            self._server = None
        if self.environment:
            shutil.rmtree(self._folder, ignore_errors=True)
            self.environment = {}
        self._modules.clear()

    def __enter__(self) -> VirtualCard:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------ the cable

    def plug_microphone(self) -> None:
        """Nothing happens if it is plugged in."""
        self._load("mic", "module-remap-source", "source_name=mic", "master=micfeed.monitor")

    def unplug_microphone(self) -> None:
        """Who records from it is cut off. Nothing happens if it is unplugged."""
        self._unload("mic")

    def mute_microphone(self, muted: bool) -> None:
        """Its own switch: it stays plugged in, and who records from it gets zeros."""
        self._pactl("set-source-mute", "mic", str(int(muted)))

    def plug_speaker(self) -> None:
        """Nothing happens if it is plugged in."""
        self._load("speaker", *NULL_SINK, "sink_name=speaker", "channels=2")

    def unplug_speaker(self) -> None:
        """Who plays to it, or records what it plays, is cut off; an echo ends. Nothing happens if it is unplugged."""
        self.echo(None)
        self._unload("speaker")

    def kill_server(self) -> None:
        """The whole card is gone, as if pulled out; ``restart_server`` plugs it in again."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._modules.clear()

    def restart_server(self) -> None:
        """After ``kill_server``: both devices are there again. Its thread must live as long as the card, too."""
        self._start_server(self._folder / "native")
        self._plug_all()

    # ------------------------------------------------------------ the room around it

    def play_into_microphone(self, sound: Path | npt.NDArray[np.int16], hz: int = 24_000) -> Playing:
        """Let somebody speak: a WAV file, or mono samples at ``hz``. Returns at once; it sounds some 50 ms later."""
        if not isinstance(sound, Path):
            self._played += 1
            path = self._folder / f"played-{self._played}.wav"
            save_wav(path, sound, hz)
            sound = path
        playing = Playing(self._spawn(subprocess.DEVNULL, "paplay", "--device=micfeed", str(sound)))
        self._open.append(playing)
        return playing

    def record_speaker(self, hz: int = CARD_HZ, latency_ms: int = 20) -> CardRecording:
        """Listen to what the speaker plays, mono, from now on."""
        return self._record("speaker.monitor", hz, latency_ms)

    def record_microphone(self, hz: int = CARD_HZ, latency_ms: int = 20) -> CardRecording:
        """Record what the microphone hears beside whoever else does; it must be plugged in."""
        return self._record("mic", hz, latency_ms)

    def echo(self, db: float | None) -> None:
        """Let the microphone hear the speaker at that level, such as -12; None: not at all."""
        self._unload("echo")
        if db is None:
            return
        # adjust_time=0: both sinks run by the same clock, so that nothing is to be resampled.
        loopback = ("source=speaker.monitor", "sink=micfeed", "latency_msec=20", "adjust_time=0")
        index = self._load("echo", "module-loopback", *loopback)
        entry = 0
        for line in self._pactl("list", "sink-inputs").splitlines():
            words = line.split()
            if line.startswith("Sink Input #"):
                entry = int(line.removeprefix("Sink Input #"))
            elif words[:2] == ["Owner", "Module:"] and words[2] == index:
                self._pactl("set-sink-input-volume", str(entry), f"{db:g}dB")
                return
        raise UnavailableError("the virtual sound card has no echo: its server did not take the loopback")

    # ------------------------------------------------------------ inside

    def _plug_all(self) -> None:
        self.plug_speaker()
        self._load("micfeed", *NULL_SINK, "sink_name=micfeed", "channels=1")
        # Who uses the default device is moved to the next one when it goes, whatever rescue-streams says.
        self._load("other", *NULL_SINK, "sink_name=other")
        self._pactl("set-default-sink", "other")
        self._pactl("set-default-source", "other.monitor")
        self.plug_microphone()

    def _start_server(self, address: Path) -> None:
        # Otherwise what is unplugged lives on: its streams are moved to another source, a monitor for example.
        settings = self._folder / "daemon.conf"
        settings.write_text("rescue-streams = no\n")
        # The script must not be empty: pulseaudio ends at once when it has loaded no module.
        script = self._folder / "start.pa"
        script.write_text(f"load-module module-native-protocol-unix socket={address} auth-anonymous=1\n")
        options = ("-n", f"--file={script}", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1")
        quiet = (
            "--disable-shm=yes",
            "--high-priority=yes",
            "--realtime=yes",
            "--log-level=error",
            "--log-target=stderr",
        )
        quality = "--resample-method=speex-float-5"
        log = self._folder / "server.log"
        with log.open("wb") as said:
            self._server = subprocess.Popen(
                ("setpriv", "--pdeathsig=KILL", "pulseaudio", *options, *quiet, quality),
                env={**os.environ, **self.environment, "PULSE_CONFIG": str(settings)},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                process_group=0,
            )
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not _accepts(address):
            if self._server.poll() is not None or time.monotonic() > deadline_s:
                why = log.read_text(errors="replace").strip().rpartition("\n")[2] or "no answer"
                raise UnavailableError(f"the virtual sound card does not start: pulseaudio: {why}")
            time.sleep(0.01)

    def _load(self, name: str, *module: str) -> str:
        if name not in self._modules:
            self._modules[name] = self._pactl("load-module", *module).strip()
        return self._modules[name]

    def _unload(self, name: str) -> None:
        index = self._modules.pop(name, None)
        if index is not None:
            self._pactl("unload-module", index)

    def _pactl(self, *arguments: str) -> str:
        ended = subprocess.run(
            ("pactl", *arguments),
            env={**os.environ, **self.environment, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        if ended.returncode:
            raise UnavailableError(f"the virtual sound card: pactl {' '.join(arguments)}: {ended.stderr.strip()}")
        return ended.stdout

    def _spawn(self, output: int, *command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            (*URGENT, *command),
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.DEVNULL,
            # A Ctrl-C at the terminal is for the program that owns the card. Not a session of its own: the kernel
            # shares a processor out among sessions first (sched_autogroup), and priorities count within one only.
            process_group=0,
        )

    def _record(self, source: str, hz: int, latency_ms: int) -> CardRecording:
        form = (f"--rate={hz}", "--channels=1", "--format=s16le", "--raw")
        command = ("parec", f"--device={source}", f"--latency-msec={latency_ms}", *form)
        recording = CardRecording(self._spawn(subprocess.PIPE, *command), hz)
        self._open.append(recording)
        recording.wait_for_sound()
        return recording


class Playing:
    """Something that is being said into the microphone."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @property
    def over(self) -> bool:
        """All of it was heard, or it was stopped."""
        return self._process.poll() is not None

    def wait(self, timeout_s: float = 60) -> None:
        """Until it is over; subprocess.TimeoutExpired if it takes longer."""
        self._process.wait(timeout_s)

    def stop(self) -> None:
        """Cut it off. Harmless when over."""
        _end(self._process)


class CardRecording:
    """A recording that is going on, mono int16 at ``hz``. A thread of its own reads; methods are for any thread."""

    def __init__(self, process: subprocess.Popen[bytes], hz: int) -> None:
        self.hz = hz
        self._process = process
        self._pcm = bytearray()
        self._origin_s = float("inf")
        """Least of (arrival - frames so far / hz) over all blocks: waiting only ever makes a block late."""
        self._some = threading.Event()
        self._thread = threading.Thread(target=self._read, name="recording", daemon=True)
        self._thread.start()

    def __enter__(self) -> CardRecording:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def wait_for_sound(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Until the first block, silent or not; UnavailableError if none comes."""
        if not self._some.wait(timeout_s) or not self._pcm:
            self.stop()
            raise UnavailableError("the virtual sound card records nothing: is the device plugged in?")

    @property
    def samples(self) -> npt.NDArray[np.int16]:
        """What was recorded so far, a copy."""
        pcm = bytes(self._pcm)
        return np.frombuffer(pcm[: len(pcm) // 2 * 2], dtype="<i2")

    def time_s(self, frame: int) -> float:
        """Monotonic time at which that frame reached the listener: the recorder's own delay is in it."""
        return self._origin_s + frame / self.hz

    def stop(self) -> npt.NDArray[np.int16]:
        """End it and return all. Harmless when repeated."""
        _end(self._process)
        self._thread.join()
        if self._process.stdout is not None:
            self._process.stdout.close()
        return self.samples

    def save(self, path: Path) -> None:
        """Write what was recorded so far to a WAV file."""
        save_wav(path, self.samples, self.hz)

    def _read(self) -> None:
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        while block := os.read(pipe, 65_536):
            self._pcm += block
            self._origin_s = min(self._origin_s, time.monotonic() - len(self._pcm) / 2 / self.hz)
            self._some.set()
        self._some.set()


def save_wav(path: Path, samples: npt.NDArray[np.int16] | Sequence[int], hz: int) -> None:
    """Write mono int16 samples to a WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(hz)
        file.writeframes(np.asarray(samples, dtype="<i2").tobytes())


def _accepts(address: Path) -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
        probe.connect(str(address))
        return True
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the process to end, insist after 2 s, and collect it. Its open pipe, if any, stays with the caller."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
