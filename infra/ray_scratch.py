"""A folder for Ray's sockets and logs that it can use: present, writable, with a short path.

The path of a socket has an end at about 107 bytes, and batch systems give long TMPDIRs.
"""

import logging
import os
import sys
import tempfile
from pathlib import Path

from schemas.errors import ConfigError

SOCKET_BYTES = 103 if sys.platform == "darwin" else 107
# What Ray puts below its folder, at its longest.
SOCKET = "/ray/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
NAMES = ("RAY_TMPDIR", "TMPDIR")  # in the order that Ray reads them
SHORT = ("/tmp", "/var/tmp")
ENOUGH_BYTES = 2**20  # logs alone take this much; a full disk fails here, not in the middle

LOG = logging.getLogger(__name__)


def own_folder() -> str | None:
    """Return a new short folder to remove at the end; None where Ray's usual place will do.

    Raises ConfigError if no place will do.
    """
    name, usual = next(((n, os.environ[n]) for n in NAMES if os.environ.get(n)), ("", SHORT[0]))
    problem = unfit(usual)
    if problem is None:
        return None
    for place in SHORT:
        if unfit(place) is None:
            LOG.info("Ray's sockets and logs are in %s: %s=%s is %s", place, name, usual, problem)
            return tempfile.mkdtemp(prefix="ray-", dir=place)
    raise ConfigError(
        f"Ray wants a folder for its sockets and logs, found that {usual} is {problem}, and "
        f"{' and '.join(SHORT)} will not do either; set RAY_TMPDIR to a short path with room"
    )


def unfit(place: str) -> str | None:
    """Say what is wrong with a folder for Ray's sockets and logs, or None."""
    path = Path(place)
    if not path.is_absolute():
        return "no absolute path"
    if len(os.fsencode(place.rstrip("/") + SOCKET)) > SOCKET_BYTES:
        return "too long for the path of a socket"
    if not path.is_dir():
        return "no folder"
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(bytes(ENOUGH_BYTES))
    except OSError as error:
        return f"not to be written to ({error.strerror})"
    return None
