"""Check that a root holds a run, and name the runs nearby if it does not."""

import os
from contextlib import suppress
from pathlib import Path

from infra.paths import is_remote
from schemas.errors import ArtifactMissing
from schemas.folder import Folder

SUMMARY = "summary.json"
SHOWN = 3


def require_run(root: Folder) -> None:
    """Raise ArtifactMissing, naming runs nearby, unless a run was started under the root."""
    if root.exists(SUMMARY):
        return
    near = ", ".join(runs_near(root.url))
    found = f"there are runs in {near}" if near else "start one with `pipelines/full.py --root ...`"
    raise ArtifactMissing(f"wanted a run under {root.url}, found no {SUMMARY} there; {found}")


def runs_near(root: str) -> list[str]:
    """Return a few roots with a run above, below and beside a path."""
    if is_remote(root):
        return []
    path = Path(root).absolute()
    places = [*path.parents, *_folders(path), *_folders(path / "runs"), *_folders(path.parent)]
    return [str(p) for p in dict.fromkeys(places) if os.path.isfile(p / SUMMARY)][:SHOWN]


def _folders(top: Path) -> list[Path]:
    with suppress(OSError):
        return sorted(p for p in top.iterdir() if p.is_dir())
    return []
