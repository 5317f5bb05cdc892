"""Digests of outside inputs, for fingerprints: equal content has an equal digest anywhere."""

import errno
import hashlib
import io
from collections.abc import Sequence

from schemas.errors import UserError
from schemas.folder import Folder
from schemas.manifest import FileDigest
from stages.storage import opened, system_of
from stages.threads import in_threads

# Errors of the file itself, such as a broken link, which its reader will report. All others may be
# temporary, and must not be taken for content.
OF_THE_FILE = {
    errno.ENOENT, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG, errno.EISDIR,
    errno.ENOTDIR,
}  # fmt: skip
AT_ONCE = 1_000  # files given to the threads: a future takes more memory than its digest


def digest_of(path: str) -> str:
    """Return a digest of the content of a file or folder; of a hub name, the name's own digest.

    `path` is a path or an fsspec address. Raises UserError for a file that cannot be read now.
    """
    system, top = system_of(path)
    if not system.exists(top):
        return hashlib.sha256(path.encode()).hexdigest()
    names = sorted(system.find(top)) if system.isdir(top) else [top]
    return digest_of_files(
        [(name.removeprefix(top).lstrip("/"), system.unstrip_protocol(name)) for name in names]
    )


def digest_of_files(files: Sequence[tuple[str, str | None]]) -> str:
    """Return one digest of the names and the contents of files, given by (name, address).

    Where the address is None, only the name counts. Raises UserError for a file that is there but
    cannot be read now.
    """
    total = hashlib.sha256()
    for start in range(0, len(files), AT_ONCE):
        some = files[start : start + AT_ONCE]
        digests = in_threads(_digest, [address for _, address in some])
        for (name, _), content in zip(some, digests, strict=True):
            line = f"{name} {content}\n"
            total.update(line.encode("utf-8", "surrogateescape"))
    return total.hexdigest()


def sha256_of(address: str) -> str:
    """Return the sha256 of a file at a path or fsspec address, as `sha256sum` prints it."""
    with opened(address) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_digest(folder: Folder, name: str) -> FileDigest:
    """Return the size and sha256 of a committed file, read piece by piece."""
    with folder.open(name) as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        return FileDigest(bytes=file.seek(0, io.SEEK_END), sha256=content)


def _digest(address: str | None) -> str:
    if address is None:
        return "not read"
    try:
        return sha256_of(address)
    except OSError as error:
        if error.errno in OF_THE_FILE:
            return type(error).__name__
        raise UserError(
            f"wanted to read {address}, found {error}; nothing was changed, run again later"
        ) from error
