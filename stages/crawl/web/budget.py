"""A bound on the bytes of fetched pictures that wait for their turn to be decoded."""

import threading

BUDGET_BYTES = 67_108_864


class Budget:
    """Bytes that all threads of a process may hold; who wants more waits for others to give back.

    One picture may be larger than all of it: then it is alone.
    """

    def __init__(self, total: int = BUDGET_BYTES) -> None:
        self.total, self.held = total, 0
        self._changed = threading.Condition()

    def take(self, amount: int) -> None:
        """Wait until there is room for `amount` bytes."""
        with self._changed:
            self._changed.wait_for(lambda: not self.held or self.held + amount <= self.total)
            self.held += amount

    def give_back(self, amount: int) -> None:
        """Make room again."""
        with self._changed:
            self.held -= amount
            self._changed.notify_all()
