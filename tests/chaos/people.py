"""Who uses the box, and what happens to it meanwhile. Coroutines that go on until they are cancelled."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Final

from .room import Room

SOURCE: Final = "chaos"


class Person:
    """Presses, speaks, waits."""

    def __init__(self, room: Room, random: Random) -> None:
        self._room = room
        self._random = random

    async def lives(self) -> None:
        acts = (self._holds, self._holds, self._taps, self._taps, self._taps_twice, self._taps_and_holds)
        more = (self._hammers, self._taps_in_silence, self._holds_for_ever, self._pauses)
        while True:
            await self._rests(self._random.choice([0.1, 0.5, 2.0, 5.0, 5.0, 9.0, 9.0]))
            act = self._random.choice((*acts, *acts, *more))
            self._room.note(act.__name__)
            await act()

    async def _rests(self, seconds: float) -> None:
        # Nobody moves in time with the blocks of a microphone.
        await asyncio.sleep(seconds * self._random.uniform(1.0, 1.07))

    def down(self, is_down: bool) -> None:
        self._room.wakes()
        self._room.daemon.remote.edge(is_down, SOURCE)

    async def _press(self, seconds: float) -> None:
        self.down(True)
        await self._rests(seconds)
        self.down(False)

    async def _speaks(self, seconds: float) -> None:
        self._room.speaking = True
        await self._rests(seconds)
        self._room.speaking = False

    def _some_s(self) -> float:
        return self._random.choice([0.3, 0.8, 1.5, 3.0])

    async def _holds(self) -> None:
        self.down(True)
        await self._rests(self._random.choice([0.0, 0.1, 0.4]))
        await self._speaks(self._some_s())
        await self._rests(self._random.choice([0.0, 0.1, 0.6]))
        self.down(False)

    async def _pauses(self) -> None:
        self.down(True)
        for _ in range(2):
            await self._speaks(self._some_s())
            await self._rests(self._random.choice([0.5, 1.5]))
        self.down(False)

    async def _taps(self) -> None:
        await self._press(0.1)
        await self._rests(self._random.choice([0.0, 0.2, 1.0]))
        await self._speaks(self._some_s())

    async def _taps_in_silence(self) -> None:
        await self._press(0.1)
        if self._random.random() < 0.5:
            await self._rests(1.0)
            await self._press(0.1)

    async def _taps_twice(self) -> None:
        await self._taps()
        await self._rests(self._random.choice([0.0, 0.5]))
        await self._press(0.1)

    async def _taps_and_holds(self) -> None:
        await self._taps()
        await self._rests(self._random.choice([0.0, 0.3, 1.0, 2.0]))
        await self._holds()

    async def _hammers(self) -> None:
        for _ in range(6):
            await self._press(0.06)
            await self._rests(self._random.choice([0.07, 0.2]))

    async def _holds_for_ever(self) -> None:
        if self._random.random() < 0.2:
            self.down(True)
            await self._speaks(2.0)
            await self._rests(31.0)
            self.down(False)


class Troubles:
    """Cables that are pulled, switches that are used, sessions that end."""

    def __init__(self, room: Room, random: Random) -> None:
        self._room = room
        self._random = random

    async def happen(self) -> None:
        room = self._room
        acts = (self._microphone, self._speaker, self._mute, room.hole, self._stop, self._retry, self._recycle)
        while True:
            await self._rests(self._random.choice([1.0, 4.0, 10.0, 20.0]))
            act = self._random.choice(acts)
            room.note(act.__name__)
            room.wakes()
            act()

    async def _rests(self, seconds: float) -> None:
        # Nobody moves in time with the blocks of a microphone.
        await asyncio.sleep(seconds * self._random.uniform(1.0, 1.07))

    def _microphone(self) -> None:
        (self._room.pull_out if self._room.plugged else self._room.plug_in)()

    def _speaker(self) -> None:
        (self._room.pull_speaker if self._room.has_speaker else self._room.plug_speaker)()

    def _mute(self) -> None:
        self._room.mute(not self._room.daemon.microphone.is_closed)

    def _stop(self) -> None:
        self._room.daemon.remote.quiet()

    def _retry(self) -> None:
        self._room.daemon.remote.retry()

    def _recycle(self) -> None:
        self._room.daemon.link.close("recycled")

    def end(self) -> None:
        """Everything is in order again."""
        room = self._room
        room.mute(False)
        if not room.plugged:
            room.plug_in()
        room.plug_speaker()
