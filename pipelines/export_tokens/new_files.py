"""Write files as streams into a new or empty folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import fsspec

from schemas.errors import ConfigError


@dataclass
class NewFiles:
    """Files below a path or an object-store address."""

    address: str
    written: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._system: Any
        self._system, self._top = fsspec.core.url_to_fs(self.address)

    @contextmanager
    def create(self, name: str) -> Iterator[BinaryIO]:
        """Open a file for writing; raise ConfigError if the name was used before."""
        path = f"{self._top}/{name}"
        if path in self.written:
            raise ConfigError(
                f"wanted to write {name} once, found two shards of that name; export each by itself"
            )
        self._system.makedirs(path.rpartition("/")[0], exist_ok=True)
        self.written.append(path)
        with self._system.open(path, "wb") as file:
            yield file

    def is_empty(self) -> bool:
        return not self._system.exists(self._top) or not self._system.find(self._top)

    def remove(self) -> None:
        for path in self.written:
            if self._system.exists(path):
                self._system.rm_file(path)


@contextmanager
def new_files(address: str) -> Iterator[NewFiles]:
    """Yield files to create; they are deleted again if the block fails.

    Raises ConfigError if the folder is not empty.
    """
    files = NewFiles(address)
    if not files.is_empty():
        raise ConfigError(
            f"wanted a new or empty folder to write to, found files in {address}; "
            "name another, or delete it"
        )
    try:
        yield files
    except BaseException:
        files.remove()
        raise
