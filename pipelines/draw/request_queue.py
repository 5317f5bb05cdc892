"""The queue of drawing requests: first come, first served, and of bounded length."""

import asyncio
from collections.abc import AsyncIterator

from schemas.errors import UserError

NEWEST = 0.5  # weight of the newest tile in the moving average of seconds per tile


class QueueFull(UserError):
    """The queue has no room; `seconds` is when it may have some."""

    def __init__(self, capacity: int, seconds: int) -> None:
        super().__init__(
            f"wanted a place in the queue, found all {capacity} taken; try again in {seconds} s"
        )
        self.seconds = seconds


class RequestQueue:
    """Tickets of the request that is being drawn and of those that wait, on one event loop."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.tickets: list[Ticket] = []
        self.seconds_per_tile: float | None = None  # until the first tile was drawn

    def join(self, tiles: int) -> "Ticket":
        """Return the last ticket, for a request of so many tiles; raise QueueFull without room."""
        if len(self.tickets) >= self.capacity:
            first = self.tickets[0].tiles * (self.seconds_per_tile or 1)
            raise QueueFull(self.capacity, max(1, round(first)))
        ticket = Ticket(self, tiles)
        self.tickets.append(ticket)
        return ticket


class Ticket:
    """A request's place in the queue, until it leaves."""

    def __init__(self, queue: RequestQueue, tiles: int) -> None:
        self.tiles = tiles  # still to be drawn
        self._queue = queue
        self._moved = asyncio.Event()

    @property
    def ahead(self) -> int:
        """Requests that are drawn before this one."""
        return self._queue.tickets.index(self)

    @property
    def seconds_ahead(self) -> float | None:
        """Estimated seconds until this request is drawn; None before the first tile."""
        return self._seconds(self._queue.tickets[: self.ahead])

    @property
    def seconds_own(self) -> float | None:
        """Estimated seconds that this request still draws; None before the first tile."""
        return self._seconds([self])

    def _seconds(self, tickets: "list[Ticket]") -> float | None:
        each = self._queue.seconds_per_tile
        return None if each is None else each * sum(ticket.tiles for ticket in tickets)

    async def turns(self) -> AsyncIterator[int]:
        """Yield how many requests are ahead, whenever that changes, until none is."""
        while ahead := self.ahead:
            yield ahead
            self._moved.clear()
            await self._moved.wait()

    def drew(self, seconds: float) -> None:
        """Count one tile as drawn, in so many seconds."""
        self.tiles -= 1
        before = self._queue.seconds_per_tile
        known = seconds if before is None else before
        self._queue.seconds_per_tile = known + NEWEST * (seconds - known)

    def leave(self) -> None:
        """Make room, whether or not the request was drawn; does not wait."""
        self._queue.tickets.remove(self)
        for ticket in self._queue.tickets:
            ticket._moved.set()
