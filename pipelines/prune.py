"""Delete the artifacts under a root that its newest run does not use; ask first.

  python -m pipelines.prune runs/demo

The demo's pictures in world/ are not artifacts and stay.
"""

import argparse
import sys
from collections.abc import Iterator

from infra.claim import owner_of
from infra.nearby import require_run
from infra.store import Store
from pipelines.command import arguments, command, program
from schemas import artifacts
from schemas.artifacts import Artifact
from schemas.errors import ArtifactMissing

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
    """Ask; without a terminal the answer is no."""
    try:
        return input(question).strip().lower() in ("y", "yes")
    except (EOFError, OSError, UnicodeDecodeError):
        print("\nno answer was given; --yes deletes without asking")
        return False


def parser() -> argparse.ArgumentParser:
    line = arguments("prune", __doc__)
    line.add_argument("root", help="directory or s3:// address of a run")
    line.add_argument("--yes", action="store_true", help="delete without asking")
    return line


@command(parser)
def main(args: argparse.Namespace) -> None:
    store = Store(args.root)
    found = list(unused(store))
    for address, files, size in found:
        print(f"{address:40} {files:8,} files {size / 1e6:12,.1f} MB")
    if not found:
        print("nothing to delete: the newest run uses every artifact")
        return
    if not args.yes and not _agreed(
        f"delete {len(found)} artifact{'s' * (len(found) > 1)}? [y/N] "
    ):
        print("nothing was deleted")
        return
    for address, _, _ in found:
        store.at(address).clear()
        print(f"deleted {address}")


if __name__ == "__main__":
    sys.exit(program(main))
