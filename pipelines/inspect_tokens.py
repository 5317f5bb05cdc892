"""Look into token shards: schema, counts, code use, a few rows decoded, a gallery.

`python -m pipelines.inspect_tokens runs/demo --html gallery.html`
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from pipelines.inspection.counts import Tokens, read
from pipelines.inspection.gallery import Card, originals, reconstructions, render
from pipelines.inspection.shards import Target, some_rows, target
from pipelines.inspection.terminal import describe
from schemas.artifacts import CLEAN_PAIRS, DVAE
from schemas.errors import UserError
from stages.training.weights import load_dvae

WIDTH = 80
GALLERY_ROWS = 200


def gallery(found: Target, tokens: Tokens) -> str:
    """Return the HTML page; pictures are on it as far as the root still has their makers."""
    pairs = list(some_rows(found.folder, tokens.shards.good, GALLERY_ROWS))
    grid = tokens.first.spec.grid
    dvae = found.beside(DVAE.name, tokens.first.metadata.get("dvae_fingerprint"))
    manifest = found.manifest
    record = manifest.inputs.get(CLEAN_PAIRS.name) if manifest else None
    clean = found.beside(CLEAN_PAIRS.name, record.fingerprint if record else None)
    shown = originals(clean, pairs, 8 * grid) if clean else {}
    made: Sequence[Any] = [None] * len(pairs)
    if dvae is not None:
        made = reconstructions(load_dvae(dvae), pairs, grid)
    cards = [
        Card(row, shown.get(row["key"]), picture) for row, picture in zip(pairs, made, strict=True)
    ]
    return render(tokens, cards, _about(tokens, dvae=dvae is not None, clean=clean is not None))


def _about(tokens: Tokens, *, dvae: bool, clean: bool) -> str:
    used = int((tokens.codes > 0).sum())
    words = [
        f"Some rows from {len(tokens.shards.good):,} shards. {used:,} of {len(tokens.codes):,} "
        f"codes are in use, their perplexity is {2**tokens.entropy:,.1f}."
    ]
    if not dvae:
        words.append("The dVAE that made the codes is not in this root, so they are not decoded.")
    if not clean:
        words.append(
            "The clean pairs they came from are not in this root, so there is no original."
        )
    return " ".join(words)


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    line = argparse.ArgumentParser(prog="python -m pipelines.inspect_tokens", description=__doc__)
    line.add_argument("address", help="a root, a token_pairs folder, or one shard")
    line.add_argument("--html", type=Path, metavar="FILE", help="also write a gallery")
    line.add_argument("--rows", type=int, default=3, help="rows to decode (default: 3)")
    return line


def main(argv: Sequence[str] | None = None) -> int:
    """Print, and write the gallery if asked; 2 if there is nothing, 1 if shards are broken."""
    args = parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    console = Console(width=WIDTH, highlight=False)
    try:
        found = target(args.address)
        tokens = read(found)
        describe(console, found, tokens, args.rows)
        if args.html and tokens.shards.good:
            args.html.write_text(gallery(found, tokens), encoding="utf-8")
            console.print(f"\ngallery: {escape(str(args.html))}", soft_wrap=True)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 1 if tokens.shards.broken else 0


if __name__ == "__main__":
    sys.exit(main())
