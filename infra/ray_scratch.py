"""Find a folder for Ray's sockets and logs: present, writable, with a short path.

Socket paths are limited to about 107 bytes, and batch systems set long TMPDIRs.
"""

import logging
import os
import sys
import tempfile
from pathlib import Path

from schemas.errors import ConfigError

SOCKET_BYTES = 103 if sys.platform == "darwin" else 107
# The longest path that Ray makes below its folder.
SOCKET = "/ray/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
NAMES = ("RAY_TMPDIR", "TMPDIR")  # in Ray's order of precedence
SHORT = ("/tmp", "/var/tmp")
ENOUGH_BYTES = 2**20  # logs alone take this much; a full disk fails here, not later

LOG = logging.getLogger(__name__)


def own_folder() -> str | None:
    """Make a new short folder, to be removed at the end; return None if Ray's usual one works.

    Raises ConfigError if there is no usable place.
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
        f"Ray needs a folder for its sockets and logs, found that {usual} is {problem}, and "
        f"{' and '.join(SHORT)} are not usable either; set RAY_TMPDIR to a short path with space"
    )


def unfit(place: str) -> str | None:
    """Describe why Ray cannot use a folder for its sockets and logs; None if it can."""
    path = Path(place)
    if not path.is_absolute():
        return "not an absolute path"
    if len(os.fsencode(place.rstrip("/") + SOCKET)) > SOCKET_BYTES:
        return "too long for a socket's path"
    if not path.is_dir():
        return "not a folder"
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(bytes(ENOUGH_BYTES))
    except OSError as error:
        return f"not writable ({error.strerror})"
    return None
