"""Open the paths and addresses that settings name, on any storage of fsspec."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import fsspec

from schemas.errors import ConfigError, UserError, of_storage

JOINT = "::"


@contextmanager
def reaching(path: str, setting: str) -> Iterator[None]:
    """Turn any error of a storage into a ConfigError that names the setting."""
    try:
        yield
    except Exception as error:  # each storage has kinds of its own
        if isinstance(error, UserError):
            raise
        raise ConfigError(
            f"wanted to look into '{path}' of {setting}, found {of_storage(error)}; mend that, or "
            "give another"
        ) from error


def system_of(address: str) -> tuple[Any, str]:
    """Return the storage of a path or address, and the path as that storage has it.

    fsspec takes every `::` for the end of an address inside another; here it is one only behind
    the name of a storage, as in `simplecache::s3://bucket/list.csv`.
    """
    before, joint, _ = address.partition(JOINT)
    if not joint or before in fsspec.available_protocols():
        system, inner = fsspec.core.url_to_fs(address)
        return system, inner
    protocol, scheme, _ = before.partition("://")
    system = fsspec.filesystem(protocol if scheme else "file")
    return system, system._strip_protocol(address)


def is_file(system: Any, path: str) -> bool:
    """Return whether a file is there; a storage's own isfile() takes every failure for a no."""
    try:
        return bool(system.info(path)["type"] == "file")
    except (FileNotFoundError, NotADirectoryError):
        return False


def opened(address: str) -> Any:
    system, inner = system_of(address)
    return system.open(inner, "rb")


def text_lines(data: bytes) -> list[str]:
    """Split a text file at line ends only; str.splitlines would also split at U+2028 and others."""
    text = io.StringIO(data.decode("utf-8-sig"), newline=None)
    return [line.removesuffix("\n") for line in text]
