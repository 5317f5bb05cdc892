"""Can a run live there? A root is tried once, before anything is made, so that nothing fails later.

A plan only reads; a run also writes a few bytes and takes them away again.
"""

import os
import uuid
from contextlib import suppress
from pathlib import Path

from infra.folders import LocalFolder, ObjectFolder, open_folder
from schemas.errors import ConfigError, of_storage

PROBE = ".probe-"


def require_root(root: str, *, writes: bool) -> None:
    """Raise ConfigError unless a run can read, or also write, under `root`."""
    folder = open_folder(root)
    try:
        if isinstance(folder, LocalFolder):
            _look_at_path(Path(root), writes)
        else:
            _look_at_store(folder)
        if writes:
            name = f"{PROBE}{uuid.uuid4().hex}"
            folder.commit(name, bytes(2**12))
            folder.remove(name)
    except Exception as error:  # a storage's own kinds, and what lies below it
        if isinstance(error, ConfigError):
            raise
        wanted = "write into" if writes else "look into"
        raise ConfigError(
            f"wanted to {wanted} --root {root}, found {of_storage(error)}; mend that, or give "
            "another"
        ) from error


def _look_at_path(path: Path, writes: bool) -> None:
    """Go up to what is there: that must be a folder, and no link to nowhere."""
    with suppress(FileNotFoundError):
        os.lstat(path)  # too long, or below a file
    found = next(p for p in (path, *path.parents) if os.path.lexists(p))
    if found.is_symlink() and not found.exists():
        raise ConfigError(
            f"--root wants a folder, found {found}, a link to {os.readlink(found)}, which is not "
            "there; mount it, or give another --root"
        )
    if not found.is_dir():
        raise ConfigError(f"--root wants a folder, found the file {found}; give another --root")
    wanted = os.R_OK | os.X_OK | (os.W_OK if writes or found != path else 0)
    if not os.access(found, wanted):
        raise ConfigError(
            f"--root wants a folder to write into, found that {found} does not let this user; give "
            "another --root"
        )


def _look_at_store(folder: ObjectFolder) -> None:
    """List the root, or at least its bucket: an empty root and a bucket without one look alike."""
    with suppress(FileNotFoundError):
        folder.system.ls(folder.base, detail=False)
        return
    bucket = folder.base.partition("/")[0]
    try:
        folder.system.ls(bucket, detail=False)
    except FileNotFoundError:
        raise ConfigError(
            f"--root wants a bucket that is there, found no '{bucket}'; make it, or name another"
        ) from None
    except PermissionError:  # of the bucket only a part is ours
        return
