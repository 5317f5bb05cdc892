"""Files of a source by path: one, all in a folder, those of a glob, or several of these."""

import glob
from collections.abc import Callable, Sequence

import fsspec

from schemas.errors import ConfigError


def found_files(
    path: str, endings: Sequence[str], suffix_of: Callable[[str], str], what: str
) -> list[str]:
    """Return the addresses of the files at `path` with one of the endings, in order.

    A path is a file, a folder, a glob, or several of them with commas between, on any store that
    fsspec knows. Raises ConfigError if there is nothing, or nothing with such an ending.
    """
    every = dict.fromkeys(file for part in _parts(path) for file in _at(part, what))
    files = [file for file in every if suffix_of(file) in endings]
    if not files:
        raise ConfigError(
            f"wanted {what} at '{path}', found none that ends in {', '.join(endings)}; "
            "give the file one of these endings"
        )
    return files


def _parts(path: str) -> list[str]:
    system, inner = fsspec.core.url_to_fs(path)
    return [path] if system.exists(inner) else [part.strip() for part in path.split(",")]


def _at(path: str, what: str) -> list[str]:
    system, inner = fsspec.core.url_to_fs(path)
    if path and system.isdir(inner):
        found = system.find(inner)
    elif path and system.exists(inner):
        found = [inner]
    else:
        found = system.glob(inner) if glob.has_magic(inner) else []
    if not path or not found:
        raise ConfigError(
            f"wanted {what} at crawl.source.path, found nothing at '{path}'; "
            "set crawl.source.path to a file, a folder or a glob"
        )
    return [system.unstrip_protocol(file) for file in sorted(found)]
