"""Start a private Ray with those processes only that a run of ours needs.

Ray itself starts three more, for each of which its start takes a second longer on two cores:

- the dashboard's server, which runs even without a dashboard, and then asks cloud metadata services
  (169.254.169.254) which cloud this is, for the usage statistics, although these are off,
- a monitor that adds machines, of which a private Ray has one,
- a monitor of the workers' logs, which shows them to a driver that does not want them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

NOT_NEEDED = ("start_api_server", "start_monitor", "start_log_monitor")


@contextmanager
def needed_processes() -> Iterator[None]:
    """Within the block, Ray starts no processes but the needed ones."""
    from ray._private.node import Node

    starts = {name: getattr(Node, name) for name in NOT_NEEDED}
    for name in NOT_NEEDED:
        setattr(Node, name, _start_nothing)
    try:
        yield
    finally:
        for name, start in starts.items():
            setattr(Node, name, start)


def _start_nothing(_: Any, **options: Any) -> None:
    """Stand in for a method of Ray's node."""
