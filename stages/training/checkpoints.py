"""Where a killed run goes on: the newest two states, in the artifact's own folder."""

import io
import logging
import pickle
from typing import Any

import torch

from schemas.folder import Folder

FOLDER = "checkpoints/"
KEPT = 2  # the one before stays until the next is there, in case the last cannot be read

LOG = logging.getLogger(__name__)


def save(out: Folder, step: int, data: bytes) -> None:
    """Commit a state, then delete all but the newest two."""
    out.commit(f"{FOLDER}step-{step:08d}.pt", data)
    for name in out.list(FOLDER)[:-KEPT]:
        out.remove(name)


def newest(out: Folder) -> dict[str, Any] | None:
    """Return the last state that can be read, or None if there is none."""
    for name in reversed(out.list(FOLDER)):
        with out.open(name) as file:
            data = file.read()
        try:
            return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
            LOG.warning("%s/%s cannot be read, going back one: %s", out.url, name, error)
    return None


def remove(out: Folder) -> None:
    """Delete all states: the run is finished."""
    for name in out.list(FOLDER):
        out.remove(name)
