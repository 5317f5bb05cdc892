"""A lock on an artifact's folder: one run at a time makes it, and a dead run's claim is taken over.

The owner writes `owner.json` into the folder and renews it every few seconds. On the same machine a
dead process is noticed at once; elsewhere its claim expires after DEAD_AFTER_SECONDS.
"""

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError

from schemas.errors import ArtifactOwned
from schemas.folder import Folder
from schemas.process import Process

OWNER = "owner.json"
RENEW_SECONDS = 5.0
DEAD_AFTER_SECONDS = 30.0


class Owner(Process):
    """The process that is making the artifact, and when it last renewed its claim."""

    run: str
    seen: float  # seconds since 1970

    @property
    def alive(self) -> bool:
        if self.is_at_work or self.is_gone:
            return self.is_at_work
        return time.time() - self.seen < DEAD_AFTER_SECONDS


def owner_of(folder: Folder) -> Owner | None:
    """Return the living owner; None if the folder is free."""
    try:
        with folder.open(OWNER) as file:
            owner = Owner.model_validate_json(file.read())
    except (FileNotFoundError, ValidationError):
        return None
    return owner if owner.alive else None


@contextmanager
def claimed(folder: Folder) -> Iterator[None]:
    """Own the folder while the block runs; raise ArtifactOwned if a living run owns it."""
    run = uuid.uuid4().hex
    _refuse_if_taken(folder, run)
    _write(folder, run)
    # Two runs may both have found the folder free: the last to write owns it.
    _refuse_if_taken(folder, run)
    stop = threading.Event()
    thread = threading.Thread(target=_freshen, args=(folder, run, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        folder.remove(OWNER)


def _refuse_if_taken(folder: Folder, run: str) -> None:
    owner = owner_of(folder)
    if owner is not None and owner.run != run:
        raise ArtifactOwned(
            f"{folder.url} is being made by process {owner.pid} on {owner.host}; "
            "wait for it to end, or stop it, then run this command again"
        )


def _write(folder: Folder, run: str) -> None:
    folder.commit(OWNER, Owner.here(run=run, seen=time.time()).model_dump_json().encode())


def _freshen(folder: Folder, run: str, stop: threading.Event) -> None:
    while not stop.wait(RENEW_SECONDS):
        _write(folder, run)
