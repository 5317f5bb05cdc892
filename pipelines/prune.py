"""Delete the artifacts under a root that its newest run does not use; ask first.

The folders of the demo's worlds, in `world/`, are no artifacts and stay.

`python -m pipelines.prune runs/demo`
"""

import argparse
import sys
from collections.abc import Iterator, Sequence

from infra.claim import owner_of
from infra.nearby import require_run
from infra.store import Store
from pipelines.command import complain, program
from schemas import artifacts
from schemas.artifacts import Artifact
from schemas.errors import ArtifactMissing, UserError

NAMES = sorted(value.name for value in vars(artifacts).values() if isinstance(value, Artifact))


def unused(store: Store) -> Iterator[tuple[str, int, int]]:
    """Yield address, files and bytes of each artifact that the newest run does not name.

    Raises ArtifactMissing if the root has no summary: nothing would say what is in use.
    """
    require_run(store.top)
    entries = store.summary().stages.values()
    used = {entry.artifact for entry in entries}
    if not used:
        raise ArtifactMissing(f"wanted stages in the summary.json of {store.root}, found none")
    for name in NAMES:
        sizes: dict[str, list[int]] = {}
        for path, size in store.top.sizes(name + "/").items():
            sizes.setdefault("/".join(path.split("/")[:2]), []).append(size)
        for address, each in sizes.items():
            if address not in used and owner_of(store.at(address)) is None:
                yield address, len(each), sum(each)


def _agreed(question: str) -> bool:
    """Ask; nobody to ask is a no."""
    try:
        return input(question).strip().lower() in ("y", "yes")
    except (EOFError, OSError, UnicodeDecodeError):
        print("\nnobody answers here: --yes deletes without asking")
        return False


def main(argv: Sequence[str] | None = None) -> int:
    """List what is unused, ask, delete; return the exit code."""
    line = argparse.ArgumentParser(prog="python -m pipelines.prune", description=__doc__)
    line.add_argument("root")
    line.add_argument("--yes", action="store_true", help="do not ask")
    args = line.parse_args(argv)
    store = Store(args.root)
    try:
        found = list(unused(store))
    except UserError as error:
        complain(error)
        return 2
    for address, files, size in found:
        print(f"{address:40} {files:8,} files {size / 1e6:12,.1f} MB")
    if not found:
        print("nothing to prune: the newest run uses every artifact")
        return 0
    if not args.yes and not _agreed(f"delete these {len(found)} artifacts? [y/N] "):
        print("nothing was deleted")
        return 0
    for address, _, _ in found:
        store.at(address).clear()
        print(f"deleted {address}")
    return 0


if __name__ == "__main__":
    sys.exit(program(main))
