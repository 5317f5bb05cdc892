"""Is a run there? Where there is none, which ones are near by, to choose the right one."""

from contextlib import suppress
from pathlib import Path

from infra.addresses import is_remote
from schemas.errors import ArtifactMissing
from schemas.folder import Folder

SUMMARY = "summary.json"
SHOWN = 3


def require_run(root: Folder) -> None:
    """Raise ArtifactMissing unless a run has begun under a root; name others that are near."""
    if root.exists(SUMMARY):
        return
    near = ", ".join(runs_near(root.url))
    found = f"runs are in {near}" if near else "`pipelines/full.py --root ...` makes one"
    raise ArtifactMissing(f"wanted a run under {root.url}, found no {SUMMARY} there; {found}")


def runs_near(root: str) -> list[str]:
    """Return a few roots above, below and beside a path that hold a run."""
    if is_remote(root):
        return []
    path = Path(root).absolute()
    places = [*path.parents, *_folders(path), *_folders(path / "runs"), *_folders(path.parent)]
    return [str(p) for p in dict.fromkeys(places) if _is_run(p)][:SHOWN]


def _folders(top: Path) -> list[Path]:
    with suppress(OSError):
        return sorted(p for p in top.iterdir() if p.is_dir())
    return []


def _is_run(path: Path) -> bool:
    with suppress(OSError):
        return (path / SUMMARY).is_file()
    return False
