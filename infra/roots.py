"""Check that a root can be used before anything is made, so that nothing fails later.

A plan only reads; a run also writes a few bytes and removes them.
"""

import os
import uuid
from contextlib import suppress
from pathlib import Path

from infra.folders import LocalFolder, ObjectFolder, open_folder
from schemas.errors import ConfigError, of_storage

PROBE = ".probe-"


def require_root(root: str, *, writes: bool) -> None:
    """Raise ConfigError unless `root` can be read, and also written to if `writes`."""
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
    """Check the nearest parent that exists: it must be a folder, and no dangling link."""
    with suppress(FileNotFoundError):
        os.lstat(path)  # too long, or below a file
    found = next(p for p in (path, *path.parents) if os.path.lexists(p))
    if found.is_symlink() and not found.exists():
        raise ConfigError(
            f"--root must be a folder, found {found}, a link to {os.readlink(found)}, which does "
            "not exist; mount it, or give another --root"
        )
    if not found.is_dir():
        raise ConfigError(f"--root must be a folder, found the file {found}; give another --root")
    wanted = os.R_OK | os.X_OK | (os.W_OK if writes or found != path else 0)
    if not os.access(found, wanted):
        raise ConfigError(
            f"--root must be a writable folder, found no permission for {found}; give another "
            "--root"
        )


def _look_at_store(folder: ObjectFolder) -> None:
    """List the root, or at least its bucket: an empty root and a missing one look alike."""
    with suppress(FileNotFoundError):
        folder.system.ls(folder.base, detail=False)
        return
    bucket = folder.base.partition("/")[0]
    try:
        folder.system.ls(bucket, detail=False)
    except FileNotFoundError:
        raise ConfigError(
            f"--root must be in an existing bucket, found no '{bucket}'; make it, or name another"
        ) from None
    except PermissionError:  # only a part of the bucket is ours
        return
