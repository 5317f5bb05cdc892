"""The line of those who wait for one brush: of bounded length, first come first served."""

import asyncio
from collections.abc import AsyncIterator

from schemas.errors import UserError

NEWEST = 0.5  # share of the newest tile in what a tile is known to take


class QueueFull(UserError):
    """There is no place left; `seconds` is when one may be free."""

    def __init__(self, places: int, seconds: int) -> None:
        super().__init__(
            f"wanted a place in the line, found all {places} taken; try again in {seconds} s"
        )
        self.seconds = seconds


class RequestQueue:
    """Places for one who draws and for those who wait. All of it happens on one event loop."""

    def __init__(self, places: int) -> None:
        self.places = places
        self.taken: list[Ticket] = []
        self.seconds_a_tile: float | None = None  # until one was drawn

    def join(self, tiles: int) -> "Ticket":
        """Take the last place, for so many tiles; raise QueueFull when there is none."""
        if len(self.taken) >= self.places:
            first = self.taken[0].tiles * (self.seconds_a_tile or 1)
            raise QueueFull(self.places, max(1, round(first)))
        place = Ticket(self, tiles)
        self.taken.append(place)
        return place


class Ticket:
    """One place in a line, until it is left."""

    def __init__(self, line: RequestQueue, tiles: int) -> None:
        self.tiles = tiles  # yet to be drawn
        self._line = line
        self._moved = asyncio.Event()

    @property
    def ahead(self) -> int:
        """How many come before this place."""
        return self._line.taken.index(self)

    def seconds(self, places: "list[Ticket]") -> float | None:
        """Return how long what is left to draw for these places takes, where it is known."""
        each = self._line.seconds_a_tile
        return None if each is None else each * sum(place.tiles for place in places)

    @property
    def seconds_ahead(self) -> float | None:
        """How long those before this place will draw."""
        return self.seconds(self._line.taken[: self.ahead])

    @property
    def seconds_own(self) -> float | None:
        """How long this place will draw."""
        return self.seconds([self])

    async def turns(self) -> AsyncIterator[int]:
        """Yield how many are ahead, each time that it changes, until there are none."""
        while ahead := self.ahead:
            yield ahead
            self._moved.clear()
            await self._moved.wait()

    def drew(self, seconds: float) -> None:
        """Count one tile as drawn."""
        self.tiles -= 1
        before = self._line.seconds_a_tile
        known = seconds if before is None else before
        self._line.seconds_a_tile = known + NEWEST * (seconds - known)

    def leave(self) -> None:
        """Make room, whether or not it came to a drawing. Nothing in here waits."""
        self._line.taken.remove(self)
        for place in self._line.taken:
            place._moved.set()
