"""What we tell the user when something cannot go on: what was wanted, found, and what to do."""

import os
import re

# What differs from run to run and from machine to machine: addresses in memory, and folders.
IN_MEMORY = re.compile(r" at 0x[0-9A-Fa-f]+")
FOLDERS = re.compile(r"""(?<![\w:/.~])(?:/[^/\s'"]+)+/(?=[^/\s'"])|(?<=['"])/(?:[^/'"\n]+/)+""")

MOST_OF_STORAGE = 300  # characters of what a storage says


class UserError(Exception):
    """One sentence for a person; a command prints it without a traceback and exits with 2."""


class ConfigError(UserError):
    """A setting is misspelt, out of range, or contradicts another."""


class SchemaMismatch(UserError):
    """A table, shard or model file is not what its reader was promised."""


class ArtifactMissing(UserError):
    """A stage reads something that is not finished."""


class ArtifactOwned(UserError):
    """Another run that is alive is making this artifact now."""


class GateClosed(UserError):
    """A measured quality is below its floor, so the next stage would waste its time."""


class ShardsFailed(UserError):
    """Shards were set aside after repeated failures; the finished ones are kept."""

    def __init__(self, sentence: str, shards: tuple[str, ...]) -> None:
        super().__init__(sentence)
        self.shards = shards


class SessionFailed(UserError):
    """Ray does not start, or a cluster lets nobody join."""


class StorageFailed(UserError, OSError):
    """A disk or an object store cannot be reached, read or written to."""


def worded(error: BaseException) -> str:
    """Return an error's kind and text, the same wherever and whenever it happens.

    Whatever is kept of an error in an artifact goes through here.
    """
    return f"{type(error).__name__}: {said(error)}"


def of_storage(error: BaseException) -> str:
    """Return in one line what a storage minds, beneath our own words for it."""
    if isinstance(error, StorageFailed) and error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {' '.join(str(error).split())[:MOST_OF_STORAGE]}"


def said(error: BaseException) -> str:
    """Return an error's text without addresses in memory and without the folders of files."""
    if isinstance(error, OSError) and error.strerror:
        named = f": '{os.path.basename(str(error.filename))}'" if error.filename else ""
        return steady(error.strerror) + named
    return FOLDERS.sub("", steady(str(error)))


def steady(text: str, folder: str = "") -> str:
    """Return a text without the addresses in memory that Python's own words hold.

    Nor does it say where `folder` is: files are named as they are below it.
    """
    text = IN_MEMORY.sub("", text)
    if not folder:
        return text
    return re.sub(rf"(?<![\w/.]){re.escape(folder.rstrip('/'))}(?:/|\b)", "", text)
