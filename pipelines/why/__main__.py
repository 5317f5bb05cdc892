"""Explain what happened to a picture: crawled, kept or dropped and why, encoded.

python -m pipelines.why https://example.org/cat.jpg --root runs/demo
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from infra.store import Store
from pipelines.command import arguments, command, program
from pipelines.why.description import describe
from pipelines.why.row_search import rows_where
from schemas.artifacts import CLEAN_PAIRS, DROPPED_ROWS, PAIRS, TOKEN_PAIRS, TRAIN, VAL, Artifact
from schemas.errors import ArtifactMissing
from schemas.folder import Folder, Inputs
from schemas.manifest import Manifest

MOST_ROWS = 20  # shown

Row = dict[str, Any]


class FinishedArtifact(NamedTuple):
    """An artifact of the newest run, and its manifest."""

    folder: Folder
    manifest: Manifest


def newest(store: Store, artifact: Artifact) -> FinishedArtifact:
    """Return the newest run's artifact; raise ArtifactMissing if it is not finished."""
    inputs = Inputs({artifact.name: store.newest(artifact)})
    return FinishedArtifact(inputs.folder(artifact), inputs.manifest(artifact))


def made_from(
    source: FinishedArtifact | None, store: Store, artifact: Artifact
) -> FinishedArtifact | None:
    """Return the newest run's artifact; None if it is missing, or not made from `source`."""
    with suppress(ArtifactMissing):
        found = newest(store, artifact)
        record = found.manifest.inputs.get(source.manifest.artifact) if source else None
        if source and record and record.fingerprint == source.manifest.fingerprint:
            return found
    return None


def find(pairs: FinishedArtifact, wanted: str) -> list[Row]:
    """Return the crawl's rows with this url, key or sha256; raise ArtifactMissing without any."""
    found = rows_where(pairs.folder, ("shard-",), {n: [wanted] for n in ("url", "key", "sha256")})
    rows = sorted(found, key=lambda row: row["key"])
    if not rows:
        raise ArtifactMissing(
            f"wanted a row with the url, key or sha256 '{wanted}', found none among the "
            f"{pairs.manifest.rows_in:,} rows of {pairs.folder.url}; write it as in the url list"
        )
    return rows


def answer(store: Store, wanted: str) -> Iterator[str]:
    """Yield lines about every row that has the url, key or sha256.

    Raises ArtifactMissing if there is no such row, or no finished crawl.
    """
    pairs = newest(store, PAIRS)
    rows = find(pairs, wanted)
    shown = rows[:MOST_ROWS]
    keys = [row["key"] for row in shown]
    clean = made_from(pairs, store, CLEAN_PAIRS)
    judged = _by_key(clean, keys)
    tokens = made_from(clean, store, TOKEN_PAIRS)
    encoded = _by_key(tokens, keys)
    for row in shown:
        verdict = judged.get(row["key"])
        yield from describe(
            row,
            verdict,
            clean.manifest.settings if clean is not None else None,
            _kept_instead(clean, row, verdict),
            encoded.get(row["key"]) if tokens is not None else "unfinished",
        )
        yield ""
    if len(rows) > len(shown):
        yield f"and {len(rows) - len(shown):,} more rows; ask for one by its key"


def _by_key(artifact: FinishedArtifact | None, keys: Sequence[str]) -> Mapping[str, Row]:
    if artifact is None:
        return {}
    rows = rows_where(artifact.folder, (TRAIN, VAL, DROPPED_ROWS), {"key": keys})
    return {row["key"]: row for row in rows}


def _kept_instead(clean: FinishedArtifact | None, row: Row, verdict: Row | None) -> list[Row]:
    if clean is None or verdict is None or "duplicate" not in (verdict.get("reason") or ""):
        return []
    group = verdict.get("group") or row["sha256"]
    return list(rows_where(clean.folder, (TRAIN, VAL), {"group": [group]}))


def parser() -> argparse.ArgumentParser:
    line = arguments("why", __doc__)
    line.add_argument("wanted", metavar="URL_OR_KEY", help="a url, a row's key, or an image sha256")
    line.add_argument("--root", default="runs/demo", help="root of a run (default runs/demo)")
    return line


@command(parser)
def main(args: argparse.Namespace) -> None:
    for text in answer(Store(args.root), args.wanted):
        print(text)


if __name__ == "__main__":
    sys.exit(program(main))
