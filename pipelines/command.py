"""How a tool that writes to one place ends: with a line of what it did, or of what went wrong."""

import sys
from collections.abc import Callable

from schemas.errors import UserError


def outcome(work: Callable[[], str], target: str) -> int:
    """Do the work and print what it says, or why it or writing to `target` failed.

    Returns the exit code.
    """
    try:
        print(work())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: wanted to write to {target}, found {error}; give another folder",
              file=sys.stderr)  # fmt: skip
        return 2
    return 0
