"""The least that sound costs: a plain PyAudio program that records and plays silence, ``python -m tests.bench.stream``.

One thread for each direction, blocking, with the rate, the channels and the periods of the box's own two hosts.
"""

from __future__ import annotations

import sys
import threading

import pyaudio


def main(microphone: str, speaker: str, hz: int, capture_ms: int, playback_ms: int) -> None:
    """For ever. Prints one line when both directions run."""
    portaudio = pyaudio.PyAudio()
    names = [str(portaudio.get_device_info_by_index(number)["name"]) for number in range(portaudio.get_device_count())]
    heard = hz * capture_ms // 1000
    played = hz * playback_ms // 1000
    silence = bytes(4 * played)
    source = portaudio.open(
        hz, 1, pyaudio.paInt16, input=True, input_device_index=names.index(microphone), frames_per_buffer=heard
    )
    sink = portaudio.open(
        hz, 2, pyaudio.paInt16, output=True, output_device_index=names.index(speaker), frames_per_buffer=played
    )

    def listen() -> None:
        while True:
            source.read(heard, exception_on_overflow=False)

    threading.Thread(target=listen, daemon=True).start()
    print("running", flush=True)
    while True:
        sink.write(silence, played)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
