"""Write files as streams into a new or empty folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import fsspec

from schemas.errors import ConfigError


class NewFiles:
    """Files below a path or an object-store address."""

    def __init__(self, address: str) -> None:
        self.system: Any
        self.system, self.top = fsspec.core.url_to_fs(address)
        self.written: list[str] = []

    @contextmanager
    def create(self, name: str) -> Iterator[BinaryIO]:
        """Open a file for writing; raise ConfigError if the name was used before."""
        path = f"{self.top}/{name}"
        if path in self.written:
            raise ConfigError(
                f"wanted to write {name} once, found two shards of that name; export each by itself"
            )
        self.system.makedirs(path.rpartition("/")[0], exist_ok=True)
        self.written.append(path)
        with self.system.open(path, "wb") as file:
            yield file


@contextmanager
def new_files(address: str) -> Iterator[NewFiles]:
    """Yield files to create; they are deleted again if the block fails.

    Raises ConfigError if the folder is not empty.
    """
    files = NewFiles(address)
    if files.system.exists(files.top) and files.system.find(files.top):
        raise ConfigError(
            f"wanted a new or empty folder to write to, found files in {address}; "
            "name another, or delete it"
        )
    try:
        yield files
    except BaseException:
        for path in filter(files.system.exists, files.written):
            files.system.rm_file(path)
        raise
