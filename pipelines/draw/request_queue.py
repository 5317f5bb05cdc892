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

    def seconds(self, tickets: "list[Ticket]") -> float | None:
        """Estimate how long the tiles of these tickets take; None before any tile was drawn."""
        each = self.seconds_per_tile
        return None if each is None else each * sum(ticket.tiles for ticket in tickets)


class Ticket:
    """A request's place in the queue, until it leaves."""

    def __init__(self, queue: RequestQueue, tiles: int) -> None:
        self.tiles = tiles  # still to be drawn
        self.queue = queue
        self._moved = asyncio.Event()

    async def turns(self) -> AsyncIterator[tuple[int, float | None]]:
        """Yield the number of requests ahead and their seconds, when it changes, until it is 0."""
        while ahead := self.queue.tickets[: self.queue.tickets.index(self)]:
            yield len(ahead), self.queue.seconds(ahead)
            self._moved.clear()
            await self._moved.wait()

    def drew(self, seconds: float) -> None:
        """Count one tile as drawn, in so many seconds."""
        self.tiles -= 1
        before = self.queue.seconds_per_tile
        known = seconds if before is None else before
        self.queue.seconds_per_tile = known + NEWEST * (seconds - known)

    def leave(self) -> None:
        """Make room, whether or not the request was drawn; does not wait."""
        self.queue.tickets.remove(self)
        for ticket in self.queue.tickets:
            ticket._moved.set()
