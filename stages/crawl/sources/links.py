"""Decide which links in a folder are followed: those inside it, and those of a hub's snapshot.

Who packed the folder may not know this machine, so a link that leads out of it is not read. The one
way out is the Hugging Face hub's: in its cache a snapshot's files are links to `blobs/`, which lies
beside `snapshots/` in the folder of the same repository.
"""

import errno
import os
import stat
from pathlib import Path

OUTSIDE = "link_outside"
MISSING = "missing_file"
COPY = (
    "copy the files themselves in (`cp -rL`), or give a snapshot of the Hugging Face hub together "
    "with the blobs/ beside snapshots/"
)
SNAPSHOTS, BLOBS = "snapshots", "blobs"


def roots(top: Path) -> list[Path]:
    """Return the folders in which what is read must lie, without links in their names."""
    real = top.resolve()
    for folder in real.parents:
        if real.is_relative_to(folder / SNAPSHOTS):
            return [real, folder / BLOBS]
    return [real]


def problem_of_link(path: Path, allowed: list[Path]) -> str:
    """Say why what is at the path is not read, as `reason: detail`; empty if it is."""
    try:
        os.stat(path)
    except OSError as error:
        if error.errno == errno.ELOOP:
            return f"{MISSING}: a link that leads back to itself"
        return f"{MISSING}: a link to nowhere; {COPY}"
    real = path.resolve()
    if not any(real.is_relative_to(root) for root in allowed):
        return f"{OUTSIDE}: a link out of the folder, which is not followed; {COPY}"
    return ""


def is_plain_file(path: Path) -> bool:
    """Return whether reading the path ends: it is no pipe, socket or device."""
    return stat.S_ISREG(os.stat(path).st_mode)
