"""Digests of what comes from outside, for fingerprints: equal content, equal digest, anywhere."""

import hashlib

import fsspec


def digest_of(path: str) -> str:
    """Return a digest of a file's or a folder's content; of a hub's name, the digest of the name.

    `path` is a path or an fsspec address.
    """
    system, top = fsspec.core.url_to_fs(path)
    if not system.exists(top):
        return hashlib.sha256(path.encode()).hexdigest()
    names = sorted(system.find(top)) if system.isdir(top) else [top]
    total = hashlib.sha256()
    for name in names:
        with system.open(name, "rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{name.removeprefix(top).lstrip('/')} {content}\n".encode())
    return total.hexdigest()
