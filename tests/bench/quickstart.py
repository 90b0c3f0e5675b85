"""What an owner would write from the service's page: PyAudio, websockets, thirty lines. The box is measured against it.

``python -m tests.bench.quickstart URL KEY MICROPHONE SPEAKER``: the microphone goes up all the time, the service finds
the turns, replies play as they come. No light, no button, no retry, no pre-roll, and a lost card ends it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys

import pyaudio
from websockets.asyncio.client import connect

HZ, CHUNK = 24_000, 1_024
"""The service's rate, and the piece that PyAudio's own examples read."""


async def main(url: str, key: str, microphone: str, speaker: str) -> None:
    audio = pyaudio.PyAudio()
    names = [audio.get_device_info_by_index(number)["name"] for number in range(audio.get_device_count())]
    source = audio.open(
        HZ, 1, pyaudio.paInt16, True, input_device_index=names.index(microphone), frames_per_buffer=CHUNK
    )
    sink = audio.open(HZ, 1, pyaudio.paInt16, output=True, output_device_index=names.index(speaker))
    replies: asyncio.Queue[bytes] = asyncio.Queue()
    headers = {"Authorization": f"Bearer {key}"}
    async with connect(f"{url}?model=mal-realtime-simple", additional_headers=headers) as service:
        await service.send(json.dumps({"type": "session.update", "session": {"voice": "mal-female"}}))

        async def listen() -> None:
            while True:
                pcm = await asyncio.to_thread(source.read, CHUNK, False)
                append = {"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm).decode()}
                await service.send(json.dumps(append))

        async def speak() -> None:
            while True:
                await asyncio.to_thread(sink.write, await replies.get())

        async def hear() -> None:
            async for message in service:
                event = json.loads(message)
                print(event["type"], flush=True)
                if event["type"] == "response.output_audio.delta":
                    replies.put_nowait(base64.b64decode(event["delta"]))
                elif event["type"] == "input_audio_buffer.speech_started":
                    while replies.qsize():
                        replies.get_nowait()

        await asyncio.gather(listen(), speak(), hear())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:5]))
